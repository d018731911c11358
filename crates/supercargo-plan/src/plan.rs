//! The work as a value, before it is done: what is printed is what is run.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use supercargo_artifact::digest::{Digest, Hasher};

use crate::facts::workspace::MemberName;
use crate::verdict::Verdict;

/// Stands in a command for the folder of the run, which has a name only once it runs.
pub const RUN_FOLDER: &str = "<run>";

/// Stands in a value for the target folder.
pub const TARGET_FOLDER: &str = "<target>";

/// Stands in a value for the workspace's root folder.
pub const WORKSPACE_FOLDER: &str = "<workspace>";

/// Stands in a value for the folder that cargo keeps sources in.
pub const CARGO_HOME_FOLDER: &str = "<cargo-home>";

/// Stands in a value for the toolchain's folder.
pub const SYSROOT_FOLDER: &str = "<sysroot>";

/// Stands in a value for the folder of zig's libraries.
pub const ZIG_FOLDER: &str = "<zig>";

/// Why something is left out that `--only` or `--skip` leaves out.
pub const ASKED: &str = "asked";

/// How it begins why a member is left out that `--base` leaves out.
pub const UNAFFECTED: &str = "not affected since";

/// The name of a step: a check, and the features it is for where there are several sets, as in `clippy(a,b)`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(String);

impl StepId {
    /// The step of `check`, for one of several sets of features.
    #[must_use]
    pub fn new(check: &str, set: Option<&str>) -> Self {
        Self(set.map_or_else(|| check.to_owned(), |set| format!("{check}({set})")))
    }

    /// The step that starts the program of another one.
    #[must_use]
    pub fn smoke(program: &Self) -> Self {
        Self(format!("{program}.smoke"))
    }

    /// The name of the check.
    #[must_use]
    pub fn check(&self) -> &str {
        self.0.split('(').next().unwrap_or_default()
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of its log: what no shell and no file system takes amiss, as in `clippy.a,b.log`.
    #[must_use]
    pub fn log(&self) -> String {
        format!("{}.log", self.0.replace('(', ".").replace('/', "_").replace(')', ""))
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Steps of one lane run one after the other. The lint lane has a target folder of its own, so that neither waits for
/// the other's locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// What compiles without making code, and what compiles nothing.
    Lint,
    /// What makes code and runs it.
    Test,
}

/// How far an action reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// This machine.
    Local,
    /// Others can see it.
    Remote,
}

/// A command: program and arguments, from the workspace's root.
pub type Command = Vec<String>;

/// What a step does. No variant means «do whatever»: each says how the output is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "does")]
pub enum Action {
    /// Runs a program; its exit status is the verdict.
    Program {
        /// The command.
        command: Command,
    },
    /// Runs one program a member; its exit status is the member's verdict.
    Each {
        /// The commands.
        commands: BTreeMap<MemberName, Command>,
    },
    /// Runs rustfmt and reads the files that it would change.
    Format {
        /// The command.
        command: Command,
    },
    /// Runs cargo-deny or cargo-audit, and reads its findings as JSON.
    Audit {
        /// The command.
        command: Command,
    },
    /// Compiles, and reads cargo's messages as JSON. A warning counts as an error.
    Compile {
        /// The command.
        command: Command,
    },
    /// Compiles the tests, and lets cargo-nextest run them.
    Nextest {
        /// Compiles.
        build: Command,
        /// Runs; its filter names the members that need it.
        run: Command,
        /// Lists what there is to run, where what ran leaves that open.
        list: Command,
        /// The profile that the run's own inherits from.
        profile: Option<String>,
    },
    /// Compiles the tests, and runs the executables that cargo names, each in its package's folder.
    Tests {
        /// Compiles.
        build: Command,
        /// Arguments for each executable.
        arguments: Command,
    },
    /// Runs the tests in the documentation.
    Doctests {
        /// The command.
        command: Command,
    },
    /// Compiles one program, proves that it is what it is to be, and puts it into the store.
    Build {
        /// The command.
        command: Command,
        /// The program.
        program: String,
        /// Its target.
        target: String,
        /// What links it.
        linker: String,
        /// Why that does.
        because: String,
        /// Path dependencies out of the workspace, which make its bytes those of this folder alone.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        outside: Vec<String>,
        /// Whether it is built in two other folders, with two other homes of cargo, and both must be equal.
        twice: bool,
    },
    /// Starts a program that is in the store, and waits for its good end.
    Smoke {
        /// The step that builds it.
        of: StepId,
        /// Its arguments.
        arguments: Command,
        /// What runs it where this machine cannot.
        emulator: Option<String>,
    },
    /// Runs nothing: the tool is not installed.
    Missing {
        /// Its name.
        tool: String,
        /// What installs it.
        install: String,
        /// Whether policy lets it be missing.
        optional: bool,
    },
}

impl Action {
    /// How far it reaches.
    #[must_use]
    pub const fn reach(&self) -> Reach {
        Reach::Local
    }

    /// Every command, in the order in which they run.
    #[must_use]
    pub fn commands(&self) -> Vec<&Command> {
        match self {
            Self::Program { command }
            | Self::Format { command }
            | Self::Audit { command }
            | Self::Compile { command }
            | Self::Build { command, .. }
            | Self::Doctests { command } => vec![command],
            Self::Each { commands } => commands.values().collect(),
            Self::Nextest { build, run, .. } => vec![build, run],
            Self::Tests { build, .. } => vec![build],
            Self::Smoke { .. } | Self::Missing { .. } => Vec::new(),
        }
    }
}

/// Whom a step is about: a member, or the workspace where there is none.
pub type Subject = Option<MemberName>;

/// What is to be done about one subject of a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum State {
    /// It runs.
    Run {
        /// Why no result that was kept stands for it.
        why: String,
    },
    /// It passed before, under the same key.
    Cached {
        /// How long ago, in seconds.
        age: u64,
        /// What it came to: it passed, or there was nothing to run.
        verdict: Verdict,
    },
    /// It is left out.
    Skipped {
        /// Why.
        why: String,
    },
}

/// Something that was made, by its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub digest: String,
    /// Its size, in bytes.
    pub size: u64,
}

/// One subject of a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Item {
    /// The member; none for the workspace.
    pub member: Subject,
    /// The key of its result; none where nothing is kept.
    pub key: Option<String>,
    /// What is to be done.
    #[serde(flatten)]
    pub state: State,
    /// What was made before, and is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
}

impl Item {
    /// Whether it runs.
    #[must_use]
    pub const fn runs(&self) -> bool {
        matches!(self.state, State::Run { .. })
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Its name.
    pub id: StepId,
    /// Where it runs.
    pub lane: Lane,
    /// What it does.
    #[serde(flatten)]
    pub action: Action,
    /// What its processes get of the environment besides what all get.
    pub environment: BTreeMap<String, String>,
    /// Whether what it finds is told without failing.
    pub warns: bool,
    /// Steps without whose good end it does not run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<StepId>,
    /// How long it may take, in seconds.
    pub timeout: u64,
    /// How long it took when it last ran, in seconds.
    pub expected: Option<f64>,
    /// Whom it is about.
    pub items: Vec<Item>,
}

impl Step {
    /// Whether anything of it runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.items.iter().any(Item::runs)
    }

    /// The members that it runs for.
    #[must_use]
    pub fn running(&self) -> Vec<&Subject> {
        self.items.iter().filter(|item| item.runs()).map(|item| &item.member).collect()
    }
}

/// What a verb is about to do, cheapest first within each lane.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The verb.
    pub verb: &'static str,
    /// The arguments that choose members, for a command that does the same again.
    pub selection: Vec<String>,
    /// The steps.
    pub steps: Vec<Step>,
}

impl Plan {
    /// The digest of what would run, for whom: no ages, no durations.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new("supercargo plan 1");
        hasher.field(self.verb.as_bytes());
        for step in &self.steps {
            hasher.field(step.id.as_str().as_bytes());
            hasher.field(serde_json::to_string(&step.action).unwrap_or_default().as_bytes());
            for (name, value) in &step.environment {
                // Prefixes of folders stand in an order that hangs on how deep those lie on this machine.
                let mut words: Vec<&str> = value.split(['\u{1f}', ' ']).collect();
                words.sort_by_key(|word| word.contains("-prefix").then_some(*word));
                hasher.field(name.as_bytes()).field(words.join(" ").as_bytes());
            }
            for item in &step.items {
                let state = match &item.state {
                    State::Run { .. } => "run",
                    State::Cached { .. } => "cached",
                    State::Skipped { why } => why,
                };
                hasher.field(item.member.as_ref().map_or("", MemberName::as_str).as_bytes());
                hasher.field(state.as_bytes()).field(item.key.as_deref().unwrap_or_default().as_bytes());
            }
        }
        hasher.finish()
    }
}

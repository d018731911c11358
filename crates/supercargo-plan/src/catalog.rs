//! The checks that are built in: what each runs, with which tool, about whom.

use std::collections::BTreeMap;

use semver::Version;

use crate::facts::checks::{Check, Features};
use crate::facts::lock::Lock;
use crate::facts::path::RepoPath;
use crate::facts::workspace::{MemberName, Package, Workspace};
use crate::plan::{Action, Command, Lane, RUN_FOLDER};

/// The first cargo that denies warnings when `build.warnings` says so; older ones ignore it in silence.
const DENIES_WARNINGS: Version = Version::new(1, 97, 0);

/// Seconds that a step which compiles may take, where policy says nothing.
const COMPILE_LIMIT: u64 = 60 * 60;

/// Seconds that any other step may take.
const LIMIT: u64 = 10 * 60;

/// Where a forge's workflows lie, from the repository's top.
pub const WORKFLOWS: &str = ".github/workflows";

/// A check that is built in.
pub struct BuiltIn {
    /// Its name.
    pub name: &'static str,
    /// The tool that it needs besides cargo itself: the name that [`Tools`] knows it by, and what installs it.
    pub tool: Option<(&'static str, &'static str)>,
    /// Whether it is about each member, else about the workspace.
    pub of_members: bool,
    /// Whether it compiles the members, with one set of features.
    pub compiles: bool,
    /// Where it runs.
    pub lane: Lane,
    /// How long it takes when nothing is known, in seconds: what puts it before or after others.
    pub guess: f64,
}

const fn check(name: &'static str, tool: Option<(&'static str, &'static str)>, guess: f64) -> BuiltIn {
    BuiltIn { name, tool, of_members: false, compiles: false, lane: Lane::Lint, guess }
}

const fn compiling(name: &'static str, tool: Option<(&'static str, &'static str)>, lane: Lane, guess: f64) -> BuiltIn {
    BuiltIn { name, tool, of_members: true, compiles: true, lane, guess }
}

/// The checks that are built in.
pub const CATALOG: [BuiltIn; 11] = [
    check("fmt", Some(("rustfmt", "rustup component add rustfmt")), 1.0),
    compiling("clippy", Some(("clippy", "rustup component add clippy")), Lane::Lint, 30.0),
    compiling("test", None, Lane::Test, 60.0),
    compiling("doctest", None, Lane::Test, 70.0),
    compiling("doc", None, Lane::Lint, 40.0),
    check("deny", Some(("cargo-deny", "cargo install --locked cargo-deny")), 2.0),
    check("advisories", Some(("cargo-deny", "cargo install --locked cargo-deny")), 3.0),
    BuiltIn {
        of_members: true,
        ..check("semver", Some(("cargo-semver-checks", "cargo install --locked cargo-semver-checks")), 90.0)
    },
    BuiltIn { of_members: true, ..check("msrv", Some(("rustup", "install rustup, from https://rustup.rs")), 50.0) },
    check("unused-deps", Some(("cargo-machete", "cargo install --locked cargo-machete")), 1.5),
    check("workflows", Some(("zizmor", "pip install zizmor")), 1.2),
];

/// The tools that a check asks for: the one that it needs, and those that it can do without.
#[must_use]
pub fn tools(check: &BuiltIn) -> Vec<&'static str> {
    let other = match check.name {
        "test" => Some("cargo-nextest"),
        "advisories" => Some("cargo-audit"),
        _ => None,
    };
    check.tool.map(|(tool, _)| tool).into_iter().chain(other).collect()
}

/// The check of this name, when it is built in.
#[must_use]
pub fn built_in(name: &str) -> Option<&'static BuiltIn> {
    CATALOG.iter().find(|check| check.name == name)
}

/// What is installed.
#[derive(Clone, Debug)]
pub struct Tools {
    /// Cargo's version.
    pub cargo: Version,
    /// By name: what the tool says of its version; none for one that is missing.
    pub versions: BTreeMap<String, Option<String>>,
}

impl Tools {
    /// What a tool says of its version, when it is installed.
    #[must_use]
    pub fn version(&self, tool: &str) -> Option<&str> {
        self.versions.get(tool)?.as_deref()
    }

    /// Whether cargo itself denies warnings when told.
    #[must_use]
    pub fn denies_warnings(&self) -> bool {
        // A nightly of that version may be older than the feature, and is counted as without.
        self.cargo >= DENIES_WARNINGS
    }
}

/// What the commands are made from.
#[derive(Clone)]
pub struct Setting<'a> {
    /// The workspace.
    pub workspace: &'a Workspace,
    /// Its lockfile, when git tracks one.
    pub lock: Option<&'a Lock>,
    /// What is installed.
    pub tools: &'a Tools,
    /// The members that are asked for, as arguments for cargo's `-p`; the whole workspace where there are none.
    pub selection: Option<&'a BTreeMap<MemberName, String>>,
    /// What tells one set of `clippy.toml` files from another; none where there is none.
    pub lint_settings: Option<String>,
}

fn words(words: &str) -> Command {
    words.split(' ').map(str::to_owned).collect()
}

impl Setting<'_> {
    /// `--workspace`, or `-p` for each of the members that are asked for and that `counts` holds for.
    fn selected(&self, counts: &dyn Fn(&Package) -> bool) -> Command {
        let Some(selection) = self.selection else { return words("--workspace") };
        let members = self.workspace.members().filter(|member| counts(member));
        let specs = members.filter_map(|member| selection.get(&member.name));
        specs.flat_map(|spec| ["-p".to_owned(), spec.clone()]).collect()
    }

    fn locked(&self) -> Command {
        self.lock.map_or_else(Vec::new, |_| words("--locked"))
    }

    /// A cargo command: subcommand, selection, features, lock.
    fn cargo(&self, subcommand: &str, counts: &dyn Fn(&Package) -> bool, features: &Features, rest: &str) -> Command {
        let features = match features {
            Features::Default => Vec::new(),
            Features::All => words("--all-features"),
            Features::Named(names) => vec!["--features".to_owned(), names.join(",")],
        };
        [words(subcommand), self.selected(counts), features, self.locked(), words(rest)].concat()
    }

    /// What `check` does for the members `running`, with its policy's own arguments.
    #[must_use]
    pub fn action(&self, check: &BuiltIn, features: &Features, policy: &Check, running: &[MemberName]) -> Action {
        let all = |_: &Package| true;
        let more = |command: Command| [command, policy.args.clone()].concat();
        match check.name {
            "fmt" => Action::Format { command: more(words("cargo fmt --all -- --check")) },
            "clippy" => Action::Compile {
                // Cargo does not know which settings clippy looks for: that some came or went is told by an argument.
                command: self.lint(more(self.cargo(
                    "cargo clippy",
                    &all,
                    features,
                    "--all-targets --keep-going --message-format=json",
                ))),
            },
            "doc" => Action::Compile {
                command: more(self.cargo(
                    "cargo doc",
                    &documented,
                    features,
                    "--no-deps --keep-going --message-format=json",
                )),
            },
            "test" => self.tests(features, policy, running),
            "doctest" => Action::Doctests {
                command: more(self.cargo("cargo test --doc", &doctested, features, "--no-fail-fast")),
            },
            "deny" => Action::Audit { command: more(self.deny(features, "bans licenses sources")) },
            "advisories" if self.tools.version("cargo-deny").is_some() => {
                Action::Audit { command: more(self.deny(features, "advisories")) }
            }
            "advisories" => Action::Audit { command: more(words("cargo audit --json")) },
            "semver" | "msrv" => Action::Each { commands: self.each(check, policy, running) },
            "unused-deps" => Action::Program { command: more(words("cargo machete")) },
            _ => {
                let up =
                    self.workspace.root.as_bytes().split(|byte| *byte == b'/').filter(|part| !part.is_empty()).count();
                let folder = format!("{}{WORKFLOWS}", "../".repeat(up));
                Action::Program { command: more([words("zizmor --offline --no-progress"), vec![folder]].concat()) }
            }
        }
    }

    /// A call of clippy that is another when other settings are there.
    fn lint(&self, mut command: Command) -> Command {
        if let Some(settings) = &self.lint_settings {
            if !command.iter().any(|word| word == "--") {
                command.push("--".into());
            }
            command.extend(["--cfg".into(), format!("clippy_settings_{settings}")]);
        }
        command
    }

    /// One command for each of the members `running`.
    fn each(&self, check: &BuiltIn, policy: &Check, running: &[MemberName]) -> BTreeMap<MemberName, Command> {
        let command = |member: &Package| {
            let spec = cargo_spec(self.workspace, self.lock, &member.name);
            let command = if check.name == "semver" {
                [words("cargo semver-checks --package"), vec![spec]].concat()
            } else {
                let toolchain = toolchain(member.rust_version.as_ref()?);
                [words("rustup run"), vec![toolchain], words("cargo check -p"), vec![spec], self.locked()].concat()
            };
            Some((member.name.clone(), [command, policy.args.clone()].concat()))
        };
        self.workspace.members().filter(|member| running.contains(&member.name)).filter_map(command).collect()
    }

    fn deny(&self, features: &Features, what: &str) -> Command {
        let features = if *features == Features::All { words("--all-features") } else { Vec::new() };
        [words("cargo deny --format json --workspace"), self.locked(), features, words("check"), words(what)].concat()
    }

    fn tests(&self, features: &Features, policy: &Check, running: &[MemberName]) -> Action {
        let build = self.cargo("cargo test", &tested, features, "--no-run --message-format=json");
        if self.tools.version("cargo-nextest").is_none() {
            return Action::Tests { build, arguments: policy.args.clone() };
        }
        let (profile, args) = profile(&policy.args);
        let filter = running.iter().map(|name| format!("package(={name})")).collect::<Vec<_>>().join(" | ");
        let config = ["--tool-config-file".to_owned(), format!("supercargo:{RUN_FOLDER}/nextest.toml")];
        let filter = ["-E".to_owned(), filter];
        let common = [&config[..], &words("--profile supercargo"), &filter].concat();
        let run = self.cargo("cargo nextest run", &tested, features, "--no-fail-fast --hide-progress-bar");
        let list = self.cargo("cargo nextest list", &tested, features, "--message-format json");
        // What leaves tests out must leave them out of the list as well; what only runs may not be known to it.
        let filters = filters(&args);
        let (run, list) = ([run, common.clone(), args].concat(), [list, common, filters].concat());
        Action::Nextest { build, run, list, profile }
    }
}

/// The nextest profile that `args` name, and the rest of them.
fn profile(args: &[String]) -> (Option<String>, Command) {
    let mut rest = Command::new();
    let mut profile = None;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.strip_prefix("--profile=") {
            Some(named) => profile = Some(named.to_owned()),
            None if arg == "--profile" || arg == "-P" => profile = args.next().cloned(),
            None => rest.push(arg.clone()),
        }
    }
    (profile, rest)
}

/// Those of nextest's arguments that choose tests.
fn filters(args: &[String]) -> Command {
    let mut filters = Command::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let takes = ["-E", "--filterset", "--filter-expr", "--run-ignored", "--partition"].contains(&arg.as_str());
        if takes {
            filters.extend([Some(arg), args.next()].into_iter().flatten().cloned());
        } else if arg.starts_with("--run-ignored=") || !arg.starts_with('-') {
            filters.push(arg.clone());
        }
    }
    filters
}

/// Whether a member has targets with tests.
#[must_use]
pub fn tested(member: &Package) -> bool {
    member.targets.iter().any(|target| target.test)
}

/// Whether a member has a library whose documentation may hold tests.
#[must_use]
pub fn doctested(member: &Package) -> bool {
    member.targets.iter().any(|target| target.library && target.doctest)
}

/// Whether a member has targets that are documented.
#[must_use]
pub fn documented(member: &Package) -> bool {
    member.targets.iter().any(|target| target.doc)
}

/// The name of the toolchain for a `rust-version`.
fn toolchain(version: &str) -> String {
    if version.matches('.').count() == 1 { format!("{version}.0") } else { version.to_owned() }
}

/// Cargo's `-p` for a member: by name, and by version where another package is called so too.
#[must_use]
pub fn cargo_spec(workspace: &Workspace, lock: Option<&Lock>, name: &MemberName) -> String {
    let alike = lock.map_or(0, |lock| lock.named(name.as_str()).count());
    let version = workspace.members().find(|member| member.name == *name).map(|member| &member.version);
    match version {
        Some(version) if alike > 1 => format!("{name}@{version}"),
        _ => name.to_string(),
    }
}

/// How long a check may take, in seconds, where policy says nothing.
#[must_use]
pub fn limit(check: Option<&BuiltIn>) -> u64 {
    if check.is_some_and(|check| check.compiles || check.of_members) { COMPILE_LIMIT } else { LIMIT }
}

/// Whether the result of a check of the workspace depends on `path`, besides what every member's does.
#[must_use]
pub fn reads(check: &str, path: &RepoPath) -> bool {
    match check {
        "fmt" => {
            path.name().ends_with(b".rs") || matches!(path.name(), b"rustfmt.toml" | b".rustfmt.toml" | b"Cargo.toml")
        }
        "unused-deps" => path.name().ends_with(b".rs") || path.name().ends_with(b".toml"),
        "workflows" => path.below(&RepoPath::from(WORKFLOWS)).is_some() || path.name().starts_with(b"zizmor."),
        "advisories" => {
            matches!(path.name(), b"Cargo.lock" | b"Cargo.toml" | b"deny.toml" | b".deny.toml" | b"audit.toml")
        }
        // Licences may stand in any file.
        _ => true,
    }
}

//! `build`: the shipped programs that are not in the store yet, each for each target.

use std::collections::BTreeMap;

use supercargo_artifact::digest::{Digest, Hasher};

use crate::facts::closure::Closure;
use crate::facts::shipping::{Auditable, Linker};
use crate::fingerprint;
use crate::freshness;
use crate::graph::{self, Graph, Key};
use crate::invocation::{auditable, command, environment, settings};
use crate::linking::choose;
use crate::plan::{Action, Artifact, Item, Lane, Plan, State, Step, StepId, Subject, UNAFFECTED};
use crate::programs::{Entry, Program, missing_features, ship};
use crate::recipe::{Draft, Facts, Inputs};
use crate::results::{self, Parts};
use crate::verdict::Verdict;

/// Seconds that installing a target, or starting a program, may take.
const LIMIT: u64 = 10 * 60;

/// The text of what decides how programs are made.
pub const CODE: &str = concat!(
    include_str!("build.rs"),
    include_str!("../environment.rs"),
    include_str!("../fingerprint.rs"),
    include_str!("../freshness.rs"),
    include_str!("../invocation.rs"),
    include_str!("../linking.rs"),
    include_str!("../plan.rs"),
    include_str!("../programs.rs"),
    include_str!("../recipe.rs"),
    include_str!("../results.rs"),
    include_str!("../facts/closure.rs"),
    include_str!("../facts/configuration/mod.rs"),
    include_str!("../facts/platform.rs"),
    include_str!("../facts/shipping.rs"),
    include_str!("../verdicts/programs.rs"),
);

/// What is known of programs that were built before.
pub trait Memory {
    /// What was built under a key and is in the store.
    fn built(&self, key: &Digest) -> Option<Entry>;
    /// The parts of the key of the last one.
    fn last(&self, step: &StepId, member: &Subject) -> Option<Parts>;
    /// How long a step took when it last ran, in seconds.
    fn seconds(&self, step: &StepId) -> Option<f64>;
}

/// The programs, and their keys.
#[must_use]
pub fn draft<'a>(facts: &Facts<'a>) -> Vec<Draft<'a>> {
    let mut drafts = Vec::new();
    let contents = fingerprint::contents(facts.side);
    for target in &facts.asked.targets {
        for program in &facts.asked.programs {
            let Some(closure) = facts.closures.of(&program.package, target) else { continue };
            let policy = facts.policy.shipping.linkers.get(target);
            let configured = facts.grounds.get(target).and_then(|ground| ground.linker.as_deref());
            let choice = choose(target, policy, configured, closure);
            let mut draft = Draft {
                id: StepId::new(&program.name, Some(target)),
                program,
                target,
                linker: version(facts, &choice.linker),
                choice,
                ship: ship(facts.policy, &program.package),
                outside: Vec::new(),
                skip: skip(facts, program),
                parts: Err(String::new()),
                inputs: Inputs::default(),
            };
            let member = Key::Member(program.package.as_str());
            let kept = facts.closures.kept(closure);
            let closed = graph::reached(&facts.side.graph, member, facts.snapshot.workspace, &kept);
            draft.outside = outside(facts, &closed);
            draft.parts = parts(facts, &draft, closure, &closed);
            draft.inputs = freshness::inputs(facts, &draft, (&closed, &contents));
            drafts.push(draft);
        }
    }
    drafts
}

/// Why a program is left out.
fn skip(facts: &Facts<'_>, program: &Program) -> Option<String> {
    let missing = missing_features(facts.snapshot.workspace, facts.policy, program);
    if !missing.is_empty() {
        return Some(format!("it requires features that are not on: {}", missing.join(", ")));
    }
    let (base, affected) = facts.affected?;
    (!affected.contains(&program.package)).then(|| format!("{UNAFFECTED} {base}"))
}

/// The path dependencies of a program that lie out of the workspace's folder.
fn outside(facts: &Facts<'_>, closed: &Graph<'_>) -> Vec<String> {
    let root = &facts.snapshot.workspace.root;
    let places = closed.keys().filter_map(|node| match node {
        Key::Outside(folder) if folder.below(root).is_none() => Some(folder.to_string()),
        Key::Beyond(path) => Some((*path).to_owned()),
        Key::Member(name) => {
            let member = facts.snapshot.workspace.members().find(|member| member.name.as_str() == *name)?;
            member.folder.below(root).is_none().then(|| member.folder.to_string())
        }
        _ => None,
    });
    places.collect()
}

/// What a linker says of its version.
fn version(facts: &Facts<'_>, linker: &Linker) -> String {
    let said =
        |tool: &str| facts.tools.version(tool).unwrap_or("missing").lines().next().unwrap_or_default().to_owned();
    match linker {
        // It comes with the toolchain, and has no version besides.
        Linker::RustLld => "rust-lld".to_owned(),
        Linker::Zig | Linker::ZigAndRustLld => format!("zig {}, {}", said("zig"), said("cargo-zigbuild")),
        Linker::Program(program) => format!("{program}: {}", said(program)),
    }
}

/// The parts of the build key.
fn parts(facts: &Facts<'_>, draft: &Draft<'_>, closure: &Closure, closed: &Graph<'_>) -> Result<Parts, String> {
    let member = Key::Member(draft.program.package.as_str());
    let ours = closed.keys().find_map(|node| facts.nameless.get(node));
    if let Some(why) = ours {
        return Err(why.clone());
    }
    if facts.overrides {
        return Err("cargo's configuration has folders in place of packages (`paths`)".into());
    }
    let ground = facts.grounds.get(draft.target);
    let words =
        ground.into_iter().flat_map(|ground| ground.c_flags.values().flat_map(|value| value.split_whitespace()));
    let flags = ground.into_iter().flat_map(|ground| ground.flags.iter().map(String::as_str));
    let here = flags.chain(words).find(|flag| is_here_alone(flag));
    if let Some(flag) = here {
        return Err(format!("`{flag}` makes other programs on other machines"));
    }
    let print = fingerprint::build(facts.side, closed, &member).ok_or("it has no fingerprint")?;
    let mut flags = Hasher::new("supercargo flags 1");
    for flag in facts.grounds.get(draft.target).into_iter().flat_map(|ground| &ground.flags) {
        flags.field(flag.as_bytes());
    }
    let environment: BTreeMap<String, String> = settings(facts, draft).into_iter().collect();
    let settings = serde_json::to_string(&environment).unwrap_or_default();
    let inputs: BTreeMap<&str, Digest> = [
        ("fingerprint", print),
        ("linked packages and features", Digest::of(closure.digest.as_bytes())),
        ("flags", flags.finish()),
        ("profile and settings", Digest::of(settings.as_bytes())),
    ]
    .into();
    let command = command(facts, draft, false);
    let tool = format!("{}\n{}", draft.linker, auditable(facts).unwrap_or_default());
    let subject = draft.member();
    Ok(results::parts(facts.conditions, (&draft.id, &subject), (&command.join(" "), &tool), &inputs))
}

/// Whether a flag means the processor of this very machine.
fn is_here_alone(flag: &str) -> bool {
    flag.ends_with("-cpu=native") || ["-march=native", "-mcpu=native", "-mtune=native"].contains(&flag)
}

/// The plan: what is built, what is there, what is left out.
#[must_use]
pub fn plan(facts: &Facts<'_>, drafts: &[Draft<'_>], memory: &dyn Memory, use_cache: bool) -> Plan {
    let mut steps: Vec<Step> = Vec::new();
    for target in &facts.asked.targets {
        let mut own: Vec<Step> = Vec::new();
        for draft in drafts.iter().filter(|draft| draft.target == target) {
            let step = build(facts, draft, memory, use_cache);
            let smoke = facts.asked.smoke.then(|| smoke(facts, draft, &step));
            own.push(step);
            own.extend(smoke);
        }
        let missing = facts.grounds.get(target).is_some_and(|ground| ground.missing);
        if missing && own.iter().any(|step| step.runs() && matches!(step.action, Action::Build { .. })) {
            let library = library(facts, target);
            for step in own.iter_mut().filter(|step| matches!(step.action, Action::Build { .. })) {
                step.needs.push(library.id.clone());
            }
            steps.push(library);
        }
        steps.extend(own);
    }
    let selection =
        facts.asked.programs.iter().flat_map(|program| ["--bin".to_owned(), program.name.clone()]).collect();
    Plan { verb: "build", selection, steps }
}

fn build(facts: &Facts<'_>, draft: &Draft<'_>, memory: &dyn Memory, use_cache: bool) -> Step {
    let (state, artifact) = state(facts, draft, memory, use_cache);
    let key = draft.key().map(|key| key.to_string());
    let action = missing_tool(facts, draft).unwrap_or_else(|| Action::Build {
        command: command(facts, draft, true),
        program: draft.program.name.clone(),
        target: draft.target.to_owned(),
        linker: draft.choice.linker.to_string(),
        because: draft.choice.because.clone(),
        outside: draft.outside.clone(),
        twice: facts.asked.twice,
    });
    Step {
        id: draft.id.clone(),
        lane: Lane::Test,
        action,
        environment: environment(facts, draft),
        warns: false,
        needs: Vec::new(),
        timeout: facts.policy.shipping.timeout * if facts.asked.twice { 2 } else { 1 },
        expected: memory.seconds(&draft.id),
        items: vec![Item { member: draft.member(), key, state, artifact }],
    }
}

fn state(facts: &Facts<'_>, draft: &Draft<'_>, memory: &dyn Memory, use_cache: bool) -> (State, Option<Artifact>) {
    if let Some(why) = &draft.skip {
        return (State::Skipped { why: why.clone() }, None);
    }
    let run = |why: String| (State::Run { why }, None);
    let parts = match &draft.parts {
        Err(why) => return run(format!("nothing is kept of it: {why}")),
        Ok(parts) => parts,
    };
    if facts.asked.twice {
        let (state, _) = run("asked (--verify-reproducible)".into());
        // Both are compared with what is kept, too.
        return (state, memory.built(&results::key(parts)).map(|entry| entry.artifact));
    }
    if !use_cache {
        return run("asked (--no-cache)".into());
    }
    let key = results::key(parts);
    // What lies under the key must say that it is this very program: else it is foreign.
    let own = |entry: &Entry| {
        entry.key == key.to_string() && entry.program == draft.program.name && entry.target == draft.target
    };
    match memory.built(&key).filter(own) {
        Some(entry) => (State::Cached { age: 0, verdict: Verdict::Cached }, Some(entry.artifact)),
        None => run(match memory.last(&draft.id, &draft.member()) {
            None => "it was not built here yet".to_owned(),
            Some(last) => match results::differences(&last, parts) {
                differences if differences.is_empty() => "it is not in the store any more".to_owned(),
                differences => format!("changed since it was last built: {}", differences.join(", ")),
            },
        }),
    }
}

/// What a step does where a tool is missing that it needs.
fn missing_tool(facts: &Facts<'_>, draft: &Draft<'_>) -> Option<Action> {
    let missing = |tool: &str, why: &str, install: &str| {
        let tool = if why.is_empty() { tool.to_owned() } else { format!("{tool} (for {}: {why})", draft.target) };
        Action::Missing { tool, install: install.to_owned(), optional: false }
    };
    let is_missing = |tool: &str| facts.tools.version(tool).is_none();
    let because = draft.choice.because.as_str();
    match &draft.choice.linker {
        Linker::Zig | Linker::ZigAndRustLld if is_missing("zig") => {
            return Some(missing("zig", because, "pip install ziglang && cargo install --locked cargo-zigbuild"));
        }
        Linker::Zig | Linker::ZigAndRustLld if is_missing("cargo-zigbuild") => {
            return Some(missing(
                "cargo-zigbuild",
                because,
                "pip install ziglang && cargo install --locked cargo-zigbuild",
            ));
        }
        Linker::RustLld | Linker::ZigAndRustLld if is_missing("rust-lld") => {
            return Some(missing("rust-lld", because, "use a toolchain of rustup's, which has it"));
        }
        Linker::Program(program) if is_missing(program) => {
            return Some(missing(program, because, &format!("install {program}, or put it on PATH")));
        }
        _ => {}
    }
    let wanted = facts.policy.shipping.auditable == Auditable::Always && is_missing("cargo-auditable");
    wanted.then(|| missing("cargo-auditable", "", "cargo install --locked cargo-auditable"))
}

/// The step that installs the standard library for a target.
fn library(facts: &Facts<'_>, target: &str) -> Step {
    let action = if facts.rustup {
        Action::Program { command: ["rustup", "target", "add", target].map(str::to_owned).to_vec() }
    } else {
        let tool = format!("the standard library for {target}");
        let install = "install rustup, or your distribution's package of it".to_owned();
        Action::Missing { tool, install, optional: false }
    };
    let why = "it is not installed".to_owned();
    Step {
        id: StepId::new("std", Some(target)),
        lane: Lane::Test,
        action,
        environment: BTreeMap::new(),
        warns: false,
        needs: Vec::new(),
        timeout: LIMIT,
        expected: None,
        items: vec![Item { member: None, key: None, state: State::Run { why }, artifact: None }],
    }
}

/// The step that starts a program.
fn smoke(facts: &Facts<'_>, draft: &Draft<'_>, of: &Step) -> Step {
    let emulator = facts.grounds.get(draft.target).and_then(|ground| ground.emulator.clone());
    let skipped = of.items.iter().find_map(|item| match &item.state {
        State::Skipped { why } => Some(why.clone()),
        _ => None,
    });
    let (emulator, none) = match emulator {
        None => (None, None),
        Some(Ok(emulator)) => (Some(emulator), None),
        Some(Err(why)) => (None, Some(why)),
    };
    let state = match skipped.or(none) {
        Some(why) => State::Skipped { why },
        None => State::Run { why: "asked (--smoke)".into() },
    };
    let arguments = draft.ship.smoke.clone().unwrap_or_else(|| facts.policy.shipping.smoke.clone());
    Step {
        id: StepId::smoke(&draft.id),
        lane: Lane::Test,
        action: Action::Smoke { of: draft.id.clone(), arguments, emulator },
        environment: BTreeMap::new(),
        warns: false,
        needs: vec![draft.id.clone()],
        timeout: facts.policy.shipping.timeout.min(LIMIT),
        expected: None,
        items: vec![Item { member: draft.member(), key: None, state, artifact: None }],
    }
}

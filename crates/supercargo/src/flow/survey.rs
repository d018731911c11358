//! What a gate is planned from, read once: the repository, the tools, the environment, and the keys made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use supercargo_artifact::digest::Digest;
use supercargo_plan::affected;
use supercargo_plan::catalog::{self, built_in};
use supercargo_plan::draft::{Asked, Draft, Facts, draft};
use supercargo_plan::facts::checks::{Check, Checks, is_check};
use supercargo_plan::facts::path::RepoPath;
use supercargo_plan::facts::policy;
use supercargo_plan::facts::shared::Shared;
use supercargo_plan::facts::workspace::MemberName;
use supercargo_plan::fingerprint::{self, Side};
use supercargo_plan::graph::key;
use supercargo_plan::plan::{StepId, Subject};
use supercargo_plan::problem::Problem;
use supercargo_plan::results::{self, Conditions, Parts};
use supercargo_plan::verbs::gate::{parse_selection, parse_step};

use super::{head_side, sides};
use crate::cli::Gate as Arguments;
use crate::process;
use crate::read::cache::Cache;
use crate::read::git::on_disk;
use crate::read::place::Place;
use crate::read::request::Request;
use crate::read::toolchain::{self, Toolchain};
use crate::read::{self, World, environment, resolution, unlisted};

/// What is asked, and by whom.
pub struct Asking<'a> {
    /// The command line.
    pub arguments: &'a Arguments,
    /// Where it was typed.
    pub place: &'a Place,
    /// The base, as a revision.
    pub base: Option<String>,
    /// Checks that the pipeline adds.
    pub own: &'a BTreeMap<String, Check>,
}

/// What was found.
pub struct Survey<'a> {
    /// The repository.
    pub world: &'a World,
    /// What the plan is made from.
    pub facts: &'a Facts<'a>,
    /// The later side.
    pub side: &'a Side<'a>,
    /// The steps and their keys.
    pub drafts: &'a [Draft<'a>],
    /// The workspace's root folder.
    pub root: PathBuf,
    /// The toolchain.
    pub toolchain: &'a Toolchain,
    /// The store that several machines share.
    pub shared: Option<&'a Shared>,
}

/// The version of what reads tools' output and runs them: its own text.
const CODE: [&str; 15] = [
    env!("CARGO_PKG_VERSION"),
    include_str!("../execute/mod.rs"),
    include_str!("../execute/running.rs"),
    include_str!("../execute/step.rs"),
    include_str!("../execute/executables.rs"),
    include_str!("../process/mod.rs"),
    include_str!("../process/stream.rs"),
    include_str!("../read/environment.rs"),
    include_str!("../read/resolution.rs"),
    include_str!("../read/toolchain.rs"),
    include_str!("../read/unlisted.rs"),
    include_str!("survey.rs"),
    include_str!("gate.rs"),
    include_str!("memory.rs"),
    supercargo_plan::results::CODE,
];

/// Reads everything, and hands it to `then`. What was touched since `clock` has no name, and so no key.
///
/// # Errors
/// When something a person must mend is in the way.
pub fn survey<R>(
    asking: &Asking<'_>,
    clock: Option<SystemTime>,
    then: impl FnOnce(&Survey<'_>) -> Result<R, Problem>,
) -> Result<R, Problem> {
    let request = Request {
        place: asking.place,
        base: Ok(asking.base.as_deref().unwrap_or("HEAD")),
        head: None,
        target: None,
        or_all: false,
    };
    let mut world = read::world(&request)?;
    clock.into_iter().for_each(|clock| world.forget_touched(clock));
    let world = &world;
    let (mut policy, mut faults) = policy::parse(&world.head.workspace);
    join_own(&mut policy.checks, asking.own)?;
    faults.extend(policy.checks.unknown());
    policy::refuse(&faults, &world.head.workspace)?;
    let secret = policy.shared.as_ref().and_then(|shared| shared.credentials.as_deref());
    secret.into_iter().for_each(process::withhold);
    let snapshot = world.snapshot(&world.head);
    let asked = asked(asking.arguments, &policy.checks, snapshot)?;
    let root = on_disk(world.top(), &world.head.workspace.root);
    let cache = Cache::below(&world.target);
    let (affected, side) = match &asking.base {
        None => (None, head_side(world, &policy)),
        Some(base) => {
            let sides = sides(world, &policy);
            let affected = sides.base.as_ref().map(|base| affected::compare(base, &sides.head));
            let is_affected = |name: &MemberName| {
                let member = world.head.workspace.members().find(|member| member.name == *name);
                member.zip(affected.as_ref()).is_none_or(|(member, affected)| affected.verdict(&key(member)).check)
            };
            let members = world.head.workspace.members().map(|member| member.name.clone());
            let members: BTreeSet<MemberName> = members.filter(is_affected).collect();
            (Some((base.as_str(), members)), sides.head)
        }
    };
    let toolchain = tools(&root, &policy.checks, &cache)?;
    let selection: Option<Vec<MemberName>> = asked.selection.as_ref().map(|asked| asked.keys().cloned().collect());
    let sets = &policy.checks.features;
    let resolved = resolution::read(snapshot, (&root, &toolchain.text), selection.as_deref(), sets, &cache)?;
    let conditions = conditions(world, &root, (&policy.checks, &toolchain, secret), clock)?;
    let facts = Facts {
        snapshot,
        checks: &policy.checks,
        asked: &asked,
        tools: &toolchain.tools,
        conditions: &conditions,
        prints: &fingerprint::digest(&side),
        nameless: &results::nameless(snapshot, &side),
        features: &resolved,
        affected: affected.as_ref().map(|(base, members)| (*base, members)),
    };
    let drafts = draft(&facts);
    let shared = policy.shared.as_ref();
    then(&Survey { world, facts: &facts, side: &side, drafts: &drafts, root, toolchain: &toolchain, shared })
}

/// What every step depends on, besides the repository.
fn conditions(
    world: &World,
    root: &Path,
    (checks, toolchain, secret): (&Checks, &Toolchain, Option<&str>),
    clock: Option<SystemTime>,
) -> Result<Conditions, Problem> {
    let snapshot = world.snapshot(&world.head);
    let mut configuration = environment::configuration(root, clock);
    let wanted = |path: &RepoPath| checks.wants(path, &world.head.workspace.root);
    configuration.extend(unlisted::read(snapshot, (world.top(), &world.target), &wanted, clock)?);
    if snapshot.lock.is_none() {
        configuration.insert("Cargo.lock".into(), unlisted::content(&root.join("Cargo.lock"), clock));
    }
    Ok(Conditions {
        code: Digest::of(CODE.concat().as_bytes()).to_string(),
        toolchain: toolchain.text.clone(),
        environment: environment::read(snapshot, &checks.pass, secret),
        configuration,
    })
}

/// Joins the pipeline's own checks to policy, which has the last word on all but the command.
///
/// # Errors
/// When one has a name or a command that policy would refuse.
fn join_own(checks: &mut Checks, own: &BTreeMap<String, Check>) -> Result<(), Problem> {
    for (name, check) in own {
        let empty = check.command.iter().flatten().next().is_none_or(|program| program.trim().is_empty());
        if empty || !is_check(name) {
            let fault =
                if empty { "has an empty command" } else { "has a name of more than letters, digits, `-` and `_`" };
            return Err(Problem::mend(format!("the pipeline's check `{name}` {fault}"), "$EDITOR xtask/src/main.rs"));
        }
        let joined = checks.checks.entry(name.clone()).or_default();
        joined.command = joined.command.take().or_else(|| check.command.clone());
    }
    Ok(())
}

/// The parts of a list, at commas that stand in no parentheses: `fmt,clippy(a,b)`.
fn listed(names: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_i32);
    for (at, c) in names.char_indices() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if c == ',' && depth == 0 {
            parts.push(&names[start..at]);
            start = at + 1;
        }
    }
    parts.push(&names[start..]);
    parts
}

fn asked(
    arguments: &Arguments,
    checks: &Checks,
    snapshot: supercargo_plan::facts::Snapshot<'_>,
) -> Result<Asked, Problem> {
    let steps = |names: &[String], option: &str| -> Result<Vec<_>, Problem> {
        names.iter().flat_map(|names| listed(names)).map(|name| parse_step(name, option, checks, snapshot)).collect()
    };
    let selection = match arguments.package.as_slice() {
        [] => None,
        specs => Some(parse_selection(specs, snapshot)?),
    };
    let only = steps(&arguments.only, "--only")?;
    for (check, _) in &only {
        let of_members = checks.of(check).command.is_none() && built_in(check).is_some_and(|check| check.of_members);
        if selection.is_some() && !of_members {
            let what = format!("`{check}` is a step of the workspace, and -p leaves those out");
            return Err(Problem::usage(what, format!("cargo xtask gate --workspace-steps --only {check}")));
        }
        if arguments.workspace_steps && of_members {
            let what = format!("`{check}` is a step of members, and --workspace-steps leaves those out");
            return Err(Problem::usage(what, format!("cargo xtask gate --only {check}")));
        }
    }
    let skip = steps(&arguments.skip, "--skip")?;
    Ok(Asked { selection, workspace_steps: arguments.workspace_steps, only, skip })
}

/// The toolchain, and the tools of the checks that are on.
fn tools(root: &Path, checks: &Checks, cache: &Cache) -> Result<Toolchain, Problem> {
    let mut wanted: Vec<&str> = Vec::new();
    let mut own: Vec<String> = Vec::new();
    for name in checks.names().filter(|name| checks.enables(name)) {
        if let Some(command) = checks.of(name).command {
            own.extend(command.first().cloned());
            continue;
        }
        wanted.extend(built_in(name).map(catalog::tools).unwrap_or_default());
    }
    toolchain::read(root, &wanted, &own, cache)
}

/// The parts of every key as they are now.
#[must_use]
pub fn parts(survey: &Survey<'_>) -> BTreeMap<(StepId, Subject), Parts> {
    let entries = survey.drafts.iter().flat_map(|draft| draft.entries.iter().map(move |entry| (&draft.id, entry)));
    entries.filter_map(|(id, entry)| Some(((id.clone(), entry.member.clone()), entry.parts.clone().ok()?))).collect()
}

//! `affected`: whom a change touches, and why.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use supercargo_plan::affected::{self, Affected};
use supercargo_plan::answer::{Answer, Compared, Member};
use supercargo_plan::claims;
use supercargo_plan::facts::policy::{self, Policy};
use supercargo_plan::facts::workspace::MemberName;
use supercargo_plan::fingerprint;
use supercargo_plan::ownership;
use supercargo_plan::problem::{Exit, Problem, nearest};
use supercargo_plan::shards;

use super::{Ended, base, checked_revision, print, sides};
use crate::cli::{Affected as Arguments, Format};
use crate::read::git::Git;
use crate::read::place;
use crate::read::request::Request;
use crate::read::{self, World};
use crate::report::{self, github, json, text};

/// `cargo xtask affected`.
///
/// # Errors
/// When something a person must mend is in the way.
pub fn run(arguments: &Arguments) -> Ended {
    let place = place::find(arguments.manifest_path.as_deref())?;
    let git = Git::new(&place.root);
    let base = if arguments.lint { Ok("HEAD".to_owned()) } else { base(arguments.base.as_deref(), &place, &git) };
    let base = base.and_then(checked_revision);
    let head = arguments.head.clone().map(checked_revision).transpose()?;
    let asked = base.clone().unwrap_or_else(|_| arguments.base.clone().unwrap_or_else(|| "auto".into()));
    let request = Request {
        place: &place,
        base: base.as_deref().map_err(Clone::clone),
        head: head.as_deref(),
        target: arguments.target.as_deref(),
        or_all: arguments.or_all,
    };
    if arguments.plan {
        return plan(&request, &asked, arguments);
    }
    let world = read::world(&request)?;
    let (policy, faults) = policy::parse(&world.head.workspace);
    if arguments.lint {
        return lint(&world, &policy, &faults);
    }
    policy::refuse(&faults, &world.head.workspace)?;
    for note in lock_notes(&world) {
        report::say(&format!("note: {note}\n"));
    }
    let ended = answer(arguments, &world, &policy, asked);
    world.end();
    ended
}

/// Prints what would be read and which rules count.
fn plan(request: &Request<'_>, asked: &str, arguments: &Arguments) -> Ended {
    let calls = read::calls(request)?;
    let world = read::world(&Request { base: Ok("HEAD"), ..*request })?;
    let (policy, faults) = policy::parse(&world.head.workspace);
    policy::refuse(&faults, &world.head.workspace)?;
    let plan =
        text::Plan { base: asked, head: request.head, set: arguments.set.into(), calls: &calls, policy: &policy };
    print(&text::plan(&plan))
}

/// Prints what the policy leaves open.
fn lint(world: &World, policy: &Policy, faults: &[String]) -> Ended {
    let snapshot = world.snapshot(&world.head);
    let ownership = ownership::resolve(snapshot, claims::collect(snapshot, 1, None), policy);
    let unowned = ownership.unowned.iter().map(|id| world.head.tree.path(*id));
    let unowned = unowned.filter(|path| !world.untracked.contains(*path)).map(|path| format!("unowned: {path}"));
    let idle = policy.rules.iter().zip(&ownership.matched).filter(|(_, matched)| !**matched);
    let idle = idle.map(|(rule, _)| format!("matches nothing: {rule}"));
    let found: Vec<String> = unowned.chain(idle).chain(faults.iter().map(|fault| format!("fault: {fault}"))).collect();
    print(&found.iter().map(|line| format!("{line}\n")).collect::<String>())?;
    Ok(if found.is_empty() { Exit::Yes } else { Exit::No })
}

/// What a person should know when there is no lockfile to compare.
fn lock_notes(world: &World) -> Vec<String> {
    let base = world.base.as_ref().ok().map(|base| base.lock.is_some());
    match (base, world.head.lock.is_some()) {
        (Some(false) | None, false) => vec![
            "no Cargo.lock is committed: what the manifests require counts, the versions that it resolves to do not"
                .into(),
        ],
        (Some(true), false) => vec!["Cargo.lock is gone: every package that it named counts as changed".into()],
        (Some(false), true) => vec!["Cargo.lock is new: every package that it names counts as changed".into()],
        _ => Vec::new(),
    }
}

/// Compares, and prints the answer in the form that was asked for.
fn answer(arguments: &Arguments, world: &World, policy: &Policy, asked: String) -> Ended {
    let sides = sides(world, policy);
    let with_prints = arguments.format == Format::Json;
    let affected: Affected<'_> = match (&sides.base, &world.base) {
        (Some(base), _) => affected::compare(base, &sides.head),
        (None, base) => {
            affected::all(&sides.head, &base.as_ref().err().map_or_else(String::new, |problem| problem.what.clone()))
        }
    };
    let commits = world.commits.as_ref().ok();
    let answer = Answer {
        compared: Compared {
            base: asked,
            base_commit: commits.map(|commits| commits.base.to_string()),
            merge_base: commits.map(|commits| commits.merge_base.to_string()),
            head: arguments.head.clone(),
            head_commit: commits.map(|commits| commits.head.to_string()),
            target: arguments.target.clone(),
        },
        set: arguments.set.into(),
        workspace: &world.head.workspace,
        lock: world.head.lock.as_deref(),
        affected,
        prints: [
            sides.base.as_ref().filter(|_| with_prints).map(fingerprint::digest),
            Some(&sides.head).filter(|_| with_prints).map(fingerprint::digest),
        ],
    };
    if let Some(name) = &arguments.why {
        return ask(&answer, name, true);
    }
    if let Some(name) = &arguments.why_not {
        return ask(&answer, name, false);
    }
    let rendered = render(arguments, world, &answer)?;
    report::say(&text::summary(&answer));
    print(&rendered)
}

/// Answers `--why` and `--why-not`.
fn ask(answer: &Answer<'_>, name: &str, why: bool) -> Ended {
    let members = answer.members();
    let Some(member) = members.iter().find(|member| member.package.name.as_str() == name) else {
        let near = nearest(name, members.iter().map(|member| member.package.name.as_str()));
        let mend = near.map_or_else(
            || "cargo metadata --no-deps --format-version 1".to_owned(),
            |near| {
                format!(
                    "cargo xtask affected {} {} {near}",
                    answer.compared.base,
                    if why { "--why" } else { "--why-not" }
                )
            },
        );
        return Err(Problem::usage(format!("there is no member `{name}`"), mend));
    };
    if answer.holds(member) != why {
        report::say(&text::contrary(answer, member, if why { "--why-not" } else { "--why" }));
        return Ok(Exit::No);
    }
    print(&if why { text::why(answer, member) } else { text::why_not(answer, member) })
}

/// The answer in the form that was asked for.
fn render(arguments: &Arguments, world: &World, answer: &Answer<'_>) -> Result<String, Problem> {
    let names: Vec<MemberName> =
        answer.selected().iter().map(|member: &Member<'_>| member.package.name.clone()).collect();
    if arguments.shards.is_some() && !matches!(arguments.format, Format::Github | Format::Matrix) {
        let what = "--shards splits a matrix, and this format has none";
        return Err(Problem::usage(what, "cargo xtask affected --shards 8 --format matrix"));
    }
    Ok(match arguments.format {
        Format::Names => names.iter().map(|name| format!("{name}\n")).collect(),
        Format::Json => json::answer(answer),
        Format::CargoArgs if names.is_empty() => String::new(),
        Format::CargoArgs => format!("{}\n", github::cargo_arguments(answer, &names)),
        Format::Nextest => format!("{}\n", github::nextest_filter(&names)),
        Format::Mermaid => report::graph::mermaid(answer),
        Format::Dot => report::graph::dot(answer),
        Format::Matrix => format!("{}\n", github::matrix(answer, &split(arguments, world, answer, &names)?)),
        Format::Github => {
            let outputs = github::outputs(answer, &names, &split(arguments, world, answer, &names)?);
            github::append_outputs(&outputs)?;
            outputs
        }
    })
}

/// The matrix's shards: as many as asked, else one a member as long as a forge takes them.
fn split(
    arguments: &Arguments,
    world: &World,
    answer: &Answer<'_>,
    names: &[MemberName],
) -> Result<Vec<Vec<MemberName>>, Problem> {
    if arguments.shards.is_none() && names.len() <= shards::MOST {
        return Ok(names.iter().map(|name| vec![name.clone()]).collect());
    }
    let wanted = arguments.shards.map_or(shards::MOST, usize::from);
    let kept = world.target.join("xtask").join("durations.json");
    let seconds = match &arguments.durations {
        Some(path) => durations(path)?,
        None if kept.exists() => durations(&kept)?,
        None => BTreeMap::new(),
    };
    let sizes = answer.workspace.members().map(|member| (member.name.clone(), world.size(&member.folder))).collect();
    Ok(shards::split(names, wanted, &seconds, &sizes))
}

/// Recorded durations: `{"schema": 1, "seconds": {"member": 1.5}}`.
fn durations(path: &Path) -> Result<BTreeMap<MemberName, f64>, Problem> {
    #[derive(Deserialize)]
    struct Durations {
        seconds: BTreeMap<MemberName, f64>,
    }
    let text = std::fs::read(path).map_err(|error| error.to_string());
    let parsed = text.and_then(|text| serde_json::from_slice::<Durations>(&text).map_err(|error| error.to_string()));
    parsed.map(|durations| durations.seconds).map_err(|error| {
        let what = format!("the durations in {} cannot be read: {error}", path.display());
        Problem::mend(what, format!("rm {}", path.display()))
    })
}

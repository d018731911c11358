//! The one path, as code: read facts, decide, carry out, report.

pub mod affected;
mod beat;
pub mod build;
pub mod gate;
mod machinery;
mod memory;
mod merge;
mod programs;
mod settling;
mod survey;

use std::thread;

use supercargo_plan::affected::settle_unowned;
use supercargo_plan::claims::{self, Files};
use supercargo_plan::facts::manifest;
use supercargo_plan::facts::path::RepoPath;
use supercargo_plan::facts::policy::{self, Policy};
use supercargo_plan::fingerprint::{self, Side, Which};
use supercargo_plan::graph::{self, Graph};
use supercargo_plan::ownership;
use supercargo_plan::problem::{Exit, Problem};

use crate::read::git::Git;
use crate::read::place::Place;
use crate::read::states::State;
use crate::read::{self, World};
use crate::report;

/// How a verb ended, or what stopped it.
type Ended = Result<Exit, Problem>;

/// What to compare with: as asked, else policy's, else what CI or the clone says.
fn base(asked: Option<&str>, place: &Place, git: &Git) -> Result<String, Problem> {
    let configured = || {
        let text = std::fs::read(place.root.join("Cargo.toml")).unwrap_or_default();
        let manifest = manifest::parse(&text).unwrap_or_default();
        manifest["workspace"]["metadata"][policy::TABLE]["base"].as_str().map(str::to_owned)
    };
    match asked.map(str::to_owned).or_else(configured) {
        Some(base) if base != "auto" => return Ok(base),
        _ => {}
    }
    git.top()?;
    if let Some(base) = read::ci::base(git)? {
        return Ok(base);
    }
    let found = git.first(&["origin/HEAD", "origin/main", "main"])?;
    found.map(str::to_owned).ok_or_else(|| {
        Problem::mend(
            "there is nothing to compare with: no CI event, no origin/HEAD, no origin/main, no main",
            "git remote set-head origin --auto",
        )
    })
}

/// A revision that is safe to hand to git.
fn checked_revision(revision: String) -> Result<String, Problem> {
    if revision.is_empty()
        || revision.starts_with('-')
        || revision.contains("..")
        || revision.contains(char::is_whitespace)
    {
        let what = format!("`{revision}` is no branch, tag or commit");
        return Err(Problem::usage(what, "cargo xtask affected origin/main"));
    }
    if revision.len() >= 40 && revision.bytes().all(|byte| byte == b'0') {
        return Err(Problem::mend(
            "the base is the all-zero id: before a branch's first push there is nothing to compare with",
            "git fetch origin main && cargo xtask affected origin/main",
        ));
    }
    Ok(revision)
}

/// Both sides of the comparison.
struct Sides<'a> {
    base: Option<Side<'a>>,
    head: Side<'a>,
}

/// The later side alone.
fn head_side<'a>(world: &'a World, policy: &'a Policy) -> Side<'a> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let snapshot = world.snapshot(&world.head);
    let ownership = ownership::resolve(snapshot, claims::collect(snapshot, workers, None), policy);
    fingerprint::collect(snapshot, &ownership, policy, graph::join(snapshot), Which::Head)
}

fn sides<'a>(world: &'a World, policy: &'a Policy) -> Sides<'a> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let head_snapshot = world.snapshot(&world.head);
    let head_claims = claims::collect(head_snapshot, workers, None);
    let base_state = world.base.as_ref().ok();
    let base_claims =
        base_state.map(|state| claims::collect(world.snapshot(state), workers, Some((head_snapshot, &head_claims))));
    let side = |state: &'a State, claims: Vec<Files>, which: Which| -> Side<'a> {
        let snapshot = world.snapshot(state);
        let ownership = ownership::resolve(snapshot, claims, policy);
        fingerprint::collect(snapshot, &ownership, policy, graph::join(snapshot), which)
    };
    let (mut base, mut head) = thread::scope(|scope| {
        let base =
            base_state.zip(base_claims).map(|(state, claims)| scope.spawn(move || side(state, claims, Which::Base)));
        let head = side(&world.head, head_claims, Which::Head);
        (base.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))), head)
    });
    if let Some(kept) = &world.kept {
        let mut none = Graph::new();
        let base_graph = base.as_mut().map_or(&mut none, |base| &mut base.graph);
        graph::narrow(base_graph, &mut head.graph, &world.head.workspace, kept);
    }
    if let Some((state, base)) = base_state.zip(base.as_mut()) {
        let base_snapshot = world.snapshot(state);
        let in_base = |path: &RepoPath| fingerprint::value_at(base_snapshot, path, Which::Base);
        let in_head = |path: &RepoPath| fingerprint::value_at(head_snapshot, path, Which::Head);
        settle_unowned(base, &mut head, &in_base, &in_head);
    }
    Sides { base, head }
}

fn print(text: &str) -> Ended {
    let unprinted = |error: std::io::Error| Problem::mend(format!("stdout does not take the answer: {error}"), "df -h");
    report::data(text).map(|()| Exit::Yes).map_err(unprinted)
}

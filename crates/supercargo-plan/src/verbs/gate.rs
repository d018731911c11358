//! `gate`: the checks of the repository over the members whose fingerprint has not passed them yet.

use std::collections::BTreeMap;

use supercargo_artifact::digest::Digest;

use crate::catalog::{self, CATALOG, built_in, cargo_spec};
use crate::draft::{Draft, Entry, Facts, action, labels};
use crate::facts::Snapshot;
use crate::facts::checks::Checks;
use crate::facts::workspace::{MemberName, Package};
use crate::plan::{Item, Lane, Plan, State, Step, StepId, Subject, TARGET_FOLDER};
use crate::problem::{Problem, nearest};
use crate::results::{self, Kept, Parts};
use crate::verdict::Verdict;

/// Seconds that an answer about advisories is believed, where policy says nothing: new ones come every day.
const ADVISORIES_MAX_AGE: u64 = 24 * 60 * 60;

/// Parses `STEP` and `STEP:MEMBER`, as `--only`, `--skip` and `--why` take them.
///
/// # Errors
/// When there is no such step or member: with the nearest name.
pub fn parse_step(
    text: &str,
    option: &str,
    checks: &Checks,
    snapshot: Snapshot<'_>,
) -> Result<(String, Option<MemberName>), Problem> {
    let (check, member) = text.split_once(':').map_or((text, None), |(check, member)| (check, Some(member)));
    let name = check.split('(').next().unwrap_or_default();
    if !checks.names().any(|known| known == name) {
        let near = nearest(name, checks.names()).unwrap_or("test");
        let all = checks.names().collect::<Vec<_>>().join(", ");
        let what = format!("there is no step `{name}`; there are: {all}");
        return Err(Problem::usage(what, format!("cargo xtask gate {option} {near}")));
    }
    if !checks.enables(name) && option != "--skip" {
        let what = format!("the step `{name}` is not part of this gate: policy has it off, or never switched it on");
        let mend = format!("add `enabled = true` to [workspace.metadata.supercargo.gate.check.{name}] in Cargo.toml");
        return Err(Problem::usage(what, mend));
    }
    let set = check.strip_prefix(name).filter(|set| !set.is_empty());
    let sets = labels(checks);
    if let Some(set) = set.filter(|set| !sets.iter().any(|label| *set == format!("({label})"))) {
        let what = format!("there is no set of features `{set}`; policy has: {}", sets.join(", "));
        return Err(Problem::usage(what, format!("cargo xtask gate {option} {name}")));
    }
    let member = member.map(|member| find(member, &format!("gate {option} {check}:"), snapshot)).transpose()?;
    Ok((check.to_owned(), member.map(|member| member.name.clone())))
}

/// The member of this name or package spec (`name`, `name@version`).
///
/// # Errors
/// When there is none: with the nearest name, after `command`.
pub fn find<'a>(spec: &str, command: &str, snapshot: Snapshot<'a>) -> Result<&'a Package, Problem> {
    let name = spec.split('@').next().unwrap_or_default();
    snapshot.workspace.members().find(|member| member.name.as_str() == name).ok_or_else(|| {
        let near = nearest(name, snapshot.workspace.members().map(|member| member.name.as_str()));
        let mend = near.map_or_else(
            || "cargo metadata --no-deps --format-version 1".to_owned(),
            |near| format!("cargo xtask {command}{near}"),
        );
        Problem::usage(format!("there is no member `{name}` in this workspace"), mend)
    })
}

/// What is known of results and durations.
pub trait Memory {
    /// The result that was kept under a key, and its age in seconds.
    fn kept(&self, key: &Digest) -> Option<(Kept, u64)>;
    /// The parts of the key of the last good result.
    fn last(&self, step: &StepId, member: &Subject) -> Option<Parts>;
    /// How long a step took when it last ran, in seconds.
    fn seconds(&self, step: &StepId) -> Option<f64>;
}

/// The plan: what runs, what is cached, what is left out.
#[must_use]
pub fn plan(facts: &Facts<'_>, drafts: &[Draft<'_>], memory: &dyn Memory, use_cache: bool) -> Plan {
    let mut steps: Vec<(f64, Step)> = drafts
        .iter()
        .map(|draft| {
            let items: Vec<Item> = draft.entries.iter().map(|entry| item(draft, entry, memory, use_cache)).collect();
            let running: Vec<MemberName> =
                items.iter().filter(|item| item.runs()).filter_map(|item| item.member.clone()).collect();
            let check = draft.check.or_else(|| built_in(draft.id.check()));
            let compile = draft.check.is_some_and(|check| check.compiles && check.lane == Lane::Lint);
            let mut environment = BTreeMap::new();
            if draft.check.is_some_and(|check| check.lane == Lane::Lint && (check.compiles || check.of_members)) {
                // Documentation goes where programs go, and waits for who holds that: so it has a place of its own too.
                for name in ["CARGO_BUILD_BUILD_DIR", "CARGO_TARGET_DIR"] {
                    environment.insert(name.to_owned(), format!("{TARGET_FOLDER}/xtask/lint"));
                }
            }
            if compile && facts.tools.denies_warnings() {
                environment.insert("CARGO_BUILD_WARNINGS".to_owned(), "deny".to_owned());
            }
            let expected = memory.seconds(&draft.id);
            let step = Step {
                id: draft.id.clone(),
                lane: check.map_or(Lane::Lint, |check| check.lane),
                action: action(facts, draft, &running),
                environment,
                warns: draft.policy.warns,
                needs: Vec::new(),
                timeout: draft.policy.timeout.or(facts.checks.timeout).unwrap_or_else(|| catalog::limit(draft.check)),
                expected,
                items,
            };
            (expected.unwrap_or_else(|| check.map_or(5.0, |check| check.guess)), step)
        })
        .collect();
    steps.sort_by(|(a, one), (b, other)| a.total_cmp(b).then_with(|| order(one).cmp(&order(other))));
    let selection = facts.asked.selection.iter().flatten();
    let selection = selection.flat_map(|(_, spec)| ["-p".to_owned(), spec.clone()]).collect();
    Plan { verb: "gate", selection, steps: steps.into_iter().map(|(_, step)| step).collect() }
}

/// The catalog's order, then by name.
fn order(step: &Step) -> (usize, &StepId) {
    let at = CATALOG.iter().position(|check| check.name == step.id.check());
    (at.unwrap_or(CATALOG.len()), &step.id)
}

fn item(draft: &Draft<'_>, entry: &Entry, memory: &dyn Memory, use_cache: bool) -> Item {
    let key = entry.key();
    let state = match (&entry.skip, &entry.parts) {
        (Some(why), _) => State::Skipped { why: why.clone() },
        (None, Err(why)) => State::Run { why: format!("no result is kept: {why}") },
        (None, Ok(_)) if !use_cache => State::Run { why: "asked (--no-cache)".into() },
        (None, Ok(parts)) => cached(draft, entry, memory).unwrap_or_else(|| {
            let why = match memory.last(&draft.id, &entry.member) {
                None => "it has not passed here yet".to_owned(),
                Some(last) => match results::differences(&last, parts) {
                    differences if differences.is_empty() => "its last result is too old, or gone".to_owned(),
                    differences => format!("changed since it last passed: {}", differences.join(", ")),
                },
            };
            State::Run { why }
        }),
    };
    Item { member: entry.member.clone(), key: key.map(|key| key.to_string()), state, artifact: None }
}

/// How old a result of a step may be, in seconds.
fn most(draft: &Draft<'_>) -> Option<u64> {
    draft.policy.max_age.or_else(|| (draft.id.check() == "advisories").then_some(ADVISORIES_MAX_AGE))
}

/// The keys of results that a plan asks for, each with how old its result may be, in seconds.
pub fn wanted(drafts: &[Draft<'_>]) -> impl Iterator<Item = (Digest, Option<u64>)> {
    let of = |draft: &Draft<'_>| -> Vec<_> {
        let entries = draft.entries.iter().filter(|entry| entry.skip.is_none());
        entries.filter_map(Entry::key).map(|key| (key, most(draft))).collect()
    };
    drafts.iter().flat_map(of)
}

fn cached(draft: &Draft<'_>, entry: &Entry, memory: &dyn Memory) -> Option<State> {
    let (kept, age) = memory.kept(&entry.key()?)?;
    let most = most(draft);
    // What lies under the key must say that it is of this step and member: else it is foreign.
    let own = kept.step == draft.id && kept.member == entry.member && Digest::parse(&kept.key) == entry.key();
    let verdict = kept.nothing.map_or(Verdict::Cached, Verdict::Skipped);
    (own && most.is_none_or(|most| age <= most)).then_some(State::Cached { age, verdict })
}

/// The members of a selection, each as cargo's `-p` takes it.
///
/// # Errors
/// When there is no such member: with the nearest name.
pub fn parse_selection(specs: &[String], snapshot: Snapshot<'_>) -> Result<BTreeMap<MemberName, String>, Problem> {
    let mut selection = BTreeMap::new();
    for spec in specs {
        let member = find(spec, "gate -p ", snapshot)?;
        selection.insert(member.name.clone(), cargo_spec(snapshot.workspace, snapshot.lock, &member.name));
    }
    Ok(selection)
}

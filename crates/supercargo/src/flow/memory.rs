//! What a gate remembers: results that passed, and how long things took.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use supercargo_artifact::digest::Digest;
use supercargo_plan::facts::workspace::MemberName;
use supercargo_plan::plan::{State, Step, StepId, Subject};
use supercargo_plan::record::Record;
use supercargo_plan::results::{self, Kept, Parts};
use supercargo_plan::verbs::gate::Memory;
use supercargo_plan::verdict::Verdict;
use supercargo_plan::verdicts::Judgement;

use super::survey::{Asking, parts, survey};
use crate::store::Results;

/// What is remembered of steps that ran before.
pub struct Remembered<'a> {
    /// Results.
    pub results: &'a Results,
    /// Durations.
    pub durations: &'a Durations,
}

/// How long things took when they last ran: `{"schema": 1, "seconds": {"member": 1.5}, "steps": {"test": 9.5}}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Durations {
    schema: u32,
    #[serde(default)]
    seconds: BTreeMap<MemberName, f64>,
    #[serde(default)]
    steps: BTreeMap<StepId, f64>,
}

impl Durations {
    /// How long a step took, in seconds.
    #[must_use]
    pub fn of(&self, step: &StepId) -> Option<f64> {
        self.steps.get(step).copied().filter(|seconds| seconds.is_finite())
    }
}

impl Memory for Remembered<'_> {
    fn kept(&self, key: &Digest) -> Option<(Kept, u64)> {
        self.results.kept(key)
    }

    fn last(&self, step: &StepId, member: &Subject) -> Option<Parts> {
        self.results.last(step, member)
    }

    fn seconds(&self, step: &StepId) -> Option<f64> {
        self.durations.of(step)
    }
}

/// Keeps what passed, if nothing that it depends on moved meanwhile; what a person should know of that.
pub fn settle(
    asking: &Asking<'_>,
    results: &Results,
    step: &Step,
    judgement: &Judgement,
    clock: SystemTime,
) -> Vec<String> {
    let mut notes = Vec::new();
    let mut good: Vec<(&Subject, &str, Kept)> = Vec::new();
    for item in &step.items {
        let (Some(verdict), Some(key)) = (judgement.verdicts.get(&item.member), &item.key) else { continue };
        let kept = |nothing: Option<String>| Kept {
            key: key.clone(),
            step: step.id.clone(),
            member: item.member.clone(),
            nothing,
            tests: judgement.tests.get(&item.member).copied(),
        };
        match verdict {
            Verdict::Passed => good.push((&item.member, key, kept(None))),
            Verdict::Skipped(why) if judgement.nothing.contains(&item.member) => {
                good.push((&item.member, key, kept(Some(why.clone()))));
            }
            Verdict::NotRun(_) | Verdict::Interrupted | Verdict::Skipped(_) | Verdict::Cached => {}
            _ => {
                let known = Digest::parse(key).and_then(|key| results.kept(&key));
                if known.is_some_and(|(kept, _)| kept.nothing.is_none()) || matches!(item.state, State::Cached { .. }) {
                    let subject = item.member.as_ref().map_or_else(String::new, |name| format!(":{name}"));
                    notes.push(format!(
                        "{}{subject} was kept as passed and is not now: what was kept is forgotten",
                        step.id
                    ));
                }
                results.forget(key);
            }
        }
    }
    if good.is_empty() {
        return notes;
    }
    let now = survey(asking, Some(clock), |found| Ok(parts(found)));
    let now = now.unwrap_or_else(|problem| {
        notes.push(format!("what passed is not kept, as the repository cannot be read again: {}", problem.what));
        BTreeMap::new()
    });
    let mut moved = 0;
    for (member, key, kept) in good {
        match now.get(&(step.id.clone(), member.clone())) {
            Some(parts) if results::key(parts).to_string() == *key => results.keep(&kept, parts),
            _ => moved += 1,
        }
    }
    if moved > 0 {
        notes.push(format!("{moved} results of {} are not kept: what they depend on changed while it ran", step.id));
    }
    notes
}

/// How long things took, as it was kept.
#[must_use]
pub fn durations(target: &Path) -> Durations {
    let text = std::fs::read(target.join("xtask").join("durations.json")).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Keeps how long things took. Losing it costs an order, nothing else.
pub fn keep_durations(target: &Path, mut durations: Durations, record: &Record) {
    durations.schema = 1;
    let mut news = false;
    for (step, told) in &record.steps {
        // What fails, fails early: how long it took says nothing.
        let ended = record.of(step).all(|o| o.verdict.is_good() || matches!(o.verdict, Verdict::Skipped(_)));
        let ended = ended && record.of(step).any(|o| o.verdict.is_good() && o.verdict != Verdict::Cached);
        if let Some(seconds) = told.seconds.filter(|_| ended) {
            durations.steps.insert(step.clone(), seconds);
            news = true;
        }
    }
    durations.seconds.extend(record.seconds());
    let folder = target.join("xtask");
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".durations").tempfile_in(&folder)?;
        serde_json::to_writer(&mut file, &durations)?;
        file.persist(folder.join("durations.json"))?;
        Ok(())
    };
    if news {
        write().ok();
    }
}

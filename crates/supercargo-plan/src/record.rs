//! What became of a plan: every planned step accounted for, once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::facts::workspace::MemberName;
use crate::plan::{Artifact, Plan, StepId, Subject};
use crate::problem::Exit;
use crate::verdict::{Finding, Verdict};

/// The version of the form.
pub const SCHEMA: u32 = 1;

/// What became of one subject of a step, with all that is to be told of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The step.
    pub step: StepId,
    /// The member; none for the workspace.
    pub member: Subject,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How long ago it passed, in seconds, for one that is cached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<u64>,
    /// How many tests ran, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<usize>,
    /// What was made, or was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
}

/// What became of a whole step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// How long it took, in seconds; none where nothing ran.
    pub seconds: Option<f64>,
    /// What it found.
    pub findings: Vec<Finding>,
    /// What a person should know besides.
    pub notes: Vec<String>,
    /// The end of what it printed, where it failed and nothing was found in it.
    pub tail: String,
}

/// What became of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The version of the form.
    pub schema: u32,
    /// The verb.
    pub verb: String,
    /// The digest of the plan.
    pub plan: String,
    /// What became of each subject, in the plan's order.
    pub outcomes: Vec<Outcome>,
    /// What became of each step.
    pub steps: BTreeMap<StepId, Told>,
    /// Whether a person interrupted it.
    pub interrupted: bool,
}

impl Record {
    /// The outcomes of one step.
    pub fn of(&self, step: &StepId) -> impl Iterator<Item = &Outcome> {
        let step = step.clone();
        self.outcomes.iter().filter(move |outcome| outcome.step == step)
    }

    /// The verdict on a step: that of its worst subject.
    #[must_use]
    pub fn verdict(&self, step: &StepId) -> Option<&Verdict> {
        self.of(step).map(|outcome| &outcome.verdict).max_by_key(|verdict| verdict.rank())
    }

    /// Subjects that were planned and not accounted for, or accounted for twice or without a plan.
    #[must_use]
    pub fn unaccounted(&self, plan: &Plan) -> Vec<String> {
        let shown = |step: &StepId, member: &Subject| match member {
            Some(member) => format!("{step}:{member}"),
            None => step.to_string(),
        };
        let mut counts: BTreeMap<(&StepId, &Subject), i32> = BTreeMap::new();
        for step in &plan.steps {
            for item in &step.items {
                *counts.entry((&step.id, &item.member)).or_default() += 1;
            }
        }
        for outcome in &self.outcomes {
            *counts.entry((&outcome.step, &outcome.member)).or_default() -= 1;
        }
        counts.iter().filter(|(_, n)| **n != 0).map(|((step, member), _)| shown(step, member)).collect()
    }

    /// How the process ends. `explained` says whether a plan without a good step is as it should be.
    #[must_use]
    pub fn exit(&self, plan: &Plan, explained: bool) -> Exit {
        let any = |wanted: fn(&Verdict) -> bool| self.outcomes.iter().any(|outcome| wanted(&outcome.verdict));
        if self.interrupted {
            Exit::Interrupted
        } else if any(|verdict| matches!(verdict, Verdict::Failed(_))) || !self.unaccounted(plan).is_empty() {
            Exit::No
        } else if any(|verdict| matches!(verdict, Verdict::TimedOut(_))) {
            Exit::TimedOut
        } else if any(|verdict| matches!(verdict, Verdict::NotRun(_) | Verdict::Interrupted)) {
            // Nothing failed, and yet something did not run: no verdict is better than a good one.
            Exit::No
        } else if any(Verdict::is_good) || explained {
            Exit::Yes
        } else {
            Exit::Nothing
        }
    }

    /// Seconds that each member took, as far as it is known: a step's time, shared by those it ran for.
    #[must_use]
    pub fn seconds(&self) -> BTreeMap<MemberName, f64> {
        let mut seconds: BTreeMap<MemberName, f64> = BTreeMap::new();
        for (step, told) in &self.steps {
            let ran = |outcome: &&Outcome| outcome.verdict.is_good() && outcome.verdict != Verdict::Cached;
            let members: Vec<&MemberName> = self.of(step).filter(ran).filter_map(|o| o.member.as_ref()).collect();
            for member in &members {
                *seconds.entry((*member).clone()).or_default() += told.seconds.unwrap_or(0.0) / members.len() as f64;
            }
        }
        seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Action, Item, Lane, State, Step};

    fn plan(members: &[&str]) -> Plan {
        let item = |name: &&str| Item {
            member: Some(MemberName::from(*name)),
            key: None,
            artifact: None,
            state: State::Run { why: String::new() },
        };
        let step = Step {
            id: StepId::new("test", None),
            lane: Lane::Test,
            action: Action::Program { command: vec!["true".into()] },
            environment: BTreeMap::new(),
            warns: false,
            needs: Vec::new(),
            timeout: 1,
            expected: None,
            items: members.iter().map(item).collect(),
        };
        Plan { verb: "gate", selection: Vec::new(), steps: vec![step] }
    }

    fn record(outcomes: &[(&str, Verdict)]) -> Record {
        let outcome = |(name, verdict): &(&str, Verdict)| Outcome {
            step: StepId::new("test", None),
            member: Some(MemberName::from(*name)),
            verdict: verdict.clone(),
            age: None,
            tests: None,
            artifact: None,
        };
        Record {
            schema: SCHEMA,
            verb: "gate".into(),
            plan: String::new(),
            outcomes: outcomes.iter().map(outcome).collect(),
            steps: BTreeMap::new(),
            interrupted: false,
        }
    }

    #[test]
    fn exit_codes_follow_the_worst() {
        let why = || "x".to_owned();
        for (verdicts, explained, exit) in [
            (vec![Verdict::Passed, Verdict::Cached], false, Exit::Yes),
            (vec![Verdict::Cached, Verdict::Skipped(why())], false, Exit::Yes),
            (vec![Verdict::Warned(why()), Verdict::Skipped(why())], false, Exit::Yes),
            (vec![Verdict::Passed, Verdict::Failed(why())], false, Exit::No),
            (vec![Verdict::TimedOut(why()), Verdict::Failed(why())], false, Exit::No),
            (vec![Verdict::TimedOut(why()), Verdict::NotRun(why())], false, Exit::TimedOut),
            (vec![Verdict::Passed, Verdict::NotRun(why())], false, Exit::No),
            (vec![Verdict::Skipped(why()), Verdict::Skipped(why())], false, Exit::Nothing),
            (vec![Verdict::Skipped(why()), Verdict::Skipped(why())], true, Exit::Yes),
        ] {
            let outcomes: Vec<(&str, Verdict)> = ["a", "b"].into_iter().zip(verdicts).collect();
            assert_eq!(record(&outcomes).exit(&plan(&["a", "b"]), explained), exit, "{outcomes:?}");
        }
    }

    #[test]
    fn what_is_planned_and_not_accounted_for_is_a_failure() {
        let record = record(&[("a", Verdict::Passed)]);
        assert_eq!(record.unaccounted(&plan(&["a", "b"])), ["test:b"]);
        assert_eq!(record.exit(&plan(&["a", "b"]), false), Exit::No);
        assert_eq!(record.exit(&plan(&["a"]), false), Exit::Yes);
        assert_eq!(record.exit(&plan(&[]), true), Exit::No);
    }
}

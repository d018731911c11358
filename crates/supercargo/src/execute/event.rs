//! What happens while a plan is carried out, as it happens.

use std::collections::BTreeMap;

use serde::Serialize;
use supercargo_plan::plan::{Lane, StepId};
use supercargo_plan::record::{Outcome, Told};
use supercargo_plan::verdict::Verdict;

/// The version of the events' form: raised when a field goes or changes its meaning.
pub const SCHEMA: u32 = 1;

/// Something that happened. The form is cargo's: an object a line, `reason` says which.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum Event {
    /// The run starts.
    RunStarted {
        /// The digest of the plan.
        plan: String,
        /// The steps that run, and for how many subjects.
        steps: BTreeMap<StepId, usize>,
    },
    /// A step starts.
    StepStarted {
        /// The step.
        step: StepId,
        /// Its lane.
        lane: Lane,
        /// How many subjects it runs for.
        subjects: usize,
        /// How long it took last time, in seconds.
        expected: Option<f64>,
    },
    /// A process of a step starts.
    ProcessStarted {
        /// The step.
        step: StepId,
        /// The command, as it would be typed.
        command: String,
    },
    /// A step printed something. Not kept: the log has it.
    #[serde(skip)]
    Printed {
        /// The step.
        step: StepId,
        /// The line.
        line: String,
    },
    /// A step has come to its end.
    StepFinished {
        /// The step.
        step: StepId,
        /// The verdict on its worst subject.
        #[serde(flatten)]
        verdict: Verdict,
        /// How long it took, in seconds; none where nothing ran.
        seconds: Option<f64>,
        /// What became of each subject.
        outcomes: Vec<Outcome>,
        /// What was found.
        #[serde(flatten)]
        told: TheTold,
    },
    /// The run has come to its end.
    RunFinished {
        /// The exit code.
        exit: u8,
        /// How long it took, in seconds.
        seconds: f64,
    },
}

/// What a step found and noted.
#[derive(Clone, Debug, Serialize)]
pub struct TheTold {
    /// Findings.
    pub findings: Vec<supercargo_plan::verdict::Finding>,
    /// Notes.
    pub notes: Vec<String>,
}

impl From<&Told> for TheTold {
    fn from(told: &Told) -> Self {
        Self { findings: told.findings.clone(), notes: told.notes.clone() }
    }
}

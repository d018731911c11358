//! Carries a plan out: two lanes of steps, each step accounted for.

pub mod event;
mod executables;
pub mod freshness;
pub mod hook;
pub mod journal;
pub mod program;
pub mod running;
mod step;
pub mod twins;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Instant, SystemTime};

use supercargo_plan::facts::tools::Ground;
use supercargo_plan::graph::Graph;
use supercargo_plan::plan::{Artifact, Lane, Plan, State, Step, StepId};
use supercargo_plan::record::{Outcome, Record, SCHEMA, Told};
use supercargo_plan::verdict::Verdict;
use supercargo_plan::verdicts::{Case, Judgement};

use crate::process::{Jobs, interrupted};
use event::Event;
use journal::Journal;
use program::Workshop;
use running::{Places, Running};

/// A plan, and what carrying it out needs.
pub struct Work<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Where paths start.
    pub ground: Ground<'a>,
    /// Who depends on whom.
    pub graph: &'a Graph<'a>,
    /// The workspace's root folder.
    pub root: &'a Path,
    /// What stands for folders of this machine.
    pub places: &'a Places,
    /// What making programs needs besides; none where none are made.
    pub workshop: Option<&'a Workshop<'a>>,
    /// The folder of the run.
    pub folder: &'a Path,
    /// The folder of the run, to be written to.
    pub journal: &'a Journal,
    /// The program that is called cargo.
    pub cargo: OsString,
    /// The toolchain's folder of libraries.
    pub libraries: Option<String>,
    /// What children get of the environment.
    pub variables: Vec<(OsString, OsString)>,
    /// How many lanes run side by side: one or two.
    pub lanes: usize,
    /// How many jobs run side by side, over all lanes.
    pub jobs: usize,
    /// Whether the rest goes on when a step fails.
    pub keep_going: bool,
    /// Keeps the results of a step that started then; what a person should know of that.
    pub settle: &'a (dyn Fn(&Step, &Judgement, SystemTime) -> Vec<String> + Sync),
    /// Tells what happens.
    pub emit: &'a (dyn Fn(&Event) + Sync),
}

/// What the lanes share.
struct Shared<'a> {
    work: &'a Work<'a>,
    /// The step whose failure ends the rest.
    failed: OnceLock<StepId>,
    /// Lanes that have something to do.
    active: AtomicUsize,
    jobs: Option<Jobs>,
    done: Mutex<BTreeMap<StepId, (Vec<Outcome>, Told)>>,
}

/// Carries the plan out.
#[must_use]
pub fn execute(work: &Work<'_>) -> Record {
    let plan = work.plan;
    let lane = |lane: Lane| plan.steps.iter().filter(|step| step.lane == lane && step.runs()).collect::<Vec<&Step>>();
    let mut lanes = vec![lane(Lane::Lint), lane(Lane::Test)];
    lanes.retain(|steps| !steps.is_empty());
    if work.lanes < 2 || work.jobs < 2 {
        lanes = vec![plan.steps.iter().filter(|step| step.runs()).collect()];
    }
    let shared = Shared {
        work,
        failed: OnceLock::new(),
        active: AtomicUsize::new(lanes.len()),
        // Each lane's compiler has one job of its own.
        jobs: Jobs::new(work.jobs.saturating_sub(lanes.len())).ok(),
        done: Mutex::default(),
    };
    let steps = plan.steps.iter().filter(|step| step.runs()).map(|step| (step.id.clone(), step.running().len()));
    (work.emit)(&Event::RunStarted { plan: plan.digest().to_string(), steps: steps.collect() });
    for step in plan.steps.iter().filter(|step| !step.runs()) {
        shared.account(step, &Judgement::default(), None, Vec::new());
    }
    thread::scope(|scope| {
        for steps in &lanes {
            let shared = &shared;
            scope.spawn(move || {
                steps.iter().for_each(|step| shared.step(step));
                shared.active.fetch_sub(1, Ordering::AcqRel);
                // The job of a lane that is done goes to the other.
                shared.jobs.iter().for_each(Jobs::share_one);
            });
        }
    });
    let mut done = shared.done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut record = Record {
        schema: SCHEMA,
        verb: plan.verb.to_owned(),
        plan: plan.digest().to_string(),
        outcomes: Vec::new(),
        steps: BTreeMap::new(),
        interrupted: interrupted(),
    };
    for step in &plan.steps {
        if let Some((outcomes, told)) = done.remove(&step.id) {
            record.outcomes.extend(outcomes);
            record.steps.insert(step.id.clone(), told);
        }
    }
    record
}

impl Shared<'_> {
    /// The verdict on what does not run any more, when that is so.
    fn halted(&self) -> Option<Verdict> {
        if interrupted() {
            return Some(Verdict::Interrupted);
        }
        self.failed.get().map(|step| Verdict::NotRun(format!("{step} failed")))
    }

    /// How many tests run side by side: all jobs, but for one that the other lane has, unless that lane ends long before.
    fn threads(&self, step: &Step) -> usize {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let others = self.work.plan.steps.iter().filter(|other| other.lane != step.lane && other.runs());
        let remaining = others.filter(|other| !done.contains_key(&other.id)).map(|other| other.expected);
        // What is not known takes long.
        let remaining: f64 = remaining.map(|seconds| seconds.unwrap_or(f64::INFINITY)).sum();
        let overlaps = self.active.load(Ordering::Acquire) > 1 && 2.0 * remaining > step.expected.unwrap_or(0.0);
        self.work.jobs.saturating_sub(usize::from(overlaps)).max(1)
    }

    /// The first step that this one needs and that did not come to a good end.
    fn unmet(&self, step: &Step) -> Option<StepId> {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let good = |id: &&StepId| {
            done.get(*id).is_some_and(|(outcomes, _)| outcomes.iter().all(|outcome| outcome.verdict.is_good()))
        };
        step.needs.iter().find(|id| !good(id)).cloned()
    }

    /// What a step made, or found.
    pub fn artifact(&self, step: &StepId) -> Option<Artifact> {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.get(step)?.0.iter().find_map(|outcome| outcome.artifact.clone())
    }

    fn step(&self, step: &Step) {
        let running: Vec<_> = step.running().into_iter().cloned().collect();
        let case = Case { running: &running, ground: self.work.ground, graph: self.work.graph };
        if let Some(verdict) = self.halted() {
            let verdict = if verdict == Verdict::Interrupted { Verdict::NotRun("interrupted".into()) } else { verdict };
            self.account(step, &case.all(&verdict), None, Vec::new());
            return;
        }
        if let Some(needed) = self.unmet(step) {
            self.account(step, &case.all(&Verdict::NotRun(format!("{needed} did not pass"))), None, Vec::new());
            return;
        }
        (self.work.emit)(&Event::StepStarted {
            step: step.id.clone(),
            lane: step.lane,
            subjects: running.len(),
            expected: step.expected,
        });
        let (started, clock) = (Instant::now(), SystemTime::now());
        let halt = || self.halted();
        let running = Running {
            work: self.work,
            step,
            case,
            jobs: self.jobs.as_ref(),
            made: &|step| self.artifact(step),
            threads: &|| self.threads(step),
            halt: &halt,
            log: RefCell::new(self.work.journal.log(&step.id)),
            started,
        };
        let mut judgement = running.execute();
        let seconds = started.elapsed().as_secs_f64();
        if step.warns && !judgement.unjudged {
            for verdict in judgement.verdicts.values_mut() {
                if let Verdict::Failed(why) = verdict {
                    *verdict = Verdict::Warned(why.clone());
                }
            }
        }
        let notes = (self.work.settle)(step, &judgement, clock);
        self.account(step, &judgement, Some(seconds), notes);
        if !self.work.keep_going && judgement.verdicts.values().any(Verdict::is_bad) {
            // The first one is the cause.
            self.failed.set(step.id.clone()).ok();
        }
    }

    /// Accounts for every subject of a step.
    fn account(&self, step: &Step, judgement: &Judgement, seconds: Option<f64>, notes: Vec<String>) {
        let outcomes: Vec<Outcome> = step
            .items
            .iter()
            .filter_map(|item| {
                let judged = judgement.verdicts.get(&item.member);
                let (verdict, age) = match &item.state {
                    State::Run { .. } => (judged?.clone(), None),
                    State::Skipped { why } => (Verdict::Skipped(why.clone()), None),
                    State::Cached { age, verdict } => match judged.filter(|judged| judged.is_bad()) {
                        Some(bad) => (bad.clone(), None),
                        None => (verdict.clone(), Some(*age)),
                    },
                };
                let tests = judgement.tests.get(&item.member).copied();
                let there = item.artifact.clone().filter(|_| matches!(item.state, State::Cached { .. }));
                let artifact = judgement.artifacts.get(&item.member).cloned().or(there);
                Some(Outcome { step: step.id.clone(), member: item.member.clone(), verdict, age, tests, artifact })
            })
            .collect();
        let told = Told {
            seconds,
            findings: judgement.findings.clone(),
            notes: judgement.notes.iter().cloned().chain(notes).collect(),
            tail: judgement.tail.clone(),
        };
        let ran = |outcome: &&Outcome| seconds.is_none() || outcome.age.is_none();
        let worst = outcomes.iter().filter(ran).map(|outcome| &outcome.verdict).max_by_key(|verdict| verdict.rank());
        let worst = worst.cloned();
        let verdict = worst.unwrap_or(Verdict::Skipped("nobody to run for".into()));
        (self.work.emit)(&Event::StepFinished {
            step: step.id.clone(),
            verdict,
            seconds,
            outcomes: outcomes.clone(),
            told: (&told).into(),
        });
        self.done.lock().unwrap_or_else(PoisonError::into_inner).insert(step.id.clone(), (outcomes, told));
    }
}

//! What a run leaves for other readers: a summary in Markdown, JUnit XML, and a trace for a viewer of Chrome traces.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::{Value, json};
use supercargo_plan::facts::workspace::MemberName;
use supercargo_plan::plan::{Lane, Plan, StepId};
use supercargo_plan::record::Record;
use supercargo_plan::verdict::{Finding, Verdict};

use super::{failures, rerun};
use crate::execute::event::Event;
use crate::report::words::time;

/// Most bytes of a summary: a forge refuses one of 1 MiB.
const LONGEST_SUMMARY: usize = 1000 * 1024;

/// The summary: the table, and what went wrong.
#[must_use]
pub fn summary(plan: &Plan, record: &Record, conclusion: &str, logs: &str) -> String {
    let mut text = format!("# {conclusion}\n\n");
    text.push_str("| step | verdict | members | time | cached |\n|---|---|---|---|---|\n");
    for step in &plan.steps {
        let Some(verdict) = record.verdict(&step.id) else { continue };
        let outcomes: Vec<_> = record.of(&step.id).collect();
        let members = super::members(&outcomes);
        let cached = outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Cached).count();
        let seconds = record.steps.get(&step.id).and_then(|told| told.seconds).map_or_else(|| "-".to_owned(), time);
        let verdict = verdict.to_string().replace('|', "\\|").replace('\n', " ");
        let _written = writeln!(text, "| {} | {verdict} | {members} | {seconds} | {cached} |", step.id);
    }
    let wrong = failures(plan, record, logs, &|outcome| rerun(plan, outcome));
    if !wrong.is_empty() {
        // A fence longer than any in the text: what tools print cannot end it.
        let longest = wrong.split(|c| c != '`').map(str::len).max().unwrap_or(0);
        let fence = "`".repeat(longest.max(2) + 1);
        let room = LONGEST_SUMMARY.saturating_sub(text.len());
        let cut = &wrong[..wrong.floor_char_boundary(room)];
        let more = if cut.len() < wrong.len() {
            format!("\n.. {} bytes more, in the logs", wrong.len() - cut.len())
        } else {
            String::new()
        };
        let _written = write!(text, "\n{fence}text\n{}{more}\n{fence}\n", cut.trim_matches('\n'));
    }
    text
}

/// JUnit XML: a suite a step, a case a subject.
#[must_use]
pub fn junit(plan: &Plan, record: &Record) -> String {
    let mut report = Report::new("cargo xtask gate");
    for step in &plan.steps {
        let mut suite = TestSuite::new(step.id.as_str());
        let told = record.steps.get(&step.id);
        for outcome in record.of(&step.id) {
            let status = match &outcome.verdict {
                Verdict::Passed | Verdict::Cached | Verdict::Flaky(_) | Verdict::Warned(_) => TestCaseStatus::success(),
                Verdict::Skipped(why) => {
                    let mut status = TestCaseStatus::skipped();
                    status.set_message(why.as_str());
                    status
                }
                bad => {
                    let kind =
                        if matches!(bad, Verdict::Failed(_)) { NonSuccessKind::Failure } else { NonSuccessKind::Error };
                    let mut status = TestCaseStatus::non_success(kind);
                    status.set_message(bad.to_string()).set_type(bad.word());
                    let findings = told.iter().flat_map(|told| &told.findings);
                    let own = findings.filter(|finding| {
                        bad.is_bad() && (outcome.member.is_none() || finding.member == outcome.member)
                    });
                    let text: String = own.take(20).map(finding).collect();
                    status.set_description(text);
                    status
                }
            };
            let name = outcome.member.as_ref().map_or_else(|| step.id.to_string(), ToString::to_string);
            let mut case = TestCase::new(name, status);
            case.set_classname(step.id.as_str());
            suite.add_test_case(case);
        }
        if let Some(seconds) = told.and_then(|told| told.seconds) {
            suite.set_time(Duration::from_secs_f64(seconds));
        }
        report.add_test_suite(suite);
    }
    report.to_string().unwrap_or_default()
}

fn finding(finding: &Finding) -> String {
    let file = finding.file.as_deref().unwrap_or_default();
    let line = finding.line.map_or_else(String::new, |line| format!(":{line}"));
    format!("{file}{line}: {}\n{}\n", finding.message, finding.text)
}

/// When a step started and ended, in seconds since the run did.
pub type Times = BTreeMap<StepId, (f64, f64)>;

/// Notes when a step starts and ends, `at` seconds into the run.
pub fn note_time(times: &Mutex<Times>, event: &Event, at: f64) {
    let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
    match event {
        Event::StepStarted { step, .. } => times.extend([(step.clone(), (at, at))]),
        Event::StepFinished { step, .. } => times.get_mut(step).into_iter().for_each(|time| time.1 = at),
        _ => {}
    }
}

/// A trace: a row a lane, a bar a step.
///
/// <https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>
#[must_use]
pub fn trace(plan: &Plan, record: &Record, times: &Times) -> String {
    let micros = |seconds: f64| (seconds * 1e6).round();
    let row = |lane: Lane| if lane == Lane::Lint { 1 } else { 2 };
    let names = [Lane::Lint, Lane::Test].map(|lane| {
        let name = format!("{lane:?} lane").to_lowercase();
        json!({ "name": "thread_name", "ph": "M", "pid": 1, "tid": row(lane), "args": { "name": name } })
    });
    let steps = plan.steps.iter().filter_map(|step| {
        let (start, end) = times.get(&step.id)?;
        let verdict = record.verdict(&step.id).map(ToString::to_string);
        let members: Vec<&MemberName> = step.running().into_iter().flatten().collect();
        Some(json!({
            "name": step.id, "cat": "step", "ph": "X", "pid": 1, "tid": row(step.lane),
            "ts": micros(*start), "dur": micros(end - start),
            "args": { "verdict": verdict, "members": members },
        }))
    });
    let events: Vec<Value> = names.into_iter().chain(steps).collect();
    format!("{}\n", json!({ "displayTimeUnit": "ms", "traceEvents": events }))
}

/// The record as one line of JSON, with the table's facts in order.
#[must_use]
pub fn record(record: &Record) -> String {
    serde_json::to_string(record).map(|text| format!("{text}\n")).unwrap_or_default()
}

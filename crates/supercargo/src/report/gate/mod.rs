//! `gate` for people: the plan, why a step runs, and what became of it all.

pub mod files;
pub mod github;

use std::fmt::Write as _;

use supercargo_plan::facts::workspace::MemberName;
use supercargo_plan::plan::{ASKED, Action, Plan, State, Step};
use supercargo_plan::record::{Outcome, Record};
use supercargo_plan::verdict::{Finding, Verdict};

use super::words::{ago, indented, names, shell, time};

/// Most findings of a step that the last screen holds.
const MOST_FINDINGS: usize = 5;

/// Most lines of one finding's text that the last screen holds.
const MOST_LINES: usize = 14;

/// The plan: every step, whom it is about, what it runs, and why.
#[must_use]
pub fn plan(plan: &Plan, setting: &str) -> String {
    let mut text = format!("{setting}\n");
    for step in &plan.steps {
        let running = step.running().len();
        let cost =
            step.expected.map_or_else(|| "not yet known".to_owned(), |seconds| format!("about {}", time(seconds)));
        let lane = format!("{:?} lane", step.lane).to_lowercase();
        let cost = if running > 0 { format!("; {cost}") } else { String::new() };
        let _written = writeln!(text, "\n{} ({lane}{cost})", step.id);
        for (name, value) in step.environment.iter().filter(|_| running > 0) {
            let _written = writeln!(text, "  with {name}={value}");
        }
        for command in step.action.commands().into_iter().filter(|_| running > 0) {
            let _written = writeln!(text, "  $ {}", shell(command));
        }
        if let Action::Missing { tool, install, .. } = &step.action {
            let _written = writeln!(text, "  {tool} is not installed: {install}");
        }
        if let (Action::Tests { .. }, true) = (&step.action, running > 0) {
            text.push_str("  then each executable that cargo names, in its package's folder\n");
        }
        for (state, members) in grouped(step) {
            let _written = match members.as_slice() {
                [""] => writeln!(text, "  {state}"),
                members => writeln!(text, "  {state}: {}", names(members, 12)),
            };
        }
    }
    text
}

/// The items of a step, by what is to be done and why.
fn grouped(step: &Step) -> Vec<(String, Vec<&str>)> {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for item in &step.items {
        let state = match &item.state {
            State::Run { why } => format!("runs: {why}"),
            State::Cached { age, verdict: Verdict::Cached } => format!("cached, {}", ago(*age)),
            State::Cached { age, verdict } => format!("{verdict}, cached, {}", ago(*age)),
            State::Skipped { why } => format!("skipped({why})"),
        };
        let member = item.member.as_ref().map_or("", MemberName::as_str);
        match groups.iter_mut().find(|(known, _)| *known == state) {
            Some((_, members)) => members.push(member),
            None => groups.push((state, vec![member])),
        }
    }
    groups
}

/// Why a step runs, or does not, for one member or all.
#[must_use]
pub fn why(plan: &Plan, check: &str, member: Option<&MemberName>) -> String {
    let mut text = String::new();
    for step in plan.steps.iter().filter(|step| step.id.as_str() == check || step.id.check() == check) {
        for item in step.items.iter().filter(|item| member.is_none() || item.member.as_ref() == member) {
            let subject =
                item.member.as_ref().map_or_else(|| step.id.to_string(), |name| format!("{}:{name}", step.id));
            let state = match &item.state {
                State::Run { why } => format!("runs: {why}"),
                State::Cached { age, verdict } => format!("is {verdict}: it came to this {}", ago(*age)),
                State::Skipped { why } => format!("is skipped({why})"),
            };
            let _written = writeln!(text, "{subject} {state}");
            if let Some(key) = item.key.as_ref().filter(|_| member.is_some() || plan.steps.len() == 1) {
                let _written = writeln!(text, "  key {key}");
            }
            let changed = matches!(&item.state, State::Run { why } if why.contains("fingerprint"));
            if let (true, Some(name)) = (changed, &item.member) {
                let _written = writeln!(
                    text,
                    "  which files, since the commit where it passed: cargo xtask affected COMMIT --why {name}"
                );
            }
        }
    }
    text
}

/// For how many members there was something to do, or to keep; `-` for a step of the workspace.
fn members(outcomes: &[&Outcome]) -> String {
    if outcomes.iter().all(|outcome| outcome.member.is_none()) {
        return "-".to_owned();
    }
    outcomes.iter().filter(|outcome| !matches!(outcome.verdict, Verdict::Skipped(_))).count().to_string()
}

/// The last table: step, members, verdict, time, cached.
#[must_use]
pub fn table(plan: &Plan, record: &Record, paint: &dyn Fn(&Verdict, &str) -> String) -> String {
    let mut rows: Vec<([String; 4], String, Verdict)> = Vec::new();
    for step in &plan.steps {
        let Some(verdict) = record.verdict(&step.id) else { continue };
        let outcomes: Vec<&Outcome> = record.of(&step.id).collect();
        // Who asked for the rest knows.
        if outcomes.iter().all(|outcome| outcome.verdict == Verdict::Skipped(ASKED.into())) {
            continue;
        }
        let members = members(&outcomes);
        let seconds = record.steps.get(&step.id).and_then(|told| told.seconds);
        let ages: Vec<u64> = outcomes.iter().filter(|o| o.verdict == Verdict::Cached).filter_map(|o| o.age).collect();
        let cached = match ages.iter().max() {
            None => "-".to_owned(),
            Some(age) => format!("{} ({})", ages.len(), ago(*age)),
        };
        let tests: usize = outcomes.iter().filter_map(|outcome| outcome.tests).sum();
        let shown = verdict_of(&outcomes, verdict);
        let shown = if tests > 0 { format!("{shown}, {tests} tests") } else { shown };
        let time = seconds.map_or_else(|| "-".to_owned(), time);
        rows.push(([step.id.to_string(), members, time, cached], shown, verdict.clone()));
    }
    let head = ["step", "members", "time", "cached"].map(str::to_owned);
    let widths: Vec<usize> =
        (0..4).map(|n| rows.iter().map(|(row, ..)| row[n].len()).chain([head[n].len()]).max().unwrap_or(0)).collect();
    let line = |row: &[String; 4], verdict: &str| {
        let [step, members, time, cached] = row;
        let (a, b, c, d) = (widths[0], widths[1], widths[2], widths[3]);
        format!("  {step:<a$}  {members:>b$}  {time:>c$}  {cached:>d$}  {verdict}\n")
    };
    let mut text = line(&head, "verdict");
    for (row, shown, verdict) in rows {
        text.push_str(&line(&row, &paint(&verdict, &shown)));
    }
    text
}

/// A step's verdict in a word, with how many of its members it is about.
fn verdict_of(outcomes: &[&Outcome], worst: &Verdict) -> String {
    let like = outcomes.iter().filter(|outcome| outcome.verdict.word() == worst.word()).count();
    let same = outcomes.iter().filter(|o| o.verdict.word() == worst.word()).all(|outcome| outcome.verdict == *worst);
    let shown = if same { worst.to_string() } else { worst.word().to_owned() };
    match worst {
        Verdict::Passed | Verdict::Cached | Verdict::Skipped(_) => shown,
        _ if outcomes.len() == 1 => shown,
        _ => format!("{shown}, {like} of {}", outcomes.len()),
    }
}

/// The command that runs again just what went wrong.
#[must_use]
pub fn rerun(plan: &Plan, outcome: &Outcome) -> String {
    let member = outcome.member.as_ref().map_or_else(String::new, |name| format!(":{name}"));
    let words = ["cargo", "xtask", "gate"].map(str::to_owned).into_iter().chain(plan.selection.iter().cloned());
    let step = shell(&[outcome.step.to_string()]);
    format!("{} --only {step}{member}", shell(&words.collect::<Vec<_>>()))
}

/// What went wrong, so that it can be mended: check, member, file and line, and the command that runs just that.
#[must_use]
pub fn failures(plan: &Plan, record: &Record, logs: &str, rerun: &dyn Fn(&Outcome) -> String) -> String {
    let mut text = String::new();
    let steps = plan.steps.iter().filter_map(|step| Some((&step.id, record.steps.get(&step.id)?)));
    for (step, told) in steps {
        let counts = |verdict: &Verdict| match verdict {
            Verdict::Warned(_) => true,
            // Of a member that waits for one which is not asked for, this is all that there is to tell.
            Verdict::NotRun(_) => !told.findings.is_empty() || !told.tail.is_empty(),
            verdict => verdict.is_bad(),
        };
        let any_bad = record.of(step).any(|outcome| outcome.verdict.is_bad());
        let bad: Vec<&Outcome> = record
            .of(step)
            .filter(|o| counts(&o.verdict) && (!any_bad || !matches!(o.verdict, Verdict::NotRun(_))))
            .collect();
        let Some(first) = bad.first() else { continue };
        let own = |outcome: &Outcome| -> Vec<&Finding> {
            told.findings.iter().filter(|f| outcome.member.is_none() || f.member == outcome.member).collect()
        };
        // What says no more of one member than of the others is said once.
        let (named, alike): (Vec<&Outcome>, Vec<&Outcome>) =
            bad.iter().partition(|outcome| outcome.member.is_none() || !own(outcome).is_empty());
        for outcome in &named {
            let member = outcome.member.as_ref().map_or_else(String::new, |name| format!(":{name}"));
            let _written = writeln!(text, "\n{step}{member} {}", outcome.verdict);
            findings(&mut text, &own(outcome));
            let _written = writeln!(text, "  rerun: {}", rerun(outcome));
        }
        let mut tail = told.tail.clone();
        let others = told.findings.iter().filter(|f| !named.iter().any(|o| o.member.is_none() || f.member == o.member));
        let others: Vec<&Finding> = others.collect();
        let mut verdicts: Vec<&Verdict> = alike.iter().map(|outcome| &outcome.verdict).collect();
        verdicts.dedup();
        for verdict in verdicts {
            let same: Vec<&&Outcome> = alike.iter().filter(|outcome| outcome.verdict == *verdict).collect();
            let members: Vec<&str> = same.iter().filter_map(|o| o.member.as_ref()).map(MemberName::as_str).collect();
            let _written = writeln!(text, "\n{step}:{} {verdict}", names(&members, 12));
            findings(&mut text, &others);
            text.push_str(&indented(&std::mem::take(&mut tail), MOST_LINES));
            let again = if let [one] = same.as_slice() {
                rerun(one)
            } else {
                rerun(&Outcome { member: None, ..(*first).clone() })
            };
            let _written = writeln!(text, "  rerun: {again}");
        }
        text.push_str(&indented(&tail, MOST_LINES));
        for outcome in record.of(step).filter(|o| any_bad && matches!(o.verdict, Verdict::NotRun(_))).take(12) {
            let member = outcome.member.as_ref().map_or_else(String::new, ToString::to_string);
            let _written = writeln!(text, "  {member} {}", outcome.verdict);
        }
        if first.step.check() == "fmt" {
            text.push_str("  mend:  cargo fmt --all\n");
        }
        let _written = writeln!(text, "  log:   {logs}/{}", step.log());
    }
    text
}

fn findings(text: &mut String, findings: &[&Finding]) {
    for finding in findings.iter().take(MOST_FINDINGS) {
        let place = match (&finding.file, finding.line) {
            (Some(file), Some(line)) => format!("{file}:{line}: "),
            (Some(file), None) => format!("{file}: "),
            _ => String::new(),
        };
        let _written = writeln!(text, "  {place}{}", finding.message);
        if finding.text.lines().count() > 1 {
            text.push_str(&indented(&finding.text, MOST_LINES));
        }
    }
    if findings.len() > MOST_FINDINGS {
        let _written = writeln!(text, "  and {} more, in the log", findings.len() - MOST_FINDINGS);
    }
}

/// One line: the verdict on it all.
#[must_use]
pub fn conclusion(record: &Record, plan: &Plan, seconds: f64, explained: Option<&str>) -> (bool, String) {
    let count = |word: &str| record.outcomes.iter().filter(|outcome| outcome.verdict.word() == word).count();
    let counts: Vec<String> =
        ["passed", "cached", "flaky", "warned", "skipped", "failed", "timed-out", "interrupted", "not-run"]
            .iter()
            .map(|word| (count(word), word))
            .filter(|(n, _)| *n > 0)
            .map(|(n, word)| format!("{n} {word}"))
            .collect();
    let unaccounted = record.unaccounted(plan);
    let good = record.exit(plan, explained.is_some()) == supercargo_plan::problem::Exit::Yes;
    let mut text = format!("{} in {}", counts.join(", "), time(seconds));
    if let Some(explained) = explained {
        let _written = write!(text, "; {explained}");
    }
    if !unaccounted.is_empty() {
        let all: Vec<&str> = unaccounted.iter().map(String::as_str).collect();
        let _written = write!(text, "; planned and not accounted for: {}", names(&all, 12));
    }
    if !good && !record.outcomes.iter().any(|o| o.verdict.is_good() || o.verdict.is_bad()) && !record.interrupted {
        text.push_str("; no step passed or was cached, so there is no verdict");
    }
    (good, text)
}

/// The key of every result.
#[must_use]
pub fn keys(plan: &Plan) -> String {
    let items = plan.steps.iter().flat_map(|step| step.items.iter().map(move |item| (step, item)));
    let keys = items.filter_map(|(step, item)| {
        let member = item.member.as_ref().map_or_else(String::new, |name| format!(":{name}"));
        Some(format!("  key {}{member} {}\n", step.id, item.key.as_ref()?))
    });
    keys.collect()
}

//! `build` for people and for CI: the plan, the programs, and what became of them.

use std::fmt::Write as _;

use supercargo_plan::built::{Built, Made};
use supercargo_plan::plan::{Action, Plan, State, Step};
use supercargo_plan::recipe::Asked;
use supercargo_plan::record::Outcome;
use supercargo_plan::verdict::Verdict;

use super::words::{shell, size, time};

/// The plan: every program, what links it and why, what it runs, and whether it is there.
#[must_use]
pub fn plan(plan: &Plan, asked: &Asked) -> String {
    let programs = plan.steps.iter().filter(|step| is_build(step)).count();
    let plural = |n: usize, word: &str| if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") };
    let mut text =
        format!("{} for {}, {}\n", plural(programs, "program"), asked.targets.join(", "), plural(asked.jobs, "job"));
    for step in &plan.steps {
        let _written = writeln!(text, "\n{}", step.id);
        match &step.action {
            Action::Build { linker, because, twice, .. } => {
                let _written = writeln!(text, "  linked by {linker}: {because}");
                if *twice {
                    text.push_str("  built in two folders with two homes of cargo, and compared\n");
                }
            }
            Action::Missing { tool, install, .. } => {
                let _written = writeln!(text, "  {tool} is not installed: {install}");
            }
            Action::Smoke { arguments, emulator, .. } if step.runs() => {
                let words = emulator.iter().cloned().chain(["<program>".to_owned()]).chain(arguments.iter().cloned());
                let _written = writeln!(text, "  $ {}", shell(&words.collect::<Vec<_>>()));
            }
            _ => {}
        }
        if step.runs() {
            for (name, value) in &step.environment {
                // What stands between encoded flags shows on no terminal.
                let _written = writeln!(text, "  with {name}={}", value.replace('\u{1f}', " "));
            }
            for command in step.action.commands() {
                let _written = writeln!(text, "  $ {}", shell(command));
            }
        }
        for item in &step.items {
            let _written = match &item.state {
                State::Run { why } => writeln!(text, "  runs: {why}"),
                State::Skipped { why } => writeln!(text, "  skipped({why})"),
                State::Cached { .. } => {
                    let digest = item.artifact.as_ref().map_or("", |artifact| artifact.digest.as_str());
                    writeln!(text, "  cached: sha256:{digest}")
                }
            };
        }
    }
    text
}

fn is_build(step: &Step) -> bool {
    matches!(step.action, Action::Build { .. }) || (step.items.iter().any(|item| item.key.is_some()))
}

/// The programs: name, target, size, digest, what links them, time, and what became of them; without linker and time where
/// lines as long as that are broken.
#[must_use]
pub fn table(built: &Built, breaks: &dyn Fn(usize) -> bool, paint: &dyn Fn(&Verdict, &str) -> String) -> String {
    let row = |made: &Made| {
        [
            format!("{} {}", made.program, made.version),
            made.target.clone(),
            made.artifact.as_ref().map_or_else(|| "-".to_owned(), |artifact| size(artifact.size)),
            made.artifact.as_ref().map_or_else(|| "-".to_owned(), |artifact| artifact.digest[..12].to_owned()),
            made.linker.name.clone(),
            made.seconds.map_or_else(|| "-".to_owned(), time),
        ]
    };
    let head = ["program", "target", "size", "sha256", "linker", "time"].map(str::to_owned);
    let rows: Vec<[String; 6]> = built.programs.iter().map(row).collect();
    let widths: Vec<usize> = (0..6)
        .map(|n| rows.iter().chain([&head]).map(|row| row[n].chars().count()).max().unwrap_or_default())
        .collect();
    let narrow = breaks(widths.iter().map(|width| width + 2).sum::<usize>() + "built, starts".len() + 2);
    let line = |row: &[String; 6], verdict: &str| {
        let [program, target, size, digest, linker, time] = row;
        let [a, b, c, d, e, f] = [0, 1, 2, 3, 4, 5].map(|n| widths[n]);
        let rest = if narrow { String::new() } else { format!("  {linker:<e$}  {time:>f$}") };
        format!("  {program:<a$}  {target:<b$}  {size:>c$}  {digest:<d$}{rest}  {verdict}\n")
    };
    let mut text = line(&head, "verdict");
    for (made, row) in built.programs.iter().zip(&rows) {
        let smoke = made.smoke.as_ref().map_or_else(String::new, |smoke| match smoke {
            Verdict::Passed => ", starts".to_owned(),
            Verdict::Skipped(why) => format!(", not started: {why}"),
            verdict => format!(", start {verdict}"),
        });
        let word = if made.verdict == Verdict::Passed { "built".to_owned() } else { made.verdict.to_string() };
        text.push_str(&line(row, &paint(&made.verdict, &format!("{word}{smoke}"))));
    }
    text
}

/// One line: what became of it all.
#[must_use]
pub fn conclusion(built: &Built, seconds: f64, explained: Option<&str>) -> String {
    let count = |wanted: &str| built.programs.iter().filter(|made| made.verdict.word() == wanted).count();
    let words = ["passed", "cached", "skipped", "failed", "timed-out", "interrupted", "not-run"];
    let counts = words.iter().map(|word| (count(word), if *word == "passed" { "new" } else { word }));
    let counts: Vec<String> = counts.filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    let any = built.programs.iter().any(|made| made.artifact.is_some());
    let place = if any { "; they are in target/xtask/programs" } else { "" };
    let mut text = format!("{} in {}{place}", counts.join(", "), time(seconds));
    if let Some(explained) = explained {
        let _written = write!(text, "; {explained}");
    }
    if let Some(hits) = &built.sccache {
        let _written = write!(text, "; sccache: {} hits, {} misses", hits.hits, hits.misses);
    }
    text
}

/// The command that does again just what went wrong.
#[must_use]
pub fn rerun(plan: &Plan, outcome: &Outcome) -> String {
    let step = plan.steps.iter().find(|step| step.id == outcome.step);
    let of = match step.map(|step| &step.action) {
        Some(Action::Smoke { of, .. }) => of,
        _ => &outcome.step,
    };
    let target = of.as_str().split_once('(').map_or("", |(_, rest)| rest.trim_end_matches(')'));
    let twice = matches!(step.map(|step| &step.action), Some(Action::Build { twice: true, .. }));
    let smoke = if of != &outcome.step {
        " --smoke"
    } else if twice {
        " --verify-reproducible"
    } else {
        ""
    };
    if of.check() == "std" && outcome.member.is_none() {
        return format!("cargo xtask build --target {target}");
    }
    format!("cargo xtask build --bin {} --target {target}{smoke}", of.check())
}

/// The record as one line of JSON.
#[must_use]
pub fn record(built: &Built) -> String {
    serde_json::to_string(built).map(|text| format!("{text}\n")).unwrap_or_default()
}

//! `gate` in GitHub Actions: annotations where the change is, groups, and child output that cannot give commands.
//!
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>

use std::collections::{BTreeMap, hash_map::RandomState};
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::Write as _;

use supercargo_plan::plan::Plan;
use supercargo_plan::record::Record;
use supercargo_plan::verdict::{Finding, Severity, Verdict};

use super::{failures, rerun};

/// Most annotations of a kind that are shown for a step of a job.
const MOST: usize = 10;

/// Escapes the data of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property of a command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// What a change touches: by file, the first and last of each run of lines.
pub type Changed = BTreeMap<String, Vec<(u32, u32)>>;

/// How near a finding is to the change: 0 in its lines, 1 in its files, 2 elsewhere.
fn distance(finding: &Finding, changed: &Changed) -> u8 {
    let Some(lines) = finding.file.as_ref().and_then(|file| changed.get(file)) else { return 2 };
    let inside = finding.line.is_some_and(|line| lines.iter().any(|(first, last)| (*first..=*last).contains(&line)));
    u8::from(!inside)
}

/// The end of a run as commands: annotations, those in changed files first, and what went wrong, in a group.
#[must_use]
pub fn commands(plan: &Plan, record: &Record, changed: &Changed, logs: &str) -> String {
    let mut text = String::new();
    for step in &plan.steps {
        let Some(told) = record.steps.get(&step.id) else { continue };
        let bad = |finding: &&Finding| {
            record.of(&step.id).any(|outcome| {
                let counts = outcome.verdict.is_bad() || matches!(outcome.verdict, Verdict::Warned(_));
                counts && (outcome.member.is_none() || outcome.member == finding.member)
            })
        };
        for severity in [Severity::Error, Severity::Warning] {
            let mut findings: Vec<&Finding> =
                told.findings.iter().filter(bad).filter(|finding| finding.severity == severity).collect();
            findings.sort_by_key(|finding| distance(finding, changed));
            for finding in findings.iter().take(MOST) {
                text.push_str(&annotation(step.id.as_str(), finding));
            }
            if findings.len() > MOST {
                let _written =
                    writeln!(text, "{} more of {} are in the summary and the log", findings.len() - MOST, step.id);
            }
        }
        if told.findings.is_empty() {
            for outcome in record.of(&step.id).filter(|outcome| outcome.verdict.is_bad()).take(MOST) {
                let title = property(&format!("{}", outcome.step));
                let member = outcome.member.as_ref().map_or_else(String::new, |name| format!("{name}: "));
                let _written =
                    writeln!(text, "::error title={title}::{}", data(&format!("{member}{}", outcome.verdict)));
            }
        }
    }
    let wrong = failures(plan, record, logs, &|outcome| rerun(plan, outcome));
    if !wrong.is_empty() {
        // What tools print may look like a command: until the token comes, none is obeyed.
        let token = token();
        let _written =
            write!(text, "::group::what went wrong\n::stop-commands::{token}\n{wrong}\n::{token}::\n::endgroup::\n");
    }
    text
}

fn annotation(step: &str, finding: &Finding) -> String {
    let kind = if finding.severity == Severity::Error { "error" } else { "warning" };
    let mut properties = Vec::new();
    if let Some(file) = &finding.file {
        properties.push(format!("file={}", property(file)));
    }
    if let Some(line) = finding.line {
        properties.push(format!("line={line}"));
    }
    properties.push(format!("title={}", property(step)));
    format!("::{kind} {}::{}\n", properties.join(","), data(&finding.message))
}

/// A word that no tool can know beforehand.
fn token() -> String {
    let words = [0; 2].map(|_| RandomState::new().build_hasher().finish());
    format!("{:016x}{:016x}", words[0], words[1])
}

/// Most bytes of all summaries of one step: a forge shows none of what is more.
const LONGEST_SUMMARY: u64 = 1024 * 1024 - 1024;

/// Appends the summary to the file that GitHub Actions names in `$GITHUB_STEP_SUMMARY`, when it does.
pub fn append_summary(summary: &str) {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else { return };
    let append = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        let room = LONGEST_SUMMARY.saturating_sub(file.metadata()?.len());
        if summary.len() as u64 <= room {
            return file.write_all(summary.as_bytes());
        }
        // The heading and the table come first; what does not fit is in the run's own folder.
        let table = summary.split("\n\n").take(2).collect::<Vec<_>>().join("\n\n");
        if table.len() as u64 + 64 <= room {
            write!(file, "{table}\n\nThe rest is too long for here.\n")
        } else {
            Ok(())
        }
    };
    // The verdict does not hang on whether the forge shows it.
    append().ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_tool_prints_can_give_a_command() {
        let finding = Finding {
            member: None,
            severity: Severity::Error,
            file: Some("a,b:c.rs".into()),
            line: Some(3),
            message: "100%\n::add-mask::x".into(),
            text: String::new(),
        };
        assert_eq!(
            annotation("test", &finding),
            "::error file=a%2Cb%3Ac.rs,line=3,title=test::100%25%0A::add-mask::x\n"
        );
        assert_ne!(token(), token());
        assert_eq!(token().len(), 32);
    }
}

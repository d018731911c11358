//! What tools printed to verdicts: good only where there is evidence, and for everyone who was to run.

mod compilation;
mod programs;
mod runs;

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::tools::audit::Audit;
use crate::facts::tools::{Ground, diagnostics, shorten};
use crate::facts::workspace::{MemberName, Package, Workspace};
use crate::graph::Graph;
use crate::plan::{Artifact, Subject};
use crate::verdict::{Finding, Verdict};

pub use runs::ExecutableRun;

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this exit code.
    Exited(i32),
    /// By a signal.
    Signalled(i32),
    /// It took longer than this many seconds, and was ended.
    TimedOut(u64),
    /// A person interrupted it, or another step's failure ended it.
    Stopped(Verdict),
    /// It did not start.
    NotStarted(String),
}

impl End {
    /// Whether it ended well.
    #[must_use]
    pub fn is_good(&self) -> bool {
        *self == Self::Exited(0)
    }

    /// The verdict where nothing more is known.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Exited(0) => Verdict::Passed,
            Self::Exited(code) => Verdict::Failed(format!("exit code {code}")),
            Self::Signalled(signal) => Verdict::Failed(format!("ended by signal {signal}")),
            Self::TimedOut(limit) => Verdict::TimedOut(format!("took longer than {limit} s")),
            Self::Stopped(verdict) => verdict.clone(),
            Self::NotStarted(why) => Verdict::Failed(why.clone()),
        }
    }
}

/// What a step came to.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// The verdict on each subject.
    pub verdicts: BTreeMap<Subject, Verdict>,
    /// How many tests ran for each.
    pub tests: BTreeMap<Subject, usize>,
    /// What was made for each.
    pub artifacts: BTreeMap<Subject, Artifact>,
    /// What was found.
    pub findings: Vec<Finding>,
    /// What a person should know besides.
    pub notes: Vec<String>,
    /// The end of what was printed, where nothing was found in it.
    pub tail: String,
    /// Those that there was nothing to run for: that is a result as well.
    pub nothing: BTreeSet<Subject>,
    /// Whether no tool came to a judgement: then policy cannot make a warning of it.
    pub unjudged: bool,
}

impl Judgement {
    /// The verdict on one subject. A check that ran and skips it found nothing to run.
    fn tell(&mut self, subject: &Subject, verdict: Verdict) {
        if matches!(verdict, Verdict::Skipped(_)) {
            self.nothing.insert(subject.clone());
        }
        self.verdicts.insert(subject.clone(), verdict);
    }

    /// A failure that no tool found: it ended, or said less than it must.
    fn doubt(&mut self, subject: &Subject, why: impl Into<String>) {
        self.unjudged = true;
        self.verdicts.insert(subject.clone(), Verdict::Failed(why.into()));
    }
}

/// What a verdict is made from: the step's subjects, and what they depend on.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// Those that were to run.
    pub running: &'a [Subject],
    /// Where paths start.
    pub ground: Ground<'a>,
    /// Who depends on whom.
    pub graph: &'a Graph<'a>,
}

impl Case<'_> {
    /// The same verdict for everyone.
    #[must_use]
    pub fn all(&self, verdict: &Verdict) -> Judgement {
        let verdicts = self.running.iter().map(|subject| (subject.clone(), verdict.clone())).collect();
        Judgement { verdicts, ..Judgement::default() }
    }

    /// A program whose exit status decides.
    #[must_use]
    pub fn program(&self, end: &End, output: &str) -> Judgement {
        let mut judgement = self.all(&end.verdict());
        judgement.unjudged = !matches!(end, End::Exited(_));
        if !end.is_good() {
            judgement.findings = diagnostics(self.ground, output);
            if judgement.findings.is_empty() {
                judgement.tail = tail(output);
            }
        }
        judgement
    }

    /// Rustfmt.
    #[must_use]
    pub fn format(&self, end: &End, findings: Vec<Finding>, output: &str) -> Judgement {
        let verdict = match (end, findings.len()) {
            (End::Exited(0), 0) => Verdict::Passed,
            (End::Exited(_), n) if n > 0 => {
                let files: BTreeSet<_> = findings.iter().map(|finding| &finding.file).collect();
                Verdict::Failed(format!("{} to format", plural(files.len(), "file")))
            }
            _ => end.verdict(),
        };
        let tail = if findings.is_empty() && !end.is_good() { output.to_owned() } else { String::new() };
        Judgement { findings, tail, ..self.all(&verdict) }
    }

    /// An audit: without a judgement of the tool's own, nothing is clean.
    #[must_use]
    pub fn audit(&self, end: &End, audit: Audit, warns: bool) -> Judgement {
        let told = |why: String| if warns { Verdict::Warned(why) } else { Verdict::Failed(why) };
        let ended = matches!(end, End::Exited(_));
        let verdict = match &audit.trouble {
            _ if !ended => end.verdict(),
            trouble if !audit.complete => {
                let why = trouble.as_deref().unwrap_or("it said nothing");
                told(format!("the tool or its database failed, so nothing was judged: {why}"))
            }
            _ if !audit.findings.is_empty() => told(plural(audit.findings.len(), "finding")),
            _ if end.is_good() => Verdict::Passed,
            _ => told(format!("nothing is named, and yet the tool ended with {}", end.verdict())),
        };
        Judgement { findings: audit.findings, unjudged: !ended, ..self.all(&verdict) }
    }
}

fn member<'a>(workspace: &'a Workspace, name: &MemberName) -> Option<&'a Package> {
    workspace.members().find(|member| member.name == *name)
}

fn plural(n: usize, word: &str) -> String {
    if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") }
}

/// The last part of a text that is too long to be told.
#[must_use]
pub fn tail(text: &str) -> String {
    const MOST: usize = 4096;
    let from = text.ceil_char_boundary(text.len().saturating_sub(MOST));
    // From the beginning of a line.
    let from = if from == 0 { 0 } else { text[from..].find('\n').map_or(from, |at| from + at + 1) };
    shorten(&text[from..])
}

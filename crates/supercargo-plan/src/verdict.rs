//! The words for what became of a check, and for what it found.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::facts::workspace::MemberName;

/// What became of one subject of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict", content = "because")]
pub enum Verdict {
    /// It ran, and is good.
    Passed,
    /// It ran, and is good only when tried again.
    Flaky(String),
    /// It ran, and what it found does not fail the gate.
    Warned(String),
    /// It ran, and is not good; or it could not run.
    Failed(String),
    /// It took longer than it may, and was ended.
    TimedOut(String),
    /// It passed before.
    Cached,
    /// It is left out.
    Skipped(String),
    /// A person interrupted it while it ran.
    Interrupted,
    /// It did not run, or not to its end, because of something else.
    NotRun(String),
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Flaky(_) => "flaky",
            Self::Warned(_) => "warned",
            Self::Failed(_) => "failed",
            Self::TimedOut(_) => "timed-out",
            Self::Cached => "cached",
            Self::Skipped(_) => "skipped",
            Self::Interrupted => "interrupted",
            Self::NotRun(_) => "not-run",
        }
    }

    /// What goes with the word.
    #[must_use]
    pub fn because(&self) -> Option<&str> {
        match self {
            Self::Passed | Self::Cached | Self::Interrupted => None,
            Self::Flaky(why)
            | Self::Warned(why)
            | Self::Failed(why)
            | Self::TimedOut(why)
            | Self::Skipped(why)
            | Self::NotRun(why) => Some(why),
        }
    }

    /// Whether it speaks for the change.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        matches!(self, Self::Passed | Self::Flaky(_) | Self::Warned(_) | Self::Cached)
    }

    /// Whether it speaks against the change.
    #[must_use]
    pub const fn is_bad(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::TimedOut(_))
    }

    /// The order of a step's verdict: that of its worst subject.
    #[must_use]
    pub const fn rank(&self) -> u8 {
        match self {
            Self::Skipped(_) => 0,
            Self::Cached => 1,
            Self::Passed => 2,
            Self::Flaky(_) => 3,
            Self::Warned(_) => 4,
            Self::NotRun(_) => 5,
            Self::Interrupted => 5,
            Self::TimedOut(_) => 6,
            Self::Failed(_) => 7,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.because().filter(|why| !why.is_empty()) {
            Some(why) => write!(f, "{}({why})", self.word()),
            None => f.write_str(self.word()),
        }
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It fails the check.
    Error,
    /// It fails the check where warnings are denied.
    Warning,
}

/// One thing that a check found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// The member that it is about.
    pub member: Option<MemberName>,
    /// How bad it is.
    pub severity: Severity,
    /// The file, from the repository's top, where it is known.
    pub file: Option<String>,
    /// The line in it, from 1.
    pub line: Option<u32>,
    /// One line that says what it is.
    pub message: String,
    /// The tool's own text.
    pub text: String,
}

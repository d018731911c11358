//! What went wrong, and the next thing to do: the one shape in which supercargo tells a person so.

use std::fmt;

/// How the process ends. These numbers are API: scripts and CI read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; the answer is on stdout.
    Yes = 0,
    /// Done, and the answer is no.
    No = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A person must mend something; there is no verdict.
    Mend = 3,
    /// No step passed or was cached, and nothing explains it.
    Nothing = 4,
    /// Something took longer than it may.
    TimedOut = 5,
    /// A person interrupted it.
    Interrupted = 130,
}

/// One sentence on what is wrong, and one command that mends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How the process ends because of it.
    pub exit: Exit,
    /// One sentence, without a line break at its end.
    pub what: String,
    /// A command to paste, or a short instruction where no command can do it.
    pub mend: String,
}

impl Problem {
    /// A person must mend something ([`Exit::Mend`]).
    #[must_use]
    pub fn mend(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { exit: Exit::Mend, what: what.into(), mend: mend.into() }
    }

    /// The command line is wrong ([`Exit::Usage`]).
    #[must_use]
    pub fn usage(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, what: what.into(), mend: mend.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; mend: {}", self.what, self.mend)
    }
}

impl std::error::Error for Problem {}

/// The candidate nearest to `word`, when one is near enough to have been meant.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_takes_the_closest_and_refuses_the_far() {
        assert_eq!(nearest("afects", ["paths", "affects"]), Some("affects"));
        assert_eq!(nearest("core-lb", ["core-lib", "core-bin"]), Some("core-lib"));
        assert_eq!(nearest("zebra", ["paths", "affects"]), None);
    }
}

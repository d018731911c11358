//! What test executables and rustdoc's tests print: counts and failures, by the package they belong to.

use super::{arrow, panic_location, shorten};

/// What one executable, or the documentation of one library, came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// The library's name, for doctests.
    pub library: String,
    /// How many times a result was printed: none means that it did not come to its end.
    pub results: usize,
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Tests that are ignored.
    pub ignored: usize,
    /// Tests that arguments left out.
    pub filtered: usize,
    /// The failures: name, and what was printed.
    pub failures: Vec<(String, String)>,
}

/// Most lines of one failure that are kept.
const MOST_LINES: usize = 120;

/// Reads the output, line by line.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// The sections, in order; the first is what stands before any header.
    pub sections: Vec<Section>,
    /// Whether the failure that was begun last goes on.
    open: bool,
}

impl Output {
    /// Reads one line.
    pub fn read(&mut self, line: &str) {
        if let Some(library) = line.trim_start().strip_prefix("Doc-tests ") {
            self.sections.push(Section { library: library.trim().to_owned(), ..Section::default() });
            self.open = false;
            return;
        }
        if self.sections.is_empty() {
            self.sections.push(Section::default());
        }
        let Some(section) = self.sections.last_mut() else { return };
        if let Some(rest) = line.strip_prefix("test result: ") {
            let count = |word: &str| -> usize {
                let counted =
                    rest.split([';', '.']).find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok());
                counted.unwrap_or(0)
            };
            section.results += 1;
            section.passed += count("passed");
            section.failed += count("failed");
            section.ignored += count("ignored");
            section.filtered += count("filtered out");
            self.open = false;
        } else if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" ----")) {
            let name = name.strip_suffix(" stdout").unwrap_or(name).to_owned();
            section.failures.push((name, String::new()));
            self.open = true;
        } else if self.open && line == "failures:" {
            self.open = false;
        } else if let (true, Some((_, text))) = (self.open, section.failures.last_mut())
            && text.lines().count() < MOST_LINES
        {
            text.push_str(line);
            text.push('\n');
        }
    }

    /// All that the sections came to, together.
    #[must_use]
    pub fn sum(&self) -> Section {
        let mut sum = Section::default();
        for section in &self.sections {
            sum.results += section.results;
            sum.passed += section.passed;
            sum.failed += section.failed;
            sum.ignored += section.ignored;
            sum.filtered += section.filtered;
            sum.failures.extend(section.failures.iter().cloned());
        }
        sum
    }
}

/// Where a failure is: for a doctest as its name says, else where it panicked or the compiler points to.
#[must_use]
pub fn place<'a>(name: &'a str, text: &'a str) -> Option<(&'a str, u32)> {
    let doctest = name.split_once(" - ").and_then(|(path, rest)| {
        let line = rest.rsplit_once("(line ")?.1.split(')').next()?;
        Some((path, line.parse().ok()?))
    });
    doctest.or_else(|| panic_location(text)).or_else(|| arrow(text))
}

/// One line that says what failed.
#[must_use]
pub fn message(name: &str, text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let said = lines.clone().position(|line| line.contains("panicked at ")).and_then(|at| lines.clone().nth(at + 1));
    let said = said.or_else(|| lines.find(|line| line.starts_with("error")));
    said.map_or_else(|| format!("{name} failed"), |said| format!("{name}: {said}"))
}

/// The tests that an executable lists (`--list`), or none where it does not speak libtest's language.
#[must_use]
pub fn listed(output: &str) -> Option<usize> {
    let sum = output.lines().rev().find(|line| line.contains(" benchmark") && line.contains(" test"))?;
    sum.split_whitespace().next()?.parse().ok()
}

/// A failure's text, short enough to be told.
#[must_use]
pub fn text(text: &str) -> String {
    shorten(text.trim_matches('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCTESTS: &str = "\
   Doc-tests a

running 2 tests
test crates/a/src/lib.rs - f (line 2) ... ok
test crates/a/src/lib.rs - g (line 9) ... FAILED

failures:

---- crates/a/src/lib.rs - g (line 9) stdout ----
Test executable failed (exit status: 101).

stderr:
thread 'main' (5) panicked at /tmp/x.rs:3:1:
assertion `left == right` failed

failures:
    crates/a/src/lib.rs - g (line 9)

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.20s

error: doctest failed, to rerun pass `-p a --doc`
   Doc-tests b

running 0 tests

test result: ok. 0 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn doctests_are_read_by_library() {
        let mut output = Output::default();
        DOCTESTS.lines().for_each(|line| output.read(line));
        let [a, b] = output.sections.as_slice() else { panic!("{:?}", output.sections) };
        assert_eq!((a.library.as_str(), a.results, a.passed, a.failed), ("a", 1, 1, 1));
        assert_eq!((b.library.as_str(), b.results, b.passed, b.ignored), ("b", 1, 0, 3));
        let (name, text) = &a.failures[0];
        assert_eq!(place(name, text), Some(("crates/a/src/lib.rs", 9)));
        assert_eq!(message(name, text), format!("{name}: assertion `left == right` failed"));
    }

    #[test]
    fn an_executable_that_lists_nothing_known_is_told_apart() {
        assert_eq!(listed("a: test\nb: test\n\n2 tests, 0 benchmarks\n"), Some(2));
        assert_eq!(listed("0 tests, 0 benchmarks\n"), Some(0));
        assert_eq!(listed("all good\n"), None);
    }
}

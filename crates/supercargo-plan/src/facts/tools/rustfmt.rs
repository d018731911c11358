//! What `cargo fmt -- --check` says: the places that it would change, and what it cannot read.

use super::{Ground, MOST_FINDINGS, arrow, finding, location};
use crate::verdict::Finding;

/// Parses rustfmt's differences: one finding a place.
#[must_use]
pub fn parse(ground: Ground<'_>, output: &str) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut text = String::new();
    let mut place = None;
    let mut close = |place: &mut Option<(&str, u32)>, text: &mut String| {
        if let Some(place) = place.take()
            && findings.len() < MOST_FINDINGS
        {
            findings.push(finding(ground, Some(place), "not formatted as rustfmt would", text));
        }
        text.clear();
    };
    for line in output.lines() {
        if let Some(at) = line.strip_prefix("Diff in ") {
            close(&mut place, &mut text);
            // Older ones say `Diff in src/lib.rs at line 3:`.
            let older = at.trim_end_matches(':').split_once(" at line ");
            place = older.and_then(|(path, line)| Some((path, line.parse().ok()?))).or_else(|| location(at));
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    close(&mut place, &mut text);
    if findings.is_empty()
        && let Some(error) = output.lines().find(|line| line.starts_with("error"))
    {
        findings.push(finding(ground, arrow(output), error, output));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::ground::workspace;
    use super::*;

    #[test]
    fn differences_are_places() {
        let workspace = workspace(&["a", "b"]);
        let ground = Ground { workspace: &workspace, top: "/w" };
        let output =
            "Diff in /w/a/src/lib.rs:1:\n-fn  a(){}\n+fn a() {}\n \nDiff in /w/b/src/lib.rs at line 7:\n-x\n+y\n";
        let found = parse(ground, output);
        let places: Vec<_> = found.iter().map(|f| (f.file.as_deref().unwrap(), f.line.unwrap())).collect();
        assert_eq!(places, [("a/src/lib.rs", 1), ("b/src/lib.rs", 7)]);
        assert!(found[0].text.contains("+fn a() {}") && !found[0].text.contains("+y"));
        let broken = "error: expected one of `!` or `::`, found `x`\n --> /w/a/src/lib.rs:2:4\n";
        assert_eq!(parse(ground, broken)[0].line, Some(2));
    }
}

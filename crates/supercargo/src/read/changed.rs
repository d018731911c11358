//! Which lines a change touches.

use std::collections::BTreeMap;

use super::git::Git;

/// By file, from the repository's top: the first and last of each run of lines that a change added or changed.
pub type Changed = BTreeMap<String, Vec<(u32, u32)>>;

/// The lines that the working tree has changed since it parted from `base`; none where git cannot tell.
#[must_use]
pub fn read(git: &Git, base: &str) -> Changed {
    let commits = git.commits(base, "HEAD");
    let parted = commits.map(|commits| commits.merge_base.to_string()).unwrap_or_default();
    let arguments =
        ["diff", "--unified=0", "--no-color", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/"];
    let output = git.run(arguments.into_iter().chain([parted.as_str(), "--"]));
    output
        .ok()
        .filter(|output| output.status.success())
        .map_or_else(Changed::new, |output| parse(&String::from_utf8_lossy(&output.stdout)))
}

/// Parses a unified difference without context.
fn parse(text: &str) -> Changed {
    let mut changed = Changed::new();
    let mut file: Option<String> = None;
    for line in text.lines() {
        if let Some(path) = line.strip_prefix("+++ ") {
            file = path.strip_prefix("b/").map(str::to_owned);
        } else if let Some(hunk) = line.strip_prefix("@@ ") {
            let added = hunk.split(' ').find_map(|part| part.strip_prefix('+')).unwrap_or_default();
            let (start, count) = added.split_once(',').unwrap_or((added, "1"));
            if let (Ok(start), Ok(count @ 1..), Some(file)) = (start.parse::<u32>(), count.parse::<u32>(), &file) {
                changed.entry(file.clone()).or_default().push((start, start + count - 1));
            }
        } else if line.starts_with("diff --git ") {
            file = None;
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hunks_are_lines_of_the_new_side() {
        let text = "diff --git a/x.rs b/x.rs\n--- a/x.rs\n+++ b/x.rs\n@@ -1,0 +2,3 @@ fn f\n+a\n@@ -9 +12 @@\n@@ -20,2 +22,0 @@\n\
                    diff --git a/y b/y\n--- a/y\n+++ /dev/null\n@@ -1 +0,0 @@\n";
        assert_eq!(parse(text), [("x.rs".to_owned(), vec![(2, 4), (12, 12)])].into());
    }
}

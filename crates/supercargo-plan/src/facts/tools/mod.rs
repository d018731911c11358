//! What tools print, parsed: findings with file and line, and evidence of what ran.

pub mod audit;
pub mod cargo;
pub mod libtest;
pub mod nextest;
pub mod rustfmt;

use super::path::RepoPath;
use super::workspace::{Package, Workspace};
use crate::verdict::{Finding, Severity};

/// Most bytes of a tool's own text that a finding carries.
const LONGEST_TEXT: usize = 16 * 1024;

/// Most findings of one step that are kept.
pub const MOST_FINDINGS: usize = 500;

/// Where a tool's paths start.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// The workspace.
    pub workspace: &'a Workspace,
    /// The repository's top folder, absolute.
    pub top: &'a str,
}

impl<'a> Ground<'a> {
    /// A path that a tool printed, seen from the repository's top; none for one that lies out of it.
    #[must_use]
    pub fn path(&self, printed: &str) -> Option<RepoPath> {
        match printed.strip_prefix('/') {
            Some(_) => {
                let below = printed.strip_prefix(self.top)?.strip_prefix('/')?;
                Some(RepoPath::new(below.as_bytes()))
            }
            None => self.workspace.root.join(printed.as_bytes()),
        }
    }

    /// The member whose manifest lies in the folder that a tool printed.
    #[must_use]
    pub fn member_at(&self, folder: &RepoPath) -> Option<&'a Package> {
        self.workspace.at(folder).filter(|package| package.member)
    }

    /// The member whose folder holds `path` most closely.
    #[must_use]
    pub fn member_around(&self, path: &RepoPath) -> Option<&'a Package> {
        let around = self.workspace.members().filter(|member| path.below(&member.folder).is_some());
        around.max_by_key(|member| member.folder.as_bytes().len())
    }
}

/// `path:line` and `path:line:column`, as in `src/lib.rs:3:5`.
#[must_use]
pub fn location(text: &str) -> Option<(&str, u32)> {
    let mut text = text.trim().trim_end_matches(':');
    let mut line = None;
    for _ in 0..2 {
        let Some((rest, number)) = text.rsplit_once(':') else { break };
        let Ok(number) = number.parse() else { break };
        (text, line) = (rest, Some(number));
    }
    Some((text, line?)).filter(|(path, _)| !path.is_empty())
}

/// Where a test panicked: `thread 'x' (7) panicked at src/lib.rs:8:20:`, or as older compilers print it.
#[must_use]
pub fn panic_location(text: &str) -> Option<(&str, u32)> {
    let at = text.lines().find_map(|line| line.split_once("panicked at ")).map(|(_, at)| at)?;
    // Older compilers print the message first, in quotes.
    location(at.rsplit_once("', ").map_or(at, |(_, place)| place))
}

/// The first place that a compiler's message points to: ` --> src/lib.rs:3:5`.
#[must_use]
pub fn arrow(text: &str) -> Option<(&str, u32)> {
    text.lines().find_map(|line| location(line.trim_start().strip_prefix("--> ")?))
}

/// What a tool says in the compiler's manner: `error[..]: what`, or `warning`, and where below it.
#[must_use]
pub fn diagnostics(ground: Ground<'_>, text: &str) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut open: Option<(&str, Vec<&str>)> = None;
    let close = |open: &mut Option<(&str, Vec<&str>)>, findings: &mut Vec<Finding>| {
        let Some((head, lines)) = open.take() else { return };
        let text = lines.join("\n");
        if let Some(place) = arrow(&text).filter(|_| findings.len() < MOST_FINDINGS) {
            let mut found = finding(ground, Some(place), head, &text);
            found.severity = if head.starts_with("warning") { Severity::Warning } else { Severity::Error };
            findings.push(found);
        }
    };
    for line in text.lines() {
        if line.starts_with("error") || line.starts_with("warning") {
            close(&mut open, &mut findings);
            open = Some((line, Vec::new()));
        } else if line.trim().is_empty() {
            close(&mut open, &mut findings);
        }
        open.iter_mut().for_each(|(_, lines)| lines.push(line));
    }
    close(&mut open, &mut findings);
    findings
}

/// A finding about a place that a tool printed.
#[must_use]
pub fn finding(ground: Ground<'_>, place: Option<(&str, u32)>, message: &str, text: &str) -> Finding {
    let path = place.and_then(|(path, _)| ground.path(path));
    let member = path.as_ref().and_then(|path| ground.member_around(path)).map(|member| member.name.clone());
    Finding {
        member,
        severity: Severity::Error,
        line: path.as_ref().and(place).map(|(_, line)| line),
        file: path.map(|path| path.to_string()),
        message: message.lines().next().unwrap_or_default().trim().to_owned(),
        text: shorten(text),
    }
}

/// Text that is not too long to be told, cut at a line.
#[must_use]
pub fn shorten(text: &str) -> String {
    let text = text.trim_end();
    if text.len() <= LONGEST_TEXT {
        return text.to_owned();
    }
    let cut = text[..text.floor_char_boundary(LONGEST_TEXT)].rfind('\n').unwrap_or(0);
    format!("{}\n.. {} bytes more, in the log", &text[..cut], text.len() - cut)
}

#[cfg(test)]
pub(crate) mod ground {
    use super::*;
    use crate::facts::workspace::MemberName;
    use serde_json::Value;

    /// A workspace with members in these folders, each named like its folder's last part.
    pub fn workspace(folders: &[&str]) -> Workspace {
        let package = |folder: &&str| Package {
            name: MemberName::from(folder.rsplit('/').next().unwrap()),
            version: "0.1.0".into(),
            folder: RepoPath::from(*folder),
            member: true,
            manifest: Vec::new(),
            targets: Vec::new(),
            dependencies: Vec::new(),
            policy: Value::Null,
            default: true,
            features: std::collections::BTreeMap::new(),
            publish: true,
            rust_version: None,
        };
        Workspace { packages: folders.iter().map(package).collect(), ..Workspace::default() }
    }

    #[test]
    fn places_are_read_as_tools_print_them() {
        assert_eq!(location("src/lib.rs:3:5"), Some(("src/lib.rs", 3)));
        assert_eq!(location("src/lib.rs:3:"), Some(("src/lib.rs", 3)));
        assert_eq!(location("src/lib.rs"), None);
        assert_eq!(location("assertion failed: x: 3"), None);
        assert_eq!(panic_location("x\nthread 'a' (7) panicked at src/a b.rs:8:20:\nboom"), Some(("src/a b.rs", 8)));
        assert_eq!(panic_location("thread 'a' panicked at 'boom', src/a.rs:8:20"), Some(("src/a.rs", 8)));
        assert_eq!(arrow("error: x\n  --> crates/a/src/lib.rs:1:2\n"), Some(("crates/a/src/lib.rs", 1)));
    }

    #[test]
    fn what_is_said_in_the_compilers_manner_is_found() {
        let workspace = workspace(&["crates/a"]);
        let ground = Ground { workspace: &workspace, top: "/top" };
        let text = "x\nwarning[artipacked]: no\n --> ci/x.yml:6:9\n  |\n6 | y\n\nerror: bad\n --> crates/a/b.rs:1:2\n\nerror: sum\n";
        let found = diagnostics(ground, text);
        let told: Vec<_> = found.iter().map(|f| (f.file.as_deref().unwrap(), f.line.unwrap(), f.severity)).collect();
        assert_eq!(told, [("ci/x.yml", 6, Severity::Warning), ("crates/a/b.rs", 1, Severity::Error)]);
        assert_eq!(found[0].message, "warning[artipacked]: no");
    }

    #[test]
    fn a_place_tells_the_member() {
        let workspace = workspace(&["", "crates/a", "crates/a/inner"]);
        let ground = Ground { workspace: &workspace, top: "/top" };
        let member = |path: &str| finding(ground, Some((path, 1)), "m", "").member.map(|name| name.to_string());
        assert_eq!(member("crates/a/src/lib.rs").as_deref(), Some("a"));
        assert_eq!(member("/top/crates/a/inner/src/lib.rs").as_deref(), Some("inner"));
        assert_eq!(finding(ground, Some(("/registry/x.rs", 1)), "m", "").file, None);
    }
}

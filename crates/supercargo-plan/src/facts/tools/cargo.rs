//! Cargo's messages (`--message-format=json`) and rustc's diagnostics in them.
//!
//! <https://doc.rust-lang.org/cargo/reference/external-tools.html#json-messages>

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{Ground, MOST_FINDINGS, finding, shorten};
use crate::facts::path::RepoPath;
use crate::facts::workspace::MemberName;
use crate::verdict::{Finding, Severity};

/// All that cargo said.
#[derive(Clone, Debug, Default)]
pub struct Messages {
    /// Errors and warnings, none twice.
    pub findings: Vec<Finding>,
    /// What was compiled, or was there already: the source file where the target starts.
    pub compiled: BTreeSet<(MemberName, RepoPath)>,
    /// Executables of tests.
    pub executables: Vec<Executable>,
    /// Programs: (member, name, file).
    pub programs: Vec<(MemberName, String, String)>,
    /// By package: what its build script gives to who runs its programs.
    pub scripts: BTreeMap<String, Script>,
    /// Whether a message was there that could not be read.
    pub torn: bool,
    /// Whether cargo came to an end, and to a good one.
    pub finished: Option<bool>,
    seen: BTreeSet<(Option<MemberName>, String)>,
}

/// An executable that holds tests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Executable {
    /// The member.
    pub member: MemberName,
    /// Cargo's id of the package.
    pub package: String,
    /// What it is of: `lib`, or the target's name.
    pub target: String,
    /// The file.
    pub path: String,
}

/// What a build script left.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Script {
    /// Folders of native libraries.
    #[serde(default)]
    pub linked_paths: Vec<String>,
    /// Variables for the program.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// Its output folder.
    #[serde(default)]
    pub out_dir: String,
}

#[derive(Deserialize)]
struct Line {
    reason: String,
    #[serde(default)]
    package_id: String,
    #[serde(default)]
    manifest_path: String,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<String>,
    message: Option<Message>,
    success: Option<bool>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    #[serde(default)]
    kind: Vec<String>,
    src_path: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

#[derive(Deserialize)]
struct Message {
    message: String,
    level: String,
    rendered: Option<String>,
    #[serde(default)]
    spans: Vec<Span>,
}

#[derive(Deserialize)]
struct Span {
    file_name: String,
    line_start: u32,
    is_primary: bool,
}

impl Messages {
    /// Reads one line of cargo's output. What is no message is left alone, and told.
    pub fn read(&mut self, ground: Ground<'_>, line: &[u8]) -> bool {
        let Ok(parsed) = serde_json::from_slice::<Line>(line) else {
            self.torn |= line.starts_with(b"{\"reason\"");
            return false;
        };
        let folder = ground.path(&parsed.manifest_path).map(|manifest| manifest.parent());
        let member = folder.and_then(|folder| ground.member_at(&folder)).map(|member| member.name.clone());
        match parsed.reason.as_str() {
            "compiler-message" => {
                if let Some(message) = parsed.message {
                    self.diagnose(ground, member, &message);
                }
            }
            "compiler-artifact" => {
                if let (Some(member), Some(target)) = (member, parsed.target) {
                    if let Some(source) = ground.path(&target.src_path) {
                        self.compiled.insert((member.clone(), source));
                    }
                    let is_test = parsed.profile.is_some_and(|profile| profile.test);
                    let is_program = !is_test && target.kind.iter().any(|kind| kind == "bin");
                    if let Some(path) = parsed.executable.clone().filter(|_| is_program) {
                        self.programs.push((member.clone(), target.name.clone(), path));
                    }
                    if let Some(path) = parsed.executable.filter(|_| is_test) {
                        let library = target.kind.iter().any(|kind| kind.ends_with("lib") || kind == "proc-macro");
                        let target = if library { "lib".to_owned() } else { target.name };
                        self.executables.push(Executable { member, package: parsed.package_id, target, path });
                    }
                }
            }
            "build-script-executed" => {
                if let Ok(script) = serde_json::from_slice::<Script>(line) {
                    self.scripts.insert(parsed.package_id, script);
                }
            }
            "build-finished" => self.finished = parsed.success,
            _ => {}
        }
        true
    }

    fn diagnose(&mut self, ground: Ground<'_>, member: Option<MemberName>, message: &Message) {
        let severity = match message.level.as_str() {
            "warning" => Severity::Warning,
            level if level.starts_with("error") => Severity::Error,
            _ => return,
        };
        // A package that is no member cannot be mended here; its errors can be.
        if member.is_none() && severity == Severity::Warning {
            return;
        }
        // What only counts the others, such as «aborting due to 2 previous errors».
        let sums_up = message.spans.is_empty()
            && (message.message.starts_with("aborting due to")
                || message.message.ends_with("warning emitted")
                || message.message.ends_with("warnings emitted"));
        let text = message.rendered.as_deref().unwrap_or(&message.message);
        if sums_up || !self.seen.insert((member.clone(), text.to_owned())) {
            return;
        }
        // A member's first finding is kept however many others have: without one, it would pass.
        let known = self.findings.iter().any(|found| found.member == member && found.severity <= severity);
        if self.findings.len() >= MOST_FINDINGS && known {
            return;
        }
        let inside = |span: &&Span| ground.path(&span.file_name).is_some();
        let span = message.spans.iter().filter(inside).max_by_key(|span| span.is_primary);
        let place = span.map(|span| (span.file_name.as_str(), span.line_start));
        let mut finding = finding(ground, place, &message.message, text);
        (finding.severity, finding.member) = (severity, member.or(finding.member));
        self.findings.push(finding);
    }

    /// Whether cargo said that it came to a good end, and all of what it said could be read.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.finished == Some(true) && !self.torn
    }

    /// The members that something was found about.
    #[must_use]
    pub fn faulty(&self, severity: Severity) -> BTreeSet<&MemberName> {
        let found = self.findings.iter().filter(|finding| finding.severity <= severity);
        found.filter_map(|finding| finding.member.as_ref()).collect()
    }
}

/// The packages that cargo could not compile, by its own words on stderr.
#[must_use]
pub fn uncompiled(stderr: &str) -> BTreeSet<&str> {
    let named = |line: &str| -> Option<usize> { line.find("could not compile `") };
    let lines = stderr.lines().filter_map(|line| Some(&line[named(line)? + "could not compile `".len()..]));
    lines.filter_map(|rest| rest.split('`').next()).collect()
}

/// What cargo itself says is wrong: its lines that start with `error`, without what it compiled.
#[must_use]
pub fn errors(stderr: &str) -> String {
    let start = stderr.lines().position(|line| line.starts_with("error"));
    let kept: Vec<&str> = start.map_or_else(Vec::new, |start| stderr.lines().skip(start).collect());
    shorten(&kept.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::super::ground::workspace;
    use super::*;

    #[test]
    fn messages_tell_member_file_and_line() {
        let workspace = workspace(&["crates/a"]);
        let ground = Ground { workspace: &workspace, top: "/w" };
        let warning = br#"{"reason":"compiler-message","package_id":"p","manifest_path":"/w/crates/a/Cargo.toml","target":{"kind":["lib"],"name":"a","src_path":"/w/crates/a/src/lib.rs"},"message":{"message":"unused variable: `x`","level":"warning","spans":[{"file_name":"crates/a/src/lib.rs","line_start":3,"is_primary":true}],"rendered":"warning: unused"}}"#;
        let artifact = br#"{"reason":"compiler-artifact","package_id":"p","manifest_path":"/w/crates/a/Cargo.toml","target":{"kind":["test"],"name":"it","src_path":"/w/crates/a/tests/it.rs"},"profile":{"test":true},"executable":"/w/target/debug/deps/it-1"}"#;
        let mut messages = Messages::default();
        for line in [&warning[..], warning, artifact, br#"{"reason":"build-finished","success":true}"#] {
            assert!(messages.read(ground, line));
        }
        assert!(!messages.read(ground, b"println from a build script"));
        assert!(messages.is_whole());
        assert!(!messages.read(ground, b"{\"reason\":\"compiler-mess"));
        assert!(!messages.is_whole());
        let [found] = messages.findings.as_slice() else { panic!("{:?}", messages.findings) };
        assert_eq!((found.file.as_deref(), found.line), (Some("crates/a/src/lib.rs"), Some(3)));
        assert_eq!(found.member.as_ref().unwrap().as_str(), "a");
        assert!(messages.faulty(Severity::Error).is_empty() && messages.faulty(Severity::Warning).len() == 1);
        assert_eq!((messages.executables[0].target.as_str(), messages.finished), ("it", Some(true)));
        assert_eq!(messages.compiled.len(), 1);
    }

    #[test]
    fn cargos_own_words_tell_what_failed() {
        let stderr = "   Compiling a v0.1.0\nerror: could not compile `a` (lib) due to 1 previous error\n";
        assert_eq!(uncompiled(stderr), ["a"].into());
        assert_eq!(errors(stderr), "error: could not compile `a` (lib) due to 1 previous error");
    }
}

//! What cargo-deny (`--format json`) and cargo-audit (`--json`) say. Without their closing summary, they did not judge.

use serde_json::Value;

use super::{Ground, finding};
use crate::verdict::Finding;

/// What an audit came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Whether the tool came to a judgement.
    pub complete: bool,
    /// What it found.
    pub findings: Vec<Finding>,
    /// Why it came to none.
    pub trouble: Option<String>,
}

/// Parses what either tool printed, on both streams.
#[must_use]
pub fn parse(ground: Ground<'_>, stdout: &str, stderr: &str) -> Audit {
    let mut audit = Audit::default();
    for line in stdout.lines().chain(stderr.lines()) {
        let Ok(value) = serde_json::from_str::<Value>(line) else { continue };
        if value["vulnerabilities"].is_object() {
            audit.read_report(ground, &value);
        } else {
            audit.read_line(ground, &value);
        }
    }
    if !audit.complete && audit.trouble.is_none() {
        let last = stderr.lines().rev().chain(stdout.lines().rev()).find(|line| !line.trim().is_empty());
        audit.trouble = last.map(|line| line.trim().to_owned());
    }
    audit
}

impl Audit {
    /// A line of cargo-deny.
    fn read_line(&mut self, ground: Ground<'_>, line: &Value) {
        let fields = &line["fields"];
        let message = fields["message"].as_str().unwrap_or_default();
        match line["type"].as_str() {
            Some("summary") => self.complete = true,
            Some("diagnostic") if fields["severity"] == "error" => {
                let krate = &fields["graphs"][0]["Krate"];
                let of =
                    krate["name"].as_str().map(|name| format!(" ({name} {})", krate["version"].as_str().unwrap_or("")));
                let id = fields["advisory"]["id"].as_str().or(fields["code"].as_str()).unwrap_or("found");
                self.add(ground, &format!("{id}: {message}{}", of.unwrap_or_default()));
            }
            Some("log") if fields["level"] == "ERROR" => {
                self.trouble = Some(message.lines().next().unwrap_or_default().to_owned());
            }
            _ => {}
        }
    }

    /// The report of cargo-audit.
    fn read_report(&mut self, ground: Ground<'_>, report: &Value) {
        self.complete = true;
        for found in report["vulnerabilities"]["list"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
            let (advisory, package) = (&found["advisory"], &found["package"]);
            let id = text(&advisory["id"]);
            self.add(
                ground,
                &format!(
                    "{id}: {} ({} {})",
                    text(&advisory["title"]),
                    text(&package["name"]),
                    text(&package["version"])
                ),
            );
        }
    }

    fn add(&mut self, ground: Ground<'_>, message: &str) {
        let lock = ground.workspace.root.join(b"Cargo.lock").map(|path| path.to_string());
        self.findings.push(Finding { file: lock, ..finding(ground, None, message, message) });
    }
}

#[cfg(test)]
mod tests {
    use super::super::ground::workspace;
    use super::*;

    #[test]
    fn findings_trouble_and_a_clean_answer_are_told_apart() {
        let workspace = workspace(&["a"]);
        let ground = Ground { workspace: &workspace, top: "/w" };
        let summary = r#"{"fields":{"advisories":{"errors":0}},"type":"summary"}"#;
        let found = r#"{"fields":{"advisory":{"id":"RUSTSEC-2020-0001"},"graphs":[{"Krate":{"name":"x","version":"1.0.0"}}],"message":"bad","severity":"error"},"type":"diagnostic"}"#;
        let broken = r#"{"fields":{"level":"ERROR","message":"failed to fetch advisory database\nmore"},"type":"log"}"#;
        assert_eq!(parse(ground, "", summary), Audit { complete: true, ..Audit::default() });
        let audit = parse(ground, "", &format!("{found}\n{summary}"));
        assert_eq!(audit.findings[0].message, "RUSTSEC-2020-0001: bad (x 1.0.0)");
        assert_eq!(audit.findings[0].file.as_deref(), Some("Cargo.lock"));
        let audit = parse(ground, "", broken);
        assert_eq!((audit.complete, audit.trouble.as_deref()), (false, Some("failed to fetch advisory database")));
        assert_eq!(
            parse(ground, "", "error: no such subcommand").trouble.as_deref(),
            Some("error: no such subcommand")
        );
        let report = r#"{"vulnerabilities":{"found":true,"count":1,"list":[{"advisory":{"id":"RUSTSEC-1","title":"t"},"package":{"name":"y","version":"2"}}]}}"#;
        assert_eq!(parse(ground, report, "").findings[0].message, "RUSTSEC-1: t (y 2)");
    }
}

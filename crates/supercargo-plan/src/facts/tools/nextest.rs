//! What cargo-nextest says: the JUnit report of a run, and the list of tests (`list --message-format json`).
//!
//! <https://nexte.st/docs/machine-readable/>

use std::collections::BTreeMap;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus};
use serde::Deserialize;

use super::libtest::message;
use super::{Ground, MOST_FINDINGS, finding, panic_location};
use crate::facts::workspace::MemberName;
use crate::verdict::Finding;

/// What ran of one member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// Tests that ran.
    pub tests: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Tests that passed only when tried again.
    pub flaky: Vec<String>,
}

/// Parses a JUnit report of nextest: by member what ran, and the failures.
///
/// # Errors
/// With the reader's words, when it is no such report.
pub fn parse(ground: Ground<'_>, xml: &str) -> Result<(BTreeMap<MemberName, Ran>, Vec<Finding>), String> {
    let report = Report::deserialize_from_str(xml).map_err(|error| error.to_string())?;
    let mut ran: BTreeMap<MemberName, Ran> = BTreeMap::new();
    let mut findings = Vec::new();
    for suite in &report.test_suites {
        // A binary's id starts with the package's name: `a`, `a::it`, `a::bin/x`.
        let package = suite.name.as_str().split("::").next().unwrap_or_default();
        let member = ground.workspace.members().find(|member| member.name.as_str() == package);
        let Some(member) = member.map(|member| member.name.clone()) else { continue };
        let ran = ran.entry(member.clone()).or_default();
        for case in &suite.test_cases {
            match &case.status {
                TestCaseStatus::Skipped { .. } => continue,
                TestCaseStatus::Success { flaky_runs } if flaky_runs.is_empty() => {}
                TestCaseStatus::Success { .. } => ran.flaky.push(case.name.to_string()),
                TestCaseStatus::NonSuccess { .. } => {
                    ran.failed += 1;
                    if findings.len() < MOST_FINDINGS {
                        findings.push(failure(ground, &member, case));
                    }
                }
            }
            ran.tests += 1;
        }
    }
    Ok((ran, findings))
}

fn failure(ground: Ground<'_>, member: &MemberName, case: &TestCase) -> Finding {
    let TestCaseStatus::NonSuccess { kind, message: said, ty, .. } = &case.status else {
        return finding(ground, None, "", "");
    };
    let text = |output: &Option<quick_junit::XmlString>| output.as_ref().map_or("", |text| text.as_str()).to_owned();
    let (stdout, stderr) = (text(&case.system_out), text(&case.system_err));
    let shown = if stderr.trim().is_empty() { &stdout } else { &stderr };
    let place = panic_location(&stderr).or_else(|| panic_location(&stdout));
    let name = case.name.as_str();
    let message = match (place, kind) {
        (Some(_), _) => message(name, shown),
        (None, NonSuccessKind::Error) | (None, NonSuccessKind::Failure) => {
            let said = said.as_ref().or(ty.as_ref()).map_or("failed", |said| said.as_str());
            format!("{name}: {said}")
        }
    };
    Finding { member: Some(member.clone()), ..finding(ground, place, &message, shown) }
}

/// How many tests there are to run, and how many are ignored, by member.
///
/// # Errors
/// With the reader's words, when it is no such list.
pub fn parse_list(json: &[u8]) -> Result<BTreeMap<MemberName, (usize, usize)>, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct List {
        rust_suites: BTreeMap<String, Suite>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Suite {
        package_name: MemberName,
        #[serde(default)]
        testcases: BTreeMap<String, Case>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Case {
        ignored: bool,
        filter_match: Match,
    }
    #[derive(Deserialize)]
    struct Match {
        status: String,
    }
    let list: List = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let mut counts: BTreeMap<MemberName, (usize, usize)> = BTreeMap::new();
    for suite in list.rust_suites.into_values() {
        let count = counts.entry(suite.package_name).or_default();
        count.0 += suite.testcases.values().filter(|case| case.filter_match.status == "matches").count();
        count.1 += suite.testcases.values().filter(|case| case.ignored).count();
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::super::ground::workspace;
    use super::*;

    #[test]
    fn a_report_tells_what_ran_failed_and_was_flaky() {
        let workspace = workspace(&["crates/a", "crates/b"]);
        let ground = Ground { workspace: &workspace, top: "/w" };
        let xml = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="3" failures="1" errors="0" uuid="585c85a4-4414-4a13-b4a2-16b12344fa24" timestamp="2026-11-21T02:25:07.783+00:00" time="0.123">
  <testsuite name="a::it" tests="2" disabled="0" errors="0" failures="1">
    <testcase name="t" classname="a::it" time="0.005"><flakyFailure message="x" type="y"/></testcase>
    <testcase name="bad" classname="a::it" time="0.1"><failure message="m" type="test failure with exit code 101">x</failure>
      <system-err>thread &apos;bad&apos; (7) panicked at crates/a/tests/it.rs:8:20:
assertion failed: false</system-err></testcase>
  </testsuite>
  <testsuite name="b" tests="1" disabled="0" errors="0" failures="0"><testcase name="u" classname="b" time="0.005"/></testsuite>
</testsuites>"#;
        let (ran, findings) = parse(ground, xml).unwrap();
        let a = &ran[&MemberName::from("a")];
        assert_eq!((a.tests, a.failed, a.flaky.as_slice()), (2, 1, &["t".to_owned()][..]));
        assert_eq!(ran[&MemberName::from("b")].tests, 1);
        let [bad] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!((bad.file.as_deref(), bad.line), (Some("crates/a/tests/it.rs"), Some(8)));
        assert_eq!(bad.message, "bad: assertion failed: false");
        assert!(parse(ground, "<testsuites").is_err());
    }

    #[test]
    fn a_list_tells_ignored_tests_apart() {
        let json = br#"{"rust-suites":{"a":{"package-name":"a","testcases":{
            "x":{"ignored":true,"filter-match":{"status":"mismatch","reason":"ignored"}},
            "y":{"ignored":false,"filter-match":{"status":"matches"}}}},
            "b":{"package-name":"b","testcases":{}}}}"#;
        let counts = parse_list(json).unwrap();
        assert_eq!((counts[&MemberName::from("a")], counts[&MemberName::from("b")]), ((1, 1), (0, 0)));
    }
}

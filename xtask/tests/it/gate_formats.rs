//! What a run leaves for machines: events, logs, JUnit, a trace, and commands for GitHub Actions.

use std::fs;

use serde_json::Value;

use crate::sandbox::Sandbox;

#[test]
fn a_run_leaves_a_folder_that_other_programs_can_read() {
    let sandbox = Sandbox::small();
    sandbox.replace("crates/c/src/lib.rs", "super::two(), 2", "super::two(), 3, \"<&\\u{1b}[31m]]>\\u{1}\"");
    sandbox.gate(&["--only", "test,clippy", "--keep-going"]).ends(1);
    let latest = sandbox.path("target/xtask/gate/latest");
    assert!(latest.is_symlink() && fs::read_link(&latest).unwrap().is_relative());
    let read = |name: &str| fs::read_to_string(latest.join(name)).unwrap();
    let events: Vec<Value> = read("events.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().all(|event| event["schema"] == 1 && event["reason"].is_string()));
    assert_eq!(events.first().unwrap()["reason"], "run-started");
    assert_eq!(
        (events.last().unwrap()["reason"].as_str(), events.last().unwrap()["exit"].as_i64()),
        (Some("run-finished"), Some(1))
    );
    let trace: Value = serde_json::from_str(&read("trace.json")).unwrap();
    let names: Vec<&str> = trace["traceEvents"].as_array().unwrap().iter().filter_map(|e| e["name"].as_str()).collect();
    assert!(names.contains(&"test") && names.contains(&"clippy"), "{names:?}");
    assert!(read("summary.md").contains("| test | failed("));
    assert!(read("logs/test.log").contains("assertion"));
    let junit = latest.join("junit.xml");
    let xml = fs::read_to_string(&junit).unwrap();
    assert!(xml.contains("<failure") && xml.contains("crates/c/src/lib.rs:16"), "{xml}");
    let script = "import sys, xml.dom.minidom as m; m.parse(sys.argv[1])";
    if let Ok(parsed) = std::process::Command::new("python3").args(["-c", script]).arg(&junit).output() {
        assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stderr));
    }
}

#[test]
fn nothing_that_a_tool_prints_gives_a_command_to_the_forge() {
    let sandbox = Sandbox::small();
    sandbox.replace(
        "crates/c/src/lib.rs",
        "super::two(), 2",
        "super::two(), 3, \"\\n::error::from the test\\n::set-env name=x::y\"",
    );
    sandbox.write(
        "crates/c/build.rs",
        "fn main() {\n    println!(\"cargo::warning=x\");\n    eprintln!(\"::error::from a script\");\n}\n",
    );
    let summary = sandbox.path("../summary.md");
    let mut command = sandbox.gating(&["--only", "test", "--format", "github", "-v"]);
    let output = command.env("GITHUB_STEP_SUMMARY", &summary).env("CI", "true").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stdout.contains("::error file=crates/c/src/lib.rs,line=16,"), "{stdout}");
    let mut stopped: Option<String> = None;
    for line in stdout.lines() {
        match &stopped {
            None => {
                if let Some(token) = line.strip_prefix("::stop-commands::") {
                    assert!(token.len() >= 16);
                    stopped = Some(format!("::{token}::"));
                } else {
                    assert!(
                        !line.trim_start().starts_with("::error::from") && !line.contains("set-env name"),
                        "{line}"
                    );
                }
            }
            Some(end) if line == end => stopped = None,
            Some(_) => {}
        }
    }
    assert_eq!(stopped, None, "commands are never on again");
    // The forge reads both streams.
    assert!(!stderr.lines().any(|line| line.trim_start().starts_with("::")), "{stderr}");
    assert!(fs::read_to_string(summary).unwrap().contains("test:c"));
}

#[test]
fn annotations_are_few_and_the_rest_is_counted() {
    let sandbox = Sandbox::small();
    let many: String = (0..15).map(|n| format!("    let x{n} = {n};\n")).collect();
    sandbox.append("crates/c/src/lib.rs", &format!("\n/// Many.\npub fn many() {{\n{many}}}\n"));
    let output = sandbox.gating(&["--only", "clippy", "--format", "github"]).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout.lines().filter(|line| line.starts_with("::warning ")).count(), 10, "{stdout}");
    assert!(stdout.contains("more of clippy"), "{stdout}");
}

#[test]
fn how_much_is_said() {
    let sandbox = Sandbox::small();
    let said = |arguments: &[&str], variables: &[(&str, &str)]| {
        let output = sandbox.gating(arguments).envs(variables.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stdout.is_empty());
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(said(&["--only", "fmt", "-q"], &[]), "");
    let verbose = said(&["--only", "fmt", "-v"], &[]);
    let key = verbose.lines().find_map(|line| line.trim().strip_prefix("key fmt ")).unwrap();
    assert!(sandbox.kept().contains(key), "{verbose}");
    assert!(verbose.contains("cached") && !verbose.contains('\u{1b}'), "{verbose}");
    assert!(said(&["--only", "fmt", "--color", "always"], &[]).contains("\u{1b}["));
    assert!(said(&["--only", "fmt"], &[("CARGO_TERM_COLOR", "always")]).contains("\u{1b}["));
    assert!(!said(&["--only", "fmt"], &[("CARGO_TERM_COLOR", "always"), ("NO_COLOR", "1")]).contains('\u{1b}'));
}

#[test]
fn old_runs_go() {
    let sandbox = Sandbox::small();
    for _ in 0..25 {
        sandbox.gate(&["--only", "fmt"]).ends(0);
    }
    let runs = fs::read_dir(sandbox.path("target/xtask/gate")).unwrap().count();
    assert!((20..=42).contains(&runs), "{runs}");
}

//! A gate that is killed or interrupted, and two at once: nothing is left running, and nothing wrong is kept.

use std::fs;
use std::process::{Child, Stdio};

use crate::gate_sandbox::{processes, signal, wait_until};
use crate::sandbox::Sandbox;

/// A workspace with a test that runs for a minute as a process of its own, whose arguments are returned.
fn slow(sandbox: &Sandbox, mark: u32) -> String {
    let mark = format!("{mark}.{}", std::process::id());
    let test = format!(
        "#[test]\nfn t() {{\n    if std::path::Path::new(\"../../../go\").exists() {{\n        panic!(\"bad\");\n    }}\n    \
         std::process::Command::new(\"sleep\").arg(\"{mark}\").status().unwrap();\n}}\n"
    );
    sandbox.write("crates/c/tests/it.rs", &test);
    mark
}

fn start(sandbox: &Sandbox, arguments: &[&str], mark: &str) -> Child {
    let mut command = sandbox.gating(arguments);
    let mut gate = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    if !wait_until(60, || !processes(mark).is_empty()) {
        gate.kill().ok();
        assert_eq!("the test", "does not start");
    }
    gate
}

fn killed(nextest: bool, number: u32) {
    let sandbox = Sandbox::small();
    if nextest && !sandbox.nextest() {
        return;
    }
    let mark = slow(&sandbox, number);
    let mut gate = start(&sandbox, &["--only", "test"], &mark);
    gate.kill().unwrap();
    gate.wait().unwrap();
    assert!(wait_until(5, || processes(&mark).is_empty()), "left behind: {:?}", processes(&mark));
    let top = sandbox.path("").display().to_string();
    assert!(wait_until(5, || processes(&top).is_empty()), "left behind: {:?}", processes(&top));
    assert!(sandbox.kept().is_empty());
    // The next one starts clean: what would fail now fails.
    sandbox.write("../go", "");
    let gated = sandbox.gate(&["--only", "test"]).ends(1);
    assert!(gated.verdict("test", "c").starts_with("failed("));
    assert!(!gated.stderr.contains("torn"), "{}", gated.stderr);
}

#[test]
fn a_gate_that_is_killed_leaves_nothing_behind() {
    killed(false, 63);
}

#[test]
fn a_gate_that_is_killed_leaves_nothing_of_nextest_behind() {
    killed(true, 64);
}

fn interrupted(nextest: bool, number: u32) {
    let sandbox = Sandbox::small();
    if nextest && !sandbox.nextest() {
        return;
    }
    let mark = slow(&sandbox, number);
    let gate = start(&sandbox, &["--only", "test,doctest", "--format", "json"], &mark);
    signal("INT", gate.id());
    let output = gate.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(wait_until(5, || processes(&mark).is_empty()), "left behind: {:?}", processes(&mark));
    let record: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |step: &str| {
        let outcomes = record["outcomes"].as_array().unwrap().iter();
        outcomes.filter(|o| o["step"] == step).map(|o| o["verdict"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let tests = of("test");
    assert!(tests.contains(&"interrupted".to_owned()) && !tests.contains(&"failed".to_owned()), "{tests:?}: {stderr}");
    assert_eq!(tests[2], "interrupted");
    assert_eq!(of("doctest"), ["not-run"; 3]);
    assert!(fs::read_to_string(sandbox.path("target/xtask/gate/latest/summary.md")).unwrap().contains("interrupted"));
    assert!(sandbox.gate(&["--plan"]).stdout.contains("\"state\":\"run\""));
}

#[test]
fn an_interrupt_is_a_verdict_of_its_own() {
    interrupted(false, 65);
}

#[test]
fn an_interrupt_ends_what_nextest_runs() {
    interrupted(true, 66);
}

#[test]
fn an_interrupt_does_not_forget_what_was_kept() {
    let sandbox = Sandbox::small();
    sandbox.gate(&["--only", "test"]).ends(0);
    let kept = sandbox.kept();
    sandbox.fake_cargo("'test --workspace'*) sleep 67.5;;");
    let mut command = sandbox.gating(&["--only", "test", "--no-cache"]);
    let gate = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let folder = sandbox.path("target/xtask/gate/latest/logs/test.log");
    assert!(wait_until(20, || fs::read_to_string(&folder)
        .is_ok_and(|log| log.contains("cargo") && processes("sleep 67.5").len() == 1)));
    signal("INT", gate.id());
    let output = gate.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(kept.is_subset(&sandbox.kept()), "an interrupt is no failure");
}

#[test]
fn two_gates_at_once_both_end_right() {
    let sandbox = Sandbox::small();
    sandbox.append("crates/b/src/lib.rs", "\n/// One.\npub fn one() {\n    let y = 1;\n}\n");
    let gates = [(); 2].map(|()| {
        sandbox
            .gating(&["--only", "clippy,test", "--keep-going"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    });
    for gate in gates {
        let output = gate.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("clippy:b failed(") && !stderr.contains("torn"), "{stderr}");
    }
    let gated = sandbox.gate(&["--only", "clippy,test", "--keep-going"]).ends(1);
    assert_eq!(gated.verdicts("test"), "cached cached cached");
    assert_eq!(gated.verdict("clippy", "a"), "cached");
    assert!(!gated.stderr.contains("torn"), "{}", gated.stderr);
}

#[test]
fn a_test_that_fails_ends_the_other_lane_without_blaming_it() {
    let sandbox = Sandbox::small();
    sandbox.fake_cargo("'clippy --workspace'*) sleep 68.5;;");
    sandbox.write("crates/c/tests/it.rs", "#[test]\nfn t() {\n    panic!(\"bad\");\n}\n");
    let gated = sandbox.gate(&["--only", "clippy,test", "-j", "2"]).ends(1);
    assert_eq!(gated.verdicts("clippy"), "not-run(test failed) not-run(test failed) not-run(test failed)");
    assert!(gated.verdict("test", "c").starts_with("failed("));
}

//! What is asked of a gate: names that are not there, policy that is wrong, the plan, and why.

use serde_json::Value;

use crate::gate_sandbox::Gated;
use crate::sandbox::Sandbox;

#[test]
fn a_step_or_member_that_is_not_there_is_answered_with_the_nearest() {
    let sandbox = Sandbox::small();
    sandbox.policy("[workspace.metadata.supercargo.gate.check.mine]\ncommand = [\"true\"]\n");
    for (arguments, near) in [
        (["--only", "clipy"], "--only clippy"),
        (["--skip", "tests"], "--skip test"),
        (["--why", "doctests"], "--why doctest"),
        (["--only", "mime"], "--only mine"),
        (["--why", "test:aa"], "test:a"),
        (["-p", "cc"], "gate -p c"),
    ] {
        sandbox.gate(&arguments).ends(2).says(near);
    }
    // A set of features that there is not is no step either, and a step that is off cannot be run.
    sandbox.gate(&["--only", "clippy(nope)"]).ends(2).says("nope");
    sandbox.gate(&["--skip", "clippy(nope)"]).ends(2).says("nope");
    sandbox.gate(&["--only", "semver"]).ends(2).says("enabled = true");
}

#[test]
fn faults_of_policy_are_told_together() {
    let sandbox = Sandbox::small();
    sandbox.policy(
        "[workspace.metadata.supercargo.gate]\nfeatuers = \"all\"\n[workspace.metadata.supercargo.gate.check.clipy]\n\
         enabled = false\n[workspace.metadata.supercargo.gate.check.mine]\ncommand = []\n\
         [workspace.metadata.supercargo.gate.check.fmt]\ntimeuot = \"3s\"\n",
    );
    let gated = sandbox.gate(&[]).ends(3);
    for words in ["`features`", "`clippy`", "the command is empty", "`timeout`"] {
        gated.says(words);
    }
    assert_eq!(gated.stdout, "");
}

#[test]
fn everything_left_out_is_no_verdict() {
    let sandbox = Sandbox::small();
    let gated = sandbox.gate(&["--skip", "fmt,clippy,test,doctest,doc"]).ends(4);
    assert_eq!(gated.verdicts("test"), "skipped(asked) skipped(asked) skipped(asked)");
    gated.says("there is no verdict");
    sandbox.gate(&["--workspace-steps", "--skip", "fmt"]).ends(4);
    // A base explains only what it leaves out itself.
    sandbox.append("crates/a/src/lib.rs", "// x\n");
    sandbox.gate(&["--base", "HEAD", "--workspace-steps", "--skip", "fmt"]).ends(4);
    sandbox.gate(&["--base", "HEAD", "--skip", "fmt,clippy,test,doctest,doc"]).ends(4);
}

#[test]
fn nothing_affected_is_good_and_says_so() {
    let sandbox = Sandbox::small();
    let gated = sandbox.gate(&["--base", "HEAD", "--skip", "fmt"]).ends(0);
    gated.says("nothing is affected since");
    assert!(gated.verdict("test", "a").starts_with("skipped(not affected since"));
    sandbox.append("crates/c/src/lib.rs", "// x\n");
    let gated = sandbox.gate(&["--base", "HEAD", "--only", "clippy"]).ends(0);
    assert!(gated.verdict("clippy", "b").starts_with("skipped(not affected since"));
    assert_eq!(gated.verdict("clippy", "c"), "passed");
    sandbox.gate(&["--base", "nowhere"]).ends(3);
}

#[test]
fn the_plan_is_what_is_run_and_accounted_for() {
    let sandbox = Sandbox::small();
    let planned = |sandbox: &Sandbox, arguments: &[&str]| -> Value {
        let output = sandbox.gating(arguments).args(["--plan", "--format", "json"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let subjects = |plan: &Value| {
        let steps = plan["steps"].as_array().unwrap().iter();
        let items = steps.flat_map(|step| {
            let id = step["id"].as_str().unwrap().to_owned();
            step["items"].as_array().unwrap().iter().map(move |item| (id.clone(), item["member"].to_string()))
        });
        items.collect::<Vec<_>>()
    };
    let accounted = |gated: &Gated| {
        let outcomes = gated.record["outcomes"].as_array().unwrap().iter();
        outcomes.map(|o| (o["step"].as_str().unwrap().to_owned(), o["member"].to_string())).collect::<Vec<_>>()
    };
    for arguments in [&["--only", "clippy:c"][..], &["-p", "c", "--skip", "test,doctest"], &["--workspace-steps"]] {
        let plan = planned(&sandbox, arguments);
        let gated = sandbox.gate(arguments).ends(0);
        let (mut plan, mut outcomes) = (subjects(&plan), accounted(&gated));
        plan.sort();
        outcomes.sort();
        assert_eq!(plan, outcomes, "{arguments:?}");
    }
    // A red run accounts for everything as well.
    sandbox.append("crates/a/src/lib.rs", "fn  x(){}\n");
    let plan = subjects(&planned(&sandbox, &[]));
    let gated = sandbox.gate(&[]).ends(1);
    assert_eq!(plan.len(), accounted(&gated).len());
    // Nothing is written by a plan.
    let text = sandbox.gating(&["--plan"]).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    for words in ["--workspace", "$ cargo clippy", "tests run with cargo test", "warnings are counted", "runs: "] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn why_says_what_changed() {
    let sandbox = Sandbox::small();
    let why = |step: &str| {
        let output = sandbox.gating(&["--why", step]).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(why("clippy:c").contains("it has not passed here yet"));
    sandbox.gate(&["--only", "clippy"]).ends(0);
    assert!(why("clippy:c").contains("cached"), "{}", why("clippy:c"));
    sandbox.append("crates/c/src/lib.rs", "// x\n");
    assert!(why("clippy:c").contains("fingerprint"), "{}", why("clippy:c"));
    assert!(why("clippy:a").contains("cached"));
}

#[test]
fn sets_of_features_are_steps_that_can_be_asked_for_by_name() {
    let sandbox = Sandbox::small();
    for member in ["a", "b", "c"] {
        sandbox.append(&format!("crates/{member}/Cargo.toml"), "\n[features]\nx = []\ny = []\n");
    }
    sandbox.replace("crates/b/src/lib.rs", "    2\n", "    #[cfg(feature = \"x\")]\n    let z = 3;\n    2\n");
    sandbox.policy("[workspace.metadata.supercargo.gate]\nfeatures = [[\"x\", \"y\"], []]\n");
    let gated = sandbox.gate(&["--only", "clippy", "--keep-going"]).ends(1);
    assert_eq!(gated.verdicts("clippy(default)"), "passed passed passed");
    assert_eq!(gated.verdict("clippy(x,y)", "b"), "failed(1 warning)");
    gated.says("crates/b/src/lib.rs:10");
    // The command that is printed is one that works, and finds the same.
    let line = gated.stderr.lines().find(|line| line.contains("rerun: ")).unwrap();
    let command = line.split_once("cargo xtask gate ").unwrap().1;
    let script = format!("exec \"$0\" gate {command} --format json");
    let mut again = sandbox.gating(&[]);
    let mut shell = sandbox.command("/bin/sh", &sandbox.path(""));
    shell.args(["-c", &script, env!("CARGO_BIN_EXE_xtask")]);
    shell.envs(again.env("X", "1").get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = shell.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("crates/b/src/lib.rs:10"));
}

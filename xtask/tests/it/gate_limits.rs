//! How long a result stands, how much runs at once, and checks that policy switches on.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::gate_sandbox::processes;
use crate::sandbox::Sandbox;

const MINE: &str = "[workspace.metadata.supercargo.gate.check.mine]\n";

#[test]
fn a_result_that_is_too_old_is_not_believed() {
    let sandbox = Sandbox::small();
    sandbox.policy(&format!("{MINE}command = [\"true\"]\nmax-age = \"1h\""));
    sandbox.gate(&["--only", "mine,fmt"]).ends(0);
    assert_eq!(sandbox.gate(&["--only", "mine"]).ends(0).verdict("mine", ""), "cached");
    for key in sandbox.kept() {
        let file = fs::File::options().write(true).open(sandbox.results().join(key)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(2 * 3600)).unwrap();
    }
    let gated = sandbox.gate(&["--only", "mine,fmt"]).ends(0);
    assert_eq!((gated.verdict("mine", "").as_str(), gated.verdict("fmt", "").as_str()), ("passed", "cached"));
}

#[test]
fn a_check_whose_globs_match_nothing_is_never_kept() {
    let sandbox = Sandbox::small();
    sandbox.policy(&format!("{MINE}command = [\"true\"]\ninputs = [\"no/such/*.file\"]"));
    for _ in 0..2 {
        assert_eq!(sandbox.gate(&["--only", "mine"]).ends(0).verdict("mine", ""), "passed");
    }
}

#[test]
fn keys_are_the_same_whatever_facts_are_at_hand() {
    let sandbox = Sandbox::small();
    sandbox.append(
        "crates/c/src/lib.rs",
        "\n#[test]\nfn named() {\n    assert!(std::env::var(\"GONE_BY_NOW\").is_err());\n}\n",
    );
    sandbox.gate(&["--only", "fmt,clippy"]).ends(0);
    sandbox.git(&["checkout", "--quiet", "--", "crates/c"]);
    sandbox.gate(&["--only", "fmt,clippy"]).ends(0);
    sandbox.remove("target/xtask/facts");
    let gated = sandbox.gate(&["--only", "fmt,clippy"]).ends(0);
    assert_eq!(gated.verdicts("clippy"), "cached cached cached");
    assert_eq!(gated.verdict("fmt", ""), "cached");
}

#[test]
fn one_lane_and_one_job_do_as_well() {
    let sandbox = Sandbox::small();
    sandbox.gate(&["--lanes", "1", "--jobs", "1"]).ends(0);
    sandbox.gate(&["--lanes", "3"]).ends(2);
    sandbox.gate(&["--jobs", "0"]).ends(2);
}

#[test]
fn a_dependency_that_does_not_compile_is_told_of_to_who_asks_for_its_user() {
    let sandbox = Sandbox::small();
    sandbox.replace("crates/a/src/lib.rs", "pub fn two() -> u32 {\n    2", "pub fn two() -> u32 {\n    nonsense()");
    for step in ["clippy", "test", "doctest"] {
        let gated = sandbox.gate(&["-p", "b", "--only", step]).ends(1);
        gated.says("crates/a/src/lib.rs:9");
        gated.says("rerun: cargo xtask gate -p b --only");
    }
}

#[test]
fn policy_cannot_make_a_warning_of_what_nobody_judged() {
    let sandbox = Sandbox::small();
    sandbox.policy("[workspace.metadata.supercargo.gate.check.clippy]\npolicy = \"warn\"\n");
    sandbox.append("crates/c/src/lib.rs", "\n/// One.\npub fn one() {\n    let y = 1;\n}\n");
    let gated = sandbox.gate(&["--only", "clippy"]).ends(0);
    assert!(gated.verdict("clippy", "c").starts_with("warned("));
    for said in ["exit 0", "kill -9 $$", "exit 7"] {
        sandbox.fake_cargo(&format!("'clippy --workspace'*) {said};;"));
        let gated = sandbox.gate(&["--only", "clippy"]).ends(1);
        assert!(gated.verdict("clippy", "c").starts_with("failed("), "{said}: {}", gated.verdicts("clippy"));
    }
}

#[test]
fn checks_that_policy_switches_on() {
    let sandbox = Sandbox::small();
    for check in ["unused-deps", "workflows", "msrv", "semver"] {
        sandbox.policy(&format!("[workspace.metadata.supercargo.gate.check.{check}]\nenabled = true\n"));
    }
    let version = "case \"$*\" in *--version*) echo 1.0.0; exit 0;; esac";
    sandbox.fake("cargo-machete", &format!("{version}\necho 'found'; exit 1"));
    sandbox
        .fake("zizmor", &format!("{version}\nprintf 'error[x]: bad\\n --> .github/workflows/x.yml:3:1\\n'; exit 14"));
    sandbox.fake(
        "rustup",
        &format!(
            "{version}\n[ \"$2\" = 1.60.0 ] || exit 0\necho \"error: toolchain '1.60.0' is not installed\"; exit 1"
        ),
    );
    sandbox.fake("cargo-semver-checks", &format!("{version}\nexit 0"));
    sandbox.write(".github/workflows/x.yml", "on: push\n");
    sandbox.replace("crates/a/Cargo.toml", "edition = \"2021\"", "edition = \"2021\"\nrust-version = \"1.60\"");
    sandbox.replace("crates/c/Cargo.toml", "edition = \"2021\"", "edition = \"2021\"\nrust-version = \"1.95\"");
    let gated = sandbox.gate(&["--only", "unused-deps,workflows,msrv,semver", "--keep-going"]).ends(1);
    assert_eq!(gated.verdict("unused-deps", ""), "failed(exit code 1)");
    gated.says(".github/workflows/x.yml:3: error[x]: bad");
    assert_eq!(
        ["a", "b", "c"].map(|member| gated.verdict("msrv", member)),
        [
            "failed(toolchain 1.60.0 is not installed; mend: rustup toolchain install 1.60.0)",
            "skipped(no rust-version)",
            "passed"
        ]
    );
    assert_eq!(gated.verdict("semver", "a"), "passed");
    // What it compares with lies in a registry, and moves.
    assert_eq!(sandbox.gate(&["--only", "semver"]).ends(0).verdict("semver", "a"), "passed");
}

#[test]
fn hooks_of_all_repositories_are_left_alone() {
    let sandbox = Sandbox::small();
    let elsewhere = sandbox.path("../hooks");
    fs::create_dir(&elsewhere).unwrap();
    sandbox.git(&["config", "--global", "core.hooksPath", elsewhere.to_str().unwrap()]);
    sandbox.gate(&["--install-hook"]).ends(3).says("other repositories");
    assert!(fs::read_dir(&elsewhere).unwrap().next().is_none());
}

#[test]
fn a_gate_that_is_asked_to_end_tells_what_became_of_it() {
    let sandbox = Sandbox::small();
    let mark = format!("sleep 64.{}", std::process::id());
    sandbox.policy(&format!("{MINE}command = [\"sh\", \"-c\", \"{mark}\"]"));
    let mut gate = sandbox.gating(&["--only", "mine"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    assert!(crate::gate_sandbox::wait_until(20, || !processes(&mark).is_empty()));
    crate::gate_sandbox::signal("TERM", gate.id());
    assert_eq!(gate.wait().unwrap().code(), Some(130));
    let summary = fs::read_to_string(sandbox.path("target/xtask/gate/latest/summary.md")).unwrap();
    assert!(summary.contains("interrupted"), "{summary}");
    assert!(crate::gate_sandbox::wait_until(5, || processes(&mark).is_empty()));
}

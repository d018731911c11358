//! Results that are kept: believed when all that they depend on is the same, and only then.

use std::fs;
use std::os::unix::fs::symlink;

use crate::gate_sandbox::library;
use crate::sandbox::Sandbox;

const CODE: &str = "fmt,clippy,test,doctest,doc";

#[test]
fn nothing_changed_is_cached_and_one_edit_runs_whom_it_reaches() {
    let sandbox = Sandbox::small();
    sandbox.gate(&[]).ends(0);
    let gated = sandbox.gate(&[]).ends(0);
    assert_eq!(gated.verdict("fmt", ""), "cached");
    for step in ["clippy", "test", "doctest", "doc"] {
        assert_eq!(gated.verdicts(step), "cached cached cached", "{step}");
    }
    sandbox.append("crates/b/src/lib.rs", "// x\n");
    let gated = sandbox.gate(&[]).ends(0);
    for step in ["clippy", "test", "doctest", "doc"] {
        assert_eq!(gated.verdicts(step), "cached passed cached", "{step}");
    }
    sandbox.append("crates/a/src/lib.rs", "// x\n");
    assert_eq!(sandbox.gate(&["--only", "test"]).ends(0).verdicts("test"), "passed passed cached");
    // What was good before is good again.
    sandbox.git(&["checkout", "--quiet", "."]);
    assert_eq!(sandbox.gate(&["--only", CODE]).ends(0).verdicts("test"), "cached cached cached");
    assert_eq!(sandbox.gate(&["--only", "test"]).verdicts("clippy"), "skipped(asked) skipped(asked) skipped(asked)");
}

#[test]
fn a_sibling_that_drops_a_feature_turns_a_member_red_whose_files_did_not_change() {
    let sandbox = Sandbox::small();
    // `a` has a feature that only `b` asks for, and that `c` needs without saying so.
    sandbox.append("crates/a/Cargo.toml", "\n[features]\nextra = []\n");
    sandbox.append("crates/a/src/lib.rs", "");
    sandbox.replace(
        "crates/a/src/lib.rs",
        "#[cfg(test)]\nmod",
        "/// Three.\n#[cfg(feature = \"extra\")]\npub fn three() {}\n\n#[cfg(test)]\nmod",
    );
    sandbox.replace("crates/b/Cargo.toml", "path = \"../a\"", "path = \"../a\", features = [\"extra\"]");
    sandbox.append("crates/c/Cargo.toml", "\n[dependencies]\na = { path = \"../a\" }\n");
    sandbox.write("crates/c/src/lib.rs", &library("c").replace("    2\n}", "    a::three();\n    2\n}"));
    sandbox.cargo(&["generate-lockfile", "--offline"]);
    sandbox.gate(&["--only", CODE]).ends(0);
    assert_eq!(sandbox.gate(&["--only", CODE]).ends(0).verdict("clippy", "c"), "cached");
    sandbox.replace("crates/b/Cargo.toml", ", features = [\"extra\"]", "");
    for step in ["clippy", "test", "doctest"] {
        let gated = sandbox.gate(&["--only", step]).ends(1);
        assert!(gated.verdict(step, "c").starts_with("failed("), "{step}: {}", gated.verdicts(step));
    }
    // Alone, it never compiled.
    sandbox.replace("crates/b/Cargo.toml", "path = \"../a\"", "path = \"../a\", features = [\"extra\"]");
    sandbox.gate(&["--only", "clippy"]).ends(0);
    sandbox.gate(&["-p", "c", "--only", "clippy"]).ends(1);
}

#[test]
fn foreign_and_torn_files_are_ignored_and_said_once() {
    let sandbox = Sandbox::small();
    sandbox.gate(&["--only", "clippy"]).ends(0);
    let files = || fs::read_dir(sandbox.results()).unwrap().flatten().map(|file| file.path());
    for (n, file) in files().enumerate() {
        let text = fs::read(&file).unwrap();
        match n % 3 {
            0 => fs::write(&file, &text[..text.len() / 2]).unwrap(),
            1 => fs::write(&file, [0xff, 0, 3]).unwrap(),
            _ => fs::write(&file, "").unwrap(),
        }
    }
    sandbox.write("target/xtask/results/garbage", "x");
    sandbox.write("target/xtask/durations.json", "{");
    fs::create_dir(sandbox.results().join("0".repeat(64))).unwrap();
    let gated = sandbox.gate(&["--only", "clippy"]).ends(0);
    assert_eq!(gated.verdicts("clippy"), "passed passed passed");
    assert_eq!(gated.stderr.matches("torn or not ours").count(), 1, "{}", gated.stderr);
    let gated = sandbox.gate(&["--only", "clippy"]).ends(0);
    assert_eq!(gated.verdicts("clippy"), "cached cached cached");
}

#[test]
fn a_result_under_another_name_is_not_believed() {
    let sandbox = Sandbox::small();
    sandbox.gate(&["--only", "clippy,fmt,test"]).ends(0);
    let kept = sandbox.kept();
    sandbox.append("crates/c/src/lib.rs", "\n/// One.\npub fn one() {\n    let y = 1;\n}\n");
    let plan = sandbox.gating(&["--plan", "--format", "json"]).output().unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).unwrap();
    let steps = plan["steps"].as_array().unwrap();
    let items = &steps.iter().find(|step| step["id"] == "clippy").unwrap()["items"];
    let key = items[2]["key"].as_str().unwrap();
    assert!(!kept.contains(key));
    // Whatever was kept, of whichever step and member, it is not this one's.
    for other in &kept {
        fs::copy(sandbox.results().join(other), sandbox.results().join(key)).unwrap();
        let gated = sandbox.gate(&["--only", "clippy"]);
        assert_eq!(gated.code, Some(1), "a false green with the result {other}: {}", gated.verdict("clippy", "c"));
        fs::remove_file(sandbox.results().join(key)).ok();
    }
}

#[test]
fn a_cache_that_lied_is_found_out() {
    let sandbox = Sandbox::small();
    sandbox.write("../out.txt", "ok\n");
    let path = "[\"..\", \"..\", \"..\", \"out.txt\"].join(\"/\")";
    let test =
        format!("#[test]\nfn t() {{\n    assert_eq!(std::fs::read_to_string({path}).unwrap(), \"ok\\n\");\n}}\n");
    sandbox.write("crates/c/tests/it.rs", &test);
    sandbox.gate(&["--only", "test"]).ends(0);
    sandbox.write("../out.txt", "bad\n");
    let gated = sandbox.gate(&["--only", "test", "--no-cache"]).ends(1);
    gated.says("was kept as passed and is not now");
    assert_eq!(gated.verdict("test", "a"), "passed");
    // What lied is forgotten.
    sandbox.gate(&["--only", "test"]).ends(1);
}

#[test]
fn a_doctest_that_was_kept_and_is_seen_to_fail_is_red() {
    let sandbox = Sandbox::small();
    let mark = sandbox.path("../mark").display().to_string();
    let parts: Vec<&str> = mark.split('/').collect();
    sandbox.write("../mark", "ok\n");
    sandbox.append(
        "crates/b/src/lib.rs",
        &format!("\n/// T.\n///\n/// ```\n/// let path = {parts:?}.join(\"/\");\n/// assert_eq!(std::fs::read_to_string(path).unwrap(), \"ok\\n\");\n/// ```\npub fn t() {{}}\n"),
    );
    sandbox.gate(&["--only", "doctest"]).ends(0);
    sandbox.write("../mark", "bad\n");
    sandbox.append("crates/c/src/lib.rs", "// x\n");
    let gated = sandbox.gate(&["--only", "doctest"]);
    assert_eq!(gated.code, Some(1), "cargo test --doc failed, and it is green:\n{}", gated.stderr);
}

#[test]
fn results_that_cannot_be_kept_cost_time_and_nothing_else() {
    for nextest in [false, true] {
        let sandbox = Sandbox::small();
        if nextest && !sandbox.nextest() {
            return;
        }
        fs::create_dir_all(sandbox.path("target/xtask")).unwrap();
        // Nobody, root neither, may write there.
        symlink("/proc/self", sandbox.results()).unwrap();
        for _ in 0..2 {
            let gated = sandbox.gate(&["--only", "test,fmt"]).ends(0);
            assert_eq!(gated.verdicts("test"), "passed passed passed");
            gated.says("results cannot be kept");
        }
        sandbox.append("crates/c/src/lib.rs", "fn x( ) {}\n");
        sandbox.gate(&["--only", "fmt"]).ends(1);
        // The same for the folder of the run.
        sandbox.git(&["checkout", "--quiet", "."]);
        sandbox.remove("target/xtask/gate");
        symlink("/proc/self", sandbox.path("target/xtask/gate")).unwrap();
        let gated = sandbox.gate(&["--only", "test,fmt"]).ends(0);
        assert_eq!(gated.verdicts("test"), "passed passed passed");
        gated.says("the folder of this run cannot be kept");
    }
}

#[test]
fn an_own_check_runs_again_when_what_it_reads_changes() {
    let sandbox = Sandbox::small();
    sandbox.write("data/x.csv", "ok\n");
    sandbox.policy(
        "[workspace.metadata.supercargo.gate.check.mine]\ncommand = [\"grep\", \"-q\", \"ok\", \"data/x.csv\"]\n\
         inputs = [\"data/**\"]\n[workspace.metadata.supercargo.gate.check.wide]\ncommand = [\"true\"]\n",
    );
    sandbox.gate(&["--only", "mine,wide"]).ends(0);
    sandbox.append("crates/a/src/lib.rs", "// x\n");
    let gated = sandbox.gate(&["--only", "mine,wide"]).ends(0);
    assert_eq!([gated.verdict("mine", ""), gated.verdict("wide", "")], ["cached", "passed"]);
    sandbox.write("data/x.csv", "bad\n");
    sandbox.gate(&["--only", "mine"]).ends(1);
    sandbox.write("data/x.csv", "ok\n");
    assert_eq!(sandbox.gate(&["--only", "mine"]).ends(0).verdict("mine", ""), "cached");
    sandbox.append("Cargo.toml", "args = [\"x\"]\n");
    assert_eq!(sandbox.gate(&["--only", "wide"]).ends(0).verdict("wide", ""), "passed");
}

#[test]
fn an_own_check_whose_inputs_git_ignores_is_not_believed() {
    let sandbox = Sandbox::small();
    sandbox.append(".gitignore", "/data/\n");
    sandbox.write("data/x.csv", "ok\n");
    sandbox.policy(
        "[workspace.metadata.supercargo.gate.check.mine]\ncommand = [\"grep\", \"-q\", \"ok\", \"data/x.csv\"]\n\
         inputs = [\"data/**\"]\n",
    );
    sandbox.gate(&["--only", "mine"]).ends(0);
    sandbox.write("data/x.csv", "bad\n");
    sandbox.gate(&["--only", "mine"]).ends(1);
}

#[test]
fn an_own_script_that_changes_runs_again() {
    let sandbox = Sandbox::small();
    sandbox.fake("mytool", "exit 0");
    sandbox.policy("[workspace.metadata.supercargo.gate.check.mine]\ncommand = [\"mytool\"]\n");
    sandbox.gate(&["--only", "mine"]).ends(0);
    assert_eq!(sandbox.gate(&["--only", "mine"]).ends(0).verdict("mine", ""), "cached");
    sandbox.fake("mytool", "exit 7");
    sandbox.gate(&["--only", "mine"]).ends(1);
}

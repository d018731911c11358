//! What breaks is told so that it can be mended: check, member, file and line, and the command that runs just that.

use crate::gate_sandbox::Gated;
use crate::sandbox::Sandbox;

/// The last screen names all of `words`, and the command that it gives finds the same.
#[track_caller]
fn mendable(sandbox: &Sandbox, arguments: &[&str], words: &[&str]) -> Gated {
    let gated = sandbox.gate(arguments).ends(1);
    let screen = gated.stderr.rsplit_once("verdict\n").unwrap().1.to_owned();
    for word in words {
        assert!(screen.contains(word), "`{word}` is not in: {screen}");
    }
    let line = screen.lines().find(|line| line.contains("rerun: ")).unwrap();
    let command: Vec<&str> = line.split_once("cargo xtask gate ").unwrap().1.split(' ').collect();
    let again = sandbox.gate(&command).ends(1);
    for word in words {
        assert!(again.stderr.contains(word), "`{word}` is not in: {}", again.stderr);
    }
    gated
}

#[test]
fn formatting() {
    let sandbox = Sandbox::small();
    sandbox.append("crates/c/src/lib.rs", "/// X.\npub fn  x() {}\n");
    mendable(&sandbox, &[], &["fmt failed(1 file to format)", "crates/c/src/lib.rs:", "cargo fmt --all"]);
    sandbox.append("crates/c/src/lib.rs", "pub fn (\n");
    mendable(&sandbox, &["--only", "fmt"], &["fmt failed(", "crates/c/src/lib.rs:21"]);
}

#[test]
fn a_lint() {
    let sandbox = Sandbox::small();
    sandbox.replace("crates/c/src/lib.rs", "    2\n", "    return 2;\n");
    let gated = mendable(&sandbox, &["--keep-going"], &["clippy:c failed(1 warning)", "crates/c/src/lib.rs:9: "]);
    assert_eq!(gated.verdicts("test"), "passed passed passed");
    assert_eq!(gated.verdict("clippy", "a"), "passed");
    // A result that is not good is not kept.
    sandbox.gate(&["--only", "clippy"]).ends(1);
}

#[test]
fn an_error_and_those_that_wait_for_it() {
    let sandbox = Sandbox::small();
    sandbox.replace("crates/a/src/lib.rs", "    2\n", "    nosuch()\n");
    let gated = mendable(&sandbox, &["--only", "clippy"], &["clippy:a failed(1 error)", "crates/a/src/lib.rs:9: "]);
    assert_eq!([gated.verdict("clippy", "b"), gated.verdict("clippy", "c")], ["not-run(a failed)", "passed"]);
    let gated = sandbox.gate(&["--only", "test"]).ends(1);
    assert_eq!(gated.verdict("test", "a"), "failed(its tests do not compile)");
    assert_eq!(gated.verdict("test", "b"), "not-run(a does not compile)");
    let gated = sandbox.gate(&["--only", "doctest"]).ends(1);
    assert!(gated.verdict("doctest", "a").starts_with("failed("), "{}", gated.verdicts("doctest"));
    assert!(!gated.verdicts("doctest").contains("passed passed"));
}

#[test]
fn a_test() {
    for nextest in [false, true] {
        let sandbox = Sandbox::small();
        if nextest && !sandbox.nextest() {
            return;
        }
        sandbox.replace("crates/c/src/lib.rs", "super::two(), 2", "super::two(), 3");
        let gated = mendable(&sandbox, &["--only", "test"], &["test:c failed(1 of 1 test", "crates/c/src/lib.rs:16: "]);
        assert_eq!(gated.verdict("test", "a"), "passed");
        assert_eq!(sandbox.gate(&["--only", "test"]).ends(1).verdicts("test").split(' ').next(), Some("cached"));
    }
}

#[test]
fn a_doctest() {
    let sandbox = Sandbox::small();
    sandbox.replace("crates/c/src/lib.rs", "c::two(), 2", "c::two(), 3");
    let gated = mendable(
        &sandbox,
        &["--keep-going"],
        &["doctest:c failed(1 of 1 doctest failed)", "crates/c/src/lib.rs:5: ", "assertion `left == right` failed"],
    );
    assert_eq!([gated.verdict("doctest", "a"), gated.verdict("doctest", "b")], ["passed", "passed"]);
    sandbox.replace("crates/c/src/lib.rs", "c::two(), 3", "nosuch(");
    mendable(&sandbox, &["--only", "doctest"], &["doctest:c failed(", "crates/c/src/lib.rs:5: "]);
}

#[test]
fn documentation() {
    let sandbox = Sandbox::small();
    sandbox.replace("crates/c/src/lib.rs", "/// Two.\n", "/// Two, see [`nosuch`].\n");
    mendable(&sandbox, &["--only", "doc"], &["doc:c failed(1 warning)", "crates/c/src/lib.rs:3: "]);
    sandbox.gate(&["--only", "doc"]).ends(1);
}

#[test]
fn a_member_of_its_own_selection_is_rerun_as_it_ran() {
    let sandbox = Sandbox::small();
    // `c` compiles only beside `b`, which asks for the feature.
    sandbox.append("crates/a/Cargo.toml", "\n[features]\nextra = []\n");
    sandbox.replace(
        "crates/a/src/lib.rs",
        "#[cfg(test)]\nmod",
        "/// T.\n#[cfg(feature = \"extra\")]\npub fn three() {}\n\n#[cfg(test)]\nmod",
    );
    sandbox.replace("crates/b/Cargo.toml", "path = \"../a\"", "path = \"../a\", features = [\"extra\"]");
    sandbox.append("crates/c/Cargo.toml", "\n[dependencies]\na = { path = \"../a\" }\n");
    sandbox.replace("crates/c/src/lib.rs", "    2\n}", "    a::three();\n    2\n}");
    sandbox.cargo(&["generate-lockfile", "--offline"]);
    mendable(&sandbox, &["-p", "c", "--only", "clippy"], &["clippy:c failed(1 error)", "crates/c/src/lib.rs:9"]);
}

#[test]
fn a_test_that_passes_when_tried_again_is_flaky_and_not_kept() {
    let sandbox = Sandbox::small();
    if !sandbox.nextest() {
        return;
    }
    sandbox.write(".config/nextest.toml", "[profile.default]\nretries = 2\n");
    let count = sandbox.path("../count").display().to_string();
    let test = format!(
        "#[test]\nfn t() {{\n    let path = {:?}.join(\"/\");\n    let tried = std::fs::read(&path).unwrap_or_default().len();\n    \
         std::fs::write(&path, \"x\".repeat(tried + 1)).unwrap();\n    assert_eq!(tried % 2, 1);\n}}\n",
        count.split('/').collect::<Vec<_>>()
    );
    sandbox.write("crates/c/tests/it.rs", &test);
    for _ in 0..2 {
        let gated = sandbox.gate(&["--only", "test"]).ends(0);
        assert_eq!(gated.verdict("test", "c"), "flaky(t)");
        gated.says("flaky");
        assert_eq!(sandbox.kept().len(), 2);
    }
}

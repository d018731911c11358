//! Workspaces that are not like the others: without tests, libraries or a lockfile that is up to date.

use crate::gate_sandbox::{library, toolchain};
use crate::sandbox::Sandbox;

#[test]
fn a_workspace_without_tests() {
    for nextest in [false, true] {
        let sandbox = Sandbox::small();
        if nextest && !sandbox.nextest() {
            return;
        }
        for member in ["a", "b", "c"] {
            sandbox.write(&format!("crates/{member}/src/lib.rs"), "//! Docs.\n");
        }
        let none = "skipped(no tests) skipped(no tests) skipped(no tests)";
        let gated = sandbox.gate(&["--only", "test,doctest"]).ends(4);
        assert_eq!([gated.verdicts("test"), gated.verdicts("doctest")], [none, none]);
        // Kept, it is still no verdict.
        let gated = sandbox.gate(&["--only", "test,doctest"]).ends(4);
        assert_eq!(gated.verdicts("test"), none);
        sandbox.write("crates/a/tests/it.rs", "#[test]\n#[ignore]\nfn t() {}\n");
        let gated = sandbox.gate(&["--only", "test"]).ends(4);
        assert_eq!(gated.verdict("test", "a"), "skipped(no tests: 1 ignored)");
        sandbox.write("crates/a/tests/it.rs", "#[test]\nfn t() {}\n");
        assert_eq!(sandbox.gate(&["--only", "test"]).ends(0).verdict("test", "a"), "passed");
    }
}

#[test]
fn a_member_with_nothing_but_a_program() {
    let sandbox = Sandbox::small();
    sandbox.remove("crates/c/src/lib.rs");
    sandbox.write("crates/c/src/main.rs", "//! Docs.\n\nfn main() {}\n\n#[test]\nfn t() {}\n");
    let gated = sandbox.gate(&[]).ends(0);
    assert_eq!(gated.verdict("doctest", "c"), "skipped(no library)");
    assert_eq!(gated.verdict("test", "c"), "passed");
    let gated = sandbox.gate(&["-p", "c", "--no-cache"]).ends(0);
    assert_eq!(gated.verdict("test", "c"), "passed");
    assert_eq!(gated.verdict("fmt", ""), "");
    let output = sandbox.gating(&["-p", "c", "--plan", "--no-cache"]).output().unwrap();
    let plan = String::from_utf8(output.stdout).unwrap();
    assert!(!plan.contains("--lib") && plan.contains("-p c"), "{plan}");
}

#[test]
fn a_member_that_is_excluded() {
    let sandbox = Sandbox::small();
    sandbox.replace("Cargo.toml", "members = [\"crates/*\"]", "members = [\"crates/*\"]\nexclude = [\"crates/c\"]");
    sandbox.append("crates/c/src/lib.rs", "fn x() {\n    nosuch()\n}\n");
    sandbox.cargo(&["generate-lockfile", "--offline"]);
    let gated = sandbox.gate(&[]).ends(0);
    assert_eq!(gated.verdict("clippy", "c"), "");
    sandbox.gate(&["-p", "c"]).ends(2).says("no member `c`");
}

#[test]
fn a_lockfile_that_is_out_of_date() {
    let sandbox = Sandbox::small();
    sandbox.gate(&["--only", "clippy"]).ends(0);
    sandbox.append("crates/c/Cargo.toml", "\n[dependencies]\na = { path = \"../a\" }\n");
    for arguments in [&[][..], &["--plan"], &["-p", "c"]] {
        let gated = sandbox.gate(arguments).ends(3);
        gated.says("Cargo.lock");
        gated.says("mend: cargo ");
        assert_eq!(gated.stdout, "");
    }
}

#[test]
fn a_lockfile_that_git_does_not_have() {
    let sandbox = Sandbox::small();
    sandbox.append(".gitignore", "Cargo.lock\n");
    sandbox.git(&["rm", "--quiet", "--cached", "Cargo.lock"]);
    sandbox.remove("Cargo.lock");
    sandbox.commit("no lock");
    sandbox.gate(&["--only", "clippy,fmt"]).ends(0);
    let gated = sandbox.gate(&["--only", "clippy,fmt"]).ends(0);
    assert_eq!(gated.verdicts("clippy"), "cached cached cached");
}

#[test]
fn a_shallow_clone() {
    let sandbox = Sandbox::small();
    sandbox.commit("more");
    let clone = sandbox.path("../clone");
    let url = format!("file://{}", sandbox.path("").canonicalize().unwrap().display());
    sandbox.git(&["clone", "--quiet", "--depth", "1", &url, clone.to_str().unwrap()]);
    let gate = |arguments: &[&str]| {
        let output = sandbox.gating(arguments).current_dir(&clone).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(gate(&["--only", "clippy,fmt"]).0, Some(0));
    let (code, stderr) = gate(&["--base", "HEAD~1"]);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("mend: "), "{stderr}");
    // Another workspace, by its manifest.
    let manifest = clone.join("Cargo.toml");
    let gated = sandbox.gate(&["--only", "clippy", "--manifest-path", manifest.to_str().unwrap()]).ends(0);
    assert_eq!(gated.verdicts("clippy"), "cached cached cached");
}

#[test]
fn targets_that_need_features_are_said_not_to_be_seen() {
    let sandbox = Sandbox::small();
    sandbox.remove("crates/c/src/lib.rs");
    sandbox.write("crates/c/src/main.rs", "//! Docs.\n\nfn main() {\n    let y = 1;\n}\n");
    sandbox.append(
        "crates/c/Cargo.toml",
        "\n[features]\nx = []\n\n[[bin]]\nname = \"c\"\npath = \"src/main.rs\"\nrequired-features = [\"x\"]\n",
    );
    let gated = sandbox.gate(&["--only", "clippy"]).ends(0);
    assert_eq!(gated.verdict("clippy", "c"), "skipped(its targets need features that are not on)");
    sandbox.policy("[workspace.metadata.supercargo.gate]\nfeatures = \"all\"\n");
    sandbox.gate(&["--only", "clippy"]).ends(1);
}

#[test]
fn tests_run_as_cargo_would_run_them() {
    let sandbox = Sandbox::small();
    sandbox.write(
        "crates/c/tests/it.rs",
        "#[test]\nfn t() {\n    assert!(std::path::Path::new(\"src/main.rs\").exists());\n    \
         assert_eq!(env!(\"CARGO_MANIFEST_DIR\"), std::env::var(\"CARGO_MANIFEST_DIR\").unwrap());\n    \
         assert!(std::path::Path::new(env!(\"CARGO_TARGET_TMPDIR\")).is_dir());\n    \
         assert!(std::process::Command::new(env!(\"CARGO_BIN_EXE_c\")).status().unwrap().success());\n}\n",
    );
    sandbox.write("crates/c/src/main.rs", "//! Docs.\n\nfn main() {}\n");
    sandbox.write("crates/c/src/lib.rs", &library("c"));
    sandbox.gate(&["--only", "test"]).ends(0);
    // As a plain cargo does.
    let cargo = toolchain().join("cargo");
    let mut plain = sandbox.command(cargo.to_str().unwrap(), &sandbox.path(""));
    assert!(plain.args(["test", "--workspace"]).output().unwrap().status.success());
}

//! The environment of children: what counts, what they do not get, and what is never written down.

use std::fs;
use std::path::Path;

use crate::sandbox::Sandbox;

/// A test in member `c` that holds as long as a variable is set.
fn wants(sandbox: &Sandbox, expression: &str) {
    sandbox.write("crates/c/tests/it.rs", &format!("#[test]\nfn t() {{\n    assert!({expression});\n}}\n"));
}

#[test]
fn a_variable_that_was_set_when_the_result_was_kept_and_is_unset_now() {
    for (name, expression) in [
        ("FOO_A", "std::env::var(\"FOO_A\").is_ok()"),
        ("FOO_B", "option_env!(\"FOO_B\").is_some()"),
        ("FOO_C", "std::env::var_os(\"FOO_C\").is_some()"),
        // Such as all children get count where code names them.
        ("TZ", "std::env::var(\"TZ\").is_ok()"),
        ("XDG_DATA_HOME", "std::env::var(\"XDG_DATA_HOME\").is_ok()"),
        ("LC_ALL", "std::env::var(\"LC_ALL\").is_ok()"),
    ] {
        let sandbox = Sandbox::small();
        wants(&sandbox, expression);
        let set = [(name, "C")];
        sandbox.gate_with(&["--only", "test"], &set).ends(0);
        let gated = sandbox.gate_with(&["--only", "test"], &set).ends(0);
        assert_eq!(gated.verdict("test", "c"), "cached");
        let gated = sandbox.gate(&["--only", "test"]);
        assert_eq!(gated.code, Some(1), "${name}: a false green\n{}", gated.stderr);
        assert!(gated.verdict("test", "c").starts_with("failed("));
    }
}

#[test]
fn a_variable_that_a_build_script_watches() {
    let sandbox = Sandbox::small();
    sandbox.write(
        "crates/c/build.rs",
        "fn main() {\n    println!(\"cargo:rerun-if-env-changed=FOO_D\");\n    let name = [\"FOO\", \"D\"].join(\"_\");\n    \
         assert!(std::env::var(name).is_ok());\n}\n",
    );
    sandbox.gate_with(&["--only", "clippy"], &[("FOO_D", "1")]).ends(0);
    sandbox.gate(&["--only", "clippy"]).ends(1);
}

#[test]
fn what_nobody_names_is_not_passed_and_what_policy_passes_counts() {
    let sandbox = Sandbox::small();
    wants(&sandbox, "std::env::var([\"HIDDEN\", \"X\"].join(\"_\")).is_err()");
    let gated = sandbox.gate_with(&["--only", "test"], &[("HIDDEN_X", "1")]).ends(0);
    assert_eq!(gated.verdict("test", "c"), "passed");
    // It changes nothing, so it is no reason to run again.
    assert_eq!(sandbox.gate(&["--only", "test"]).ends(0).verdicts("test"), "cached cached cached");
    sandbox.policy("[workspace.metadata.supercargo.gate]\npass-env = [\"HIDDEN_*\"]\n");
    sandbox.gate(&["--only", "test"]).ends(0);
    sandbox.gate_with(&["--only", "test"], &[("HIDDEN_X", "1")]).ends(1);
}

#[test]
fn flags_count() {
    let sandbox = Sandbox::small();
    wants(&sandbox, "!cfg!(extra)");
    sandbox.append("crates/c/Cargo.toml", "\n[lints.rust]\nunexpected_cfgs = \"allow\"\n");
    sandbox.gate(&["--only", "test"]).ends(0);
    sandbox.gate_with(&["--only", "test"], &[("RUSTFLAGS", "--cfg extra")]).ends(1);
    assert_eq!(sandbox.gate(&["--only", "test"]).ends(0).verdict("test", "c"), "cached");
    // The same by configuration that git ignores.
    sandbox.append(".git/info/exclude", "/.cargo/\n");
    sandbox.write(".cargo/config.toml", "[build]\nrustflags = [\"--cfg\", \"extra\"]\n");
    sandbox.gate(&["--only", "test"]).ends(1);
}

#[test]
fn configuration_that_configuration_includes_counts() {
    let sandbox = Sandbox::small();
    wants(&sandbox, "!cfg!(extra)");
    sandbox.append("crates/c/Cargo.toml", "\n[lints.rust]\nunexpected_cfgs = \"allow\"\n");
    sandbox.append(".git/info/exclude", "/.cargo/\n");
    sandbox.write(".cargo/config.toml", "include = [\"more.toml\"]\n");
    sandbox.write(".cargo/more.toml", "");
    sandbox.gate(&["--only", "test"]).ends(0);
    sandbox.write(".cargo/more.toml", "[build]\nrustflags = [\"--cfg\", \"extra\"]\n");
    sandbox.gate(&["--only", "test"]).ends(1);
}

#[test]
fn a_secret_is_never_written_down() {
    let sandbox = Sandbox::small();
    let secret = "hunter2-correct-horse";
    sandbox.policy("[workspace.metadata.supercargo.gate]\npass-env = [\"MY_TOKEN\"]\n");
    wants(&sandbox, "std::env::var(\"MY_TOKEN\").unwrap().len() == 3");
    for arguments in [&["-v"][..], &["--plan"], &["--why", "test"]] {
        let gated = sandbox.gate_with(arguments, &[("MY_TOKEN", secret)]);
        assert!(!gated.stdout.contains(secret) && !gated.stderr.contains(secret), "{arguments:?}");
    }
    assert_eq!(holding(&sandbox.path("target/xtask"), secret), [""; 0]);
}

/// The files below a folder that hold a text, but for what compilers make.
fn holding(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_symlink() || path.ends_with("lint") {
            continue;
        }
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(text) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn what_cargo_sets_for_us_does_not_make_it_build_anew() {
    let sandbox = Sandbox::small();
    sandbox.write(
        "crates/c/build.rs",
        "fn main() {\n    println!(\"cargo:rerun-if-env-changed=CARGO_MANIFEST_DIR\");\n}\n",
    );
    let mut command = sandbox.gating(&["--only", "test"]);
    let cargos =
        [("CARGO_MANIFEST_DIR", "/x"), ("CARGO_PKG_NAME", "xtask"), ("OUT_DIR", "/y"), ("CARGO_MAKEFLAGS", "-j1")];
    assert!(command.envs(cargos).output().unwrap().status.success());
    let mut plain =
        sandbox.command(crate::gate_sandbox::toolchain().join("cargo").to_str().unwrap(), &sandbox.path(""));
    let output = plain.args(["test", "--workspace", "--no-run"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !stderr.contains("Compiling"), "{stderr}");
}

#[test]
fn configuration_in_the_home_folder_counts() {
    let sandbox = Sandbox::small();
    sandbox.gate(&["--only", "fmt"]).ends(0);
    // Rustfmt looks there when it finds none in the folders above.
    sandbox.write("../home/rustfmt.toml", "tab_spaces = 3\n");
    sandbox.gate(&["--only", "fmt"]).ends(1);
}

#[test]
fn a_variable_that_one_member_names_counts_for_all_who_get_it() {
    let sandbox = Sandbox::small();
    let named = "#[test]\nfn named() {\n    assert!(std::env::var_os(\"GATE_MODE\").is_some() || true);\n}\n";
    sandbox.write("crates/c/tests/it.rs", named);
    // As a package of a registry might: by a name that no source of ours spells.
    let computed = "#[test]\nfn computed() {\n    let name = [\"GATE\", \"MODE\"].join(\"_\");\n    \
                    assert_eq!(std::env::var(name).as_deref(), Ok(\"good\"));\n}\n";
    sandbox.write("crates/a/tests/it.rs", computed);
    sandbox.gate_with(&["--only", "test"], &[("GATE_MODE", "good")]).ends(0);
    sandbox.gate_with(&["--only", "test"], &[("GATE_MODE", "bad")]).ends(1);
    sandbox.gate(&["--only", "test"]).ends(1);
}

#[test]
fn how_long_a_failure_took_is_not_expected_again() {
    let sandbox = Sandbox::small();
    sandbox.policy("[workspace.metadata.supercargo.gate.check.mine]\ncommand = [\"sh\", \"-c\", \"test -e ok\"]\n");
    sandbox.gate(&["--only", "mine"]).ends(1);
    let kept = sandbox.path("target/xtask/durations.json");
    assert!(!std::fs::read_to_string(&kept).unwrap_or_default().contains("\"mine\""));
    sandbox.write("ok", "");
    sandbox.gate(&["--only", "mine"]).ends(0);
    assert!(std::fs::read_to_string(&kept).unwrap().contains("\"mine\""));
}

//! Content that git does not name, or that moves while it is judged: no result stands for it.

use std::os::unix::fs::symlink;

use crate::gate_sandbox::library;
use crate::sandbox::Sandbox;

/// A test in member `c` that holds as long as `expression` gives `ok`.
fn judge(sandbox: &Sandbox, expression: &str) {
    let test = format!("#[test]\nfn t() {{\n    assert_eq!({expression}, \"ok\\n\");\n}}\n");
    sandbox.write("crates/c/tests/it.rs", &test);
}

/// Whether a gate that was green sees what `spoil` does.
#[track_caller]
fn sees(sandbox: &Sandbox, step: &str, spoil: impl FnOnce()) {
    sandbox.gate(&["--only", step]).ends(0);
    spoil();
    let gated = sandbox.gate(&["--only", step]);
    assert_eq!(gated.code, Some(1), "a false green:\n{}", gated.stderr);
    assert!(gated.verdict(step, "c").starts_with("failed("), "{}", gated.verdicts(step));
}

#[test]
fn a_file_that_git_ignores_and_source_includes() {
    let sandbox = Sandbox::small();
    sandbox.append(".gitignore", "*.secret\n");
    sandbox.write("crates/c/src/x.secret", "ok\n");
    judge(&sandbox, "include_str!(\"../src/x.secret\")");
    sees(&sandbox, "test", || sandbox.write("crates/c/src/x.secret", "bad\n"));
}

#[test]
fn a_file_that_git_ignores_and_a_test_names() {
    let sandbox = Sandbox::small();
    sandbox.append(".gitignore", "*.dat\n");
    sandbox.write("crates/c/x.dat", "ok\n");
    judge(&sandbox, "std::fs::read_to_string(\"x.dat\").unwrap()");
    sees(&sandbox, "test", || sandbox.write("crates/c/x.dat", "bad\n"));
}

#[test]
fn a_module_that_git_ignores() {
    let sandbox = Sandbox::small();
    sandbox.append(".gitignore", "generated.rs\n");
    sandbox.write("crates/c/src/generated.rs", "/// G.\npub fn g() {}\n");
    sandbox.write("crates/c/src/lib.rs", &library("c").replace("/// Two.", "pub mod generated;\n\n/// Two."));
    sees(&sandbox, "clippy", || sandbox.write("crates/c/src/generated.rs", "/// G.\npub fn g() {\n    x()\n}\n"));
}

#[test]
fn a_target_that_git_ignores() {
    let sandbox = Sandbox::small();
    sandbox.append(".git/info/exclude", "/crates/c/src/bin/\n");
    sees(&sandbox, "clippy", || sandbox.write("crates/c/src/bin/z.rs", "fn main() {\n    x()\n}\n"));
}

#[test]
fn configuration_of_tools_that_git_ignores() {
    let sandbox = Sandbox::small();
    sandbox.append(".git/info/exclude", "clippy.toml\nrustfmt.toml\n.config/\n");
    sandbox
        .write("crates/c/src/lib.rs", "//! Docs.\n\n/// D.\npub fn d(a: u8, b: u8, c: u8) -> u8 {\n    a + b + c\n}\n");
    sandbox.write("crates/c/clippy.toml", "");
    sees(&sandbox, "clippy", || sandbox.write("crates/c/clippy.toml", "too-many-arguments-threshold = 2\n"));
    sandbox.remove("crates/c/clippy.toml");
    sandbox.gate(&["--only", "fmt"]).ends(0);
    sandbox.write("crates/c/rustfmt.toml", "tab_spaces = 3\n");
    sandbox.gate(&["--only", "fmt"]).ends(1);
    if sandbox.nextest() {
        sandbox.gate(&["--only", "test"]).ends(0);
        sandbox.write(".config/nextest.toml", "nonsense\n");
        sandbox.gate(&["--only", "test"]).ends(1);
    }
}

#[test]
fn a_clippy_toml_that_is_new() {
    let sandbox = Sandbox::small();
    sandbox.write("crates/c/src/lib.rs", "//! D.\n\n/// D.\npub fn d(a: u8, b: u8, c: u8) -> u8 {\n    a + b + c\n}\n");
    // Cargo does not know that clippy would read it now, and gives again what it found without.
    sees(&sandbox, "clippy", || sandbox.write("clippy.toml", "too-many-arguments-threshold = 2\n"));
}

#[test]
fn what_a_build_script_watches_though_git_ignores_it() {
    let sandbox = Sandbox::small();
    sandbox.append(".gitignore", "/crates/c/gen/\n");
    sandbox.write("crates/c/gen/x", "ok\n");
    sandbox.write(
        "crates/c/build.rs",
        "fn main() {\n    println!(\"cargo:rerun-if-changed=gen/x\");\n    \
         assert_eq!(std::fs::read_to_string(\"gen/x\").unwrap(), \"ok\\n\");\n}\n",
    );
    sees(&sandbox, "clippy", || sandbox.write("crates/c/gen/x", "bad\n"));
}

#[test]
fn a_link_that_leads_out_of_the_repository() {
    let sandbox = Sandbox::small();
    sandbox.write("../out.txt", "ok\n");
    symlink("../../../out.txt", sandbox.path("crates/c/out.txt")).unwrap();
    judge(&sandbox, "include_str!(\"../out.txt\")");
    sees(&sandbox, "test", || sandbox.write("../out.txt", "bad\n"));
}

#[test]
fn a_linked_folder_that_lies_out_of_the_repository() {
    let sandbox = Sandbox::small();
    sandbox.write("../m/mod.rs", "/// G.\npub fn g() {}\n");
    symlink("../../../../m", sandbox.path("crates/c/src/m")).unwrap();
    sandbox.write("crates/c/src/lib.rs", &library("c").replace("/// Two.", "pub mod m;\n\n/// Two."));
    sees(&sandbox, "clippy", || sandbox.write("../m/mod.rs", "/// G.\npub fn g() {\n    x()\n}\n"));
}

#[test]
fn a_literal_path_out_of_the_repository() {
    let sandbox = Sandbox::small();
    sandbox.write("../out.txt", "ok\n");
    judge(&sandbox, "include_str!(\"../../../../out.txt\")");
    sees(&sandbox, "test", || sandbox.write("../out.txt", "bad\n"));
    sandbox.write("../out.txt", "ok\n");
    let absolute = sandbox.path("").canonicalize().unwrap().parent().unwrap().join("out.txt");
    judge(&sandbox, &format!("std::fs::read_to_string({absolute:?}).unwrap()"));
    sees(&sandbox, "test", || sandbox.write("../out.txt", "bad\n"));
}

#[test]
fn a_path_crate_out_of_the_repository() {
    let sandbox = Sandbox::small();
    sandbox.write("../o/Cargo.toml", "[package]\nname = \"o\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n");
    sandbox.write("../o/src/lib.rs", "pub fn o() -> &'static str {\n    \"ok\\n\"\n}\n");
    sandbox.append("crates/c/Cargo.toml", "\n[dependencies]\no = { path = \"../../../o\" }\n");
    sandbox.cargo(&["generate-lockfile", "--offline"]);
    judge(&sandbox, "o::o()");
    sees(&sandbox, "test", || sandbox.replace("../o/src/lib.rs", "ok", "bad"));
}

/// A cargo that does something before its tests are compiled, and something after.
fn around(sandbox: &Sandbox, before: &str, after: &str) {
    sandbox.fake_cargo(&format!("'test --workspace'*) {before}; {} \"$@\"; rc=$?; {after}; exit $rc;;", real()));
}

fn real() -> String {
    crate::gate_sandbox::toolchain().join("cargo").display().to_string()
}

#[test]
fn a_file_that_is_edited_while_it_runs() {
    let sandbox = Sandbox::small();
    around(&sandbox, "true", "echo '// x' >> crates/c/src/lib.rs");
    let gated = sandbox.gate(&["--only", "test"]).ends(0);
    gated.says("what they depend on changed while it ran");
    sandbox.remove("../bin/cargo");
    let gated = sandbox.gate(&["--only", "test"]).ends(0);
    assert_eq!(gated.verdict("test", "c"), "passed", "not cached");
}

#[test]
fn a_file_that_is_edited_and_put_back_while_it_runs() {
    let sandbox = Sandbox::small();
    judge(&sandbox, "\"bad\"");
    sandbox.commit("red");
    let restore = "cp -p crates/c/tests/it.rs ../it.rs; echo > crates/c/tests/it.rs";
    around(&sandbox, restore, "cat ../it.rs > crates/c/tests/it.rs; touch -r ../it.rs crates/c/tests/it.rs");
    let gated = sandbox.gate(&["--only", "test"]);
    assert_eq!(gated.verdict("test", "a"), "passed");
    sandbox.remove("../bin/cargo");
    assert!(sandbox.kept().len() < 3, "what moved is kept: {:?}", sandbox.kept());
}

#[test]
fn a_folder_that_is_moved_away_and_back_while_it_runs() {
    let sandbox = Sandbox::small();
    judge(&sandbox, "\"bad\"");
    sandbox.commit("red");
    around(&sandbox, "mv crates/c/tests ../away", "mv ../away crates/c/tests");
    let gated = sandbox.gate(&["--only", "test"]);
    assert_eq!(gated.verdict("test", "a"), "passed", "{}", gated.stderr);
    // The failing test was away; what is seen without it must not be believed with it.
    let gated = sandbox.gate(&["--only", "test"]);
    assert_ne!(gated.verdict("test", "c"), "cached", "a false green");
}

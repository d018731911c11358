//! What moves behind a build's back: vendored sources, sources that change while they are compiled, folders in place of
//! packages, and a store that has something else than what is built.

use std::fs;

use serde_json::Value;

use crate::build_sandbox::{OWN, saying};
use crate::sandbox::Sandbox;

/// A program that says what a vendored package says.
fn vendored() -> Sandbox {
    let sandbox = Sandbox::shipping(&[("app", "fn main() {\n    println!(\"{}\", near::SAID);\n}\n")]);
    sandbox.write("vendor/near/Cargo.toml", "[package]\nname = \"near\"\nversion = \"1.0.0\"\nedition = \"2021\"\n");
    sandbox.write("vendor/near/.cargo-checksum.json", "{\"files\":{},\"package\":null}");
    sandbox.write("vendor/near/src/lib.rs", "pub const SAID: &str = \"one\";\n");
    let config = "[source.crates-io]\nreplace-with = \"near\"\n[source.near]\ndirectory = \"vendor\"\n";
    sandbox.write(".cargo/config.toml", config);
    sandbox.append("crates/app/Cargo.toml", "[dependencies]\nnear = \"1\"\n");
    sandbox.relock();
    sandbox.commit("vendored");
    sandbox
}

#[test]
fn a_vendored_source_that_is_edited_is_compiled() {
    let sandbox = vendored();
    sandbox.build(&[]).ends(0);
    assert_eq!(sandbox.started("app"), "one");
    sandbox.write("vendor/near/src/lib.rs", "pub const SAID: &str = \"two\";\n");
    assert_eq!(sandbox.build(&[]).ends(0).app(), "passed");
    assert_eq!(sandbox.started("app"), "two");
}

#[test]
fn what_was_compiled_from_sources_that_moved_is_compiled_again() {
    let sandbox = Sandbox::shipping(&[("app", "fn main() {\n    println!(\"{}\", part::SAID);\n}\n")]);
    sandbox.member("part", "", "pub const SAID: &str = \"one\";\n");
    sandbox.append("crates/app/Cargo.toml", "[dependencies]\npart = { path = \"../part\" }\n");
    // While the program's script runs, before the library is compiled.
    let library = sandbox.path("crates/part/src/lib.rs");
    let script = format!(
        "fn main() {{\n    if std::path::Path::new({0:?}).exists() {{\n        std::fs::copy({0:?}, {1:?}).unwrap();\n    }}\n}}\n",
        sandbox.path("../edit.rs"),
        library
    );
    sandbox.write("crates/part/build.rs", &script);
    sandbox.relock();
    sandbox.commit("part");
    fs::copy(&library, sandbox.path("../before.rs")).unwrap();
    fs::write(sandbox.path("../edit.rs"), "pub const SAID: &str = \"edited\";\n").unwrap();
    let moved = sandbox.build(&[]).ends(0);
    moved.says("what it depends on changed while it was built");
    assert_eq!(moved.of("app", OWN)["key"], Value::Null);
    // Moved back, with its old time.
    fs::remove_file(sandbox.path("../edit.rs")).unwrap();
    fs::rename(sandbox.path("../before.rs"), &library).unwrap();
    assert_eq!(sandbox.build(&[]).ends(0).app(), "passed");
    assert_eq!(sandbox.started("app"), "one");
}

#[test]
fn folders_in_place_of_packages_have_no_name() {
    let sandbox = vendored();
    let fork = sandbox.path("../fork");
    fs::create_dir_all(fork.join("src")).unwrap();
    fs::copy(sandbox.path("vendor/near/Cargo.toml"), fork.join("Cargo.toml")).unwrap();
    for said in ["fork", "another"] {
        fs::write(fork.join("src/lib.rs"), format!("pub const SAID: &str = {said:?};\n")).unwrap();
        let config = format!(
            "paths = [{:?}]\n[source.crates-io]\nreplace-with = \"near\"\n[source.near]\ndirectory = \"vendor\"\n",
            fork.display().to_string()
        );
        sandbox.write(".cargo/config.toml", &config);
        let built = sandbox.build(&[]).ends(0);
        assert_eq!((built.app(), &built.of("app", OWN)["key"]), ("passed", &Value::Null));
        assert_eq!(sandbox.started("app"), said);
    }
}

#[test]
fn two_builds_that_are_equal_are_compared_with_what_is_kept() {
    let sandbox = Sandbox::shipping(&[("app", &saying("a"))]);
    let key = sandbox.build(&[]).ends(0).of("app", OWN)["key"].as_str().unwrap().to_owned();
    let entry = sandbox.path("target/xtask/store/keys").join(&key);
    // Another program under the same key, as a build script that asks the clock would leave it there.
    let other = Sandbox::shipping(&[("app", &saying("b"))]);
    let made = other.build(&[]).ends(0);
    let digest = made.of("app", OWN)["digest"].as_str().unwrap();
    fs::copy(other.entry(), sandbox.path("target/xtask/store/sha256").join(digest)).unwrap();
    let text = fs::read_to_string(&entry).unwrap();
    let body = text[64..].replace(sandbox.build(&[]).of("app", OWN)["digest"].as_str().unwrap(), digest);
    fs::write(&entry, format!("{}{body}", sha256(&body))).unwrap();
    assert_eq!(sandbox.build(&[]).ends(0).of("app", OWN)["digest"], digest);
    sandbox.build(&["--verify-reproducible"]).ends(1).says("and yet differ from the one that is kept");
}

/// The SHA-256 of a text, by coreutils.
fn sha256(text: &str) -> String {
    use std::io::Write as _;
    let mut child = std::process::Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout)[..64].to_owned()
}

#[test]
fn what_is_not_the_same_twice_is_kept_no_longer() {
    let sandbox = Sandbox::shipping(&[("app", "fn main() {\n    println!(\"{}\", env!(\"NOW\"));\n}\n")]);
    let script = "fn main() {\n    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();\n    println!(\"cargo:rustc-env=NOW={}\", now.as_nanos());\n}\n";
    sandbox.write("crates/app/build.rs", script);
    sandbox.commit("script");
    assert_eq!(sandbox.build(&[]).ends(0).app(), "passed");
    assert_eq!(sandbox.build(&[]).ends(0).app(), "cached");
    sandbox.build(&["--verify-reproducible"]).ends(1).says("two builds differ");
    assert_eq!(sandbox.build(&[]).ends(0).app(), "passed");
}

#[test]
fn no_older_program_passes_for_one_that_came_to_nothing() {
    let sandbox = Sandbox::shipping(&[("app", &saying("a")), ("other", &saying("b"))]);
    sandbox.build(&[]).ends(0);
    assert_eq!(sandbox.names_seen().len(), 2);
    sandbox.write("crates/app/src/main.rs", "fn main() {\n    nothing()\n}\n");
    sandbox.build(&[]).ends(1);
    let names = sandbox.names_seen();
    assert!(names.len() == 1 && names[0].starts_with("other-0.1.0-"), "{names:?}");
}

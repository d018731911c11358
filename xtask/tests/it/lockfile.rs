//! `Cargo.lock`: each package by the members that reach it.

use crate::sandbox::{Sandbox, set};

/// A lockfile with packages of a registry that nobody has to ask: two versions of `num`, one of `text` that uses it.
fn lock(text_uses: &str, mid_uses: &str, num: &str, checksum: &str) -> String {
    let package = |name: &str, version: &str, checksum: &str, dependencies: &str| {
        let source = "registry+https://example.com/index";
        format!(
            "[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = \"{source}\"\nchecksum = \"{checksum}\"\ndependencies = [{dependencies}]\n\n"
        )
    };
    let member = |name: &str, dependencies: &str| {
        format!("[[package]]\nname = \"{name}\"\nversion = \"0.1.0\"\ndependencies = [{dependencies}]\n\n")
    };
    let mut text = "version = 4\n\n".to_owned();
    text += &member("app", "\"mid\"");
    text += &member("core", "");
    text += &member("devuser", "\"core\", \"text\"");
    text += &member("devuser-user", "\"devuser\"");
    text += &member("mid", &format!("\"core\", \"num {mid_uses}\""));
    text += &member("winuser", "\"core\", \"text\"");
    text += &package("num", "0.4.8", "aa", "");
    text += &package("num", num, checksum, "");
    text += &package("text", "1.0.0", "cc", &format!("\"num {text_uses}\""));
    text
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.append("crates/mid/Cargo.toml", "num = \">=0.4, <2\"\n");
    sandbox.append("crates/winuser/Cargo.toml", "text = \"1\"\n");
    sandbox.append("crates/devuser/Cargo.toml", "text = \"1\"\n");
    sandbox.write("Cargo.lock", &lock("1.0.0", "1.0.0", "1.0.0", "bb"));
    sandbox.commit("packages");
    sandbox.git(&["branch", "--quiet", "--force", "main"]);
    sandbox
}

#[test]
fn each_change_reaches_who_reaches_it() {
    let sandbox = sandbox();
    let ask = |title: &str, lock: String, expected: &[&str]| {
        sandbox.write("Cargo.lock", &lock);
        assert_eq!(sandbox.names(&["main"]), set(expected), "{title}");
    };
    let same = lock("1.0.0", "1.0.0", "1.0.0", "bb");
    ask("a comment", format!("# x\n{same}"), &[]);
    ask("the order", same.replace("\"core\", \"text\"", "\"text\", \"core\""), &[]);
    // `devuser` reaches `text` for its tests only, so `devuser-user` is not touched.
    ask("a version", lock("1.0.1", "1.0.1", "1.0.1", "dd"), &["app", "devuser", "mid", "winuser"]);
    ask("an edge of a package", lock("0.4.8", "1.0.0", "1.0.0", "bb"), &["devuser", "winuser"]);
    ask("an edge of a member", lock("1.0.0", "0.4.8", "1.0.0", "bb"), &["app", "mid"]);
    ask("a checksum", lock("1.0.0", "1.0.0", "1.0.0", "ee"), &["app", "devuser", "mid", "winuser"]);
    ask("a package that nobody uses", same + "[[package]]\nname = \"zzz\"\nversion = \"1.0.0\"\n", &[]);
}

#[test]
fn why_tells_the_way_from_the_package() {
    let sandbox = sandbox();
    sandbox.write("Cargo.lock", &lock("1.0.1", "1.0.1", "1.0.1", "dd"));
    let why = |member: &str| String::from_utf8(sandbox.ask(&["main", "--why", member]).stdout).unwrap();
    assert!(why("app").contains("num 1.0.0 -> 1.0.1\n    mid -> app"), "{}", why("app"));
    assert!(why("devuser").contains("num 1.0.0 -> 1.0.1\n    text 1.0.0 -> devuser"), "{}", why("devuser"));
}

#[test]
fn without_a_lockfile_it_says_what_counts() {
    let sandbox = Sandbox::new();
    sandbox.remove("Cargo.lock");
    sandbox.append(".gitignore", "Cargo.lock\n");
    sandbox.commit("a library");
    sandbox.git(&["branch", "--quiet", "--force", "main"]);
    sandbox.append("crates/core/src/lib.rs", "// x\n");
    let output = sandbox.ask(&["main"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr.contains("no Cargo.lock is committed"), "{stderr}");
    assert!(sandbox.names(&["main"]).contains("app"));
}

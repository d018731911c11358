//! What programs see of the machine: nothing but what policy passes, and that counts.

use crate::build_ground::{Ground, holds};

/// A program that prints what its build script sees of these variables.
fn seeing(policy: &str, names: &[&str]) -> Ground {
    let ground = Ground::with(policy, "env!(\"SEEN\")");
    let script = format!(
        "fn main() {{\n    let seen: Vec<String> = {names:?}.iter().map(|name| std::env::var(name).unwrap_or(\"-\".into())).collect();\n    \
         println!(\"cargo:rustc-env=SEEN={{}}\", seen.join(\" \"));\n}}\n"
    );
    ground.write("crates/p/build.rs", &script);
    ground.committed()
}

const HIDDEN: [&str; 9] =
    ["GITHUB_SHA", "USER", "HOSTNAME", "TZ", "LANG", "RUSTFLAGS", "CARGO_PROFILE_RELEASE_OPT_LEVEL", "WORD", "CFLAGS"];

#[test]
fn the_shell_changes_no_program() {
    let ground = seeing("", &HIDDEN);
    let first = ground.build(&[]).ends(0);
    assert_eq!(ground.prints(), "- - - - - - - - -");
    let set: Vec<(&str, &str)> =
        HIDDEN.iter().map(|name| (*name, if *name == "RUSTFLAGS" { "--cfg x" } else { "1" })).collect();
    assert_eq!(ground.build_with(&[], &set).ends(0).verdict(), "cached");
    let more = [
        ("CARGO_INCREMENTAL", "1"),
        ("SOURCE_DATE_EPOCH", "5"),
        ("CARGO_ENCODED_RUSTFLAGS", "--cfg\u{1f}y"),
        ("RUSTC_BOOTSTRAP", "1"),
    ];
    let set: Vec<(&str, &str)> = set.into_iter().chain(more).collect();
    let second = ground.build_with(&["--no-cache"], &set).ends(0);
    assert_eq!([first.text("key"), first.text("digest")], [second.text("key"), second.text("digest")]);
    assert_eq!(ground.prints(), "- - - - - - - - -");
    let second = second.says("RUSTFLAGS is set here and changes no program; policy can pass it");
    assert_eq!(second.stderr.matches("is set here and changes no program").count(), 1, "{}", second.stderr);
}

#[test]
fn what_policy_passes_is_seen_and_counts() {
    let ground = seeing("pass-env = [\"WORD\", \"TEAM_*\"]", &["WORD", "TEAM_NAME", "OTHER"]);
    let keys: Vec<String> = [&[][..], &[("WORD", "a")], &[("WORD", "b")], &[("TEAM_NAME", "c"), ("OTHER", "d")]]
        .iter()
        .zip(["- - -", "a - -", "b - -", "- c -"])
        .map(|(set, expected)| {
            let made = ground.build_with(&[], set).ends(0);
            assert_eq!((made.verdict().as_str(), ground.prints().as_str()), ("passed", expected));
            made.text("key")
        })
        .collect();
    let different: std::collections::BTreeSet<&String> = keys.iter().collect();
    assert_eq!(different.len(), 4);
    // Each is there still.
    assert_eq!(ground.build_with(&[], &[("WORD", "a")]).ends(0).verdict(), "cached");
    assert_eq!(ground.prints(), "a - -");
    let plan = ground.building(&["--plan"]).env("WORD", "hunter2").output().unwrap();
    assert!(!holds(&plan.stdout, "hunter2"));
}

#[test]
fn flags_that_policy_passes_count() {
    let ground = Ground::new("pass-env = [\"RUSTFLAGS\"]", "if cfg!(word) { \"on\" } else { \"off\" }");
    ground.build(&[]).ends(0);
    assert_eq!(ground.prints(), "off");
    let made = ground.build_with(&[], &[("RUSTFLAGS", "--cfg word")]).ends(0);
    assert!(!made.stderr.contains("changes no program"), "{}", made.stderr);
    assert_eq!(ground.prints(), "on");
    assert!(made.of("p", crate::build_ground::X86)["flags"].to_string().contains("word"));
}

#[test]
fn nothing_is_compiled_incrementally_and_the_epoch_is_policys() {
    let ground = seeing("source-date-epoch = 86400", &["SOURCE_DATE_EPOCH", "CARGO_INCREMENTAL"]);
    ground.append("Cargo.toml", "\n[profile.release]\nincremental = true\n");
    ground.write(".cargo/config.toml", "[build]\nincremental = true\n");
    ground.build_with(&[], &[("CARGO_INCREMENTAL", "1"), ("SOURCE_DATE_EPOCH", "1")]).ends(0);
    assert_eq!(ground.prints(), "86400 0");
    let folders = walk(&ground.root.join("target/xtask/cargo"));
    assert!(!folders.iter().any(|path| path.contains("/incremental/")), "{folders:?}");
}

fn walk(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        found.push(entry.path().display().to_string());
        found.extend(walk(&entry.path()));
    }
    found
}

#[test]
fn the_version_that_members_inherit_counts() {
    let ground = Ground::with("", "env!(\"CARGO_PKG_VERSION\")");
    ground.append("Cargo.toml", "\n[workspace.package]\nversion = \"0.1.0\"\n");
    let manifest = "[package]\nname = \"p\"\nversion.workspace = true\nedition = \"2021\"\n";
    ground.write("crates/p/Cargo.toml", manifest);
    let ground = ground.committed();
    ground.build(&[]).ends(0);
    let text = std::fs::read_to_string(ground.root.join("Cargo.toml")).unwrap();
    ground.write("Cargo.toml", &text.replace("0.1.0", "0.2.0"));
    ground.lock();
    assert_eq!(ground.build(&[]).ends(0).verdict(), "passed");
    let program = &ground.programs()[&format!("p-0.2.0-{}", crate::build_ground::X86)];
    assert_eq!(crate::build_ground::prints(program), "0.2.0");
}

#[test]
fn another_toolchain_makes_another_program() {
    let ground = Ground::new("", "\"x\"");
    let first = ground.build(&[]).ends(0);
    // A toolchain that is the same and says that it is another one.
    let (real, other) = (crate::gate_sandbox::toolchain(), ground.path("toolchain"));
    std::fs::create_dir_all(other.join("bin")).unwrap();
    std::os::unix::fs::symlink(real.join("../lib"), other.join("lib")).unwrap();
    std::os::unix::fs::symlink(real.join("cargo"), other.join("bin/cargo")).unwrap();
    let script = format!("exec {0}/rustc \"$@\" | sed 's/^release: .*/&-other/'", real.display());
    std::fs::rename(ground.fake("rustc", &script), other.join("bin/rustc")).unwrap();
    let cargo = other.join("bin/cargo");
    let path = format!("{}:/usr/bin:/bin", other.join("bin").display());
    let variables = [("CARGO", cargo.to_str().unwrap()), ("PATH", &path)];
    let second = ground.build_with(&["--verbose"], &variables).ends(0);
    assert_eq!(second.verdict(), "passed");
    assert_ne!(second.text("key"), first.text("key"));
    assert!(second.text("toolchain").contains("-other"));
    assert_eq!(ground.build(&[]).ends(0).verdict(), "cached");
}

//! Which programs are shipped, which of them are asked for, and what is said of names and policy that fit nothing.

use crate::build_sandbox::{OTHER, OWN, saying};
use crate::sandbox::Sandbox;

const SHIP: &str = "[package.metadata.supercargo]\nship = true\n";
const STAY: &str = "[package.metadata.supercargo]\nship = false\n";

/// The entries of the CI matrix, `program machine`.
fn matrix(sandbox: &Sandbox, arguments: &[&str]) -> Vec<String> {
    let built = sandbox.build(&[arguments, &["--format", "matrix"]].concat()).ends(0);
    let matrix: serde_json::Value = serde_json::from_str(&built.stdout).unwrap();
    let entries = matrix["include"].as_array().unwrap().iter();
    let entry = |entry: &serde_json::Value| {
        let machine = entry["target"].as_str().unwrap().split('-').next().unwrap().to_owned();
        format!("{} {machine}", entry["program"].as_str().unwrap())
    };
    entries.map(entry).collect()
}

#[test]
fn default_members_ship_unless_members_say_who_ships() {
    let sandbox = Sandbox::shipping(&[("a", &saying("a")), ("b", &saying("b")), ("xtask", &saying("x"))]);
    sandbox.member("l", "", "");
    sandbox.write("crates/a/src/bin/a2.rs", &saying("a2"));
    sandbox.relock();
    assert_eq!(matrix(&sandbox, &[]), ["a x86_64", "a2 x86_64", "b x86_64"]);
    sandbox.append("crates/b/Cargo.toml", STAY);
    assert_eq!(matrix(&sandbox, &[]), ["a x86_64", "a2 x86_64"]);
    sandbox.append("crates/xtask/Cargo.toml", SHIP);
    assert_eq!(matrix(&sandbox, &[]), ["xtask x86_64"]);
    sandbox.append("crates/l/Cargo.toml", SHIP);
    sandbox.build(&[]).ends(3).says("`l` is to be shipped and has no program");
    sandbox.git(&["checkout", "--quiet", "crates"]);
    sandbox.remove("crates/l");
    sandbox.relock();
    sandbox.replace(
        "Cargo.toml",
        "members = [\"crates/*\"]",
        "members = [\"crates/*\"]\ndefault-members = [\"crates/b\"]",
    );
    assert_eq!(matrix(&sandbox, &[]), ["b x86_64"]);
    sandbox.append("crates/b/Cargo.toml", STAY);
    let nothing = sandbox.build(&[]).ends(3);
    nothing.says("no member of this workspace ships a program");
    nothing.says("add `ship = true`");
}

#[test]
fn two_members_with_one_program_name_are_told_apart_or_refused() {
    let sandbox = Sandbox::shipping(&[("a", &saying("a"))]);
    sandbox.program("b", "[[bin]]\nname = \"a\"\npath = \"src/main.rs\"\n", &saying("b"));
    sandbox.relock();
    let built = sandbox.build(&[]).ends(3);
    built.says("`a` and `b` both ship a program called `a`");
    built.says("mend: rename one");
    // Where only one of them ships, it is that one's.
    sandbox.append("crates/a/Cargo.toml", STAY);
    sandbox.build(&[]).ends(0);
    assert_eq!(sandbox.started("a"), "b");
}

#[test]
fn features_are_those_that_policy_says() {
    let source = "fn main() {\n    println!(\"{} {}\", cfg!(feature = \"x\"), cfg!(feature = \"y\"));\n}\n";
    let sandbox = Sandbox::shipping(&[("app", source)]);
    sandbox.append("crates/app/Cargo.toml", "[features]\ndefault = [\"x\"]\nx = []\ny = []\nfull = [\"y\"]\n");
    sandbox.append(
        "crates/app/Cargo.toml",
        "[[bin]]\nname = \"app\"\npath = \"src/main.rs\"\n[[bin]]\nname = \"extra\"\npath = \"src/main.rs\"\nrequired-features = [\"y\"]\n",
    );
    let built = sandbox.build(&[]).ends(0);
    assert_eq!(built.verdicts(), ["app x86_64 passed", "extra x86_64 skipped"]);
    assert_eq!(built.of("extra", OWN)["because"], "it requires features that are not on: y");
    assert_eq!(sandbox.started("app"), "true false");
    assert_eq!(matrix(&sandbox, &[]), ["app x86_64"]);
    sandbox.append("crates/app/Cargo.toml", "[package.metadata.supercargo]\nfeatures = [\"full\"]\n");
    let built = sandbox.build(&[]).ends(0);
    assert_eq!(built.verdicts(), ["app x86_64 passed", "extra x86_64 passed"]);
    assert_eq!((sandbox.started("app"), sandbox.started("extra")), ("true true".into(), "true true".into()));
    sandbox.append("crates/app/Cargo.toml", "default-features = false\n");
    let built = sandbox.build(&[]).ends(0);
    assert_eq!(sandbox.started("app"), "false true");
    assert_eq!(built.of("app", OWN)["default_features"], false);
    sandbox.replace("crates/app/Cargo.toml", "features = [\"full\"]", "features = [\"ful\"]");
    sandbox.build(&[]).ends(3).says("`app` has no feature `ful`");
}

#[test]
fn what_is_asked_narrows_and_what_fits_nothing_is_told_with_what_there_is() {
    let sandbox = Sandbox::shipping_both(&[("a", &saying("a")), ("b", &saying("b"))]);
    assert_eq!(matrix(&sandbox, &["--package", "a"]), ["a aarch64", "a x86_64"]);
    assert_eq!(matrix(&sandbox, &["--bin", "b", "--target", OTHER]), ["b aarch64"]);
    let built = sandbox.build(&["--bin", "b", "--target", OWN, "--profile", "dev"]).ends(0);
    assert_eq!(built.verdicts(), ["b x86_64 passed"]);
    assert_eq!(built.of("b", OWN)["profile"], "dev");
    assert_eq!(sandbox.build(&["--bin", "b", "--target", OWN]).ends(0).of("b", OWN)["verdict"], "passed");
    for (asked, told) in [
        (&["--package", "c"][..], "there is no member that ships a program `c`; there are: a, b"),
        (&["--bin", "c"], "there is no program `c`; there are: a, b"),
        (&["--target", "riscv64gc-unknown-linux-musl"], "there are: aarch64-unknown-linux-musl, x86_64"),
        (&["--profile", "relaese"], "mend: cargo xtask build --profile release"),
        (&["--package", "a", "--bin", "b"], "`b` is a program of `b`, which --package does not name"),
        (&["--package", "a", "--bin", "a", "--bin", "b"], "`b` is a program of `b`, which --package does not name"),
        (&["--jobs", "0"], "invalid value '0'"),
        (&["--merge"], "a value is required"),
    ] {
        sandbox.build(asked).ends(2).says(told);
    }
}

#[test]
fn a_profile_of_cargos_configuration_is_one() {
    let sandbox = Sandbox::shipping(&[("app", &saying("a"))]);
    sandbox.write(".cargo/config.toml", "[profile.dist]\ninherits = \"release\"\nopt-level = 1\n");
    assert_eq!(sandbox.build(&["--profile", "dist"]).ends(0).app(), "passed");
    sandbox.replace(".cargo/config.toml", "opt-level = 1", "opt-level = 0");
    assert_eq!(sandbox.build(&["--profile", "dist"]).ends(0).app(), "passed");
}

#[test]
fn every_fault_of_policy_is_told_at_once() {
    let sandbox = Sandbox::shipping(&[("app", &saying("a"))]);
    sandbox.append("Cargo.toml", "targts = []\nprofile = 3\nsource-date-epoch = -1\nlinker = { nowhere = \"zig\" }\n");
    sandbox.append("crates/app/Cargo.toml", "[package.metadata.supercargo]\nshp = true\nfeatures = \"x\"\n");
    let built = sandbox.build(&[]).ends(3);
    for told in ["`targts`; did you mean `targets`?", "profile", "source-date-epoch", "nowhere", "`shp`", "features"] {
        built.says(told);
    }
    assert!(!sandbox.path("target/xtask/build.json").exists());
}

#[test]
fn a_target_that_no_compiler_knows_is_named() {
    let sandbox = Sandbox::shipping(&[("app", &saying("a"))]);
    sandbox.replace("Cargo.toml", OWN, "x86_65-unknown-linux-musl");
    let built = sandbox.build(&[]).ends(3);
    built.says("x86_65-unknown-linux-musl");
    assert!(!built.stderr.contains("mend: cargo metadata"), "no command that mends it: {}", built.stderr);
}

#[test]
fn a_lock_that_is_missing_or_late_is_said() {
    let sandbox = Sandbox::shipping(&[("app", &saying("a"))]);
    sandbox.program("new", "", &saying("b"));
    let built = sandbox.build(&[]).ends(3);
    assert!(built.stderr.contains("Cargo.lock") && built.stderr.contains("mend: "), "{}", built.stderr);
    sandbox.remove("Cargo.lock");
    sandbox.build(&[]).ends(3).says("mend: cargo generate-lockfile");
    assert!(!sandbox.path("Cargo.lock").exists());
}

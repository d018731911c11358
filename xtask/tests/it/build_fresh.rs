//! A program in the store is of the sources, the settings and the toolchain that its key and its record name, and of no others.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use crate::build_sandbox::{OWN, saying};
use crate::gate_sandbox::toolchain;
use crate::sandbox::Sandbox;

/// A program that says what its build script hands it, and a script that cargo runs again only when it is itself changed.
fn scripted(value: &str) -> Sandbox {
    let sandbox = Sandbox::shipping(&[("app", "fn main() {\n    println!(\"{}\", env!(\"GOT\"));\n}\n")]);
    let script = format!(
        "fn main() {{\n    println!(\"cargo:rerun-if-changed=build.rs\");\n    println!(\"cargo:rustc-env=GOT={{}}\", {value});\n}}\n"
    );
    sandbox.write("crates/app/build.rs", &script);
    sandbox.write("crates/app/data.txt", "one");
    sandbox.commit("script");
    sandbox
}

#[test]
fn a_source_with_an_old_time_is_compiled() {
    let sandbox = Sandbox::shipping(&[("app", &saying("one"))]);
    sandbox.build(&[]).ends(0);
    assert_eq!(sandbox.started("app"), "one");
    // As after `cp -p`, `rsync -t` or the unpacking of an archive: cargo alone takes it for what it has compiled.
    sandbox.write("crates/app/src/main.rs", &saying("two"));
    let old = SystemTime::now() - Duration::from_secs(3600);
    File::open(sandbox.path("crates/app/src/main.rs")).unwrap().set_modified(old).unwrap();
    assert_eq!(sandbox.build(&[]).ends(0).app(), "passed");
    assert_eq!(sandbox.started("app"), "two");
}

#[test]
fn a_library_with_an_old_time_is_compiled() {
    let sandbox = Sandbox::shipping(&[("app", "fn main() {\n    println!(\"{}\", part::SAID);\n}\n")]);
    sandbox.member("part", "", "pub const SAID: &str = \"one\";\n");
    sandbox.append("crates/app/Cargo.toml", "[dependencies]\npart = { path = \"../part\" }\n");
    sandbox.relock();
    sandbox.commit("part");
    sandbox.build(&[]).ends(0);
    sandbox.member("part", "", "pub const SAID: &str = \"two\";\n");
    let old = SystemTime::now() - Duration::from_secs(3600);
    File::open(sandbox.path("crates/part/src/lib.rs")).unwrap().set_modified(old).unwrap();
    sandbox.build(&[]).ends(0);
    assert_eq!(sandbox.started("app"), "two");
}

#[test]
fn a_file_that_a_script_reads_and_does_not_watch_is_read_again() {
    let sandbox = scripted("std::fs::read_to_string(\"data.txt\").unwrap()");
    sandbox.build(&[]).ends(0);
    sandbox.write("crates/app/data.txt", "two");
    assert_eq!(sandbox.build(&[]).ends(0).app(), "passed");
    assert_eq!(sandbox.started("app"), "two");
}

#[test]
fn a_variable_that_policy_passes_counts_although_a_script_does_not_watch_it() {
    let sandbox = scripted("std::env::var(\"FLAVOUR\").unwrap_or_default()");
    sandbox.append("Cargo.toml", "pass-env = [\"FLAVOUR\"]\n");
    for flavour in ["one", "two", "one"] {
        sandbox.build_with(&[], &[("FLAVOUR", flavour)]).ends(0);
        assert_eq!(sandbox.started("app"), flavour);
    }
    // What policy does not pass, nobody sees.
    let built = sandbox.build_with(&[], &[("FLAVOUR", "one"), ("RUSTFLAGS", "-Cnope"), ("GOT", "x")]).ends(0);
    assert_eq!(built.app(), "cached");
    built.says("RUSTFLAGS is set here and changes no program");
}

#[test]
fn the_date_that_policy_says_counts_although_a_script_does_not_watch_it() {
    let sandbox = scripted("std::env::var(\"SOURCE_DATE_EPOCH\").unwrap_or_default()");
    sandbox.build(&[]).ends(0);
    assert_eq!(sandbox.started("app"), "0");
    sandbox.append("Cargo.toml", "source-date-epoch = 7\n");
    sandbox.build(&[]).ends(0);
    assert_eq!(sandbox.started("app"), "7");
}

#[test]
fn a_variable_of_cargos_configuration_counts_although_a_script_does_not_watch_it() {
    let sandbox = scripted("std::env::var(\"GREETING\").unwrap_or_default()");
    for greeting in ["one", "two"] {
        sandbox.write(".cargo/config.toml", &format!("[env]\nGREETING = \"{greeting}\"\n"));
        sandbox.build(&[]).ends(0);
        assert_eq!(sandbox.started("app"), greeting);
    }
}

#[test]
fn a_program_that_somebody_altered_where_cargo_left_it_is_not_taken_for_it() {
    let sandbox = Sandbox::shipping(&[("app", &saying("one"))]);
    sandbox.build(&[]).ends(0);
    let digest = sandbox.stored();
    fs::remove_dir_all(sandbox.path("target/xtask/store")).unwrap();
    let left = sandbox.path(&format!("target/xtask/cargo/{OWN}/release/app"));
    let mut bytes = fs::read(&left).unwrap();
    bytes.extend_from_slice(b"altered");
    fs::write(&left, bytes).unwrap();
    sandbox.build(&[]).ends(0);
    assert_eq!(sandbox.stored(), digest);
}

#[test]
fn what_changed_while_it_was_built_is_said_of_the_commit_in_the_record() {
    let sandbox = Sandbox::shipping(&[("app", &saying("one"))]);
    let source = sandbox.path("crates/app/src/main.rs");
    sandbox.fake_cargo(&format!("build*) sed -i s/one/two/ {};;", source.display()));
    let built = sandbox.build(&[]);
    built.says("changed while it was built");
    // No record says that these bytes are of the commit, or of the key of what was there before.
    let made = built.of("app", OWN);
    assert!(built.record["changed"] == true || made["verdict"] != "passed", "{}", built.record);
    assert!(made["key"].is_null() || made["verdict"] != "passed", "{made}");
    fs::remove_file(sandbox.path("../bin/cargo")).unwrap();
    sandbox.git(&["checkout", "--quiet", "."]);
    sandbox.build(&[]).ends(0);
    assert_eq!(sandbox.started("app"), "one");
}

#[test]
fn the_compiler_that_is_named_is_the_one_that_compiles() {
    // A cargo whose rustc beside it is not the first on PATH.
    let sandbox = Sandbox::shipping(&[("app", &saying("one"))]);
    let log = sandbox.path("../other-rustc");
    let real = toolchain().join("rustc");
    sandbox.fake("rustc", &format!("echo \"$*\" >> {}\nexec {} \"$@\"", log.display(), real.display()));
    sandbox.build(&[]).ends(0);
    let said = fs::read_to_string(&log).unwrap_or_default();
    assert!(!said.contains("--crate-name app"), "compiled by another rustc than the record names");
}

#[test]
fn another_compiler_that_cargos_configuration_names_is_refused() {
    let sandbox = Sandbox::shipping(&[("app", &saying("one"))]);
    let rustc = toolchain().join("rustc");
    sandbox.write(".cargo/config.toml", &format!("[build]\nrustc = {:?}\n", rustc.display().to_string()));
    sandbox.build(&[]).ends(3).says("in rustc's place");
}

#[test]
fn flags_that_mean_this_very_machine_are_kept_under_no_key() {
    let sandbox = Sandbox::shipping(&[("app", &saying("one"))]);
    sandbox.write(".cargo/config.toml", "[build]\nrustflags = [\"-C\", \"target-cpu=native\"]\n");
    let built = sandbox.build(&[]).ends(0);
    assert!(built.of("app", OWN)["key"].is_null(), "the same key on every machine, and other bytes");
}

#[test]
fn every_input_of_a_program_changes_its_key() {
    let sandbox = Sandbox::shipping(&[("app", &saying("one"))]);
    sandbox.append("crates/app/Cargo.toml", "[features]\nx = []\n");
    let mut keys = vec![sandbox.build(&[]).ends(0).of("app", OWN)["key"].clone()];
    let steps: [(&str, &str, &str); 7] = [
        ("Cargo.toml", "[profile.release]\nopt-level = 1\n", ""),
        ("Cargo.toml", "[profile.release.package.app]\ndebug-assertions = true\n", ""),
        ("crates/app/Cargo.toml", "[package.metadata.supercargo]\nfeatures = [\"x\"]\n", ""),
        ("crates/app/src/extra.rs", "pub fn f() {}\n", ""),
        (".cargo/config.toml", "[build]\nrustflags = [\"--cfg\", \"z\"]\n", ""),
        ("../home/.cargo/config.toml", "[env]\nHELLO = \"x\"\n", ""),
        ("../home/.cargo/config.toml", "", "[profile.release]\noverflow-checks = true\n"),
    ];
    for (path, append, replace) in steps {
        let old = fs::read_to_string(sandbox.path(path)).unwrap_or_default();
        sandbox.write(path, &if replace.is_empty() { old + append } else { replace.to_owned() });
        let built = sandbox.build(&["--plan", "--format", "json"]).ends(0);
        let plan: serde_json::Value = serde_json::from_str(&built.stdout).unwrap();
        let key = plan["steps"][0]["items"][0]["key"].clone();
        assert!(!key.is_null() && !keys.contains(&key), "{path}: {append}{replace}");
        keys.push(key);
    }
}

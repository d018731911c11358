//! Programs that are made of what was there before: a key is of what is there now, and so are the bytes under it.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use crate::build_ground::{Ground, X86};

/// Makes a file of the repository look two days old.
fn age(ground: &Ground, path: &str) {
    let file = File::options().append(true).open(ground.root.join(path)).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(2 * 24 * 60 * 60)).unwrap();
}

/// A clone that was never built makes the same of what is there now.
#[track_caller]
fn same_anew(ground: &Ground, arguments: &[&str], variables: &[(&str, &str)]) {
    let here = ground.build_with(arguments, variables).ends(0);
    ground.commit("now");
    let anew = ground.cloned("elsewhere/repo").build_with(arguments, variables).ends(0);
    assert_eq!(anew.text("key"), here.text("key"));
    assert_eq!(anew.text("digest"), here.text("digest"), "{}", ground.prints());
}

#[test]
fn a_file_that_is_older_than_what_it_replaces_counts() {
    let ground = Ground::new("", "\"first\"");
    ground.build(&[]).ends(0);
    // As `mv main.rs.bak main.rs`, `cp -p` and `tar -x` leave it.
    ground.write("crates/p/src/main.rs", "fn main() {\n    println!(\"second\");\n}\n");
    age(&ground, "crates/p/src/main.rs");
    ground.build(&[]).ends(0);
    assert_eq!(ground.prints(), "second");
    same_anew(&ground, &[], &[]);
}

#[test]
fn a_library_that_is_older_than_what_it_replaces_counts_for_two_programs() {
    let ground = Ground::with("", "lib::word()");
    ground.write("crates/lib/Cargo.toml", "[package]\nname = \"lib\"\nversion = \"0.1.0\"\nedition = \"2021\"\n");
    ground.write("crates/lib/src/lib.rs", "pub fn word() -> &'static str {\n    \"first\"\n}\n");
    for name in ["p", "q"] {
        ground.member(name, "[dependencies]\nlib = { path = \"../lib\" }\n", "lib::word()");
    }
    let ground = ground.committed();
    ground.build(&[]).ends(0);
    ground.write("crates/lib/src/lib.rs", "pub fn word() -> &'static str {\n    \"second\"\n}\n");
    age(&ground, "crates/lib/src/lib.rs");
    ground.build(&[]).ends(0);
    for path in ground.programs().values() {
        assert_eq!(crate::build_ground::prints(path), "second", "{}", path.display());
    }
}

/// A build script that watches itself alone, and so is not run again for anything else that it reads.
fn secretive(policy: &str, reads: &str) -> Ground {
    let ground = Ground::with(policy, "env!(\"WORD\")");
    let script = format!(
        "fn main() {{\n    println!(\"cargo:rerun-if-changed=build.rs\");\n    println!(\"cargo:rustc-env=WORD={{}}\", {reads});\n}}\n"
    );
    ground.write("crates/p/build.rs", &script);
    ground.write("crates/p/word.txt", "first");
    ground.committed()
}

#[test]
fn a_variable_that_a_build_script_does_not_tell_of_counts() {
    let ground = secretive("pass-env = [\"WORD\"]", "std::env::var(\"WORD\").unwrap_or_default()");
    for word in ["one", "two", "one"] {
        same_anew(&ground, &[], &[("WORD", word)]);
        assert_eq!(ground.prints(), word);
    }
}

#[test]
fn the_epoch_and_cargos_own_variables_count_for_a_build_script_that_does_not_tell() {
    let ground = secretive(
        "",
        "format!(\"{} {:?}\", std::env::var(\"SOURCE_DATE_EPOCH\").unwrap(), std::env::var(\"MINE\").ok())",
    );
    ground.build(&[]).ends(0);
    assert_eq!(ground.prints(), "0 None");
    ground.append("Cargo.toml", "source-date-epoch = 7\n");
    ground.build(&[]).ends(0);
    assert_eq!(ground.prints(), "7 None");
    ground.write(".cargo/config.toml", "[env]\nMINE = \"1\"\n");
    ground.build(&[]).ends(0);
    assert_eq!(ground.prints(), "7 Some(\"1\")");
    same_anew(&ground, &[], &[]);
}

#[test]
fn a_file_that_a_build_script_does_not_tell_of_counts() {
    let ground = secretive("", "std::fs::read_to_string(\"word.txt\").unwrap()");
    ground.build(&[]).ends(0);
    ground.write("crates/p/word.txt", "second");
    ground.build(&[]).ends(0);
    assert_eq!(ground.prints(), "second");
    same_anew(&ground, &[], &[]);
}

#[test]
fn one_of_ten_programs_is_compiled_when_one_changes() {
    let ground = Ground::with("", "\"p\"");
    (0..4).for_each(|n| ground.member(&format!("q{n}"), "", "\"q\""));
    let ground = ground.committed();
    ground.build(&[]).ends(0);
    let marker = ground.root.join("target/xtask/cargo").join(X86).join("release/q1");
    let before = fs::metadata(&marker).unwrap().modified().unwrap();
    ground.write("crates/p/src/main.rs", "fn main() {\n    println!(\"other\");\n}\n");
    let made = ground.build(&[]).ends(0);
    assert_eq!(made.verdict(), "passed");
    let words = made.record["programs"].as_array().unwrap().iter().filter(|made| made["verdict"] == "cached");
    assert_eq!(words.count(), 4);
    assert_eq!(fs::metadata(&marker).unwrap().modified().unwrap(), before);
}

//! Programs that are not the same twice: each is found out, with the section that differs, and nothing is left behind.

use std::fs;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::build_ground::{Ground, Made, X86};
use crate::gate_sandbox::{signal, wait_until};

/// A program that prints what its build script finds.
fn finding(expression: &str) -> Ground {
    let ground = Ground::with("", "env!(\"FOUND\")");
    let script = format!("fn main() {{\n    println!(\"cargo:rustc-env=FOUND={{}}\", {{ {expression} }});\n}}\n");
    ground.write("crates/p/build.rs", &script);
    ground.committed()
}

fn twice(ground: &Ground) -> Made {
    let made = ground.build(&["--verify-reproducible"]);
    assert!(ground.leftovers().is_empty(), "{:?}", ground.leftovers());
    made
}

const COMMIT: &str = "String::from_utf8(std::process::Command::new(\"git\").args([\"rev-parse\", \"HEAD\"]).output().unwrap().stdout).unwrap()";
const RANDOM: &str =
    "use std::hash::{BuildHasher as _, Hasher as _}; std::hash::RandomState::new().build_hasher().finish()";

#[test]
fn the_time_in_seconds_is_found_out() {
    let time = "std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()";
    for _ in 0..2 {
        twice(&finding(time)).ends(1).says("two builds differ, first in .rodata");
    }
}

#[test]
fn a_commit_a_random_number_and_the_number_of_jobs_are_found_out() {
    for expression in [COMMIT, RANDOM, "std::env::var(\"NUM_JOBS\").unwrap()"] {
        let ground = finding(expression);
        let made = twice(&ground).ends(1).says("two builds differ, first in .rodata at byte ");
        assert!(made.verdict().starts_with("failed(two builds differ, first in .rodata"), "{}", made.verdict());
        assert_eq!(made.text("digest"), "");
        // Nothing is kept of it.
        assert!(ground.programs().is_empty());
        assert_ne!(ground.build(&[]).ends(0).verdict(), "cached");
    }
}

#[test]
fn a_folder_is_refused_by_name() {
    for expression in [
        "std::env::current_dir().unwrap().display()",
        "std::env::var(\"OUT_DIR\").unwrap()",
        "std::env::var(\"HOME\").unwrap()",
    ] {
        let ground = finding(expression);
        let made = ground.build(&[]).ends(1).says("a path of this machine is in it: ");
        assert_eq!(made.text("digest"), "", "{expression}");
        twice(&ground).ends(1).says("a path of this machine is in it: ");
    }
}

#[test]
fn what_no_build_script_sees_differs_nowhere() {
    let ground = finding("format!(\"{:?}\", std::env::var(\"USER\"))");
    let made = ground.build_with(&["--verify-reproducible"], &[("USER", "me")]).ends(0);
    assert_eq!(made.verdict(), "passed");
    assert!(ground.prints().contains("NotPresent"));
}

#[test]
fn what_was_kept_and_is_not_what_two_builds_make_is_told() {
    let ground = finding("std::env::var(\"PATH\").unwrap().contains(\"/nobody\")");
    let path = format!("/nobody:/usr/bin:/bin:{}", crate::gate_sandbox::toolchain().display());
    let first = ground.build_with(&[], &[("PATH", &path)]).ends(0);
    let second = twice(&ground);
    assert!(second.code == Some(0) || second.stderr.contains(&first.text("digest")[..12]), "{}", second.stderr);
}

/// A build of two twins that has come to its first compilation.
fn started(ground: &Ground) -> Child {
    let mut command = ground.building(&["--verify-reproducible"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let twins = || !ground.leftovers().is_empty() && ground.path("started").exists();
    assert!(wait_until(20, twins), "it does not start");
    child
}

#[test]
fn who_ends_it_leaves_nothing_and_who_kills_it_is_cleaned_up_after() {
    let ground = Ground::with("", "\"x\"");
    let flag = ground.path("started");
    let script = format!(
        "fn main() {{\n    std::fs::write({:?}, \"\").unwrap();\n    std::thread::sleep(std::time::Duration::from_secs(30));\n}}\n",
        flag.display().to_string()
    );
    ground.write("crates/p/build.rs", &script);
    let ground = ground.committed();
    for name in ["INT", "TERM"] {
        let mut child = started(&ground);
        signal(name, child.id());
        assert!(wait_until(10, || ground.leftovers().is_empty()), "{name}: {:?}", ground.leftovers());
        let code = child.wait().unwrap().code();
        assert_eq!(code, Some(130), "{name}");
        fs::remove_file(&flag).unwrap();
    }
    let mut child = started(&ground);
    signal("KILL", child.id());
    child.wait().unwrap();
    sleep(Duration::from_millis(100));
    // What nobody could remove is removed by the next one, or at least in nobody's way.
    ground.write("crates/p/build.rs", "fn main() {}\n");
    let made = ground.build(&["--verify-reproducible"]).ends(0);
    assert_eq!(made.of("p", X86)["verdict"], "passed");
}

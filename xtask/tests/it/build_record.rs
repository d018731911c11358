//! The record of a build: every program accounted for, the same bytes for the same facts, and what was killed or interrupted.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::build_sandbox::{OTHER, OWN, saying};
use crate::gate_sandbox::{processes, signal, wait_until};
use crate::sandbox::Sandbox;

/// A program that compiles for this machine and not for the other one.
const PARTIAL: &str = "fn main() {\n    #[cfg(target_arch = \"aarch64\")]\n    nothing();\n}\n";

#[test]
fn a_program_that_does_not_compile_for_one_target_is_stored_for_the_other() {
    let sandbox = Sandbox::shipping_both(&[("app", PARTIAL), ("whole", &saying("w"))]);
    let built = sandbox.build(&[]).ends(1);
    let expected = ["app aarch64 failed", "app x86_64 passed", "whole aarch64 passed", "whole x86_64 passed"];
    assert_eq!(built.verdicts(), expected);
    built.says("crates/app/src/main.rs:3: cannot find function `nothing`");
    assert_eq!((sandbox.stored().len(), sandbox.names_seen().len()), (3, 3));
    let rerun = format!("build --bin app --target {OTHER}");
    built.says(&format!("rerun: cargo xtask {rerun}"));
    let words: Vec<&str> = rerun.split(' ').skip(1).collect();
    assert_eq!(sandbox.build(&words).ends(1).verdicts(), ["app aarch64 failed"]);
    sandbox.write("crates/app/src/main.rs", &saying("mended"));
    assert_eq!(sandbox.build(&words).ends(0).verdicts(), ["app aarch64 passed"]);
    let again = sandbox.build(&[]).ends(0);
    let expected = ["app aarch64 cached", "app x86_64 passed", "whole aarch64 cached", "whole x86_64 cached"];
    assert_eq!(again.verdicts(), expected);
}

#[test]
fn the_record_is_the_same_for_the_same_facts() {
    let sandbox = Sandbox::shipping(&[("app", &saying("a")), ("other", "fn main() { no }")]);
    let timeless = |mut record: Value| {
        for made in record["programs"].as_array_mut().unwrap() {
            assert!(made["seconds"].is_null() || made["seconds"].as_f64().is_some());
            made["seconds"] = Value::Null;
        }
        record.to_string()
    };
    let one = sandbox.build(&["--format", "json"]).ends(1);
    assert_eq!(serde_json::from_str::<Value>(&one.stdout).unwrap(), one.record);
    for field in ["schema", "verb", "plan", "commit", "changed", "programs", "steps", "interrupted"] {
        assert!(!one.record[field].is_null(), "{field}");
    }
    let made = one.of("app", OWN);
    for field in ["program", "package", "version", "target", "verdict", "digest", "size", "key", "linker", "toolchain"]
    {
        assert!(!made[field].is_null(), "{field}: {made}");
    }
    assert_eq!(one.record["changed"], false);
    sandbox.remove("target");
    assert_eq!(timeless(one.record), timeless(sandbox.build(&[]).ends(1).record));
    let cached = sandbox.build(&[]).ends(1);
    assert_eq!(timeless(cached.record), timeless(sandbox.build(&[]).ends(1).record));
    sandbox.append("crates/app/src/main.rs", "// x\n");
    assert_eq!(sandbox.build(&[]).ends(1).record["changed"], true);
}

#[test]
fn a_library_that_is_missing_is_installed_by_a_step_of_the_plan() {
    let sandbox = Sandbox::shipping(&[("app", &saying("a"))]);
    let missing = "riscv64gc-unknown-linux-musl";
    sandbox.replace("Cargo.toml", &format!("[{OWN:?}]"), &format!("[{missing:?}, {OWN:?}]"));
    // Nobody is there to install it.
    let built = sandbox.build(&[]).ends(1);
    assert_eq!(built.verdicts(), ["app riscv64gc not", "app x86_64 passed"]);
    built.says(&format!("the standard library for {missing} is not installed; mend: install rustup"));
    let log = sandbox.path("../rustup-calls");
    let says = format!("echo \"$*\" >> {}\n[ \"$1\" = --version ] && echo rustup 1 && exit\n", log.display());
    sandbox.fake("rustup", &format!("{says}echo 'error: no network' >&2\nexit 1"));
    let plan = sandbox.build(&["--plan"]).ends(0).stdout;
    assert!(plan.contains(&format!("$ rustup target add {missing}")), "{plan}");
    let calls = || fs::read_to_string(&log).unwrap().matches("target add").count();
    assert_eq!(calls(), 0);
    let built = sandbox.build(&[]).ends(1);
    assert_eq!((calls(), built.verdicts()), (1, vec!["app riscv64gc not".into(), "app x86_64 cached".into()]));
    let step = format!("std({missing})");
    assert_eq!(built.record["steps"][&step]["verdict"], "failed");
    assert_eq!(built.of("app", missing)["because"], format!("{step} did not pass"));
    built.says("error: no network");
    // Where nothing is built for it, nothing is installed for it.
    sandbox.build(&["--target", OWN]).ends(0);
    assert_eq!(calls(), 1);
}

#[test]
fn an_interrupt_is_a_verdict_of_its_own_and_leaves_a_record() {
    let sandbox = Sandbox::shipping(&[("app", &saying("a")), ("zed", &saying("z"))]);
    let mark = format!("71.{}", std::process::id());
    sandbox.fake_cargo(&format!("build*) sleep {mark};;"));
    let child = sandbox.building(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(wait_until(20, || !processes(&format!("sleep {mark}")).is_empty()));
    signal("INT", child.id());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    let record: Value = serde_json::from_slice(&fs::read(sandbox.path("target/xtask/build.json")).unwrap()).unwrap();
    assert_eq!(record["interrupted"], true);
    assert_eq!(record["programs"][0]["verdict"], "interrupted");
    assert_eq!(
        (&record["programs"][1]["verdict"], record["programs"].as_array().unwrap().len()),
        (&"not-run".into(), 2)
    );
    assert!(wait_until(5, || processes(&mark).is_empty()));
    fs::remove_file(sandbox.path("../bin/cargo")).unwrap();
    sandbox.build(&[]).ends(0);
}

#[test]
fn a_build_that_waits_for_another_can_be_interrupted() {
    let sandbox = Sandbox::shipping(&[("app", &saying("a"))]);
    let mark = format!("72.{}", std::process::id());
    sandbox.fake_cargo(&format!("build*) sleep {mark};;"));
    let start = || sandbox.building(&[]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let first = start();
    assert!(wait_until(20, || !processes(&format!("sleep {mark}")).is_empty()));
    let second = start();
    thread::sleep(Duration::from_millis(500));
    assert_eq!(processes(&format!("sleep {mark}")).len(), 1, "one at a time");
    let start = Instant::now();
    for child in [second, first] {
        signal("INT", child.id());
        assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    }
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_build_that_is_killed_at_any_moment_leaves_nothing_half() {
    let sandbox = Sandbox::shipping(&[("app", &saying("a"))]);
    let top = sandbox.path("").display().to_string();
    sandbox.build(&[]).ends(0);
    let digest = sandbox.stored();
    for moment in (20..420).step_by(40) {
        for part in ["store", "build.json"] {
            sandbox.remove(&format!("target/xtask/{part}"));
        }
        let mut child = sandbox.building(&[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(moment));
        child.kill().ok();
        child.wait().unwrap();
        let whole: Vec<String> = sandbox.stored().into_iter().filter(|name| !name.starts_with('.')).collect();
        for name in &whole {
            assert_eq!(name, &digest[0]);
            let output = sandbox.command("sha256sum", &sandbox.path("target/xtask/store/sha256")).arg(name).output();
            assert!(String::from_utf8_lossy(&output.unwrap().stdout).starts_with(name.as_str()), "{moment}");
        }
        if let Ok(record) = fs::read(sandbox.path("target/xtask/build.json")) {
            serde_json::from_slice::<Value>(&record).unwrap();
        } else {
            fs::write(sandbox.path("target/xtask/build.json"), "").unwrap();
        }
        fs::create_dir_all(sandbox.path("target/xtask/store")).unwrap();
        assert!(wait_until(5, || processes(&top).is_empty()), "left behind: {:?}", processes(&top));
    }
    let built = sandbox.build(&[]).ends(0);
    assert_eq!(built.of("app", OWN)["digest"].as_str().unwrap(), digest[0]);
    assert!(!built.stderr.contains("torn"), "{}", built.stderr);
}

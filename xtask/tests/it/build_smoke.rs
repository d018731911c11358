//! Programs that are started once they are built: here, in an emulator, or with the reason why not.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::build_sandbox::{OTHER, OWN, saying};
use crate::gate_sandbox::toolchain;
use crate::sandbox::Sandbox;

#[test]
fn a_program_that_starts_and_one_that_does_not() {
    let failing = "fn main() {\n    eprintln!(\"no such thing\");\n    std::process::exit(3);\n}\n";
    let sandbox = Sandbox::shipping(&[("app", &saying("a 1")), ("bad", failing)]);
    sandbox.program(
        "own",
        "[package.metadata.supercargo]\nsmoke = [\"one two\", \"3\"]\n",
        "fn main() {\n    assert_eq!(std::env::args().skip(1).collect::<Vec<_>>(), [\"one two\", \"3\"]);\n}\n",
    );
    sandbox.relock();
    let built = sandbox.build(&["--smoke"]).ends(1);
    assert_eq!(built.verdicts(), ["app x86_64 passed", "bad x86_64 passed", "own x86_64 passed"]);
    let smoke = |program: &str| built.of(program, OWN)["smoke"]["verdict"].as_str().unwrap().to_owned();
    assert_eq!([smoke("app"), smoke("bad"), smoke("own")], ["passed", "failed", "passed"]);
    built.says("no such thing");
    built.says(&format!("rerun: cargo xtask build --bin bad --target {OWN} --smoke"));
    // What was built is there all the same.
    assert_eq!(sandbox.stored().len(), 3);
    let again = sandbox.build(&["--smoke", "--bin", "app"]).ends(0);
    assert_eq!((again.app(), again.of("app", OWN)["smoke"]["verdict"].as_str()), ("cached", Some("passed")));
    assert!(sandbox.build(&["--bin", "app"]).ends(0).of("app", OWN)["smoke"].is_null());
}

#[test]
fn a_program_that_is_not_there_is_not_started() {
    let sandbox = Sandbox::shipping(&[("app", "fn main() {\n    nothing();\n}\n")]);
    let built = sandbox.build(&["--smoke"]).ends(1);
    assert_eq!(built.of("app", OWN)["smoke"]["verdict"], "not-run");
}

#[test]
fn a_program_that_hangs_is_ended_in_policys_time() {
    let sandbox =
        Sandbox::shipping(&[("app", "fn main() {\n    std::thread::sleep(std::time::Duration::from_secs(20));\n}\n")]);
    sandbox.build(&[]).ends(0);
    sandbox.append("Cargo.toml", "timeout = \"1s\"\n");
    let start = Instant::now();
    let built = sandbox.build(&["--smoke"]).ends(5);
    assert!(start.elapsed() < Duration::from_secs(30));
    assert_eq!(built.app(), "cached");
    assert_eq!(built.of("app", OWN)["smoke"]["verdict"], "timed-out");
}

#[test]
fn a_program_of_another_machine_starts_in_an_emulator_or_is_skipped_with_the_reason() {
    let sandbox = Sandbox::shipping_both(&[("app", &saying("a 1"))]);
    let without = sandbox.path("../without");
    std::fs::create_dir(&without).unwrap();
    for tool in ["git", "sh"] {
        symlink(Path::new("/usr/bin").join(tool), without.join(tool)).unwrap();
    }
    let path = format!("{}:{}", without.display(), toolchain().display());
    let built = sandbox.build_with(&["--smoke"], &[("PATH", &path)]).ends(0);
    let smoke = &built.of("app", OTHER)["smoke"];
    assert_eq!(smoke["verdict"], "skipped", "{smoke}");
    assert!(smoke["because"].as_str().unwrap().contains("qemu-aarch64-static is not installed"), "{smoke}");
    assert_eq!(built.of("app", OWN)["smoke"]["verdict"], "passed");
    let there = ["qemu-aarch64-static", "qemu-aarch64"].iter().any(|name| Path::new("/usr/bin").join(name).exists());
    if !there {
        assert!(std::env::var_os("SUPERCARGO_REQUIRE_PEERS").is_none(), "qemu-user is not installed");
        return;
    }
    let built = sandbox.build(&["--smoke"]).ends(0);
    assert_eq!(built.verdicts(), ["app aarch64 cached", "app x86_64 cached"]);
    assert_eq!(built.of("app", OTHER)["smoke"]["verdict"], "passed");
}

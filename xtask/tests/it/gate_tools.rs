//! Tools that are missing, hang, are killed, say too much or nothing at all: never a false green.

use std::time::{Duration, Instant};

use crate::gate_sandbox::{processes, toolchain, wait_until};
use crate::sandbox::Sandbox;

/// Policy for a check of the team's own.
fn own(name: &str, command: &str, more: &str) -> String {
    format!("[workspace.metadata.supercargo.gate.check.{name}]\ncommand = {command}\n{more}\n")
}

#[test]
fn a_tool_that_is_missing_fails_unless_it_is_optional() {
    let sandbox = Sandbox::small();
    sandbox.policy(&own("must", "[\"no-such-tool\"]", "install = \"brew install no-such-tool\""));
    sandbox.policy(&own("may", "[\"no-such-tool\"]", "optional = true"));
    sandbox.policy(&own("warns", "[\"no-such-tool\"]", "policy = \"warn\""));
    sandbox.write("deny.toml", "");
    let gated = sandbox.gate(&["--only", "must,may,warns,deny", "--keep-going"]).ends(1);
    assert!(gated.verdict("must", "").starts_with("failed("));
    gated.says("brew install no-such-tool");
    assert_eq!(gated.verdict("may", ""), "skipped(tool missing)");
    gated.says("no-such-tool is not installed, and policy lets it be missing");
    gated.says("cargo install --locked cargo-deny");
    // A check that did not run has found nothing to warn of.
    assert!(gated.verdict("warns", "").starts_with("failed("), "{}", gated.verdict("warns", ""));
    sandbox.gate(&["--only", "may"]).ends(4);
}

#[test]
fn a_tool_that_is_there_and_broken_is_not_missing() {
    let sandbox = Sandbox::small();
    sandbox.fake("zizmor", "exit 101");
    sandbox.write(".github/workflows/x.yml", "on: push\n");
    sandbox.policy("[workspace.metadata.supercargo.gate.check.workflows]\nenabled = true\noptional = true\n");
    let gated = sandbox.gate(&["--only", "workflows,fmt"]);
    assert_ne!(gated.verdict("workflows", ""), "skipped(tool missing)");
}

#[test]
fn a_tool_that_hangs_is_ended_with_all_that_it_started() {
    let sandbox = Sandbox::small();
    let mark = format!("sleep 61.{}", std::process::id());
    sandbox.policy(&own(
        "hangs",
        &format!("[\"sh\", \"-c\", \"{mark} & sh -c '{mark}' & {mark}\"]"),
        "timeout = \"1s\"",
    ));
    let start = Instant::now();
    let gated = sandbox.gate(&["--only", "hangs"]).ends(5);
    assert!(gated.verdict("hangs", "").starts_with("timed-out("));
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(wait_until(5, || processes(&mark).is_empty()), "left behind: {:?}", processes(&mark));
    assert!(sandbox.kept().is_empty());
}

#[test]
fn a_test_that_hangs_under_nextest_is_ended_too() {
    let sandbox = Sandbox::small();
    if !sandbox.nextest() {
        return;
    }
    let mark = format!("62.{}", std::process::id());
    let test = format!(
        "#[test]\nfn t() {{\n    std::process::Command::new(\"sleep\").arg(\"{mark}\").status().unwrap();\n}}\n"
    );
    sandbox.write("crates/c/tests/it.rs", &test);
    sandbox.policy("[workspace.metadata.supercargo.gate.check.test]\ntimeout = \"8s\"\n");
    let gated = sandbox.gate(&["--only", "test"]).ends(5);
    assert!(gated.verdict("test", "c").starts_with("timed-out("));
    assert!(wait_until(5, || processes(&mark).is_empty()), "left behind: {:?}", processes(&mark));
}

#[test]
fn a_tool_that_is_killed() {
    let sandbox = Sandbox::small();
    sandbox.policy(&own("killed", "[\"sh\", \"-c\", \"kill -9 $$\"]", ""));
    let gated = sandbox.gate(&["--only", "killed"]).ends(1);
    assert_eq!(gated.verdict("killed", ""), "failed(ended by signal 9)");
    sandbox.fake_cargo("'clippy --workspace'*) kill -9 $$;;");
    let gated = sandbox.gate(&["--only", "clippy"]).ends(1);
    assert!(gated.verdicts("clippy").matches("failed(ended by signal 9)").count() == 3);
    assert!(sandbox.kept().is_empty());
}

#[test]
fn a_tool_that_prints_without_end_does_not_fill_our_memory() {
    let sandbox = Sandbox::small();
    // Lines are short, and there is one that never ends.
    sandbox.policy(&own(
        "lines",
        "[\"sh\", \"-c\", \"yes 0123456789 | tr -d a | head -c 200000000 | tr '\\\\n' 'x' | fold -w 9000\"]",
        "",
    ));
    sandbox.policy(&own("zeros", "[\"sh\", \"-c\", \"head -c 200000000 /dev/zero\"]", ""));
    for step in ["zeros", "lines"] {
        let mut gate = sandbox.gating(&["--only", step]).stderr(std::process::Stdio::null()).spawn().unwrap();
        let mut most = 0;
        let status = loop {
            let text = std::fs::read_to_string(format!("/proc/{}/status", gate.id())).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
            most = most.max(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0));
            if let Some(status) = gate.try_wait().unwrap() {
                break status;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(status.code(), Some(0));
        assert!((1..120 * 1024).contains(&most), "{step}: {most} kB");
        let log = std::fs::metadata(sandbox.path(&format!("target/xtask/gate/latest/logs/{step}.log"))).unwrap();
        assert!(log.len() < 40 * 1024 * 1024);
    }
}

#[test]
fn a_cargo_that_says_nothing_or_only_that_it_is_done() {
    let sandbox = Sandbox::small();
    let done = "echo '{\"reason\":\"build-finished\",\"success\":true}'; exit 0";
    for said in ["exit 0", done] {
        sandbox.fake_cargo(&format!("'clippy --workspace'*|'doc '*|'test --'*) {said};;"));
        let gated = sandbox.gate(&["--only", "clippy,doc,test,doctest,fmt", "--keep-going"]);
        for step in ["clippy", "doc", "test", "doctest"] {
            for member in ["a", "b", "c"] {
                let verdict = gated.verdict(step, member);
                assert!(verdict.starts_with("failed("), "{said}: {step}:{member} is {verdict}");
            }
        }
        assert_eq!(gated.code, Some(1));
    }
}

#[test]
fn doctests_that_end_badly_for_no_reason_that_is_told() {
    let sandbox = Sandbox::small();
    let section =
        |name: &str| format!("echo '   Doc-tests {name}'; echo 'test result: ok. 1 passed; 0 failed; 0 ignored'");
    let all = [section("a"), section("b"), section("c")].join("; ");
    sandbox.fake_cargo(&format!("'test --doc'*) {all}; exit 101;;"));
    let gated = sandbox.gate(&["--only", "doctest"]);
    assert_eq!(gated.code, Some(1), "exit code 101 is green: {}", gated.stderr);
    assert!(sandbox.kept().is_empty());
}

#[test]
fn a_nextest_that_ran_nothing() {
    let sandbox = Sandbox::small();
    sandbox.fake("cargo-nextest", "case \"$*\" in *--version*) echo 'cargo-nextest 0.9.143';; esac; exit 0");
    let gated = sandbox.gate(&["--only", "test"]).ends(1);
    assert!(gated.verdicts("test").matches("failed(").count() == 3);
    // A report without a test in it, and a list that has some.
    let xml = "<?xml version=\\\"1.0\\\"?><testsuites name=\\\"x\\\" tests=\\\"0\\\" failures=\\\"0\\\" errors=\\\"0\\\"></testsuites>";
    let run = format!(
        "for word in \"$@\"; do case \"$word\" in supercargo:*) file=${{word#supercargo:}};; esac; done\ncase \"$*\" in\n\
         *--version*) echo 'cargo-nextest 0.9.143';;\n*' list '*) echo '{{\"rust-suites\":{{}}}}';;\n\
         *) printf \"{xml}\" > \"$(dirname \"$file\")/nextest.xml\";;\nesac\nexit 0"
    );
    sandbox.fake("cargo-nextest", &run);
    let gated = sandbox.gate(&["--only", "test,fmt", "--keep-going"]);
    // Cargo compiled tests for each of them: that nothing is listed cannot be.
    assert_ne!(gated.code, Some(0), "{}", gated.stderr);
}

#[test]
fn a_test_that_ends_its_process_with_success() {
    let sandbox = Sandbox::small();
    sandbox.write(
        "crates/c/tests/it.rs",
        "#[test]\nfn a() {\n    std::process::exit(0);\n}\n\n#[test]\nfn b() {\n    panic!();\n}\n",
    );
    let gated = sandbox.gate(&["--only", "test"]).ends(1);
    assert!(gated.verdict("test", "c").starts_with("failed("));
    // Neither does it help that something it started printed a result of its own.
    let nested = "std::process::Command::new(\"echo\").arg(\"test result: ok. 1 passed; 0 failed; 0 ignored\").status().unwrap();";
    sandbox.replace(
        "crates/c/tests/it.rs",
        "    std::process::exit(0);",
        &format!("    {nested}\n    std::process::exit(0);"),
    );
    let gated = sandbox.gate(&["--only", "test"]);
    assert!(gated.verdict("test", "c").starts_with("failed("), "2 listed, and not all ran: {}", gated.stderr);
    // A harness of its own is judged by its exit code.
    sandbox.write("crates/c/tests/it.rs", "fn main() {\n    std::process::exit(3);\n}\n");
    sandbox.append("crates/c/Cargo.toml", "\n[[test]]\nname = \"it\"\nharness = false\n");
    sandbox.gate(&["--only", "test"]).ends(1).says("it: exit code 3");
}

#[test]
fn warnings_are_not_lost_in_many_or_long_ones() {
    let sandbox = Sandbox::small();
    let warning = "\n/// One.\npub fn one() {\n    let y = 1;\n}\n";
    // The last of more findings than are kept. The other is compiled later, for its build script takes a while.
    let many: String = (0..505).map(|n| format!("    let x{n} = {n};\n")).collect();
    sandbox.append("crates/a/src/lib.rs", &format!("\n/// Many.\npub fn many() {{\n{many}}}\n"));
    sandbox.append("crates/c/src/lib.rs", warning);
    sandbox.write("crates/c/build.rs", "fn main() {\n    std::thread::sleep(std::time::Duration::from_secs(2));\n}\n");
    let gated = sandbox.gate(&["--only", "clippy"]).ends(1);
    assert!(gated.verdict("clippy", "c").starts_with("failed("), "{}", gated.verdicts("clippy"));
    // One with a source line that is longer than what is read at once.
    let sandbox = Sandbox::small();
    let long = "a".repeat(1_200_000);
    sandbox.append("crates/c/src/lib.rs", &format!("\n/// One.\npub fn one() {{\n    let y = \"{long}\";\n}}\n"));
    sandbox.gate(&["--only", "clippy"]).ends(1);
}

#[test]
fn warnings_are_denied_by_cargo_where_it_can_and_counted_where_it_cannot() {
    let real = toolchain().join("cargo");
    for (version, told) in [("1.97.0", "deny"), ("1.95.0", "")] {
        let sandbox = Sandbox::small();
        sandbox.append("crates/c/src/lib.rs", "\n/// One.\npub fn one() {\n    let y = 1;\n}\n");
        sandbox.fake_cargo(&format!(
            "-V) echo 'cargo {version} (x 2026-01-01)'; exit 0;;\n'clippy --workspace'*) \
             echo \"[$CARGO_BUILD_WARNINGS$RUSTFLAGS]\" > ../told; exec {} \"$@\";;",
            real.display()
        ));
        let gated = sandbox.gate(&["--only", "clippy"]).ends(1);
        assert!(gated.verdict("clippy", "c").starts_with("failed("));
        assert_eq!(std::fs::read_to_string(sandbox.path("../told")).unwrap().trim(), format!("[{told}]"));
        assert_eq!(gated.verdict("clippy", "a"), "passed");
    }
}

#[test]
fn an_audit_that_came_to_no_judgement_is_not_clean() {
    let sandbox = Sandbox::small();
    sandbox.write("deny.toml", "");
    let summary = "{\\\"type\\\":\\\"summary\\\",\\\"fields\\\":{}}";
    for (script, verdict) in [
        (String::new(), "failed(the tool or its database failed"),
        (
            "echo '{\"type\":\"log\",\"fields\":{\"level\":\"ERROR\",\"message\":\"no database\"}}' >&2; exit 1".into(),
            "no database",
        ),
        (format!("echo \"{summary}\" >&2; exit 2"), "exit code 2"),
        (format!("echo \"{summary}\" >&2"), "passed"),
    ] {
        sandbox
            .fake("cargo-deny", &format!("case \"$*\" in *--version*) echo 'cargo-deny 1'; exit 0;; esac\n{script}"));
        let gated = sandbox.gate(&["--only", "deny"]);
        assert!(gated.verdict("deny", "").contains(verdict), "{script}: {}", gated.verdict("deny", ""));
        assert_eq!(gated.code == Some(0), verdict == "passed");
    }
}

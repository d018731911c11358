//! What changed is built and nothing else; and nothing is started where nothing changed.

use std::fs;

use crate::build_sandbox::{OWN, saying};
use crate::gate_sandbox::wait_until;
use crate::sandbox::Sandbox;

/// Ten programs, a library of `p0` and `p1`, and one for tests.
fn ten() -> Sandbox {
    let names: Vec<String> = (0..10).map(|n| format!("p{n}")).collect();
    let source = saying("hello");
    let programs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), source.as_str())).collect();
    let sandbox = Sandbox::shipping(&programs);
    sandbox.member("part", "", "pub const SAID: &str = \"part\";\n");
    sandbox.member("testing", "", "pub fn f() {}\n");
    sandbox.member("windows", "", "pub fn f() {}\n");
    for name in ["p0", "p1"] {
        sandbox.program(
            name,
            "[dependencies]\npart = { path = \"../part\" }\n",
            &saying("{}").replace("\"{}\"", "\"{}\", part::SAID"),
        );
    }
    sandbox.append("crates/p2/Cargo.toml", "[dev-dependencies]\ntesting = { path = \"../testing\" }\n");
    sandbox
        .append("crates/p3/Cargo.toml", "[target.'cfg(windows)'.dependencies]\nwindows = { path = \"../windows\" }\n");
    sandbox.relock();
    sandbox.commit("ten");
    sandbox
}

/// The programs that were built.
fn built(sandbox: &Sandbox, arguments: &[&str]) -> Vec<String> {
    let built = sandbox.build(arguments).ends(0);
    let made =
        built.verdicts().into_iter().filter_map(|verdict| Some(verdict.strip_suffix(" x86_64 passed")?.to_owned()));
    made.collect()
}

#[test]
fn one_of_ten_that_changed_is_built_and_nothing_is_started_for_none() {
    let sandbox = ten();
    assert_eq!(built(&sandbox, &[]).len(), 10);
    let before = fs::read_to_string(sandbox.path("target/xtask/build.json")).unwrap();
    let calls = sandbox.recording_cargo();
    let started =
        || fs::read_to_string(&calls).unwrap_or_default().lines().filter(|line| line.starts_with("build")).count();
    for _ in 0..2 {
        assert_eq!(built(&sandbox, &[]), Vec::<String>::new());
    }
    assert_eq!(started(), 0, "{:?}", fs::read_to_string(&calls));
    let digests = |text: &str| {
        let record: serde_json::Value = serde_json::from_str(text).unwrap();
        let of = |made: &serde_json::Value| (made["program"].clone(), made["digest"].clone(), made["key"].clone());
        record["programs"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(digests(&before), digests(&fs::read_to_string(sandbox.path("target/xtask/build.json")).unwrap()));
    // What only tests, other programs and other platforms see.
    sandbox.append("crates/testing/src/lib.rs", "// x\n");
    sandbox.append("crates/windows/src/lib.rs", "// x\n");
    sandbox.write("crates/p4/tests/it.rs", "#[test]\nfn t() {}\n");
    sandbox.write("crates/p4/README.md", "four\n");
    sandbox.write("crates/p4/examples/e.rs", "fn main() {}\n");
    sandbox.append("crates/p5/Cargo.toml", "[dev-dependencies]\ntesting = { path = \"../testing\" }\n");
    sandbox.append("Cargo.toml", "# a remark\n");
    sandbox.relock();
    assert_eq!(built(&sandbox, &[]), Vec::<String>::new());
    assert_eq!(started(), 0, "{:?}", fs::read_to_string(&calls));
    sandbox.write("crates/p7/src/main.rs", &saying("seven"));
    assert_eq!(built(&sandbox, &[]), ["p7"]);
    assert_eq!(started(), 1);
    assert_eq!((sandbox.started("p7"), sandbox.started("p6")), ("seven".into(), "hello".into()));
    sandbox.member("part", "", "pub const SAID: &str = \"other\";\n");
    assert_eq!(built(&sandbox, &[]), ["p0", "p1"]);
    assert_eq!(sandbox.started("p1"), "other");
    sandbox.member("part", "", "pub const SAID: &str = \"part\";\n");
    assert_eq!(built(&sandbox, &[]), Vec::<String>::new(), "what was there before is still there");
    assert_eq!(sandbox.started("p1"), "part");
}

#[test]
fn affected_builds_only_what_differs_from_the_base() {
    let sandbox = ten();
    let nobody = sandbox.build(&["--affected", "main"]).ends(0);
    nobody.says("no program is affected since main");
    assert!(nobody.verdicts().iter().all(|verdict| verdict.ends_with("skipped")), "{:?}", nobody.verdicts());
    let github = sandbox.build(&["--affected", "main", "--format", "github"]).ends(0);
    assert_eq!(github.stdout, "any=false\ncount=0\nmatrix={\"include\":[]}\n");
    sandbox.git(&["checkout", "--quiet", "-b", "feat"]);
    sandbox.append("crates/part/src/lib.rs", "// x\n");
    sandbox.append("crates/testing/src/lib.rs", "// x\n");
    sandbox.write("crates/p4/README.md", "four\n");
    sandbox.commit("change");
    assert_eq!(built(&sandbox, &["--affected", "main"]), ["p0", "p1"]);
    assert_eq!(built(&sandbox, &["--affected", "auto", "--no-cache"]), ["p0", "p1"]);
    let github = sandbox.build(&["--affected", "main", "--format", "github", "--bin", "p1", "--bin", "p2"]).ends(0);
    let expected = format!("any=true\ncount=1\nmatrix={{\"include\":[{{\"program\":\"p1\",\"target\":\"{OWN}\"}}]}}\n");
    assert_eq!(github.stdout, expected);
    sandbox.build(&["--affected", "nowhere"]).ends(3).says("the base `nowhere` is no commit of this clone");
    sandbox.build(&["--affected", "--help"]).ends(2);
}

#[test]
fn affected_sees_policy_and_settings_that_change_programs() {
    for (path, line) in [
        ("Cargo.toml", "tuned = true\n"),
        ("Cargo.toml", "source-date-epoch = 7\n"),
        ("Cargo.toml", "profile = \"dev\"\n"),
        ("Cargo.toml", "linker = { x86_64-unknown-linux-musl = \"cc\" }\n"),
        ("Cargo.toml", "[profile.release]\nopt-level = 1\n"),
        ("crates/app/Cargo.toml", "[package.metadata.supercargo]\ndefault-features = false\n"),
        (".cargo/config.toml", "[build]\nrustflags = [\"--cfg\", \"x\"]\n"),
    ] {
        let sandbox = Sandbox::shipping(&[("app", &saying("a"))]);
        sandbox.write(".cargo/config.toml", "");
        sandbox.commit("configuration");
        sandbox.append(path, line);
        let github = sandbox.build(&["--affected", "main", "--format", "github"]).ends(0);
        assert!(github.stdout.starts_with("any=true"), "{line} changes the program");
    }
}

#[test]
fn github_gets_its_outputs_and_nothing_is_built() {
    let sandbox = Sandbox::shipping_both(&[("app", &saying("a"))]);
    let file = sandbox.path("../outputs");
    fs::write(&file, "before=1\n").unwrap();
    let built = sandbox.build_with(&["--format", "github"], &[("GITHUB_OUTPUT", file.to_str().unwrap())]).ends(0);
    assert!(built.stdout.starts_with("any=true\ncount=2\nmatrix={"), "{}", built.stdout);
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("before=1\n{}", built.stdout));
    assert!(!sandbox.path("target/xtask/build.json").exists() && !sandbox.path("target/xtask/cargo").exists());
    // Each entry can be built by its own words.
    let built = sandbox.build(&["--bin", "app", "--target", OWN]).ends(0);
    assert_eq!(built.verdicts(), ["app x86_64 passed"]);
}

#[test]
fn a_plan_starts_nothing_and_is_what_runs() {
    let sandbox = Sandbox::shipping(&[("app", &saying("a"))]);
    let calls = sandbox.recording_cargo();
    let plan = sandbox.build(&["--plan", "--format", "json"]).ends(0);
    let text = sandbox.build(&["--plan"]).ends(0).stdout;
    assert!(text.contains("linked by rust-lld: nothing but Rust is linked"), "{text}");
    let said = || fs::read_to_string(&calls).unwrap_or_default();
    assert!(!said().lines().any(|line| line.starts_with("build")), "{}", said());
    assert!(!sandbox.path("target/xtask/build.json").exists() && !sandbox.path("target/xtask/cargo").exists());
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    let command: Vec<&str> =
        plan["steps"][0]["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    let built = sandbox.build(&[]).ends(0);
    let ran = || said().lines().filter(|line| line.starts_with("build")).map(str::to_owned).collect::<Vec<_>>();
    assert!(wait_until(1, || ran().len() == 1));
    assert_eq!(ran(), [command[1..].join(" ")]);
    assert!(text.contains(&command.join(" ")), "{text}");
    assert_eq!(plan["steps"][0]["items"][0]["key"], built.of("app", OWN)["key"]);
    let text = sandbox.build(&["--plan"]).ends(0).stdout;
    let digest = built.of("app", OWN)["digest"].as_str().unwrap().to_owned();
    assert!(text.contains(&format!("cached: sha256:{digest}")), "{text}");
}

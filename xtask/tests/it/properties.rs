//! What holds for every change: monotone, the same from everywhere, never beyond the members, the same bytes.

use std::fs;

use crate::sandbox::{Sandbox, set};

/// Changes that can be made together, in any number.
const CHANGES: [&str; 8] = [
    "crates/core/src/lib.rs",
    "crates/core/tests/it.rs",
    "crates/core/README.md",
    "crates/app/src/lib.rs",
    "shared/a.txt",
    "shared/runtime.json",
    "outside/src/lib.rs",
    "crates/reading/src/tests.rs",
];

/// Numbers that look random and are the same on every machine.
fn numbers(mut seed: u64) -> impl Iterator<Item = u64> {
    std::iter::from_fn(move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Some(seed >> 33)
    })
}

#[test]
fn more_changed_files_never_fewer_members() {
    let sandbox = Sandbox::new();
    let members = sandbox.members();
    for round in 0..4 {
        let mut order: Vec<&str> = CHANGES.to_vec();
        let mut numbers = numbers(round);
        order.sort_by_cached_key(|_| numbers.next());
        let mut before = set(&[]);
        for path in order {
            sandbox.append(path, "\n");
            let after = sandbox.names(&["main"]);
            assert!(before.is_subset(&after), "{path} took {:?} away", before.difference(&after));
            assert!(after.is_subset(&members));
            before = after;
        }
        sandbox.git(&["checkout", "--quiet", "--", "."]);
    }
}

#[test]
fn the_same_answer_from_every_folder_and_under_every_configuration() {
    let sandbox = Sandbox::new();
    sandbox.append("crates/core/src/lib.rs", "// x\n");
    sandbox.git(&["mv", "shared/a.txt", "shared/renamed.txt"]);
    sandbox.replace("crates/including/src/lib.rs", "a.txt", "renamed.txt");
    sandbox.write("crates/app/data/new.log", "x");
    let expected = sandbox.ask(&["main", "--format", "json"]).stdout;
    assert!(!expected.is_empty());
    let ask = |folder: &str| sandbox.asking(folder, &["main", "--format", "json"]).output().unwrap().stdout;
    for folder in ["crates", "crates/core", "crates/core/src", "shared"] {
        assert_eq!(ask(folder), expected, "from {folder}");
    }
    let manifest = sandbox.path("Cargo.toml").display().to_string();
    let elsewhere =
        sandbox.asking("../home", &["main", "--format", "json", "--manifest-path", &manifest]).output().unwrap();
    assert_eq!(elsewhere.stdout, expected, "by --manifest-path");
    sandbox.write("../home/ignore", "*.log\n*.rs\n");
    let hostile = [
        ("diff.relative", "true"),
        ("diff.renames", "copies"),
        ("diff.noprefix", "true"),
        ("diff.external", "false"),
        ("diff.ignoreSubmodules", "all"),
        ("diff.orderFile", "no-such-file"),
        ("core.quotePath", "true"),
        ("core.excludesFile", "~/ignore"),
        ("core.abbrev", "4"),
        ("core.fsmonitor", "true"),
        ("color.ui", "always"),
        ("status.showUntrackedFiles", "no"),
        ("log.showSignature", "true"),
        ("core.pager", "false"),
    ];
    for (key, value) in hostile {
        sandbox.git(&["config", "--global", key, value]);
        assert_eq!(ask("crates/core"), expected, "{key}={value}");
    }
}

#[test]
fn the_same_facts_give_the_same_bytes_and_no_absolute_path() {
    let sandbox = Sandbox::new();
    sandbox.append("crates/core/src/lib.rs", "// x\n");
    sandbox.write("nobody's", "x");
    for format in ["json", "names", "github", "matrix", "mermaid", "dot", "nextest", "cargo-args"] {
        let ask = || sandbox.ask(&["main", "--format", format]).stdout;
        let first = ask();
        assert_eq!(first, ask(), "{format}, the second time");
        fs::remove_dir_all(sandbox.path("target/xtask")).unwrap();
        assert_eq!(first, ask(), "{format}, without the cache");
        let text = String::from_utf8(first).unwrap();
        assert!(!text.contains(sandbox.path("").parent().unwrap().to_str().unwrap()), "{format}: {text}");
    }
}

#[test]
fn a_fingerprint_is_of_the_content_committed_or_not() {
    let sandbox = Sandbox::new();
    sandbox.append("crates/core/src/lib.rs", "// x\n");
    sandbox.write("crates/app/new file.txt", "x");
    let prints = |arguments: &[&str]| {
        let answer: serde_json::Value = serde_json::from_slice(&sandbox.ask(arguments).stdout).unwrap();
        let members = answer["members"].as_array().unwrap();
        members.iter().map(|member| (member["name"].clone(), member["fingerprints"].clone())).collect::<Vec<_>>()
    };
    let uncommitted = prints(&["main", "--format", "json"]);
    sandbox.commit("now it is");
    assert_eq!(prints(&["main", "--format", "json"]), uncommitted);
    assert_eq!(prints(&["main", "--head", "HEAD", "--format", "json"]), uncommitted);
}

#[test]
fn a_member_is_affected_exactly_when_its_fingerprints_differ() {
    let sandbox = Sandbox::new();
    for path in CHANGES.iter().chain(&["scripts/x.sh", "crates/silent/README.md", ".gitignore"]) {
        sandbox.append(path, "\n");
        let answer: serde_json::Value =
            serde_json::from_slice(&sandbox.ask(&["main", "--format", "json"]).stdout).unwrap();
        for member in answer["members"].as_array().unwrap() {
            for set in ["check", "build"] {
                let prints = &member["fingerprints"][set];
                let differ = prints["base"] != prints["head"];
                assert_eq!(member["affected"][set], differ, "{path}: {} {set}", member["name"]);
            }
        }
        sandbox.git(&["checkout", "--quiet", "--", "."]);
    }
}

#[test]
fn a_path_that_comes_to_be_included_in_the_same_change_stays_everyones() {
    let sandbox = Sandbox::new();
    sandbox.append("scripts/x.sh", "x");
    assert_eq!(sandbox.names(&["main"]), sandbox.members());
    sandbox.append("crates/app/src/lib.rs", "pub const A: &str = include_str!(\"../../../scripts/x.sh\");\n");
    assert_eq!(sandbox.names(&["main"]), sandbox.members(), "more changed files, never fewer members");
    sandbox.git(&["checkout", "--quiet", "--", "scripts"]);
    assert_eq!(sandbox.names(&["main"]), set(&["app"]), "and one that did not change is nobody's cause");
}

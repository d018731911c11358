//! Bad input: one sentence, one command that mends it, the right exit code, and never an empty answer with exit 0.

use std::fs;
use std::process::{Output, Stdio};

use crate::sandbox::{Sandbox, set};

fn told(output: &Output, code: i32, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(output.stdout.is_empty(), "an answer beside a failure");
    for word in words {
        assert!(stderr.contains(word), "`{word}` is not in: {stderr}");
    }
    assert!(stderr.contains("mend: "), "{stderr}");
}

#[test]
fn a_base_that_is_not_there() {
    let sandbox = Sandbox::new();
    told(&sandbox.ask(&["origin/main"]), 3, &["`origin/main` is no commit", "git fetch origin main"]);
    told(&sandbox.ask(&[&"0".repeat(40)]), 3, &["all-zero", "git fetch origin main"]);
    told(&sandbox.ask(&["--head", "nowhere", "main"]), 3, &["no commit `nowhere`"]);
    told(&sandbox.ask(&["main..feat"]), 2, &["is no branch, tag or commit"]);
    for base in ["origin/main", &"0".repeat(40)] {
        assert_eq!(sandbox.names(&[base, "--or-all"]), sandbox.members());
    }
    let json: serde_json::Value =
        serde_json::from_slice(&sandbox.ask(&["nowhere", "--or-all", "--format", "json"]).stdout).unwrap();
    assert_eq!(json["base"]["commit"], serde_json::Value::Null);
    assert!(json["everyone"][0]["change"].as_str().unwrap().contains("`nowhere` is no commit"));
}

#[test]
fn a_shallow_clone_without_a_common_ancestor() {
    let sandbox = Sandbox::new();
    sandbox.append("crates/core/src/lib.rs", "// x\n");
    sandbox.commit("feat");
    sandbox.git(&["checkout", "--quiet", "main"]);
    sandbox.commit("main moved on");
    let clone = sandbox.path("../clone");
    let url = format!("file://{}", sandbox.path("").canonicalize().unwrap().display());
    let git = |folder: &std::path::Path, arguments: &[&str]| {
        let output = sandbox.command("git", folder).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    git(&sandbox.path(""), &["clone", "--quiet", "--depth", "1", "--branch", "feat", &url, clone.to_str().unwrap()]);
    git(&clone, &["fetch", "--quiet", "--depth", "1", "origin", "main:refs/remotes/origin/main"]);
    let output = sandbox.asking("../clone", &["origin/main"]).output().unwrap();
    told(&output, 3, &["no common ancestor", "shallow", "git fetch --unshallow origin main"]);
    let output = sandbox.asking("../clone", &["origin/main", "--or-all"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), sandbox.members().len());
}

#[test]
fn the_base_moved_on_and_more_than_one_ancestor_is_best() {
    let sandbox = Sandbox::new();
    sandbox.append("crates/app/src/lib.rs", "// x\n");
    sandbox.commit("feat");
    sandbox.git(&["checkout", "--quiet", "main"]);
    sandbox.append("crates/core/src/lib.rs", "// x\n");
    sandbox.commit("main");
    sandbox.git(&["checkout", "--quiet", "feat"]);
    assert_eq!(sandbox.names(&["main"]), set(&["app"]));
    // A criss-cross merge leaves two best common ancestors.
    sandbox.git(&["branch", "old-feat"]);
    sandbox.git(&["merge", "--quiet", "--no-edit", "main"]);
    sandbox.git(&["checkout", "--quiet", "main"]);
    sandbox.git(&["merge", "--quiet", "--no-edit", "old-feat"]);
    sandbox.git(&["checkout", "--quiet", "feat"]);
    sandbox.append("crates/silent/src/lib.rs", "// x\n");
    assert!(sandbox.names(&["main"]).contains("silent"));
}

#[test]
fn manifests_and_lockfiles_that_are_broken() {
    let sandbox = Sandbox::new();
    sandbox.write("crates/core/Cargo.toml", "[package\n");
    told(&sandbox.ask(&["main"]), 3, &["crates/core/Cargo.toml", "the working tree"]);
    sandbox.commit("broken");
    told(&sandbox.ask(&["main", "--head", "HEAD"]), 3, &["crates/core/Cargo.toml", "commit HEAD"]);
    sandbox.git(&["branch", "--quiet", "broken"]);
    sandbox.git(&["checkout", "--quiet", "main", "--", "crates/core/Cargo.toml"]);
    told(&sandbox.ask(&["broken"]), 3, &["crates/core/Cargo.toml", "the base (broken)"]);
    assert_eq!(sandbox.names(&["broken", "--or-all"]), sandbox.members());
    let lock = fs::read_to_string(sandbox.path("Cargo.lock")).unwrap();
    sandbox.write("Cargo.lock", &format!("<<<<<<< HEAD\n{lock}=======\n>>>>>>> main\n"));
    told(&sandbox.ask(&["main"]), 3, &["Cargo.lock has conflict marks"]);
    sandbox.write("Cargo.lock", "[[package]\n");
    told(&sandbox.ask(&["main"]), 3, &["Cargo.lock is broken: line 1"]);
}

#[test]
fn nothing_to_ask_about() {
    let sandbox = Sandbox::new();
    let home = |arguments: &[&str]| sandbox.asking("../home", arguments).output().unwrap();
    told(&home(&["main"]), 3, &["no workspace", "--manifest-path"]);
    sandbox.write("../home/Cargo.toml", "[workspace]\n");
    told(&home(&["main"]), 3, &["no git repository", "git init"]);
    told(&sandbox.ask(&["main", "--manifest-path", "no/Cargo.toml"]), 3, &["no/Cargo.toml"]);
    let no_commit = sandbox.path("../empty");
    fs::create_dir(&no_commit).unwrap();
    fs::write(no_commit.join("Cargo.toml"), "[workspace]\n").unwrap();
    assert!(sandbox.command("git", &no_commit).args(["init", "--quiet"]).status().unwrap().success());
    told(&sandbox.asking("../empty", &["main"]).output().unwrap(), 3, &["no commit `HEAD`"]);
}

#[test]
fn every_fault_of_the_policy_at_once() {
    let sandbox = Sandbox::new();
    sandbox.append(
        "Cargo.toml",
        "[workspace.metadata.supercargo]\nbsae = \"main\"\n\
         [[workspace.metadata.supercargo.rule]]\npaths = [\"a[\"]\naffects = [\"cor\"]\n\
         [[workspace.metadata.supercargo.rule]]\npath = [\"a\"]\naffects = \"everyone\"\n",
    );
    sandbox.append("crates/core/Cargo.toml", "[package.metadata.supercargo]\nshop = true\n");
    told(
        &sandbox.ask(&["main"]),
        3,
        &[
            "unknown key `bsae`; did you mean `base`?",
            "the glob `a[` opens a `[` and does not close it",
            "unknown member `cor`; did you mean `core`?",
            "unknown key `path`; did you mean `paths`?",
            "rule[1].paths: expected globs, found nothing",
            "rule[1].affects: expected member names, or \"all\", found \"everyone\"",
            "package.metadata.supercargo of core: unknown key `shop`",
        ],
    );
    let lint = sandbox.ask(&["--lint"]);
    assert_eq!(lint.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&lint.stdout).contains("fault: workspace.metadata.supercargo: unknown key `bsae`"));
}

#[test]
fn questions_about_nobody_and_questions_turned_around() {
    let sandbox = Sandbox::new();
    sandbox.append("crates/core/src/lib.rs", "// x\n");
    told(&sandbox.ask(&["main", "--why", "cor"]), 2, &["no member `cor`", "--why core"]);
    for (question, member) in [("--why", "silent"), ("--why-not", "app")] {
        let output = sandbox.ask(&["main", question, member]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    }
    let why_not = String::from_utf8(sandbox.ask(&["main", "--why-not", "including-user"]).stdout).unwrap();
    assert!(why_not.contains("members: including"), "{why_not}");
    assert_eq!(sandbox.ask(&["main", "--shards", "0"]).status.code(), Some(2));
    assert_eq!(sandbox.ask(&["main", "--shards", "257", "--format", "matrix"]).status.code(), Some(2));
    assert_eq!(sandbox.ask(&["main", "--no-such-flag"]).status.code(), Some(2));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_fault() {
    let sandbox = Sandbox::new();
    sandbox.append("crates/core/src/lib.rs", "// x\n");
    let mut child =
        sandbox.asking("", &["main", "--format", "json"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = sandbox.asking("", &["main"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "a full disk is one");
}

#[test]
fn a_cache_that_is_torn_foreign_or_cannot_be_written_changes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.append("crates/core/src/lib.rs", "// x\n");
    let expected = sandbox.names(&["main"]);
    let facts = sandbox.path("target/xtask/facts");
    let entries: Vec<_> = fs::read_dir(&facts).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(entries.len() >= 3, "{entries:?}");
    for content in [&b""[..], b"{}", b"null", &[0xff; 4096]] {
        for entry in &entries {
            fs::write(entry, content).unwrap();
        }
        assert_eq!(sandbox.names(&["main"]), expected);
    }
    fs::remove_dir_all(sandbox.path("target")).unwrap();
    fs::write(sandbox.path("target"), "no folder").unwrap();
    assert_eq!(sandbox.names(&["main"]), expected);
}

#[test]
fn nothing_is_written_but_the_cache_of_facts() {
    let sandbox = Sandbox::new();
    sandbox.append("crates/core/src/lib.rs", "// x\n");
    let index = fs::read(sandbox.path(".git/index")).unwrap();
    let listing = || {
        let output = sandbox
            .command("find", &sandbox.path(""))
            .args([".", "-newer", "Cargo.lock", "-type", "f"])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>()
    };
    let before = listing();
    sandbox.names(&["main"]);
    sandbox.names(&["main", "--head", "HEAD"]);
    let written: Vec<String> = listing().difference(&before).cloned().collect();
    assert!(written.iter().all(|path| path.starts_with("./target/xtask/facts/")), "{written:?}");
    assert_eq!(fs::read(sandbox.path(".git/index")).unwrap(), index);
}

#[test]
fn an_interrupt_ends_it_and_the_processes_it_started() {
    let sandbox = Sandbox::new();
    sandbox.write("../bin/git", "#!/bin/sh\necho $$ >> \"$HOME/pids\"\nsleep 60 & wait\n");
    let program = sandbox.path("../bin/git");
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path =
        format!("{}:{}", sandbox.path("../bin").canonicalize().unwrap().display(), std::env::var("PATH").unwrap());
    let mut child = sandbox.asking("", &["main"]).env("PATH", path).stderr(Stdio::null()).spawn().unwrap();
    let pids = sandbox.path("../home/pids");
    while fs::read_to_string(&pids).unwrap_or_default().lines().count() < 3 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let kill =
        |signal: &str, pid: &str| sandbox.command("kill", &sandbox.path("")).args([signal, pid]).output().unwrap();
    kill("-INT", &child.id().to_string());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    std::thread::sleep(std::time::Duration::from_millis(200));
    for pid in fs::read_to_string(&pids).unwrap().lines() {
        // What was ended may wait, as a zombie, for somebody to ask how.
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_else(|_| "1 (gone) Z".into());
        assert!(state.contains(") Z"), "process {pid} was left behind: {state}");
    }
}

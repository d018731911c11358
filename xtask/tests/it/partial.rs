//! A clone without old contents answers like a full one: it fetches manifests, lockfiles and links, and never a source.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Output;

use crate::sandbox::{Sandbox, set};

/// By member: whether its check and its build set are affected.
type Answer = BTreeMap<String, (bool, bool)>;

/// A sandbox that gives its objects to clones. No two sources are alike: the old text of one is not at hand as another's.
fn served() -> Sandbox {
    let sandbox = Sandbox::new();
    for path in sandbox.git(&["ls-files", "*.rs"]).lines().filter(|path| !path.ends_with("link.rs")) {
        sandbox.append(path, &format!("// {path}\n"));
    }
    sandbox.commit("told apart");
    sandbox.git(&["branch", "--force", "main"]);
    sandbox.git(&["config", "uploadpack.allowFilter", "true"]);
    sandbox.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    sandbox
}

/// Clones what is checked out, without the contents of any other commit.
fn clone(sandbox: &Sandbox) {
    let place = sandbox.path("../clone");
    if place.exists() {
        fs::remove_dir_all(&place).unwrap();
    }
    let url = format!("file://{}", sandbox.path("").canonicalize().unwrap().display());
    sandbox.git(&["clone", "--quiet", "--filter=blob:none", &url, place.to_str().unwrap()]);
}

/// Git in the clone; nothing is fetched by the way.
fn git(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    sandbox.command("git", &sandbox.path("../clone")).env("GIT_NO_LAZY_FETCH", "1").args(arguments).output().unwrap()
}

fn lose_remote(sandbox: &Sandbox) {
    assert!(git(sandbox, &["remote", "set-url", "origin", "file:///nowhere"]).status.success());
}

/// Whether the clone holds what `path` was at the base.
fn holds(sandbox: &Sandbox, path: &str) -> bool {
    git(sandbox, &["cat-file", "-e", &format!("origin/main:{path}")]).status.success()
}

fn answer(output: &Output) -> Answer {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let members = json["members"].as_array().unwrap().iter();
    members
        .map(|member| {
            let affected = |set: &str| member["affected"][set].as_bool().unwrap();
            (member["name"].as_str().unwrap().to_owned(), (affected("check"), affected("build")))
        })
        .collect()
}

/// What the full repository answers.
fn full(sandbox: &Sandbox, base: &str) -> Answer {
    answer(&sandbox.ask(&[base, "--format", "json"]))
}

/// What the clone answers, and how often it fetched.
fn partial(sandbox: &Sandbox, base: &str) -> (Answer, usize) {
    let trace = sandbox.path("../trace");
    let output =
        sandbox.asking("../clone", &[base, "--format", "json"]).env("GIT_TRACE", trace.to_str().unwrap()).output();
    let calls = fs::read_to_string(&trace).unwrap();
    fs::remove_file(trace).unwrap();
    let fetches = calls.lines().filter(|line| line.contains("git fetch") && line.contains("built-in")).count();
    (answer(&output.unwrap()), fetches)
}

/// Back to where `feat` started.
fn undo(sandbox: &Sandbox) {
    sandbox.git(&["reset", "--quiet", "--hard", "main"]);
}

fn relink(sandbox: &Sandbox, target: &str, link: &str) {
    sandbox.remove(link);
    symlink(target, sandbox.path(link)).unwrap();
}

/// What is changed, how, and how often that makes a clone fetch.
type Case<'a> = (&'a str, &'a dyn Fn(&Sandbox), usize);

#[test]
fn every_kind_of_change_is_answered_as_in_a_full_clone() {
    let sandbox = served();
    let cases: [Case<'_>; 16] = [
        ("nothing", &|_| {}, 0),
        ("a library", &|s| s.append("crates/core/src/lib.rs", "// x\n"), 0),
        ("a test", &|s| s.append("crates/core/tests/it.rs", "// x\n"), 0),
        ("a module of tests", &|s| s.append("crates/reading/src/tests.rs", "// x\n"), 0),
        ("a module of tests, gone", &|s| s.remove("crates/core/tests/it.rs"), 0),
        ("a silent build script", &|s| s.append("crates/silent/build.rs", "// x\n"), 0),
        ("a build script", &|s| s.append("crates/watching/build.rs", "// x\n"), 0),
        ("data that a source includes", &|s| s.append("shared/a.txt", "x"), 0),
        ("a source outside of its member", &|s| s.append("shared/part.rs", "// x\n"), 0),
        ("what a link leads to", &|s| s.append("shared/target.rs", "// x\n"), 0),
        ("a path crate", &|s| s.append("outside/src/lib.rs", "// x\n"), 0),
        ("everyone's", &|s| s.append("scripts/x.sh", "x"), 0),
        ("a manifest", &|s| s.append("crates/mid/Cargo.toml", "[features]\nx = []\n"), 1),
        ("a comment in a manifest", &|s| s.append("crates/mid/Cargo.toml", "# x\n"), 1),
        ("a link", &|s| relink(s, "../../../shared/inner.rs", "crates/linked/src/link.rs"), 1),
        (
            "manifests, the lockfile, a link and a source, in one fetch",
            &|s| {
                s.append("crates/mid/Cargo.toml", "[features]\nx = []\n");
                s.replace("crates/app/Cargo.toml", "0.1.0", "0.1.1");
                s.cargo(&["update", "--workspace", "--offline"]);
                relink(s, "../../../shared/inner.rs", "crates/linked/src/link.rs");
                s.append("crates/core/src/lib.rs", "// x\n");
            },
            1,
        ),
    ];
    for (title, change, fetches) in cases {
        change(&sandbox);
        sandbox.commit(title);
        let expected = full(&sandbox, "main");
        clone(&sandbox);
        let old = sandbox.git(&["diff", "--name-only", "--diff-filter=MD", "main", "HEAD", "--", "*.rs", ":!*link.rs"]);
        assert!(old.lines().all(|path| !holds(&sandbox, path)), "{title}");
        assert_eq!(partial(&sandbox, "origin/main"), (expected.clone(), fetches), "{title}");
        assert!(old.lines().all(|path| !holds(&sandbox, path)), "{title}: a source is fetched");
        assert_eq!(partial(&sandbox, "origin/main"), (expected, 0), "{title}, the second time");
        undo(&sandbox);
    }
}

#[test]
fn a_lockfile_is_fetched_alone() {
    let sandbox = served();
    sandbox.append("Cargo.lock", "\n# x\n");
    sandbox.append("crates/core/src/lib.rs", "// x\n");
    sandbox.commit("lock");
    let expected = full(&sandbox, "main");
    clone(&sandbox);
    assert!(!holds(&sandbox, "Cargo.lock"));
    assert_eq!(partial(&sandbox, "origin/main"), (expected, 1));
    assert!(holds(&sandbox, "Cargo.lock") && !holds(&sandbox, "crates/core/src/lib.rs"));
}

#[test]
fn modules_that_only_tests_compile_stay_theirs() {
    let sandbox = served();
    sandbox.member("tested", "", "#[cfg(test)]\nmod tests;\n");
    sandbox.write("crates/tested/src/tests.rs", "mod one;\nmod two;\nconst X: &str = include_str!(\"tests/x.txt\");\n");
    sandbox.write("crates/tested/src/tests/one.rs", "");
    sandbox.write("crates/tested/src/tests/two.rs", "fn two() {}\n");
    sandbox.write("crates/tested/src/tests/x.txt", "x");
    sandbox.member("tested-user", "[dependencies]\ntested = { path = \"../tested\" }\n", "");
    sandbox.cargo(&["generate-lockfile", "--offline"]);
    sandbox.commit("tested");
    sandbox.git(&["branch", "--force", "main"]);
    sandbox.append("crates/tested/src/tests.rs", "mod three;\n");
    sandbox.write("crates/tested/src/tests/three.rs", "");
    sandbox.commit("a third module of tests");
    clone(&sandbox);
    assert_eq!(partial(&sandbox, "origin/main"), (full(&sandbox, "main"), 0));
    assert_eq!(sandbox.names(&["main"]), set(&["tested"]));
}

#[test]
fn where_it_is_not_known_who_read_what_nobody_is_left_out() {
    let sandbox = served();
    sandbox.write("shared/new/x.txt", "x");
    sandbox.git(&["add", "--all"]);
    sandbox.commit("more");
    sandbox.git(&["branch", "--force", "main"]);
    let include = "pub const X: &str = include_str!(\"../../../scripts/x.sh\");\n";
    let cases: [Case<'_>; 4] = [
        (
            "comes to include what changes",
            &|s| {
                s.append("crates/app/src/lib.rs", include);
                s.append("scripts/x.sh", "x");
            },
            0,
        ),
        (
            "includes what changes, as before",
            &|s| {
                s.append("crates/including/src/lib.rs", "// x\n");
                s.append("shared/a.txt", "x");
            },
            0,
        ),
        (
            "no longer includes what changes",
            &|s| {
                s.write("crates/including/src/lib.rs", "");
                s.append("shared/a.txt", "x");
            },
            0,
        ),
        (
            "no longer includes what is gone",
            &|s| {
                s.write("crates/including/src/lib.rs", "");
                s.remove("shared/a.txt");
            },
            0,
        ),
    ];
    for (title, change, fetches) in cases {
        change(&sandbox);
        sandbox.commit(title);
        clone(&sandbox);
        let everyone = full(&sandbox, "main").into_keys().map(|name| (name, (true, true))).collect();
        assert_eq!(partial(&sandbox, "origin/main"), (everyone, fetches), "{title}");
        undo(&sandbox);
    }
}

#[test]
fn without_its_remote_a_clone_answers_as_far_as_it_can() {
    let sandbox = served();
    sandbox.append("crates/core/src/lib.rs", "// x\n");
    sandbox.append("crates/silent/build.rs", "// x\n");
    sandbox.commit("sources");
    clone(&sandbox);
    lose_remote(&sandbox);
    assert_eq!(partial(&sandbox, "origin/main"), (full(&sandbox, "main"), 0), "sources only");

    // Where a link led may have been anywhere.
    undo(&sandbox);
    relink(&sandbox, "../../../shared/inner.rs", "crates/linked/src/link.rs");
    sandbox.commit("link");
    clone(&sandbox);
    lose_remote(&sandbox);
    let everyone: Answer = full(&sandbox, "main").into_keys().map(|name| (name, (true, true))).collect();
    assert_eq!(partial(&sandbox, "origin/main"), (everyone, 1), "a link");

    for (path, more) in [("crates/mid/Cargo.toml", "[features]\nx = []\n"), ("Cargo.lock", "\n# x\n")] {
        undo(&sandbox);
        sandbox.append(path, more);
        sandbox.commit(path);
        clone(&sandbox);
        let url = String::from_utf8(git(&sandbox, &["remote", "get-url", "origin"]).stdout).unwrap();
        lose_remote(&sandbox);
        let output = sandbox.asking("../clone", &["origin/main"]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 0), "{stderr}");
        assert!(stderr.contains(&format!("a version of {path} is not in this clone, which is partial")), "{stderr}");
        assert!(stderr.contains("mend: git fetch --refetch --no-filter origin"), "{stderr}");
        let output = sandbox.asking("../clone", &["origin/main", "--or-all"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), sandbox.members().len());
        assert!(git(&sandbox, &["remote", "set-url", "origin", url.trim()]).status.success());
        assert!(git(&sandbox, &["fetch", "--quiet", "--refetch", "--no-filter", "origin"]).status.success());
        assert_eq!(partial(&sandbox, "origin/main"), (full(&sandbox, "main"), 0), "{path}, mended");
    }
}

#[test]
fn a_commit_that_is_not_checked_out_is_fetched_as_far_as_it_must_be() {
    let sandbox = served();
    sandbox.append("crates/core/src/lib.rs", "// x\n");
    sandbox.append("crates/mid/Cargo.toml", "[features]\nx = []\n");
    sandbox.commit("feat");
    let expected = full(&sandbox, "main");
    sandbox.git(&["checkout", "--quiet", "main"]);
    clone(&sandbox);
    let ask = || sandbox.asking("../clone", &["origin/main", "--head", "origin/feat", "--format", "json"]).output();
    assert_eq!(answer(&ask().unwrap()), expected);
    clone(&sandbox);
    lose_remote(&sandbox);
    assert_eq!(ask().unwrap().status.code(), Some(3));
}

/// One of the changes that a history is made of.
fn change(sandbox: &Sandbox, n: usize, number: u64) {
    let line = format!("// {n}\n");
    match number % 12 {
        0 => sandbox.append("crates/core/src/lib.rs", &line),
        1 => sandbox.append("crates/core/tests/it.rs", &line),
        2 => sandbox.append("crates/reading/src/tests.rs", &line),
        3 => sandbox.append("shared/part.rs", &line),
        4 => sandbox.append("shared/a.txt", &line),
        5 => sandbox.append("crates/mid/Cargo.toml", &format!("# {n}\n")),
        6 => sandbox.append("crates/including/src/lib.rs", &line),
        7 => sandbox.write(&format!("crates/app/src/m{n}.rs"), "pub fn m() {}\n"),
        8 => sandbox.append("outside/src/lib.rs", &line),
        9 => sandbox.append("crates/silent/Cargo.toml", &format!("[package.metadata.x{n}]\n")),
        10 => sandbox.append("crates/documented/README.md", &line),
        _ => sandbox.append("shared/runtime.json", "\n"),
    }
}

#[test]
fn over_a_history_nobody_is_missed_and_few_are_too_many() {
    let sandbox = served();
    let mut seed: u64 = 7;
    let commits = 14;
    for n in 0..commits {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        change(&sandbox, n, seed >> 33);
        sandbox.commit(&n.to_string());
    }
    for n in 0..commits {
        // Alone, each change is told as in a full clone; together with others, what is in doubt is added.
        sandbox.git(&["checkout", "--quiet", "--detach", &format!("feat~{n}")]);
        for back in [1, 2, 5, commits - n].into_iter().filter(|back| n + back <= commits) {
            clone(&sandbox);
            let base = format!("HEAD~{back}");
            let (found, wanted) = (partial(&sandbox, &base).0, full(&sandbox, &base));
            if back == 1 {
                assert_eq!(found, wanted, "feat~{n} since {base}");
            }
            for (name, (check, build)) in wanted {
                let found = found[&name];
                assert!(found.0 >= check && found.1 >= build, "feat~{n} since {base}: {name} is missed");
            }
        }
    }
}

//! What must count, each by the members that it really reaches and no others.

use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::sandbox::{Sandbox, set};

/// Everyone who is affected when the library of `core` is.
const CORE: [&str; 6] = ["app", "core", "devuser", "mid", "optuser", "winuser"];

/// What is changed, how, and who is affected.
type Case<'a> = (&'a str, &'a dyn Fn(&Sandbox), &'a [&'a str]);

/// Applies each change to a clean checkout, and asks with the change in the working tree and committed.
fn check(sandbox: &Sandbox, cases: &[Case<'_>]) {
    for (title, change, expected) in cases {
        change(sandbox);
        assert_eq!(sandbox.names(&["main"]), set(expected), "{title}, in the working tree");
        sandbox.commit(title);
        assert_eq!(sandbox.names(&["main", "--head", "HEAD"]), set(expected), "{title}, committed");
        sandbox.git(&["reset", "--quiet", "--hard", "main"]);
        sandbox.git(&["clean", "--quiet", "-fdx"]);
    }
}

#[test]
fn sources_reach_their_users_and_tests_their_owner() {
    let sandbox = Sandbox::new();
    check(
        &sandbox,
        &[
            ("nothing", &|_| {}, &[]),
            ("a library", &|s| s.append("crates/core/src/lib.rs", "// x\n"), &CORE),
            ("a test", &|s| s.append("crates/core/tests/it.rs", "// x\n"), &["core"]),
            ("a new test", &|s| s.write("crates/core/tests/more.rs", ""), &["core"]),
            ("a new example", &|s| s.write("crates/core/examples/more.rs", "fn main() {}"), &["core"]),
            ("a new program", &|s| s.write("crates/core/src/bin/more.rs", "fn main() {}"), &CORE),
            ("data", &|s| s.write("crates/core/data/one two.txt", "2\n"), &["core"]),
            ("data, gone", &|s| s.remove("crates/core/data/one two.txt"), &["core"]),
            ("a module that only tests compile", &|s| s.append("crates/reading/src/tests.rs", "// x\n"), &["reading"]),
            (
                "data that the library comes to name",
                &|s| {
                    s.write("crates/core/src/lib.rs", "pub fn f() { std::fs::read(\"data/one two.txt\").ok(); }\n");
                    s.write("crates/core/data/one two.txt", "2\n");
                },
                &CORE,
            ),
            (
                "moved between members",
                &|s| {
                    s.git(&["mv", "crates/core/data/one two.txt", "crates/app/moved.txt"]);
                },
                &["app", "core"],
            ),
            (
                "made a program",
                &|s| {
                    fs::set_permissions(s.path("crates/app/src/lib.rs"), fs::Permissions::from_mode(0o755)).unwrap();
                },
                &["app"],
            ),
        ],
    );
}

#[test]
fn names_of_any_bytes_belong_to_their_member() {
    let sandbox = Sandbox::new();
    for name in
        [&b"a b"[..], b"new\nline", "k\u{e4}se".as_bytes(), b"not\xff\xfeutf8", b"\"quoted\"", b"-dash", b"tab\there"]
    {
        let path = sandbox.path("crates/app/data").join(std::ffi::OsString::from_vec(name.to_vec()));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "x").unwrap();
        assert_eq!(sandbox.names(&["main"]), set(&["app"]), "{name:?} untracked");
        sandbox.commit("odd");
        assert_eq!(sandbox.names(&["main", "--head", "HEAD"]), set(&["app"]), "{name:?} committed");
        sandbox.git(&["reset", "--quiet", "--hard", "main"]);
    }
}

#[test]
fn files_from_elsewhere_reach_who_names_them() {
    let sandbox = Sandbox::new();
    let target = sandbox.path("").canonicalize().unwrap().join("shared/absolute.txt");
    sandbox.write("shared/absolute.txt", "x");
    symlink(&target, sandbox.path("crates/core/src/absolute.txt")).unwrap();
    sandbox.write("crates/core/src/lib.rs", "pub const A: &str = include_str!(\"absolute.txt\");\n");
    sandbox.commit("an absolute link");
    sandbox.git(&["branch", "--quiet", "--force", "main"]);
    check(
        &sandbox,
        &[
            ("an absolute link's target", &|s| s.append("shared/absolute.txt", "x"), &CORE),
            ("include_str! with concat!", &|s| s.append("shared/a.txt", "x"), &["including", "including-user"]),
            ("#[path]", &|s| s.append("shared/part.rs", "// x\n"), &["pathmod"]),
            ("a module of it", &|s| s.append("shared/inner.rs", "// x\n"), &["pathmod"]),
            ("what it includes", &|s| s.append("shared/b.txt", "x"), &["pathmod"]),
            ("a link's target", &|s| s.append("shared/target.rs", "// x\n"), &["linked"]),
            (
                "the link itself",
                &|s| {
                    s.remove("crates/linked/src/link.rs");
                    symlink("../../../shared/inner.rs", s.path("crates/linked/src/link.rs")).unwrap();
                },
                &["linked"],
            ),
            ("in a folder that is watched", &|s| s.write("shared/watched/new.proto", "x"), &["watching"]),
            ("read by a test", &|s| s.append("shared/runtime.json", " "), &["reading"]),
            ("a README in the documentation", &|s| s.append("crates/documented/README.md", "x"), &["documented"]),
            ("a README that a silent build script watches", &|s| s.append("crates/silent/README.md", "x"), &["silent"]),
            ("a README that nobody includes", &|s| s.append("crates/core/README.md", "x"), &[]),
            ("the repository's README", &|s| s.append("README.md", "x"), &[]),
            ("a new changelog", &|s| s.write("CHANGELOG.md", "x"), &[]),
            ("a path crate out of the workspace", &|s| s.append("outside/src/lib.rs", "// x\n"), &["outsider"]),
            ("its manifest", &|s| s.append("outside/Cargo.toml", "[features]\nx = []\n"), &["outsider"]),
            (
                "no longer included",
                &|s| s.write("crates/including/src/lib.rs", "pub fn f() {}\n"),
                &["including", "including-user"],
            ),
        ],
    );
}

#[test]
fn manifests_count_by_what_they_mean() {
    let sandbox = Sandbox::new();
    let all: Vec<String> = sandbox.members().into_iter().collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    check(
        &sandbox,
        &[
            ("a comment", &|s| s.append("crates/core/Cargo.toml", "# x\n"), &[]),
            ("a comment in the root", &|s| s.append("Cargo.toml", "# x\n"), &[]),
            ("a feature", &|s| s.append("crates/core/Cargo.toml", "[features]\nx = []\n"), &CORE),
            ("a profile", &|s| s.replace("Cargo.toml", "debug = 0", "debug = 1"), &all),
            (
                "a harness, which metadata does not tell",
                &|s| s.append("crates/core/Cargo.toml", "[[test]]\nname = \"it\"\nharness = false\n"),
                &["core"],
            ),
            (
                "a package's profile",
                &|s| s.append("Cargo.toml", "[profile.dev.package.mid]\nopt-level = 1\n"),
                &["app", "mid"],
            ),
            ("the resolver", &|s| s.replace("Cargo.toml", "resolver = \"2\"", "resolver = \"3\""), &all),
            ("lints that nobody inherits", &|s| s.replace("Cargo.toml", "unused = \"warn\"", "unused = \"deny\""), &[]),
            (
                "a dev-dependency",
                &|s| {
                    s.append("crates/app/Cargo.toml", "[dev-dependencies]\nincluding = { path = \"../including\" }\n");
                    s.cargo(&["generate-lockfile", "--offline"]);
                },
                &["app"],
            ),
            ("the toolchain", &|s| s.write("rust-toolchain.toml", "[toolchain]\nchannel = \"stable\"\n"), &all),
            ("cargo's configuration", &|s| s.write(".cargo/config.toml", "[build]\njobs = 1\n"), &all),
            ("clippy's configuration", &|s| s.write("clippy.toml", "msrv = \"1.80\"\n"), &all),
            ("one member's clippy", &|s| s.write("crates/core/clippy.toml", "msrv = \"1.80\"\n"), &["core"]),
            ("nobody's path", &|s| s.append("scripts/x.sh", "x"), &all),
        ],
    );
}

#[test]
fn members_come_go_and_move() {
    let sandbox = Sandbox::new();
    let lock = |s: &Sandbox| drop(s.cargo(&["generate-lockfile", "--offline"]));
    check(
        &sandbox,
        &[
            (
                "a new one",
                &|s| {
                    s.member("brandnew", "", "");
                    lock(s);
                },
                &["brandnew"],
            ),
            (
                "gone",
                &|s| {
                    s.remove("crates/app");
                    lock(s);
                },
                &[],
            ),
            (
                "gone, and its user edited",
                &|s| {
                    s.remove("crates/mid");
                    s.member("app", "", "");
                    lock(s);
                },
                &["app"],
            ),
            (
                "renamed",
                &|s| {
                    s.replace("crates/mid/Cargo.toml", "name = \"mid\"", "name = \"middle\"");
                    s.replace("crates/app/Cargo.toml", "mid = { path = \"../mid\" }", "middle = { path = \"../mid\" }");
                    lock(s);
                },
                &["app", "middle"],
            ),
            (
                "moved",
                &|s| {
                    s.git(&["mv", "crates/mid", "crates/elsewhere"]);
                    s.replace("crates/app/Cargo.toml", "../mid", "../elsewhere");
                    lock(s);
                },
                &["app", "mid"],
            ),
        ],
    );
}

#[test]
fn submodules_count_by_their_pointer_and_what_is_changed_inside() {
    let sandbox = Sandbox::new();
    let other = sandbox.path("../other");
    fs::create_dir(&other).unwrap();
    let git = |arguments: &[&str]| {
        let output = sandbox.command("git", &other).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    git(&["init", "--quiet", "--initial-branch", "main"]);
    fs::write(other.join("a.c"), "int a;\n").unwrap();
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message", "one"]);
    sandbox.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../other", "crates/core/vendor"]);
    sandbox.commit("with a submodule");
    sandbox.git(&["branch", "--quiet", "--force", "main"]);
    assert_eq!(sandbox.names(&["main"]), set(&[]));
    sandbox.write("crates/core/vendor/a.c", "int b;\n");
    assert_eq!(sandbox.names(&["main"]), set(&["core"]), "changed inside");
    let inside = sandbox.path("crates/core/vendor");
    let output =
        sandbox.command("git", &inside).args(["commit", "--quiet", "--all", "--message", "two"]).output().unwrap();
    assert!(output.status.success());
    assert_eq!(sandbox.names(&["main"]), set(&["core"]), "another commit");
    sandbox.commit("bumped");
    assert_eq!(sandbox.names(&["main", "--head", "HEAD"]), set(&["core"]), "the pointer");
}

#[test]
fn rules_decide_on_paths_that_no_source_names() {
    let sandbox = Sandbox::new();
    sandbox.append(
        "Cargo.toml",
        "[[workspace.metadata.supercargo.rule]]\npaths = [\"scripts/**\", \"shared/**\"]\naffects = []\n\
         [[workspace.metadata.supercargo.rule]]\npaths = [\"docs/**\"]\naffects = [\"mid\"]\n\
         [[workspace.metadata.supercargo.rule]]\npaths = [\"infra/*\"]\naffects = \"all\"\n",
    );
    sandbox.write("docs/a.md", "a");
    sandbox.write("infra/a", "a");
    sandbox.commit("rules");
    sandbox.git(&["branch", "--quiet", "--force", "main"]);
    let all: Vec<String> = sandbox.members().into_iter().collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    check(
        &sandbox,
        &[
            ("nobody", &|s| s.append("scripts/x.sh", "x"), &[]),
            ("who includes it in any case", &|s| s.append("shared/a.txt", "x"), &["including", "including-user"]),
            ("a member and its users", &|s| s.append("docs/a.md", "x"), &["app", "mid"]),
            ("all", &|s| s.append("infra/a", "x"), &all),
        ],
    );
    let lint = sandbox.ask(&["--lint"]);
    assert_eq!(
        (lint.status.code(), String::from_utf8_lossy(&lint.stdout).as_ref()),
        (Some(1), "unowned: .gitignore\n")
    );
}

#[test]
fn the_target_folder_is_never_compared() {
    let sandbox = Sandbox::new();
    sandbox.write(".gitignore", "");
    sandbox.commit("nothing is ignored");
    sandbox.git(&["branch", "--quiet", "--force", "main"]);
    sandbox.write("target/debug/x.rs", "x");
    assert_eq!(sandbox.names(&["main"]), set(&[]));
    sandbox.write("elsewhere/x.rs", "x");
    let output = sandbox.asking("", &["main"]).env("CARGO_TARGET_DIR", "elsewhere").output().unwrap();
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(names.contains("core"), "then `target` is a folder like any other: {names}");
}

#[test]
fn a_guess_adds_a_member_and_takes_nobody_away() {
    let sandbox = Sandbox::new();
    sandbox.write("config/settings.toml", "a = 1\n");
    sandbox.write("settings.toml", "a = 1\n");
    sandbox.append("crates/app/src/lib.rs", "pub fn g(x: &str) -> String { format!(\"{x}/settings.toml\") }\n");
    sandbox.append("crates/app/src/lib.rs", "pub const S: &str = \"/config\";\n");
    let tidy = "#[test]\nfn t() { std::path::Path::new(\"../..\").join(\"crates\").read_dir().unwrap(); }\n";
    sandbox.write("crates/silent/tests/tidy.rs", tidy);
    sandbox.commit("guesses");
    sandbox.git(&["branch", "--quiet", "--force", "main"]);
    let all: Vec<String> = sandbox.members().into_iter().collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    check(
        &sandbox,
        &[
            ("a name that is computed in part", &|s| s.append("settings.toml", "b = 1\n"), &all),
            ("a folder's name", &|s| s.append("config/settings.toml", "b = 1\n"), &all),
            ("a test that walks the members", &|s| s.append("crates/app/src/lib.rs", "// x\n"), &["app", "silent"]),
        ],
    );
}

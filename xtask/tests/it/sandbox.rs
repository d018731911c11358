//! A repository to ask questions of: its own home, no network, a small workspace with every kind of edge.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A git repository with a workspace in it.
pub struct Sandbox {
    folder: TempDir,
}

/// Members of the fixture: name, what its manifest says beyond the name, its library.
const MEMBERS: [(&str, &str, &str); 16] = [
    ("core", "", "pub fn f() {}\n"),
    ("mid", "[dependencies]\ncore = { path = \"../core\" }\n", "pub fn f() { core_crate() } fn core_crate() {}\n"),
    ("app", "[dependencies]\nmid = { path = \"../mid\" }\n", "pub fn f() {}\n"),
    ("devuser", "[dev-dependencies]\ncore = { path = \"../core\" }\n", "pub fn f() {}\n"),
    ("devuser-user", "[dependencies]\ndevuser = { path = \"../devuser\" }\n", "pub fn f() {}\n"),
    ("winuser", "[target.'cfg(windows)'.dependencies]\ncore = { path = \"../core\" }\n", "pub fn f() {}\n"),
    (
        "optuser",
        "[dependencies]\nalias = { package = \"core\", path = \"../core\", optional = true }\n",
        "pub fn f() {}\n",
    ),
    (
        "including",
        "",
        "pub const A: &str = include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/../../shared/a.txt\"));\n",
    ),
    ("including-user", "[dependencies]\nincluding = { path = \"../including\" }\n", "pub fn f() {}\n"),
    ("pathmod", "", "#[path = \"../../../shared/part.rs\"]\npub mod part;\n"),
    ("linked", "", "pub mod link;\n"),
    ("watching", "", "pub fn f() {}\n"),
    ("silent", "", "pub fn f() {}\n"),
    ("reading", "", "#[cfg(test)]\nmod tests;\npub fn f() {}\n"),
    ("documented", "", "#![doc = include_str!(\"../README.md\")]\npub fn f() {}\n"),
    ("outsider", "[dependencies]\noutside = { path = \"../../outside\" }\n", "pub fn f() {}\n"),
];

impl Sandbox {
    /// A home, and nothing else.
    pub fn empty() -> Self {
        let sandbox = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(sandbox.folder.path().join("home")).unwrap();
        sandbox
    }

    /// The fixture, committed on `main`, with a branch `feat` checked out.
    pub fn new() -> Self {
        let sandbox = Self::empty();
        sandbox.write(
            "Cargo.toml",
            "[workspace]\nresolver = \"2\"\nmembers = [\"crates/*\"]\nexclude = [\"outside\"]\n\n\
             [workspace.package]\nversion = \"0.1.0\"\n\n[workspace.lints.rust]\nunused = \"warn\"\n\n[profile.dev]\ndebug = 0\n",
        );
        sandbox.write(".gitignore", "/target\n");
        for (name, rest, library) in MEMBERS {
            sandbox.member(name, rest, library);
        }
        sandbox.write("crates/core/tests/it.rs", "#[test]\nfn t() {}\n");
        sandbox.write("crates/core/README.md", "core\n");
        sandbox.write("crates/core/data/one two.txt", "1\n");
        sandbox.write("shared/a.txt", "a\n");
        sandbox.write("shared/part.rs", "pub mod inner;\npub const B: &str = include_str!(\"b.txt\");\n");
        sandbox.write("shared/inner.rs", "");
        sandbox.write("shared/b.txt", "b\n");
        sandbox.write("shared/target.rs", "pub fn linked() {}\n");
        symlink("../../../shared/target.rs", sandbox.path("crates/linked/src/link.rs")).unwrap();
        sandbox.write(
            "crates/watching/build.rs",
            "fn main() { println!(\"cargo:rerun-if-changed=../../shared/watched\"); }\n",
        );
        sandbox.write("shared/watched/x.proto", "x\n");
        sandbox.write("crates/silent/build.rs", "fn main() {}\n");
        sandbox.write("crates/silent/README.md", "silent\n");
        let reads =
            "#[test]\nfn reads() { assert!(std::fs::read_to_string(\"../../shared/runtime.json\").is_ok()); }\n";
        sandbox.write("crates/reading/src/tests.rs", reads);
        sandbox.write("shared/runtime.json", "{}\n");
        sandbox.write("crates/documented/README.md", "documented\n");
        sandbox.write(
            "outside/Cargo.toml",
            "[package]\nname = \"outside\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n",
        );
        sandbox.write("outside/src/lib.rs", "pub fn o() {}\n");
        sandbox.write("scripts/x.sh", "true\n");
        sandbox.write("README.md", "root\n");
        sandbox.cargo(&["generate-lockfile", "--offline"]);
        sandbox.git(&["init", "--quiet", "--initial-branch", "main"]);
        sandbox.commit("base");
        sandbox.git(&["checkout", "--quiet", "-b", "feat"]);
        sandbox
    }

    /// Writes a member's manifest and library.
    pub fn member(&self, name: &str, rest: &str, library: &str) {
        let manifest = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{rest}");
        self.write(&format!("crates/{name}/Cargo.toml"), &manifest);
        self.write(&format!("crates/{name}/src/lib.rs"), library);
    }

    /// A path below the top.
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("repo").join(path)
    }

    /// Writes a file, folders made as needed.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Adds to a file.
    pub fn append(&self, path: &str, text: &str) {
        let old = fs::read_to_string(self.path(path)).unwrap();
        self.write(path, &(old + text));
    }

    /// Replaces the one place where `old` stands in a file.
    pub fn replace(&self, path: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.path(path)).unwrap();
        assert_eq!(text.matches(old).count(), 1, "{old} in {path}");
        self.write(path, &text.replace(old, new));
    }

    /// Removes a file or a folder.
    pub fn remove(&self, path: &str) {
        let path = self.path(path);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }

    /// A command in the sandbox: nothing of the caller's environment but what finds the programs.
    pub fn command(&self, program: &str, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder).env_clear();
        for name in ["PATH", "RUSTUP_HOME", "CARGO_HOME", "CARGO", "RUSTUP_TOOLCHAIN", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let real_home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        if std::env::var_os("RUSTUP_HOME").is_none() {
            command.env("RUSTUP_HOME", real_home.join(".rustup"));
        }
        if std::env::var_os("CARGO_HOME").is_none() {
            command.env("CARGO_HOME", real_home.join(".cargo"));
        }
        command.env("HOME", self.folder.path().join("home")).env("CARGO_NET_OFFLINE", "true");
        command.env("GIT_AUTHOR_NAME", "a").env("GIT_AUTHOR_EMAIL", "a@example.com");
        command.env("GIT_COMMITTER_NAME", "a").env("GIT_COMMITTER_EMAIL", "a@example.com");
        command
    }

    /// Runs git, which must succeed.
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = self.command("git", &self.path("")).args(arguments).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Runs cargo, which must succeed; its standard error.
    pub fn cargo(&self, arguments: &[&str]) -> String {
        let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let output = self.command(&program, &self.path("")).args(arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "cargo {arguments:?}: {stderr}");
        stderr
    }

    /// Commits everything.
    pub fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
    }

    /// `cargo xtask affected` in a folder of the sandbox, not yet run.
    pub fn asking(&self, folder: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_xtask"), &self.path(folder));
        command.arg("affected").args(arguments);
        command
    }

    /// Its output.
    pub fn ask(&self, arguments: &[&str]) -> Output {
        self.asking("", arguments).output().unwrap()
    }

    /// The names that it prints, with exit code 0.
    pub fn names(&self, arguments: &[&str]) -> BTreeSet<String> {
        let output = self.ask(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// Every member, by cargo's word.
    pub fn members(&self) -> BTreeSet<String> {
        let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let mut command = self.command(&program, &self.path(""));
        let output = command.args(["metadata", "--no-deps", "--format-version", "1", "--offline"]).output().unwrap();
        let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let packages = metadata["packages"].as_array().unwrap();
        packages.iter().map(|package| package["name"].as_str().unwrap().to_owned()).collect()
    }
}

/// A set of names.
pub fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

//! A small workspace to run gates in: three members, no dependencies, and no tools on PATH but those that a test puts there.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::sandbox::Sandbox;

/// What became of a gate.
pub struct Gated {
    /// The exit code.
    pub code: Option<i32>,
    /// What it printed for machines.
    pub stdout: String,
    /// What it printed for people.
    pub stderr: String,
    /// The record, where there is one.
    pub record: Value,
}

impl Gated {
    fn new(output: &Output) -> Self {
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let record: Value = serde_json::from_str(&stdout).unwrap_or_default();
        let mut seen = BTreeSet::new();
        for outcome in record["outcomes"].as_array().into_iter().flatten() {
            assert!(seen.insert((outcome["step"].to_string(), outcome["member"].to_string())), "twice: {outcome}");
        }
        Self { code: output.status.code(), stdout, stderr, record }
    }

    /// The verdict on a subject, as in `failed(1 of 2 tests failed)`; empty where there is none.
    pub fn verdict(&self, step: &str, member: &str) -> String {
        let outcomes = self.record["outcomes"].as_array().into_iter().flatten();
        let mut own = outcomes.filter(|o| o["step"] == step && o["member"].as_str().unwrap_or_default() == member);
        let Some(outcome) = own.next() else { return String::new() };
        let word = outcome["verdict"].as_str().unwrap().to_owned();
        outcome["because"].as_str().map_or(word.clone(), |why| format!("{word}({why})"))
    }

    /// The verdicts on a step's members, one after the other.
    pub fn verdicts(&self, step: &str) -> String {
        ["a", "b", "c"].map(|member| self.verdict(step, member)).join(" ")
    }

    /// Asserts that it ended so.
    #[track_caller]
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stderr, self.stdout);
        self
    }

    /// Asserts that this is said.
    #[track_caller]
    pub fn says(&self, words: &str) {
        assert!(self.stderr.contains(words), "not said: {words}\n{}", self.stderr);
    }
}

/// The folder of the toolchain's own programs.
pub fn toolchain() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let said = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
        PathBuf::from(String::from_utf8(said.stdout).unwrap().trim()).join("bin")
    })
}

/// A member's library: content with every check.
pub fn library(name: &str) -> String {
    format!(
        "//! Docs.\n\n/// Two.\n///\n/// ```\n/// assert_eq!({name}::two(), 2);\n/// ```\npub fn two() -> u32 {{\n    2\n}}\n\n\
         #[cfg(test)]\nmod tests {{\n    #[test]\n    fn two() {{\n        assert_eq!(super::two(), 2);\n    }}\n}}\n"
    )
}

impl Sandbox {
    /// Members `a`, `b` (which uses `a`) and `c`, committed on `main`.
    pub fn small() -> Self {
        let sandbox = Self::empty();
        sandbox.write(
            "Cargo.toml",
            "[workspace]\nresolver = \"2\"\nmembers = [\"crates/*\"]\n\n[profile.dev]\ndebug = 0\n",
        );
        sandbox.write(".gitignore", "/target\n");
        fs::create_dir(sandbox.path("../bin")).unwrap();
        sandbox.member("a", "", &library("a"));
        sandbox.member("b", "\n[dependencies]\na = { path = \"../a\" }\n", &library("b"));
        sandbox.member("c", "", &library("c"));
        sandbox.cargo(&["generate-lockfile", "--offline"]);
        sandbox.git(&["init", "--quiet", "--initial-branch", "main"]);
        sandbox.commit("base");
        sandbox
    }

    /// Adds to policy.
    pub fn policy(&self, text: &str) {
        self.append("Cargo.toml", &format!("\n{text}"));
    }

    /// Puts a shell script on PATH, before everything else. Returns its path.
    pub fn fake(&self, name: &str, script: &str) -> PathBuf {
        let path = self.path("../bin").join(name);
        self.write(&format!("../bin/{name}"), &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// A cargo that does `cases` (arms of a `case` on its arguments), and else what cargo does.
    pub fn fake_cargo(&self, cases: &str) -> PathBuf {
        let real = toolchain().join("cargo");
        self.fake("cargo", &format!("case \"$*\" in\n{cases}\nesac\nexec {} \"$@\"", real.display()))
    }

    /// Puts the real cargo-nextest on PATH; false where there is none.
    pub fn nextest(&self) -> bool {
        let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo/bin"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).chain(home).map(|folder| folder.join("cargo-nextest"));
        let found = found.into_iter().find(|path| path.is_file());
        assert!(
            found.is_some() || std::env::var_os("SUPERCARGO_REQUIRE_PEERS").is_none(),
            "cargo-nextest is not installed"
        );
        found.map(|found| symlink(found, self.path("../bin/cargo-nextest")).unwrap()).is_some()
    }

    /// `cargo xtask gate`, not yet run.
    pub fn gating(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_xtask"), &self.path(""));
        let path = format!("{}:{}:/usr/bin:/bin", self.path("../bin").display(), toolchain().display());
        command.env("PATH", path).env("CARGO", self.cargo_program());
        command.env("CARGO_HOME", self.path("../home/.cargo")).env_remove("RUSTUP_TOOLCHAIN");
        command.arg("gate").args(arguments);
        command
    }

    fn cargo_program(&self) -> PathBuf {
        Some(self.path("../bin/cargo")).filter(|fake| fake.exists()).unwrap_or_else(|| toolchain().join("cargo"))
    }

    /// Runs a gate, with the record on stdout.
    pub fn gate(&self, arguments: &[&str]) -> Gated {
        self.gate_with(arguments, &[])
    }

    /// The same with variables besides.
    pub fn gate_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Gated {
        let mut command = self.gating(arguments);
        command.args(["--format", "json"]).envs(variables.iter().copied());
        Gated::new(&command.output().unwrap())
    }

    /// The folder of results.
    pub fn results(&self) -> PathBuf {
        self.path("target/xtask/results")
    }

    /// The keys under which results are kept.
    pub fn kept(&self) -> BTreeSet<String> {
        let files = fs::read_dir(self.results()).into_iter().flatten().flatten();
        files.map(|file| file.file_name().into_string().unwrap()).filter(|name| name.len() == 64).collect()
    }
}

/// Waits until something is so, and says whether it became so.
pub fn wait_until(seconds: u64, so: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(seconds) {
        if so() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    so()
}

/// The ids of processes whose arguments hold `words`.
pub fn processes(words: &str) -> Vec<i32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let holds = |id: &i32| {
        fs::read(format!("/proc/{id}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).replace('\0', " ").contains(words))
    };
    ids.filter(holds).collect()
}

/// Sends a signal.
pub fn signal(name: &str, id: u32) {
    assert!(Command::new("/bin/sh").args(["-c", &format!("kill -{name} {id}")]).status().unwrap().success());
}

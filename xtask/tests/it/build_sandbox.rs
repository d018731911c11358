//! Small workspaces to ship programs from, without dependencies, and what became of a build.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::gate_sandbox::toolchain;
use crate::sandbox::Sandbox;

/// The target that this machine starts programs of.
pub const OWN: &str = "x86_64-unknown-linux-musl";

/// The other one.
pub const OTHER: &str = "aarch64-unknown-linux-musl";

/// What became of a build.
pub struct Shipped {
    /// The exit code.
    pub code: Option<i32>,
    /// What it printed for machines.
    pub stdout: String,
    /// What it printed for people.
    pub stderr: String,
    /// The record, as `build.json` has it; null where there is none.
    pub record: Value,
}

impl Shipped {
    /// What `output` and the record of `sandbox` say.
    pub fn new(sandbox: &Sandbox, output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let record = fs::read(sandbox.path("target/xtask/build.json")).unwrap_or_default();
        let record = serde_json::from_slice(&record).unwrap_or_default();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr), record }
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

    /// What the record has of a program for a target.
    pub fn of(&self, program: &str, target: &str) -> &Value {
        let all = self.record["programs"].as_array().into_iter().flatten();
        let mut own = all.filter(|made| made["program"] == program && made["target"] == target);
        let found = own.next().unwrap_or(&Value::Null);
        assert!(own.next().is_none(), "twice: {program}");
        found
    }

    /// Every program, its target's machine and what became of it: `app x86_64 passed`.
    pub fn verdicts(&self) -> Vec<String> {
        let all = self.record["programs"].as_array().into_iter().flatten();
        let word = |value: &Value| value.as_str().unwrap_or_default().split('-').next().unwrap().to_owned();
        all.map(|made| {
            format!("{} {} {}", made["program"].as_str().unwrap(), word(&made["target"]), word(&made["verdict"]))
        })
        .collect()
    }

    /// The verdict on the program `app` for this machine.
    pub fn app(&self) -> &str {
        self.of("app", OWN)["verdict"].as_str().unwrap_or_default()
    }
}

/// A program that says `text`.
pub fn saying(text: &str) -> String {
    format!("fn main() {{\n    println!(\"{text}\");\n}}\n")
}

impl Sandbox {
    /// Members with a program each (name, source), shipped for this machine, committed on `main`.
    pub fn shipping(programs: &[(&str, &str)]) -> Self {
        Self::shipping_for(programs, &[OWN])
    }

    /// The same for both targets.
    pub fn shipping_both(programs: &[(&str, &str)]) -> Self {
        Self::shipping_for(programs, &[OWN, OTHER])
    }

    fn shipping_for(programs: &[(&str, &str)], targets: &[&str]) -> Self {
        let sandbox = Self::empty();
        fs::create_dir(sandbox.path("")).unwrap();
        fs::create_dir(sandbox.path("../bin")).unwrap();
        sandbox.write("Cargo.toml", "[workspace]\nresolver = \"2\"\nmembers = [\"crates/*\"]\n");
        sandbox.policy(&format!("[workspace.metadata.supercargo.build]\ntargets = {targets:?}\n"));
        sandbox.write(".gitignore", "/target\n");
        for (name, source) in programs {
            sandbox.program(name, "", source);
        }
        sandbox.git(&["init", "--quiet", "--initial-branch", "main"]);
        sandbox.relock();
        sandbox.commit("base");
        sandbox
    }

    /// Writes a member with a program.
    pub fn program(&self, name: &str, rest: &str, source: &str) {
        let manifest = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{rest}");
        self.write(&format!("crates/{name}/Cargo.toml"), &manifest);
        self.write(&format!("crates/{name}/src/main.rs"), source);
    }

    /// Brings `Cargo.lock` up to date.
    pub fn relock(&self) {
        self.cargo(&["generate-lockfile", "--offline"]);
    }

    /// `cargo xtask build`, not yet run.
    pub fn building(&self, arguments: &[&str]) -> Command {
        self.building_in(&self.path(""), arguments)
    }

    /// The same in another folder.
    pub fn building_in(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_xtask"), folder);
        let path = format!("{}:{}:/usr/bin:/bin", self.path("../bin").display(), toolchain().display());
        let fake = Some(self.path("../bin/cargo")).filter(|fake| fake.exists());
        command.env("PATH", path).env("CARGO", fake.unwrap_or_else(|| toolchain().join("cargo")));
        command.env("CARGO_HOME", self.path("../home/.cargo")).env_remove("RUSTUP_TOOLCHAIN");
        command.arg("build").args(arguments);
        command
    }

    /// Runs a build.
    pub fn build(&self, arguments: &[&str]) -> Shipped {
        self.build_with(arguments, &[])
    }

    /// The same with variables besides.
    pub fn build_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Shipped {
        Shipped::new(self, &self.building(arguments).envs(variables.iter().copied()).output().unwrap())
    }

    /// What the program of this name that people see for this machine says when it is started.
    pub fn started(&self, program: &str) -> String {
        let name = self.names_seen().into_iter().find(|name| name.starts_with(&format!("{program}-")));
        let path = self.path("target/xtask/programs").join(name.unwrap());
        let said = self.command(path.to_str().unwrap(), &self.path("")).output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    }

    /// The names of `target/xtask/programs`.
    pub fn names_seen(&self) -> Vec<String> {
        listed(&self.path("target/xtask/programs"))
    }

    /// The names in the store: of programs, and of half-written files.
    pub fn stored(&self) -> Vec<String> {
        listed(&self.path("target/xtask/store/sha256"))
    }

    /// The only program in the store.
    pub fn entry(&self) -> PathBuf {
        let [only] = <[String; 1]>::try_from(self.stored()).unwrap();
        self.path("target/xtask/store/sha256").join(only)
    }

    /// A cargo that writes down what it is called with. Returns where.
    pub fn recording_cargo(&self) -> PathBuf {
        let log = self.path("../cargo-calls");
        self.fake_cargo(&format!("*) echo \"$*\" >> {};;", log.display()));
        log
    }
}

/// The names in a folder, sorted; none where there is no folder.
pub fn listed(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let names: BTreeSet<String> = files.map(|file| file.file_name().into_string().unwrap()).collect();
    names.into_iter().collect()
}

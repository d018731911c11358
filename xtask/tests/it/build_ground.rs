//! Small workspaces to build programs of: each in a folder, with a home and with a cargo home of its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::gate_sandbox::toolchain;

/// The target that most tests build for.
pub const X86: &str = "x86_64-unknown-linux-musl";

/// The other one.
pub const ARM: &str = "aarch64-unknown-linux-musl";

/// A clone of a repository, on what might be a machine of its own.
pub struct Ground {
    folder: TempDir,
    /// The repository.
    pub root: PathBuf,
    /// Cargo's home.
    pub cargo: PathBuf,
}

/// What became of a build.
pub struct Made {
    /// The exit code.
    pub code: Option<i32>,
    /// What it printed for machines.
    pub stdout: String,
    /// What it printed for people.
    pub stderr: String,
    /// The record.
    pub record: Value,
}

impl Made {
    /// What is recorded of a program for a target.
    #[track_caller]
    pub fn of(&self, program: &str, target: &str) -> &Value {
        let programs = self.record["programs"].as_array().into_iter().flatten();
        let mut own = programs.filter(|made| made["program"] == program && made["target"] == target);
        let found = own.next();
        assert!(found.is_some(), "{program} for {target} is not recorded\n{}", self.stderr);
        found.unwrap()
    }

    /// The verdict on `p` for [`X86`], as in `failed(p does not compile)`.
    #[track_caller]
    pub fn verdict(&self) -> String {
        let made = self.of("p", X86);
        let word = made["verdict"].as_str().unwrap().to_owned();
        made["because"].as_str().map_or(word.clone(), |why| format!("{word}({why})"))
    }

    /// A text of the record of `p` for [`X86`], such as its `key`; empty where there is none.
    #[track_caller]
    pub fn text(&self, name: &str) -> String {
        self.of("p", X86)[name].as_str().unwrap_or_default().to_owned()
    }

    /// Asserts that it ended so.
    #[track_caller]
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stderr, self.stdout);
        self
    }

    /// Asserts that this is said.
    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        assert!(self.stderr.contains(words), "not said: {words}\n{}", self.stderr);
        self
    }
}

impl From<Output> for Made {
    fn from(output: Output) -> Self {
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let record = serde_json::from_str(&stdout).unwrap_or_default();
        Self { code: output.status.code(), stdout, stderr, record }
    }
}

impl Ground {
    /// An empty machine, whose repository is to be at `place`.
    pub fn bare(place: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join(place);
        let cargo = folder.path().join("home/.cargo");
        for path in ["bin", "tmp", "home/.cargo/registry"] {
            fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        fs::create_dir_all(root.parent().unwrap()).unwrap();
        // What was downloaded is shared; what is unpacked is not.
        for shared in ["index", "cache"] {
            let from = real_cargo_home().join("registry").join(shared);
            from.exists().then(|| symlink(from, cargo.join("registry").join(shared)).unwrap());
        }
        Self { folder, root, cargo }
    }

    /// A workspace with one program, `p`, that prints what `main` makes; `policy` is that of `build`. Not committed yet.
    pub fn with(policy: &str, main: &str) -> Self {
        let ground = Self::bare("repo");
        let policy =
            if policy.contains("targets") { policy.to_owned() } else { format!("targets = [\"{X86}\"]\n{policy}") };
        ground.write(
            "Cargo.toml",
            &format!(
                "[workspace]\nresolver = \"2\"\nmembers = [\"crates/*\"]\n\n[workspace.metadata.supercargo.build]\n{policy}\n"
            ),
        );
        ground.write(".gitignore", "/target\n");
        ground.member("p", "", main);
        ground
    }

    /// The same, committed.
    pub fn new(policy: &str, main: &str) -> Self {
        Self::with(policy, main).committed()
    }

    /// Locks and commits it.
    pub fn committed(self) -> Self {
        self.lock();
        self.git(&["init", "--quiet", "--initial-branch", "main"]);
        self.commit("base");
        self
    }

    /// A member with a program that prints what `main` makes.
    pub fn member(&self, name: &str, rest: &str, main: &str) {
        let manifest = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{rest}");
        self.write(&format!("crates/{name}/Cargo.toml"), &manifest);
        let main = if main.contains("fn main") {
            main.to_owned()
        } else {
            format!("fn main() {{\n    println!(\"{{}}\", {main});\n}}\n")
        };
        self.write(&format!("crates/{name}/src/main.rs"), &main);
    }

    /// A clone on another machine, at `place`.
    pub fn cloned(&self, place: &str) -> Self {
        let other = Self::bare(place);
        let (source, target) = (self.root.to_str().unwrap(), other.root.to_str().unwrap());
        let mut command = Command::new("git");
        command.args(["clone", "--quiet", source, target]);
        self.equip(&mut command);
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        other
    }

    /// A path below the machine's own folder.
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes a file of the repository.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Adds to a file of the repository.
    pub fn append(&self, path: &str, text: &str) {
        let old = fs::read_to_string(self.root.join(path)).unwrap();
        self.write(path, &(old + text));
    }

    /// Puts a shell script on PATH.
    pub fn fake(&self, name: &str, script: &str) -> PathBuf {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Puts a program of this machine on PATH; false where it is not installed.
    pub fn peer(&self, name: &str) -> bool {
        let Some(found) = peer(name) else { return false };
        symlink(found, self.path("bin").join(name)).unwrap();
        true
    }

    /// Puts cargo-zigbuild on PATH; false where it or zig is not installed.
    pub fn zig(&self) -> bool {
        let Some((zigbuild, _)) = zig() else { return false };
        symlink(zigbuild, self.path("bin/cargo-zigbuild")).unwrap();
        true
    }

    /// What a command here gets of the environment: nothing of the caller's but what finds the programs.
    fn equip(&self, command: &mut Command) {
        let path = format!("{}:{}:/usr/bin:/bin", self.path("bin").display(), toolchain().display());
        command.env_clear().env("PATH", path).env("CARGO", toolchain().join("cargo"));
        command.env("HOME", self.path("home")).env("CARGO_HOME", &self.cargo).env("CARGO_NET_OFFLINE", "true");
        command.env("TMPDIR", self.path("tmp"));
        for name in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{name}_NAME"), "a").env(format!("GIT_{name}_EMAIL"), "a@example.com");
        }
        if let Some((_, python)) = zig() {
            // Zig compiles the libraries of C once for all tests.
            let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache").into_os_string());
            command.env("CARGO_ZIGBUILD_PYTHON_PATH", python);
            command.env("XDG_CACHE_HOME", std::env::var_os("XDG_CACHE_HOME").or_else(home).unwrap_or_default());
        }
    }

    /// Runs git.
    pub fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        self.equip(&mut command);
        let output = command.current_dir(&self.root).args(arguments).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Commits everything.
    pub fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
    }

    /// Brings Cargo.lock up to date, by what was downloaded already.
    pub fn lock(&self) {
        let mut command = Command::new(toolchain().join("cargo"));
        self.equip(&mut command);
        let output = command.current_dir(&self.root).args(["generate-lockfile", "--offline"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// `cargo xtask build`, not yet run.
    pub fn building(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        self.equip(&mut command);
        command.current_dir(&self.root).arg("build").args(arguments);
        command
    }

    /// Runs it, with the record on stdout.
    pub fn build(&self, arguments: &[&str]) -> Made {
        self.build_with(arguments, &[])
    }

    /// The same with variables besides.
    pub fn build_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Made {
        let mut command = self.building(arguments);
        command.args(["--format", "json"]).envs(variables.iter().copied());
        command.output().unwrap().into()
    }

    /// The plan, as people read it.
    pub fn plan(&self, arguments: &[&str]) -> String {
        let output = self.building(arguments).arg("--plan").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The programs that people see: by name without its digest.
    pub fn programs(&self) -> BTreeMap<String, PathBuf> {
        let files = fs::read_dir(self.root.join("target/xtask/programs")).into_iter().flatten().flatten();
        let name = |file: &fs::DirEntry| file.file_name().to_str().unwrap().rsplit_once('-').unwrap().0.to_owned();
        files.map(|file| (name(&file), file.path())).collect()
    }

    /// The bytes of `p` for [`X86`].
    pub fn bytes(&self) -> Vec<u8> {
        fs::read(&self.programs()[&format!("p-0.1.0-{X86}")]).unwrap()
    }

    /// What `p` for [`X86`] prints.
    pub fn prints(&self) -> String {
        prints(&self.programs()[&format!("p-0.1.0-{X86}")])
    }

    /// What lies in the folder of temporary files.
    pub fn leftovers(&self) -> Vec<OsString> {
        fs::read_dir(self.path("tmp")).unwrap().flatten().map(|file| file.file_name()).collect()
    }
}

/// What a program prints.
pub fn prints(program: &Path) -> String {
    let output = Command::new(program).env_clear().output().unwrap();
    assert!(output.status.success(), "{}", program.display());
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Whether bytes hold these others.
pub fn holds(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|window| window == part.as_bytes())
}

fn real_cargo_home() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home).unwrap_or_default()
}

/// Where a program of this machine lies; none, and says so, where it is not installed.
pub fn peer(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([real_cargo_home().join("bin"), PathBuf::from("/usr/sbin")]);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.or_else(|| absent(name))
}

/// Whether a crate of our own Cargo.lock was downloaded already; says so where it was not.
pub fn downloaded(name: &str) -> bool {
    is_downloaded(name) || absent::<()>(name).is_some()
}

/// Whether any crate was downloaded already.
pub fn is_downloaded(name: &str) -> bool {
    let folders = fs::read_dir(real_cargo_home().join("registry/cache")).into_iter().flatten().flatten();
    let mut files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
    let is_it = |file: fs::DirEntry| {
        let file = file.file_name().into_string().unwrap_or_default();
        file.strip_prefix(name).is_some_and(|rest| rest.starts_with("-1") || rest.starts_with("-0"))
    };
    files.any(is_it)
}

fn absent<T>(name: &str) -> Option<T> {
    assert!(std::env::var_os("SUPERCARGO_REQUIRE_PEERS").is_none(), "{name} is not installed");
    #[expect(clippy::print_stderr, reason = "a test says what it did not test")]
    {
        eprintln!("{name} is not installed: what needs it is not tested");
    }
    None
}

/// Where cargo-zigbuild lies, and the python that has zig.
fn zig() -> Option<&'static (PathBuf, PathBuf)> {
    static FOUND: OnceLock<Option<(PathBuf, PathBuf)>> = OnceLock::new();
    let find = || {
        let script = "import sys, sysconfig, ziglang; print(sys.executable); print(sysconfig.get_path('scripts'))";
        let said = Command::new("python3").args(["-c", script]).output().ok()?;
        let said = String::from_utf8(said.stdout).ok()?;
        let (python, scripts) = said.trim().split_once('\n')?;
        let beside = Some(Path::new(scripts).join("cargo-zigbuild")).filter(|path| path.is_file());
        Some((beside.or_else(|| peer("cargo-zigbuild"))?, PathBuf::from(python)))
    };
    FOUND.get_or_init(|| find().or_else(|| absent("zig"))).as_ref()
}

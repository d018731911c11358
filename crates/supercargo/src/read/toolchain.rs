//! Which tools are installed, and what they say of their versions.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use semver::Version;
use serde::{Deserialize, Serialize};
use supercargo_artifact::digest::Hasher;
use supercargo_plan::catalog::Tools;
use supercargo_plan::facts::shipping::Linker;
use supercargo_plan::plan::WORKSPACE_FOLDER;
use supercargo_plan::problem::{Exit, Problem};

use super::cache::Cache;
use super::cargo::program;
use crate::process::{Call, output};

/// How long a tool may take to say its version.
const LIMIT: Duration = Duration::from_secs(60);

/// The tools that are asked: name, and what follows `cargo` or is called by itself.
const ASKED: [(&str, &[&str]); 12] = [
    ("cargo", &["cargo", "-V"]),
    ("rustc", &["rustc", "-vV"]),
    ("rustfmt", &["cargo", "fmt", "--version"]),
    ("clippy", &["cargo", "clippy", "--version"]),
    ("cargo-nextest", &["cargo", "nextest", "--version"]),
    ("cargo-deny", &["cargo", "deny", "--version"]),
    ("cargo-audit", &["cargo", "audit", "--version"]),
    ("cargo-semver-checks", &["cargo", "semver-checks", "--version"]),
    ("cargo-auditable", &["cargo", "auditable", "--version"]),
    ("cargo-machete", &["cargo", "machete", "--version"]),
    ("rustup", &["rustup", "--version"]),
    ("zizmor", &["zizmor", "--version"]),
];

/// Stands for the version of a tool that is there and does not say it: the step that needs it will tell why.
const BROKEN: &str = "it does not say its version";

/// The toolchain, and what is installed besides.
pub struct Toolchain {
    /// What is installed.
    pub tools: Tools,
    /// What tells this toolchain from every other.
    pub text: String,
    /// The folder of its libraries, which programs that were just compiled may be linked with.
    pub libraries: Option<String>,
    /// The folder that all of it lies in.
    pub sysroot: Option<PathBuf>,
    /// The folder of zig's libraries, where zig is asked for.
    pub zig: Option<PathBuf>,
}

impl Toolchain {
    /// A line of what `rustc -vV` says.
    #[must_use]
    pub fn says(&self, key: &str) -> Option<&str> {
        self.text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
    }

    /// Whether the standard library for `target` is missing; not, where nobody can tell.
    #[must_use]
    pub fn lacks(&self, target: &str) -> bool {
        let library = self.sysroot.as_ref().map(|root| root.join("lib/rustlib").join(target).join("lib"));
        library.is_some_and(|library| !library.is_dir())
    }

    /// Finds out about what links programs.
    pub fn ask_linker(&mut self, root: &Path, linker: &Linker) {
        if matches!(linker, Linker::ZigAndRustLld) {
            self.ask_linker(root, &Linker::Zig);
        }
        let versions = &mut self.tools.versions;
        match linker {
            Linker::RustLld | Linker::ZigAndRustLld => {
                let host = self.text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
                let place = |root: &PathBuf| root.join("lib/rustlib").join(host).join("bin/rust-lld");
                let there = self.sysroot.as_ref().is_none_or(|root| place(root).is_file());
                versions.insert("rust-lld".to_owned(), there.then(|| "rust-lld".to_owned()));
            }
            // As cargo-zigbuild looks for it.
            Linker::Zig => {
                let named = |name: &str, usual: &str| env::var(name).unwrap_or_else(|_| usual.to_owned());
                let python = named("CARGO_ZIGBUILD_PYTHON_PATH", "python3");
                let zig = named("CARGO_ZIGBUILD_ZIG_PATH", "zig");
                let call = [&[python.as_str(), "-m", "ziglang"][..], &[zig.as_str()]];
                let said = call.iter().find_map(|call| {
                    let say = |word: &str| ask(root, &[*call, &[word]].concat(), None).filter(|said| said != BROKEN);
                    Some((say("version")?, say("env")))
                });
                let (version, env) = said.map_or((None, None), |(version, env)| (Some(version), env));
                // JSON of older ones, and ZON of newer ones: the name, then a text in quotes.
                self.zig = env.and_then(|env| {
                    let (_, rest) = env.split_once("lib_dir")?;
                    rest.trim_start_matches('"').split('"').nth(1).map(PathBuf::from)
                });
                versions.insert("zig".to_owned(), version);
                versions.insert("cargo-zigbuild".to_owned(), ask(root, &["cargo", "zigbuild", "--version"], None));
            }
            Linker::Program(program) => {
                let real = program.replace(WORKSPACE_FOLDER, &root.display().to_string());
                let said = ask(root, &[&real, "--version"], None);
                versions.insert(program.clone(), said);
            }
        }
    }
}

/// What the tools said, as it is kept.
#[derive(Serialize, Deserialize)]
struct Said(BTreeMap<String, Option<String>>);

/// The toolchain, and the tools that `wanted` names; `own` are programs of the team's own checks.
///
/// # Errors
/// When cargo or rustc does not say its version.
pub fn read(root: &Path, wanted: &[&str], own: &[String], cache: &Cache) -> Result<Toolchain, Problem> {
    let asked: Vec<_> =
        ASKED.iter().filter(|(name, _)| matches!(*name, "cargo" | "rustc") || wanted.contains(name)).collect();
    let bin = toolchain_folder(root);
    let entry = bin.as_ref().map(|bin| format!("tools-{}.json", stamp(&asked, bin)));
    let kept = entry.as_ref().and_then(|entry| cache.get::<Said>(entry));
    let Said(mut versions) = match kept {
        Some(said) => said,
        None => {
            let said = Said(thread::scope(|scope| {
                let asking: Vec<_> = asked
                    .iter()
                    .map(|(name, words)| (name, scope.spawn(|| ask(root, words, bin.as_deref()))))
                    .collect();
                asking.into_iter().map(|(name, said)| ((*name).to_owned(), said.join().ok().flatten())).collect()
            }));
            let whole = said.0.values().flatten().all(|version| version != BROKEN);
            if let Some(entry) = entry.filter(|_| whole) {
                cache.put(&entry, &said);
            }
            said
        }
    };
    for program in own {
        versions.entry(program.clone()).or_insert_with(|| find(root, program).map(|path| stamp_of(&path)));
    }
    let version = |tool: &str| versions.get(tool).cloned().flatten();
    let (Some(cargo), Some(rustc)) = (version("cargo"), version("rustc")) else {
        return Err(Problem::mend("cargo or rustc does not say its version", "rustc -vV && cargo -V"));
    };
    let number = cargo.split_whitespace().nth(1).and_then(|number| Version::parse(number).ok());
    let number = number.ok_or_else(|| Problem::mend(format!("`cargo -V` says no version: {cargo}"), "cargo -V"))?;
    // Rustc knows itself by its real folder.
    let sysroot = bin.and_then(|bin| bin.parent()?.canonicalize().ok());
    let libraries = sysroot.as_ref().map(|root| root.join("lib").display().to_string());
    Ok(Toolchain {
        tools: Tools { cargo: number, versions },
        text: format!("{rustc}\n{cargo}"),
        libraries,
        sysroot,
        zig: None,
    })
}

/// What a tool says of its version; none where it is missing.
fn ask(root: &Path, words: &[&str], bin: Option<&Path>) -> Option<String> {
    let (first, rest) = words.split_first()?;
    let call = Call::new(root, |shell| {
        let program = match (*first, bin) {
            ("cargo", _) => program(),
            ("rustc", Some(bin)) => bin.join("rustc").into_os_string(),
            (first, _) => first.into(),
        };
        shell.cmd(program).args(rest).env("RUSTUP_AUTO_INSTALL", "0").env_remove("RUSTFLAGS")
    });
    let said = match output(call.ok()?, None, LIMIT) {
        Ok(said) => said,
        Err(problem) if problem.exit == Exit::TimedOut => return Some(BROKEN.to_owned()),
        Err(_) => return None,
    };
    let text = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    let told = ["no such command", "is not installed", "not found", "No such file"];
    match said.status.success() {
        true => (!text.is_empty()).then_some(text),
        // Cargo, rustup and other tools' shims each have their words for what is not there.
        false if said.status.code() == Some(127) || told.iter().any(|told| said.stderr.contains(told)) => None,
        false => Some(BROKEN.to_owned()),
    }
}

/// The folder of the toolchain's programs, where it is certain: past any proxy that chooses among toolchains.
fn toolchain_folder(root: &Path) -> Option<PathBuf> {
    let is_proxy =
        |path: &Path| path.canonicalize().ok().is_none_or(|real| real.file_name() == Some("rustup".as_ref()));
    let has_compiler = |cargo: &PathBuf| cargo.with_file_name("rustc").is_file();
    let named = PathBuf::from(program());
    let cargo = if named.is_absolute() { named } else { find(root, "cargo")? };
    if !is_proxy(&cargo) {
        return Some(cargo).filter(has_compiler)?.parent().map(Path::to_owned);
    }
    let call = Call::new(root, |shell| shell.cmd("rustup").args(["which", "cargo"]).env("RUSTUP_AUTO_INSTALL", "0"));
    let said = output(call.ok()?, None, LIMIT).ok().filter(|said| said.status.success())?;
    let cargo = PathBuf::from(String::from_utf8_lossy(&said.stdout).trim());
    Some(cargo).filter(has_compiler)?.parent().map(Path::to_owned)
}

/// Where the shell would find a program.
pub fn find(root: &Path, program: &str) -> Option<PathBuf> {
    let runs = |path: &PathBuf| path.metadata().is_ok_and(|file| file.is_file() && file.mode() & 0o111 != 0);
    if program.contains('/') {
        return Some(root.join(program)).filter(runs);
    }
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(program)).find(runs)
}

/// What tells one installation of a program from another, without running it.
fn stamp_of(path: &Path) -> String {
    fs::metadata(path).map_or_else(
        |_| "gone".to_owned(),
        |file| format!("{} {} {} {}", file.ino(), file.len(), file.mtime(), file.mtime_nsec()),
    )
}

/// The same for all that answers to the tools' names.
fn stamp(asked: &[&(&str, &[&str])], bin: &Path) -> String {
    let mut hasher = Hasher::new("supercargo tools 1");
    for name in ["cargo", "rustc", "rustfmt", "cargo-fmt", "cargo-clippy", "clippy-driver"] {
        hasher.field(stamp_of(&bin.join(name)).as_bytes());
    }
    hasher.field(bin.as_os_str().as_bytes());
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    for (name, words) in asked {
        let program = if words[0] == "cargo" { format!("cargo-{}", words[1]) } else { words[0].to_owned() };
        let installed = home.as_ref().map(|home| home.join("bin").join(&program)).filter(|path| path.is_file());
        let found = installed.or_else(|| find(bin, &program));
        hasher.field(name.as_bytes()).field(found.map_or_else(|| "missing".into(), |path| stamp_of(&path)).as_bytes());
    }
    hasher.finish().to_string()
}

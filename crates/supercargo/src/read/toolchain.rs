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
use supercargo_plan::problem::{Exit, Problem};

use super::cache::Cache;
use super::cargo::program;
use crate::process::{Call, output};

/// How long a tool may take to say its version.
const LIMIT: Duration = Duration::from_secs(60);

/// The tools that are asked: name, and what follows `cargo` or is called by itself.
const ASKED: [(&str, &[&str]); 11] = [
    ("cargo", &["cargo", "-V"]),
    ("rustc", &["rustc", "-vV"]),
    ("rustfmt", &["cargo", "fmt", "--version"]),
    ("clippy", &["cargo", "clippy", "--version"]),
    ("cargo-nextest", &["cargo", "nextest", "--version"]),
    ("cargo-deny", &["cargo", "deny", "--version"]),
    ("cargo-audit", &["cargo", "audit", "--version"]),
    ("cargo-semver-checks", &["cargo", "semver-checks", "--version"]),
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
    let libraries = bin.and_then(|bin| Some(bin.parent()?.join("lib").display().to_string()));
    Ok(Toolchain { tools: Tools { cargo: number, versions }, text: format!("{rustc}\n{cargo}"), libraries })
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
fn find(root: &Path, program: &str) -> Option<PathBuf> {
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

//! What cargo knows: the workspace's metadata, read in place or from manifests laid out in a scratch folder.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use supercargo_plan::facts::manifest;
use supercargo_plan::facts::metadata::{Texts, makes_target};
use supercargo_plan::facts::path::RepoPath;
use supercargo_plan::facts::tree::{Mode, Tree};
use supercargo_plan::problem::Problem;
use tempfile::TempDir;

use super::git::on_disk;
use crate::process::{self, Call};

/// How long one call of cargo may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Folders between a scratch folder and the top that it holds, so that a path out of the repository reads the same.
const DEPTH: &str = "1/2/3/4/5/6/7/8/top";

/// The cargo that runs us, else the one on PATH.
pub fn program() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The call that reads metadata, as a value: to be shown or run. `folder` decides on toolchain and configuration.
///
/// # Errors
/// When there is no current folder to start from.
pub fn metadata_call(folder: &Path, manifest: &Path, resolve: bool) -> Result<Call, Problem> {
    Call::new(folder, |shell| {
        let command = shell
            .cmd(program())
            .args(["metadata", "--format-version", "1", "--offline", "--manifest-path"])
            .arg(manifest);
        let command = if resolve { command.args(["--locked", "--all-features"]) } else { command.arg("--no-deps") };
        command
            .env("RUSTUP_AUTO_INSTALL", "0")
            .env("CARGO_TERM_COLOR", "never")
            .env("RUST_BACKTRACE", "0")
            .env("CARGO_CACHE_RUSTC_INFO", "0")
    })
}

/// Cargo's answer, or its message.
///
/// # Errors
/// When cargo cannot be run at all.
fn metadata(folder: &Path, manifest: &Path, resolve: bool) -> Result<Result<Vec<u8>, String>, Problem> {
    let output = process::output(metadata_call(folder, manifest, resolve)?, None, LIMIT)?;
    Ok(if output.status.success() { Ok(output.stdout) } else { Err(output.stderr) })
}

/// Metadata of the workspace in `folder` as it lies on disk, members only.
///
/// # Errors
/// With cargo's own message, when a manifest is broken.
pub fn read(folder: &Path) -> Result<Vec<u8>, Problem> {
    let manifest = folder.join("Cargo.toml");
    metadata(folder, &manifest, false)?
        .map_err(|message| broken("the working tree", &message, &manifest.display().to_string()))
}

/// A manifest that cargo refuses, with cargo's message.
fn broken(side: &str, message: &str, manifest: &str) -> Problem {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    if message.starts_with("toolchain ") && message.contains("is not installed") {
        let what = message.lines().next().unwrap_or_default();
        return Problem::mend(format!("the {what}"), "rustup toolchain install");
    }
    Problem::mend(
        format!("cargo cannot read the manifests of {side}: {message}"),
        format!("cargo metadata --no-deps --format-version 1 --manifest-path {manifest}"),
    )
}

/// Where scratch folders go: as TMPDIR says, else in memory, where hundreds of small files cost a tenth.
fn scratch_place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if env::var_os("TMPDIR").is_none() && memory.is_dir() { memory.to_owned() } else { env::temp_dir() }
}

/// Manifests of a tree, laid out as files, with empty files where cargo looks for targets.
pub struct Scratch {
    folder: TempDir,
}

impl Scratch {
    /// Lays out `texts` and what else of `tree` cargo looks for; submodules are those of the working tree at `top`.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn lay_out(
        tree: &Tree,
        texts: &Texts,
        links: &BTreeMap<RepoPath, Vec<u8>>,
        top: &Path,
    ) -> Result<Self, Problem> {
        let write = || -> std::io::Result<Self> {
            let named = tempfile::Builder::new().prefix("supercargo-").tempdir_in(scratch_place());
            let folder = named.or_else(|_| tempfile::Builder::new().prefix("supercargo-").tempdir())?;
            let scratch = Self { folder };
            fs::create_dir_all(scratch.top())?;
            let naming = texts.iter().filter(|(_, text)| text.windows(4).any(|window| window == b".rs\""));
            let named = naming.filter_map(|(path, text)| Some((path.parent(), manifest::parse(text).ok()?)));
            let named = named.flat_map(|(folder, table)| manifest::named_sources(&table, &folder));
            let named = named.filter(|path| tree.get(path.as_bytes()).is_some());
            let targets = tree.iter().map(|(path, _)| path).filter(|path| makes_target(tree, path)).cloned();
            let empty = named.chain(targets).map(|path| (path, &[][..]));
            let files: BTreeMap<RepoPath, &[u8]> =
                empty.chain(texts.iter().map(|(path, text)| (path.clone(), text.as_slice()))).collect();
            let folders: BTreeSet<RepoPath> = files.keys().map(RepoPath::parent).collect();
            for folder in &folders {
                fs::create_dir_all(on_disk(&scratch.top(), folder))?;
            }
            for (path, text) in files {
                fs::write(on_disk(&scratch.top(), &path), text)?;
            }
            for (path, entry) in tree.iter().filter(|(_, entry)| matches!(entry.mode, Mode::Link | Mode::Repository)) {
                scratch.link(path, entry.mode, links, top)?;
            }
            Ok(scratch)
        };
        write().map_err(|error| {
            let what = format!("the manifests cannot be laid out in {}: {error}", env::temp_dir().display());
            Problem::mend(what, "TMPDIR=/path/with/space cargo xtask affected")
        })
    }

    fn top(&self) -> PathBuf {
        self.folder.path().join(DEPTH)
    }

    fn link(
        &self,
        path: &RepoPath,
        mode: Mode,
        links: &BTreeMap<RepoPath, Vec<u8>>,
        top: &Path,
    ) -> std::io::Result<()> {
        let place = on_disk(&self.top(), path);
        let target = match (mode, links.get(path)) {
            (Mode::Repository, _) => on_disk(top, path),
            (_, Some(target)) => on_disk(Path::new(""), &RepoPath::new(target)),
            (_, None) => return Ok(()),
        };
        if target.is_absolute() && mode == Mode::Link {
            return Ok(());
        }
        fs::create_dir_all(place.parent().unwrap_or(&place))?;
        match std::os::unix::fs::symlink(target, &place) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// Metadata of the workspace whose manifest lies in `folder`; toolchain and configuration are those of `real`.
    ///
    /// # Errors
    /// With cargo's own message, when a manifest is broken; `side` says whose.
    pub fn metadata(&self, folder: &RepoPath, real: &Path, side: &str) -> Result<Vec<u8>, Problem> {
        let manifest = on_disk(&self.top(), folder).join("Cargo.toml");
        let shown = RepoPath::join(folder, b"Cargo.toml").unwrap_or_default();
        metadata(real, &manifest, false)?
            .map_err(|message| broken(side, &self.as_in_repository(&message), &shown.to_string()))
    }

    /// Cargo's message with the scratch folder's paths as they are in the repository, however cargo shortens them.
    fn as_in_repository(&self, message: &str) -> String {
        let top = self.top().display().to_string();
        let mut message = message.replace(&format!("{top}/"), "\u{0}");
        while message.contains("../\u{0}") || message.contains("..\u{0}") {
            message = message.replace("../\u{0}", "\u{0}").replace("..\u{0}", "\u{0}");
        }
        message.replace('\u{0}', "")
    }

    /// Full metadata for one platform, from what is on this machine.
    ///
    /// # Errors
    /// With cargo's own message, when something is missing.
    pub fn resolved(&self, folder: &RepoPath, real: &Path) -> Result<Vec<u8>, Problem> {
        let manifest = on_disk(&self.top(), folder).join("Cargo.toml");
        metadata(real, &manifest, true)?.map_err(|message| unresolved(&message))
    }

    /// The absolute folder that stands for the repository's top.
    #[must_use]
    pub fn origin(&self) -> String {
        self.top().display().to_string()
    }
}

/// Full metadata of the workspace on disk for one platform, from what is on this machine.
///
/// # Errors
/// With cargo's own message, when something is missing.
pub fn resolved(folder: &Path) -> Result<Vec<u8>, Problem> {
    metadata(folder, &folder.join("Cargo.toml"), true)?.map_err(|message| unresolved(&message))
}

fn unresolved(message: &str) -> Problem {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let stale = message.contains("lock file") && message.contains("--locked");
    let mend = if stale { "cargo update --workspace && cargo fetch --locked" } else { "cargo fetch --locked" };
    Problem::mend(format!("the dependencies for the target cannot be read here: {message}"), mend)
}

/// The target directory that cargo names in its metadata.
#[must_use]
pub fn target_directory(metadata: &[u8]) -> Option<PathBuf> {
    #[derive(serde::Deserialize)]
    struct Directories {
        target_directory: PathBuf,
    }
    serde_json::from_slice::<Directories>(metadata).ok().map(|directories| directories.target_directory)
}

/// The manifests of the packages that cargo names in its metadata.
#[must_use]
pub fn manifests(metadata: &[u8]) -> Vec<PathBuf> {
    #[derive(serde::Deserialize)]
    struct Packages {
        packages: Vec<Package>,
    }
    #[derive(serde::Deserialize)]
    struct Package {
        manifest_path: PathBuf,
    }
    let packages = serde_json::from_slice::<Packages>(metadata).map(|listed| listed.packages).unwrap_or_default();
    packages.into_iter().map(|package| package.manifest_path).collect()
}

/// Full metadata of the workspace in `folder`, all features on; what is missing here, cargo fetches, as it would to
/// compile.
///
/// # Errors
/// When `Cargo.lock` is out of date, or with cargo's own message.
pub fn resolution(folder: &Path, locked: bool) -> Result<Vec<u8>, Problem> {
    let locked = if locked { &["--locked"][..] } else { &[] };
    full(folder, locked)
}

/// The same for these platforms alone, by `Cargo.lock`.
///
/// # Errors
/// When `Cargo.lock` is missing or out of date, or with cargo's own message.
pub fn resolution_for(folder: &Path, platforms: &[&str]) -> Result<Vec<u8>, Problem> {
    let filters = platforms.iter().flat_map(|platform| ["--filter-platform", platform]);
    full(folder, &["--locked"].into_iter().chain(filters).collect::<Vec<_>>())
}

fn full(folder: &Path, arguments: &[&str]) -> Result<Vec<u8>, Problem> {
    let call = Call::new(folder, |shell| {
        let command = shell.cmd(program()).args(["metadata", "--format-version", "1", "--all-features"]);
        command.args(arguments).env("CARGO_TERM_COLOR", "never").env("RUST_BACKTRACE", "0")
    })?;
    let output = process::output(call, None, LIMIT)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let message = output.stderr.strip_prefix("error: ").unwrap_or(&output.stderr);
    if message.contains("lock file") && message.contains("--locked") {
        return Err(Problem::mend(
            "Cargo.lock is out of date: the manifests ask for what it does not have",
            "cargo update --workspace",
        ));
    }
    let unknown = message.split("could not find specification for target \"").nth(1);
    if let Some(target) = unknown.and_then(|rest| rest.split('"').next()) {
        return Err(Problem::mend(format!("rustc knows no target `{target}`"), "rustc --print target-list"));
    }
    let errors = output.stderr.lines().skip_while(|line| !line.starts_with("error")).collect::<Vec<_>>().join("\n");
    let message = if errors.is_empty() { message } else { errors.trim_start_matches("error: ") };
    Err(Problem::mend(
        format!("cargo cannot resolve the dependencies: {message}"),
        "cargo metadata --format-version 1 --locked",
    ))
}

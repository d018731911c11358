//! Two other places to build in: the repository's files in other folders, with other homes of cargo and other commits.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use supercargo_plan::plan::{CARGO_HOME_FOLDER, TARGET_FOLDER, WORKSPACE_FOLDER};
use tempfile::TempDir;

use super::running::Places;
use crate::process::{Call, output};

/// How long one call of git may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Two places to build in, made when they are first asked for.
pub struct Twins<'a> {
    /// The repository's top folder.
    pub top: &'a Path,
    /// The workspace's root folder.
    pub root: &'a Path,
    /// Cargo's home.
    pub home: &'a Path,
    /// The files, from the top.
    pub files: &'a (dyn Fn() -> Vec<PathBuf> + Sync),
    /// What stands for folders elsewhere.
    pub places: &'a Places,
    /// Whether cargo's configuration is the same for a workspace in another folder, with another home.
    pub configured: &'a (dyn Fn(&Path, &Path) -> bool + Sync),
    made: OnceLock<Result<Made, String>>,
}

/// The places, as long as they are there.
struct Made {
    twins: [Twin; 2],
    _folder: TempDir,
}

/// One place to build in.
pub struct Twin {
    /// The workspace's root folder.
    pub root: PathBuf,
    /// What stands for folders there.
    pub places: Places,
}

impl<'a> Twins<'a> {
    /// Places that are not made yet.
    #[must_use]
    pub fn new(
        (top, root, home): (&'a Path, &'a Path, &'a Path),
        files: &'a (dyn Fn() -> Vec<PathBuf> + Sync),
        places: &'a Places,
        configured: &'a (dyn Fn(&Path, &Path) -> bool + Sync),
    ) -> Self {
        Self { top, root, home, files, places, configured, made: OnceLock::new() }
    }

    /// The two places; or why they cannot be made.
    pub fn get(&self) -> Result<&[Twin; 2], String> {
        let made = self.made.get_or_init(|| self.make().map_err(|error| error.to_string()));
        made.as_ref().map(|made| &made.twins).map_err(Clone::clone)
    }

    fn make(&self) -> io::Result<Made> {
        // Not below the workspace, whose configuration cargo would find above.
        let folder = tempfile::Builder::new().prefix("supercargo-twins-").tempdir()?;
        let files = (self.files)();
        let one = self.twin(&folder.path().join("one"), "first", &files)?;
        let other = self.twin(&folder.path().join("the/other/one"), "second", &files)?;
        Ok(Made { twins: [one, other], _folder: folder })
    }

    fn twin(&self, folder: &Path, commit: &str, files: &[PathBuf]) -> io::Result<Twin> {
        let mut above = folder.to_owned();
        for configuration in self.configurations_above(folder) {
            fs::create_dir_all(&above)?;
            symlink(configuration, above.join(".cargo"))?;
            above.push("below");
        }
        let top = above.join("repository");
        for file in files {
            let (from, to) = (self.top.join(file), top.join(file));
            fs::create_dir_all(to.parent().unwrap_or(&top))?;
            let kind = match fs::symlink_metadata(&from) {
                Ok(found) => found.file_type(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if kind.is_symlink() {
                // What lies out of the repository is where it was.
                let target = from.canonicalize().ok().filter(|target| !target.starts_with(self.top));
                symlink(target.map_or_else(|| fs::read_link(&from), Ok)?, &to)?;
            } else if kind.is_dir() {
                copy(&from, &to)?;
            } else {
                fs::copy(&from, &to)?;
            }
        }
        self::commit(&top, commit)?;
        let home = folder.join("cargo");
        self.lay_out_home(&home)?;
        let inside = self.root.strip_prefix(self.top).unwrap_or(Path::new(""));
        let root: PathBuf = top.join(inside).components().collect();
        if !(self.configured)(&root, &home) {
            return Err(io::Error::other(format!("cargo finds another configuration in {}", folder.display())));
        }
        let mut places = self.places.clone();
        for (name, path) in
            [(WORKSPACE_FOLDER, &root), (TARGET_FOLDER, &folder.join("target")), (CARGO_HOME_FOLDER, &home)]
        {
            places.insert(name, path.display().to_string());
        }
        Ok(Twin { root, places })
    }

    /// The folders of configuration above the repository that are not above `folder` as well, the farthest first.
    fn configurations_above(&self, folder: &Path) -> Vec<PathBuf> {
        let above = self.top.ancestors().skip(1).filter(|above| !folder.starts_with(above));
        let above = above.map(|folder| folder.join(".cargo"));
        let is_one = |folder: &PathBuf| {
            folder != self.home && ["config", "config.toml"].iter().any(|name| folder.join(name).is_file())
        };
        let mut found: Vec<PathBuf> = above.filter(is_one).collect();
        found.reverse();
        found
    }

    /// A home of cargo with what was downloaded to the other one, to be unpacked anew.
    fn lay_out_home(&self, home: &Path) -> io::Result<()> {
        for shared in ["bin", "config.toml", "config", "credentials.toml", "registry/index", "registry/cache", "git/db"]
        {
            let (from, to) = (self.home.join(shared), home.join(shared));
            if from.exists() {
                fs::create_dir_all(to.parent().unwrap_or(home))?;
                symlink(from, to)?;
            }
        }
        fs::create_dir_all(home)
    }
}

/// Copies the folder of a submodule, without its repository.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in walkdir::WalkDir::new(from).into_iter().filter_entry(|entry| entry.file_name() != ".git") {
        let entry = entry?;
        let place = to.join(entry.path().strip_prefix(from).unwrap_or(entry.path()));
        if entry.file_type().is_dir() {
            fs::create_dir_all(place)?;
        } else if entry.file_type().is_symlink() {
            symlink(fs::read_link(entry.path())?, place)?;
        } else {
            fs::copy(entry.path(), place)?;
        }
    }
    Ok(())
}

/// Makes a repository of a folder: what looks for a commit finds another one for each `message`.
fn commit(top: &Path, message: &str) -> io::Result<()> {
    for arguments in [
        &["init", "--quiet"][..],
        &["add", "--all"],
        &[
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@x",
            "-c",
            "commit.gpgsign=false",
            "commit",
            "--quiet",
            "--no-verify",
            "-m",
            message,
        ],
    ] {
        let call = Call::new(top, |shell| shell.cmd("git").args(arguments));
        let done = call.and_then(|call| output(call, None, LIMIT)).map_err(io::Error::other)?;
        if !done.status.success() {
            return Err(io::Error::other(format!("git {}: {}", arguments[0], done.stderr)));
        }
    }
    Ok(())
}

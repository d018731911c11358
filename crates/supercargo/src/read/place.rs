//! Where the workspace is, and where its target folder is, guessed from files alone: cargo has the last word.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use supercargo_plan::facts::manifest;
use supercargo_plan::problem::Problem;

/// Where the question was asked.
#[derive(Clone, Debug)]
pub struct Place {
    /// The folder of the nearest manifest.
    pub start: PathBuf,
    /// The folder of the workspace's root manifest, as far as files tell.
    pub root: PathBuf,
}

/// Finds the manifest that is asked about: `named`, or the nearest one above the current folder.
///
/// # Errors
/// When there is none.
pub fn find(named: Option<&Path>) -> Result<Place, Problem> {
    let start = match named {
        Some(path) => {
            let path = path.canonicalize().map_err(|error| {
                let what = format!("the manifest {} cannot be read: {error}", path.display());
                Problem::mend(what, "cargo xtask affected --manifest-path Cargo.toml")
            })?;
            match path.file_name() {
                Some(name) if name == "Cargo.toml" => path.parent().unwrap_or(&path).to_owned(),
                _ => {
                    let what = format!("{} is no Cargo.toml", path.display());
                    return Err(Problem::usage(what, "cargo xtask affected --manifest-path Cargo.toml"));
                }
            }
        }
        None => {
            let here = env::current_dir().and_then(|folder| folder.canonicalize());
            let here = here.map_err(|error| Problem::mend(format!("the current folder is gone: {error}"), "cd ~"))?;
            let nearest = here.ancestors().find(|folder| folder.join("Cargo.toml").is_file()).map(Path::to_owned);
            nearest.ok_or_else(|| {
                let what = format!("there is no workspace here: no Cargo.toml in {} or above", here.display());
                Problem::mend(what, "cargo xtask affected --manifest-path path/to/Cargo.toml")
            })?
        }
    };
    let is_root = |folder: &&Path| {
        let text = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        text.lines().any(|line| line.trim_start().starts_with("[workspace"))
    };
    let root = start.ancestors().find(is_root).unwrap_or(&start).to_owned();
    Ok(Place { start, root })
}

impl Place {
    /// The target folder, as environment and configuration have it.
    #[must_use]
    pub fn target(&self) -> PathBuf {
        let here = env::current_dir().unwrap_or_else(|_| self.start.clone());
        let named = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"].into_iter().find_map(env::var_os);
        if let Some(named) = named.filter(|named| !named.is_empty()) {
            return here.join(named);
        }
        let home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
        let folders = self.start.ancestors().map(|folder| folder.join(".cargo"));
        let configured = folders.chain(home).find_map(|folder| {
            let text = ["config", "config.toml"].iter().find_map(|name| std::fs::read(folder.join(name)).ok())?;
            let config = manifest::parse(&text).ok()?;
            let relative = OsString::from(config["build"]["target-dir"].as_str()?);
            Some(folder.parent()?.join(relative))
        });
        configured.unwrap_or_else(|| self.root.join("target"))
    }
}

//! The variables of this process, and configuration that no tree of the repository holds.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use supercargo_artifact::digest::Digest;
use supercargo_plan::environment::{self, Environment};
use supercargo_plan::facts::Snapshot;

use super::unlisted::content;

/// What children get and what of it counts; `pass` is what policy passes, `secret` what no child gets.
#[must_use]
pub fn read(snapshot: Snapshot<'_>, pass: &[String], secret: Option<&str>) -> Environment {
    let set = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.as_bytes().to_vec())));
    // Facts of other states may be at hand: only those of this one count.
    let sources = snapshot.tree.iter().filter_map(|(_, entry)| snapshot.sources.get(&entry.id));
    let named: BTreeSet<String> = sources.flat_map(|source| &source.environment).cloned().collect();
    environment::divide(&set.collect(), &named, pass, secret)
}

/// What children get that build programs, and what of it counts; `pass` is what policy passes, `secret` what no child
/// gets.
#[must_use]
pub fn scrubbed(pass: &[String], secret: Option<&str>) -> Environment {
    let set = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.as_bytes().to_vec())));
    environment::scrub(&set.collect(), pass, secret)
}

/// The variables that children get, with their values.
#[must_use]
pub fn variables(environment: &Environment) -> Vec<(OsString, OsString)> {
    let passed = |(name, _): &(OsString, OsString)| name.to_str().is_some_and(|name| environment.passed.contains(name));
    env::vars_os().filter(passed).collect()
}

/// `variables` with `folder` before all others on PATH: cargo calls the first rustc that it finds there, whoever called cargo.
#[must_use]
pub fn first_on_path(mut variables: Vec<(OsString, OsString)>, folder: &Path) -> Vec<(OsString, OsString)> {
    for (_, paths) in variables.iter_mut().filter(|(name, _)| name == "PATH") {
        let all = [folder.to_owned()].into_iter().chain(env::split_paths(paths));
        *paths = env::join_paths(all).unwrap_or_else(|_| paths.clone());
    }
    variables
}

/// Configuration that tools find from the workspace's `root` upwards and in their homes, whatever git thinks of it:
/// by how it is found, its digest, which is like nothing else for what was touched since `clock`.
#[must_use]
pub fn configuration(root: &Path, clock: Option<SystemTime>) -> BTreeMap<String, Digest> {
    const NAMES: [&str; 6] =
        [".cargo/config.toml", ".cargo/config", "rustfmt.toml", ".rustfmt.toml", "clippy.toml", ".clippy.toml"];
    let mut found = BTreeMap::new();
    let mut look = |name: String, path: PathBuf| {
        if path.is_file() {
            found.insert(name, content(&path, clock));
        }
    };
    for (n, folder) in root.ancestors().enumerate() {
        for name in NAMES {
            look(format!("{}{name}", "../".repeat(n)), folder.join(name));
        }
    }
    let home = env::var_os("HOME").map(PathBuf::from);
    let cargo = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(home.as_ref()?.join(".cargo")));
    let settings = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| Some(home.as_ref()?.join(".config")));
    for name in ["config.toml", "config"] {
        cargo.iter().for_each(|folder| look(format!("$CARGO_HOME/{name}"), folder.join(name)));
    }
    for name in ["rustfmt.toml", ".rustfmt.toml"] {
        home.iter().for_each(|folder| look(format!("$HOME/{name}"), folder.join(name)));
    }
    for name in ["rustfmt/rustfmt.toml", "rustfmt/.rustfmt.toml"] {
        settings.iter().for_each(|folder| look(format!("$XDG_CONFIG_HOME/{name}"), folder.join(name)));
    }
    found
}

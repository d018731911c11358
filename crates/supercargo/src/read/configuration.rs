//! Cargo's configuration: every file that cargo itself would read here, and what rustc says of targets' conditions.

use std::fs;
use std::path::Path;
use std::time::Duration;

use supercargo_artifact::digest::Hasher;
use supercargo_plan::facts::conditions::Conditions;
use supercargo_plan::facts::configuration::{self, Configuration, Source};
use supercargo_plan::problem::Problem;

use super::cache::Cache;
use crate::process::{Call, output};

/// How long rustc may take to print a target's conditions.
const LIMIT: Duration = Duration::from_secs(60);

/// Reads the configuration of the workspace in `root`, with cargo's `home` last.
///
/// # Errors
/// When a file of it cannot be understood.
pub fn read(root: &Path, home: &Path) -> Result<Configuration, Problem> {
    let above = root.ancestors().map(|folder| folder.join(".cargo"));
    // Cargo's home may lie above, and counts once.
    let folders = above.filter(|folder| folder != home).chain([home.to_owned()]);
    let sources: Vec<Source> = folders
        .filter_map(|folder| {
            // Where both are there, cargo takes the one without an ending.
            let paths = ["config", "config.toml"].map(|name| folder.join(name));
            let read = |path: &std::path::PathBuf| Some((path.display().to_string(), fs::read(path).ok()?));
            let (path, text) = paths.iter().find_map(read)?;
            Some(Source { path, text })
        })
        .collect();
    configuration::parse(&root.display().to_string(), &sources, &mut |path| fs::read(path).ok())
}

/// The conditions that hold for `target` with these flags; none where no configuration asks for any, or rustc does not
/// know the target.
#[must_use]
pub fn conditions(
    configuration: &Configuration,
    (root, toolchain): (&Path, &str),
    (target, flags): (&str, &[String]),
    cache: &Cache,
) -> Option<Conditions> {
    if !configuration.is_conditional() {
        return None;
    }
    let question = Conditions::question(target, flags);
    let mut name = Hasher::new("supercargo conditions 1");
    name.field(toolchain.as_bytes());
    question.iter().for_each(|word| _ = name.field(word.as_bytes()));
    let name = format!("conditions-{}.json", name.finish());
    if let Some(printed) = cache.get::<String>(&name) {
        return Some(Conditions::parse(&printed));
    }
    let call = Call::new(root, |shell| shell.cmd("rustc").args(question).env("RUSTUP_AUTO_INSTALL", "0"));
    let said = output(call.ok()?, None, LIMIT).ok().filter(|said| said.status.success())?;
    let printed = String::from_utf8_lossy(&said.stdout).into_owned();
    cache.put(&name, &printed);
    Some(Conditions::parse(&printed))
}

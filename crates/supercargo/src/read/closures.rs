//! What is linked into programs: cargo's full metadata, resolved for each target, and kept.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use supercargo_artifact::digest::{Digest, Hasher};
use supercargo_plan::facts::closure::{self, Closures, Wanted};
use supercargo_plan::facts::workspace::TargetKind;
use supercargo_plan::facts::{Snapshot, metadata};
use supercargo_plan::problem::Problem;

use super::cache::Cache;
use super::cargo;
use super::resolution::is_listed;

/// What closures are resolved from, besides the repository.
pub struct Question<'a> {
    /// The workspace's root folder.
    pub root: &'a Path,
    /// The members, and their features.
    pub wanted: &'a [Wanted],
    /// The targets.
    pub targets: &'a [String],
    /// The machine that compiles.
    pub host: &'a str,
    /// The text that tells one toolchain from another.
    pub toolchain: &'a str,
    /// The digest of cargo's configuration.
    pub configuration: &'a Digest,
}

/// Resolves what is asked.
///
/// # Errors
/// When `Cargo.lock` is missing or out of date, or cargo cannot resolve the dependencies.
pub fn read(snapshot: Snapshot<'_>, question: &Question<'_>, cache: &Cache) -> Result<Closures, Problem> {
    let entry = entry(snapshot, question);
    if let Some(kept) = entry.as_ref().and_then(|entry| cache.get::<Closures>(entry)) {
        return Ok(kept);
    }
    let mut platforms: Vec<&str> = question.targets.iter().map(String::as_str).chain([question.host]).collect();
    platforms.sort_unstable();
    platforms.dedup();
    let text = cargo::resolution_for(question.root, &platforms)?;
    let text = String::from_utf8_lossy(&text);
    let Question { wanted, targets, host, .. } = question;
    let mut closures = closure::parse(&text, wanted, targets, host, snapshot.workspace)?;
    let scripts: BTreeMap<String, String> = closures
        .scripts()
        .into_iter()
        .filter_map(|script| Some((script.to_owned(), fs::read_to_string(script).ok()?)))
        .collect();
    closures.settle(&scripts);
    if let Some(entry) = entry {
        cache.put(&entry, &closures);
    }
    Ok(closures)
}

/// The name of what is kept: everything that it is resolved from.
fn entry(snapshot: Snapshot<'_>, question: &Question<'_>) -> Option<String> {
    if !snapshot.workspace.packages.iter().all(|package| is_listed(snapshot, package)) {
        return None;
    }
    let mut name = Hasher::new("supercargo closures 1");
    name.field(metadata::key(snapshot.tree, &snapshot.workspace.root)?.as_bytes());
    // The build scripts' texts have a word in it.
    let scripts = snapshot.workspace.packages.iter().flat_map(|package| &package.targets);
    for script in scripts.filter(|target| target.kind == TargetKind::BuildScript) {
        let entry = snapshot.tree.entry(snapshot.tree.find(script.source.as_bytes())?);
        if entry.id.is_zero() {
            return None;
        }
        name.field(script.source.as_bytes()).field(entry.id.as_bytes());
    }
    name.field(Digest::of(&fs::read(question.root.join("Cargo.lock")).ok()?).as_bytes());
    name.field(question.toolchain.as_bytes()).field(question.configuration.as_bytes());
    name.field(env!("CARGO_PKG_VERSION").as_bytes()).field(include_bytes!("closures.rs"));
    name.field(supercargo_plan::verbs::build::CODE.as_bytes());
    name.field(format!("{:?} {:?} {}", question.wanted, question.targets, question.host).as_bytes());
    Some(format!("closures-{}.json", name.finish()))
}

//! Which features every package is compiled with, under one selection: cargo's full metadata, resolved, and kept.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use supercargo_artifact::digest::{Digest, Hasher};
use supercargo_plan::facts::checks::Features;
use supercargo_plan::facts::platform;
use supercargo_plan::facts::workspace::{MemberName, Package};
use supercargo_plan::facts::{Snapshot, metadata};
use supercargo_plan::problem::Problem;

use super::cache::Cache;
use super::cargo;

/// For each set of features: by member, the digest of what is resolved.
pub type Resolved = Vec<BTreeMap<MemberName, Digest>>;

/// What is kept: digests as text.
#[derive(Serialize, Deserialize)]
struct Entry(Vec<BTreeMap<MemberName, String>>);

/// Resolves the features of the members of `selection` (all, for none) under each of `sets`. `root` is the workspace's
/// folder, `toolchain` the text that tells one toolchain from another.
///
/// # Errors
/// When `Cargo.lock` is out of date, or cargo cannot resolve the dependencies.
pub fn read(
    snapshot: Snapshot<'_>,
    (root, toolchain): (&Path, &str),
    selection: Option<&[MemberName]>,
    sets: &[Features],
    cache: &Cache,
) -> Result<Resolved, Problem> {
    let entry = entry(snapshot, (root, toolchain), selection, sets);
    if let Some(Entry(kept)) = entry.as_ref().and_then(|entry| cache.get(entry)) {
        let digests = |set: BTreeMap<MemberName, String>| -> Option<BTreeMap<MemberName, Digest>> {
            set.into_iter().map(|(name, digest)| Some((name, Digest::parse(&digest)?))).collect()
        };
        if let Some(resolved) = kept.into_iter().map(digests).collect() {
            return Ok(resolved);
        }
    }
    let text = cargo::resolution(root, snapshot.lock.is_some())?;
    let text = String::from_utf8_lossy(&text);
    let resolve = |set| platform::features(&text, selection, set, snapshot.workspace);
    let resolved: Resolved = sets.iter().map(resolve).collect::<Result<_, _>>()?;
    // Without a lockfile there is one now, and what it says is part of the name.
    if let Some(entry) = self::entry(snapshot, (root, toolchain), selection, sets) {
        let text = |set: &BTreeMap<MemberName, Digest>| {
            set.iter().map(|(name, digest)| (name.clone(), digest.to_string())).collect()
        };
        cache.put(&entry, &Entry(resolved.iter().map(text).collect()));
    }
    Ok(resolved)
}

/// Whether git lists a package: what it does not list is in no name.
pub fn is_listed(snapshot: Snapshot<'_>, package: &Package) -> bool {
    let manifest = package.folder.join(b"Cargo.toml").unwrap_or_default();
    snapshot.tree.find(manifest.as_bytes()).is_some()
}

/// The name of what is kept: everything that it is resolved from.
fn entry(
    snapshot: Snapshot<'_>,
    (root, toolchain): (&Path, &str),
    selection: Option<&[MemberName]>,
    sets: &[Features],
) -> Option<String> {
    if !snapshot.workspace.packages.iter().all(|package| is_listed(snapshot, package)) {
        return None;
    }
    let mut name = Hasher::new("supercargo resolution 1");
    name.field(metadata::key(snapshot.tree, &snapshot.workspace.root)?.as_bytes());
    name.field(Digest::of(&std::fs::read(root.join("Cargo.lock")).ok()?).as_bytes());
    name.field(toolchain.as_bytes()).field(env!("CARGO_PKG_VERSION").as_bytes());
    name.field(format!("{sets:?} {selection:?}").as_bytes());
    Some(format!("resolution-{}.json", name.finish()))
}

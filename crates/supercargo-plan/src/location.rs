//! Where a path lies: in the folder of which package, and whether a file there is anybody's by its name.

use std::collections::BTreeMap;

use crate::facts::Snapshot;
use crate::facts::metadata::governs;
use crate::facts::path::RepoPath;
use crate::facts::tree::PathId;
use crate::facts::workspace::{Package, Scope, Workspace};

/// Names that count for nobody at the root of a package, of the workspace or of the repository, unless a source
/// includes them. Compared without regard to case, with these endings or none.
pub const NOBODYS: [&str; 4] = ["README", "CHANGELOG", "CHANGES", "RELEASES"];

/// The endings that a file of [`NOBODYS`] may have.
pub const NOBODYS_ENDINGS: [&str; 4] = ["md", "txt", "rst", "adoc"];

fn has_nobodys_name(name: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(name) else { return false };
    let (stem, ending) = name.split_once('.').unwrap_or((name, NOBODYS_ENDINGS[0]));
    let is = |known: &[&str], word: &str| known.iter().any(|known| known.eq_ignore_ascii_case(word));
    is(&NOBODYS, stem) && is(&NOBODYS_ENDINGS, ending)
}

/// The tree's paths by the package in whose folder they lie (the nearest one), and those in none. Manifests, lockfiles
/// and settings, which are compared by meaning, are left out.
#[must_use]
pub fn by_location(snapshot: Snapshot<'_>) -> (Vec<Vec<PathId>>, Vec<PathId>) {
    let (tree, workspace) = (snapshot.tree, snapshot.workspace);
    let folders: BTreeMap<&[u8], usize> =
        workspace.packages.iter().enumerate().map(|(n, package)| (package.folder.as_bytes(), n)).collect();
    let mut located = vec![Vec::new(); workspace.packages.len()];
    let mut elsewhere = Vec::new();
    let mut last: (Option<&[u8]>, Option<usize>) = (None, None);
    for id in tree.ids() {
        let path = tree.path(id);
        let folder = path.folder();
        if last.0 != Some(folder) {
            last = (Some(folder), path.ancestors().skip(1).find_map(|ancestor| folders.get(ancestor).copied()));
        }
        let manifest = path.name() == b"Cargo.toml" && folders.contains_key(folder);
        let by_meaning = manifest || is_outside_root(path, workspace) || governed(path, workspace);
        if by_meaning || is_root_file(path, workspace) || is_outside_lock(path, last.1, workspace) {
            continue;
        }
        match last.1 {
            Some(owner) => located[owner].push(id),
            None => elsewhere.push(id),
        }
    }
    (located, elsewhere)
}

fn is_root_file(path: &RepoPath, workspace: &Workspace) -> bool {
    matches!(path.below(&workspace.root), Some(b"Cargo.toml" | b"Cargo.lock"))
}

/// The manifest that path crates inherit from counts by what they inherit.
fn is_outside_root(path: &RepoPath, workspace: &Workspace) -> bool {
    let folder = path.parent();
    path.name() == b"Cargo.toml"
        && workspace.packages.iter().any(|package| !package.member && package.folder.below(&folder).is_some())
}

/// A path crate's own lockfile is not read when it is built as a dependency.
fn is_outside_lock(path: &RepoPath, owner: Option<usize>, workspace: &Workspace) -> bool {
    owner.is_some_and(|n| !workspace.packages[n].member) && path.name() == b"Cargo.lock"
}

/// Whether the path is nobody's by its name and place, unless a source includes it.
#[must_use]
pub fn is_nobodys(path: &RepoPath, owner: Option<&Package>, workspace: &Workspace) -> bool {
    let folder = path.parent();
    let at_root = folder.is_top() || folder == workspace.root || owner.is_some_and(|package| package.folder == folder);
    at_root && has_nobodys_name(path.name())
}

/// Whether the path is a settings file that governs at least one package.
fn governed(path: &RepoPath, workspace: &Workspace) -> bool {
    // Few names do, and this is asked of every path.
    governs(path).is_some()
        && workspace.settings.iter().filter(|setting| setting.path.as_ref() == Some(path)).any(|setting| match &setting
            .scope
        {
            Scope::Below(folder) => workspace.packages.iter().any(|package| package.folder.below(folder).is_some()),
            _ => true,
        })
}

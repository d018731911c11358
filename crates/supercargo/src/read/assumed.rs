//! What is assumed of the base's sources that a partial clone lacks.
//!
//! A source that is missing differs from the head's (whose content is here), so whoever reads it is affected by it, at the
//! level at which it reads it; and whatever the base knew of only by way of that source counts at that level at most. So
//! no member is lost where such a source names nothing. A path outside of every package that it alone named has nobody
//! then, and reaches everyone if it differs or is gone: in doubt, in.
//!
//! All the same it is taken to have named what the head's source at its path names, as far as that is the same on both
//! sides and lies where it would count anyway. What differs is never judged by an assumption; but the modules that only
//! tests compile, untouched themselves, do not look like parts of the library that they no longer are.

use std::collections::BTreeMap;

use supercargo_plan::facts::includes::Resolver;
use supercargo_plan::facts::path::RepoPath;
use supercargo_plan::facts::source::{Source, Usage};
use supercargo_plan::facts::tree::{Mode, ObjectId, PathId};

use super::contents::{Contents, is_source};
use super::states::State;

/// Says of the sources of `base` that `contents` lacks what they may have named.
pub fn assume(contents: &mut Contents, base: &State, head: &State) {
    if contents.lost.is_empty() {
        return;
    }
    let (tree, workspace) = (&base.tree, &base.workspace);
    let folders: BTreeMap<&[u8], usize> =
        workspace.packages.iter().enumerate().map(|(n, package)| (package.folder.as_bytes(), n)).collect();
    let owner = |path: &RepoPath| path.ancestors().skip(1).find_map(|folder| folders.get(folder).copied());
    let resolver =
        Resolver::new(tree, &base.links, &workspace.root, workspace.packages.iter().map(|package| &package.folder));
    let alike = |id: PathId| {
        let (path, entry) = (tree.path(id), tree.entry(id));
        matches!(entry.mode, Mode::File | Mode::Program) && head.tree.get(path.as_bytes()) == Some(entry)
    };
    let mut assumed: BTreeMap<ObjectId, Source> = BTreeMap::new();
    for (path, entry) in tree.iter().filter(|(_, entry)| contents.lost.contains(&entry.id)) {
        let now = head.tree.get(path.as_bytes()).and_then(|entry| contents.sources.get(&entry.id));
        let mut source = now.cloned().unwrap_or_default();
        let home = owner(path);
        // A module that lies beside it is read anyway: every source in a package's folder is.
        let beside = |id: PathId| {
            let other = tree.path(id);
            alike(id) && other.name().ends_with(b".rs") && home.is_some() && owner(other) == home
        };
        source.modules.retain(|module| {
            [true, false].into_iter().flat_map(|root| resolver.module(path, module, root)).all(beside)
        });
        // Of literals, those that mean one thing, whoever reads the source, and lead to no other source.
        source.literals.retain(|literal| {
            let plain = literal.usage == Usage::Include && !literal.text.contains(['{', '$', '*']);
            let found = resolver.look_up(&path.parent(), literal.text.as_bytes()).filter(|_| plain);
            found.is_some_and(|found| {
                found.files.iter().all(|id| alike(*id) && !is_source(tree.path(*id), tree.entry(*id)))
            })
        });
        // The same text in two places meant two things: of that, nothing is assumed.
        assumed.entry(entry.id).and_modify(|source| *source = Source::default()).or_insert(source);
    }
    contents.sources.extend(assumed);
}

//! From a path in a source file to the files of the repository that it means.

use std::collections::{BTreeMap, BTreeSet};

use super::path::RepoPath;
use super::source::{Literal, Module, Usage};
use super::tree::{Mode, PathId, Tree};

/// The targets of the symbolic links of a tree.
pub type Links = BTreeMap<RepoPath, Vec<u8>>;

/// Most links that one path may lead through.
const DEEPEST_LINK: usize = 16;

/// Looks paths up in a tree, symbolic links and submodules minded.
pub struct Resolver<'a> {
    tree: &'a Tree,
    links: &'a Links,
    repositories: BTreeSet<&'a [u8]>,
    root: &'a RepoPath,
    /// What the folders that paths start from hold: most literals are ruled out by their first component.
    first: BTreeMap<RepoPath, BTreeSet<&'a [u8]>>,
    /// All of those together.
    anywhere: BTreeSet<&'a [u8]>,
}

/// What a path leads to: the links on the way, then a file, or all files of a folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Links that were followed, and the file or all files of the folder.
    pub files: Vec<PathId>,
    /// Whether the path leads to a folder.
    pub folder: bool,
    /// Whether it is only a guess that this is what is meant, so that who reads it is not known.
    pub guess: bool,
}

impl<'a> Resolver<'a> {
    /// Looks up in `tree`, whose links lead to `links`, for the workspace at `root` with packages in `packages`.
    #[must_use]
    pub fn new(
        tree: &'a Tree,
        links: &'a Links,
        root: &'a RepoPath,
        packages: impl Iterator<Item = &'a RepoPath>,
    ) -> Self {
        let repositories =
            tree.iter().filter(|(_, entry)| entry.mode == Mode::Repository).map(|(path, _)| path.as_bytes());
        let around = packages.flat_map(|folder| folder.ancestors().map(RepoPath::new));
        let folders: BTreeSet<RepoPath> = around.chain([root.clone()]).collect();
        let first = folders.into_iter().map(|folder| {
            let below = tree.below(&folder).filter_map(|id| tree.path(id).below(&folder));
            let mut names: Vec<&[u8]> = below.filter_map(|path| path.split(|byte| *byte == b'/').next()).collect();
            names.dedup();
            (folder, names.into_iter().collect::<BTreeSet<_>>())
        });
        let first: BTreeMap<_, _> = first.collect();
        let anywhere = first.values().flatten().copied().collect();
        Self { tree, links, repositories: repositories.collect(), root, first, anywhere }
    }

    /// What `relative` means, seen from `folder`; none where nothing is there.
    #[must_use]
    pub fn look_up(&self, folder: &RepoPath, relative: &[u8]) -> Option<Found> {
        let mut found = Found::default();
        let path = self.walk(folder, relative, &mut found.files, DEEPEST_LINK)?;
        match self.tree.find(path.as_bytes()) {
            Some(file) => found.files.push(file),
            None => {
                let links = found.files.len();
                found.files.extend(self.tree.below(&path));
                found.folder = found.files.len() > links;
                if !found.folder {
                    return None;
                }
            }
        }
        Some(found)
    }

    /// The path that `relative` leads to, whether or not something is there.
    fn walk(&self, folder: &RepoPath, relative: &[u8], passed: &mut Vec<PathId>, left: usize) -> Option<RepoPath> {
        if relative.starts_with(b"/") || left == 0 {
            return None;
        }
        let plain = folder.join(relative)?;
        let mut components =
            relative.split(|byte| *byte == b'/').skip_while(|component| matches!(*component, b".." | b"." | b""));
        let detour = components.any(|component| component == b"..");
        let on_the_way = |here: &[u8]| self.links.contains_key(here) || self.repositories.contains(here);
        if !detour && !plain.ancestors().any(on_the_way) {
            return Some(plain);
        }
        let mut here = folder.clone();
        for component in relative.split(|byte| *byte == b'/') {
            let next = here.join(component)?;
            if self.repositories.contains(next.as_bytes()) {
                // What is inside a submodule is named by the commit that it points to.
                return Some(next);
            }
            here = match self.links.get_key_value(&next) {
                Some((link, target)) => {
                    passed.extend(self.tree.find(link.as_bytes()));
                    self.walk(&here, target, passed, left - 1)?
                }
                None => next,
            };
        }
        Some(here)
    }

    /// The submodules that `folder` lies in.
    pub fn repositories_around(&self, folder: &RepoPath) -> Vec<PathId> {
        folder
            .ancestors()
            .filter(|path| self.repositories.contains(path))
            .filter_map(|path| self.tree.find(path))
            .collect()
    }

    /// What a link of the tree leads to.
    #[must_use]
    pub fn follow(&self, link: &RepoPath) -> Option<Found> {
        self.look_up(&link.parent(), link.name())
    }

    /// The files that `module`, declared in the file `source`, may lie in; `root` says that a target starts there.
    #[must_use]
    pub fn module(&self, source: &RepoPath, module: &Module, root: bool) -> Vec<PathId> {
        let folder = source.parent();
        let stem = source.name().strip_suffix(b".rs").unwrap_or(source.name());
        let own = folder.join(stem).unwrap_or_default();
        let file = |folder: &RepoPath, relative: &str| {
            let found = self.look_up(folder, relative.trim_start_matches('/').as_bytes()).filter(|found| !found.folder);
            found.map_or_else(Vec::new, |found| found.files)
        };
        let around = module.name.rsplit_once('/').map_or("", |(around, _)| around);
        let named = module.paths.iter().flat_map(|path| [path.clone(), format!("{around}/{path}")]);
        let mut found: Vec<PathId> =
            named.flat_map(|path| [file(&folder, &path), file(&own, &path)]).flatten().collect();
        let beside = root || matches!(stem, b"mod" | b"lib" | b"main");
        let places = if beside { [&folder, &own] } else { [&own, &folder] };
        for place in places {
            if found.is_empty() {
                found = file(place, &format!("{}.rs", module.name));
            }
            if found.is_empty() {
                found = file(place, &format!("{}/mod.rs", module.name));
            }
        }
        found
    }

    /// What `literal`, in the file `source` of the package in `package`, may mean.
    #[must_use]
    pub fn literal(&self, source: &RepoPath, package: &RepoPath, literal: &Literal) -> Vec<Found> {
        let Some(named) = Named::parse(&literal.text) else { return Vec::new() };
        let upward = named.path.starts_with("..");
        let strict = matches!(literal.usage, Usage::Include | Usage::Rerun);
        let folder = source.parent();
        let start = named.path.split('/').next().unwrap_or_default();
        if !(strict || upward || start == "." || self.anywhere.contains(start.as_bytes())) {
            return Vec::new();
        }
        let anchors: Vec<RepoPath> = match (named.anchor, literal.usage) {
            (Anchor::None, Usage::Include) => vec![folder],
            (Anchor::None, Usage::Rerun) | (Anchor::Package, _) => vec![package.clone()],
            (Anchor::None, Usage::Join) => vec![self.root.clone(), RepoPath::default()],
            (Anchor::None, _) if upward => vec![folder, package.clone()],
            (Anchor::None, _) if !named.path.contains('/') => vec![package.clone()],
            // The code may have gone up from the package's folder by any number of steps.
            _ => package.ancestors().map(RepoPath::new).chain([self.root.clone()]).collect(),
        };
        let mut found = Vec::new();
        for (n, anchor) in anchors.iter().enumerate() {
            if anchors[..n].contains(anchor) || !(strict || upward || self.may_hold(anchor, named.path)) {
                continue;
            }
            // A folder around the package is how code finds its way, not what it reads.
            let around = |found: &Found| {
                found.folder && anchor.join(named.path.as_bytes()).is_some_and(|path| package.below(&path).is_some())
            };
            let certain = strict || upward || named.anchor == Anchor::Package;
            let any = strict || literal.usage == Usage::Join;
            let here = self.look_up(anchor, named.path.as_bytes()).filter(|found| any || !around(found));
            // A word that happens to be a file's or a folder's name there may mean something else.
            let guess = |found: &Found| !certain && (found.folder || !named.path.contains('/'));
            found.extend(here.map(|here| Found { guess: guess(&here), ..here }));
        }
        found
    }

    /// Whether the first component of `path` is there at all.
    fn may_hold(&self, anchor: &RepoPath, path: &str) -> bool {
        let first = path.split('/').next().unwrap_or_default();
        first == "." || self.first.get(anchor).is_none_or(|names| names.contains(first.as_bytes()))
    }
}

/// Where a literal's path starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Anchor {
    /// Nowhere known: it depends on how the literal is used.
    None,
    /// At the package's folder.
    Package,
    /// At something computed.
    Unknown,
}

/// A literal's path without what is computed in it.
#[derive(Debug, PartialEq, Eq)]
struct Named<'t> {
    anchor: Anchor,
    path: &'t str,
}

impl<'t> Named<'t> {
    /// Cuts what is computed off both ends; none where no path is left.
    fn parse(text: &'t str) -> Option<Self> {
        let (anchor, rest) = if let Some(rest) = text.strip_prefix('{') {
            let (name, rest) = rest.split_once('}')?;
            match name {
                _ if !rest.starts_with('/') => return None,
                "OUT_DIR" => return None,
                "CARGO_MANIFEST_DIR" => (Anchor::Package, rest),
                _ => (Anchor::Unknown, rest),
            }
        } else if let Some(rest) = text.strip_prefix('$') {
            let end = rest.find('/').unwrap_or(rest.len());
            match &rest[..end] {
                "OUT_DIR" | "{OUT_DIR}" => return None,
                "CARGO_MANIFEST_DIR" | "{CARGO_MANIFEST_DIR}" => (Anchor::Package, &rest[end..]),
                _ => (Anchor::Unknown, &rest[end..]),
            }
        } else if text.starts_with('/') {
            (Anchor::Unknown, text)
        } else {
            (Anchor::None, text)
        };
        // Of `a/b/{name}.json`, the folder `a/b` is known.
        let known = match rest.find(['{', '*']) {
            Some(at) => rest[..at].rsplit_once('/')?.0,
            None => rest,
        };
        let path = known.trim_start_matches('/').trim_end_matches('/');
        (!path.is_empty()).then_some(Self { anchor, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_computed_is_cut_off() {
        let parse = |text: &str| Named::parse(text).map(|named| (named.anchor, named.path.to_owned()));
        assert_eq!(parse("../a.txt"), Some((Anchor::None, "../a.txt".into())));
        assert_eq!(parse("{CARGO_MANIFEST_DIR}/../a"), Some((Anchor::Package, "../a".into())));
        assert_eq!(parse("$CARGO_MANIFEST_DIR/assets/"), Some((Anchor::Package, "assets".into())));
        assert_eq!(parse("{}/../a/{name}.json"), Some((Anchor::Unknown, "../a".into())));
        assert_eq!(parse("{OUT_DIR}/gen.rs"), None);
        assert_eq!(parse("{name}.json"), None);
    }
}

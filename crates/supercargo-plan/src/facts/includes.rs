//! From a path in a source file to the files of the repository that it means.

use std::collections::{BTreeMap, BTreeSet};

use super::path::RepoPath;
use super::source::{Literal, Module, Usage};
use super::tree::{Mode, Tree};

/// The targets of the symbolic links of a tree.
pub type Links = BTreeMap<RepoPath, Vec<u8>>;

/// Most links that one path may lead through.
const DEEPEST_LINK: usize = 16;

/// Looks paths up in a tree, symbolic links and submodules minded.
pub struct Resolver<'a> {
    tree: &'a Tree,
    links: &'a Links,
    repositories: BTreeSet<&'a RepoPath>,
    root: &'a RepoPath,
}

/// What a path leads to: the links on the way, then a file, or all files of a folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found<'a> {
    /// Links that were followed.
    pub links: Vec<&'a RepoPath>,
    /// The file, when it is one.
    pub file: Option<&'a RepoPath>,
    /// The files of the folder, when it is one.
    pub inside: Vec<&'a RepoPath>,
}

impl<'a> Found<'a> {
    /// Everything that counts for whoever names the path.
    pub fn all(&self) -> impl Iterator<Item = &'a RepoPath> {
        self.links.iter().chain(&self.file).chain(&self.inside).copied()
    }
}

impl<'a> Resolver<'a> {
    /// Looks up in `tree`, whose links lead to `links`, for the workspace at `root`.
    #[must_use]
    pub fn new(tree: &'a Tree, links: &'a Links, root: &'a RepoPath) -> Self {
        let repositories = tree.iter().filter(|(_, entry)| entry.mode == Mode::Repository).map(|(path, _)| path);
        Self { tree, links, repositories: repositories.collect(), root }
    }

    /// What `relative` means, seen from `folder`; none where nothing is there.
    #[must_use]
    pub fn look_up(&self, folder: &RepoPath, relative: &[u8]) -> Option<Found<'a>> {
        let mut found = Found::default();
        let path = self.walk(folder, relative, &mut found.links, DEEPEST_LINK)?;
        found.file = self.tree.find(path.as_bytes()).map(|(path, _)| path);
        if found.file.is_none() {
            found.inside = self.tree.below(&path).map(|(path, _)| path).collect();
        }
        (found.file.is_some() || !found.inside.is_empty()).then_some(found)
    }

    /// The path that `relative` leads to, whether or not something is there.
    fn walk(&self, folder: &RepoPath, relative: &[u8], passed: &mut Vec<&'a RepoPath>, left: usize) -> Option<RepoPath> {
        if relative.starts_with(b"/") || left == 0 {
            return None;
        }
        if self.links.is_empty() && self.repositories.is_empty() {
            return folder.join(relative);
        }
        let mut here = folder.clone();
        for component in relative.split(|byte| *byte == b'/') {
            let next = here.join(component)?;
            if let Some(repository) = self.repositories.get(&next) {
                // What is inside a submodule is named by the commit that it points to.
                return Some((*repository).clone());
            }
            here = match self.links.get_key_value(&next) {
                Some((link, target)) => {
                    passed.push(link);
                    self.walk(&here, target, passed, left - 1)?
                }
                None => next,
            };
        }
        Some(here)
    }

    /// What a link of the tree leads to.
    #[must_use]
    pub fn follow(&self, link: &RepoPath) -> Option<Found<'a>> {
        self.look_up(&link.parent(), link.name())
    }

    /// The files that `module`, declared in the file `source`, may lie in.
    #[must_use]
    pub fn module(&self, source: &RepoPath, module: &Module) -> Vec<&'a RepoPath> {
        let folder = source.parent();
        let stem = source.name().strip_suffix(b".rs").unwrap_or(source.name());
        let own = folder.join(stem).unwrap_or_default();
        let around = module.name.rsplit_once('/').map_or("", |(around, _)| around);
        let mut candidates = vec![format!("{}.rs", module.name), format!("{}/mod.rs", module.name)];
        candidates.extend(module.paths.iter().flat_map(|path| [path.clone(), format!("{around}/{path}")]));
        let places = candidates.iter().flat_map(|candidate| [(&folder, candidate), (&own, candidate)]);
        let found = places.filter_map(|(folder, candidate)| {
            let relative = candidate.trim_start_matches('/');
            self.look_up(folder, relative.as_bytes()).filter(|found| found.file.is_some())
        });
        found.flat_map(|found| found.all().collect::<Vec<_>>()).collect()
    }

    /// What `literal`, in the file `source` of the package in `package`, may mean.
    #[must_use]
    pub fn literal(&self, source: &RepoPath, package: &RepoPath, literal: &Literal) -> Vec<Found<'a>> {
        let Some(named) = Named::parse(&literal.text) else { return Vec::new() };
        let folder = source.parent();
        let top = RepoPath::default();
        let strict = matches!(literal.usage, Usage::Include | Usage::Rerun);
        let anchors: Vec<&RepoPath> = match (named.anchor, literal.usage) {
            (Anchor::Package, _) => vec![package],
            (Anchor::Unknown, _) => vec![package, self.root, &top],
            (Anchor::None, Usage::Include) => vec![&folder],
            (Anchor::None, Usage::Rerun) => vec![package],
            (Anchor::None, _) if named.path.starts_with("..") => vec![&folder, package],
            (Anchor::None, _) if named.path.contains('/') => vec![package, self.root, &top],
            (Anchor::None, _) => vec![package],
        };
        let mut found = Vec::new();
        for (n, anchor) in anchors.iter().enumerate() {
            if anchors[..n].contains(anchor) || !self.may_hold(anchor, &named.path) {
                continue;
            }
            // A folder around the package is how code finds its way, not what it reads.
            let around = |found: &Found<'_>| {
                found.file.is_none() && anchor.join(named.path.as_bytes()).is_some_and(|path| package.below(&path).is_some())
            };
            found.extend(self.look_up(anchor, named.path.as_bytes()).filter(|found| strict || !around(found)));
        }
        found
    }

    /// A cheap look before the full one: whether the first component is there at all.
    fn may_hold(&self, anchor: &RepoPath, path: &str) -> bool {
        let first = path.split('/').next().unwrap_or_default();
        if matches!(first, "." | "..") {
            return true;
        }
        let Some(first) = anchor.join(first.as_bytes()) else { return false };
        self.tree.get(first.as_bytes()).is_some() || self.tree.has_folder(&first)
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
struct Named {
    anchor: Anchor,
    path: String,
}

impl Named {
    /// Cuts what is computed off both ends; none where no path is left.
    fn parse(text: &str) -> Option<Self> {
        let (anchor, rest) = if let Some(rest) = text.strip_prefix('{') {
            let (name, rest) = rest.split_once('}')?;
            match name {
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
        (!path.is_empty()).then(|| Self { anchor, path: path.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_computed_is_cut_off() {
        let parse = |text: &str| Named::parse(text).map(|named| (named.anchor, named.path));
        assert_eq!(parse("../a.txt"), Some((Anchor::None, "../a.txt".into())));
        assert_eq!(parse("{CARGO_MANIFEST_DIR}/../a"), Some((Anchor::Package, "../a".into())));
        assert_eq!(parse("$CARGO_MANIFEST_DIR/assets/"), Some((Anchor::Package, "assets".into())));
        assert_eq!(parse("{}/../a/{name}.json"), Some((Anchor::Unknown, "../a".into())));
        assert_eq!(parse("{OUT_DIR}/gen.rs"), None);
        assert_eq!(parse("{name}.json"), None);
    }
}

//! What files say: sources and links by content id, read from disk where the disk holds that content, else from git.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::thread;

use serde::{Deserialize, Serialize};
use supercargo_plan::facts::Sources;
use supercargo_plan::facts::includes::Links;
use supercargo_plan::facts::path::RepoPath;
use supercargo_plan::facts::scan;
use supercargo_plan::facts::tree::{Entry, Mode, ObjectId, Tree};
use supercargo_plan::problem::Problem;

use super::cache::Cache;
use super::git::{Git, on_disk};
use super::objects::Objects;

/// The cache's entry: raised with whatever changes what a source is parsed to.
const ENTRY: &str = concat!("contents-", env!("CARGO_PKG_VERSION"), "-3.json");

/// Contents that are kept beyond those in use, as a multiple of them.
const SPARE: usize = 4;

/// Below this many, contents are asked of git without finding out what the disk holds.
const FEW: usize = 48;

/// What is known of contents.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Contents {
    /// What source files name.
    pub sources: Sources,
    /// Where links lead.
    links: BTreeMap<ObjectId, RepoPath>,
    /// Sources of the earlier tree that a partial clone lacks.
    #[serde(skip)]
    pub lost: BTreeSet<ObjectId>,
}

/// Where the contents of a tree's files lie on disk.
#[derive(Clone, Copy)]
pub enum Disk<'a> {
    /// The tree is the working tree.
    Same,
    /// The tree is a commit: git knows which files differ from it.
    Commit(&'a ObjectId),
}

/// A repository whose contents are asked for.
pub struct Reader<'a> {
    /// Git, called from the top.
    pub git: &'a Git,
    /// What its objects hold.
    pub objects: &'a Objects<'a>,
    /// The repository's top folder.
    pub top: &'a Path,
    /// Where facts are kept.
    pub cache: &'a Cache,
}

pub(super) fn is_source(path: &RepoPath, entry: &Entry) -> bool {
    // What `include!` takes is often called otherwise.
    let endings: [&[u8]; 4] = [b".rs", b".in", b".inc", b".incl"];
    matches!(entry.mode, Mode::File | Mode::Program) && endings.iter().any(|ending| path.name().ends_with(ending))
}

fn is_link(_: &RepoPath, entry: &Entry) -> bool {
    entry.mode == Mode::Link && !entry.id.is_zero()
}

impl Reader<'_> {
    /// What the sources and links of `trees` say; `disk` speaks of the first.
    ///
    /// # Errors
    /// When git fails.
    pub fn contents(&self, trees: &[&Tree], disk: Disk<'_>) -> Result<Contents, Problem> {
        let mut known: Contents = self.cache.get(ENTRY).unwrap_or_default();
        let before = (known.sources.len(), known.links.len());
        let wanted = |keep: &dyn Fn(&RepoPath, &Entry) -> bool, have: &dyn Fn(&ObjectId) -> bool| {
            let mut missing = BTreeMap::new();
            for (n, tree) in trees.iter().enumerate() {
                for (path, entry) in tree.iter().filter(|(path, entry)| keep(path, entry)) {
                    if !have(&entry.id) {
                        missing.entry(entry.id).or_insert((n == 0).then_some(path));
                    }
                }
            }
            missing
        };
        let sources = wanted(&is_source, &|id| known.sources.contains_key(id));
        let links = wanted(&is_link, &|id| known.links.contains_key(id));
        let (sources, lost) = self.sources(sources, disk)?;
        known.sources.extend(sources);
        let (now, old): (Vec<_>, Vec<_>) = links.into_iter().partition(|(_, path)| path.is_some());
        let [now, old] = [now, old].map(|links| links.into_iter().map(|(id, _)| id).collect::<Vec<_>>());
        let targets = self.objects.contents(&now)?.into_iter().chain(self.objects.wished(&old)?);
        known.links.extend(targets.map(|(id, text)| (id, RepoPath::new(&text))));
        if before != (known.sources.len(), known.links.len()) {
            prune(&mut known, trees);
            self.cache.put(ENTRY, &known);
        }
        known.lost = lost;
        Ok(known)
    }

    /// Parses the sources that are missing; of those that only the earlier tree has, says which a partial clone lacks.
    fn sources(
        &self,
        mut missing: BTreeMap<ObjectId, Option<&RepoPath>>,
        disk: Disk<'_>,
    ) -> Result<(Sources, BTreeSet<ObjectId>), Problem> {
        let mut found = Sources::new();
        let dirty = match disk {
            Disk::Same => BTreeSet::new(),
            Disk::Commit(_) if missing.len() < FEW => missing.values().flatten().map(|path| (*path).clone()).collect(),
            Disk::Commit(id) => {
                self.git.changes(&id.to_string(), false, None)?.into_iter().map(|change| change.path).collect()
            }
        };
        let at_hand: Vec<(ObjectId, &RepoPath)> = missing
            .iter()
            .filter_map(|(id, path)| path.filter(|path| !dirty.contains(*path)).map(|path| (*id, path)))
            .collect();
        // One core is left to cargo, which is read at the same time.
        let workers = thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1));
        thread::scope(|scope| {
            let parse = |(id, path): &(ObjectId, &RepoPath)| {
                let text = fs::read(on_disk(self.top, path)).ok()?;
                Some((*id, scan::parse(&text)))
            };
            let chunks = at_hand.chunks(at_hand.len().div_ceil(workers).max(1));
            let threads: Vec<_> =
                chunks.map(|chunk| scope.spawn(move || chunk.iter().filter_map(parse).collect::<Vec<_>>())).collect();
            threads.into_iter().for_each(|thread| found.extend(thread.join().unwrap_or_default()));
        });
        missing.retain(|id, _| !found.contains_key(id));
        missing.retain(|id, _| !id.is_zero());
        let ids: Vec<ObjectId> = missing.keys().copied().collect();
        let mut texts = self.objects.held(&ids)?;
        missing.retain(|id, _| !texts.contains_key(id));
        // What an old source named can be done without, and old sources may be many.
        let (now, lost): (Vec<_>, Vec<_>) = missing.into_iter().partition(|(_, path)| path.is_some());
        texts.extend(self.objects.contents(&now.into_iter().map(|(id, _)| id).collect::<Vec<_>>())?);
        found.extend(texts.into_iter().map(|(id, text)| (id, scan::parse(&text))));
        Ok((found, lost.into_iter().map(|(id, _)| id).collect()))
    }

    /// Where the links of `tree` lead; those that a partial clone lacks are left out.
    #[must_use]
    pub fn links(&self, contents: &Contents, tree: &Tree) -> Links {
        let links = tree.iter().filter(|(_, entry)| entry.mode == Mode::Link);
        links
            .filter_map(|(path, entry)| match contents.links.get(&entry.id) {
                Some(target) => Some((path.clone(), self.resolved(path, target.as_bytes()))),
                None if !entry.id.is_zero() => None,
                None => {
                    let target = fs::read_link(on_disk(self.top, path)).ok()?;
                    Some((path.clone(), self.resolved(path, target.as_os_str().as_bytes())))
                }
            })
            .collect()
    }

    /// A link's target; an absolute one into the repository as seen from the link.
    fn resolved(&self, link: &RepoPath, target: &[u8]) -> Vec<u8> {
        let inside = target.strip_prefix(self.top.as_os_str().as_bytes()).and_then(|rest| rest.strip_prefix(b"/"));
        match inside {
            Some(inside) => [b"../".repeat(link.ancestors().count().saturating_sub(2)).as_slice(), inside].concat(),
            None => target.to_vec(),
        }
    }
}

/// Drops what no tree holds, once that is most of it.
fn prune(known: &mut Contents, trees: &[&Tree]) {
    let used: BTreeSet<ObjectId> = trees.iter().flat_map(|tree| tree.iter()).map(|(_, entry)| entry.id).collect();
    if known.sources.len() > used.len() * SPARE {
        known.sources.retain(|id, _| used.contains(id));
        known.links.retain(|id, _| used.contains(id));
    }
}

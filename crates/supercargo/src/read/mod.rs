//! The world, read once: git's listings, cargo's metadata and file contents, made into facts.

mod assumed;
pub mod cache;
pub mod cargo;
pub mod changed;
pub mod ci;
pub mod closures;
pub mod configuration;
mod contents;
mod diagnosis;
pub mod environment;
pub mod git;
mod listing;
pub mod machine;
mod objects;
pub mod place;
pub mod request;
pub mod resolution;
pub mod states;
pub mod statistics;
pub mod toolchain;
pub mod unlisted;
mod workspaces;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use supercargo_plan::facts::path::RepoPath;
use supercargo_plan::facts::platform::Kept;
use supercargo_plan::facts::{Snapshot, Sources};
use supercargo_plan::problem::Problem;

use cache::Cache;
use contents::Reader;
use git::{Commits, Git, on_disk};
use listing::Listing;
use objects::Objects;
use request::Request;
use states::{Reading, State};

/// All that was read.
pub struct World {
    /// The commits that are compared; of the base only when it could be read.
    pub commits: Result<Commits, Problem>,
    /// The later state.
    pub head: State,
    /// The earlier state, or why it could not be read.
    pub base: Result<State, Problem>,
    /// The edges of the platform that was asked for.
    pub kept: Option<Kept>,
    /// Paths that git does not track.
    pub untracked: BTreeSet<RepoPath>,
    top: PathBuf,
    /// The target folder.
    pub target: PathBuf,
    sources: Sources,
    writes: Vec<thread::JoinHandle<()>>,
}

impl World {
    /// The facts of one state.
    #[must_use]
    pub fn snapshot<'a>(&'a self, state: &'a State) -> Snapshot<'a> {
        Snapshot {
            tree: &state.tree,
            links: &state.links,
            workspace: &state.workspace,
            lock: state.lock.as_deref(),
            sources: &self.sources,
        }
    }

    /// Takes the names from the contents of files that were touched since `clock`: what was read of them while a step ran
    /// may be neither what it was before nor what it is now.
    pub fn forget_touched(&mut self, clock: SystemTime) {
        let since = clock.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // A file's time lags behind the clock by a tick of the kernel's.
        let since = since.saturating_sub(Duration::from_millis(10));
        let since = (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), i64::from(since.subsec_nanos()));
        let touched: Vec<_> = self
            .head
            .tree
            .ids()
            .filter(|id| {
                let found = fs::symlink_metadata(on_disk(&self.top, self.head.tree.path(*id)));
                found.is_ok_and(|file| (file.ctime(), file.ctime_nsec()) >= since)
            })
            .collect();
        touched.into_iter().for_each(|id| self.head.tree.forget(id));
        // A folder that was moved away and back has taken its files along, and they do not tell.
        let folders: BTreeSet<RepoPath> = self.head.tree.iter().map(|(path, _)| path.parent()).collect();
        let mut all: BTreeSet<RepoPath> = BTreeSet::new();
        for mut folder in folders {
            while !folder.is_top() && all.insert(folder.clone()) {
                folder = folder.parent();
            }
        }
        let is_moved = |folder: &&RepoPath| {
            let found = fs::symlink_metadata(on_disk(&self.top, folder));
            found.is_ok_and(|file| {
                let changed = (file.ctime(), file.ctime_nsec());
                changed >= since && changed != (file.mtime(), file.mtime_nsec())
            })
        };
        let moved: Vec<_> = all.iter().filter(is_moved).flat_map(|folder| self.head.tree.below(folder)).collect();
        moved.into_iter().for_each(|id| self.head.tree.forget(id));
    }

    /// The repository's top folder.
    #[must_use]
    pub fn top(&self) -> &Path {
        &self.top
    }

    /// Waits until the facts are kept that were read anew, and leaves the rest to the end of the process, which frees
    /// everything at once.
    pub fn end(mut self) {
        std::mem::take(&mut self.writes).into_iter().for_each(|write| drop(write.join()));
        std::mem::forget(self);
    }

    /// The bytes of the files below `folder`, as far as the disk holds them.
    #[must_use]
    pub fn size(&self, folder: &RepoPath) -> u64 {
        let files = self.head.tree.below(folder);
        files
            .filter_map(|id| fs::symlink_metadata(on_disk(&self.top, self.head.tree.path(id))).ok())
            .map(|found| found.len())
            .sum()
    }
}

/// Every process that reading starts, in order, as it would be typed; what depends on an answer before it in `<>`.
///
/// # Errors
/// When there is no current folder to start from.
pub fn calls(request: &Request<'_>) -> Result<Vec<String>, Problem> {
    let git = Git::new(&request.place.root);
    let base = request.base.clone().unwrap_or("<base>");
    let mut calls = vec![
        git.call(Git::commits_args(base, request.head.unwrap_or("HEAD")))?,
        git.call(Git::tree_args(request.head.unwrap_or("HEAD")))?,
        git.call(Git::changes_args(base, true, request.head))?,
    ];
    if request.head.is_none() {
        calls.push(git.call(Git::untracked_args())?);
        calls.push(git.call(Git::changes_args("<merge base>", false, Some("HEAD")))?);
        calls.push(git.call(["hash-object", "--stdin-paths"])?);
    }
    calls.push(git.call(["cat-file", "--batch", "--buffer"])?);
    calls.extend(objects::fetches(&git)?);
    let manifest = request.place.start.join("Cargo.toml");
    calls.push(cargo::metadata_call(&request.place.start, &manifest, false)?);
    if request.target.is_some() {
        calls.push(cargo::metadata_call(&request.place.root, &request.place.root.join("Cargo.toml"), true)?);
    }
    Ok(calls.iter().map(ToString::to_string).collect())
}

/// Reads both states of a comparison.
///
/// # Errors
/// When something a person must mend is in the way.
pub fn world(request: &Request<'_>) -> Result<World, Problem> {
    let target = request.place.target();
    let cache = Cache::below(&target);
    let mut listing = listing::read(request, &cache)?;
    let git = Git::new(&listing.top);
    let objects = &Objects::new(&git, std::mem::take(&mut listing.needed));
    let (top, place) = (&listing.top, request.place);
    let mut reading = Reading { git: &git, objects, top, place, cache, target, writes: Vec::new() };
    let trees = (std::mem::take(&mut listing.head), std::mem::take(&mut listing.base));
    let (mut head, base, mut contents) = reading.states(trees, &listing.head_commit, request)?;
    let reader = Reader { git: &git, objects, top, cache: &reading.cache };
    head.links = reader.links(&contents, &head.tree);
    let base = match (&listing.commits, base) {
        (Err(problem), _) => Err(problem.clone()),
        (Ok(_), Err(problem)) if !request.or_all => return Err(problem),
        (Ok(_), base) => base.map(|base| State { links: reader.links(&contents, &base.tree), ..base }),
    };
    if let Ok(base) = &base {
        assumed::assume(&mut contents, base, &head);
    }
    let kept = request.target.map(|triple| reading.kept(&head, triple, request.head.is_none())).transpose()?;
    let (target, writes) = (reading.target, reading.writes);
    let Listing { commits, untracked, top, .. } = listing;
    Ok(World { commits, head, base, kept, target, sources: contents.sources, untracked, top, writes })
}

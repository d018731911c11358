//! Git's listings: which files both states have, in one round of processes that run side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use supercargo_plan::facts::metadata::is_read;
use supercargo_plan::facts::path::RepoPath;
use supercargo_plan::facts::tree::{self, Change, Entry, Mode, ObjectId, Tree};
use supercargo_plan::problem::Problem;

use super::cache::Cache;
use super::git::{Commits, Git, on_disk};
use super::request::Request;

/// What git lists.
pub struct Listing {
    /// The repository's top folder.
    pub top: PathBuf,
    /// The commits that are compared; of the base only when it could be read.
    pub commits: Result<Commits, Problem>,
    /// The commit that is compared, or that the working tree stands on.
    pub head_commit: ObjectId,
    /// The base's files.
    pub base: Tree,
    /// The files that are compared with them.
    pub head: Tree,
    /// Those of them that git does not track.
    pub untracked: BTreeSet<RepoPath>,
    /// Contents that the comparison needs and that a partial clone may lack: manifests, settings, lockfiles and links.
    pub needed: BTreeMap<ObjectId, RepoPath>,
}

/// Lists the base's files and those of the commit or working tree that is compared with it.
///
/// # Errors
/// When git cannot find the commits, or fails.
pub fn read(request: &Request<'_>, cache: &Cache) -> Result<Listing, Problem> {
    let git = &Git::new(&request.place.root);
    let head = request.head.unwrap_or("HEAD");
    let base = request.base.clone();
    // All at once; whatever fails here because the commits are not there is told by the answer to that.
    let (commits, changes, untracked) = thread::scope(|scope| {
        let untracked = request.head.is_none().then(|| scope.spawn(|| git.untracked()));
        let changes = base.as_ref().ok().map(|base| scope.spawn(|| git.changes(base, true, request.head)));
        let commits = base.clone().and_then(|base| git.commits(base, head));
        let untracked = untracked.map_or(Ok(Vec::new()), |thread| join(thread.join()));
        (commits, changes.map(|thread| join(thread.join())), untracked)
    });
    let (top, head_commit, parted) = match &commits {
        Ok(commits) => (commits.top.clone(), commits.head, commits.merge_base),
        Err(problem) if request.or_all => {
            let commit = git.commit(head)?.ok_or_else(|| problem.clone())?;
            (git.top()?, commit, commit)
        }
        Err(problem) => return Err(problem.clone()),
    };
    let mut changes = match changes {
        Some(Ok(changes)) if commits.is_ok() => changes,
        // More than one best common ancestor, which git leaves to us: the first.
        _ => git.changes(&parted.to_string(), false, request.head.map(|_| head_commit.to_string()).as_deref())?,
    };
    let tree = match &commits {
        Ok(commits) => listed(git, cache, &commits.tree)?,
        Err(_) => git.tree(head)?,
    };
    if request.head.is_some() {
        let base = tree.before(&changes);
        let needed = needed(&changes, true);
        return Ok(Listing { top, commits, head_commit, base, head: tree, untracked: BTreeSet::new(), needed });
    }
    let base = if parted == head_commit {
        tree
    } else {
        tree.before(&git.changes(&parted.to_string(), false, Some(&head_commit.to_string()))?)
    };
    let untracked = untracked?;
    for (path, mode) in untracked.iter().cloned() {
        let mode = if mode == Mode::Repository { mode } else { mode_on_disk(&on_disk(&top, &path)) };
        changes.push(Change { path, before: None, after: Some(Entry { mode, id: ObjectId::ZERO }) });
    }
    Git::new(&top).name_contents(&mut changes)?;
    let head = base.after(&changes);
    Ok(Listing {
        top,
        commits,
        head_commit,
        base,
        head,
        untracked: untracked.into_iter().map(|(path, _)| path).collect(),
        needed: needed(&changes, false),
    })
}

/// What must be known of the contents that differ: the earlier ones and, with `both`, the later ones.
fn needed(changes: &[Change], both: bool) -> BTreeMap<ObjectId, RepoPath> {
    let sides = |change: &Change| [change.before, change.after.filter(|_| both)].into_iter().flatten();
    let entries = changes.iter().flat_map(|change| sides(change).map(|entry| (entry, &change.path)));
    let compared = |path: &RepoPath| is_read(path) || path.name() == b"Cargo.lock";
    let needed =
        entries.filter(|(entry, path)| entry.mode == Mode::Link || (entry.mode != Mode::Repository && compared(path)));
    needed.filter(|(entry, _)| !entry.id.is_zero()).map(|(entry, path)| (entry.id, path.clone())).collect()
}

/// The files of a tree: git's listing of the last one is kept, under the tree's id.
fn listed(git: &Git, cache: &Cache, id: &ObjectId) -> Result<Tree, Problem> {
    let kept = cache.bytes(TREE).filter(|kept| kept.starts_with(id.as_bytes()));
    if let Some(tree) = kept.and_then(|kept| tree::parse_ls_tree(&kept[id.as_bytes().len()..])) {
        return Ok(tree);
    }
    let listing = git.listing(&id.to_string())?;
    cache.put_bytes(TREE, &[id.as_bytes(), &listing].concat());
    tree::parse_ls_tree(&listing).ok_or_else(|| Problem::mend("git ls-tree said something unknown", "git --version"))
}

/// The cache's entry for the last tree that was listed.
const TREE: &str = "tree";

fn mode_on_disk(path: &Path) -> Mode {
    use std::os::unix::fs::PermissionsExt as _;
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => Mode::Link,
        Ok(found) if found.permissions().mode() & 0o100 != 0 => Mode::Program,
        _ => Mode::File,
    }
}

/// A thread's result; its panic goes on here.
pub fn join<T>(result: thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

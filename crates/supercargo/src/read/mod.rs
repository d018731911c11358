//! The world, read once: git's listings, cargo's metadata and file contents, made into facts.

mod cache;
pub mod cargo;
pub mod ci;
mod contents;
pub mod git;
pub mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use supercargo_plan::facts::includes::Links;
use supercargo_plan::facts::lock::{self, Broken, Lock};
use supercargo_plan::facts::metadata::{self, Origin, Tables, Texts};
use supercargo_plan::facts::path::RepoPath;
use supercargo_plan::facts::tree::{self, Change, Entry, Mode, ObjectId, Tree};
use supercargo_plan::facts::workspace::Workspace;
use supercargo_plan::facts::{Snapshot, Sources, platform};
use supercargo_plan::graph::Kept;
use supercargo_plan::problem::Problem;

use cache::Cache;
use cargo::Scratch;
use contents::{Contents, Disk, Reader};
use git::{Commits, Git, on_disk};
use place::Place;

/// What is to be read.
#[derive(Clone)]
pub struct Request<'a> {
    /// Where the question was asked.
    pub place: &'a Place,
    /// What to compare with, or why nobody knows.
    pub base: Result<&'a str, Problem>,
    /// The commit to compare; the working tree where there is none.
    pub head: Option<&'a str>,
    /// The platform whose edges alone count.
    pub target: Option<&'a str>,
    /// Whether a base that cannot be read is no fault.
    pub or_all: bool,
}

/// One state of the repository.
#[derive(Debug, Default)]
pub struct State {
    /// Its files.
    pub tree: Tree,
    links: Links,
    /// Its workspace.
    pub workspace: Arc<Workspace>,
    /// Its lockfile.
    pub lock: Option<Arc<Lock>>,
}

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
        files.filter_map(|id| fs::symlink_metadata(on_disk(&self.top, self.head.tree.path(id))).ok()).map(|found| found.len()).sum()
    }
}

/// Every process that reading starts, in order, as it would be typed; what depends on an answer before it in `<>`.
///
/// # Errors
/// When there is no current folder to start from.
pub fn calls(request: &Request<'_>) -> Result<Vec<String>, Problem> {
    let git = Git::new(&request.place.start);
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
    let mut listing = listing(request, &cache)?;
    let git = Git::new(&listing.top);
    let mut reading =
        Reading { git: &git, top: &listing.top, place: request.place, cache, target, writes: Vec::new() };
    let trees = (std::mem::take(&mut listing.head), std::mem::take(&mut listing.base));
    let (mut head, base, contents) = reading.states(trees, &listing.head_commit, request)?;
    let reader = Reader { git: &git, top: &listing.top, cache: &reading.cache };
    head.links = reader.links(&contents, &head.tree);
    let base = match (&listing.commits, base) {
        (Err(problem), _) => Err(problem.clone()),
        (Ok(_), Err(problem)) if !request.or_all => return Err(problem),
        (Ok(_), base) => base.map(|base| State { links: reader.links(&contents, &base.tree), ..base }),
    };
    let kept = request.target.map(|triple| reading.kept(&head, triple, request.head.is_none())).transpose()?;
    let (target, writes) = (reading.target, reading.writes);
    let Listing { commits, untracked, top, .. } = listing;
    Ok(World { commits, head, base, kept, target, sources: contents.sources, untracked, top, writes })
}

/// What git lists.
struct Listing {
    top: PathBuf,
    commits: Result<Commits, Problem>,
    head_commit: ObjectId,
    base: Tree,
    head: Tree,
    untracked: BTreeSet<RepoPath>,
}

/// Lists the base's files and those of the commit or working tree that is compared with it.
fn listing(request: &Request<'_>, cache: &Cache) -> Result<Listing, Problem> {
    let git = &Git::new(&request.place.start);
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
        return Ok(Listing { top, commits, head_commit, base, head: tree, untracked: BTreeSet::new() });
    }
    let base = if parted == head_commit {
        tree
    } else {
        tree.before(&git.changes(&parted.to_string(), false, Some(&head_commit.to_string()))?)
    };
    let untracked = untracked?;
    let zero = ObjectId::parse(&[b'0'; 40]);
    for (path, mode) in untracked.iter().cloned() {
        let mode = if mode == Mode::Repository { mode } else { mode_on_disk(&on_disk(&top, &path)) };
        changes.push(Change { path, before: None, after: zero.map(|id| Entry { mode, id }) });
    }
    Git::new(&top).name_contents(&mut changes)?;
    let head = base.after(&changes);
    Ok(Listing { top, commits, head_commit, base, head, untracked: untracked.into_iter().map(|(path, _)| path).collect() })
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

/// A thread's result; its panic goes on here.
fn join<T>(result: thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn mode_on_disk(path: &Path) -> Mode {
    use std::os::unix::fs::PermissionsExt as _;
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => Mode::Link,
        Ok(found) if found.permissions().mode() & 0o100 != 0 => Mode::Program,
        _ => Mode::File,
    }
}

/// What reading both states needs.
struct Reading<'a> {
    git: &'a Git,
    top: &'a Path,
    place: &'a Place,
    cache: Cache,
    target: PathBuf,
    /// Facts that are being kept while the answer is worked out.
    writes: Vec<thread::JoinHandle<()>>,
}

/// Both states, the earlier one where it can be read, and what their files say.
type States = (State, Result<State, Problem>, Contents);

/// Both lockfiles, the earlier one where it can be read.
type Locks = (Option<Arc<Lock>>, Result<Option<Arc<Lock>>, Problem>);

impl Reading<'_> {
    /// Both states but for their links, and what the files of both say.
    fn states(&mut self, (mut head, mut base): (Tree, Tree), commit: &ObjectId, request: &Request<'_>) -> Result<States, Problem> {
        self.leave_target_out(&mut head);
        self.leave_target_out(&mut base);
        let disk = if request.head.is_some() { Disk::Commit(commit) } else { Disk::Same };
        let guessed = (self.target.clone(), self.in_repository(&self.place.root).unwrap_or_default());
        let aside = Self { cache: self.cache.clone(), target: guessed.0.clone(), writes: Vec::new(), ..*self };
        let (workspaces, locks, contents) = thread::scope(|scope| {
            let (head, base) = (&head, &base);
            let reader = Reader { git: aside.git, top: aside.top, cache: &aside.cache };
            let contents = scope.spawn(move || reader.contents(&[head, base], disk));
            let locks = scope.spawn(|| aside.locks(head, base, &guessed.1, request));
            (self.workspaces(head, base, request), join(locks.join()), join(contents.join()))
        });
        let (head_workspace, base_workspace) = workspaces?;
        let (head_lock, base_lock) = match head_workspace.root == guessed.1 {
            true => locks?,
            false => self.locks(&head, &base, &head_workspace.root, request)?,
        };
        if self.target != guessed.0 {
            self.leave_target_out(&mut head);
            self.leave_target_out(&mut base);
        }
        let state = |tree, workspace, lock| State { tree, workspace, lock, ..State::default() };
        let base = base_workspace.and_then(|workspace| Ok(state(base, workspace, base_lock?)));
        Ok((state(head, head_workspace, head_lock), base, contents?))
    }

    /// The lockfiles of both trees, for the workspace at `root`.
    fn locks(&self, head: &Tree, base: &Tree, root: &RepoPath, request: &Request<'_>) -> Result<Locks, Problem> {
        let path = root.join(b"Cargo.lock").unwrap_or_default();
        let [head, base] = [head, base].map(|tree| tree.get(path.as_bytes()).map(|entry| entry.id));
        let head_lock = self.lock(&path, head, request.head.is_none())?;
        let base_lock = if head == base { Ok(head_lock.clone()) } else { self.lock(&path, base, false) };
        Ok((head_lock, base_lock))
    }

    /// The target folder is never compared, unless packages lie in it.
    fn leave_target_out(&self, tree: &mut Tree) {
        let Some(folder) = self.in_repository(&self.target) else { return };
        let holds_packages = tree.below(&folder).any(|id| tree.path(id).name() == b"Cargo.toml");
        let holds_root = self.in_repository(&self.place.root).is_some_and(|root| root.below(&folder).is_some());
        if !(holds_root || (holds_packages && self.place.start.starts_with(&self.target))) {
            tree.leave_out(&folder);
        }
    }

    fn in_repository(&self, path: &Path) -> Option<RepoPath> {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let below = path.strip_prefix(self.top).ok()?;
        Some(RepoPath::new(std::os::unix::ffi::OsStrExt::as_bytes(below.as_os_str())))
    }

    fn workspaces(&mut self, head: &Tree, base: &Tree, request: &Request<'_>) -> Result<(Arc<Workspace>, Result<Arc<Workspace>, Problem>), Problem> {
        let root = self.in_repository(&self.place.root).unwrap_or_default();
        let head_workspace = match self.cached(head, &root).filter(|workspace| self.asks_about(workspace)) {
            Some(workspace) => Arc::new(workspace),
            None if request.head.is_none() => self.in_place(head)?,
            None => {
                let start = self.in_repository(&self.place.start).unwrap_or_default();
                self.laid_out(head, &start, &format!("commit {}", request.head.unwrap_or_default()))?
            }
        };
        let root = &head_workspace.root;
        let same = metadata::key(head, root).is_some_and(|key| metadata::key(base, root) == Some(key));
        if same {
            return Ok((Arc::clone(&head_workspace), Ok(head_workspace)));
        }
        let base_workspace = if base.get(RepoPath::join(root, b"Cargo.toml").unwrap_or_default().as_bytes()).is_none() {
            // The workspace itself is new.
            Ok(Arc::new(Workspace { root: root.clone(), ..Workspace::default() }))
        } else {
            match self.cached(base, root) {
                Some(workspace) => Ok(Arc::new(workspace)),
                None => self.laid_out(base, root, &format!("the base ({})", request.base.as_deref().unwrap_or_default())),
            }
        };
        Ok((head_workspace, base_workspace))
    }

    fn entry(tree: &Tree, root: &RepoPath) -> Option<String> {
        Some(format!("workspace-{}.json", metadata::key(tree, root)?))
    }

    fn cached(&self, tree: &Tree, root: &RepoPath) -> Option<Workspace> {
        self.cache.get(&Self::entry(tree, root)?)
    }

    /// Whether the manifest that the question starts from is one of `workspace`: else cargo may mean another.
    fn asks_about(&self, workspace: &Workspace) -> bool {
        let start = self.in_repository(&self.place.start);
        start.is_some_and(|start| start == workspace.root || workspace.at(&start).is_some_and(|package| package.member))
    }

    fn keep(&mut self, tree: &Tree, workspace: &Arc<Workspace>) {
        let tracked = |folder: &RepoPath| folder.join(b"Cargo.toml").is_some_and(|path| tree.get(path.as_bytes()).is_some());
        if let (Some(entry), true) = (Self::entry(tree, &workspace.root), workspace.packages.iter().all(|p| tracked(&p.folder))) {
            let (cache, workspace) = (self.cache.clone(), Arc::clone(workspace));
            self.writes.push(thread::spawn(move || cache.put(&entry, workspace.as_ref())));
        }
    }

    /// The workspace of the working tree.
    fn in_place(&mut self, tree: &Tree) -> Result<Arc<Workspace>, Problem> {
        let (listed, mut tables) = thread::scope(|scope| {
            let listed = scope.spawn(|| cargo::read(&self.place.start));
            let read = tree.iter().map(|(path, _)| path).filter(|path| metadata::is_read(path));
            let texts = read.filter_map(|path| Some((path.clone(), fs::read(on_disk(self.top, path)).ok()?))).collect();
            let tables = metadata::tables(&texts);
            (join(listed.join()), tables)
        });
        let listed = listed?;
        tables.extend(metadata::tables(&self.unlisted(&listed, &tables)));
        let top = self.top.display().to_string();
        let workspace = metadata::parse(&listed, &tables, &Origin { top: &top }).map_err(|what| broken("the working tree", &what))?;
        if let Some(target) = cargo::target_directory(&listed) {
            self.cache = Cache::below(&target);
            self.target = target;
        }
        let workspace = Arc::new(workspace);
        self.keep(tree, &workspace);
        Ok(workspace)
    }

    /// Manifests of members that git does not list: ignored ones, and those in submodules.
    fn unlisted(&self, listed: &[u8], known: &Tables) -> Texts {
        let manifests = cargo::manifests(listed).into_iter();
        let paths = manifests.filter_map(|manifest| Some((self.in_repository(&manifest)?, manifest)));
        let unknown = paths.filter(|(path, _)| !known.contains_key(path));
        unknown.filter_map(|(path, manifest)| Some((path, fs::read(manifest).ok()?))).collect()
    }

    /// The manifests, and the settings files, of a commit.
    fn texts(&self, tree: &Tree) -> Result<Texts, Problem> {
        let files = tree.iter().filter(|(path, entry)| metadata::is_read(path) && matches!(entry.mode, Mode::File | Mode::Program));
        let files: Vec<(&RepoPath, ObjectId)> = files.map(|(path, entry)| (path, entry.id)).collect();
        let ids: Vec<ObjectId> = files.iter().map(|(_, id)| *id).collect();
        let contents = self.git.contents(&ids)?;
        files
            .into_iter()
            .map(|(path, id)| Ok((path.clone(), contents.get(&id).cloned().ok_or_else(|| missing(path))?)))
            .collect()
    }

    fn lay_out(&self, tree: &Tree, texts: &Texts) -> Result<Scratch, Problem> {
        let links: Vec<(&RepoPath, ObjectId)> =
            tree.iter().filter(|(_, entry)| entry.mode == Mode::Link).map(|(path, entry)| (path, entry.id)).collect();
        let targets = self.git.contents(&links.iter().map(|(_, id)| *id).collect::<Vec<_>>())?;
        let links: BTreeMap<RepoPath, Vec<u8>> =
            links.into_iter().filter_map(|(path, id)| Some((path.clone(), targets.get(&id)?.clone()))).collect();
        Scratch::lay_out(tree, texts, &links, self.top)
    }

    /// The workspace of a commit; `start` is the folder of one of its manifests.
    fn laid_out(&mut self, tree: &Tree, start: &RepoPath, side: &str) -> Result<Arc<Workspace>, Problem> {
        let texts = self.texts(tree)?;
        let scratch = self.lay_out(tree, &texts)?;
        let (listed, tables) = thread::scope(|scope| {
            let listed = scope.spawn(|| scratch.metadata(start, &self.place.root, side));
            let tables = metadata::tables(&texts);
            (join(listed.join()), tables)
        });
        let listed = listed?;
        let origin = scratch.origin();
        let workspace = metadata::parse(&listed, &tables, &Origin { top: &origin }).map_err(|what| broken(side, &what))?;
        let workspace = Arc::new(workspace);
        self.keep(tree, &workspace);
        Ok(workspace)
    }

    /// The lockfile of a tree, whose content has the id `id` there.
    fn lock(&self, path: &RepoPath, id: Option<ObjectId>, in_working_tree: bool) -> Result<Option<Arc<Lock>>, Problem> {
        let Some(id) = id else { return Ok(None) };
        let name = format!("lock-{}-{id}.json", env!("CARGO_PKG_VERSION"));
        if let Some(lock) = self.cache.get(&name) {
            return Ok(Some(Arc::new(lock)));
        }
        let text = match in_working_tree {
            true => fs::read(on_disk(self.top, path)).map_err(|error| broken_lock(path, &error.to_string()))?,
            false => self.git.contents(&[id])?.remove(&id).ok_or_else(|| missing(path))?,
        };
        let lock = lock::parse(&text).map_err(|broken| match broken {
            Broken::Conflicted => Problem::mend(
                format!("{path} has conflict marks of a merge in it"),
                format!("git checkout HEAD -- :/{path} && cargo update --workspace"),
            ),
            Broken::Unreadable(why) => broken_lock(path, &why),
        })?;
        self.cache.put(&name, &lock);
        Ok(Some(Arc::new(lock)))
    }

    /// The edges of one platform.
    fn kept(&self, head: &State, triple: &str, in_working_tree: bool) -> Result<Kept, Problem> {
        let resolved = if in_working_tree {
            cargo::resolved(&on_disk(self.top, &head.workspace.root))?
        } else {
            let mut texts = self.texts(&head.tree)?;
            let lock = head.workspace.root.join(b"Cargo.lock").unwrap_or_default();
            if let Some(entry) = head.tree.get(lock.as_bytes()) {
                let text = self.git.contents(&[entry.id])?.remove(&entry.id).ok_or_else(|| missing(&lock))?;
                texts.insert(lock, text);
            }
            self.lay_out(&head.tree, &texts)?.resolved(&head.workspace.root, &self.place.root)?
        };
        platform::parse(&String::from_utf8_lossy(&resolved), triple, &head.workspace)
    }
}

fn broken(side: &str, what: &str) -> Problem {
    Problem::mend(format!("the manifests of {side} cannot be understood: {what}"), "cargo metadata --no-deps --format-version 1")
}

fn broken_lock(path: &RepoPath, why: &str) -> Problem {
    Problem::mend(format!("{path} is broken: {why}"), format!("git checkout HEAD -- :/{path}"))
}

fn missing(path: &RepoPath) -> Problem {
    let what = format!("the base's {path} is not in this clone, which is partial");
    Problem::mend(what, "git fetch --refetch --no-filter origin")
}

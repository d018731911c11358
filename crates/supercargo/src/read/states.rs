//! Trees to states: workspace, lockfile and contents, each from the cache of facts where it holds them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use supercargo_plan::facts::includes::Links;
use supercargo_plan::facts::lock::{self, Broken, Lock};
use supercargo_plan::facts::metadata::{self, Origin, Tables, Texts};
use supercargo_plan::facts::path::RepoPath;
use supercargo_plan::facts::platform;
use supercargo_plan::facts::platform::Kept;
use supercargo_plan::facts::tree::{Mode, ObjectId, Tree};
use supercargo_plan::facts::workspace::Workspace;
use supercargo_plan::problem::Problem;

use super::cache::Cache;
use super::cargo::{self, Scratch};
use super::contents::{Contents, Disk, Reader};
use super::git::{Git, on_disk};
use super::listing::join;
use super::place::Place;
use super::request::Request;

/// One state of the repository.
#[derive(Debug, Default)]
pub struct State {
    /// Its files.
    pub tree: Tree,
    /// Where its symbolic links lead.
    pub links: Links,
    /// Its workspace.
    pub workspace: Arc<Workspace>,
    /// Its lockfile.
    pub lock: Option<Arc<Lock>>,
}

/// What reading both states needs.
pub struct Reading<'a> {
    /// Git, called from the top.
    pub git: &'a Git,
    /// The repository's top folder.
    pub top: &'a Path,
    /// Where the question was asked.
    pub place: &'a Place,
    /// Where facts are kept.
    pub cache: Cache,
    /// The target folder.
    pub target: PathBuf,
    /// Facts that are being kept while the answer is worked out.
    pub writes: Vec<thread::JoinHandle<()>>,
}

/// Both states, the earlier one where it can be read, and what their files say.
type States = (State, Result<State, Problem>, Contents);

/// Both workspaces, the earlier one where it can be read.
type Workspaces = (Arc<Workspace>, Result<Arc<Workspace>, Problem>);

/// Both lockfiles, the earlier one where it can be read.
type Locks = (Option<Arc<Lock>>, Result<Option<Arc<Lock>>, Problem>);

impl Reading<'_> {
    /// Both states but for their links, and what the files of both say.
    ///
    /// # Errors
    /// When the later state cannot be read, or git fails.
    pub fn states(
        &mut self,
        (mut head, mut base): (Tree, Tree),
        commit: &ObjectId,
        request: &Request<'_>,
    ) -> Result<States, Problem> {
        let whole = self.target_is_listed(&head, &base).then(|| (head.clone(), base.clone()));
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
            // Cargo has the last word on which folder it is.
            (head, base) = whole.unwrap_or((head, base));
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
        let asked = request.base.as_deref().unwrap_or_default();
        let at_base = |problem: Problem| Problem {
            what: format!("at the base ({asked}), {}", problem.what),
            mend: format!("cargo xtask affected {asked} --or-all"),
            ..problem
        };
        let base_lock =
            if head == base { Ok(head_lock.clone()) } else { self.lock(&path, base, false).map_err(at_base) };
        Ok((head_lock, base_lock))
    }

    fn target_is_listed(&self, head: &Tree, base: &Tree) -> bool {
        let folder = self.in_repository(&self.target);
        folder.is_some_and(|folder| [head, base].iter().any(|tree| tree.below(&folder).next().is_some()))
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

    fn workspaces(&mut self, head: &Tree, base: &Tree, request: &Request<'_>) -> Result<Workspaces, Problem> {
        let root = self.in_repository(&self.place.root).unwrap_or_default();
        let head_workspace = match self.cached(head, &root).filter(|workspace| self.asks_about(workspace)) {
            Some(workspace) => Arc::new(workspace),
            None if request.head.is_none() => self.in_place(head)?,
            None => {
                let start = self.in_repository(&self.place.start).unwrap_or_default();
                let is_there = |folder: &RepoPath| {
                    folder.join(b"Cargo.toml").is_some_and(|path| head.get(path.as_bytes()).is_some())
                };
                let start = if is_there(&start) { start } else { root.clone() };
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
                None => {
                    self.laid_out(base, root, &format!("the base ({})", request.base.as_deref().unwrap_or_default()))
                }
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
        let tracked =
            |folder: &RepoPath| folder.join(b"Cargo.toml").is_some_and(|path| tree.get(path.as_bytes()).is_some());
        if let (Some(entry), true) =
            (Self::entry(tree, &workspace.root), workspace.packages.iter().all(|p| tracked(&p.folder)))
        {
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
        let workspace = metadata::parse(&listed, &tables, &Origin { top: &top })
            .map_err(|what| broken("the working tree", &what))?;
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
        let read: Vec<_> = tree.iter().filter(|(path, _)| metadata::is_read(path)).collect();
        let links: Vec<ObjectId> = read.iter().filter(|(_, e)| e.mode == Mode::Link).map(|(_, e)| e.id).collect();
        let targets = self.git.contents(&links)?;
        let behind = |path: &RepoPath, link: &ObjectId| -> Option<ObjectId> {
            tree.get(path.parent().join(targets.get(link)?)?.as_bytes()).map(|entry| entry.id)
        };
        let files: Vec<(&RepoPath, ObjectId)> = read
            .into_iter()
            .filter_map(|(path, entry)| match entry.mode {
                Mode::File | Mode::Program => Some((path, entry.id)),
                Mode::Link => Some((path, behind(path, &entry.id)?)),
                Mode::Repository => None,
            })
            .collect();
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
        let workspace =
            metadata::parse(&listed, &tables, &Origin { top: &origin }).map_err(|what| broken(side, &what))?;
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
    ///
    /// # Errors
    /// When the dependencies are not on this machine, or nobody knows the platform.
    pub fn kept(&self, head: &State, triple: &str, in_working_tree: bool) -> Result<Kept, Problem> {
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
    Problem::mend(
        format!("the manifests of {side} cannot be understood: {what}"),
        "cargo metadata --no-deps --format-version 1",
    )
}

fn broken_lock(path: &RepoPath, why: &str) -> Problem {
    Problem::mend(format!("{path} is broken: {why}"), format!("git checkout HEAD -- :/{path}"))
}

fn missing(path: &RepoPath) -> Problem {
    let what = format!("the base's {path} is not in this clone, which is partial");
    Problem::mend(what, "git fetch --refetch --no-filter origin")
}

//! Trees to states: workspace, lockfile and contents, each from the cache of facts where it holds them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use supercargo_plan::facts::includes::Links;
use supercargo_plan::facts::lock::{self, Broken, Lock};
use supercargo_plan::facts::path::RepoPath;
use supercargo_plan::facts::platform;
use supercargo_plan::facts::platform::Kept;
use supercargo_plan::facts::tree::{ObjectId, Tree};
use supercargo_plan::facts::workspace::Workspace;
use supercargo_plan::problem::Problem;

use super::cache::Cache;
use super::cargo;
use super::contents::{Contents, Disk, Reader};
use super::git::{Git, on_disk};
use super::listing::join;
use super::objects::{Objects, missing};
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
    /// What its objects hold.
    pub objects: &'a Objects<'a>,
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
pub type Workspaces = (Arc<Workspace>, Result<Arc<Workspace>, Problem>);

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
            let reader = Reader { git: aside.git, objects: aside.objects, top: aside.top, cache: &aside.cache };
            let contents = scope.spawn(move || reader.contents(&[head, base], disk));
            let locks = scope.spawn(|| aside.locks(head, base, &guessed.1, request));
            (self.workspaces((head, base), commit, request), join(locks.join()), join(contents.join()))
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
        let head_lock = self.lock(&path, head, request.head.is_none(), &|problem| problem)?;
        let asked = request.base.as_deref().unwrap_or_default();
        let at_base = |problem: Problem| Problem {
            what: format!("at the base ({asked}), {}", problem.what),
            mend: format!("cargo xtask affected {asked} --or-all"),
            ..problem
        };
        let base_lock = if head == base { Ok(head_lock.clone()) } else { self.lock(&path, base, false, &at_base) };
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

    pub(super) fn in_repository(&self, path: &Path) -> Option<RepoPath> {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let below = path.strip_prefix(self.top).ok()?;
        Some(RepoPath::new(std::os::unix::ffi::OsStrExt::as_bytes(below.as_os_str())))
    }

    /// The lockfile of a tree, whose content has the id `id` there; `at` says of a fault whose it is.
    fn lock(
        &self,
        path: &RepoPath,
        id: Option<ObjectId>,
        in_working_tree: bool,
        at: &dyn Fn(Problem) -> Problem,
    ) -> Result<Option<Arc<Lock>>, Problem> {
        let Some(id) = id else { return Ok(None) };
        let name = format!("lock-{}-{id}.json", env!("CARGO_PKG_VERSION"));
        if let Some(lock) = self.cache.get(&name) {
            return Ok(Some(Arc::new(lock)));
        }
        let text = match in_working_tree {
            true => fs::read(on_disk(self.top, path)).map_err(|error| broken_lock(path, &error.to_string()))?,
            false => self.objects.contents(&[id])?.remove(&id).ok_or_else(|| missing(path))?,
        };
        let told = |broken| match broken {
            Broken::Conflicted => Problem::mend(
                format!("{path} has conflict marks of a merge in it"),
                format!("git checkout HEAD -- :/{path} && cargo update --workspace"),
            ),
            Broken::Unreadable(why) => broken_lock(path, &why),
        };
        let lock = lock::parse(&text).map_err(|broken| at(told(broken)))?;
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
                let text = self.objects.contents(&[entry.id])?.remove(&entry.id).ok_or_else(|| missing(&lock))?;
                texts.insert(lock, text);
            }
            self.lay_out(&head.tree, &texts)?.resolved(&head.workspace.root, &self.place.root)?
        };
        platform::parse(&String::from_utf8_lossy(&resolved), triple, &head.workspace)
    }
}

fn broken_lock(path: &RepoPath, why: &str) -> Problem {
    Problem::mend(format!("{path} is broken: {why}"), format!("git checkout HEAD -- :/{path}"))
}

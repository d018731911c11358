//! Trees to workspaces: from the cache, from cargo in place, or from a commit's manifests laid out.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use supercargo_plan::facts::metadata::{self, Origin, Tables, Texts};
use supercargo_plan::facts::path::RepoPath;
use supercargo_plan::facts::tree::{Mode, ObjectId, Tree};
use supercargo_plan::facts::workspace::Workspace;
use supercargo_plan::problem::Problem;

use super::cache::Cache;
use super::cargo::{self, Scratch};
use super::git::on_disk;
use super::listing::join;
use super::objects::missing;
use super::request::Request;
use super::states::{Reading, Workspaces};

impl Reading<'_> {
    /// The workspaces of both trees; `commit` is the later one's, or what the working tree stands on.
    ///
    /// # Errors
    /// When the later one cannot be read.
    pub fn workspaces(
        &mut self,
        (head, base): (&Tree, &Tree),
        commit: &ObjectId,
        request: &Request<'_>,
    ) -> Result<Workspaces, Problem> {
        let root = self.in_repository(&self.place.root).unwrap_or_default();
        let head_workspace = match self.cached(head, &root).filter(|workspace| self.asks_about(workspace)) {
            Some(workspace) => Arc::new(workspace),
            None if request.head.is_none() => self.in_place(head)?,
            None => match self.in_place_if_same(head, commit) {
                Some(workspace) => workspace,
                None => {
                    let start = self.in_repository(&self.place.start).unwrap_or_default();
                    let manifest = start.join(b"Cargo.toml").unwrap_or_default();
                    let start = if head.get(manifest.as_bytes()).is_some() { &start } else { &root };
                    self.laid_out(head, start, &format!("commit {}", request.head.unwrap_or_default()))?
                }
            },
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
        let (workspace, target) = self.on_disk(tree)?;
        Ok(self.adopt(tree, workspace, target))
    }

    /// The workspace of a commit, read in place: where the disk has the same manifests and targets.
    fn in_place_if_same(&mut self, tree: &Tree, commit: &ObjectId) -> Option<Arc<Workspace>> {
        let (changes, read) = thread::scope(|scope| {
            let changes = scope.spawn(|| self.git.changes(&commit.to_string(), false, None));
            let read = self.on_disk(tree);
            (join(changes.join()), read)
        });
        let matters = |path: &RepoPath| metadata::is_read(path) || metadata::makes_target(tree, path);
        if changes.ok()?.iter().any(|change| matters(&change.path)) {
            return None;
        }
        let (workspace, target) = read.ok()?;
        // What git does not list is of the disk, not of the commit.
        let listed = |path: &RepoPath| tree.find(path.as_bytes()).is_some();
        let manifests = workspace.members().filter_map(|package| package.folder.join(b"Cargo.toml"));
        let targets = workspace.members().flat_map(|package| &package.targets).map(|target| target.source.clone());
        let same = manifests.chain(targets).all(|path| listed(&path));
        same.then(|| self.adopt(tree, workspace, target))
    }

    /// The workspace on disk, and its target folder by cargo's word.
    fn on_disk(&self, tree: &Tree) -> Result<(Workspace, Option<PathBuf>), Problem> {
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
        Ok((workspace, cargo::target_directory(&listed)))
    }

    /// Keeps a workspace that was read in place.
    fn adopt(&mut self, tree: &Tree, workspace: Workspace, target: Option<PathBuf>) -> Arc<Workspace> {
        if let Some(target) = target {
            self.cache = Cache::below(&target);
            self.target = target;
        }
        let workspace = Arc::new(workspace);
        self.keep(tree, &workspace);
        workspace
    }

    /// Manifests of members that git does not list: ignored ones, and those in submodules.
    fn unlisted(&self, listed: &[u8], known: &Tables) -> Texts {
        let manifests = cargo::manifests(listed).into_iter();
        let paths = manifests.filter_map(|manifest| Some((self.in_repository(&manifest)?, manifest)));
        let unknown = paths.filter(|(path, _)| !known.contains_key(path));
        unknown.filter_map(|(path, manifest)| Some((path, fs::read(manifest).ok()?))).collect()
    }

    /// The manifests, and the settings files, of a commit.
    pub(super) fn texts(&self, tree: &Tree) -> Result<Texts, Problem> {
        let read: Vec<_> = tree.iter().filter(|(path, _)| metadata::is_read(path)).collect();
        let links: Vec<ObjectId> = read.iter().filter(|(_, e)| e.mode == Mode::Link).map(|(_, e)| e.id).collect();
        let targets = self.objects.contents(&links)?;
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
        let contents = self.objects.contents(&ids)?;
        files
            .into_iter()
            .map(|(path, id)| Ok((path.clone(), contents.get(&id).cloned().ok_or_else(|| missing(path))?)))
            .collect()
    }

    pub(super) fn lay_out(&self, tree: &Tree, texts: &Texts) -> Result<Scratch, Problem> {
        let links: Vec<(&RepoPath, ObjectId)> =
            tree.iter().filter(|(_, entry)| entry.mode == Mode::Link).map(|(path, entry)| (path, entry.id)).collect();
        let targets = self.objects.wished(&links.iter().map(|(_, id)| *id).collect::<Vec<_>>())?;
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
}

fn broken(side: &str, what: &str) -> Problem {
    Problem::mend(
        format!("the manifests of {side} cannot be understood: {what}"),
        "cargo metadata --no-deps --format-version 1",
    )
}

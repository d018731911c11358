//! Whose file is it: for every path, the packages whose results it can change, or nobody known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::facts::Snapshot;
use crate::facts::includes::Resolver;
use crate::facts::path::RepoPath;
use crate::facts::policy::{Affects, Policy};
use crate::facts::source::{Inputs, Literal, Source, Usage};
use crate::facts::tree::{Mode, PathId, Tree};
use crate::facts::workspace::{Level, Package, Scope, TargetKind, Workspace};

/// The files of one package that count, by what they can change.
pub type Files = BTreeMap<PathId, Level>;

/// Whom each path of a tree reaches.
#[derive(Debug, Default)]
pub struct Ownership {
    /// By position in [`Workspace::packages`]: the files that count for it.
    pub packages: Vec<Files>,
    /// Paths that a rule gives to members, or to all: (path, the rule's position).
    pub ruled: BTreeMap<PathId, usize>,
    /// Paths that nobody owns and no rule names.
    pub unowned: Vec<PathId>,
    /// Which rules matched something.
    pub matched: Vec<bool>,
}

/// Names that count for nobody at the root of a package, of the workspace or of the repository, unless a source
/// includes them. Compared without regard to case, with these endings or none.
pub const NOBODYS: [&str; 4] = ["README", "CHANGELOG", "CHANGES", "RELEASES"];

/// The endings that a file of [`NOBODYS`] may have.
pub const NOBODYS_ENDINGS: [&str; 4] = ["md", "txt", "rst", "adoc"];

fn is_nobodys(name: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(name) else { return false };
    let (stem, ending) = name.split_once('.').unwrap_or((name, NOBODYS_ENDINGS[0]));
    let is = |known: &[&str], word: &str| known.iter().any(|known| known.eq_ignore_ascii_case(word));
    is(&NOBODYS, stem) && is(&NOBODYS_ENDINGS, ending)
}

/// Folders in which cargo looks for tests, benches and examples.
const CHECK_FOLDERS: [&[u8]; 3] = [b"tests", b"benches", b"examples"];

/// What the sources of every package lay claim to, by position in [`Workspace::packages`]; worked out by `workers`
/// threads. Where `like` (the claims of another snapshot) must come out the same, it is taken.
#[must_use]
pub fn claims(snapshot: Snapshot<'_>, workers: usize, like: Option<(Snapshot<'_>, &[Files])>) -> Vec<Files> {
    let workspace = snapshot.workspace;
    let folders = workspace.packages.iter().map(|package| &package.folder);
    let resolver = Resolver::new(snapshot.tree, snapshot.links, &workspace.root, folders);
    let (located, _) = by_location(snapshot);
    let like = like.filter(|(other, _)| same_paths(snapshot, *other));
    let claim = |n: usize| match like {
        Some((other, claims)) if claims[n].keys().all(|id| snapshot.tree.entry(*id) == other.tree.entry(*id)) => {
            claims[n].clone()
        }
        _ => Claims::collect(snapshot, &resolver, &workspace.packages[n], &located[n]),
    };
    let numbers: Vec<usize> = (0..workspace.packages.len()).collect();
    let next = AtomicUsize::new(0);
    let mut claimed: Vec<(usize, Files)> = thread::scope(|scope| {
        let work = || -> Vec<(usize, Files)> {
            std::iter::from_fn(|| numbers.get(next.fetch_add(1, Ordering::Relaxed)).map(|n| (*n, claim(*n)))).collect()
        };
        let threads: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
        let mut claimed = work();
        for thread in threads {
            claimed.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        claimed
    });
    claimed.sort_by_key(|(n, _)| *n);
    claimed.into_iter().map(|(_, files)| files).collect()
}

/// Whether both snapshots have the same packages, and the same files by name.
fn same_paths(one: Snapshot<'_>, other: Snapshot<'_>) -> bool {
    let paths = |snapshot: Snapshot<'_>| snapshot.tree.len();
    (std::ptr::eq(one.workspace, other.workspace) || one.workspace == other.workspace)
        && one.links == other.links
        && paths(one) == paths(other)
        && one.tree.iter().zip(other.tree.iter()).all(|((one, a), (other, b))| one == other && a.mode == b.mode)
}

/// Finds whom each path reaches, from the `claims` of every package's sources.
#[must_use]
pub fn resolve(snapshot: Snapshot<'_>, claims: Vec<Files>, policy: &Policy) -> Ownership {
    let (tree, workspace) = (snapshot.tree, snapshot.workspace);
    let (located, elsewhere) = by_location(snapshot);
    let claimed: BTreeSet<PathId> = claims.iter().flat_map(|files| files.keys().copied()).collect();
    let matched = vec![false; policy.rules.len()];
    let mut ownership = Ownership { packages: claims, matched, ..Ownership::default() };
    let mut rest: Vec<(PathId, Option<usize>)> = elsewhere.into_iter().map(|path| (path, None)).collect();
    for (n, (located, files)) in located.iter().zip(&ownership.packages).enumerate() {
        rest.extend(located.iter().filter(|path| !files.contains_key(path)).map(|path| (*path, Some(n))));
    }
    rest.sort();
    for (id, owner) in rest {
        let path = tree.path(id);
        if let Some(rule) = policy.rules.iter().position(|rule| rule.matches(path)) {
            ownership.matched[rule] = true;
            ownership.ruled.insert(id, rule);
        } else if nobodys(path, owner.map(|n| &workspace.packages[n]), workspace) {
            continue;
        } else if let Some(owner) = owner {
            ownership.packages[owner].insert(id, Level::Check);
        } else if !claimed.contains(&id) && !governed(path, workspace) {
            ownership.unowned.push(id);
        }
    }
    rules_over_sources(&mut ownership, &claimed, tree, policy);
    ownership
}

/// Rules add their members to paths that belong to somebody too, without taking them from anybody.
fn rules_over_sources(ownership: &mut Ownership, claimed: &BTreeSet<PathId>, tree: &Tree, policy: &Policy) {
    for id in claimed.iter().filter(|_| !policy.rules.is_empty()) {
        if let Some(rule) = policy.rules.iter().position(|rule| rule.matches(tree.path(*id))) {
            ownership.matched[rule] = true;
            if policy.rules[rule].affects != Affects::Members(Vec::new()) {
                ownership.ruled.insert(*id, rule);
            }
        }
    }
}

/// The tree's paths by the package in whose folder they lie (the nearest one), and those in none. Manifests and
/// lockfiles that are compared by meaning are left out.
fn by_location(snapshot: Snapshot<'_>) -> (Vec<Vec<PathId>>, Vec<PathId>) {
    let (tree, workspace) = (snapshot.tree, snapshot.workspace);
    let folders: BTreeMap<&[u8], usize> =
        workspace.packages.iter().enumerate().map(|(n, package)| (package.folder.as_bytes(), n)).collect();
    let mut located = vec![Vec::new(); workspace.packages.len()];
    let mut elsewhere = Vec::new();
    let mut last: (Option<&[u8]>, Option<usize>) = (None, None);
    for id in tree.ids() {
        let path = tree.path(id);
        let folder = path.folder();
        if last.0 != Some(folder) {
            last = (Some(folder), path.ancestors().skip(1).find_map(|ancestor| folders.get(ancestor).copied()));
        }
        let manifest = path.name() == b"Cargo.toml" && folders.contains_key(folder);
        if manifest || is_root_file(path, workspace) || is_outside_lock(path, last.1, workspace) {
            continue;
        }
        match last.1 {
            Some(owner) => located[owner].push(id),
            None => elsewhere.push(id),
        }
    }
    (located, elsewhere)
}

fn is_root_file(path: &RepoPath, workspace: &Workspace) -> bool {
    matches!(path.below(&workspace.root), Some(b"Cargo.toml" | b"Cargo.lock"))
}

/// A path crate's own lockfile is not read when it is built as a dependency.
fn is_outside_lock(path: &RepoPath, owner: Option<usize>, workspace: &Workspace) -> bool {
    owner.is_some_and(|n| !workspace.packages[n].member) && path.name() == b"Cargo.lock"
}

fn nobodys(path: &RepoPath, owner: Option<&Package>, workspace: &Workspace) -> bool {
    let folder = path.parent();
    let at_root = folder.is_top() || folder == workspace.root || owner.is_some_and(|package| package.folder == folder);
    at_root && is_nobodys(path.name())
}

/// Whether the path is a settings file that governs at least one package.
fn governed(path: &RepoPath, workspace: &Workspace) -> bool {
    workspace.settings.iter().filter(|setting| setting.path.as_ref() == Some(path)).any(|setting| match &setting.scope {
        Scope::Below(folder) => workspace.packages.iter().any(|package| package.folder.below(folder).is_some()),
        _ => true,
    })
}

/// What one package's sources lay claim to.
struct Claims<'a, 's> {
    snapshot: Snapshot<'a>,
    resolver: &'s Resolver<'a>,
    package: &'a Package,
    /// Folders where libraries and programs start, and where tests, benches and examples do.
    folders: [Vec<RepoPath>; 2],
    files: Files,
    inputs: Inputs,
    /// Literals of macros and attributes, which may name files from any folder of the package: templates and the like.
    templates: BTreeSet<&'a str>,
    open: [Vec<Reading>; 2],
}

/// A source that is to be read.
#[derive(Clone, Copy)]
struct Reading {
    path: PathId,
    build_script: bool,
    /// Whether a target starts here.
    root: bool,
}

impl<'a, 's> Claims<'a, 's> {
    fn collect(snapshot: Snapshot<'a>, resolver: &'s Resolver<'a>, package: &'a Package, located: &[PathId]) -> Files {
        let folders = |wanted: TargetKind| -> Vec<RepoPath> {
            let targets = package.targets.iter().filter(|target| target.kind == wanted);
            targets.map(|target| target.source.parent()).filter(|folder| *folder != package.folder).collect()
        };
        let mut claims = Self {
            snapshot,
            resolver,
            package,
            folders: [folders(TargetKind::Product), folders(TargetKind::Check)],
            files: Files::new(),
            inputs: Inputs::Silent,
            templates: BTreeSet::new(),
            open: [Vec::new(), Vec::new()],
        };
        for kind in [TargetKind::BuildScript, TargetKind::Product, TargetKind::Check] {
            let level = if kind == TargetKind::Check { Level::Check } else { Level::Build };
            for target in package.targets.iter().filter(|target| target.kind == kind) {
                if let Some(path) = snapshot.tree.find(target.source.as_bytes()) {
                    claims.claim(path, level, Some((kind == TargetKind::BuildScript, true)));
                }
            }
            if level == Level::Build {
                claims.read(Level::Build);
            }
        }
        claims.read(Level::Check);
        // Sources that no module declares: who knows what includes them.
        for path in located {
            if !claims.files.contains_key(path) && snapshot.tree.path(*path).name().ends_with(b".rs") {
                claims.claim(*path, claims.level_by_location(snapshot.tree.path(*path)), Some((false, true)));
            }
        }
        claims.read(Level::Check);
        claims.data(located);
        claims.files
    }

    /// Counts a file; `read` says whether it is a source (of the build script, where a target starts).
    fn claim(&mut self, path: PathId, level: Level, read: Option<(bool, bool)>) {
        if self.files.get(&path).is_some_and(|known| *known <= level) {
            return;
        }
        self.files.insert(path, level);
        if let Some((build_script, root)) = read {
            self.open[level as usize].push(Reading { path, build_script, root });
        }
        if self.snapshot.tree.entry(path).mode == Mode::Link {
            let found = self.resolver.follow(self.snapshot.tree.path(path));
            for target in found.into_iter().flat_map(|found| found.files) {
                self.claim(target, level, read);
            }
        }
    }

    /// Reads the open sources of at most `level`, and those that they lead to.
    fn read(&mut self, level: Level) {
        for now in [Level::Build, Level::Check].into_iter().filter(|now| *now <= level) {
            while let Some(reading) = self.open[now as usize].pop() {
                if let Some(source) = self.source(reading.path) {
                    self.read_source(reading, source, now);
                }
                if now == Level::Check && !self.open[0].is_empty() {
                    self.read(Level::Build);
                }
            }
        }
    }

    fn source(&self, path: PathId) -> Option<&'a Source> {
        let entry = self.snapshot.tree.entry(path);
        match entry.mode {
            // A link's text is its target's, but paths in it start where the link stands.
            Mode::Link => {
                let found = self.resolver.follow(self.snapshot.tree.path(path)).filter(|found| !found.folder)?;
                self.snapshot.sources.get(&self.snapshot.tree.entry(*found.files.last()?).id)
            }
            _ => self.snapshot.sources.get(&entry.id),
        }
    }

    fn read_source(&mut self, reading: Reading, source: &'a Source, level: Level) {
        let path = self.snapshot.tree.path(reading.path);
        let inner = |test: bool| if test { Level::Check } else { level };
        if reading.build_script {
            self.inputs = match (self.inputs, source.inputs) {
                (Inputs::Computed, _) | (_, Inputs::Computed) => Inputs::Computed,
                (Inputs::Silent, other) | (other, _) => other,
            };
        }
        for module in &source.modules {
            for file in self.resolver.module(path, module, reading.root) {
                self.claim(file, inner(module.test), Some((reading.build_script, false)));
            }
        }
        for literal in &source.literals {
            self.read_literal(path, literal, inner(literal.test), reading.build_script);
        }
    }

    fn read_literal(&mut self, path: &RepoPath, literal: &'a Literal, level: Level, build_script: bool) {
        let compiled = build_script || literal.usage != Usage::Any;
        if literal.usage == Usage::Macro && level == Level::Build {
            self.templates.insert(literal.text.trim_matches('/'));
        }
        for found in self.resolver.literal(path, &self.package.folder, literal) {
            let read = (literal.usage == Usage::Include).then_some((build_script, true));
            for file in found.files {
                // The package's own data that code may read when it runs: only its own tests see that.
                let own = self.snapshot.tree.path(file).below(&self.package.folder).is_some();
                self.claim(file, if own && !compiled { Level::Check } else { level }, read);
            }
        }
    }

    /// The package's files that no source names.
    fn data(&mut self, located: &[PathId]) {
        let tree = self.snapshot.tree;
        let script = self.package.targets.iter().find(|target| target.kind == TargetKind::BuildScript);
        let script = script.filter(|target| tree.get(target.source.as_bytes()).is_some());
        let watches_all = script.is_some() && self.inputs != Inputs::Named;
        for id in located {
            let path = tree.path(*id);
            if watches_all || self.is_template(path) {
                self.claim(*id, Level::Build, None);
                continue;
            }
            if self.files.contains_key(id) || nobodys(path, Some(self.package), self.snapshot.workspace) {
                continue;
            }
            let level = self.level_by_location(path);
            if level == Level::Build || tree.entry(*id).mode == Mode::Link {
                self.claim(*id, level, None);
            }
        }
    }

    /// Whether a macro or an attribute names the file, from whatever folder of the package it starts.
    fn is_template(&self, path: &RepoPath) -> bool {
        let Some(below) = path.below(&self.package.folder).and_then(|below| std::str::from_utf8(below).ok()) else {
            return false;
        };
        let starts = below.match_indices('/').map(|(at, _)| at + 1);
        !self.templates.is_empty() && std::iter::once(0).chain(starts).any(|start| self.templates.contains(&below[start..]))
    }

    /// What a file can change, judged by the folder it lies in.
    fn level_by_location(&self, path: &RepoPath) -> Level {
        let Some(below) = path.below(&self.package.folder) else { return Level::Check };
        let first = below.split(|byte| *byte == b'/').next().unwrap_or_default();
        let [in_product, in_check] = self.folders.each_ref().map(|folders| folders.iter().any(|f| path.below(f).is_some()));
        match (in_product, in_check || CHECK_FOLDERS.contains(&first)) {
            (true, _) => Level::Build,
            (false, true) => Level::Check,
            // A path crate's tests are never run here, so whatever else it holds counts for its users.
            _ if path.name().ends_with(b".rs") || !self.package.member => Level::Build,
            _ => Level::Check,
        }
    }
}

//! What a package's sources lay claim to: the files that they are, include, link to, watch or read by a literal path.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::facts::Snapshot;
use crate::facts::includes::Resolver;
use crate::facts::path::RepoPath;
use crate::facts::source::{Inputs, Literal, Source, Usage};
use crate::facts::tree::{Mode, PathId};
use crate::facts::workspace::{Level, Package, TargetKind};
use crate::location::{by_location, is_nobodys};

/// The files of one package that count.
pub type Files = BTreeMap<PathId, Claim>;

/// How a file counts for a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What it can change.
    pub level: Level,
    /// Whether it is only a guess that the package reads it, so that who does is not known.
    pub guess: bool,
}

/// Folders in which cargo looks for tests, benches and examples.
const CHECK_FOLDERS: [&[u8]; 3] = [b"tests", b"benches", b"examples"];

/// What the sources of every package lay claim to, by position in the workspace's packages; worked out by `workers`
/// threads. Where `like` (the claims of another snapshot) must come out the same, it is taken.
#[must_use]
pub fn collect(snapshot: Snapshot<'_>, workers: usize, like: Option<(Snapshot<'_>, &[Files])>) -> Vec<Files> {
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
    /// Sources that were or will be read, and at which level.
    opened: BTreeMap<PathId, Level>,
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
            opened: BTreeMap::new(),
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
        // A package in a submodule is what the submodule's commit says.
        for path in resolver.repositories_around(&package.folder) {
            claims.claim(path, Level::Build, None);
        }
        // Sources that no module declares: who knows what includes them.
        for path in located {
            if !claims.opened.contains_key(path) && snapshot.tree.path(*path).name().ends_with(b".rs") {
                claims.claim(*path, claims.level_by_location(snapshot.tree.path(*path)), Some((false, true)));
            }
        }
        claims.read(Level::Check);
        claims.data(located);
        claims.files
    }

    /// Counts a file; `read` says whether it is a source (of the build script, where a target starts).
    fn claim(&mut self, path: PathId, level: Level, read: Option<(bool, bool)>) {
        let known = self.files.get(&path).copied();
        let news = known.is_none_or(|known| known.level > level);
        let level_now = known.map_or(level, |known| known.level.min(level));
        self.files.insert(path, Claim { level: level_now, guess: false });
        let unread = self.opened.get(&path).is_none_or(|opened| *opened > level);
        if let (Some((build_script, root)), true) = (read, unread) {
            self.opened.insert(path, level);
            self.open[level as usize].push(Reading { path, build_script, root });
        } else if !news {
            return;
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
        let (tree, package) = (self.snapshot.tree, self.package);
        let in_passing = !build_script && !literal.test && literal.usage == Usage::Any;
        if literal.usage == Usage::Macro && level == Level::Build {
            self.templates.insert(literal.text.trim_matches('/'));
        }
        for found in self.resolver.literal(path, &package.folder, literal) {
            let read = (literal.usage == Usage::Include).then_some((build_script, true));
            for file in found.files {
                // Code that says `README.md` in passing does not include it.
                if in_passing && is_nobodys(tree.path(file), Some(package), self.snapshot.workspace) {
                    continue;
                }
                if found.guess {
                    let claim = self.files.entry(file).or_insert(Claim { level, guess: true });
                    claim.level = claim.level.min(level);
                } else {
                    self.claim(file, level, read);
                }
            }
        }
    }

    /// The package's files that no source names.
    fn data(&mut self, located: &[PathId]) {
        let tree = self.snapshot.tree;
        let script = self.package.targets.iter().find(|target| target.kind == TargetKind::BuildScript);
        let script = script.filter(|target| tree.get(target.source.as_bytes()).is_some());
        let watches_all = script.is_some() && self.inputs != Inputs::Named;
        if watches_all && let Some(manifest) = self.package.folder.join(b"Cargo.toml") {
            // Cargo watches the manifest's text as well.
            tree.find(manifest.as_bytes()).into_iter().for_each(|id| self.claim(id, Level::Build, None));
        }
        for id in located {
            let path = tree.path(*id);
            if watches_all || self.is_template(path) {
                self.claim(*id, Level::Build, None);
                continue;
            }
            if self.files.contains_key(id) || is_nobodys(path, Some(self.package), self.snapshot.workspace) {
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
        !self.templates.is_empty()
            && std::iter::once(0).chain(starts).any(|start| self.templates.contains(&below[start..]))
    }

    /// What a file that no source names can change, judged by its kind and the folder it lies in.
    fn level_by_location(&self, path: &RepoPath) -> Level {
        let Some(below) = path.below(&self.package.folder) else { return Level::Check };
        let first = below.split(|byte| *byte == b'/').next().unwrap_or_default();
        let [products, checks] = self.folders.each_ref();
        let within = |folders: &[RepoPath]| folders.iter().any(|folder| path.below(folder).is_some());
        // A library at the package's root has all of it for its modules.
        let in_product = within(products) || products.is_empty();
        let in_check = !within(products) && (within(checks) || CHECK_FOLDERS.contains(&first));
        match (self.package.member, path.name().ends_with(b".rs")) {
            _ if in_check => Level::Check,
            (true, true) if in_product => Level::Build,
            (true, _) => Level::Check,
            // A path crate's tests are never run here, so whatever else it holds counts for its users.
            (false, _) => Level::Build,
        }
    }
}

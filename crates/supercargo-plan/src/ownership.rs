//! Whose file is it: for every path, the packages whose results it can change, or nobody known.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::Snapshot;
use crate::facts::includes::Resolver;
use crate::facts::path::RepoPath;
use crate::facts::policy::{Affects, Policy};
use crate::facts::source::{Inputs, Literal, Source, Usage};
use crate::facts::tree::Mode;
use crate::facts::workspace::{Level, Package, Scope, TargetKind, Workspace};

/// The files of one package that count, by what they can change.
pub type Files<'a> = BTreeMap<&'a RepoPath, Level>;

/// Whom each path of a tree reaches.
#[derive(Debug, Default)]
pub struct Ownership<'a> {
    /// By position in [`Workspace::packages`]: the files that count for it.
    pub packages: Vec<Files<'a>>,
    /// Paths that a rule gives to members, or to all: (path, the rule's position).
    pub ruled: BTreeMap<&'a RepoPath, usize>,
    /// Paths that nobody owns and no rule names.
    pub unowned: Vec<&'a RepoPath>,
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

/// Finds whom each path reaches.
#[must_use]
pub fn resolve<'a>(snapshot: Snapshot<'a>, policy: &Policy) -> Ownership<'a> {
    let workspace = snapshot.workspace;
    let resolver = Resolver::new(snapshot.tree, snapshot.links, &workspace.root);
    let (located, elsewhere) = by_location(snapshot);
    let mut ownership = Ownership { matched: vec![false; policy.rules.len()], ..Ownership::default() };
    let mut data = BTreeMap::new();
    for (n, package) in workspace.packages.iter().enumerate() {
        let claims = Claims::collect(snapshot, &resolver, package, &located[n]);
        for path in &located[n] {
            if !claims.files.contains_key(path) {
                data.insert(*path, n);
            }
        }
        ownership.packages.push(claims.files);
    }
    let claimed: BTreeSet<&RepoPath> =
        ownership.packages.iter().flat_map(|files| files.keys().copied()).collect();
    let rest = data.iter().map(|(path, n)| (*path, Some(*n))).chain(elsewhere.into_iter().map(|path| (path, None)));
    for (path, owner) in rest {
        let rule = policy.rules.iter().position(|rule| rule.matches(path));
        if let Some(rule) = rule {
            ownership.matched[rule] = true;
            ownership.ruled.insert(path, rule);
        } else if nobodys(path, owner.map(|n| &workspace.packages[n]), workspace) {
            continue;
        } else if let Some(owner) = owner {
            ownership.packages[owner].insert(path, Level::Check);
        } else if !claimed.contains(path) && !governed(path, workspace) {
            ownership.unowned.push(path);
        }
    }
    rules_over_sources(&mut ownership, policy);
    ownership
}

/// Rules add their members to paths that belong to somebody too, without taking them from anybody.
fn rules_over_sources<'a>(ownership: &mut Ownership<'a>, policy: &Policy) {
    if policy.rules.is_empty() {
        return;
    }
    let owned: Vec<&'a RepoPath> = ownership.packages.iter().flat_map(|files| files.keys().copied()).collect();
    for path in owned {
        if let Some(rule) = policy.rules.iter().position(|rule| rule.matches(path)) {
            ownership.matched[rule] = true;
            if policy.rules[rule].affects != Affects::Members(Vec::new()) {
                ownership.ruled.insert(path, rule);
            }
        }
    }
}

/// The tree's paths by the package in whose folder they lie (the nearest one), and those in none. Manifests and
/// lockfiles that are compared by meaning are left out.
fn by_location(snapshot: Snapshot<'_>) -> (Vec<Vec<&RepoPath>>, Vec<&RepoPath>) {
    let workspace = snapshot.workspace;
    let folders: BTreeMap<&[u8], usize> =
        workspace.packages.iter().enumerate().map(|(n, package)| (package.folder.as_bytes(), n)).collect();
    let mut located = vec![Vec::new(); workspace.packages.len()];
    let mut elsewhere = Vec::new();
    let mut last: (Option<RepoPath>, Option<usize>) = (None, None);
    for (path, _) in snapshot.tree.iter() {
        let folder = path.parent();
        if last.0.as_ref() != Some(&folder) {
            let owner = folder.ancestors().find_map(|ancestor| folders.get(ancestor).copied());
            last = (Some(folder), owner);
        }
        let manifest = path.name() == b"Cargo.toml" && folders.contains_key(path.parent().as_bytes());
        if manifest || is_root_file(path, workspace) || is_outside_lock(path, last.1, workspace) {
            continue;
        }
        match last.1 {
            Some(owner) => located[owner].push(path),
            None => elsewhere.push(path),
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
    files: Files<'a>,
    inputs: Inputs,
    /// Literals of macros and attributes that found no file where they stand: templates and the like.
    templates: BTreeSet<&'a str>,
    open: Vec<(&'a RepoPath, Level, bool)>,
}

impl<'a, 's> Claims<'a, 's> {
    fn collect(
        snapshot: Snapshot<'a>,
        resolver: &'s Resolver<'a>,
        package: &'a Package,
        located: &[&'a RepoPath],
    ) -> Self {
        let mut claims = Self {
            snapshot,
            resolver,
            package,
            files: Files::new(),
            inputs: Inputs::Silent,
            templates: BTreeSet::new(),
            open: Vec::new(),
        };
        for kind in [TargetKind::BuildScript, TargetKind::Product, TargetKind::Check] {
            let level = if kind == TargetKind::Check { Level::Check } else { Level::Build };
            for target in package.targets.iter().filter(|target| target.kind == kind) {
                claims.claim(target.source.as_bytes(), level, Some(kind == TargetKind::BuildScript));
            }
            if level == Level::Build {
                claims.read(Level::Build);
            }
        }
        claims.read(Level::Check);
        // Sources that no module declares: who knows what includes them.
        for path in located.iter().filter(|path| path.name().ends_with(b".rs")) {
            if !claims.files.contains_key(path) {
                claims.claim(path.as_bytes(), claims.level_by_location(path), Some(false));
            }
        }
        claims.read(Level::Check);
        claims.data(located);
        claims
    }

    /// Counts the file at `path`; `read` says whether it is a source (of the build script), to be read in its turn.
    fn claim(&mut self, path: &[u8], level: Level, read: Option<bool>) {
        let Some((path, entry)) = self.snapshot.tree.find(path) else { return };
        if self.files.get(path).is_some_and(|known| *known <= level) {
            return;
        }
        self.files.insert(path, level);
        if let Some(build_script) = read {
            self.open.push((path, level, build_script));
        }
        if entry.mode == Mode::Link {
            for target in self.resolver.follow(path).iter().flat_map(|found| found.all().collect::<Vec<_>>()) {
                self.claim(target.as_bytes(), level, read);
            }
        }
    }

    /// Reads the open sources of at most `level`, and those that they lead to.
    fn read(&mut self, level: Level) {
        while let Some(at) = self.open.iter().position(|(_, open, _)| *open <= level) {
            let (path, level, build_script) = self.open.swap_remove(at);
            if let Some(source) = self.source(path) {
                self.read_source(path, source, level, build_script);
            }
        }
    }

    fn source(&self, path: &RepoPath) -> Option<&'a Source> {
        let entry = self.snapshot.tree.get(path.as_bytes())?;
        match entry.mode {
            // A link's text is its target's, but paths in it start where the link stands.
            Mode::Link => self.source(self.resolver.follow(path)?.file.filter(|file| *file != path)?),
            _ => self.snapshot.sources.get(&entry.id),
        }
    }

    fn read_source(&mut self, path: &RepoPath, source: &'a Source, level: Level, build_script: bool) {
        let inner = |test: bool| if test { Level::Check } else { level };
        if build_script {
            self.inputs = match (self.inputs, source.inputs) {
                (Inputs::Computed, _) | (_, Inputs::Computed) => Inputs::Computed,
                (Inputs::Silent, other) | (other, _) => other,
            };
        }
        for module in &source.modules {
            for file in self.resolver.module(path, module) {
                self.claim(file.as_bytes(), inner(module.test), Some(build_script));
            }
        }
        for literal in &source.literals {
            self.read_literal(path, literal, inner(literal.test), build_script);
        }
    }

    fn read_literal(&mut self, path: &RepoPath, literal: &'a Literal, level: Level, build_script: bool) {
        let compiled = build_script || literal.usage != Usage::Any;
        if literal.usage == Usage::Macro && level == Level::Build {
            self.templates.insert(literal.text.trim_matches('/'));
        }
        for found in self.resolver.literal(path, &self.package.folder, literal) {
            let read = (literal.usage == Usage::Include).then_some(build_script);
            for file in found.all() {
                // The package's own data that code may read when it runs: only its own tests see that.
                let own = file.below(&self.package.folder).is_some();
                let level = if own && !compiled { Level::Check } else { level };
                self.claim(file.as_bytes(), level, read);
            }
        }
    }

    /// The package's files that no source names.
    fn data(&mut self, located: &[&'a RepoPath]) {
        let script = self.package.targets.iter().find(|target| target.kind == TargetKind::BuildScript);
        let script = script.filter(|target| self.snapshot.tree.get(target.source.as_bytes()).is_some());
        let watches_all = script.is_some() && self.inputs != Inputs::Named;
        for path in located {
            let level = self.level_by_location(path);
            let nobodys = nobodys(path, Some(self.package), self.snapshot.workspace);
            if nobodys && !watches_all && !self.is_template(path) {
                continue;
            }
            if watches_all || (level == Level::Build && !self.files.contains_key(path)) || self.is_template(path) {
                self.claim(path.as_bytes(), Level::Build, None);
            } else if self.snapshot.tree.get(path.as_bytes()).is_some_and(|entry| entry.mode == Mode::Link) {
                self.claim(path.as_bytes(), level, None);
            }
        }
    }

    /// Whether a macro or an attribute names the file, from whatever folder of the package it starts.
    fn is_template(&self, path: &RepoPath) -> bool {
        let Some(below) = path.below(&self.package.folder).and_then(|below| std::str::from_utf8(below).ok()) else {
            return false;
        };
        let starts = below.match_indices('/').map(|(at, _)| at + 1);
        std::iter::once(0).chain(starts).any(|start| self.templates.contains(&below[start..]))
    }

    /// What a file can change, judged by the folder it lies in.
    fn level_by_location(&self, path: &RepoPath) -> Level {
        let package = &self.package.folder;
        let Some(below) = path.below(package) else { return Level::Check };
        let first = below.split(|byte| *byte == b'/').next().unwrap_or_default();
        let folders = |wanted: TargetKind| {
            let targets = self.package.targets.iter().filter(move |target| target.kind == wanted);
            targets.map(|target| target.source.parent()).filter(|folder| folder != package)
        };
        let in_product = folders(TargetKind::Product).any(|folder| path.below(&folder).is_some());
        let in_check = CHECK_FOLDERS.contains(&first) || folders(TargetKind::Check).any(|f| path.below(&f).is_some());
        match (in_product, in_check) {
            (true, _) => Level::Build,
            (false, true) => Level::Check,
            // A path crate's tests are never run here, so whatever else it holds counts for its users.
            _ if path.name().ends_with(b".rs") || !self.package.member => Level::Build,
            _ => Level::Check,
        }
    }
}

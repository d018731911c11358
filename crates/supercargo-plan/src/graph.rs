//! The graph that changes travel along: members, path crates and locked packages, joined by what they depend on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use semver::{Version, VersionReq};

use crate::facts::Snapshot;
use crate::facts::lock::{LockId, LockPackage};
use crate::facts::path::RepoPath;
use crate::facts::platform::Kept;
use crate::facts::workspace::{Dependency, DependencyKind, Package, Place, Workspace};

/// What a node is. The same key on two sides is the same node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key<'a> {
    /// A member of the workspace, by name.
    Member(&'a str),
    /// A path crate of the repository that is no member, by folder.
    Outside(&'a RepoPath),
    /// A package of a registry or a git repository.
    Locked(&'a LockId),
    /// A path crate that lies out of the repository, or that nobody can find.
    Beyond(&'a str),
}

impl Key<'_> {
    /// What tells this node from every other, for a digest.
    #[must_use]
    pub fn identity(&self) -> String {
        match self {
            Self::Locked(id) => format!("locked {id} {}", id.source.as_deref().unwrap_or_default()),
            Self::Member(name) => format!("member {name}"),
            Self::Outside(folder) => format!("outside {folder}"),
            Self::Beyond(path) => format!("beyond {path}"),
        }
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(name) | Self::Beyond(name) => f.write_str(name),
            Self::Outside(folder) => write!(f, "{folder}"),
            Self::Locked(id) => write!(f, "{id}"),
        }
    }
}

/// What a node depends on, and for what.
pub type Edges<'a> = BTreeSet<(Key<'a>, DependencyKind)>;

/// The edges of one side.
pub type Graph<'a> = BTreeMap<Key<'a>, Edges<'a>>;

/// The node of `package`.
#[must_use]
pub fn key(package: &Package) -> Key<'_> {
    if package.member { Key::Member(package.name.as_str()) } else { Key::Outside(&package.folder) }
}

/// Joins everything that the members reach: every platform, every optional dependency.
#[must_use]
pub fn join<'a>(snapshot: Snapshot<'a>) -> Graph<'a> {
    let mut graph = Graph::new();
    let mut open: Vec<Key<'a>> = Vec::new();
    for package in &snapshot.workspace.packages {
        let edges: Edges<'a> =
            package.dependencies.iter().flat_map(|dependency| used(snapshot, package, dependency)).collect();
        open.extend(edges.iter().map(|(key, _)| *key));
        graph.insert(key(package), edges);
    }
    while let Some(key) = open.pop() {
        if graph.contains_key(&key) {
            continue;
        }
        let edges = match key {
            Key::Locked(id) => locked_edges(snapshot, id),
            _ => Edges::new(),
        };
        open.extend(edges.iter().map(|(key, _)| *key));
        graph.insert(key, edges);
    }
    graph
}

/// What `dependency` of `package` resolves to: one node, or all that it may be.
fn used<'a>(
    snapshot: Snapshot<'a>,
    package: &'a Package,
    dependency: &'a Dependency,
) -> Vec<(Key<'a>, DependencyKind)> {
    let workspace = snapshot.workspace;
    let keys = match &dependency.place {
        Some(Place::Inside(folder)) => match workspace.at(folder) {
            Some(package) => vec![key(package)],
            None => vec![Key::Beyond(dependency.name.as_str())],
        },
        Some(Place::Beyond(path)) => vec![Key::Beyond(path)],
        None => match snapshot.lock {
            Some(lock) => {
                let own = lock.at_path(package.name.as_str(), &package.version);
                let own = own.map(|own| own.dependencies.iter().map(|n| &lock.packages[*n]).collect::<Vec<_>>());
                let named = |all: Vec<&'a LockPackage>| -> Vec<&'a LockPackage> {
                    all.into_iter().filter(|package| package.id.name == dependency.name).collect()
                };
                let own = named(own.unwrap_or_default());
                // A lockfile that lags behind the manifests: any package that it may mean.
                let all = if own.is_empty() { lock.named(&dependency.name).collect() } else { own };
                matching(all, &dependency.requirement).into_iter().map(|used| locked(workspace, used)).collect()
            }
            None => patched(workspace, &dependency.name).into_iter().collect(),
        },
    };
    keys.into_iter().map(|key| (key, dependency.kind)).collect()
}

/// Those of `packages` that fulfil `requirement`, or all where none does (a patch may stand in for any version).
fn matching<'a>(packages: Vec<&'a LockPackage>, requirement: &str) -> Vec<&'a LockPackage> {
    if packages.len() < 2 {
        return packages;
    }
    let Ok(requirement) = VersionReq::parse(requirement) else { return packages };
    let fulfils =
        |package: &&LockPackage| Version::parse(&package.id.version).is_ok_and(|version| requirement.matches(&version));
    let kept: Vec<&LockPackage> = packages.iter().copied().filter(fulfils).collect();
    if kept.is_empty() { packages } else { kept }
}

fn locked<'a>(workspace: &'a Workspace, package: &'a LockPackage) -> Key<'a> {
    if package.id.source.is_some() {
        return Key::Locked(&package.id);
    }
    let named = || workspace.packages.iter().filter(|candidate| candidate.name.as_str() == package.id.name);
    let same = named().find(|candidate| candidate.version == package.id.version).or_else(|| named().next());
    same.map_or(Key::Beyond(&package.id.name), key)
}

fn locked_edges<'a>(snapshot: Snapshot<'a>, id: &LockId) -> Edges<'a> {
    let Some(lock) = snapshot.lock else { return Edges::new() };
    let used = lock.get(id).into_iter().flat_map(|package| &package.dependencies).map(|n| &lock.packages[*n]);
    used.map(|used| (locked(snapshot.workspace, used), DependencyKind::Build)).collect()
}

/// Without a lockfile: the package that a patch puts in place of the one called `name`.
fn patched<'a>(workspace: &'a Workspace, name: &str) -> Option<Key<'a>> {
    let (_, place) = workspace.patches.iter().find(|(patched, _)| patched == name)?;
    match place {
        Place::Inside(folder) => workspace.at(folder).map(key),
        Place::Beyond(path) => Some(Key::Beyond(path)),
    }
}

/// The part of `graph` that `start` reaches over what it builds with, as far as `kept` holds the edges.
#[must_use]
pub fn reached<'a>(graph: &Graph<'a>, start: Key<'a>, workspace: &'a Workspace, kept: &Kept) -> Graph<'a> {
    let identities = Identities::of(workspace);
    let mut reached = Graph::new();
    let mut open = vec![start];
    while let Some(node) = open.pop() {
        if reached.contains_key(&node) {
            continue;
        }
        let built = graph.get(&node).into_iter().flatten().filter(|(_, kind)| *kind == DependencyKind::Build);
        let edges: Edges<'a> = built.filter(|(used, _)| identities.keep(kept, &node, used)).copied().collect();
        open.extend(edges.iter().map(|(used, _)| *used));
        reached.insert(node, edges);
    }
    reached
}

/// The names and versions of nodes.
struct Identities<'a>(BTreeMap<Key<'a>, (&'a str, &'a str)>);

impl<'a> Identities<'a> {
    fn of(workspace: &'a Workspace) -> Self {
        let identity = |package: &'a Package| (key(package), (package.name.as_str(), package.version.as_str()));
        Self(workspace.packages.iter().map(identity).collect())
    }

    fn identity(&self, key: &Key<'a>) -> Option<(&'a str, &'a str)> {
        match key {
            Key::Locked(id) => Some((id.name.as_str(), id.version.as_str())),
            key => self.0.get(key).copied(),
        }
    }

    /// Whether `kept` holds an edge; one between nodes that nobody can name stays.
    fn keep(&self, kept: &Kept, user: &Key<'a>, used: &Key<'a>) -> bool {
        match (self.identity(user), self.identity(used)) {
            (Some(user), Some(used)) => kept.holds(user, used),
            _ => true,
        }
    }
}

/// Leaves out the edges of `head` that are not in `kept`, there and in `base`; edges that only `base` has stay.
pub fn narrow<'a>(base: &mut Graph<'a>, head: &mut Graph<'a>, workspace: &'a Workspace, kept: &Kept) {
    let identities = Identities::of(workspace);
    for (user, edges) in head.iter_mut() {
        let dropped: Vec<_> = edges.iter().filter(|(used, _)| !identities.keep(kept, user, used)).copied().collect();
        for edge in dropped {
            edges.remove(&edge);
            if let Some(edges) = base.get_mut(user) {
                edges.remove(&edge);
            }
        }
    }
}

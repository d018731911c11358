//! Components to digest: what can change a member's results, part by part, and the fingerprints made of it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use supercargo_artifact::digest::{Digest, Hasher};

use crate::facts::Snapshot;
use crate::facts::path::RepoPath;
use crate::facts::policy::{Affects, Policy};
use crate::facts::tree::{Mode, ObjectId, PathId};
use crate::facts::workspace::{DependencyKind, Level, Scope};
use crate::graph::{Graph, Key, key};
use crate::ownership::Ownership;

/// The version of the fingerprint's recipe: raised whenever the same facts would give another digest.
const RECIPE: &str = "supercargo fingerprint 1";

/// One part of what can change a node's results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component<'a> {
    /// A file.
    File(&'a RepoPath),
    /// A part of its manifest.
    Manifest(&'a str),
    /// A setting of the workspace that governs it.
    Setting(&'a str),
    /// The checksum of a locked package.
    Checksum,
    /// What lies out of the repository and so cannot be compared.
    Beyond,
}

/// A component's value: two that differ make a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A file's mode and the id of its content.
    File(Mode, ObjectId),
    /// Bytes that say it.
    Bytes(Cow<'a, [u8]>),
}

impl<'a> Value<'a> {
    fn of(text: &'a str) -> Self {
        Self::Bytes(Cow::Borrowed(text.as_bytes()))
    }

    /// Whether it stands for what cannot be compared.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        [Which::Base, Which::Head].iter().any(|which| *self == which.unlike_the_other())
    }
}

/// The components of one node.
pub type Components<'a> = BTreeMap<Component<'a>, (Level, Value<'a>)>;

/// One side of a comparison: every node's own components, and what it depends on.
#[derive(Debug, Default)]
pub struct Side<'a> {
    /// By node: what is its own.
    pub components: BTreeMap<Key<'a>, Components<'a>>,
    /// What counts for every member, besides [`Side::unowned`].
    pub everyone: Components<'a>,
    /// Paths that nobody owns and no rule names.
    pub unowned: BTreeMap<&'a RepoPath, Value<'a>>,
    /// What nodes depend on.
    pub graph: Graph<'a>,
}

/// Which side of a comparison: it makes what cannot be compared differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The state that is compared with.
    Base,
    /// The state that is asked about.
    Head,
}

impl Which {
    /// A value for what cannot be compared.
    #[must_use]
    pub fn unlike_the_other(self) -> Value<'static> {
        Value::of(if self == Self::Base { "unknown before" } else { "unknown now" })
    }
}

/// Collects the components of every node that `graph` joins.
#[must_use]
pub fn collect<'a>(
    snapshot: Snapshot<'a>,
    ownership: &Ownership,
    policy: &'a Policy,
    graph: Graph<'a>,
    which: Which,
) -> Side<'a> {
    let mut side = Side { graph, ..Side::default() };
    for key in side.graph.keys() {
        side.components.insert(*key, itself(snapshot, *key, which));
    }
    let file = |id: PathId| snapshot.tree.path(id);
    let value = |id: PathId| file_value(snapshot, id, which);
    for (package, files) in snapshot.workspace.packages.iter().zip(&ownership.packages) {
        let files = files.iter().map(|(id, claim)| (Component::File(file(*id)), (claim.level, value(*id))));
        let parts =
            package.manifest.iter().map(|part| (Component::Manifest(&part.key), (part.level, Value::of(&part.value))));
        side.components.insert(key(package), files.chain(parts).collect());
    }
    for (id, rule) in &ownership.ruled {
        let component = Component::File(file(*id));
        let names = match &policy.rules[*rule].affects {
            Affects::All => {
                side.everyone.insert(component, (Level::Build, value(*id)));
                continue;
            }
            Affects::Members(names) => names,
        };
        for name in names {
            if let Some(components) = side.components.get_mut(&Key::Member(name.as_str())) {
                components.insert(component, (Level::Build, value(*id)));
            }
        }
    }
    // A link whose target nobody here knows, as in a partial clone, may have led anybody anywhere.
    let unknown = snapshot.tree.ids().filter(|id| {
        let entry = snapshot.tree.entry(*id);
        entry.mode == Mode::Link && !entry.id.is_zero() && !snapshot.links.contains_key(file(*id))
    });
    side.unowned = ownership.unowned.iter().copied().chain(unknown).map(|id| (file(id), value(id))).collect();
    settings(snapshot, policy, &mut side);
    side
}

/// What a node is by itself.
fn itself<'a>(snapshot: Snapshot<'a>, key: Key<'a>, which: Which) -> Components<'a> {
    let mut components = Components::new();
    match key {
        Key::Locked(id) => {
            let package = snapshot.lock.and_then(|lock| lock.get(id));
            let checksum = package.and_then(|package| package.checksum.as_deref());
            components.insert(Component::Checksum, (Level::Build, Value::of(checksum.unwrap_or_default())));
        }
        Key::Beyond(_) => {
            components.insert(Component::Beyond, (Level::Build, which.unlike_the_other()));
        }
        Key::Member(_) | Key::Outside(_) => {}
    }
    components
}

/// A file's value: mode and content id; a link's target; for what git cannot name, something that equals nothing.
fn file_value<'a>(snapshot: Snapshot<'a>, id: PathId, which: Which) -> Value<'a> {
    let entry = snapshot.tree.entry(id);
    let target = (entry.mode == Mode::Link).then(|| snapshot.links.get(snapshot.tree.path(id))).flatten();
    match target {
        Some(target) => Value::Bytes(Cow::Borrowed(target)),
        None if entry.id.is_zero() => which.unlike_the_other(),
        None => Value::File(entry.mode, entry.id),
    }
}

/// The value of a path on one side, where it is there.
#[must_use]
pub fn value_at<'a>(snapshot: Snapshot<'a>, path: &RepoPath, which: Which) -> Option<Value<'a>> {
    snapshot.tree.find(path.as_bytes()).map(|id| file_value(snapshot, id, which))
}

/// Puts every setting where it governs.
fn settings<'a>(snapshot: Snapshot<'a>, policy: &Policy, side: &mut Side<'a>) {
    let folders: BTreeMap<Key<'_>, &RepoPath> =
        snapshot.workspace.packages.iter().map(|package| (key(package), &package.folder)).collect();
    let wanted = snapshot.workspace.settings.iter().filter_map(|setting| match &setting.scope {
        Scope::Users(name) => Some(name.as_str()),
        _ => None,
    });
    let wanted: BTreeSet<&str> = wanted.collect();
    let mut users: BTreeMap<&str, BTreeSet<Key<'a>>> = BTreeMap::new();
    for (node, (used, _)) in side.graph.iter().flat_map(|(node, edges)| edges.iter().map(move |edge| (node, edge))) {
        let name = match used {
            Key::Locked(id) => Some(id.name.as_str()),
            Key::Member(name) => Some(*name),
            other => named(snapshot, other),
        };
        if let Some(name) = name.filter(|name| wanted.contains(name)) {
            users.entry(name).or_default().insert(*node);
        }
    }
    for setting in snapshot.workspace.settings.iter().filter(|setting| !policy.decides(setting)) {
        let component = setting.path.as_ref().map_or(Component::Setting(&setting.key), Component::File);
        let value = (setting.level, Value::of(&setting.value));
        let governs = |node: &Key<'_>| match (&setting.scope, node) {
            (Scope::Named(name), Key::Locked(id)) => id.name == *name,
            (Scope::Named(name), Key::Member(member)) => member == name,
            (Scope::Named(name), Key::Outside(_)) => named(snapshot, node) == Some(name.as_str()),
            (Scope::Users(name), node) => users.get(name.as_str()).is_some_and(|users| users.contains(node)),
            (Scope::Dependencies, Key::Locked(_) | Key::Outside(_)) => true,
            (Scope::Below(folder), node) => folders.get(node).is_some_and(|at| at.below(folder).is_some()),
            _ => false,
        };
        if setting.scope == Scope::Everyone {
            side.everyone.insert(component, value);
            continue;
        }
        for (_, components) in side.components.iter_mut().filter(|(node, _)| governs(node)) {
            components.insert(component, value.clone());
        }
    }
}

fn named<'a>(snapshot: Snapshot<'a>, node: &Key<'_>) -> Option<&'a str> {
    let package = snapshot.workspace.packages.iter().find(|package| key(package) == *node)?;
    Some(package.name.as_str())
}

/// A node's two fingerprints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprints {
    /// Of its library and programs.
    pub build: Digest,
    /// Of that, and of its tests, benches, examples, data and dev-dependencies.
    pub check: Digest,
}

/// The fingerprints of every node of `side`.
#[must_use]
pub fn digest<'a>(side: &Side<'a>) -> BTreeMap<Key<'a>, Fingerprints> {
    let everyone = [everyone(side, Level::Build), everyone(side, Level::Check)];
    let build = build_digests(side, &side.graph, &everyone[0]);
    side.graph
        .keys()
        .map(|node| {
            let mut hasher = hash(&side.components[node], Level::Check);
            hasher.field(build[node].as_bytes()).field(everyone[1].as_bytes());
            for (used, _) in side.graph[node].iter().filter(|(_, kind)| *kind == DependencyKind::Dev) {
                hasher.field(used.identity().as_bytes()).field(build[used].as_bytes());
            }
            (*node, Fingerprints { build: build[node], check: hasher.finish() })
        })
        .collect()
}

/// The build fingerprint of `node` where only what `graph` holds counts: a part of the side's graph that `node` reaches.
#[must_use]
pub fn build<'a>(side: &Side<'a>, graph: &Graph<'a>, node: &Key<'a>) -> Option<Digest> {
    build_digests(side, graph, &everyone(side, Level::Build)).get(node).copied()
}

/// By node: the digest of what is its own and of what counts for everybody; none where a part of it has no name.
#[must_use]
pub fn contents<'a>(side: &Side<'a>) -> BTreeMap<Key<'a>, Option<Digest>> {
    let all = everyone(side, Level::Build);
    let unknown = |components: &Components<'_>| {
        components.values().any(|(level, value)| *level == Level::Build && value.is_unknown())
    };
    let nameless = unknown(&side.everyone) || side.unowned.values().any(Value::is_unknown);
    let content = |own: &Components<'_>| {
        let mut hasher = hash(own, Level::Build);
        hasher.field(all.as_bytes());
        (!nameless && !unknown(own)).then(|| hasher.finish())
    };
    side.components.iter().map(|(node, own)| (*node, content(own))).collect()
}

/// The digest of what belongs to no package, and so counts for every member.
#[must_use]
pub fn nobodys(side: &Side<'_>) -> Digest {
    everyone(side, Level::Build)
}

/// The digest of what counts for every member.
fn everyone(side: &Side<'_>, level: Level) -> Digest {
    let mut hasher = hash(&side.everyone, level);
    for (path, value) in side.unowned.iter().filter(|_| level == Level::Build) {
        hasher.field(path.as_bytes());
        feed(&mut hasher, value);
    }
    hasher.finish()
}

/// The build fingerprints, dependencies first.
fn build_digests<'a>(side: &Side<'a>, graph: &Graph<'a>, everyone: &Digest) -> BTreeMap<Key<'a>, Digest> {
    let needs = |node: &Key<'a>| -> BTreeSet<Key<'a>> {
        let edges = graph[node].iter().filter(|(_, kind)| *kind == DependencyKind::Build);
        edges.map(|(used, _)| *used).collect()
    };
    let mut users: BTreeMap<Key<'a>, Vec<Key<'a>>> = BTreeMap::new();
    let mut missing: BTreeMap<Key<'a>, usize> = BTreeMap::new();
    for node in graph.keys() {
        let needs = needs(node);
        missing.insert(*node, needs.len());
        needs.into_iter().for_each(|used| users.entry(used).or_default().push(*node));
    }
    let mut digests = BTreeMap::new();
    let mut ready: Vec<Key<'a>> = missing.iter().filter(|(_, n)| **n == 0).map(|(node, _)| *node).collect();
    while let Some(node) = ready.pop() {
        digests.insert(node, build_digest(side, graph, &node, everyone, &digests));
        for user in users.get(&node).into_iter().flatten() {
            if let Some(missing) = missing.get_mut(user) {
                *missing -= 1;
                if *missing == 0 {
                    ready.push(*user);
                }
            }
        }
    }
    // What is left runs in a circle, which cargo refuses: each counts for all.
    let left: Vec<Key<'a>> = graph.keys().filter(|node| !digests.contains_key(node)).copied().collect();
    let mut circle = Hasher::new(RECIPE);
    for node in &left {
        circle.field(build_digest(side, graph, node, everyone, &digests).as_bytes());
    }
    digests.extend(left.into_iter().map(|node| (node, circle.finish())));
    digests
}

fn build_digest<'a>(
    side: &Side<'a>,
    graph: &Graph<'a>,
    node: &Key<'a>,
    everyone: &Digest,
    digests: &BTreeMap<Key<'a>, Digest>,
) -> Digest {
    let mut hasher = hash(&side.components[node], Level::Build);
    hasher.field(node.identity().as_bytes());
    if matches!(node, Key::Member(_)) {
        hasher.field(everyone.as_bytes());
    }
    for (used, _) in graph[node].iter().filter(|(_, kind)| *kind == DependencyKind::Build) {
        let digest = digests.get(used).map(|digest| *digest.as_bytes()).unwrap_or_default();
        hasher.field(used.identity().as_bytes()).field(&digest);
    }
    hasher.finish()
}

fn hash(components: &Components<'_>, wanted: Level) -> Hasher {
    let mut hasher = Hasher::new(RECIPE);
    for (component, (_, value)) in components.iter().filter(|(_, (level, _))| *level == wanted) {
        let (kind, name): (&str, &[u8]) = match component {
            Component::File(path) => ("file", path.as_bytes()),
            Component::Manifest(key) => ("manifest", key.as_bytes()),
            Component::Setting(key) => ("setting", key.as_bytes()),
            Component::Checksum => ("checksum", b""),
            Component::Beyond => ("beyond", b""),
        };
        hasher.field(kind.as_bytes()).field(name);
        feed(&mut hasher, value);
    }
    hasher
}

fn feed(hasher: &mut Hasher, value: &Value<'_>) {
    match value {
        Value::File(mode, id) => hasher.field(&[*mode as u8]).field(id.as_bytes()),
        Value::Bytes(bytes) => hasher.field(bytes),
    };
}

//! Two sides of a comparison to the members that differ, each with every reason.

use std::collections::{BTreeMap, BTreeSet};

use crate::cause::{Cause, CauseKind, change, differences, moved};
use crate::facts::path::RepoPath;
use crate::facts::workspace::{DependencyKind, Level};
use crate::fingerprint::{Side, Value};
use crate::graph::{Edges, Key};

/// A cause, and the way from where it is to the member.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason<'a> {
    /// How many dependencies lie between.
    pub distance: usize,
    /// What changed.
    pub cause: Cause,
    /// From the node that the cause belongs to, to the member; at least the member.
    pub chain: Vec<Key<'a>>,
}

/// The answer.
#[derive(Debug, Default)]
pub struct Affected<'a> {
    /// By node: what changed of its own.
    causes: BTreeMap<Key<'a>, BTreeSet<Cause>>,
    /// What changed for every member.
    pub everyone: BTreeSet<Cause>,
    /// The later side's edges.
    graph: BTreeMap<Key<'a>, Edges<'a>>,
    /// By node whose library or programs differ: how far from a cause.
    build: BTreeMap<Key<'a>, usize>,
}

/// Whether a member is affected, and how far from the nearest cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Its library or programs differ.
    pub build: bool,
    /// Something that its tests or lints can see differs.
    pub check: bool,
    /// Dependencies between it and the nearest cause, when it is affected.
    pub distance: Option<usize>,
}

/// Gives both sides the same unowned paths, as far as both have them: a path that one side gives to somebody counts for
/// everyone all the same when its content differs, and for nobody when it does not.
pub fn settle_unowned<'a>(
    base: &mut Side<'a>,
    head: &mut Side<'a>,
    in_base: &dyn Fn(&RepoPath) -> Option<Value<'a>>,
    in_head: &dyn Fn(&RepoPath) -> Option<Value<'a>>,
) {
    let paths: BTreeSet<&'a RepoPath> = base.unowned.keys().chain(head.unowned.keys()).copied().collect();
    for path in paths {
        if base.unowned.contains_key(path) == head.unowned.contains_key(path) {
            continue;
        }
        match (in_base(path), in_head(path)) {
            (Some(before), Some(after)) if before == after => {
                base.unowned.remove(path);
                head.unowned.remove(path);
            }
            (Some(before), Some(after)) => {
                base.unowned.insert(path, before);
                head.unowned.insert(path, after);
            }
            _ => {}
        }
    }
}

/// Compares the sides.
#[must_use]
pub fn compare<'a>(base: &Side<'a>, head: &Side<'a>) -> Affected<'a> {
    let mut causes: BTreeMap<Key<'a>, BTreeSet<Cause>> = BTreeMap::new();
    for (node, components) in &head.components {
        let own = match base.components.get(node) {
            Some(before) => {
                let mut own = differences(before, components);
                own.extend(moved(base.graph.get(node), head.graph.get(node)));
                own
            }
            None if matches!(node, Key::Member(_)) => {
                let what = node.to_string();
                [Cause { kind: CauseKind::Member, what, change: "added".into(), level: Level::Build }].into()
            }
            // Who uses it has another edge, and that is the reason.
            None => BTreeSet::new(),
        };
        if !own.is_empty() {
            causes.insert(*node, own);
        }
    }
    let mut everyone = differences(&base.everyone, &head.everyone);
    let paths: BTreeSet<_> = base.unowned.keys().chain(head.unowned.keys()).collect();
    for path in paths {
        let (before, after) = (base.unowned.get(*path), head.unowned.get(*path));
        if before != after {
            let change = change(before.is_some(), after.is_some()).to_owned();
            everyone.insert(Cause { kind: CauseKind::Unowned, what: path.to_string(), change, level: Level::Build });
        }
    }
    Affected::spread(causes, everyone, head.graph.clone())
}

/// Everyone, because of one cause: for a base that cannot be read.
#[must_use]
pub fn all<'a>(head: &Side<'a>, why: &str) -> Affected<'a> {
    let cause = Cause { kind: CauseKind::Base, what: "base".into(), change: why.to_owned(), level: Level::Build };
    Affected::spread(BTreeMap::new(), [cause].into(), head.graph.clone())
}

impl<'a> Affected<'a> {
    /// Carries the causes along the edges.
    fn spread(
        causes: BTreeMap<Key<'a>, BTreeSet<Cause>>,
        everyone: BTreeSet<Cause>,
        graph: BTreeMap<Key<'a>, Edges<'a>>,
    ) -> Self {
        let builds = |causes: &BTreeSet<Cause>| causes.iter().any(|cause| cause.level == Level::Build);
        let mut users: BTreeMap<Key<'a>, Vec<Key<'a>>> = BTreeMap::new();
        for (node, edges) in &graph {
            for (used, _) in edges.iter().filter(|(_, kind)| *kind == DependencyKind::Build) {
                users.entry(*used).or_default().push(*node);
            }
        }
        let seeds = graph.keys().filter(|node| {
            causes.get(*node).is_some_and(builds) || (matches!(node, Key::Member(_)) && builds(&everyone))
        });
        let mut build: BTreeMap<Key<'a>, usize> = seeds.map(|node| (*node, 0)).collect();
        let mut wave: Vec<Key<'a>> = build.keys().copied().collect();
        let mut distance = 0;
        while !wave.is_empty() {
            distance += 1;
            let next = wave.iter().filter_map(|node| users.get(node)).flatten().copied().collect::<BTreeSet<_>>();
            wave = next.into_iter().filter(|user| !build.contains_key(user)).collect();
            build.extend(wave.iter().map(|user| (*user, distance)));
        }
        Self { causes, everyone, graph, build }
    }

    /// The verdict on a member.
    #[must_use]
    pub fn verdict(&self, member: &Key<'a>) -> Verdict {
        let build = self.build.get(member).copied();
        let own = (self.causes.contains_key(member) || !self.everyone.is_empty()).then_some(0);
        let dev = self.edges(member).filter(|(_, kind)| *kind == DependencyKind::Dev);
        let dev = dev.filter_map(|(used, _)| self.build.get(used)).min().map(|distance| distance + 1);
        let distance = [build, own, dev].into_iter().flatten().min();
        Verdict { build: build.is_some(), check: distance.is_some(), distance }
    }

    fn edges(&self, node: &Key<'a>) -> impl Iterator<Item = &(Key<'a>, DependencyKind)> {
        self.graph.get(node).into_iter().flatten()
    }

    /// The edges between nodes of which both are affected at `level`: (user, used, kind).
    pub fn affected_edges(&self) -> impl Iterator<Item = (Key<'a>, Key<'a>, DependencyKind)> + '_ {
        self.graph.iter().flat_map(|(user, edges)| edges.iter().map(|(used, kind)| (*user, *used, *kind))).filter(
            |(user, used, kind)| {
                let user = *kind == DependencyKind::Dev || self.build.contains_key(user);
                user && self.build.contains_key(used)
            },
        )
    }

    /// What changed of a node's own.
    pub fn causes_of(&self, node: &Key<'a>) -> impl Iterator<Item = &Cause> {
        self.causes.get(node).into_iter().flatten()
    }

    /// The nodes that something of their own changed for.
    pub fn origins(&self) -> impl Iterator<Item = (&Key<'a>, &BTreeSet<Cause>)> {
        self.causes.iter()
    }

    /// Every reason why `member` is affected at `level`, the nearest first, each by the shortest way.
    #[must_use]
    pub fn reasons(&self, member: Key<'a>, level: Level) -> Vec<Reason<'a>> {
        let counts = |cause: &&Cause, own: bool| cause.level == Level::Build || (own && level == Level::Check);
        let mut reasons: Vec<Reason<'a>> = self
            .everyone
            .iter()
            .filter(|cause| counts(cause, true))
            .map(|cause| Reason { distance: 0, cause: cause.clone(), chain: vec![member] })
            .collect();
        for chain in self.dependencies(member, level) {
            let Some(node) = chain.first() else { continue };
            for cause in self.causes_of(node).filter(|cause| counts(cause, chain.len() == 1)) {
                let mut cause = cause.clone();
                if let (Key::Locked(_), "checksum") = (node, cause.what.as_str()) {
                    cause.what = format!("{node} checksum");
                }
                reasons.push(Reason { distance: chain.len() - 1, cause, chain: chain.clone() });
            }
        }
        reasons.sort();
        reasons
    }

    /// The member, and everything that it depends on at `level`: each with the shortest way from there to the member.
    #[must_use]
    pub fn dependencies(&self, member: Key<'a>, level: Level) -> Vec<Vec<Key<'a>>> {
        let mut seen: BTreeSet<Key<'a>> = [member].into();
        let mut chains = vec![vec![member]];
        let mut next = 0;
        while let Some(chain) = chains.get(next).cloned() {
            next += 1;
            let Some(node) = chain.first() else { continue };
            let wanted =
                |kind: DependencyKind| kind == DependencyKind::Build || (chain.len() == 1 && level == Level::Check);
            for (used, _) in self.edges(node).filter(|(_, kind)| wanted(*kind)) {
                if seen.insert(*used) {
                    chains.push([&[*used], chain.as_slice()].concat());
                }
            }
        }
        chains
    }
}

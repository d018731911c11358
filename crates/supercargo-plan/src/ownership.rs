//! Whose file is it: for every path, the packages whose results it can change, or nobody known.

use std::collections::{BTreeMap, BTreeSet};

use crate::claims::{Claim, Files};
use crate::facts::Snapshot;
use crate::facts::policy::{Affects, Policy};
use crate::facts::tree::{PathId, Tree};
use crate::facts::workspace::Level;
use crate::location::{by_location, is_nobodys};

/// Whom each path of a tree reaches.
#[derive(Debug, Default)]
pub struct Ownership {
    /// By position in `Workspace::packages`: the files that count for it.
    pub packages: Vec<Files>,
    /// Paths that a rule gives to members, or to all: (path, the rule's position).
    pub ruled: BTreeMap<PathId, usize>,
    /// Paths that nobody owns and no rule names.
    pub unowned: Vec<PathId>,
    /// Which rules matched something.
    pub matched: Vec<bool>,
}

/// Finds whom each path reaches, from the `claims` of every package's sources.
#[must_use]
pub fn resolve(snapshot: Snapshot<'_>, claims: Vec<Files>, policy: &Policy) -> Ownership {
    let (tree, workspace) = (snapshot.tree, snapshot.workspace);
    let (located, elsewhere) = by_location(snapshot);
    let known = |files: &Files| -> Vec<PathId> {
        files.iter().filter(|(_, claim)| !claim.guess).map(|(path, _)| *path).collect()
    };
    let claimed: BTreeSet<PathId> = claims.iter().flat_map(known).collect();
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
        } else if is_nobodys(path, owner.map(|n| &workspace.packages[n]), workspace) {
            continue;
        } else if let Some(owner) = owner {
            ownership.packages[owner].insert(id, Claim { level: Level::Check, guess: false });
        } else if !claimed.contains(&id) {
            ownership.unowned.push(id);
        }
    }
    for setting in workspace.settings.iter().filter(|setting| policy.decides(setting)) {
        let path = setting.path.as_ref();
        let rule = path.and_then(|path| policy.rules.iter().position(|rule| rule.matches(path)));
        if let Some((rule, id)) = rule.zip(path.and_then(|path| tree.find(path.as_bytes()))) {
            ownership.matched[rule] = true;
            ownership.ruled.insert(id, rule);
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

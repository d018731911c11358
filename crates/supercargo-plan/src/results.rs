//! The key of a result: all that can change it, part by part, so that two keys that differ can say why.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use supercargo_artifact::digest::{Digest, Hasher};

use crate::environment::Environment;
use crate::facts::Snapshot;
use crate::facts::path::RepoPath;
use crate::facts::tree::Mode;
use crate::facts::workspace::{DependencyKind, Package};
use crate::fingerprint::{Component, Side};
use crate::graph::{Key, key as key_of};
use crate::plan::{StepId, Subject};

/// The version of the key's recipe: raised whenever the same facts would give another key.
const RECIPE: &str = "supercargo result 1";

/// The text of what gives verdicts: a result that other code found good is not believed.
pub const CODE: &str = concat!(
    include_str!("catalog.rs"),
    include_str!("environment.rs"),
    include_str!("fingerprint.rs"),
    include_str!("plan.rs"),
    include_str!("verdict.rs"),
    include_str!("facts/platform.rs"),
    include_str!("draft.rs"),
    include_str!("results.rs"),
    include_str!("verbs/gate.rs"),
    include_str!("verdicts/mod.rs"),
    include_str!("verdicts/compilation.rs"),
    include_str!("verdicts/runs.rs"),
    include_str!("facts/tools/mod.rs"),
    include_str!("facts/tools/audit.rs"),
    include_str!("facts/tools/cargo.rs"),
    include_str!("facts/tools/libtest.rs"),
    include_str!("facts/tools/nextest.rs"),
    include_str!("facts/tools/rustfmt.rs"),
);

/// What every step of a run depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// The digest of the code that gives verdicts.
    pub code: String,
    /// `rustc -vV` and `cargo -V`.
    pub toolchain: String,
    /// What children get of the environment.
    pub environment: Environment,
    /// Configuration out of the repository, or that git ignores: by a name without absolute path, its digest.
    pub configuration: BTreeMap<String, Digest>,
}

/// The parts of a key, by name. Values are digests: no secret is kept.
pub type Parts = BTreeMap<String, String>;

/// A result that was kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The key that it was kept under.
    pub key: String,
    /// The step.
    pub step: StepId,
    /// The member; none for the workspace.
    pub member: Subject,
    /// Why there was nothing to run; none where it passed.
    pub nothing: Option<String>,
    /// How many tests ran.
    pub tests: Option<usize>,
}

/// Puts the parts of a key together.
#[must_use]
pub fn parts(
    conditions: &Conditions,
    subject: (&StepId, &Subject),
    (command, tool): (&str, &str),
    inputs: &BTreeMap<&str, Digest>,
) -> Parts {
    let mut parts = Parts::new();
    let mut put = |name: String, value: &str| {
        parts.insert(name, Digest::of(value.as_bytes()).to_string());
    };
    put("step".into(), subject.0.as_str());
    put("member".into(), subject.1.as_ref().map_or("", |member| member.as_str()));
    put("command".into(), command);
    put("tool".into(), tool);
    put("code".into(), &conditions.code);
    put("toolchain".into(), &conditions.toolchain);
    for (name, value) in &conditions.environment.counted {
        put(format!("${name}"), &value.map_or_else(|| "absent".to_owned(), |digest| format!("set {digest}")));
    }
    for (name, value) in &conditions.configuration {
        put(format!("file {name}"), &value.to_string());
    }
    for (name, value) in inputs {
        put((*name).to_owned(), &value.to_string());
    }
    parts
}

/// The key made of `parts`.
#[must_use]
pub fn key(parts: &Parts) -> Digest {
    let mut hasher = Hasher::new(RECIPE);
    for (name, value) in parts {
        hasher.field(name.as_bytes()).field(value.as_bytes());
    }
    hasher.finish()
}

/// What differs between the key of the last good result and the one now.
#[must_use]
pub fn differences(before: &Parts, now: &Parts) -> Vec<String> {
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != now.get(*name)).cloned().collect()
}

/// The digest of the files that `reads` names; none where git has no name for the content of one.
#[must_use]
pub fn files(snapshot: Snapshot<'_>, reads: &dyn Fn(&RepoPath) -> bool) -> Option<Digest> {
    let mut hasher = Hasher::new("supercargo files 1");
    for (path, entry) in snapshot.tree.iter().filter(|(path, _)| reads(path)) {
        hasher.field(path.as_bytes()).field(&[entry.mode as u8]);
        match snapshot.links.get(path).filter(|_| entry.mode == Mode::Link) {
            Some(target) => hasher.field(target),
            None if entry.id.is_zero() => return None,
            None => hasher.field(entry.id.as_bytes()),
        };
    }
    Some(hasher.finish())
}

/// The members whose content has no name, each with the reason: nothing of theirs can be kept.
#[must_use]
pub fn nameless<'a>(snapshot: Snapshot<'a>, side: &Side<'a>) -> BTreeMap<Key<'a>, String> {
    let unlisted = |package: &&Package| {
        let manifest = package.folder.join(b"Cargo.toml").unwrap_or_default();
        snapshot.tree.find(manifest.as_bytes()).is_none()
    };
    let ignored = snapshot.workspace.packages.iter().filter(unlisted);
    let unknown = |component: &Component<'_>, node: &Key<'_>| match component {
        Component::File(path) => format!("git has no name for the content of {path}"),
        _ => format!("{node} lies out of the repository"),
    };
    let mut everyone = side.everyone.iter().filter(|(_, (_, value))| value.is_unknown());
    let unowned = side.unowned.iter().find(|(_, value)| value.is_unknown());
    let everyones = everyone.next().map(|(component, _)| unknown(component, &Key::Beyond("")));
    let everyones = everyones.or_else(|| unowned.map(|(path, _)| unknown(&Component::File(path), &Key::Beyond(""))));
    let mut found: BTreeMap<Key<'a>, String> =
        ignored.map(|package| (key_of(package), format!("git ignores {}", package.folder))).collect();
    for (node, components) in &side.components {
        let own = components.iter().find(|(_, (_, value))| value.is_unknown());
        let own = own.map(|(component, _)| unknown(component, node));
        let of_all = everyones.clone().filter(|_| matches!(node, Key::Member(_)));
        found.extend(own.or(of_all).map(|why| (*node, why)));
    }
    let mut open: Vec<Key<'a>> = found.keys().copied().collect();
    while let Some(used) = open.pop() {
        let why = found[&used].clone();
        for (user, edges) in &side.graph {
            let uses = |kind| edges.contains(&(used, kind));
            if !found.contains_key(user) && (uses(DependencyKind::Build) || uses(DependencyKind::Dev)) {
                found.insert(*user, why.clone());
                open.push(*user);
            }
        }
    }
    found.retain(|node, _| matches!(node, Key::Member(_)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_what_differs() {
        let mut conditions = Conditions { code: "1".into(), toolchain: "rustc 1".into(), ..Conditions::default() };
        let step = StepId::new("test", None);
        let of = |conditions: &Conditions| parts(conditions, (&step, &None), ("cargo test", ""), &BTreeMap::new());
        let before = of(&conditions);
        conditions.environment.counted.insert("FOO".into(), None);
        let absent = of(&conditions);
        conditions.environment.counted.insert("FOO".into(), Some(Digest::of(b"secret")));
        let set = of(&conditions);
        assert_eq!(differences(&absent, &set), ["$FOO"]);
        assert_eq!(differences(&before, &absent), ["$FOO"]);
        assert_eq!([key(&before), key(&absent), key(&set)].iter().collect::<BTreeSet<_>>().len(), 3);
        assert!(!format!("{set:?}").contains("secret"));
        conditions.toolchain = "rustc 2".into();
        assert_eq!(differences(&set, &of(&conditions)), ["toolchain"]);
    }
}

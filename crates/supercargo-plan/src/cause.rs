//! What differs between two sets of components or edges, each difference as a cause.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::facts::workspace::{DependencyKind, Level};
use crate::fingerprint::{Component, Components, Value};
use crate::graph::{Edges, Key};

/// What kind of thing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CauseKind {
    /// A file.
    File,
    /// A path that nobody owns and no rule names.
    Unowned,
    /// A part of a manifest.
    Manifest,
    /// A setting of the workspace.
    Setting,
    /// A package that resolves to something else, or whose checksum moved.
    Package,
    /// A member that was not there.
    Member,
    /// Something out of the repository, which cannot be compared.
    Beyond,
    /// The base could not be read.
    Base,
}

impl CauseKind {
    /// The word for it in data.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Unowned => "unowned",
            Self::Manifest => "manifest",
            Self::Setting => "setting",
            Self::Package => "package",
            Self::Member => "member",
            Self::Beyond => "beyond",
            Self::Base => "base",
        }
    }
}

/// One thing that changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    /// What kind of thing.
    pub kind: CauseKind,
    /// Its path, key or name.
    pub what: String,
    /// How it changed.
    pub change: String,
    /// What it can change.
    pub level: Level,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            CauseKind::File => write!(f, "{} ({})", self.what, self.change),
            CauseKind::Package => write!(f, "{} {}", self.what, self.change),
            CauseKind::Beyond | CauseKind::Base => write!(f, "{}: {}", self.what, self.change),
            kind => write!(f, "{}: {} ({})", kind.word(), self.what, self.change),
        }
    }
}

pub(crate) fn change(before: bool, after: bool) -> &'static str {
    match (before, after) {
        (false, _) => "added",
        (_, false) => "removed",
        _ => "modified",
    }
}

/// What differs between two sets of components.
pub(crate) fn differences(before: &Components<'_>, after: &Components<'_>) -> BTreeSet<Cause> {
    let mut causes = BTreeSet::new();
    let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
    loop {
        let (left, right) = match (old.peek(), new.peek()) {
            (Some((one, _)), Some((other, _))) => match one.cmp(other) {
                Ordering::Less => (old.next(), None),
                Ordering::Greater => (None, new.next()),
                Ordering::Equal => (old.next(), new.next()),
            },
            (Some(_), None) => (old.next(), None),
            (None, Some(_)) => (None, new.next()),
            (None, None) => return causes,
        };
        let (before, after) = (left.map(|(_, value)| value), right.map(|(_, value)| value));
        if let (Some((key, _)), true) = (left.or(right), before != after) {
            causes.insert(difference(key, before, after));
        }
    }
}

fn difference(key: &Component<'_>, before: Option<&(Level, Value<'_>)>, after: Option<&(Level, Value<'_>)>) -> Cause {
    let level = before.into_iter().chain(after).map(|(level, _)| *level).min().unwrap_or(Level::Build);
    let same_value = before.zip(after).is_some_and(|(before, after)| before.1 == after.1);
    let change = if same_value { "now counts otherwise" } else { change(before.is_some(), after.is_some()) };
    let (kind, what) = match key {
        Component::File(path) => (CauseKind::File, path.to_string()),
        Component::Manifest(key) => (CauseKind::Manifest, (*key).to_owned()),
        Component::Setting(key) => (CauseKind::Setting, (*key).to_owned()),
        Component::Checksum => (CauseKind::Package, "checksum".to_owned()),
        Component::Beyond => {
            let change = "lies out of the repository, so its changes cannot be seen".to_owned();
            return Cause { kind: CauseKind::Beyond, what: "path dependency".to_owned(), change, level };
        }
    };
    Cause { kind, what, change: change.to_owned(), level }
}

/// Edges that lead elsewhere, by the name of what they lead to.
pub(crate) fn moved<'a>(before: Option<&Edges<'a>>, after: Option<&Edges<'a>>) -> BTreeSet<Cause> {
    let empty = Edges::new();
    let (before, after) = (before.unwrap_or(&empty), after.unwrap_or(&empty));
    type Ends<'a> = BTreeMap<(String, Level), [Vec<Key<'a>>; 2]>;
    let mut ends: Ends<'a> = BTreeMap::new();
    for (n, (these, those)) in [(before, after), (after, before)].into_iter().enumerate() {
        for (used, kind) in these.difference(those) {
            let name = match used {
                Key::Locked(id) => id.name.clone(),
                other => other.to_string(),
            };
            let level = if *kind == DependencyKind::Dev { Level::Check } else { Level::Build };
            ends.entry((name, level)).or_default()[n].push(*used);
        }
    }
    ends.into_iter()
        .map(|((what, level), [old, new])| Cause { kind: CauseKind::Package, what, change: journey(&old, &new), level })
        .collect()
}

/// `1.0.10 -> 1.0.11`.
fn journey(old: &[Key<'_>], new: &[Key<'_>]) -> String {
    let version = |key: &Key<'_>| match key {
        Key::Locked(id) => id.version.clone(),
        _ => "path".to_owned(),
    };
    let source = |key: &Key<'_>| match key {
        Key::Locked(id) => format!("{} from {}", id.version, id.source.as_deref().unwrap_or("a path")),
        _ => "path".to_owned(),
    };
    let list = |keys: &[Key<'_>], show: &dyn Fn(&Key<'_>) -> String| match keys {
        [] => "none".to_owned(),
        keys => keys.iter().map(show).collect::<Vec<_>>().join(", "),
    };
    match (list(old, &version), list(new, &version)) {
        (old_shown, new_shown) if old_shown == new_shown => format!("{} -> {}", list(old, &source), list(new, &source)),
        (old, new) => format!("{old} -> {new}"),
    }
}

//! The answer to «whom does this change touch», ready to be shown in any form.

use std::collections::BTreeMap;

use crate::affected::{Affected, Verdict};
use crate::catalog::cargo_spec;
use crate::facts::lock::Lock;
use crate::facts::workspace::{Level, MemberName, Package, Workspace};
use crate::fingerprint::Fingerprints;
use crate::graph::{Key, key};

/// What was compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// The base, as asked.
    pub base: String,
    /// The base's commit, when it could be read.
    pub base_commit: Option<String>,
    /// Where base and head parted, when the base could be read.
    pub merge_base: Option<String>,
    /// The head, as asked; none for the working tree.
    pub head: Option<String>,
    /// The commit that is compared, or that the working tree stands on.
    pub head_commit: Option<String>,
    /// The platform whose edges alone count.
    pub target: Option<String>,
}

/// The fingerprints of one side's nodes.
pub type Prints<'a> = BTreeMap<Key<'a>, Fingerprints>;

/// The answer.
pub struct Answer<'a> {
    /// What was compared.
    pub compared: Compared,
    /// The set that was asked for.
    pub set: Level,
    /// The workspace as it is now.
    pub workspace: &'a Workspace,
    /// Its lockfile.
    pub lock: Option<&'a Lock>,
    /// What differs.
    pub affected: Affected<'a>,
    /// The fingerprints of the base's side and of the head's, when asked for.
    pub prints: [Option<Prints<'a>>; 2],
}

/// A member and the verdict on it.
#[derive(Clone, Copy)]
pub struct Member<'a> {
    /// The member.
    pub package: &'a Package,
    /// The verdict.
    pub verdict: Verdict,
}

impl<'a> Answer<'a> {
    /// Every member, by name.
    #[must_use]
    pub fn members(&self) -> Vec<Member<'a>> {
        let verdict = |package: &'a Package| Member { package, verdict: self.affected.verdict(&key(package)) };
        let mut members: Vec<_> = self.workspace.members().map(verdict).collect();
        members.sort_by(|one, other| one.package.name.cmp(&other.package.name));
        members
    }

    /// Whether the set that was asked for holds a member.
    #[must_use]
    pub fn holds(&self, member: &Member<'_>) -> bool {
        match self.set {
            Level::Build => member.verdict.build,
            Level::Check => member.verdict.check,
        }
    }

    /// The members of the set that was asked for, by name.
    #[must_use]
    pub fn selected(&self) -> Vec<Member<'a>> {
        self.members().into_iter().filter(|member| self.holds(member)).collect()
    }

    /// Cargo's `-p` for a member: by name, and by version where another package is called so too.
    #[must_use]
    pub fn cargo_argument(&self, name: &MemberName) -> String {
        format!("-p {}", cargo_spec(self.workspace, self.lock, name))
    }
}

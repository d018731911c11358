//! What a program is made from: the facts, what is asked, and each program for a target before anything is known of it.

use std::collections::{BTreeMap, BTreeSet};

use supercargo_artifact::digest::Digest;

use crate::catalog::Tools;
use crate::facts::Snapshot;
use crate::facts::closure::Closures;
use crate::facts::policy::Policy;
use crate::facts::shipping::Ship;
use crate::facts::workspace::MemberName;
use crate::fingerprint::Side;
use crate::graph::Key;
use crate::linking::Choice;
use crate::plan::{StepId, Subject};
use crate::programs::Program;
use crate::results::{self, Conditions, Parts};

/// The name of cargo's configuration among what results depend on.
pub const CONFIGURATION: &str = "cargo's configuration";

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The programs.
    pub programs: Vec<Program>,
    /// The targets.
    pub targets: Vec<String>,
    /// The profile.
    pub profile: String,
    /// How many jobs run side by side.
    pub jobs: usize,
    /// Whether each program is to be started.
    pub smoke: bool,
    /// Whether everything is built twice, and compared.
    pub twice: bool,
}

/// What is known of one target.
#[derive(Clone, Debug, Default)]
pub struct Ground {
    /// Whether its standard library is missing.
    pub missing: bool,
    /// The flags that cargo's configuration has for it.
    pub flags: Vec<String>,
    /// The flags that compilers of C get for it besides ours: by variable.
    pub c_flags: BTreeMap<String, String>,
    /// The linker that cargo's configuration has for it.
    pub linker: Option<String>,
    /// What runs its programs: none for this machine itself, else the emulator, or why there is none.
    pub emulator: Option<Result<String, String>>,
}

/// The facts that builds are planned from.
pub struct Facts<'a> {
    /// The repository.
    pub snapshot: Snapshot<'a>,
    /// The policy.
    pub policy: &'a Policy,
    /// What is asked for.
    pub asked: &'a Asked,
    /// What is installed.
    pub tools: &'a Tools,
    /// Whether the toolchain is rustup's.
    pub rustup: bool,
    /// The folder of rustc's commit in the paths of the standard library.
    pub commit: Option<&'a str>,
    /// What every program depends on.
    pub conditions: &'a Conditions,
    /// The components of everything.
    pub side: &'a Side<'a>,
    /// Members whose content has no name.
    pub nameless: &'a BTreeMap<Key<'a>, String>,
    /// What is linked into the programs.
    pub closures: &'a Closures,
    /// By target.
    pub grounds: &'a BTreeMap<String, Ground>,
    /// Whether cargo's configuration has folders in place of packages.
    pub overrides: bool,
    /// What stands for folders of the machine, those that lie in others after them.
    pub folders: &'a [&'static str],
    /// Whether one of them has a space in its name.
    pub spaced: bool,
    /// With `--affected`: what was asked, and the members that differ.
    pub affected: Option<(&'a str, &'a BTreeSet<MemberName>)>,
}

/// What a program is made from, as far as cargo must be told that it changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// The digest of what counts for every package: variables, and configuration and files out of the repository.
    pub everyone: String,
    /// What links it and what wraps the compiler, with versions.
    pub tools: String,
    /// By name: the digest of the content of the repository's own packages; none for content that has no name.
    pub packages: BTreeMap<String, Option<Digest>>,
}

/// A program for a target, before anything is known of the store.
pub struct Draft<'a> {
    /// The name of its step.
    pub id: StepId,
    /// The program.
    pub program: &'a Program,
    /// The target.
    pub target: &'a str,
    /// What links it.
    pub choice: Choice,
    /// What that says of its version.
    pub linker: String,
    /// The features that are on, as policy says.
    pub ship: Ship,
    /// Path dependencies out of the workspace: cargo has their folders in the names that it makes, and so programs differ
    /// from folder to folder.
    pub outside: Vec<String>,
    /// Why it is left out.
    pub skip: Option<String>,
    /// The parts of its key; or why nothing is kept of it.
    pub parts: Result<Parts, String>,
    /// What cargo must be told of, where it changed.
    pub inputs: Inputs,
}

impl Draft<'_> {
    /// The build key.
    #[must_use]
    pub fn key(&self) -> Option<Digest> {
        self.parts.as_ref().ok().map(results::key)
    }

    /// The member, as the subject of its step.
    #[must_use]
    pub fn member(&self) -> Subject {
        Some(self.program.package.clone())
    }
}

//! The workspace as its manifests make it: members, the path crates they reach, targets, dependencies, settings.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::path::RepoPath;

/// The name of a member of the workspace, as cargo's `-p` takes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemberName(String);

impl MemberName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for MemberName {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which of a member's two results something can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Its library and programs, and so whoever depends on it.
    Build,
    /// Only its own tests, benches, examples and lints.
    Check,
}

/// A package: a member, or a path crate of the repository that members reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// The package's name.
    pub name: MemberName,
    /// Its version.
    pub version: String,
    /// The folder of its manifest.
    pub folder: RepoPath,
    /// Whether it is a member of the workspace.
    pub member: bool,
    /// Whether cargo takes it for the workspace when no package is named.
    pub default: bool,
    /// Whether it may be published.
    pub publish: bool,
    /// The oldest Rust that it says it compiles with.
    pub rust_version: Option<String>,
    /// What its manifest says, part by part, inherited values filled in.
    pub manifest: Vec<ManifestPart>,
    /// Where its targets start.
    pub targets: Vec<Target>,
    /// What it depends on.
    pub dependencies: Vec<Dependency>,
    /// Its features, each with what it brings.
    pub features: BTreeMap<String, Vec<String>>,
    /// `package.metadata.supercargo`.
    pub policy: Value,
}

/// One part of a manifest, such as `features` or `dependencies.serde`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestPart {
    /// Its key.
    pub key: String,
    /// Its value, or what stands for it: two that differ make a difference.
    pub value: String,
    /// What it can change.
    pub level: Level,
}

/// What a target is, as far as it matters to whom a file belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    /// A library or program.
    Product,
    /// The build script.
    BuildScript,
    /// A test, bench or example.
    Check,
}

/// A target and the file where it starts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Target {
    /// What it is.
    pub kind: TargetKind,
    /// Its first source file.
    pub source: RepoPath,
    /// Its name, as cargo's `--bin` or `--test` takes it.
    pub name: String,
    /// Whether it is the package's library, a procedural macro too.
    pub library: bool,
    /// Whether its documentation has tests that are run.
    pub doctest: bool,
    /// Whether `cargo test` tests it when no target is named.
    pub test: bool,
    /// Whether `cargo doc` documents it when no target is named.
    pub doc: bool,
    /// The features without which cargo passes it over.
    pub required_features: Vec<String>,
}

/// What a dependency is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DependencyKind {
    /// Its library and programs, or its build script.
    Build,
    /// Its tests, benches and examples.
    Dev,
}

/// A declared dependency: every platform, optional or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dependency {
    /// The package's name, past any renaming.
    pub name: String,
    /// The version requirement.
    pub requirement: String,
    /// What it is for.
    pub kind: DependencyKind,
    /// Where it lies, for a path dependency.
    pub place: Option<Place>,
}

/// Where a path dependency lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In this folder of the repository.
    Inside(RepoPath),
    /// Out of the repository, seen from its top.
    Beyond(String),
}

/// Something that governs packages without belonging to one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its key, such as `profile.dev`; the path, for a file.
    pub key: String,
    /// Its value in one spelling.
    pub value: String,
    /// What it can change.
    pub level: Level,
    /// Whom it governs.
    pub scope: Scope,
    /// The file that it is, where it is a whole file.
    pub path: Option<RepoPath>,
}

/// Whom a setting governs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Every member.
    Everyone,
    /// Every package of this name, also of a registry.
    Named(String),
    /// Every package that uses one of this name.
    Users(String),
    /// Every package that is not a member.
    Dependencies,
    /// The packages in or below this folder.
    Below(RepoPath),
}

/// The workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// The folder of the root manifest.
    pub root: RepoPath,
    /// Members, and path crates that they reach, sorted by folder.
    pub packages: Vec<Package>,
    /// What governs them.
    pub settings: Vec<Setting>,
    /// Folders that `[patch]` puts in a package's place: (name, where).
    pub patches: Vec<(String, Place)>,
    /// `workspace.metadata.supercargo`.
    pub policy: Value,
}

impl Workspace {
    /// The members, sorted by folder.
    pub fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.member)
    }

    /// The package whose manifest lies in `folder`.
    #[must_use]
    pub fn at(&self, folder: &RepoPath) -> Option<&Package> {
        self.packages.binary_search_by(|package| package.folder.cmp(folder)).ok().map(|n| &self.packages[n])
    }
}

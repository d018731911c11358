//! What exactly is linked into a program for one target: packages, features and edges, as guppy resolves them.

use std::collections::{BTreeMap, BTreeSet};

use guppy::PackageId;
use guppy::graph::cargo::CargoSet;
use guppy::graph::feature::{FeatureId, FeatureLabel, StandardFeatures};
use guppy::graph::{BuildTargetId, PackageGraph, PackageMetadata};
use serde::{Deserialize, Serialize};
use supercargo_artifact::digest::Hasher;

use super::platform::{self, Kept};
use super::workspace::{MemberName, Workspace};
use crate::problem::Problem;

/// Build-dependencies that compile or find libraries of C, C++ or assembly.
const COMPILERS: [&str; 14] = [
    "autotools",
    "cc",
    "cmake",
    "cpp_build",
    "cxx-build",
    "gcc",
    "meson",
    "metadeps",
    "nasm-rs",
    "openssl-src",
    "pkg-config",
    "pkgconf",
    "system-deps",
    "vcpkg",
];

/// Those of them that are for C++.
const PLUS_PLUS: [&str; 2] = ["cpp_build", "cxx-build"];

/// A member whose programs are built, and how.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// The member.
    pub member: MemberName,
    /// The features that are on.
    pub features: Vec<String>,
    /// Whether the default ones are on besides.
    pub default_features: bool,
}

/// A package, and why it is taken to compile or link what is no Rust.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Native {
    /// `name version`.
    pub package: String,
    /// Why.
    pub why: String,
    /// Whether its build script speaks of C++, whose library only zig brings.
    pub plus_plus: bool,
}

/// A package that may compile or link what is no Rust; its build script has the last word.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Scripted {
    /// `name version`.
    package: String,
    /// The build-dependency that compiles, where it has one.
    compiler: Option<String>,
    /// What its manifest says of `links`.
    links: String,
    /// The absolute path of the build script; none where it has none.
    script: Option<String>,
}

/// What is linked into the programs of one member for one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closure {
    /// The member.
    pub member: MemberName,
    /// The target.
    pub target: String,
    /// The edges, (user, used), as places in [`Closures::packages`].
    edges: Vec<(u32, u32)>,
    /// The digest of the packages with their features, on the target and on the host that compiles them.
    pub digest: String,
    /// The packages that compile or link what is no Rust.
    pub native: Vec<Native>,
    #[serde(skip)]
    scripted: Vec<Scripted>,
}

/// What is linked into all programs that are asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closures {
    /// Every package that is named: (name, version).
    packages: Vec<(String, String)>,
    /// By member and target.
    closures: Vec<Closure>,
    /// Folders of `$CARGO_HOME/registry/src` that sources lie in.
    pub registries: BTreeSet<String>,
    /// Whether sources of other people lie in the workspace: cargo takes them for what never changes.
    pub vendored: bool,
    /// Folders of sources that lie neither there nor in the workspace, as vendored ones may, with `name-version`.
    pub elsewhere: BTreeMap<String, String>,
}

impl Closures {
    /// The closure of a member for a target.
    #[must_use]
    pub fn of(&self, member: &MemberName, target: &str) -> Option<&Closure> {
        self.closures.iter().find(|closure| closure.member == *member && closure.target == target)
    }

    /// The edges of a closure, by names and versions.
    #[must_use]
    pub fn kept(&self, closure: &Closure) -> Kept {
        let name = |n: u32| self.packages.get(n as usize).map(|(name, version)| (name.as_str(), version.as_str()));
        let mut kept = Kept::default();
        for (user, used) in closure.edges.iter().filter_map(|(user, used)| name(*user).zip(name(*used))) {
            kept.insert(user, used);
        }
        kept
    }

    /// The build scripts that have the last word.
    #[must_use]
    pub fn scripts(&self) -> BTreeSet<&str> {
        let scripted = self.closures.iter().flat_map(|closure| &closure.scripted);
        scripted.filter_map(|scripted| scripted.script.as_deref()).collect()
    }

    /// Decides what [`Closures::scripts`] left open, by their texts: one that has no compiler and speaks of no library to
    /// be linked uses `links` to pass values on, or to be there once.
    pub fn settle(&mut self, texts: &BTreeMap<String, String>) {
        for closure in &mut self.closures {
            for scripted in std::mem::take(&mut closure.scripted) {
                let text = scripted.script.as_ref().map(|script| texts.get(script));
                let says = |words: &[&str]| match text {
                    None => false,
                    Some(None) => true,
                    Some(Some(text)) => words.iter().any(|word| text.contains(word)),
                };
                let why = match &scripted.compiler {
                    Some(compiler) => format!("build-dependency on {compiler}"),
                    None if says(&["rustc-link", "rustc-flags"]) => format!("links = {:?}", scripted.links),
                    None => continue,
                };
                let plus_plus = scripted.compiler.as_deref().is_some_and(|compiler| PLUS_PLUS.contains(&compiler))
                    || says(&["cpp(true)", "c++", ".cpp", ".cxx", ".cc\"", "cpp_link", "std(\"c++"]);
                closure.native.push(Native { package: scripted.package, why, plus_plus });
            }
            closure.native.sort_by(|one, other| one.package.cmp(&other.package));
        }
    }
}

/// Resolves the closure of each of `wanted` for each of `targets`, compiled on `host`. `metadata` is cargo's, full, with
/// every feature on.
///
/// # Errors
/// When a member or a target is none, or the metadata makes no graph.
pub fn parse(
    metadata: &str,
    wanted: &[Wanted],
    targets: &[String],
    host: &str,
    workspace: &Workspace,
) -> Result<Closures, Problem> {
    let graph = platform::graph(metadata)?;
    let mut places: BTreeMap<&PackageId, u32> = BTreeMap::new();
    let mut closures = Closures::default();
    for wanted in wanted {
        for target in targets {
            let built = resolve(&graph, wanted, (target, host), workspace)?;
            let closure = closure(&built, wanted, target, &mut |package| {
                *places.entry(package.id()).or_insert_with(|| {
                    closures.packages.push((package.name().to_owned(), package.version().to_string()));
                    u32::try_from(closures.packages.len() - 1).unwrap_or(u32::MAX)
                })
            });
            closures.closures.push(closure);
        }
    }
    closures.registries = graph.packages().filter_map(|package| registry(package.manifest_path().as_str())).collect();
    let root = graph.workspace().root();
    for package in graph.packages().filter(|package| package.source().is_external()) {
        let manifest = package.manifest_path();
        closures.vendored |= manifest.starts_with(root);
        let ours = manifest.starts_with(root) || registry(manifest.as_str()).is_some();
        if let Some(folder) = manifest.parent().filter(|_| !ours && !manifest.as_str().contains("/git/checkouts/")) {
            closures.elsewhere.insert(folder.to_string(), format!("{}-{}", package.name(), package.version()));
        }
    }
    Ok(closures)
}

/// The folder of `registry/src` that a manifest lies in.
fn registry(manifest: &str) -> Option<String> {
    let (_, rest) = manifest.rsplit_once("/registry/src/")?;
    rest.split('/').next().map(str::to_owned)
}

fn resolve<'g>(
    graph: &'g PackageGraph,
    wanted: &Wanted,
    (target, host): (&str, &str),
    workspace: &Workspace,
) -> Result<CargoSet<'g>, Problem> {
    let no_graph = |error: guppy::Error| platform::no_graph(&error);
    let member = graph.workspace().member_by_name(wanted.member.as_str()).map_err(no_graph)?;
    let standard = if wanted.default_features { StandardFeatures::Default } else { StandardFeatures::None };
    let mut features = member.to_feature_set(standard);
    for name in &wanted.features {
        // An optional dependency is a feature of its own name, unless `dep:` hides it.
        let labels = [FeatureLabel::Named(name), FeatureLabel::OptionalDependency(name)];
        let ids = labels.map(|label| FeatureId::new(member.id(), label));
        let known = ids.into_iter().find(|id| graph.feature_graph().metadata(*id).is_ok()).ok_or_else(|| {
            let what = format!("`{}` has no feature `{name}`, which its policy asks for", wanted.member);
            let manifest = workspace.members().find(|member| member.name == wanted.member);
            let manifest = manifest.and_then(|member| member.folder.join(b"Cargo.toml")).unwrap_or_default();
            Problem::mend(what, format!("$EDITOR {manifest}"))
        })?;
        features = features.union(&graph.feature_graph().resolve_ids([known]).map_err(no_graph)?);
    }
    let mut options = platform::options(workspace);
    options
        .set_include_dev(false)
        .set_target_platform(platform::platform(target)?)
        .set_host_platform(platform::platform(host)?);
    features.into_cargo_set(&options).map_err(no_graph)
}

fn closure<'g>(
    built: &CargoSet<'g>,
    wanted: &Wanted,
    target: &str,
    place: &mut dyn FnMut(PackageMetadata<'g>) -> u32,
) -> Closure {
    let mut edges: Vec<(u32, u32)> = platform::links(built)
        .map(|link| {
            let (from, to) = link.endpoints();
            (place(from), place(to))
        })
        .collect();
    edges.sort_unstable();
    edges.dedup();
    let mut lines: Vec<String> = Vec::new();
    for (side, set) in [("target", built.target_features()), ("host", built.host_features())] {
        for list in set.packages_with_features(guppy::graph::DependencyDirection::Forward) {
            let package = list.package();
            let labels: Vec<String> = list.labels().iter().map(|label| label.to_string()).collect();
            // A checkout's own folder is in no digest.
            let source = if package.source().is_external() { package.source().to_string() } else { String::new() };
            lines.push(format!("{side} {} {} {source} {}", package.name(), package.version(), labels.join(" ")));
        }
    }
    lines.sort();
    let mut digest = Hasher::new("supercargo closure 1");
    for line in &lines {
        digest.field(line.as_bytes());
    }
    let (member, target, digest) = (wanted.member.clone(), target.to_owned(), digest.finish().to_string());
    Closure { member, target, edges, digest, native: Vec::new(), scripted: scripted(built) }
}

/// What is linked in and may be no Rust.
fn scripted(built: &CargoSet<'_>) -> Vec<Scripted> {
    let mut compilers: BTreeMap<&PackageId, &str> = BTreeMap::new();
    for link in built.build_dep_links() {
        let (from, to) = link.endpoints();
        if COMPILERS.contains(&to.name()) && built.target_features().contains_package(from.id()).unwrap_or(true) {
            compilers.entry(from.id()).or_insert(to.name());
        }
    }
    let linked = built.target_features().to_package_set();
    let packages = linked.packages(guppy::graph::DependencyDirection::Forward);
    let scripted = packages.filter_map(|package| {
        let compiler = compilers.get(package.id()).map(|compiler| (*compiler).to_owned());
        let links = package.links();
        let script = package.build_target(&BuildTargetId::BuildScript).map(|script| script.path().to_string());
        (compiler.is_some() || links.is_some()).then(|| Scripted {
            package: format!("{} {}", package.name(), package.version()),
            compiler,
            links: links.unwrap_or_default().to_owned(),
            script,
        })
    });
    scripted.collect()
}

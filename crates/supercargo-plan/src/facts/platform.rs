//! Full `cargo metadata` to what one platform has of it, edges and features: the only file that knows guppy.

use std::collections::{BTreeMap, BTreeSet};

use guppy::graph::cargo::{CargoOptions, CargoResolverVersion, CargoSet, InitialsPlatform};
use guppy::graph::feature::{FeatureId, FeatureLabel, FeatureSet, StandardFeatures};
use guppy::graph::{PackageGraph, PackageLink, PackageMetadata};
use guppy::platform::{Platform, PlatformSpec, TargetFeatures};
use guppy::{CargoMetadata, PackageId};
use supercargo_artifact::digest::{Digest, Hasher};

use super::checks::Features;
use super::workspace::{MemberName, Workspace};
use crate::problem::Problem;

/// Which (user, used) pairs of (name, version) a narrower resolution keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept(BTreeSet<[(String, String); 2]>);

impl Kept {
    /// Keeps the edge from `user` to `used`, each a name and a version.
    pub fn insert(&mut self, user: (&str, &str), used: (&str, &str)) {
        self.0.insert([user, used].map(|(name, version)| (name.to_owned(), version.to_owned())));
    }

    /// Whether the edge is kept.
    #[must_use]
    pub fn holds(&self, user: (&str, &str), used: (&str, &str)) -> bool {
        self.0.contains(&[user, used].map(|(name, version)| (name.to_owned(), version.to_owned())))
    }
}

/// The edges of every member's closure when the members are built and tested, all features on, for `triple`; what runs
/// while compiling may run on any platform.
///
/// # Errors
/// When nobody knows the triple, or the metadata makes no graph.
pub fn parse(metadata: &str, triple: &str, workspace: &Workspace) -> Result<Kept, Problem> {
    let platform = platform(triple)?;
    let graph = graph(metadata)?;
    let mut options = options(workspace);
    options.set_target_platform(platform).set_host_platform(PlatformSpec::Any);
    let members = graph.resolve_workspace().to_feature_set(StandardFeatures::All);
    let built = members.into_cargo_set(&options).map_err(|error| no_graph(&error))?;
    let mut kept = Kept::default();
    for link in links(&built) {
        let (from, to) = link.endpoints();
        kept.insert((from.name(), &from.version().to_string()), (to.name(), &to.version().to_string()));
    }
    Ok(kept)
}

pub(super) fn platform(triple: &str) -> Result<Platform, Problem> {
    Platform::new(triple.to_owned(), TargetFeatures::Unknown).map_err(|error| {
        Problem::usage(format!("no target is called `{triple}`: {error}"), "rustc --print target-list")
    })
}

pub(super) fn no_graph(error: &guppy::Error) -> Problem {
    Problem::mend(format!("the dependencies make no graph: {error}"), "cargo metadata --format-version 1 --locked")
}

pub(super) fn graph(metadata: &str) -> Result<PackageGraph, Problem> {
    CargoMetadata::parse_json(metadata).and_then(CargoMetadata::build_graph).map_err(|error| no_graph(&error))
}

/// Members built and tested as the workspace's resolver has it.
pub(super) fn options<'a>(workspace: &Workspace) -> CargoOptions<'a> {
    let mut options = CargoOptions::new();
    options
        .set_resolver(if unifies(workspace) { CargoResolverVersion::V1 } else { CargoResolverVersion::V2 })
        .set_include_dev(true);
    options
}

pub(super) fn links<'g>(built: &CargoSet<'g>) -> impl Iterator<Item = PackageLink<'g>> {
    built.target_links().chain(built.host_links()).chain(built.build_dep_links()).chain(built.proc_macro_links())
}

/// Whether the workspace's resolver unifies features across platforms and kinds.
fn unifies(workspace: &Workspace) -> bool {
    let resolver = workspace.settings.iter().find(|setting| setting.key == "resolver");
    resolver.is_none_or(|setting| setting.value == super::manifest::canonical(&"1".into()))
}

/// What decides how each selected member's dependencies, and it, are compiled on this platform: the features that the
/// packages of its closure have when `selection` (all members, for none) is built at once, and when it is tested at
/// once. `metadata` is of all features, else what is chosen may be missing in it.
///
/// # Errors
/// When a selected member is none, nobody knows this platform, or the metadata makes no graph.
pub fn features(
    metadata: &str,
    selection: Option<&[MemberName]>,
    chosen: &Features,
    workspace: &Workspace,
) -> Result<BTreeMap<MemberName, Digest>, Problem> {
    let graph = graph(metadata)?;
    let members = selected(&graph, selection)?;
    let here = Platform::build_target().map_err(|error| {
        Problem::mend(format!("the dependencies of this platform are unknown: {error}"), "rustc --version --verbose")
    })?;
    let mut options = options(workspace);
    // A procedural macro's own tests run on the target.
    options.set_platform(platform(here.triple_str())?).set_initials_platform(InitialsPlatform::ProcMacrosOnTarget);
    let [asked, beside] = requested(&graph, &members, chosen).map_err(|error| no_graph(&error))?;
    let resolve = |options: &CargoOptions<'_>| {
        CargoSet::new(asked.clone(), beside.clone(), options).map_err(|error| no_graph(&error))
    };
    let tested = resolve(&options)?;
    let built = resolve(options.set_include_dev(false))?;
    let mut lines: Vec<(Digest, &PackageId)> =
        graph.packages().map(|package| (line(package, &[&tested, &built]), package.id())).collect();
    lines.sort();
    let closures = Closures::new(&lines, &tested);
    let digest = |member: &PackageMetadata<'_>| {
        let reached = closures.of(member.id());
        let digests: Vec<u8> = reached.into_iter().flat_map(|n| lines[n].0.as_bytes()[..16].to_vec()).collect();
        Hasher::new("supercargo features 1").field(&digests).finish()
    };
    Ok(members.iter().map(|member| (MemberName::from(member.name()), digest(member))).collect())
}

/// The members that `-p`, or `--workspace`, means.
fn selected<'g>(
    graph: &'g PackageGraph,
    selection: Option<&[MemberName]>,
) -> Result<Vec<PackageMetadata<'g>>, Problem> {
    let workspace = graph.workspace();
    let Some(names) = selection else { return Ok(workspace.iter().collect()) };
    let member = |name: &MemberName| {
        workspace.member_by_name(name.as_str()).map_err(|_| {
            Problem::usage(format!("no member is called `{name}`"), "cargo metadata --no-deps --format-version 1")
        })
    };
    names.iter().map(member).collect()
}

/// The features that the members start with; and those that are named of packages that they depend on, which may not be
/// built at all.
fn requested<'g>(
    graph: &'g PackageGraph,
    members: &[PackageMetadata<'g>],
    chosen: &'g Features,
) -> Result<[FeatureSet<'g>; 2], guppy::Error> {
    let standard = if *chosen == Features::All { StandardFeatures::All } else { StandardFeatures::Default };
    let packages = graph.resolve_ids(members.iter().map(PackageMetadata::id))?;
    let named = match chosen {
        Features::Named(named) => named.as_slice(),
        Features::Default | Features::All => &[],
    };
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for feature in named.iter().flat_map(|features| features.split([',', ' '])) {
        let Some((package, feature)) = feature.split_once('/') else {
            own.extend(members.iter().map(|member| FeatureId::new(member.id(), FeatureLabel::Named(feature))));
            continue;
        };
        let (package, weak) = package.strip_suffix('?').map_or((package, false), |package| (package, true));
        for member in members {
            if member.name() == package {
                own.push(FeatureId::new(member.id(), FeatureLabel::Named(feature)));
            }
            for link in member.direct_links().filter(|link| link.dep_name() == package) {
                others.push(FeatureId::new(link.to().id(), FeatureLabel::Named(feature)));
                let on = [FeatureLabel::OptionalDependency(package), FeatureLabel::Named(package)];
                own.extend(on.into_iter().filter(|_| !weak).map(|label| FeatureId::new(member.id(), label)));
            }
        }
    }
    // Where a member has no such feature, cargo passes it over; where none has, it says so itself.
    let features = graph.feature_graph();
    let known = |ids: Vec<FeatureId<'g>>| {
        features.resolve_ids(ids.into_iter().filter(|id| features.metadata(*id).is_ok()).collect::<BTreeSet<_>>())
    };
    Ok([packages.to_feature_set(standard).union(&known(own)?), known(others)?])
}

/// A package and its features on the target and on the host, in each of `sets`.
fn line(package: PackageMetadata<'_>, sets: &[&CargoSet<'_>]) -> Digest {
    let mut line = format!("{} {} {}", package.name(), package.version(), package.in_workspace());
    for set in sets {
        for side in [set.target_features(), set.host_features()] {
            line.push('\n');
            let Ok(Some(features)) = side.features_for(package.id()) else { continue };
            for label in features.labels() {
                line.push_str(&format!("{label} "));
            }
        }
    }
    Digest::of(line.as_bytes())
}

/// What packages use, packages by their place in a list.
struct Closures<'a> {
    places: BTreeMap<&'a PackageId, usize>,
    /// What each uses wherever it is used.
    uses: Vec<BTreeSet<usize>>,
    /// What only its own tests use.
    tests: Vec<BTreeSet<usize>>,
}

impl<'a> Closures<'a> {
    fn new(list: &[(Digest, &'a PackageId)], set: &CargoSet<'_>) -> Self {
        let places: BTreeMap<&PackageId, usize> = list.iter().enumerate().map(|(n, (_, id))| (*id, n)).collect();
        let (mut uses, mut tests) = (vec![BTreeSet::new(); list.len()], vec![BTreeSet::new(); list.len()]);
        for link in links(set) {
            let (from, to) = link.endpoints();
            if let (Some(from), Some(to)) = (places.get(from.id()), places.get(to.id())) {
                if link.dev_only() { &mut tests[*from] } else { &mut uses[*from] }.insert(*to);
            }
        }
        Self { places, uses, tests }
    }

    /// What a member and its tests use, and it: their places.
    fn of(&self, member: &PackageId) -> BTreeSet<usize> {
        let Some(start) = self.places.get(member) else { return BTreeSet::new() };
        let mut open: Vec<usize> = self.tests[*start].iter().chain([start]).copied().collect();
        let mut reached: BTreeSet<usize> = open.iter().copied().collect();
        while let Some(next) = open.pop() {
            open.extend(self.uses[next].iter().filter(|used| reached.insert(**used)));
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::facts::workspace::{Level, Scope, Setting};

    /// One use of a package: its name, what for, and the features that are asked of it.
    type Use<'a> = (&'a str, Option<&'a str>, &'a [&'a str]);

    fn id(root: &str, name: &str) -> String {
        match name.strip_prefix("member-") {
            Some(_) => format!("path+file://{root}/{name}#0.1.0"),
            None => format!("registry+https://github.com/rust-lang/crates.io-index#{name}@0.1.0"),
        }
    }

    fn package(root: &str, name: &str, uses: &[Use<'_>]) -> Value {
        let registry = |name: &str| {
            let member = name.starts_with("member-");
            (!member).then_some("registry+https://github.com/rust-lang/crates.io-index")
        };
        let dependency = |(used, kind, features): &Use<'_>| {
            let path = registry(used).is_none().then(|| format!("{root}/{used}"));
            json!({
                "name": used, "source": registry(used), "req": "*", "kind": kind, "rename": null, "optional": false,
                "uses_default_features": true, "features": features, "target": null, "registry": null, "path": path,
            })
        };
        let target = |kind: &str, crate_type: &str, file: &str| {
            json!({
                "kind": [kind], "crate_types": [crate_type], "name": name.replace('-', "_"), "edition": "2021",
                "src_path": format!("{root}/{name}/{file}"), "doc": true, "doctest": true, "test": true,
            })
        };
        json!({
            "name": name, "version": "0.1.0", "id": id(root, name), "source": registry(name), "license": null,
            "license_file": null, "description": null, "authors": [], "categories": [], "keywords": [], "readme": null,
            "repository": null, "homepage": null, "documentation": null, "edition": "2021", "metadata": null,
            "links": null, "publish": null, "default_run": null, "rust_version": null,
            "manifest_path": format!("{root}/{name}/Cargo.toml"),
            "dependencies": uses.iter().map(dependency).collect::<Vec<_>>(),
            "targets": [target("lib", "lib", "src/lib.rs"), target("custom-build", "bin", "build.rs")],
            "features": { "default": ["std"], "std": [], "extra": [] },
        })
    }

    /// The metadata of `packages`, those called `member-..` in the workspace.
    fn metadata(root: &str, packages: &[(&str, &[Use<'_>])]) -> String {
        let node = |(name, uses): &(&str, &[Use<'_>])| {
            let kinds = |used: &str| -> Vec<Value> {
                let kinds = uses.iter().filter(|(name, ..)| *name == used);
                kinds.map(|(_, kind, _)| json!({ "kind": kind, "target": null })).collect()
            };
            let used: BTreeSet<&str> = uses.iter().map(|(used, ..)| *used).collect();
            let dependencies: Vec<String> = used.iter().map(|used| id(root, used)).collect();
            let deps = used
                .iter()
                .map(|used| json!({ "name": used.replace('-', "_"), "pkg": id(root, used), "dep_kinds": kinds(used) }));
            json!({
                "id": id(root, name), "dependencies": dependencies, "deps": deps.collect::<Vec<_>>(),
                "features": ["default", "std"],
            })
        };
        let names = packages.iter().map(|(name, _)| *name);
        let members: Vec<String> =
            names.filter(|name| name.starts_with("member-")).map(|name| id(root, name)).collect();
        let listed = packages.iter().map(|(name, uses)| package(root, name, uses));
        json!({
            "packages": listed.collect::<Vec<_>>(), "workspace_members": members, "workspace_default_members": members,
            "resolve": { "nodes": packages.iter().map(node).collect::<Vec<_>>(), "root": null },
            "target_directory": format!("{root}/target"), "version": 1, "workspace_root": root, "metadata": null,
        })
        .to_string()
    }

    fn resolver(version: &str) -> Workspace {
        let value = super::super::manifest::canonical(&version.into());
        let setting =
            Setting { key: "resolver".into(), value, level: Level::Build, scope: Scope::Everyone, path: None };
        Workspace { settings: vec![setting], ..Workspace::default() }
    }

    /// A workspace where `one` and `two` share a package, of which `two` wants `features`, as `kind` of dependency.
    fn sharing(root: &str, kind: Option<&str>, features: &[&str]) -> String {
        metadata(
            root,
            &[
                ("member-one", &[("between", None, &[])]),
                ("member-two", &[("shared", kind, features)]),
                ("member-three", &[("member-two", Some("dev"), &[])]),
                ("member-four", &[("apart", None, &[])]),
                ("between", &[("shared", None, &[])]),
                ("shared", &[]),
                ("apart", &[]),
            ],
        )
    }

    fn digests(
        metadata: &str,
        selection: Option<&[&str]>,
        chosen: &Features,
        version: &str,
    ) -> BTreeMap<String, Digest> {
        let selection: Option<Vec<MemberName>> =
            selection.map(|names| names.iter().map(|name| MemberName::from(*name)).collect());
        let found = features(metadata, selection.as_deref(), chosen, &resolver(version)).unwrap();
        found.into_iter().map(|(name, digest)| (name.to_string(), digest)).collect()
    }

    /// The members whose digests differ between two workspaces.
    fn differ(before: &str, after: &str, selection: Option<&[&str]>, version: &str) -> Vec<String> {
        let [before, after] = [before, after].map(|text| digests(text, selection, &Features::Default, version));
        assert!(before.keys().eq(after.keys()));
        before.into_iter().filter(|(name, digest)| after[name] != *digest).map(|(name, _)| name).collect()
    }

    #[test]
    fn a_sibling_that_drops_a_feature_changes_who_shares_the_package() {
        let [with, without] = [&["extra"][..], &[]].map(|features| sharing("/w", None, features));
        assert_eq!(differ(&with, &without, None, "2"), ["member-one", "member-three", "member-two"]);
        assert_eq!(differ(&with, &without, None, "1"), ["member-one", "member-three", "member-two"]);
        let both = ["member-one", "member-two"];
        assert_eq!(differ(&with, &without, Some(&both), "2"), both);
        // Alone, nobody else asks for features.
        assert_eq!(differ(&with, &without, Some(&["member-one"]), "2"), [""; 0]);
    }

    #[test]
    fn what_tests_and_build_scripts_of_siblings_ask_for_counts() {
        let [with, without] = [&["extra"][..], &[]].map(|features| sharing("/w", Some("dev"), features));
        assert_eq!(differ(&with, &without, None, "2"), ["member-one", "member-two"]);
        let [with, without] = [&["extra"][..], &[]].map(|features| sharing("/w", Some("build"), features));
        // What the host's has counts for who uses only the target's, too.
        assert_eq!(differ(&with, &without, None, "2"), ["member-one", "member-three", "member-two"]);
        // A feature that only the tests still ask for is gone where nothing is tested.
        let uses = |uses: &[Use<'_>]| {
            metadata("/w", &[("member-one", &[("shared", None, &[])]), ("member-two", uses), ("shared", &[])])
        };
        let [both, tests] = [&["extra"][..], &[]]
            .map(|features| uses(&[("shared", None, features), ("shared", Some("dev"), &["extra"])]));
        assert_eq!(differ(&both, &tests, None, "2"), ["member-one", "member-two"]);
    }

    #[test]
    fn where_the_workspace_lies_is_no_matter() {
        let [here, there] = ["/w", "/somewhere/else"].map(|root| sharing(root, None, &["extra"]));
        assert_eq!(differ(&here, &there, None, "2"), [""; 0]);
    }

    #[test]
    fn features_that_are_chosen() {
        let plain = sharing("/w", None, &[]);
        let of = |chosen: &Features, selection: Option<&[&str]>| digests(&plain, selection, chosen, "2");
        let default = of(&Features::Default, None);
        let changed = |chosen: &Features| -> Vec<String> {
            of(chosen, None)
                .into_iter()
                .filter(|(name, digest)| default[name] != *digest)
                .map(|(name, _)| name)
                .collect()
        };
        let named = |name: &str| Features::Named(vec![name.to_owned()]);
        let all = ["member-four", "member-one", "member-three", "member-two"];
        assert_eq!(changed(&Features::All), all);
        assert_eq!(changed(&named("extra")), all);
        assert_eq!(of(&named("extra"), None), of(&Features::All, None));
        assert_eq!(changed(&named("default")), [""; 0]);
        assert_eq!(changed(&named("none-such")), [""; 0]);
        assert_eq!(changed(&named("member-two/extra")), ["member-three", "member-two"]);
        assert_eq!(changed(&named("std,member-four/extra")), ["member-four"]);
        // A feature of a dependency, by whose name a selected member knows it.
        assert_eq!(changed(&named("shared/extra")), ["member-one", "member-three", "member-two"]);
        let four: &[&str] = &["member-four"];
        assert_eq!(of(&named("shared/extra"), Some(four)), of(&Features::Default, Some(four)));
    }

    #[test]
    fn a_selected_member_must_be_one() {
        let missing = features(
            &sharing("/w", None, &[]),
            Some(&[MemberName::from("shared")]),
            &Features::Default,
            &Workspace::default(),
        );
        assert_eq!(missing.unwrap_err().what, "no member is called `shared`");
    }
}

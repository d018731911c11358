//! Full `cargo metadata` to the edges that one platform has: the only file of this crate that knows guppy.

use std::collections::BTreeSet;

use guppy::CargoMetadata;
use guppy::graph::cargo::{CargoOptions, CargoResolverVersion};
use guppy::graph::feature::StandardFeatures;
use guppy::platform::{Platform, PlatformSpec, TargetFeatures};

use super::workspace::Workspace;
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
    let platform = Platform::new(triple.to_owned(), TargetFeatures::Unknown).map_err(|error| {
        Problem::usage(format!("no target is called `{triple}`: {error}"), "rustc --print target-list")
    })?;
    let no_graph = |error: guppy::Error| {
        Problem::mend(format!("the dependencies make no graph: {error}"), "cargo metadata --format-version 1 --locked")
    };
    let graph = CargoMetadata::parse_json(metadata).and_then(CargoMetadata::build_graph).map_err(no_graph)?;
    let mut options = CargoOptions::new();
    options
        .set_resolver(if unifies(workspace) { CargoResolverVersion::V1 } else { CargoResolverVersion::V2 })
        .set_include_dev(true)
        .set_target_platform(platform)
        .set_host_platform(PlatformSpec::Any);
    let members = graph.resolve_workspace().to_feature_set(StandardFeatures::All);
    let built = members.into_cargo_set(&options).map_err(no_graph)?;
    let mut kept = Kept::default();
    let links =
        built.target_links().chain(built.host_links()).chain(built.build_dep_links()).chain(built.proc_macro_links());
    for link in links {
        let (from, to) = (link.from(), link.to());
        kept.insert((from.name(), &from.version().to_string()), (to.name(), &to.version().to_string()));
    }
    Ok(kept)
}

/// Whether the workspace's resolver unifies features across platforms and kinds.
fn unifies(workspace: &Workspace) -> bool {
    let resolver = workspace.settings.iter().find(|setting| setting.key == "resolver");
    resolver.is_none_or(|setting| setting.value == super::manifest::canonical(&"1".into()))
}

//! Path crates of the repository that are no members: cargo's metadata leaves them out, their manifests do not.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::manifest;
use super::path::RepoPath;
use super::workspace::{
    Dependency, DependencyKind, Level, ManifestPart, MemberName, Package, Place, Target, TargetKind,
};

/// Adds the path crates of the repository that packages reach without being members.
///
/// # Errors
/// When a manifest on the way is broken.
pub fn add<'t>(
    packages: &mut BTreeMap<RepoPath, Package>,
    patches: &[(String, Place)],
    table: &dyn Fn(&RepoPath) -> Result<&'t Value, String>,
) -> Result<(), String> {
    let declared = packages.values().flat_map(|package| &package.dependencies).filter_map(|d| d.place.clone());
    let mut wanted: BTreeSet<Place> = declared.chain(patches.iter().map(|(_, place)| place.clone())).collect();
    while let Some(place) = wanted.pop_first() {
        let Place::Inside(folder) = place else { continue };
        if packages.contains_key(&folder) {
            continue;
        }
        let Some(package) = outside(&folder, table)? else { continue };
        wanted.extend(package.dependencies.iter().filter_map(|dependency| dependency.place.clone()));
        packages.insert(folder, package);
    }
    Ok(())
}

/// A path crate that is no member, from its own manifest and that of its own workspace's root.
fn outside<'t>(
    folder: &RepoPath,
    table: &dyn Fn(&RepoPath) -> Result<&'t Value, String>,
) -> Result<Option<Package>, String> {
    let written = table(folder)?;
    let Some(name) = written["package"]["name"].as_str() else { return Ok(None) };
    let mut root = (folder.clone(), &Value::Null);
    for ancestor in folder.ancestors().map(RepoPath::new) {
        let candidate = table(&ancestor)?;
        if candidate["workspace"].is_object() {
            root = (ancestor, &candidate["workspace"]);
            break;
        }
    }
    let inherits = manifest::canonical(written).contains("workspace:true");
    let dependencies = manifest::path_dependencies(written, Some(root.1)).into_iter().map(|dependency| Dependency {
        name: dependency.name,
        requirement: dependency.requirement,
        kind: DependencyKind::Build,
        place: dependency.path.map(|path| {
            let from = if dependency.from_root { &root.0 } else { folder };
            from.join(path.as_bytes()).map_or(Place::Beyond(path), Place::Inside)
        }),
    });
    let version = match &written["package"]["version"] {
        Value::String(version) => version.clone(),
        _ => root.1["package"]["version"].as_str().unwrap_or("0.0.0").to_owned(),
    };
    let mut parts = vec![("manifest", manifest::canonical(written))];
    if inherits {
        parts.push(("workspace", manifest::canonical(root.1)));
    }
    let build_script = written["package"]["build"].as_str().unwrap_or("build.rs");
    let target = |kind, path: &str| {
        let source = folder.join(path.as_bytes())?;
        let library = kind == TargetKind::Product;
        let name = if library { name.replace('-', "_") } else { "build-script-build".to_owned() };
        // No check runs its targets: cargo's defaults will do.
        let (doctest, test, doc) = (library, library, library);
        Some(Target { kind, source, name, library, doctest, test, doc, required_features: Vec::new() })
    };
    let library = target(TargetKind::Product, written["lib"]["path"].as_str().unwrap_or("src/lib.rs"));
    Ok(Some(Package {
        name: MemberName::from(name),
        version,
        folder: folder.clone(),
        member: false,
        default: false,
        publish: !["false", "[]"].contains(&written["package"]["publish"].to_string().as_str()),
        rust_version: written["package"]["rust-version"].as_str().map(str::to_owned),
        manifest: parts
            .into_iter()
            .map(|(key, value)| ManifestPart { key: key.to_owned(), value, level: Level::Build })
            .collect(),
        targets: library.into_iter().chain(target(TargetKind::BuildScript, build_script)).collect(),
        dependencies: dependencies.collect(),
        features: BTreeMap::new(),
        policy: Value::Null,
    }))
}

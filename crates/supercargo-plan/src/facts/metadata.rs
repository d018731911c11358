//! `cargo metadata --no-deps`, and what it leaves out of the manifests, to the workspace.

use std::collections::BTreeMap;

use serde_json::Value;
use supercargo_artifact::digest::{Digest, Hasher};

use super::path::RepoPath;
use super::tree::{Mode, Tree};
use super::workspace::{
    Dependency, DependencyKind, Level, ManifestPart, MemberName, Package, Place, Scope, Setting, Target, TargetKind,
    Workspace,
};
use super::{configuration, manifest, outside, policy};

/// How the absolute paths in cargo's answer lead back into the repository.
pub struct Origin<'a> {
    /// The absolute folder that stands for the repository's top.
    pub top: &'a str,
}

impl Origin<'_> {
    /// Where an absolute path lies.
    #[must_use]
    pub fn place(&self, absolute: &str) -> Place {
        match absolute.strip_prefix(self.top) {
            Some("") => Place::Inside(RepoPath::default()),
            // Cargo leaves `..` in the paths of targets.
            Some(rest) if rest.starts_with('/') => {
                let inside = RepoPath::default().join(rest.as_bytes());
                inside.map_or_else(|| Place::Beyond(self.seen_from_top(absolute)), Place::Inside)
            }
            _ => Place::Beyond(self.seen_from_top(absolute)),
        }
    }

    fn seen_from_top(&self, absolute: &str) -> String {
        let top: Vec<&str> = self.top.split('/').collect();
        let path: Vec<&str> = absolute.split('/').collect();
        let common = top.iter().zip(&path).take_while(|(a, b)| a == b).count();
        let mut seen = vec![".."; top.len() - common];
        seen.extend(&path[common..]);
        seen.join("/")
    }
}

/// Manifests and settings files by path: what [`parse`] needs beside metadata.
pub type Texts = BTreeMap<RepoPath, Vec<u8>>;

/// Manifests and settings files, parsed: TOML's value, or why it is none and the text.
pub type Tables = BTreeMap<RepoPath, Result<Value, (String, String)>>;

/// Parses manifests and settings files.
#[must_use]
pub fn tables(texts: &Texts) -> Tables {
    let parse = |text: &Vec<u8>| {
        manifest::parse(text).map_err(|error| (error, String::from_utf8_lossy(text).trim().to_owned()))
    };
    texts.iter().map(|(path, text)| (path.clone(), parse(text))).collect()
}

/// Parses `cargo metadata --no-deps`, and from `tables` what that leaves out.
///
/// # Errors
/// One sentence: what could not be understood.
pub fn parse(metadata: &[u8], tables: &Tables, origin: &Origin<'_>) -> Result<Workspace, String> {
    let metadata: Value = serde_json::from_slice(metadata).map_err(|error| format!("cargo's metadata: {error}"))?;
    let Place::Inside(root) = origin.place(metadata["workspace_root"].as_str().unwrap_or_default()) else {
        return Err("the workspace's root is not in this repository".to_owned());
    };
    let table = |folder: &RepoPath| -> Result<&Value, String> {
        let path = folder.join(b"Cargo.toml").unwrap_or_default();
        match tables.get(&path) {
            None => Ok(&Value::Null),
            Some(Ok(table)) => Ok(table),
            Some(Err((why, _))) => Err(format!("{path}: {why}")),
        }
    };
    let root_table = table(&root)?;
    let mut packages = BTreeMap::new();
    // An old cargo does not name them: then all are.
    let defaults = metadata["workspace_default_members"].as_array();
    for listed in list(&metadata["packages"]) {
        let mut package = member(listed, origin);
        package.default = defaults.is_none_or(|defaults| defaults.contains(&listed["id"]));
        let unlisted = manifest::unlisted(table(&package.folder)?, root_table);
        let part = |(key, value, level): (String, String, Level)| ManifestPart { key, value: digest(&value), level };
        package.manifest.extend(unlisted.into_iter().map(part));
        packages.insert(package.folder.clone(), package);
    }
    let mut settings = manifest::root_settings(root_table);
    let patched = |patch: &Value, from: &RepoPath| -> Vec<(String, Place)> {
        let place = |path: String| {
            let inside = from.join(path.as_bytes()).filter(|_| !path.starts_with('/'));
            inside.map_or(Place::Beyond(path), Place::Inside)
        };
        manifest::patch_paths(patch).into_iter().map(|(name, path)| (name, place(path))).collect()
    };
    let mut patches = patched(&root_table["patch"], &root);
    for (path, table) in tables {
        if let Some((level, folder)) = governs(path) {
            let everyone = root.below(&folder).is_some();
            if is_cargo_config(path) && everyone {
                let config = table.clone().unwrap_or_default();
                settings.extend(manifest::patch_settings(&config["patch"]));
                patches.extend(patched(&config["patch"], &folder));
            }
            let scope = if everyone { Scope::Everyone } else { Scope::Below(folder) };
            let value = match table {
                Ok(table) if is_cargo_config(path) => manifest::canonical(&configuration::counted(table)),
                Ok(table) => manifest::canonical(table),
                Err((_, text)) => text.clone(),
            };
            settings.push(Setting { key: path.to_string(), value, level, scope, path: Some(path.clone()) });
        }
    }
    outside::add(&mut packages, &patches, &table)?;
    let policy = metadata["metadata"][policy::TABLE].clone();
    Ok(Workspace { root, packages: packages.into_values().collect(), settings, patches, policy })
}

/// The folder, and what, that the file at `path` governs when it is a settings file.
#[must_use]
pub fn governs(path: &RepoPath) -> Option<(Level, RepoPath)> {
    let folder = path.parent();
    match path.name() {
        b"rust-toolchain" | b"rust-toolchain.toml" => Some((Level::Build, folder)),
        b"config" | b"config.toml" if folder.name() == b".cargo" => Some((Level::Build, folder.parent())),
        b"nextest.toml" if folder.name() == b".config" => Some((Level::Check, folder.parent())),
        b"clippy.toml" | b".clippy.toml" | b"rustfmt.toml" | b".rustfmt.toml" | b"deny.toml" => {
            Some((Level::Check, folder))
        }
        _ => None,
    }
}

fn is_cargo_config(path: &RepoPath) -> bool {
    path.parent().name() == b".cargo"
}

/// A value by its digest: it is only ever compared, and half of a SHA-256 is more than enough for that.
fn digest(value: &str) -> String {
    Digest::of(value.as_bytes()).to_string()[..32].to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A member, from its entry in metadata. Read by hand: into types of every field, it takes three times as long.
fn member(listed: &Value, origin: &Origin<'_>) -> Package {
    let place = |absolute: &str| match origin.place(absolute) {
        Place::Inside(path) => path,
        Place::Beyond(path) => RepoPath::from(path.as_str()),
    };
    let targets = list(&listed["targets"]).iter().map(|listed| target(listed, place(text(&listed["src_path"]))));
    let dependencies = list(&listed["dependencies"]).iter().map(|dependency| Dependency {
        name: text(&dependency["name"]).to_owned(),
        requirement: text(&dependency["req"]).to_owned(),
        kind: if dependency["kind"] == "dev" { DependencyKind::Dev } else { DependencyKind::Build },
        place: dependency["path"].as_str().map(|path| origin.place(path)),
    });
    Package {
        name: MemberName::from(text(&listed["name"])),
        version: text(&listed["version"]).to_owned(),
        folder: place(text(&listed["manifest_path"])).parent(),
        member: true,
        default: true,
        publish: listed["publish"].as_array().is_none_or(|registries| !registries.is_empty()),
        rust_version: listed["rust_version"].as_str().map(str::to_owned),
        manifest: parts(listed, origin),
        targets: targets.collect(),
        dependencies: dependencies.collect(),
        features: features(&listed["features"]),
        policy: listed["metadata"][policy::TABLE].clone(),
    }
}

/// Features, each with what it brings.
fn features(listed: &Value) -> BTreeMap<String, Vec<String>> {
    let brings = |value: &Value| list(value).iter().map(|name| text(name).to_owned()).collect();
    listed.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), brings(value))).collect()
}

/// A target of a member, from its entry in metadata.
fn target(listed: &Value, source: RepoPath) -> Target {
    let is_library =
        |kind: &Value| matches!(text(kind), "lib" | "rlib" | "dylib" | "cdylib" | "staticlib" | "proc-macro");
    // An old cargo says less: what it does not rule out is done.
    let is_on = |key: &str| listed[key].as_bool().unwrap_or(true);
    Target {
        kind: match text(&listed["kind"][0]) {
            "custom-build" => TargetKind::BuildScript,
            "test" | "bench" | "example" => TargetKind::Check,
            _ => TargetKind::Product,
        },
        source,
        name: text(&listed["name"]).to_owned(),
        library: list(&listed["kind"]).iter().any(is_library),
        doctest: is_on("doctest"),
        test: is_on("test"),
        doc: is_on("doc"),
        required_features: list(&listed["required-features"]).iter().map(|name| text(name).to_owned()).collect(),
    }
}

/// The parts of a member's resolved manifest.
fn parts(listed: &Value, origin: &Origin<'_>) -> Vec<ManifestPart> {
    let mut parts: BTreeMap<(String, Level), Vec<String>> = BTreeMap::new();
    let mut add = |key: String, level, value: &Value| {
        parts.entry((key, level)).or_default().push(relative(value, origin));
    };
    for (key, value) in listed.as_object().into_iter().flatten() {
        match key.as_str() {
            "id" | "name" | "source" | "manifest_path" => {}
            "dependencies" => {
                for item in value.as_array().into_iter().flatten() {
                    let (table, level) = match item["kind"].as_str() {
                        Some("dev") => ("dev-dependencies", Level::Check),
                        Some("build") => ("build-dependencies", Level::Build),
                        _ => ("dependencies", Level::Build),
                    };
                    let name = item["rename"].as_str().or(item["name"].as_str()).unwrap_or_default();
                    add(format!("{table}.{name}"), level, item);
                }
            }
            "targets" => {
                for item in value.as_array().into_iter().flatten() {
                    let kind = item["kind"][0].as_str().unwrap_or_default();
                    let level = if matches!(kind, "test" | "bench" | "example") { Level::Check } else { Level::Build };
                    add(format!("{kind}.{}", item["name"].as_str().unwrap_or_default()), level, item);
                }
            }
            // Found, not written, where it has one of these names; a README is nobody's unless a source includes it.
            "readme" if matches!(value.as_str(), Some("README.md" | "README.txt" | "README")) => {}
            "publish" | "categories" | "keywords" | "documentation" => add(key.clone(), Level::Check, value),
            _ if *value == Value::Null => {}
            _ => add(key.clone(), Level::Build, value),
        }
    }
    parts
        .into_iter()
        .map(|((key, level), mut values)| {
            values.sort();
            ManifestPart { key, value: digest(&values.join(";")), level }
        })
        .collect()
}

/// One spelling of a value, with the repository's own absolute paths made relative, and lists of features in one order.
fn relative(value: &Value, origin: &Origin<'_>) -> String {
    let string = |string: &str, spelled: &mut String| {
        let place = if string.starts_with('/') { Some(origin.place(string)) } else { None };
        match place {
            None => manifest::spell_string(string, spelled),
            Some(Place::Inside(path)) => manifest::spell_string(&path.to_string(), spelled),
            Some(Place::Beyond(path)) => manifest::spell_string(&path, spelled),
        }
    };
    let mut spelled = String::new();
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                spelled.push_str(key);
                match value.as_array() {
                    Some(items) if !items.is_empty() => {
                        let mut items: Vec<String> = items.iter().map(|item| relative(item, origin)).collect();
                        items.sort();
                        items.iter().for_each(|item| manifest::spell_string(item, &mut spelled));
                    }
                    _ => manifest::spell(value, &mut spelled, &string),
                }
            }
        }
        value => manifest::spell(value, &mut spelled, &string),
    }
    spelled
}

/// Files whose content [`parse`] needs.
#[must_use]
pub fn is_read(path: &RepoPath) -> bool {
    path.name() == b"Cargo.toml" || governs(path).is_some()
}

/// Whether cargo makes a target of the file at `path` because it is there.
#[must_use]
pub fn makes_target(tree: &Tree, path: &RepoPath) -> bool {
    if !path.name().ends_with(b".rs") {
        return false;
    }
    let mut folders = path.ancestors().skip(1);
    let is_package = |folder: &[u8]| {
        tree.get(&[folder, if folder.is_empty() { b"" } else { b"/" }, b"Cargo.toml"].concat()).is_some()
    };
    let named = |folder: &[u8], names: &[&[u8]]| {
        names.contains(&folder.rsplit(|byte| *byte == b'/').next().unwrap_or_default())
    };
    let Some(near) = folders.next() else { return false };
    match path.name() {
        b"build.rs" if is_package(near) => return true,
        b"lib.rs" | b"main.rs" if named(near, &[b"src"]) => return folders.next().is_some_and(is_package),
        _ => {}
    }
    // `tests/x.rs` and `tests/x/main.rs`, and the same for programs, examples and benches.
    let holder = if path.name() == b"main.rs" && !named(near, &[b"bin", b"tests", b"examples", b"benches"]) {
        folders.next()
    } else {
        Some(near)
    };
    let Some(holder) = holder else { return false };
    if named(holder, &[b"tests", b"examples", b"benches"]) {
        return folders.next().is_some_and(is_package);
    }
    named(holder, &[b"bin"])
        && folders.next().is_some_and(|folder| named(folder, &[b"src"]))
        && folders.next().is_some_and(is_package)
}

/// What `parse` would see of `tree`, as one digest: equal digests, equal workspaces. None where something that it may
/// read has no name yet.
#[must_use]
pub fn key(tree: &Tree, root: &RepoPath) -> Option<Digest> {
    let mut hasher = Hasher::new(concat!("supercargo workspace ", env!("CARGO_PKG_VERSION"), " 3"));
    hasher.field(root.as_bytes());
    for (path, entry) in tree.iter() {
        let read = is_read(path) || entry.mode == Mode::Repository || entry.mode == Mode::Link;
        if read && entry.id.is_zero() {
            return None;
        }
        if read {
            hasher.field(path.as_bytes()).field(&[entry.mode as u8]).field(entry.id.as_bytes());
        } else if makes_target(tree, path) {
            hasher.field(path.as_bytes());
        }
    }
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn targets_and_packages_as_metadata_lists_them() {
        let metadata = json!({ "workspace_root": "/w", "packages": [{
            "name": "a-b", "version": "1.0.0", "manifest_path": "/w/Cargo.toml", "publish": [], "rust_version": "1.85",
            "dependencies": [], "targets": [
                { "kind": ["cdylib", "rlib"], "name": "a_b", "src_path": "/w/src/lib.rs", "doc": true, "doctest": false,
                  "test": true },
                { "kind": ["bin"], "name": "a-b", "src_path": "/w/src/main.rs", "doc": false, "doctest": false,
                  "test": false, "required-features": ["cli", "net"] },
                { "kind": ["custom-build"], "name": "build-script-build", "src_path": "/w/build.rs", "doc": false,
                  "doctest": false, "test": false },
                { "kind": ["example"], "crate_types": ["cdylib"], "name": "e", "src_path": "/w/examples/e.rs" },
            ],
        }] });
        let parsed = |metadata: &Value| {
            parse(metadata.to_string().as_bytes(), &Tables::new(), &Origin { top: "/w" }).unwrap().packages.remove(0)
        };
        let package = parsed(&metadata);
        assert!(!package.publish);
        assert_eq!(package.rust_version.as_deref(), Some("1.85"));
        let seen = package.targets.iter().map(|t| (t.name.as_str(), t.kind, t.library, t.doctest, t.test, t.doc));
        let seen: Vec<_> = seen.collect();
        assert_eq!(
            seen,
            [
                ("a_b", TargetKind::Product, true, false, true, true),
                ("a-b", TargetKind::Product, false, false, false, false),
                ("build-script-build", TargetKind::BuildScript, false, false, false, false),
                ("e", TargetKind::Check, false, true, true, true),
            ]
        );
        assert_eq!(package.targets[1].required_features, ["cli", "net"]);
        for (publish, may) in [(Value::Null, true), (json!(["inner"]), true), (json!([]), false)] {
            let mut metadata = metadata.clone();
            metadata["packages"][0]["publish"] = publish;
            assert_eq!(parsed(&metadata).publish, may);
        }
    }
}

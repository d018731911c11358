//! `Cargo.toml`, `Cargo.lock` and their kin as TOML values: what `cargo metadata --no-deps` leaves out.

use serde_json::Value;

use super::path::RepoPath;
use super::workspace::{Level, Scope, Setting};

/// Keys of `[workspace]` whose effect shows in the members themselves, or that have none on them.
const SEEN_IN_MEMBERS: [&str; 7] =
    ["members", "exclude", "default-members", "package", "dependencies", "lints", "metadata"];

/// Top-level keys that describe the root's own package, or the workspace, and so are read elsewhere.
const OWN_PACKAGE: [&str; 22] = [
    "package",
    "project",
    "workspace",
    "lib",
    "bin",
    "test",
    "bench",
    "example",
    "dependencies",
    "dev-dependencies",
    "dev_dependencies",
    "build-dependencies",
    "build_dependencies",
    "target",
    "features",
    "badges",
    "lints",
    "hints",
    "patch",
    "profile",
    "metadata",
    "replace",
];

/// Parses TOML.
///
/// # Errors
/// One line: what is wrong, and where.
pub fn parse(text: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())?;
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        format!("line {line}: {}", error.message().trim())
    })
}

/// One spelling of a value: keys sorted, no spaces.
#[must_use]
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    spell(value, &mut text, &spell_string);
    text
}

/// Appends a string so that nothing runs into it: its length before it.
pub fn spell_string(string: &str, text: &mut String) {
    text.push_str(&string.len().to_string());
    text.push('"');
    text.push_str(string);
}

/// Appends the one spelling of `value`, each string as `string` has it.
pub fn spell(value: &Value, text: &mut String, string: &dyn Fn(&str, &mut String)) {
    match value {
        Value::String(content) => string(content, text),
        Value::Object(map) => {
            let mut fields: Vec<(&String, &Value)> = map.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (key, value) in fields {
                text.push_str(key);
                text.push(':');
                spell(value, text, string);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                spell(item, text, string);
                text.push(',');
            }
            text.push(']');
        }
        other => text.push_str(&other.to_string()),
    }
}

/// A manifest's path dependencies of every kind, as written: (the package's name, the path).
#[must_use]
pub fn path_dependencies(manifest: &Value, inherited: Option<&Value>) -> Vec<PathDependency> {
    let mut found = Vec::new();
    let mut tables = vec![manifest];
    if let Some(targets) = manifest["target"].as_object() {
        tables.extend(targets.values());
    }
    for table in tables {
        for key in ["dependencies", "build-dependencies", "build_dependencies"] {
            for (name, written) in table[key].as_object().into_iter().flatten() {
                let from_root = written["workspace"] == Value::Bool(true);
                let written = if from_root {
                    inherited.map_or(&Value::Null, |root| &root["dependencies"][name])
                } else {
                    written
                };
                found.push(PathDependency {
                    name: written["package"].as_str().unwrap_or(name).to_owned(),
                    requirement: written.as_str().or(written["version"].as_str()).unwrap_or("*").to_owned(),
                    path: written["path"].as_str().map(str::to_owned),
                    from_root,
                });
            }
        }
    }
    found
}

/// A dependency as a manifest writes it.
pub struct PathDependency {
    /// The package's name, past any renaming.
    pub name: String,
    /// The version requirement; `*` where there is none.
    pub requirement: String,
    /// The folder, as written.
    pub path: Option<String>,
    /// Whether it is inherited, so that the path starts at the root of that package's own workspace.
    pub from_root: bool,
}

/// The settings that a workspace's root manifest makes for its packages.
#[must_use]
pub fn root_settings(root: &Value) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut add = |key: String, value: &Value, scope: Scope| {
        settings.push(Setting { key, value: canonical(value), level: Level::Build, scope, path: None });
    };
    for (profile, table) in root["profile"].as_object().into_iter().flatten() {
        let mut rest = table.clone();
        let packages = rest.as_object_mut().and_then(|table| table.remove("package"));
        if rest.as_object().is_some_and(|rest| !rest.is_empty()) {
            add(format!("profile.{profile}"), &rest, Scope::Everyone);
        }
        for (spec, overrides) in packages.as_ref().and_then(Value::as_object).into_iter().flatten() {
            let scope = match (spec.as_str(), spec_name(spec)) {
                ("*", _) => Scope::Dependencies,
                (_, Some(name)) => Scope::Named(name.to_owned()),
                (_, None) => Scope::Everyone,
            };
            add(format!("profile.{profile}.package.{spec}"), overrides, scope);
        }
    }
    settings.extend(patch_settings(&root["patch"]));
    let mut add = |key: String, value: &Value| {
        settings.push(Setting {
            key,
            value: canonical(value),
            level: Level::Build,
            scope: Scope::Everyone,
            path: None,
        });
    };
    add("resolver".into(), &resolver(root));
    for (key, value) in root.as_object().into_iter().flatten() {
        if !OWN_PACKAGE.contains(&key.as_str()) || key == "replace" {
            add(key.clone(), value);
        }
    }
    for (key, value) in root["workspace"].as_object().into_iter().flatten() {
        if !SEEN_IN_MEMBERS.contains(&key.as_str()) && key != "resolver" {
            add(format!("workspace.{key}"), value);
        }
    }
    for (key, value) in root["workspace"]["metadata"].as_object().into_iter().flatten() {
        if key != super::policy::TABLE {
            add(format!("workspace.metadata.{key}"), value);
        }
    }
    settings.extend(rule_settings(&root["workspace"]["metadata"][super::policy::TABLE]["rule"]));
    settings
}

/// The policy's rules: each governs the members that it names.
fn rule_settings(rules: &Value) -> Vec<Setting> {
    let mut settings = Vec::new();
    for rule in rules.as_array().into_iter().flatten() {
        let scopes = match &rule["affects"] {
            Value::String(_) => vec![Scope::Everyone],
            names => names
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(|n| Scope::Named(n.to_owned()))
                .collect(),
        };
        let key = format!("policy rule {}", canonical(&rule["paths"]));
        let setting =
            |scope| Setting { key: key.clone(), value: canonical(rule), level: Level::Build, scope, path: None };
        settings.extend(scopes.into_iter().map(setting));
    }
    settings
}

/// The settings of a `[patch]` table: each governs who uses the package that it replaces.
#[must_use]
pub fn patch_settings(patch: &Value) -> Vec<Setting> {
    let mut settings = Vec::new();
    for (registry, table) in patch.as_object().into_iter().flatten() {
        for (name, source) in table.as_object().into_iter().flatten() {
            settings.push(Setting {
                key: format!("patch.{registry}.{name}"),
                value: canonical(source),
                level: Level::Build,
                scope: Scope::Users(source["package"].as_str().unwrap_or(name).to_owned()),
                path: None,
            });
        }
    }
    settings
}

/// The folders that a `[patch]` table puts in a package's place: (name, path as written).
#[must_use]
pub fn patch_paths(patch: &Value) -> Vec<(String, String)> {
    let tables = patch.as_object().into_iter().flatten().filter_map(|(_, table)| table.as_object());
    tables
        .flatten()
        .filter_map(|(name, source)| {
            let path = source["path"].as_str()?;
            Some((source["package"].as_str().unwrap_or(name).to_owned(), path.to_owned()))
        })
        .collect()
}

/// The feature resolver's version: as written, else what the root package's edition brings.
fn resolver(root: &Value) -> Value {
    let written = [&root["workspace"]["resolver"], &root["package"]["resolver"]];
    if let Some(value) = written.into_iter().find(|value| !value.is_null()) {
        return value.clone();
    }
    let edition = match &root["package"]["edition"] {
        Value::Object(_) => &root["workspace"]["package"]["edition"],
        edition => edition,
    };
    match edition.as_str() {
        None | Some("2015" | "2018") => "1".into(),
        Some("2021") => "2".into(),
        Some(_) => "3".into(),
    }
}

/// The package that a package id specification names.
fn spec_name(spec: &str) -> Option<&str> {
    let fragment = match spec.rsplit_once('#') {
        Some((url, fragment)) if fragment.starts_with(|c: char| c.is_ascii_digit()) => url.rsplit('/').next()?,
        Some((_, fragment)) => fragment,
        None if spec.contains("://") => return None,
        None => spec,
    };
    let name = fragment.split(['@', ':']).next()?;
    (!name.is_empty()).then_some(name)
}

/// What `manifest` says that metadata does not hold: (key, one spelling of the value, what it can change).
#[must_use]
pub fn unlisted(manifest: &Value, root: &Value) -> Vec<(String, String, Level)> {
    let inherited = |own: &'_ Value, from: &'_ Value| match &own["workspace"] {
        Value::Bool(true) => from.clone(),
        _ => own.clone(),
    };
    let mut parts = vec![
        ("lints", inherited(&manifest["lints"], &root["workspace"]["lints"]), Level::Build),
        ("hints", manifest["hints"].clone(), Level::Build),
        ("cargo-features", manifest["cargo-features"].clone(), Level::Build),
        // Of targets, metadata leaves out `harness` and the like.
        ("lib", manifest["lib"].clone(), Level::Build),
        ("bin", manifest["bin"].clone(), Level::Build),
        ("test", manifest["test"].clone(), Level::Check),
        ("bench", manifest["bench"].clone(), Level::Check),
        ("example", manifest["example"].clone(), Level::Check),
    ];
    for key in ["include", "exclude"] {
        let value = inherited(&manifest["package"][key], &root["workspace"]["package"][key]);
        parts.push((key, value, Level::Check));
    }
    let written = parts.into_iter().filter(|(_, value, _)| !value.is_null());
    written.map(|(key, value, level)| (format!("written {key}"), canonical(&value), level)).collect()
}

/// The `.rs` files that a manifest names, for a reader that must know which files targets need.
#[must_use]
pub fn named_sources(manifest: &Value, folder: &RepoPath) -> Vec<RepoPath> {
    match manifest {
        Value::String(text) if text.ends_with(".rs") => folder.join(text.as_bytes()).into_iter().collect(),
        Value::Array(items) => items.iter().flat_map(|item| named_sources(item, folder)).collect(),
        Value::Object(map) => map.values().flat_map(|item| named_sources(item, folder)).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Vec<(String, String, Scope)> {
        let root = parse(text.as_bytes()).unwrap();
        root_settings(&root).into_iter().map(|setting| (setting.key, setting.value, setting.scope)).collect()
    }

    #[test]
    fn a_comment_is_nothing_and_a_value_is_something() {
        let of = |text: &str| canonical(&parse(text.as_bytes()).unwrap());
        assert_eq!(of("[build]\nrustflags = []"), of("# why\n[build]\n\nrustflags = [ ]\n"));
        assert_ne!(of("[build]\nrustflags = []"), of("[build]\nrustflags = [\"-g\"]"));
    }

    #[test]
    fn each_setting_has_the_scope_of_what_it_governs() {
        let found = settings(
            "[profile.dev]\ndebug = 1\n[profile.dev.package.a]\nopt-level = 1\n[profile.dev.package.\"*\"]\nopt-level = 2\n\
             [patch.crates-io]\nfnv2 = { package = \"fnv\", path = \"x\" }\n[workspace]\nresolver = \"2\"\n\
             [workspace.metadata.other]\na = 1\n[workspace.metadata.supercargo]\nbase = \"main\"\n",
        );
        let scope = |key: &str| found.iter().find(|(k, ..)| k == key).map(|(.., scope)| scope.clone());
        assert_eq!(scope("profile.dev"), Some(Scope::Everyone));
        assert_eq!(scope("profile.dev.package.a"), Some(Scope::Named("a".into())));
        assert_eq!(scope("profile.dev.package.*"), Some(Scope::Dependencies));
        assert_eq!(scope("patch.crates-io.fnv2"), Some(Scope::Users("fnv".into())));
        assert_eq!(scope("resolver"), Some(Scope::Everyone));
        assert_eq!(scope("workspace.metadata.other"), Some(Scope::Everyone));
        assert_eq!(scope("workspace.metadata.supercargo"), None);
    }

    #[test]
    fn package_specs_name_their_package() {
        for (spec, name) in [
            ("serde", Some("serde")),
            ("serde@1.0", Some("serde")),
            ("serde:1.0", Some("serde")),
            ("https://example.com/serde#1.0.0", Some("serde")),
            ("https://example.com/index#serde@1.0.0", Some("serde")),
            ("https://example.com/serde", None),
        ] {
            assert_eq!(spec_name(spec), name, "{spec}");
        }
    }

    #[test]
    fn a_broken_manifest_is_told_with_its_line() {
        assert!(parse(b"[package]\nname = \n").unwrap_err().starts_with("line 2: "));
    }
}

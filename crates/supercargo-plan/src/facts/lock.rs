//! `Cargo.lock`: every package of the workspace's closure, and which other each of its dependencies resolved to.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::manifest;

/// What names a package for good: two with the same are the same, but for their checksum.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LockId {
    /// The package's name.
    pub name: String,
    /// Its exact version.
    pub version: String,
    /// Registry or git repository with revision; none for a package that lies at a path.
    pub source: Option<String>,
}

impl fmt::Display for LockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// One `[[package]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockPackage {
    /// Its identity.
    pub id: LockId,
    /// The registry's checksum of its archive.
    pub checksum: Option<String>,
    /// The packages that it uses, by position in [`Lock::packages`]: every feature, every platform; for a member, its
    /// dev-dependencies too.
    pub dependencies: Vec<usize>,
}

/// A lockfile, packages sorted by identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Every package.
    pub packages: Vec<LockPackage>,
}

impl Lock {
    /// The package of this identity.
    #[must_use]
    pub fn get(&self, id: &LockId) -> Option<&LockPackage> {
        self.packages.binary_search_by(|package| package.id.cmp(id)).ok().map(|n| &self.packages[n])
    }

    /// The package at a path that is called `name`, of this version when there are several.
    #[must_use]
    pub fn at_path(&self, name: &str, version: &str) -> Option<&LockPackage> {
        let named = || self.named(name).filter(|package| package.id.source.is_none());
        named().find(|package| package.id.version == version).or_else(|| named().next())
    }

    /// All packages called `name`.
    pub fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a LockPackage> {
        let start = self.packages.partition_point(|package| package.id.name.as_str() < name);
        let end = self.packages.partition_point(|package| package.id.name.as_str() <= name);
        self.packages[start..end].iter()
    }
}

/// What is wrong with a lockfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A merge left its marks in it.
    Conflicted,
    /// It is no lockfile: one line that says why.
    Unreadable(String),
}

/// Parses `Cargo.lock` of any version up to 4.
///
/// # Errors
/// When it is no lockfile, or a merge left its marks in it.
pub fn parse(text: &[u8]) -> Result<Lock, Broken> {
    if text.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"<<<<<<< ") || line.starts_with(b">>>>>>> ")) {
        return Err(Broken::Conflicted);
    }
    let value = manifest::parse(text).map_err(Broken::Unreadable)?;
    let tables: Vec<&Value> = value["package"].as_array().into_iter().flatten().chain(value.get("root")).collect();
    let mut written: Vec<(LockId, &Value)> = tables
        .into_iter()
        .map(|table| Some((identity(table)?, table)))
        .collect::<Option<_>>()
        .ok_or_else(|| Broken::Unreadable("a package has no name or no version".to_owned()))?;
    written.sort_by(|(a, _), (b, _)| a.cmp(b));
    let positions: BTreeMap<&LockId, usize> = written.iter().enumerate().map(|(n, (id, _))| (id, n)).collect();
    let packages = written.iter().map(|(id, table)| {
        let old_style = format!("checksum {} {} ({})", id.name, id.version, id.source.as_deref().unwrap_or_default());
        let checksum = table["checksum"].as_str().or(value["metadata"][&old_style].as_str());
        let names = table["dependencies"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let dependencies = names.map(|text| resolve(text, &positions)).collect::<Result<_, _>>()?;
        Ok(LockPackage { id: id.clone(), checksum: checksum.map(str::to_owned), dependencies })
    });
    Ok(Lock { packages: packages.collect::<Result<_, _>>().map_err(Broken::Unreadable)? })
}

fn identity(table: &Value) -> Option<LockId> {
    Some(LockId {
        name: table["name"].as_str()?.to_owned(),
        version: table["version"].as_str()?.to_owned(),
        source: table["source"].as_str().map(str::to_owned),
    })
}

/// Finds the package that `name`, `name version` or `name version (source)` means.
fn resolve(text: &str, positions: &BTreeMap<&LockId, usize>) -> Result<usize, String> {
    let mut words = text.split(' ');
    let name = words.next().unwrap_or_default();
    let version = words.next();
    // The source is written without the `#revision` that the package's own source ends in.
    let source = words.next().map(|word| word.trim_start_matches('(').trim_end_matches(')'));
    let from = LockId { name: name.to_owned(), version: String::new(), source: None };
    let found = positions.range::<LockId, _>(&from..).take_while(|(id, _)| id.name == name).find(|(id, _)| {
        version.is_none_or(|version| id.version == version)
            && source.is_none_or(|source| id.source.as_deref().is_some_and(|full| full.starts_with(source)))
    });
    found.map(|(_, position)| *position).ok_or_else(|| format!("dependency `{text}` is no package of the file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
version = 4

[[package]]
name = "app"
version = "0.1.0"
dependencies = ["itoa 1.0.10", "lib"]

[[package]]
name = "itoa"
version = "0.4.8"
source = "registry+https://example.com/index"
checksum = "aa"

[[package]]
name = "itoa"
version = "1.0.10"
source = "registry+https://example.com/index"
checksum = "bb"

[[package]]
name = "lib"
version = "0.1.0"
dependencies = ["itoa 0.4.8 (registry+https://example.com/index)"]
"#;

    #[test]
    fn edges_lead_to_the_version_that_is_named() {
        let lock = parse(LOCK.as_bytes()).unwrap();
        let edges = |name: &str| {
            let package = lock.at_path(name, "0.1.0").unwrap();
            package.dependencies.iter().map(|n| lock.packages[*n].id.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(edges("app"), ["itoa 1.0.10", "lib 0.1.0"]);
        assert_eq!(edges("lib"), ["itoa 0.4.8"]);
        assert_eq!(lock.named("itoa").count(), 2);
    }

    #[test]
    fn comments_and_order_are_nothing() {
        let shuffled = format!("# hello\n{LOCK}\n# bye\n");
        assert_eq!(parse(shuffled.as_bytes()), parse(LOCK.as_bytes()));
    }

    #[test]
    fn what_is_broken_is_told_apart() {
        let conflicted = format!("<<<<<<< HEAD\n{LOCK}>>>>>>> other\n");
        assert_eq!(parse(conflicted.as_bytes()), Err(Broken::Conflicted));
        assert!(matches!(parse(b"[[package]\n"), Err(Broken::Unreadable(_))));
        let dangling = LOCK.replace("\"lib\"]", "\"nobody\"]");
        assert!(matches!(parse(dangling.as_bytes()), Err(Broken::Unreadable(why)) if why.contains("nobody")));
    }

    #[test]
    fn checksums_of_the_first_format_stand_in_a_table_of_their_own() {
        let old = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"registry+x\"\n\
                   [metadata]\n\"checksum a 1.0.0 (registry+x)\" = \"cc\"\n";
        assert_eq!(parse(old.as_bytes()).unwrap().packages[0].checksum.as_deref(), Some("cc"));
    }
}

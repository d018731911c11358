//! Which programs the workspace ships, and which of them are asked for.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::facts::policy::Policy;
use crate::facts::shipping::Ship;
use crate::facts::workspace::{MemberName, Package, TargetKind, Workspace};
use crate::plan::Artifact;
use crate::problem::{Problem, nearest};

/// The package that is the pipeline's own door: shipped only where policy says so.
const DOOR: &str = "xtask";

/// Profiles that every cargo has.
const PROFILES: [&str; 4] = ["bench", "dev", "release", "test"];

/// A program that is shipped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Program {
    /// Its name, as cargo's `--bin` takes it.
    pub name: String,
    /// The member whose program it is.
    pub package: MemberName,
    /// Its version.
    pub version: String,
}

/// What the store keeps of a program under its build key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The program.
    pub program: String,
    /// Its target.
    pub target: String,
    /// Its bytes.
    #[serde(flatten)]
    pub artifact: Artifact,
}

/// What is asked for: every program for every target, where nothing is.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Members.
    pub packages: Vec<String>,
    /// Programs.
    pub programs: Vec<String>,
    /// Targets.
    pub targets: Vec<String>,
}

/// What a member says of its programs, or what holds where it says nothing.
#[must_use]
pub fn ship(policy: &Policy, member: &MemberName) -> Ship {
    policy.ships.get(member).cloned().unwrap_or_default()
}

/// The programs of a package.
fn binaries(package: &Package) -> impl Iterator<Item = &crate::facts::workspace::Target> {
    package.targets.iter().filter(|target| target.kind == TargetKind::Product && !target.library)
}

/// Every program that is shipped, sorted by name.
///
/// # Errors
/// When nothing is shipped, when two programs have one name, or when a member that is to ship has no program.
pub fn shipped(workspace: &Workspace, policy: &Policy) -> Result<Vec<Program>, Problem> {
    let says = |package: &&Package| ship(policy, &package.name).ship;
    let chosen: Vec<&Package> = workspace.members().filter(|package| says(package) == Some(true)).collect();
    if let Some(empty) = chosen.iter().find(|package| binaries(package).next().is_none()) {
        let what = format!("`{}` is to be shipped and has no program", empty.name);
        return Err(Problem::mend(what, format!("$EDITOR {}", manifest(empty))));
    }
    let by_default =
        |package: &&Package| package.default && package.name.as_str() != DOOR && says(package) != Some(false);
    let packages = if chosen.is_empty() { workspace.members().filter(by_default).collect() } else { chosen };
    let mut programs: Vec<Program> = packages
        .iter()
        .flat_map(|package| binaries(package).map(|target| (*package, target)))
        .filter(|(package, target)| ship(policy, &package.name).ship.is_some() || target.name != DOOR)
        .map(|(package, target)| Program {
            name: target.name.clone(),
            package: package.name.clone(),
            version: package.version.clone(),
        })
        .collect();
    programs.sort();
    if programs.is_empty() {
        let what = "no member of this workspace ships a program";
        return Err(Problem::mend(
            what,
            "add `ship = true` to [package.metadata.supercargo] of a member with a program",
        ));
    }
    if let Some([one, other]) = programs.array_windows::<2>().find(|[one, other]| one.name == other.name) {
        let what = format!("`{}` and `{}` both ship a program called `{}`", one.package, other.package, one.name);
        return Err(Problem::mend(
            what,
            format!("rename one, or add `ship = false` to [package.metadata.supercargo] of `{}`", other.package),
        ));
    }
    Ok(programs)
}

fn manifest(package: &Package) -> String {
    package.folder.join(b"Cargo.toml").unwrap_or_default().to_string()
}

/// Why a program cannot be built with the features that are on: those that it requires and that are not.
#[must_use]
pub fn missing_features(workspace: &Workspace, policy: &Policy, program: &Program) -> Vec<String> {
    let Some(package) = workspace.members().find(|package| package.name == program.package) else { return Vec::new() };
    let ship = ship(policy, &package.name);
    let required = binaries(package).filter(|target| target.name == program.name);
    let required: BTreeSet<&String> = required.flat_map(|target| &target.required_features).collect();
    let on = enabled(package, &ship);
    required.into_iter().filter(|feature| !on.contains(feature.as_str())).cloned().collect()
}

/// The member's own features that are on: those that are asked for, and what they bring.
fn enabled(package: &Package, ship: &Ship) -> BTreeSet<String> {
    let mut open: Vec<String> = ship.features.clone();
    open.extend(ship.default_features.then(|| "default".to_owned()));
    let mut on: BTreeSet<String> = BTreeSet::new();
    while let Some(feature) = open.pop() {
        let brings = package.features.get(&feature).into_iter().flatten();
        open.extend(brings.filter(|brought| !brought.contains('/')).cloned());
        on.insert(feature.clone());
        open.retain(|feature| !on.contains(feature));
    }
    on
}

/// The programs and targets that `selection` asks for.
///
/// # Errors
/// When a name matches nothing: with what there is.
pub fn select(
    programs: &[Program],
    targets: &[String],
    selection: &Selection,
) -> Result<(Vec<Program>, Vec<String>), Problem> {
    let packages: BTreeSet<&str> = programs.iter().map(|program| program.package.as_str()).collect();
    let names: BTreeSet<&str> = programs.iter().map(|program| program.name.as_str()).collect();
    let all: BTreeSet<&str> = targets.iter().map(String::as_str).collect();
    known("member that ships a program", "--package", &selection.packages, &packages)?;
    known("program", "--bin", &selection.programs, &names)?;
    known("target", "--target", &selection.targets, &all)?;
    let wanted = |list: &[String], name: &str| list.is_empty() || list.iter().any(|wanted| wanted == name);
    let chosen: Vec<Program> = programs
        .iter()
        .filter(|program| wanted(&selection.packages, program.package.as_str()))
        .filter(|program| wanted(&selection.programs, &program.name))
        .cloned()
        .collect();
    let left = selection.programs.iter().find(|name| !chosen.iter().any(|program| program.name == **name));
    if let Some(program) = left {
        let owners: BTreeMap<&str, &str> =
            programs.iter().map(|program| (program.name.as_str(), program.package.as_str())).collect();
        let program = program.as_str();
        let owner = owners.get(program).copied().unwrap_or_default();
        let what = format!("`{program}` is a program of `{owner}`, which --package does not name");
        return Err(Problem::usage(what, format!("cargo xtask build --package {owner} --bin {program}")));
    }
    let targets = targets.iter().filter(|target| wanted(&selection.targets, target)).cloned().collect();
    Ok((chosen, targets))
}

fn known(kind: &str, option: &str, asked: &[String], there: &BTreeSet<&str>) -> Result<(), Problem> {
    let Some(unknown) = asked.iter().find(|name| !there.contains(name.as_str())) else { return Ok(()) };
    let all = there.iter().copied().collect::<Vec<_>>().join(", ");
    let near = nearest(unknown, there.iter().copied()).or_else(|| there.first().copied()).unwrap_or_default();
    let what = format!("there is no {kind} `{unknown}`; there are: {all}");
    Err(Problem::usage(what, format!("cargo xtask build {option} {near}")))
}

/// The profile of this name; `configured` are those of cargo's configuration.
///
/// # Errors
/// When there is none: with those that there are.
pub fn profile<'a>(
    workspace: &'a Workspace,
    configured: impl Iterator<Item = &'a str>,
    name: &'a str,
) -> Result<&'a str, Problem> {
    let own = workspace.settings.iter().filter_map(|setting| setting.key.strip_prefix("profile."));
    let own = own.map(|key| key.split('.').next().unwrap_or(key));
    let all: BTreeSet<&str> = own.chain(configured).chain(PROFILES).collect();
    known("profile", "--profile", &[name.to_owned()], &all)?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::path::RepoPath;
    use crate::facts::workspace::Target;
    use serde_json::Value;

    fn package(name: &str, programs: &[&str], default: bool) -> Package {
        let target = |name: &&str| Target {
            kind: TargetKind::Product,
            source: RepoPath::from("src/main.rs"),
            name: (*name).to_owned(),
            library: false,
            doctest: false,
            test: true,
            doc: true,
            required_features: if *name == "extra" { vec!["full".into()] } else { Vec::new() },
        };
        Package {
            name: MemberName::from(name),
            version: "1.0.0".into(),
            folder: RepoPath::from(name),
            member: true,
            default,
            publish: true,
            rust_version: None,
            manifest: Vec::new(),
            targets: programs.iter().map(target).collect(),
            dependencies: Vec::new(),
            features: [("default".into(), vec!["some".into()]), ("all".into(), vec!["full".into(), "x/y".into()])]
                .into(),
            policy: Value::Null,
        }
    }

    fn workspace(packages: Vec<Package>) -> Workspace {
        Workspace { packages, ..Workspace::default() }
    }

    fn names(programs: &[Program]) -> Vec<&str> {
        programs.iter().map(|program| program.name.as_str()).collect()
    }

    #[test]
    fn what_is_shipped_is_what_members_say_or_else_all_defaults() {
        let members = vec![package("a", &["a", "a2"], true), package("b", &["b"], false), package(DOOR, &[DOOR], true)];
        let workspace = workspace(members);
        let mut policy = Policy::default();
        assert_eq!(names(&shipped(&workspace, &policy).unwrap()), ["a", "a2"]);
        let says = |ship| Ship { ship: Some(ship), ..Ship::default() };
        policy.ships.insert(MemberName::from(DOOR), says(true));
        assert_eq!(names(&shipped(&workspace, &policy).unwrap()), [DOOR]);
        policy.ships = [(MemberName::from("a"), says(false))].into();
        assert!(shipped(&workspace, &policy).unwrap_err().what.contains("no member"));
    }

    #[test]
    fn one_name_is_one_program() {
        let workspace = workspace(vec![package("a", &["x"], true), package("b", &["x"], true)]);
        let problem = shipped(&workspace, &Policy::default()).unwrap_err();
        assert!(problem.what.contains("both ship a program called `x`"), "{problem}");
    }

    #[test]
    fn a_name_that_matches_nothing_is_told_with_what_there_is() {
        let workspace = workspace(vec![package("a", &["a"], true), package("b", &["b"], true)]);
        let programs = shipped(&workspace, &Policy::default()).unwrap();
        let targets = ["x86_64-unknown-linux-musl".to_owned()];
        let asked = |selection: &Selection| select(&programs, &targets, selection).map(|(programs, _)| programs.len());
        assert_eq!(asked(&Selection { packages: vec!["a".into()], ..Selection::default() }), Ok(1));
        let problem = asked(&Selection { programs: vec!["c".into()], ..Selection::default() }).unwrap_err();
        assert!(problem.what.ends_with("there are: a, b"), "{problem}");
        let problem = asked(&Selection { targets: vec!["x86_64-linux".into()], ..Selection::default() }).unwrap_err();
        assert!(problem.what.contains("x86_64-unknown-linux-musl"), "{problem}");
        let both = Selection { packages: vec!["a".into()], programs: vec!["b".into()], ..Selection::default() };
        assert!(asked(&both).unwrap_err().what.contains("program of `b`"));
        assert!(profile(&workspace, [].into_iter(), "relase").unwrap_err().mend.ends_with("--profile release"));
    }

    #[test]
    fn features_that_a_program_requires_are_told_where_they_are_off() {
        let workspace = workspace(vec![package("a", &["extra"], true)]);
        let programs = shipped(&workspace, &Policy::default()).unwrap();
        let mut policy = Policy::default();
        assert_eq!(missing_features(&workspace, &policy, &programs[0]), ["full"]);
        let ship = Ship { features: vec!["all".into()], ..Ship::default() };
        policy.ships.insert(MemberName::from("a"), ship);
        assert_eq!(missing_features(&workspace, &policy, &programs[0]), Vec::<String>::new());
    }
}

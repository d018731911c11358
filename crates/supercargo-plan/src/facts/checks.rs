//! What the team decided about the checks of `gate`: `[workspace.metadata.supercargo.gate]`.

use std::collections::BTreeMap;

use fast_glob::glob_match;
use serde_json::Value;

use super::faults::{Faults, glob_fault};
use super::path::RepoPath;
use crate::problem::nearest;

/// The checks that are built in, and whether each runs unless policy says otherwise.
pub const BUILT_IN: [(&str, bool); 11] = [
    ("fmt", true),
    ("clippy", true),
    ("test", true),
    ("doctest", true),
    ("doc", true),
    ("deny", true),
    ("advisories", true),
    ("semver", false),
    ("msrv", false),
    ("unused-deps", false),
    ("workflows", false),
];

const KEYS: [&str; 5] = ["check", "features", "memory-per-job", "pass-env", "timeout"];
const CHECK_KEYS: [&str; 9] =
    ["args", "command", "enabled", "inputs", "install", "max-age", "optional", "policy", "timeout"];

/// Memory that one job is taken to need, in MiB.
pub(super) const MEMORY_PER_JOB: u64 = 2048;

/// The policy of `gate`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checks {
    /// The sets of features that are checked, each in steps of its own.
    pub features: Vec<Features>,
    /// Variables that children get, and that count: names, a `*` at the end for all that start so.
    pub pass: Vec<String>,
    /// Memory that one job is taken to need, in MiB.
    pub memory_per_job: u64,
    /// How long a step may take, in seconds, where its check says nothing.
    pub timeout: Option<u64>,
    /// By name: built-in checks that policy speaks of, and the team's own.
    pub checks: BTreeMap<String, Check>,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            features: vec![Features::Default],
            pass: Vec::new(),
            memory_per_job: MEMORY_PER_JOB,
            timeout: None,
            checks: BTreeMap::new(),
        }
    }
}

impl Checks {
    /// The names of all checks: those that are built in, and the team's own.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let own = self.checks.keys().map(String::as_str).filter(|name| !is_built_in(name));
        BUILT_IN.iter().map(|(name, _)| *name).chain(own)
    }

    /// Whether a check of the team's own reads `path`: by its globs, or as a word of its command.
    #[must_use]
    pub fn wants(&self, path: &RepoPath, root: &RepoPath) -> bool {
        self.checks.values().any(|check| check.wants(path, root))
    }

    /// Faults: checks that policy speaks of, and that neither are built in nor have a command. Those of a pipeline must
    /// have joined before.
    #[must_use]
    pub fn unknown(&self) -> Vec<String> {
        let unknown = self.checks.iter().filter(|(name, check)| !is_built_in(name) && check.command.is_none());
        let fault = |(name, _): (&String, &Check)| {
            let near = nearest(name, BUILT_IN.iter().map(|(name, _)| *name));
            let hint = near.map_or_else(
                || "one of your own needs a `command`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            format!("workspace.metadata.supercargo.gate.check.{name}: there is no check `{name}`; {hint}")
        };
        unknown.map(fault).collect()
    }

    /// What policy says of a check.
    #[must_use]
    pub fn of(&self, name: &str) -> Check {
        self.checks.get(name).cloned().unwrap_or_default()
    }

    /// Whether a check is part of the gate.
    #[must_use]
    pub fn enables(&self, name: &str) -> bool {
        let by_default = BUILT_IN.iter().find(|(built_in, _)| *built_in == name).is_none_or(|(_, on)| *on);
        self.of(name).enabled.unwrap_or(by_default)
    }
}

/// A set of features, as cargo's arguments choose it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Features {
    /// The default ones.
    Default,
    /// `--all-features`.
    All,
    /// `--features a,b`, besides the default ones.
    Named(Vec<String>),
}

/// What policy says of one check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// Whether it runs.
    pub enabled: Option<bool>,
    /// The command, in place of the one that is built in.
    pub command: Option<Vec<String>>,
    /// Arguments after those that are built in.
    pub args: Vec<String>,
    /// Globs of the files that its result depends on; all of the repository's where there are none.
    pub inputs: Option<Vec<String>>,
    /// The command that installs its tool.
    pub install: Option<String>,
    /// Whether it is skipped where its tool is missing.
    pub optional: bool,
    /// Whether what it finds is told without failing the gate.
    pub warns: bool,
    /// How long it may take, in seconds.
    pub timeout: Option<u64>,
    /// How long a result is believed at most, in seconds.
    pub max_age: Option<u64>,
}

impl Check {
    /// Whether it reads `path`: by its globs, or as a word of its command, which starts at the workspace's `root`.
    #[must_use]
    pub fn wants(&self, path: &RepoPath, root: &RepoPath) -> bool {
        let globs = self.inputs.iter().flatten();
        let mut words = self.command.iter().flatten().chain(&self.args);
        globs.into_iter().any(|glob| glob_match(glob, path.as_bytes()))
            || words.any(|word| root.join(word.as_bytes()).as_ref() == Some(path))
    }
}

fn is_built_in(name: &str) -> bool {
    BUILT_IN.iter().any(|(built_in, _)| *built_in == name)
}

/// Parses the table at `at`.
pub(super) fn parse(faults: &mut Faults, at: &str, table: &Value) -> Checks {
    faults.keys(at, table, &KEYS);
    let mut parsed = Checks::default();
    if let Some(features) = features(faults, &format!("{at}.features"), &table["features"]) {
        parsed.features = features;
    }
    parsed.pass = pass_env(faults, at, table);
    parsed.memory_per_job = memory_per_job(faults, at, table).unwrap_or(MEMORY_PER_JOB);
    parsed.timeout = duration(faults, &format!("{at}.timeout"), &table["timeout"]);
    let checks = table["check"].as_object();
    if checks.is_none() && !table["check"].is_null() {
        faults.add::<()>(format!("{at}.check: expected a table of checks, found {}", table["check"]));
    }
    for (name, check) in checks.into_iter().flatten() {
        let at = format!("{at}.check.{name}");
        if let Some(check) = parse_check(faults, &at, name, check) {
            parsed.checks.insert(name.clone(), check);
        }
    }
    parsed
}

/// `pass-env` of the table at `at`: names of variables, a `*` at the end for all that start so.
pub(super) fn pass_env(faults: &mut Faults, at: &str, table: &Value) -> Vec<String> {
    if table["pass-env"].is_null() {
        return Vec::new();
    }
    let at = format!("{at}.pass-env");
    let names = faults.strings(&at, &table["pass-env"], "names of variables").unwrap_or_default();
    for name in names.iter().filter(|name| !is_variable(name.strip_suffix('*').unwrap_or(name))) {
        faults.add::<()>(format!("{at}: `{name}` is no name of a variable, which may end in `*`"));
    }
    names
}

/// `memory-per-job` of the table at `at`, in MiB.
pub(super) fn memory_per_job(faults: &mut Faults, at: &str, table: &Value) -> Option<u64> {
    match &table["memory-per-job"] {
        Value::Null => None,
        memory => memory
            .as_str()
            .and_then(mebibytes)
            .or_else(|| faults.add(format!("{at}.memory-per-job: expected a size like \"2GiB\", found {memory}"))),
    }
}

fn parse_check(faults: &mut Faults, at: &str, name: &str, table: &Value) -> Option<Check> {
    if !is_check(name) {
        return faults.add(format!("{at}: a check's name is made of letters, digits, `-` and `_`"));
    }
    faults.keys(at, table, &CHECK_KEYS);
    let mut check = Check::default();
    let mut strings = |key: &str, of: &str| match &table[key] {
        Value::Null => None,
        value => faults.strings(&format!("{at}.{key}"), value, of),
    };
    check.command = strings("command", "a program and its arguments");
    check.args = strings("args", "arguments").unwrap_or_default();
    check.inputs = strings("inputs", "globs");
    if check.command.as_ref().is_some_and(|command| command.first().is_none_or(|program| program.trim().is_empty())) {
        faults.add::<()>(format!("{at}.command: the command is empty"));
    }
    for glob in check.inputs.iter().flatten() {
        if let Some(fault) = glob_fault(glob) {
            faults.add::<()>(format!("{at}.inputs: the glob `{glob}` {fault}"));
        }
    }
    let mut flag = |key: &str| match &table[key] {
        Value::Null => None,
        Value::Bool(flag) => Some(*flag),
        other => faults.add(format!("{at}.{key}: expected true or false, found {other}")),
    };
    check.enabled = flag("enabled");
    check.optional = flag("optional").unwrap_or_default();
    check.install = match &table["install"] {
        Value::Null => None,
        Value::String(command) => Some(command.clone()),
        other => faults.add(format!("{at}.install: expected a command, found {other}")),
    };
    check.warns = match table["policy"].as_str() {
        Some("warn") => true,
        None | Some("block") if table["policy"].is_null() || table["policy"].is_string() => false,
        _ => faults
            .add(format!("{at}.policy: expected \"block\" or \"warn\", found {}", table["policy"]))
            .unwrap_or_default(),
    };
    check.timeout = duration(faults, &format!("{at}.timeout"), &table["timeout"]);
    check.max_age = duration(faults, &format!("{at}.max-age"), &table["max-age"]);
    Some(check)
}

fn features(faults: &mut Faults, at: &str, value: &Value) -> Option<Vec<Features>> {
    let sets = match value {
        Value::Null => return None,
        Value::String(all) if all == "all" => return Some(vec![Features::All]),
        Value::String(default) if default == "default" => return Some(vec![Features::Default]),
        Value::Array(sets) if !sets.is_empty() => sets,
        other => return faults.add(format!("{at}: expected \"default\", \"all\" or lists of features, found {other}")),
    };
    let mut parsed: Vec<Features> = Vec::new();
    for set in sets {
        let mut names = faults.strings(at, set, "lists of features")?;
        names.sort();
        names.dedup();
        if let Some(name) = names.iter().find(|name| name.is_empty() || name.contains([' ', ','])) {
            return faults.add(format!("{at}: `{name}` is no feature"));
        }
        let set = if names.is_empty() { Features::Default } else { Features::Named(names) };
        if !parsed.contains(&set) {
            parsed.push(set);
        }
    }
    Some(parsed)
}

/// Whether `name` can name a check.
#[must_use]
pub fn is_check(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Whether `name` can name a variable of the environment.
#[must_use]
pub fn is_variable(name: &str) -> bool {
    let starts = name.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
    starts && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `2GiB` or `512MiB`, in MiB.
fn mebibytes(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let unit = match unit.trim() {
        "MiB" => 1,
        "GiB" => 1024,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit).filter(|size| *size > 0)
}

/// `90s`, `10m`, `2h` or `1d`, in seconds.
pub(super) fn duration(faults: &mut Faults, at: &str, value: &Value) -> Option<u64> {
    let seconds = |text: &str| {
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
        let unit = match unit.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86400,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(unit).filter(|seconds| *seconds > 0)
    };
    match value {
        Value::Null => None,
        value => value
            .as_str()
            .and_then(seconds)
            .or_else(|| faults.add(format!("{at}: expected a time like \"90s\", \"10m\" or \"2h\", found {value}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(table: &Value) -> (Checks, Vec<String>) {
        let mut faults = Faults::default();
        let checks = parse(&mut faults, "gate", table);
        (checks, faults.0)
    }

    #[test]
    fn what_policy_says_is_understood() {
        let (checks, faults) = parsed(&json!({
            "features": [["b", "a"], []],
            "memory-per-job": "512MiB",
            "pass-env": ["DATABASE_URL", "FOO_*"],
            "timeout": "10m",
            "check": {
                "fmt": { "enabled": false },
                "advisories": { "policy": "warn", "max-age": "1d" },
                "licenses": { "command": ["sh", "x.sh"], "inputs": ["**/*.toml"], "optional": true },
            },
        }));
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(checks.features, [Features::Named(vec!["a".into(), "b".into()]), Features::Default]);
        assert_eq!((checks.memory_per_job, checks.timeout), (512, Some(600)));
        assert!(!checks.enables("fmt") && checks.enables("clippy") && !checks.enables("semver"));
        assert!(checks.enables("licenses") && checks.of("licenses").optional);
        assert_eq!((checks.of("advisories").warns, checks.of("advisories").max_age), (true, Some(86400)));
        assert_eq!(checks.names().last(), Some("licenses"));
    }

    #[test]
    fn a_check_that_nobody_knows_needs_a_command() {
        let (mut checks, faults) = parsed(&json!({ "check": { "clipy": {}, "zebra": { "timeout": "9s" } } }));
        assert_eq!((faults.len(), checks.unknown().len()), (0, 2));
        assert!(checks.unknown()[0].contains("did you mean `clippy`?"));
        // One that a pipeline brings may have its timeout by policy.
        checks.checks.entry("zebra".into()).or_default().command = Some(vec!["true".into()]);
        assert_eq!(checks.unknown().len(), 1);
    }

    #[test]
    fn every_fault_is_told() {
        for (table, told) in [
            (json!({ "featurs": "all" }), "did you mean `features`?"),
            (json!({ "features": "some" }), "expected \"default\", \"all\""),
            (json!({ "features": [] }), "expected \"default\", \"all\""),
            (json!({ "features": [["a b"]] }), "`a b` is no feature"),
            (json!({ "memory-per-job": 2 }), "expected a size"),
            (json!({ "pass-env": ["A=B"] }), "`A=B` is no name of a variable"),
            (json!({ "timeout": "0s" }), "expected a time"),
            (json!({ "check": { "mine": { "command": [] } } }), "the command is empty"),
            (json!({ "check": { "mine": { "command": [" "] } } }), "the command is empty"),
            (json!({ "check": { "mine": { "command": "true" } } }), "expected a program and its arguments"),
            (json!({ "check": { "a(b)": { "command": ["x"] } } }), "is made of letters"),
            (json!({ "check": { "fmt": { "enable": true } } }), "did you mean `enabled`?"),
            (json!({ "check": { "fmt": { "policy": "maybe" } } }), "expected \"block\" or \"warn\""),
            (json!({ "check": { "mine": { "command": ["x"], "inputs": ["a["] } } }), "opens a `[`"),
        ] {
            let (_, faults) = parsed(&table);
            assert!(faults.len() == 1 && faults[0].contains(told), "{table}: {faults:?}");
        }
    }
}

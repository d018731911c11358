//! What the team decided: `[workspace.metadata.supercargo]` and `[package.metadata.supercargo]`.

use std::collections::BTreeMap;
use std::fmt;

use fast_glob::glob_match;
use serde_json::Value;

use super::checks::{self, Checks};
use super::faults::{Faults, glob_fault};
use super::path::RepoPath;
use super::shared::{self, Shared};
use super::shipping::{self, Ship, Shipping};
use super::workspace::{Level, MemberName, Setting, Workspace};
use crate::problem::{Problem, nearest};

/// The table's name under `metadata`.
pub const TABLE: &str = "supercargo";

const WORKSPACE_KEYS: [&str; 5] = ["base", "build", "gate", "rule", "store"];
const RULE_KEYS: [&str; 2] = ["paths", "affects"];

/// The policy, checked.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// What to compare with when nothing is asked.
    pub base: Option<String>,
    /// Whom paths affect that no source names: the first rule that matches decides.
    pub rules: Vec<Rule>,
    /// What `gate` checks.
    pub checks: Checks,
    /// How `build` builds.
    pub shipping: Shipping,
    /// What the members that say so ship, and how.
    pub ships: BTreeMap<MemberName, Ship>,
    /// The store that several machines share.
    pub shared: Option<Shared>,
}

impl Policy {
    /// Whether a rule has the last word on a settings file. Not on one that cargo itself reads.
    #[must_use]
    pub fn decides(&self, setting: &Setting) -> bool {
        let named = setting.path.as_ref().is_some_and(|path| self.rules.iter().any(|rule| rule.matches(path)));
        named && setting.level == Level::Check
    }
}

/// One `[[workspace.metadata.supercargo.rule]]`.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The globs, as written: `*` stays within a folder, `**` crosses folders.
    pub paths: Vec<String>,
    /// Whom a path that matches affects.
    pub affects: Affects,
}

/// Whom a rule says that a path affects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Affects {
    /// Every member.
    All,
    /// These, and who depends on them; nobody where there are none.
    Members(Vec<MemberName>),
}

impl Rule {
    /// Whether the rule speaks of `path`.
    #[must_use]
    pub fn matches(&self, path: &RepoPath) -> bool {
        self.paths.iter().any(|glob| glob_match(glob, path.as_bytes()))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "paths = {:?}, affects = ", self.paths)?;
        match &self.affects {
            Affects::All => write!(f, "\"all\""),
            Affects::Members(names) => write!(f, "{:?}", names.iter().map(MemberName::as_str).collect::<Vec<_>>()),
        }
    }
}

/// Parses the policy of `workspace`: what of it can be understood, and every fault.
#[must_use]
pub fn parse(workspace: &Workspace) -> (Policy, Vec<String>) {
    let mut faults = Faults::default();
    let table = format!("workspace.metadata.{TABLE}");
    faults.keys(&table, &workspace.policy, &WORKSPACE_KEYS);
    let base = match &workspace.policy["base"] {
        Value::Null => None,
        Value::String(base) if !base.is_empty() => Some(base.clone()),
        other => faults.add(format!("{table}.base: expected a branch, tag or commit, found {other}")),
    };
    let rules = match &workspace.policy["rule"] {
        Value::Null => Vec::new(),
        Value::Array(rules) => rules
            .iter()
            .enumerate()
            .filter_map(|(n, rule)| faults.rule(&format!("{table}.rule[{n}]"), rule, workspace))
            .collect(),
        other => faults.add(format!("{table}.rule: expected an array of tables, found {other}")).unwrap_or_default(),
    };
    let mut ships = BTreeMap::new();
    for member in workspace.members().filter(|member| !member.policy.is_null()) {
        let at = format!("package.metadata.{TABLE} of {}", member.name);
        ships.insert(member.name.clone(), shipping::parse_member(&mut faults, &at, &member.policy));
    }
    let shipping = shipping::parse(&mut faults, &format!("{table}.build"), &workspace.policy["build"]);
    let checks = checks::parse(&mut faults, &format!("{table}.gate"), &workspace.policy["gate"]);
    let shared = shared::parse(&mut faults, &format!("{table}.store"), &workspace.policy["store"]);
    (Policy { base, rules, checks, shipping, ships, shared }, faults.0)
}

/// Refuses a policy with faults: all are told at once.
///
/// # Errors
/// When there are any.
pub fn refuse(faults: &[String], workspace: &Workspace) -> Result<(), Problem> {
    if faults.is_empty() {
        return Ok(());
    }
    let manifest = workspace.root.join(b"Cargo.toml").unwrap_or_default();
    Err(Problem::mend(format!("the policy has faults:\n  {}", faults.join("\n  ")), format!("$EDITOR {manifest}")))
}

impl Faults {
    fn rule(&mut self, at: &str, rule: &Value, workspace: &Workspace) -> Option<Rule> {
        self.keys(at, rule, &RULE_KEYS);
        let paths = self.strings(&format!("{at}.paths"), &rule["paths"], "globs");
        if paths.as_ref().is_some_and(Vec::is_empty) {
            self.0.push(format!("{at}.paths: expected at least one glob"));
        }
        for glob in paths.iter().flatten() {
            if let Some(fault) = glob_fault(glob) {
                self.0.push(format!("{at}.paths: the glob `{glob}` {fault}"));
            }
        }
        let affects = match &rule["affects"] {
            Value::String(all) if all == "all" => Affects::All,
            names => {
                let names = self.strings(&format!("{at}.affects"), names, "member names, or \"all\"")?;
                Affects::Members(names.iter().filter_map(|name| self.member(at, name, workspace)).collect())
            }
        };
        Some(Rule { paths: paths?, affects })
    }

    fn member(&mut self, at: &str, name: &str, workspace: &Workspace) -> Option<MemberName> {
        if let Some(member) = workspace.members().find(|member| member.name.as_str() == name) {
            return Some(member.name.clone());
        }
        let near = nearest(name, workspace.members().map(|member| member.name.as_str()));
        let hint = near.map_or_else(|| "no member is called so".to_owned(), |near| format!("did you mean `{near}`?"));
        self.add(format!("{at}.affects: unknown member `{name}`; {hint}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(glob: &str) -> Rule {
        Rule { paths: vec![glob.to_owned()], affects: Affects::All }
    }

    #[test]
    fn a_star_stays_in_its_folder_and_two_cross_it() {
        for (glob, path, matches) in [
            ("docs/**", "docs/a.md", true),
            ("docs/**", "docs/deep/a.md", true),
            ("docs/**", "docs2/a.md", false),
            ("docs/*", "docs/deep/a.md", false),
            ("**/*.md", "a.md", true),
            ("**/*.md", "x/y/a.md", true),
            ("*.md", "x/a.md", false),
            ("{docs,book}/**", "book/a.md", true),
            ("[a-c]/x", "b/x", true),
            ("scripts/x.sh", "scripts/x.sh", true),
            ("a?c", "abc", true),
        ] {
            assert_eq!(rule(glob).matches(&RepoPath::from(path)), matches, "{glob} {path}");
        }
        assert!(rule("data/*").matches(&RepoPath::new(b"data/\xff")));
    }
}

//! The steps of a gate before anything is known of their results: subjects, keys, and what is left out.

use std::collections::{BTreeMap, BTreeSet};

use supercargo_artifact::digest::{Digest, Hasher};

use crate::catalog::{self, BuiltIn, Setting, Tools, built_in};
use crate::facts::Snapshot;
use crate::facts::checks::{Check, Checks, Features};
use crate::facts::path::RepoPath;
use crate::facts::workspace::{MemberName, Package};
use crate::fingerprint::Fingerprints;
use crate::graph::{Key, key};
use crate::plan::{ASKED, Action, StepId, Subject, UNAFFECTED};
use crate::results::{self, Conditions, Parts};

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Members by name, each as cargo's `-p` takes it; the whole workspace where there are none.
    pub selection: Option<BTreeMap<MemberName, String>>,
    /// Whether only the steps of the workspace are wanted.
    pub workspace_steps: bool,
    /// The steps that are wanted, each for one member or all; every step where there are none.
    pub only: Vec<(String, Option<MemberName>)>,
    /// The steps that are not.
    pub skip: Vec<(String, Option<MemberName>)>,
}

/// The facts that a gate is planned from.
pub struct Facts<'a> {
    /// The repository.
    pub snapshot: Snapshot<'a>,
    /// The policy.
    pub checks: &'a Checks,
    /// What is asked for.
    pub asked: &'a Asked,
    /// What is installed.
    pub tools: &'a Tools,
    /// What every step depends on.
    pub conditions: &'a Conditions,
    /// Every node's fingerprints.
    pub prints: &'a BTreeMap<Key<'a>, Fingerprints>,
    /// Members whose content has no name.
    pub nameless: &'a BTreeMap<Key<'a>, String>,
    /// For each set of features: by member, the digest of what is resolved.
    pub features: &'a [BTreeMap<MemberName, Digest>],
    /// With `--base`: what was asked, and the members that differ.
    pub affected: Option<(&'a str, &'a BTreeSet<MemberName>)>,
}

/// A step before anything is known of its results.
pub struct Draft<'a> {
    /// Its name.
    pub id: StepId,
    /// The check, when it is built in.
    pub check: Option<&'static BuiltIn>,
    /// What policy says of it.
    pub policy: Check,
    features: &'a Features,
    /// Whom it is about.
    pub entries: Vec<Entry>,
}

/// One subject of a step, before anything is known of its result.
pub struct Entry {
    /// The member; none for the workspace.
    pub member: Subject,
    /// Why it is left out.
    pub skip: Option<String>,
    /// The parts of its key; or why no result of it is kept.
    pub parts: Result<Parts, String>,
}

impl Entry {
    /// The key of its result.
    #[must_use]
    pub fn key(&self) -> Option<Digest> {
        self.parts.as_ref().ok().map(results::key)
    }
}

/// The steps of the gate, and the keys of their results.
#[must_use]
pub fn draft<'a>(facts: &Facts<'a>) -> Vec<Draft<'a>> {
    let labels = labels(facts.checks);
    let names: Vec<&str> = facts.checks.names().filter(|name| facts.checks.enables(name)).collect();
    let mut drafts = Vec::new();
    for name in names {
        let policy = facts.checks.of(name);
        let check = built_in(name).filter(|_| policy.command.is_none());
        let compiles = check.is_some_and(|check| check.compiles);
        let of_members = check.is_some_and(|check| check.of_members);
        let wanted = if of_members { !facts.asked.workspace_steps } else { facts.asked.selection.is_none() };
        if !wanted {
            continue;
        }
        let sets = &facts.checks.features;
        for (n, features) in sets.iter().enumerate().take(if compiles { sets.len() } else { 1 }) {
            let label = labels.get(n).filter(|_| compiles);
            let id = StepId::new(name, label.map(String::as_str));
            let mut draft = Draft { id, check, policy: policy.clone(), features, entries: Vec::new() };
            draft.entries = entries(facts, &draft, n);
            drafts.push(draft);
        }
    }
    drafts
}

/// What tells the sets of features apart in the names of steps, where there are several.
#[must_use]
pub fn labels(checks: &Checks) -> Vec<String> {
    let label = |features: &Features| match features {
        Features::Default => "default".to_owned(),
        Features::All => "all".to_owned(),
        Features::Named(names) => names.join(","),
    };
    if checks.features.len() < 2 { Vec::new() } else { checks.features.iter().map(label).collect() }
}

fn setting<'a>(facts: &Facts<'a>) -> Setting<'a> {
    let (workspace, lock) = (facts.snapshot.workspace, facts.snapshot.lock);
    let named = |name: &[u8]| matches!(name, b"clippy.toml" | b".clippy.toml");
    let tracked = facts.snapshot.tree.iter().filter(|(path, _)| named(path.name())).map(|(path, _)| path.to_string());
    let others = facts.conditions.configuration.keys().filter(|key| key.ends_with("clippy.toml")).cloned();
    let settings: BTreeSet<String> = tracked.chain(others).collect();
    let lint_settings = (!settings.is_empty()).then(|| {
        let mut hasher = Hasher::new("supercargo lint settings 1");
        settings.iter().for_each(|path| _ = hasher.field(path.as_bytes()));
        hasher.finish().to_string()[..8].to_owned()
    });
    Setting { workspace, lock, tools: facts.tools, selection: facts.asked.selection.as_ref(), lint_settings }
}

/// The subjects of a step, each with the parts of its key.
fn entries(facts: &Facts<'_>, draft: &Draft<'_>, set: usize) -> Vec<Entry> {
    let of_members = draft.check.is_some_and(|check| check.of_members);
    let subjects: Vec<Option<&Package>> = if of_members {
        let asked = facts.asked.selection.as_ref();
        let mut members: Vec<&Package> = facts.snapshot.workspace.members().collect();
        members.retain(|member| asked.is_none_or(|asked| asked.contains_key(&member.name)));
        members.sort_by(|one, other| one.name.cmp(&other.name));
        members.into_iter().map(Some).collect()
    } else {
        vec![None]
    };
    let command = command(facts, draft);
    let tool = tool(facts.tools, draft).and_then(|(name, _)| facts.tools.version(&name)).unwrap_or_default();
    subjects
        .into_iter()
        .map(|package| {
            let member = package.map(|package| package.name.clone());
            let skip = skip(facts, draft, package);
            let inputs =
                package.map_or_else(|| of_workspace(facts, draft), |package| of_member(facts, draft, package, set));
            let parts =
                inputs.map(|inputs| results::parts(facts.conditions, (&draft.id, &member), (&command, tool), &inputs));
            Entry { member, skip, parts }
        })
        .collect()
}

/// The step's commands as far as they are the same whoever needs them, in one text.
fn command(facts: &Facts<'_>, draft: &Draft<'_>) -> String {
    let action = action(facts, draft, &[]);
    let mut command = serde_json::to_string(&action).unwrap_or_default();
    if let (Action::Each { .. }, Some(check)) = (&action, draft.check) {
        command = format!("{} {:?} {:?}", check.name, draft.policy.args, draft.features);
    }
    command
}

/// What may change the result for a member.
fn of_member(
    facts: &Facts<'_>,
    draft: &Draft<'_>,
    package: &Package,
    set: usize,
) -> Result<BTreeMap<&'static str, Digest>, String> {
    if draft.check.is_some_and(|check| check.name == "semver") {
        return Err("what it compares with lies in a registry".into());
    }
    if let Some(why) = facts.nameless.get(&key(package)) {
        return Err(why.clone());
    }
    let print = facts.prints.get(&key(package)).ok_or("it has no fingerprint")?;
    let mut inputs: BTreeMap<&str, Digest> = [("fingerprint", print.check)].into();
    if draft.check.is_some_and(|check| check.compiles) {
        let features = facts.features.get(set).and_then(|features| features.get(&package.name));
        inputs.insert("features", *features.ok_or("cargo's resolver does not name it")?);
    }
    Ok(inputs)
}

/// What may change the result for the workspace.
fn of_workspace(facts: &Facts<'_>, draft: &Draft<'_>) -> Result<BTreeMap<&'static str, Digest>, String> {
    let nameless = || "git has no name for the content of a file".to_owned();
    if draft.policy.inputs.is_some() {
        let reads = |path: &RepoPath| draft.policy.wants(path, &facts.snapshot.workspace.root);
        let ignored = facts.conditions.configuration.keys().filter_map(|name| name.strip_prefix("ignored "));
        let mut unlisted = ignored.map(RepoPath::from);
        if !unlisted.any(|path| reads(&path)) && !facts.snapshot.tree.iter().any(|(path, _)| reads(path)) {
            return Err("its inputs match no file".into());
        }
        return Ok([("files", results::files(facts.snapshot, &reads).ok_or_else(nameless)?)].into());
    }
    let name = draft.check.map_or("", |check| check.name);
    let files = results::files(facts.snapshot, &|path| catalog::reads(name, path)).ok_or_else(nameless)?;
    let mut inputs: BTreeMap<&str, Digest> = [("files", files)].into();
    if name == "fmt" {
        // Modules may lie in files of any name.
        if let Some(why) = facts.nameless.values().next() {
            return Err(why.clone());
        }
        let mut all = Hasher::new("supercargo members 1");
        for member in facts.snapshot.workspace.members() {
            let print = facts.prints.get(&key(member)).ok_or("a member has no fingerprint")?;
            all.field(print.check.as_bytes());
        }
        inputs.insert("fingerprint", all.finish());
    }
    Ok(inputs)
}

/// Why a subject is left out.
fn skip(facts: &Facts<'_>, draft: &Draft<'_>, package: Option<&Package>) -> Option<String> {
    let names = |list: &[(String, Option<MemberName>)]| {
        list.iter().any(|(check, member)| {
            let step = *check == draft.id.as_str() || check == draft.id.check();
            step && member.as_ref().is_none_or(|member| package.is_some_and(|package| package.name == *member))
        })
    };
    if (!facts.asked.only.is_empty() && !names(&facts.asked.only)) || names(&facts.asked.skip) {
        return Some(ASKED.into());
    }
    let name = draft.check?.name;
    let snapshot = facts.snapshot;
    let at = |folder: &[u8]| {
        snapshot.workspace.root.join(folder).is_some_and(|path| snapshot.tree.find(path.as_bytes()).is_some())
    };
    let why = match (name, package) {
        ("deny", _) if !["deny.toml", ".deny.toml", ".cargo/deny.toml"].iter().any(|p| at(p.as_bytes())) => {
            "no deny.toml"
        }
        ("advisories", _) if !has_registry_packages(snapshot) => "no packages from a registry",
        ("workflows", _) if snapshot.tree.below(&RepoPath::from(catalog::WORKFLOWS)).next().is_none() => "no workflows",
        ("test", Some(package)) if !catalog::tested(package) => "no tests",
        ("doctest", Some(package)) if !catalog::doctested(package) => "no library",
        ("doc", Some(package)) if !catalog::documented(package) => "nothing to document",
        ("semver", Some(package)) if !package.targets.iter().any(|target| target.library) => "no library",
        ("semver", Some(package)) if !package.publish => "not published",
        ("msrv", Some(package)) if package.rust_version.is_none() => "no rust-version",
        _ => "",
    };
    if !why.is_empty() {
        return Some(why.into());
    }
    let (base, affected) = facts.affected.as_ref()?;
    package.filter(|package| !affected.contains(&package.name)).map(|_| format!("{UNAFFECTED} {base}"))
}

fn has_registry_packages(snapshot: Snapshot<'_>) -> bool {
    match snapshot.lock {
        Some(lock) => lock.packages.iter().any(|package| package.id.source.is_some()),
        None => snapshot
            .workspace
            .packages
            .iter()
            .flat_map(|package| &package.dependencies)
            .any(|used| used.place.is_none()),
    }
}

/// The tool that a step needs, and what installs it.
fn tool(tools: &Tools, draft: &Draft<'_>) -> Option<(String, String)> {
    let own = |(tool, install): (&str, &str)| {
        (tool.to_owned(), draft.policy.install.clone().unwrap_or_else(|| install.to_owned()))
    };
    match draft.check {
        Some(check) if check.name == "test" => Some(own(("cargo-nextest", ""))),
        Some(check) if check.name == "advisories" && tools.version("cargo-deny").is_none() => {
            let audit = tools.version("cargo-audit").map(|_| own(("cargo-audit", "")));
            audit.or_else(|| check.tool.map(own))
        }
        Some(check) => check.tool.map(own),
        None => {
            let program = draft.policy.command.as_ref()?.first()?.clone();
            let install = format!("install {program}, or put it on PATH");
            Some((program, draft.policy.install.clone().unwrap_or(install)))
        }
    }
}

/// What a step does for the members `running`.
#[must_use]
pub fn action(facts: &Facts<'_>, draft: &Draft<'_>, running: &[MemberName]) -> Action {
    if let Some((tool, install)) = tool(facts.tools, draft)
        && facts.tools.version(&tool).is_none()
        && tool != "cargo-nextest"
    {
        return Action::Missing { tool, install, optional: draft.policy.optional };
    }
    match (draft.check, &draft.policy.command) {
        (Some(check), _) => setting(facts).action(check, draft.features, &draft.policy, running),
        (None, command) => {
            let command = command.iter().flatten().chain(&draft.policy.args).cloned().collect();
            Action::Program { command }
        }
    }
}

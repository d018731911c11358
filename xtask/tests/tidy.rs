//! The house rules that no compiler and no lint holds.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file, its unit tests apart.
const LONGEST: usize = 360;

/// Names that say nothing of what is in the room.
const EMPTY_NAMES: [&str; 8] = ["utils", "util", "helpers", "helper", "common", "errors", "types", "misc"];

/// Folders that tools take for output.
const OUTPUT_NAMES: [&str; 3] = ["build", "dist", "out"];

/// Libraries that only these files may know.
const OWNED: [(&str, &[&str]); 13] = [
    ("guppy", &["crates/supercargo-plan/src/facts/closure.rs", "crates/supercargo-plan/src/facts/platform.rs"]),
    ("clap", &["crates/supercargo/src/cli.rs", "crates/supercargo/src/lib.rs"]),
    ("sha2", &["crates/supercargo-artifact/src/digest.rs"]),
    ("cargo_platform", &["crates/supercargo-plan/src/facts/conditions.rs"]),
    ("object", &["crates/supercargo-artifact/src/elf.rs"]),
    ("toml", &["crates/supercargo-plan/src/facts/manifest.rs"]),
    ("xshell", &["crates/supercargo/src/process/mod.rs"]),
    ("rustix", &["crates/supercargo/src/process/mod.rs"]),
    ("jobserver", &["crates/supercargo/src/process/mod.rs"]),
    ("indicatif", &["crates/supercargo/src/report/terminal.rs"]),
    ("ureq", &["crates/supercargo/src/store/remote.rs", "crates/supercargo/src/store/transfer.rs"]),
    ("chrono", &["crates/supercargo/src/execute/journal.rs"]),
    (
        "quick_junit",
        &["crates/supercargo-plan/src/facts/tools/nextest.rs", "crates/supercargo/src/report/gate/files.rs"],
    ),
];

/// The order of the crates: each may use those after it.
const CRATES: [&str; 4] = ["xtask", "supercargo", "supercargo-plan", "supercargo-artifact"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every Rust file of the workspace's crates: path from the root, and text.
fn sources() -> Vec<(String, String)> {
    let mut open: Vec<PathBuf> = ["crates", "xtask"].map(|folder| root().join(folder)).into();
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn none(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// The lines before a file's unit tests.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default()
}

#[test]
fn files_open_with_a_sentence_and_stay_short() {
    let mut faults = Vec::new();
    for (name, text) in sources() {
        let first = text.lines().next().unwrap_or_default();
        if !first.starts_with("//! ") {
            faults.push(format!("{name}: opens without `//!` and a sentence on what is in the room"));
        }
        let lines = code(&text).lines().count();
        if lines > LONGEST {
            faults.push(format!("{name}: {lines} lines, {LONGEST} at most"));
        }
    }
    none(&faults);
}

#[test]
fn names_say_what_is_in_the_room() {
    let mut faults = Vec::new();
    for (name, text) in sources() {
        let parts: Vec<&str> = name.trim_end_matches(".rs").split('/').collect();
        for part in &parts {
            if EMPTY_NAMES.contains(part) || (OUTPUT_NAMES.contains(part) && part != parts.last().unwrap()) {
                faults.push(format!("{name}: `{part}` is no name for a room"));
            }
        }
        if name == "xtask/tests/tidy.rs" {
            continue;
        }
        for word in ["dry_run", "#[allow(", "FIXME", "XXX"] {
            if text.contains(word) {
                faults.push(format!("{name}: `{word}`"));
            }
        }
    }
    none(&faults);
}

#[test]
fn each_library_is_known_where_it_is_at_home() {
    let mut faults = Vec::new();
    for (name, text) in sources() {
        for (library, homes) in OWNED {
            let used = text.lines().any(|line| {
                let line = line.trim_start();
                !line.starts_with("//")
                    && (line.starts_with(&format!("use {library}::")) || line.contains(&format!("{library}::")))
            });
            let tests = name.contains("/tests/");
            if used && !homes.contains(&name.as_str()) && !tests {
                faults.push(format!("{name}: `{library}` is at home in {}", homes.join(", ")));
            }
        }
        let speaks = code(&text).contains("io::stdout()") || code(&text).contains("io::stderr()");
        if speaks && name != "crates/supercargo/src/report/mod.rs" && !name.contains("/tests/") {
            faults.push(format!("{name}: only report speaks"));
        }
    }
    none(&faults);
}

#[test]
fn crates_use_only_those_below_them() {
    let mut faults = Vec::new();
    for (n, name) in CRATES.iter().enumerate() {
        let folder = if *name == "xtask" { root().join("xtask") } else { root().join("crates").join(name) };
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap();
        for used in &CRATES[..=n] {
            if dependencies.lines().any(|line| line.split(['.', ' ', '=']).next() == Some(used)) {
                faults.push(format!("{name} may not use {used}"));
            }
        }
    }
    none(&faults);
}

/// The modules of a crate that each of its modules imports, both by path such as `facts::tree`.
fn imports(krate: &str) -> BTreeMap<String, BTreeSet<String>> {
    let prefix = format!("crates/{krate}/src/");
    let files: Vec<(String, String)> = sources()
        .into_iter()
        .filter_map(|(name, text)| {
            let module =
                name.strip_prefix(&prefix)?.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
            Some((module, text))
        })
        .collect();
    let modules: BTreeSet<String> = files.iter().map(|(module, _)| module.clone()).collect();
    let nearest = |path: &str| {
        let mut path = path.to_owned();
        loop {
            if modules.contains(&path) {
                return Some(path);
            }
            path.truncate(path.rfind("::")?);
        }
    };
    let mut graph = BTreeMap::new();
    for (module, text) in &files {
        let mut used = BTreeSet::new();
        for statement in code(text).split("\nuse ").skip(1).filter_map(|rest| rest.split(';').next()) {
            let statement = statement.split_whitespace().collect::<String>();
            let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
            let absolute = if let Some(rest) = statement.strip_prefix("crate::") {
                rest.to_owned()
            } else if let Some(rest) = statement.strip_prefix("super::") {
                [parent, rest].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("::")
            } else if modules.contains(&format!("{module}::{}", statement.split("::").next().unwrap_or_default())) {
                // A folder's own rooms are what it is made of.
                continue;
            } else {
                continue;
            };
            let (path, items) = absolute.split_once('{').unwrap_or((&absolute, ""));
            let path = path.trim_end_matches("::");
            used.extend(nearest(path));
            used.extend(items.trim_end_matches('}').split(',').filter_map(|item| {
                let item = format!("{path}::{item}");
                modules.contains(&item).then_some(item)
            }));
        }
        used.remove(module);
        // What a folder's `mod.rs` imports of the folder is what the folder is made of.
        used.retain(|other| !other.starts_with(&format!("{module}::")));
        graph.insert(module.clone(), used);
    }
    graph
}

#[test]
fn no_import_runs_in_a_circle() {
    let mut faults = Vec::new();
    for krate in &CRATES[1..] {
        let mut graph = imports(krate);
        assert!(!graph.is_empty(), "no source of {krate} was found");
        // A room that imports nothing that is left is no part of a circle.
        while let Some(free) =
            graph.iter().find(|(_, used)| !used.iter().any(|u| graph.contains_key(u))).map(|(m, _)| m.clone())
        {
            graph.remove(&free);
        }
        if !graph.is_empty() {
            faults.push(format!("{krate}: a circle among {:?}", graph.keys().collect::<Vec<_>>()));
        }
    }
    none(&faults);
}

#[test]
fn the_forge_is_known_to_its_own_rooms_alone() {
    let rooms = [
        "read/ci.rs",
        "report/github.rs",
        "report/mod.rs",
        "report/gate/github.rs",
        "report/gate/mod.rs",
        "read/mod.rs",
        "cli.rs",
        "flow/affected.rs",
        "flow/build.rs",
        "flow/gate.rs",
        // The folder of the workflows that a check reads.
        "catalog.rs",
        // Variables of its runner that change no result.
        "environment.rs",
    ];
    let knows = |(name, text): &(String, String)| {
        let known = code(text).to_lowercase().contains("github");
        known && name.contains("/src/") && !rooms.iter().any(|room| name.ends_with(room))
    };
    let faults: Vec<String> = sources().iter().filter(|source| knows(source)).map(|(name, _)| name.clone()).collect();
    none(&faults);
}

#[test]
fn each_crate_has_one_integration_binary() {
    for krate in &CRATES[1..] {
        let folder = root().join("crates").join(krate).join("tests");
        let Ok(entries) = fs::read_dir(folder) else { continue };
        let names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned()).collect();
        assert_eq!(names, ["it"], "{krate}");
    }
}

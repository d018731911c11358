//! Records of several machines, merged into one, with the programs that they name.

use std::path::{Path, PathBuf};

use supercargo_artifact::digest::Digest;
use supercargo_plan::built::{self, Built, Source};
use supercargo_plan::problem::{Exit, Problem};
use supercargo_plan::programs::{ship, shipped};
use supercargo_plan::verdict::Verdict;

use super::programs::Survey;
use super::{Ended, print};
use crate::execute::program::prove;
use crate::report::{self, say};
use crate::store::{Programs, write_file};

/// Merges `records` into the record of this folder, and their programs into its store.
///
/// # Errors
/// When a record cannot be read or is of another commit, or a program that it names is nowhere.
pub fn run(found: &Survey<'_>, (records, json): (&[PathBuf], bool), store: &Programs, source: &Source) -> Ended {
    let mut read = Vec::new();
    let folders = found.folders();
    for path in records {
        let name = path.display().to_string();
        let text = std::fs::read(path)
            .map_err(|error| Problem::mend(format!("{name} cannot be read: {error}"), format!("ls -l {name}")))?;
        let record = built::parse(&name, &text)?;
        if record.commit != source.commit {
            let shown = |commit: &Option<String>| commit.clone().unwrap_or_else(|| "no commit".into());
            let what = format!("{name} is of {}, and this is {}", shown(&record.commit), shown(&source.commit));
            return Err(Problem::mend(what, format!("git checkout {}", shown(&record.commit))));
        }
        agree(found, &record, &name)?;
        fetch(&record, path, &name, store, &folders)?;
        read.push((name, record));
    }
    let merged = built::merge(read)?;
    // Records that do not agree leave no key behind.
    store.adopt(&merged);
    let missing = complete(found, &merged);
    let notes = store.finish(&merged);
    write_record(&found.world.target, &merged)?;
    notes.iter().for_each(|note| say(&format!("note: {note}\n")));
    let good = |verdict: &Verdict| verdict.is_good() || matches!(verdict, Verdict::Skipped(_));
    let good = merged.programs.iter().all(|made| good(&made.verdict) && made.smoke.as_ref().is_none_or(good))
        && merged.steps.values().all(good);
    say(&report::build::table(&merged, &|_| false, &|_, text| text.to_owned()));
    if !missing.is_empty() {
        say(&format!("no record has: {}\n", missing.join(", ")));
    }
    if json {
        print(&report::build::record(&merged)).map(drop)?;
    }
    Ok(if good && missing.is_empty() && !merged.interrupted { Exit::Yes } else { Exit::No })
}

/// Whether a record has only programs that this workspace ships, built as is asked for here.
fn agree(found: &Survey<'_>, record: &Built, name: &str) -> Result<(), Problem> {
    let (workspace, policy, asked) = (found.facts.snapshot.workspace, found.facts.policy, found.facts.asked);
    let shipped = shipped(workspace, policy)?;
    for made in &record.programs {
        let known =
            shipped.iter().find(|program| program.name == made.program && program.package.as_str() == made.package);
        let Some(known) = known.filter(|_| policy.shipping.targets.contains(&made.target)) else {
            let what = format!("{name} has {} for {}, which this workspace does not ship", made.program, made.target);
            return Err(Problem::mend(what, "cargo xtask build --plan"));
        };
        let ship = ship(policy, &known.package);
        let features = |features: &[String], default: bool| format!("features {features:?}, default ones {default}");
        let pairs = [
            (format!("version {}", made.version), format!("version {}", known.version)),
            (format!("profile {}", made.profile), format!("profile {}", asked.profile)),
            (features(&made.features, made.default_features), features(&ship.features, ship.default_features)),
        ];
        if let Some((has, wanted)) = pairs.iter().find(|(has, wanted)| has != wanted) {
            let what = format!("{name} has {} with {has}, and here it is {wanted}", made.program);
            return Err(Problem::mend(what, format!("cargo xtask build --profile {}, on that machine", asked.profile)));
        }
    }
    Ok(())
}

/// Brings the programs of a record into the store, from the store beside it where they are not here; and proves them.
fn fetch(record: &Built, path: &Path, name: &str, store: &Programs, folders: &[String]) -> Result<(), Problem> {
    let beside = path.parent().unwrap_or(Path::new("")).join("store");
    for made in &record.programs {
        let Some(artifact) = &made.artifact else { continue };
        let digest = Digest::parse(&artifact.digest).ok_or_else(|| {
            Problem::mend(format!("{name} names no digest for {}", made.program), "cargo xtask build")
        })?;
        let there = store.blobs.get(&digest, Some(artifact.size)).is_some() || store.import(&beside, &digest);
        let bytes = if there { store.blobs.read(&digest) } else { None };
        if let Some(bytes) = bytes.filter(|bytes| bytes.len() as u64 == artifact.size) {
            let faults = prove(&bytes, &made.target, folders);
            let Some(fault) = faults.first() else { continue };
            let what =
                format!("{} for {}, which {name} names, is not to be shipped: {fault}", made.program, made.target);
            let mend = format!("cargo xtask build --bin {} --target {}", made.program, made.target);
            return Err(Problem::mend(what, mend));
        }
        let what = format!("the bytes of {} for {}, which {name} names, are not here", made.program, made.target);
        let mend = format!("put the `store` of the machine that built it beside {name}");
        return Err(Problem::mend(what, mend));
    }
    Ok(())
}

/// The programs that are asked for and that no record has.
fn complete(found: &Survey<'_>, merged: &Built) -> Vec<String> {
    // One that was left out there has no bytes, and is wanted here.
    let has = |name: &str, target: &str| {
        let mut same = merged.programs.iter().filter(|made| made.program == name && made.target == target);
        same.any(|made| !matches!(made.verdict, Verdict::Skipped(_)))
    };
    let wanted = found.drafts.iter().filter(|draft| draft.skip.is_none());
    let missing = wanted.filter(|draft| !has(&draft.program.name, draft.target));
    missing.map(|draft| draft.id.to_string()).collect()
}

/// Writes the record of this folder, as a whole or not at all.
///
/// # Errors
/// When the disk does not take it.
pub fn write_record(target: &Path, built: &Built) -> Result<(), Problem> {
    let path = target.join("xtask").join("build.json");
    write_file(&path, report::build::record(built).as_bytes()).map_err(|error| {
        Problem::mend(format!("the record target/xtask/build.json cannot be written: {error}"), "df -h")
    })
}

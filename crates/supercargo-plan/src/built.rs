//! The record of `build`: every program with its digest, and how it came to be. `package` reads it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::invocation::{flags, told};
use crate::plan::{Artifact, StepId};
use crate::problem::Problem;
use crate::recipe::{Draft, Facts};
use crate::record::Record;
use crate::verdict::Verdict;

/// The version of the form: raised when a field goes or changes its meaning.
pub const SCHEMA: u32 = 1;

/// What became of every program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Built {
    /// The version of the form.
    pub schema: u32,
    /// `build`.
    pub verb: String,
    /// The digest of the plan.
    pub plan: String,
    /// The commit that was checked out; none before the first one.
    pub commit: Option<String>,
    /// Whether the working tree differed from it.
    pub changed: bool,
    /// The programs, by name and target.
    pub programs: Vec<Made>,
    /// By step: the verdict on what was no program, such as a target's library.
    pub steps: BTreeMap<StepId, Verdict>,
    /// What sccache says of its hits and misses, where it was in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sccache: Option<Hits>,
    /// Whether a person interrupted it.
    pub interrupted: bool,
}

/// How often a compiler's result was there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hits {
    /// It was.
    pub hits: u64,
    /// It was not.
    pub misses: u64,
}

/// A program for a target, and how it came to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// Its name.
    pub program: String,
    /// The member whose program it is.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Its target.
    pub target: String,
    /// What became of it: `passed` where it was built, `cached` where it was there.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Its bytes; none where there are none.
    #[serde(flatten)]
    pub artifact: Option<Artifact>,
    /// The build key; none where nothing is kept.
    pub key: Option<String>,
    /// What linked it.
    pub linker: Linked,
    /// The profile.
    pub profile: String,
    /// The features that are on besides the default ones.
    pub features: Vec<String>,
    /// Whether the default ones are on.
    pub default_features: bool,
    /// The compiler's flags, folders of the machine by their names in `<>`.
    pub flags: Vec<String>,
    /// How long it took, in seconds; none where it was there.
    pub seconds: Option<f64>,
    /// What became of its start, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smoke: Option<Verdict>,
    /// `rustc -vV` and `cargo -V`.
    pub toolchain: String,
}

/// What linked a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linked {
    /// Its name.
    pub name: String,
    /// What it says of its version.
    pub version: String,
    /// Why it is the one.
    pub because: String,
}

/// Where the sources stood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The commit that was checked out.
    pub commit: Option<String>,
    /// Whether the working tree differed from it.
    pub changed: bool,
}

/// The record of the programs of `drafts`, of which `record` says what became.
#[must_use]
pub fn built(facts: &Facts<'_>, drafts: &[Draft<'_>], record: &Record, source: Source) -> Built {
    let mut steps: BTreeMap<StepId, Verdict> =
        record.steps.keys().filter_map(|step| Some((step.clone(), record.verdict(step)?.clone()))).collect();
    let mut programs: Vec<Made> = Vec::new();
    for draft in drafts {
        let Some(outcome) = record.of(&draft.id).next() else { continue };
        let smoke = StepId::smoke(&draft.id);
        steps.remove(&draft.id);
        programs.push(Made {
            program: draft.program.name.clone(),
            package: draft.program.package.to_string(),
            version: draft.program.version.clone(),
            target: draft.target.to_owned(),
            verdict: outcome.verdict.clone(),
            artifact: outcome.artifact.clone(),
            key: draft.key().map(|key| key.to_string()),
            linker: Linked {
                name: draft.choice.linker.to_string(),
                version: draft.linker.clone(),
                because: draft.choice.because.clone(),
            },
            profile: facts.asked.profile.clone(),
            features: draft.ship.features.clone(),
            default_features: draft.ship.default_features,
            flags: told(flags(facts, draft.target)),
            seconds: record.steps.get(&draft.id).and_then(|told| told.seconds),
            smoke: steps.remove(&smoke),
            toolchain: facts.conditions.toolchain.clone(),
        });
    }
    programs.sort_by(|one, other| (&one.program, &one.target).cmp(&(&other.program, &other.target)));
    Built {
        schema: SCHEMA,
        verb: record.verb.clone(),
        plan: record.plan.clone(),
        commit: source.commit,
        changed: source.changed,
        programs,
        steps,
        sccache: None,
        interrupted: record.interrupted,
    }
}

impl Built {
    /// Says of the programs of `moved`, whose sources changed while they were built, that they are of no key and no commit.
    pub fn disown(&mut self, moved: &BTreeSet<StepId>) {
        for made in &mut self.programs {
            if moved.contains(&StepId::new(&made.program, Some(&made.target))) {
                made.key = None;
                self.changed = true;
            }
        }
    }
}

/// Parses a record.
///
/// # Errors
/// When it is none, or of another version of the form; `name` is where it lies.
pub fn parse(name: &str, text: &[u8]) -> Result<Built, Problem> {
    let rebuild = "cargo xtask build";
    let value: serde_json::Value = serde_json::from_slice(text)
        .map_err(|error| Problem::mend(format!("{name} is no record of `build`: {error}"), rebuild))?;
    if value["verb"] != "build" || value["schema"] != SCHEMA {
        let what = format!(
            "{name} is no record of `build` in form {SCHEMA}: verb {}, schema {}",
            value["verb"], value["schema"]
        );
        return Err(Problem::mend(what, rebuild));
    }
    serde_json::from_value(value)
        .map_err(|error| Problem::mend(format!("{name} is no whole record of `build`: {error}"), rebuild))
}

/// Merges records that several machines made of one commit, each with the name by which it is told.
///
/// # Errors
/// When they are of different commits, or one program has different bytes in two of them.
pub fn merge(records: Vec<(String, Built)>) -> Result<Built, Problem> {
    let again = "cargo xtask build, on every machine, at one commit and with one toolchain";
    let mut all = records.into_iter();
    let Some((first, mut merged)) = all.next() else {
        return Err(Problem::usage("there is no record to merge", "cargo xtask build --merge RECORD..."));
    };
    let mut owners: BTreeMap<(String, String), String> = BTreeMap::new();
    for made in &merged.programs {
        owners.insert((made.program.clone(), made.target.clone()), first.clone());
    }
    for (name, record) in all {
        if (&record.commit, record.changed) != (&merged.commit, merged.changed) {
            let shown = |built: &Built| {
                let changed = if built.changed { ", changed" } else { "" };
                format!("{}{changed}", built.commit.as_deref().unwrap_or("no commit"))
            };
            let what = format!("{first} is of {}, {name} of {}", shown(&merged), shown(&record));
            return Err(Problem::mend(what, again));
        }
        merged.interrupted |= record.interrupted;
        for (step, verdict) in record.steps {
            let worse = merged.steps.get(&step).is_none_or(|known| known.rank() < verdict.rank());
            if worse {
                merged.steps.insert(step, verdict);
            }
        }
        for made in record.programs {
            let place = (made.program.clone(), made.target.clone());
            let known =
                merged.programs.iter_mut().find(|known| (&known.program, &known.target) == (&place.0, &place.1));
            match known {
                None => merged.programs.push(made),
                // Left out there, and built here.
                Some(known) if known.artifact.is_none() && matches!(known.verdict, Verdict::Skipped(_)) => {
                    *known = made
                }
                Some(_) if made.artifact.is_none() && matches!(made.verdict, Verdict::Skipped(_)) => continue,
                Some(known) if known.artifact == made.artifact && known.verdict.is_bad() == made.verdict.is_bad() => {
                    // Who started it and failed has seen more than who did not start it.
                    let rank = |smoke: &Option<Verdict>| smoke.as_ref().map(Verdict::rank);
                    if rank(&made.smoke) > rank(&known.smoke) {
                        known.smoke = made.smoke;
                    }
                }
                Some(_) => {
                    let other = owners.get(&place).cloned().unwrap_or_default();
                    let what = format!("{} for {} is not the same in {other} and {name}", place.0, place.1);
                    return Err(Problem::mend(what, again));
                }
            }
            owners.insert(place, name.clone());
        }
    }
    merged.programs.sort_by(|one, other| (&one.program, &one.target).cmp(&(&other.program, &other.target)));
    "merged".clone_into(&mut merged.plan);
    merged.sccache = None;
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(program: &str, target: &str, verdict: Verdict, digest: Option<&str>) -> Made {
        Made {
            program: program.into(),
            package: program.into(),
            version: "1.0.0".into(),
            target: target.into(),
            verdict,
            artifact: digest.map(|digest| Artifact { digest: digest.into(), size: 1 }),
            key: None,
            linker: Linked { name: "rust-lld".into(), version: String::new(), because: String::new() },
            profile: "release".into(),
            features: Vec::new(),
            default_features: true,
            flags: Vec::new(),
            seconds: None,
            smoke: None,
            toolchain: String::new(),
        }
    }

    fn record(commit: &str, programs: Vec<Made>) -> Built {
        Built {
            schema: SCHEMA,
            verb: "build".into(),
            plan: "1".into(),
            commit: Some(commit.into()),
            changed: false,
            programs,
            steps: BTreeMap::new(),
            sccache: None,
            interrupted: false,
        }
    }

    fn merged(records: Vec<Built>) -> Result<Built, Problem> {
        merge(records.into_iter().enumerate().map(|(n, record)| (format!("record {n}"), record)).collect())
    }

    #[test]
    fn records_of_one_commit_become_one() {
        let skipped = || Verdict::Skipped("asked".into());
        let one = record("c", vec![made("a", "x", Verdict::Passed, Some("1")), made("b", "x", skipped(), None)]);
        let other = record("c", vec![made("b", "x", Verdict::Cached, Some("2")), made("a", "x", skipped(), None)]);
        let all = merged(vec![one.clone(), other.clone()]).unwrap();
        let digests: Vec<_> = all.programs.iter().map(|made| made.artifact.as_ref().unwrap().digest.as_str()).collect();
        assert_eq!(digests, ["1", "2"]);
        assert_eq!(merged(vec![other, one]).unwrap().programs, all.programs);
    }

    #[test]
    fn what_does_not_agree_is_refused() {
        let of = |commit: &str, digest: &str| record(commit, vec![made("a", "x", Verdict::Passed, Some(digest))]);
        assert!(merged(vec![of("c", "1"), of("d", "1")]).unwrap_err().what.contains("record 0 is of c, record 1 of d"));
        let problem = merged(vec![of("c", "1"), of("c", "2")]).unwrap_err();
        assert_eq!(problem.what, "a for x is not the same in record 0 and record 1");
        let failed = record("c", vec![made("a", "x", Verdict::Failed("no".into()), None)]);
        assert!(merged(vec![of("c", "1"), failed]).is_err());
        assert!(merged(Vec::new()).is_err());
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_rubbish_is_refused() {
        let mut built = record("c", vec![made("a", "x", Verdict::Failed("why".into()), None)]);
        built.programs.push(made("b", "x", Verdict::Passed, Some("1")));
        built.sccache = Some(Hits { hits: 1, misses: 2 });
        let text = serde_json::to_vec(&built).unwrap();
        assert_eq!(parse("r", &text).unwrap(), built);
        for rubbish in [&b""[..], b"[]", b"{\"verb\":\"gate\",\"schema\":1}", b"{\"verb\":\"build\",\"schema\":2}"] {
            assert!(parse("r", rubbish).is_err());
        }
        assert!(parse("r", &text[..text.len() / 2]).is_err());
    }
}

//! `build`: the shippable programs, each in the store under its digest.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use supercargo_artifact::digest::Digest;
use supercargo_plan::built::{Built, Source, built};
use supercargo_plan::facts::tools::Ground;
use supercargo_plan::plan::{Plan, SYSROOT_FOLDER, Step, StepId, Subject};
use supercargo_plan::problem::{Exit, Problem};
use supercargo_plan::programs::Entry;
use supercargo_plan::recipe::CONFIGURATION;
use supercargo_plan::record::{Outcome, Record};
use supercargo_plan::results::Parts;
use supercargo_plan::verbs::build::{self, plan};
use supercargo_plan::verdict::Verdict;
use supercargo_plan::verdicts::Judgement;

use super::beat::{beating, voice};
use super::memory::{Durations, durations, keep_durations};
use super::programs::{Asking, Survey, survey};
use super::settling::{Settled, note_freshness, settle, withdraw};
use super::{Ended, base, checked_revision, merge, print};
use crate::cli::{Build as Arguments, BuildFormat};
use crate::execute::event::Event;
use crate::execute::journal::Journal;
use crate::execute::program::{Workshop, prove};
use crate::execute::twins::Twins;
use crate::execute::{self, Work};
use crate::process;
use crate::read::git::{Git, on_disk};
use crate::read::statistics::{self, Statistics};
use crate::read::{cargo, configuration, environment, place};
use crate::report::gate::files::{self, Times};
use crate::report::terminal::Terminal;
use crate::report::{self, gate};
use crate::store::Programs;

/// `cargo xtask build`.
///
/// # Errors
/// When something a person must mend is in the way, and there is no verdict.
pub fn run(arguments: &Arguments) -> Ended {
    let place = place::find(arguments.manifest_path.as_deref())?;
    let git = Git::new(&place.root);
    let asked = arguments.affected.as_ref();
    let base = asked.map(|asked| checked_revision(base(Some(asked), &place, &git)?)).transpose()?;
    let asking = Asking { arguments, place: &place, base };
    survey(&asking, None, |found| {
        if let BuildFormat::Matrix | BuildFormat::Github = arguments.format {
            return matrix(found, arguments.format);
        }
        let store = Programs::open(&found.world.target, found.facts.policy.shared.as_ref());
        if !arguments.merge.is_empty() {
            let json = arguments.format == BuildFormat::Json;
            return merge::run(found, (&arguments.merge, json), &store, &source(found, &git)?);
        }
        let durations = durations(&found.world.target);
        let plan = {
            let folders = found.folders();
            let memory = Remembered { store: &store, durations: &durations, folders: &folders };
            plan(found.facts, found.drafts, &memory, !arguments.no_cache)
        };
        if arguments.plan {
            store.notes().iter().for_each(|note| report::say(&format!("note: {note}\n")));
            return match arguments.format {
                BuildFormat::Json => {
                    print(&serde_json::to_string(&plan).map(|text| format!("{text}\n")).unwrap_or_default())
                }
                _ => print(&report::build::plan(&plan, found.facts.asked)),
            };
        }
        let source = source(found, &git)?;
        carry_out(&asking, found, &plan, &store, (durations, source))
    })
}

/// The programs for a CI matrix.
fn matrix(found: &Survey<'_>, format: BuildFormat) -> Ended {
    let wanted = found.drafts.iter().filter(|draft| draft.skip.is_none());
    let entries: Vec<(&str, &str)> = wanted.map(|draft| (draft.program.name.as_str(), draft.target)).collect();
    if format == BuildFormat::Matrix {
        return print(&format!("{}\n", report::github::programs_matrix(&entries)));
    }
    let lines = report::github::programs_outputs(&entries);
    report::github::append_outputs(&lines)?;
    print(&lines)
}

/// Where the sources stand.
fn source(found: &Survey<'_>, git: &Git) -> Result<Source, Problem> {
    let commit = found.world.commits.as_ref().ok().map(|commits| commits.head.to_string());
    let tree = &found.world.head.tree;
    let added = found.world.untracked.iter().any(|path| tree.find(path.as_bytes()).is_some());
    let mut changes = git.changes("HEAD", false, None)?;
    git.name_contents(&mut changes)?;
    Ok(Source { commit, changed: added || changes.iter().any(|change| change.before != change.after) })
}

/// What is known of programs that were built before.
struct Remembered<'a> {
    store: &'a Programs,
    folders: &'a [String],
    durations: &'a Durations,
}

impl build::Memory for Remembered<'_> {
    fn built(&self, key: &Digest) -> Option<Entry> {
        self.store.built(key, &|bytes, target| prove(bytes, target, self.folders))
    }

    fn last(&self, step: &StepId, member: &Subject) -> Option<Parts> {
        self.store.last(step, member)
    }

    fn seconds(&self, step: &StepId) -> Option<f64> {
        self.durations.of(step)
    }
}

/// Makes ready for what runs, if anything does; what sccache has counted so far.
fn start(found: &Survey<'_>, plan: &Plan) -> Option<Statistics> {
    if !plan.steps.iter().any(Step::runs) {
        return None;
    }
    process::guard::start();
    statistics::of_sccache(found.root, found.wrapper)
}

/// Carries the plan out, keeps what is good, and says what became of it.
fn carry_out(
    asking: &Asking<'_>,
    found: &Survey<'_>,
    plan: &Plan,
    store: &Programs,
    (durations, source): (Durations, Source),
) -> Ended {
    process::ends_itself();
    let statistics = start(found, plan);
    let Arguments { color, quiet, verbose, .. } = asking.arguments;
    let terminal = Terminal::new(voice(*color, *quiet, *verbose), "Build");
    let (journal, trouble) = Journal::open(&found.world.target, plan.verb);
    let times: Mutex<Times> = Mutex::default();
    let emit = |event: &Event| {
        journal.append(event);
        files::note_time(&times, event, journal.started.elapsed().as_secs_f64());
        terminal.show(event);
    };
    let moved: Mutex<BTreeSet<StepId>> = Mutex::default();
    let settle = |step: &Step, judgement: &Judgement, clock: SystemTime| {
        let settled = settle(asking, store, step, judgement, clock);
        note_freshness(found, step, &settled);
        withdraw(store, step, judgement);
        let Settled::Moved(why) = settled else { return Vec::new() };
        moved.lock().unwrap_or_else(PoisonError::into_inner).insert(step.id.clone());
        vec![why]
    };
    let places = found.places;
    let listed = || files_of(found);
    let configured = |root: &Path, home: &Path| is_configured(found, root, home);
    let workshop = Workshop {
        blobs: &store.blobs,
        folders: &found.folders(),
        inputs: found.drafts.iter().map(|draft| (draft.id.clone(), &draft.inputs)).collect(),
        twins: Twins::new((found.world.top(), found.root, found.home), &listed, places, &configured),
    };
    let top = found.world.top().display().to_string();
    let work = Work {
        plan,
        ground: Ground { workspace: found.facts.snapshot.workspace, top: &top },
        graph: &found.facts.side.graph,
        root: found.root,
        places,
        workshop: Some(&workshop),
        folder: &journal.folder,
        journal: &journal,
        cargo: cargo::program(),
        libraries: None,
        variables: variables(found),
        lanes: 1,
        jobs: found.facts.asked.jobs,
        // What one program comes to says nothing of the others.
        keep_going: true,
        settle: &settle,
        emit: &emit,
    };
    let record = beating(&terminal, || execute::execute(&work));
    keep_durations(&found.world.target, durations, &record);
    let sccache = statistics.and_then(|before| before.since(found.root, found.wrapper));
    let mut built = Built { sccache, ..built(found.facts, found.drafts, &record, source) };
    built.disown(&moved.into_inner().unwrap_or_else(PoisonError::into_inner));
    let explained = explained(found);
    let exit = record.exit(plan, explained.is_some());
    emit(&Event::RunFinished { exit: exit as u8, seconds: journal.started.elapsed().as_secs_f64() });
    let notes = trouble.into_iter().chain(withheld(found)).chain(store.finish(&built)).collect();
    let ending = Ending { plan, record: &record, built: &built, exit, times: &times, notes, explained };
    conclude(asking, found, &journal, &terminal, &ending)
}

/// What children get: the compiler that the record names before any other.
fn variables(found: &Survey<'_>) -> Vec<(OsString, OsString)> {
    let variables = environment::variables(&found.facts.conditions.environment);
    let sysroot = found.places.get(SYSROOT_FOLDER).map(|sysroot| Path::new(sysroot).join("bin"));
    match sysroot.filter(|programs| programs.join("rustc").is_file()) {
        Some(programs) => environment::first_on_path(variables, &programs),
        None => variables,
    }
}

/// Whether cargo's configuration is the one that programs are built with, for a workspace and a home elsewhere.
fn is_configured(found: &Survey<'_>, root: &Path, home: &Path) -> bool {
    let expected = found.facts.conditions.configuration.get(CONFIGURATION);
    configuration::read(root, home).is_ok_and(|there| Some(&there.digest()) == expected)
}

/// The repository's files, from its top, and those that git ignores and that count all the same.
fn files_of(found: &Survey<'_>) -> Vec<PathBuf> {
    let ignored = found.facts.conditions.configuration.keys().filter_map(|name| name.strip_prefix("ignored "));
    let listed = found.world.head.tree.iter().map(|(path, _)| on_disk(Path::new(""), path));
    let tree = &found.world.head.tree;
    let inside = found.root.strip_prefix(found.world.top()).unwrap_or(Path::new(""));
    let configurations =
        inside.ancestors().flat_map(|folder| ["config", "config.toml"].map(|name| folder.join(".cargo").join(name)));
    let configurations = configurations.chain([inside.join("Cargo.lock")]);
    let configurations = configurations.filter(|path| tree.find(path.as_os_str().as_encoded_bytes()).is_none());
    listed.chain(ignored.map(PathBuf::from)).chain(configurations).collect()
}

/// Why it is as it should be that nothing was built.
fn explained(found: &Survey<'_>) -> Option<String> {
    let (base, affected) = found.facts.affected.as_ref()?;
    let any = found.drafts.iter().any(|draft| affected.contains(&draft.program.package));
    (!any).then(|| format!("no program is affected since {base}"))
}

/// Flags that are set here, and that no program is built with.
fn withheld(found: &Survey<'_>) -> Option<String> {
    let name = found.withheld.first()?;
    Some(format!("{name} is set here and changes no program; policy can pass it: build.pass-env = [{name:?}]"))
}

/// The end of a run.
struct Ending<'a> {
    plan: &'a Plan,
    record: &'a Record,
    built: &'a Built,
    exit: Exit,
    times: &'a Mutex<Times>,
    notes: Vec<String>,
    explained: Option<String>,
}

/// Writes what the run leaves, and says what became of it.
fn conclude(
    asking: &Asking<'_>,
    found: &Survey<'_>,
    journal: &Journal,
    terminal: &Terminal,
    ending: &Ending<'_>,
) -> Ended {
    let (plan, record, built) = (ending.plan, ending.record, ending.built);
    let good = ending.exit == Exit::Yes;
    let folder = journal.folder.strip_prefix(found.root).unwrap_or(&journal.folder);
    let logs = format!("{}/logs", folder.display());
    let times = ending.times.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let written = journal
        .write("trace.json", &files::trace(plan, record, &times))
        .and_then(|()| journal.write("record.json", &files::record(record)));
    let mut notes = ending.notes.clone();
    notes.extend(written.err().map(|error| format!("the folder of this run is not whole: {error}")));
    let unwritten = merge::write_record(&found.world.target, built).err();
    let quiet = asking.arguments.quiet && good;
    notes.iter().for_each(|note| terminal.print(&format!("note: {note}\n")));
    if !quiet {
        let (breaks, paint) =
            (|length| terminal.breaks(length), |verdict: &Verdict, text: &str| terminal.paint(verdict, text));
        terminal.print(&report::build::table(built, &breaks, &paint));
    }
    let rerun = |outcome: &Outcome| report::build::rerun(plan, outcome);
    terminal.print(&gate::failures(plan, record, &logs, &rerun));
    if asking.arguments.verbose {
        terminal.print(&gate::keys(plan));
    }
    let seconds = journal.started.elapsed().as_secs_f64();
    let conclusion = report::build::conclusion(built, seconds, ending.explained.as_deref());
    let (verb, verdict) = match (good, record.interrupted) {
        (true, _) => ("Built", Verdict::Passed),
        (false, true) => ("Interrupted", Verdict::Interrupted),
        (false, false) => ("Failed", Verdict::Failed(String::new())),
    };
    if !quiet {
        terminal.print(&terminal.line(verb, Some(&verdict), &conclusion));
    }
    if asking.arguments.format == BuildFormat::Json {
        print(&report::build::record(built)).map(drop)?;
    }
    // Without its record, what was built cannot be packed.
    unwritten.map_or(Ok(ending.exit), Err)
}

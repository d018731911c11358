//! `gate`: is this change good?

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use supercargo_plan::draft::Facts;
use supercargo_plan::facts::checks::Check;
use supercargo_plan::facts::tools::Ground;
use supercargo_plan::plan::{ASKED, Item, Plan, State, Step, TARGET_FOLDER, UNAFFECTED};
use supercargo_plan::problem::{Exit, Problem};
use supercargo_plan::record::Record;
use supercargo_plan::verbs::gate::{parse_step, plan, wanted};
use supercargo_plan::verdict::Verdict;
use supercargo_plan::verdicts::Judgement;

use super::beat::{beating, voice};
use super::memory::{Durations, Remembered, durations, keep_durations, settle};
use super::survey::{Asking, Survey, survey};
use super::{Ended, base, checked_revision, print};
use crate::cli::{Gate as Arguments, GateFormat};
use crate::execute::event::Event;
use crate::execute::journal::Journal;
use crate::execute::{self, Work, hook};
use crate::process;
use crate::read::git::Git;
use crate::read::{self, cargo, changed, environment, machine, place};
use crate::report::gate::files::{self, Times};
use crate::report::gate::{self, github};
use crate::report::say;
use crate::report::terminal::Terminal;
use crate::store::{Remote, Results, write_entry};

/// `cargo xtask gate`; `own` are checks that the pipeline adds.
///
/// # Errors
/// When something a person must mend is in the way, and there is no verdict.
pub fn run(arguments: &Arguments, own: &BTreeMap<String, Check>) -> Ended {
    let place = place::find(arguments.manifest_path.as_deref())?;
    let git = Git::new(&place.root);
    if arguments.install_hook || arguments.remove_hook {
        return hooks(arguments, &place.root, &git);
    }
    let base = arguments.base.as_ref().map(|asked| checked_revision(base(Some(asked), &place, &git)?)).transpose()?;
    let asking = Asking { arguments, place: &place, base, own };
    survey(&asking, None, |found| {
        let remote = found.shared.map(|shared| Arc::new(Remote::open(shared)));
        let results = Results::below(&found.world.target, remote);
        results.prefetch(wanted(found.drafts));
        let durations = durations(&found.world.target);
        let memory = Remembered { results: &results, durations: &durations };
        let mut plan = plan(found.facts, found.drafts, &memory, !arguments.no_cache);
        if let Some(path) = &arguments.manifest_path {
            plan.selection.extend(["--manifest-path".to_owned(), path.display().to_string()]);
        }
        if arguments.plan || arguments.why.is_some() {
            results.notes().iter().for_each(|note| say(&format!("note: {note}\n")));
        }
        if arguments.plan {
            return match arguments.format {
                GateFormat::Json => {
                    print(&serde_json::to_string(&plan).map(|text| format!("{text}\n")).unwrap_or_default())
                }
                _ => print(&gate::plan(&plan, &setting(found.facts, arguments))),
            };
        }
        if let Some(asked) = &arguments.why {
            let (check, member) = parse_step(asked, "--why", found.facts.checks, found.facts.snapshot)?;
            return print(&gate::why(&plan, &check, member.as_ref()));
        }
        carry_out(&asking, found, &plan, &results, durations.clone())
    })
}

/// What was decided by what is there.
fn setting(facts: &Facts<'_>, arguments: &Arguments) -> String {
    let runner = match facts.tools.version("cargo-nextest") {
        Some(version) => format!("tests run with {}", version.lines().next().unwrap_or_default()),
        None => "tests run with cargo test, as cargo-nextest is not installed".to_owned(),
    };
    let selection = match &facts.asked.selection {
        None => "everything is compiled with --workspace, so that features are the same every time".to_owned(),
        Some(selection) => format!("only {} of the members are compiled, with -p", selection.len()),
    };
    let warnings = if facts.tools.denies_warnings() {
        "warnings are denied by cargo (CARGO_BUILD_WARNINGS)".to_owned()
    } else {
        format!("warnings are counted from cargo's messages, as cargo {} does not deny them", facts.tools.cargo)
    };
    let (lanes, jobs) = (arguments.lanes, jobs(facts, arguments));
    format!("{selection}\n{runner}\n{warnings}\n{lanes} lanes share {jobs} jobs")
}

fn jobs(facts: &Facts<'_>, arguments: &Arguments) -> usize {
    let fitting = machine::jobs(machine::cores(), machine::memory(), facts.checks.memory_per_job);
    arguments.jobs.map_or(fitting, usize::from)
}

/// Carries the plan out, keeps what is good, and says what became of it.
fn carry_out(asking: &Asking<'_>, found: &Survey<'_>, plan: &Plan, results: &Results, durations: Durations) -> Ended {
    let arguments = asking.arguments;
    process::ends_itself();
    if plan.steps.iter().any(Step::runs) {
        process::guard::start();
    }
    let voice = voice(arguments.color, arguments.quiet, arguments.verbose);
    let terminal = Terminal::new(voice, "Gate");
    let (journal, trouble) = Journal::open(&found.world.target, plan.verb);
    let times: Mutex<Times> = Mutex::default();
    let emit = |event: &Event| {
        journal.append(event);
        files::note_time(&times, event, journal.started.elapsed().as_secs_f64());
        terminal.show(event);
    };
    let settle =
        |step: &Step, judgement: &Judgement, clock: SystemTime| settle(asking, results, step, judgement, clock);
    let top = found.world.top().display().to_string();
    let work = Work {
        plan,
        ground: Ground { workspace: found.facts.snapshot.workspace, top: &top },
        graph: &found.side.graph,
        root: &found.root,
        places: &[(TARGET_FOLDER, found.world.target.display().to_string())].into(),
        workshop: None,
        folder: &journal.folder,
        journal: &journal,
        cargo: cargo::program(),
        libraries: found.toolchain.libraries.clone(),
        variables: environment::variables(&found.facts.conditions.environment),
        lanes: usize::from(arguments.lanes),
        jobs: jobs(found.facts, arguments),
        keep_going: arguments.keep_going || voice.ci,
        settle: &settle,
        emit: &emit,
    };
    let record = beating(&terminal, || {
        let record = execute::execute(&work);
        if !record.interrupted {
            results.finish();
        }
        record
    });
    results.prune();
    keep_durations(&found.world.target, durations, &record);
    let explained = explained(found, plan);
    let exit = record.exit(plan, explained.is_some());
    emit(&Event::RunFinished { exit: exit as u8, seconds: journal.started.elapsed().as_secs_f64() });
    let notes = results.notes().into_iter().chain(trouble);
    let ending = Ending { plan, record: &record, explained, times: &times, notes: notes.collect() };
    conclude(asking, found, &journal, &terminal, &ending)?;
    Ok(exit)
}

/// Why it is as it should be that nothing passed.
fn explained(found: &Survey<'_>, plan: &Plan) -> Option<String> {
    let (base, affected) = found.facts.affected.as_ref()?;
    let items: Vec<&Item> = plan.steps.iter().flat_map(|step| &step.items).collect();
    let skipped =
        |why: &str| items.iter().any(|item| matches!(&item.state, State::Skipped { why: w } if w.starts_with(why)));
    let is_affected = |item: &&Item| item.member.as_ref().is_some_and(|name| affected.contains(name));
    let unaffected =
        !items.iter().any(is_affected) && (affected.is_empty() || (skipped(UNAFFECTED) && !skipped(ASKED)));
    unaffected.then(|| format!("nothing is affected since {base}"))
}

/// The end of a run.
struct Ending<'a> {
    plan: &'a Plan,
    record: &'a Record,
    explained: Option<String>,
    times: &'a Mutex<Times>,
    notes: Vec<String>,
}

/// Writes what the run leaves, and says what became of it.
fn conclude(
    asking: &Asking<'_>,
    found: &Survey<'_>,
    journal: &Journal,
    terminal: &Terminal,
    ending: &Ending<'_>,
) -> Result<(), Problem> {
    let (plan, record) = (ending.plan, ending.record);
    let seconds = journal.started.elapsed().as_secs_f64();
    let (good, conclusion) = gate::conclusion(record, plan, seconds, ending.explained.as_deref());
    let folder = journal.folder.strip_prefix(&found.root).unwrap_or(&journal.folder);
    let logs = format!("{}/logs", folder.display());
    let verb = if good {
        "Passed"
    } else if record.interrupted {
        "Interrupted"
    } else {
        "Failed"
    };
    let summary = files::summary(plan, record, &format!("Gate: {}: {conclusion}", verb.to_lowercase()), &logs);
    let times = ending.times.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let written = journal
        .write("summary.md", &summary)
        .and_then(|()| journal.write("junit.xml", &files::junit(plan, record)))
        .and_then(|()| journal.write("trace.json", &files::trace(plan, record, &times)))
        .and_then(|()| journal.write("record.json", &files::record(record)));
    write_entry(&found.world.target.join("xtask").join("gate.json"), files::record(record).as_bytes()).ok();
    let mut notes = ending.notes.clone();
    notes.extend(written.err().map(|error| format!("the folder of this run is not whole: {error}")));
    notes.extend(withheld(found, record));
    let quiet = asking.arguments.quiet && good;
    for note in &notes {
        terminal.print(&format!("note: {note}\n"));
    }
    if !quiet {
        terminal.print(&gate::table(plan, record, &|verdict, text| terminal.paint(verdict, text)));
    }
    let wrong = gate::failures(plan, record, &logs, &|outcome| gate::rerun(plan, outcome));
    if !wrong.is_empty() && asking.arguments.format != GateFormat::Github {
        terminal.print(&wrong);
    }
    if asking.arguments.verbose {
        terminal.print(&gate::keys(plan));
    }
    let verdict = if good { Verdict::Passed } else { Verdict::Failed(String::new()) };
    if !quiet {
        terminal.print(&terminal.line(verb, Some(&verdict), &conclusion));
    }
    match asking.arguments.format {
        GateFormat::Text => {}
        GateFormat::Json => print(&files::record(record)).map(drop)?,
        GateFormat::Github => {
            let git = Git::new(&asking.place.root);
            let base = asking.base.clone().or_else(|| read::ci::base(&git).ok().flatten());
            let changed = base.map(|base| changed::read(&git, &base)).unwrap_or_default();
            print(&github::commands(plan, record, &changed, &logs)).map(drop)?;
            github::append_summary(&summary);
        }
    }
    Ok(())
}

/// Variables that are set here, that children did not get, and that what failed speaks of.
fn withheld(found: &Survey<'_>, record: &Record) -> Vec<String> {
    let passed = &found.facts.conditions.environment.passed;
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let findings: Vec<&str> =
        record.steps.values().flat_map(|told| &told.findings).map(|finding| finding.text.as_str()).collect();
    let spoken = |name: &String| {
        let is_word =
            |text: &str| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name);
        name.len() > 3 && !name.starts_with("CARGO") && findings.iter().any(|text| is_word(text))
    };
    let withheld = names.filter(|name| !passed.contains(name)).filter(spoken).take(3);
    withheld.map(|name| format!("{name} is set here and not passed on; policy can: pass-env = [{name:?}]")).collect()
}

/// Installs or removes the hook.
fn hooks(arguments: &Arguments, root: &Path, git: &Git) -> Ended {
    let top = git.top()?;
    let hooks = git.hooks()?;
    let own = git.own_folders()?;
    if !own.iter().chain([&top]).any(|folder| hooks.starts_with(folder)) {
        let what = format!("git's core.hooksPath leads to {}, which serves other repositories too", hooks.display());
        return Err(Problem::mend(what, "git config --local core.hooksPath .git/hooks"));
    }
    let folder = root.strip_prefix(&top).map(|folder| folder.display().to_string()).unwrap_or_default();
    let told = if arguments.install_hook {
        let path = hook::install(&hooks, if folder.is_empty() { "." } else { &folder })?;
        format!("{} runs the gate before a push; remove it with: cargo xtask gate --remove-hook\n", path.display())
    } else {
        match hook::remove(&hooks)? {
            Some(path) => format!("{} is removed\n", path.display()),
            None => "there is no pre-push hook\n".to_owned(),
        }
    };
    say(&told);
    Ok(Exit::Yes)
}

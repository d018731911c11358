//! One program: compiled, proved to be what it is to be, and put into the store.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use supercargo_artifact::{elf, inspect};
use supercargo_plan::invocation::REMAPPED;
use supercargo_plan::linking::is_elf;
use supercargo_plan::plan::{Artifact, Command, Subject};
use supercargo_plan::verdicts::{End, Judgement, tail};

use super::freshness::AllInputs;
use super::running::{Running, Site, grow};
use super::twins::Twins;
use crate::store::Blobs;

/// How long after the first of two builds the second starts, at least.
const APART: Duration = Duration::from_millis(1500);

/// What making programs needs besides what all steps need.
pub struct Workshop<'a> {
    /// Where they go.
    pub blobs: &'a Blobs,
    /// Folders of this machine that are in no program.
    pub folders: &'a [String],
    /// What programs are made from.
    pub inputs: AllInputs<'a>,
    /// Two other places to build in.
    pub twins: Twins<'a>,
}

/// A program that was compiled.
struct Compiled {
    bytes: Vec<u8>,
    path: PathBuf,
}

impl Running<'_> {
    /// Builds `program` for `target`, in place or twice elsewhere.
    pub fn build(&self, command: &Command, (program, target): (&str, &str), twice: bool) -> Judgement {
        let Some(shop) = self.work.workshop else { return self.unfit("there is nowhere to build programs") };
        if twice {
            return self.build_twice(shop, command, (program, target));
        }
        let _alone = match self.prepare(&shop.inputs, program, target) {
            Ok(lock) => lock,
            Err(judgement) => return *judgement,
        };
        let compiled = match self.compiled(&self.site(), command, program) {
            Ok(compiled) => compiled,
            Err(judgement) => return *judgement,
        };
        self.keep(shop, &compiled, target, shop.folders)
    }

    /// Compiles a program at `site`.
    fn compiled(&self, site: &Site<'_>, command: &Command, program: &str) -> Result<Compiled, Box<Judgement>> {
        let (end, messages, stderr) = self.compile_at(site, command);
        if let Some(judgement) = self.case.uncompiled(&end, &messages, &stderr) {
            return Err(Box::new(judgement));
        }
        let is_ours = |member: &Subject, name: &str| self.case.running.contains(member) && name == program;
        let found = messages.programs.iter().find(|(member, name, _)| is_ours(&Some(member.clone()), name));
        let Some((_, _, path)) = found else {
            return Err(Box::new(self.unfit("cargo names no program that it built")));
        };
        let path = PathBuf::from(path);
        match fs::read(&path) {
            Ok(bytes) => Ok(Compiled { bytes, path }),
            Err(error) => Err(Box::new(self.unfit(&format!("the program that cargo built cannot be read: {error}")))),
        }
    }

    /// Proves a program and puts it into the store.
    fn keep(&self, shop: &Workshop<'_>, compiled: &Compiled, target: &str, folders: &[String]) -> Judgement {
        let faults = prove(&compiled.bytes, target, folders);
        if !faults.is_empty() {
            return self.case.proved(Err(faults));
        }
        match shop.blobs.put_bytes(&compiled.bytes) {
            Ok((digest, size)) => self.case.proved(Ok(Artifact { digest: digest.to_string(), size })),
            Err(error) => {
                let left = compiled.path.strip_prefix(self.work.root).unwrap_or(&compiled.path).display();
                self.unfit(&format!("the store does not take the program, which is at {left}: {error}; mend: df -h"))
            }
        }
    }

    /// Builds a program in two other places, and keeps it when both come to the same.
    fn build_twice(&self, shop: &Workshop<'_>, command: &Command, (program, target): (&str, &str)) -> Judgement {
        let twins = match shop.twins.get() {
            Ok(twins) => twins,
            Err(why) => return self.unfit(&format!("there is no place to build it twice: {why}")),
        };
        let mut made = Vec::new();
        let mut started: Option<Instant> = None;
        for (twin, command) in twins.iter().zip([command.clone(), with_more_jobs(command)]) {
            // Else what tells the time in seconds would say the same twice.
            thread::sleep(started.map_or(Duration::ZERO, |started| APART.saturating_sub(started.elapsed())));
            started = Some(Instant::now());
            let site = Site { root: &twin.root, places: &twin.places };
            match self.compiled(&site, &command, program) {
                Ok(compiled) => made.push(compiled),
                Err(judgement) => return *judgement,
            }
        }
        let [one, other] = made.as_slice() else { return self.unfit("it was not built twice") };
        let folders: Vec<String> =
            twins.iter().flat_map(|twin| twin.places.values().cloned()).chain(shop.folders.iter().cloned()).collect();
        if let Some(difference) = inspect::first_difference(&one.bytes, &other.bytes) {
            let faults = [unlike(&difference)].into_iter().chain(prove(&one.bytes, target, &folders));
            return self.case.proved(Err(faults.collect()));
        }
        let mut judgement = self.keep(shop, one, target, &folders);
        let before = self.step.items.first().and_then(|item| item.artifact.as_ref());
        let now = judgement.artifacts.values().next();
        if let Some((before, now)) = before.zip(now)
            && before != now
        {
            let what =
                format!("two builds are equal, and yet differ from the one that is kept ({})", &before.digest[..12]);
            judgement = self.case.proved(Err(vec![what]));
        }
        judgement
    }

    /// Starts a program that is in the store.
    pub fn smoke(&self, artifact: Option<&Artifact>, arguments: &Command, emulator: Option<&str>) -> Judgement {
        let program = self.work.workshop.and_then(|shop| {
            let digest = supercargo_artifact::digest::Digest::parse(&artifact?.digest)?;
            shop.blobs.get(&digest, None)
        });
        let Some(program) = program else { return self.unfit("the program is not in the store") };
        let emulator = emulator.map(Into::into);
        let words: Vec<_> =
            emulator.into_iter().chain([program.into_os_string()]).chain(arguments.iter().map(Into::into)).collect();
        let mut text = String::new();
        let call = self.call_in(&self.work.folder.join("logs"), &words, &[]);
        let end = self.process(call, true, &mut |_, line| grow(&mut text, &String::from_utf8_lossy(line)));
        let mut judgement = self.case.program(&end, "");
        judgement.tail = if end.is_good() { String::new() } else { tail(&text) };
        if end == End::Exited(0) && text.trim().is_empty() {
            judgement.notes.push(format!("{} ended well and said nothing", self.step.id));
        }
        judgement
    }
}

/// The command with one job more: build scripts see how many there are, and machines differ in it.
fn with_more_jobs(command: &Command) -> Command {
    let mut command = command.clone();
    let jobs = command.iter().position(|word| word == "--jobs").and_then(|at| command.get_mut(at + 1));
    if let Some((jobs, number)) = jobs.and_then(|jobs| jobs.parse::<u16>().ok().map(|number| (jobs, number))) {
        *jobs = number.saturating_add(1).to_string();
    }
    command
}

/// Where two builds differ, in words.
fn unlike(difference: &inspect::Difference) -> String {
    let place = difference.section.as_ref().map_or_else(|| "the file".to_owned(), |section| section.clone());
    let others = difference.sections.iter().filter(|section| difference.section.as_ref() != Some(section));
    let others: Vec<&str> = others.map(String::as_str).collect();
    let others = if others.is_empty() { String::new() } else { format!("; then in {}", others.join(", ")) };
    format!("two builds differ, first in {place} at byte {}{others}", difference.offset)
}

/// What is wrong with a program: each a sentence; nothing where all is as it is to be.
#[must_use]
pub fn prove(bytes: &[u8], target: &str, folders: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    if is_elf(target) {
        match elf::parse(bytes) {
            Ok(program) => faults.extend(program.faults(target).into_iter().map(|fault| format!("it {fault}"))),
            Err(why) => faults.push(format!("it is no program for {target}: {why}")),
        }
    }
    for trace in inspect::traces(bytes, folders, &is_own) {
        let section = trace.section.as_ref().map_or_else(String::new, |section| format!(", in {section}"));
        let source = "such as env!(\"CARGO_MANIFEST_DIR\"), env!(\"OUT_DIR\") or a build script leaves there";
        let path = &trace.path;
        faults.push(format!("a path of this machine is in it: {path}{section}, in «{}»; {source}", trace.text));
    }
    faults
}

/// Whether a trace is of this machine. A folder at the top, such as `/app`, may be the program's own word: there, what
/// follows must be here.
fn is_own(trace: &inspect::Trace) -> bool {
    let short = Path::new(&trace.path).components().count() <= 2;
    let below = trace.text.split(&trace.path).nth(1).and_then(|rest| rest.strip_prefix('/'));
    let first = below.map(|rest| rest.split(|c: char| c == '/' || c == ':' || c.is_whitespace()).next());
    !short || first.flatten().is_some_and(|name| !name.is_empty() && Path::new(&trace.path).join(name).exists())
}

/// The folders that are in no program: `places`, as they are and as links resolve them.
#[must_use]
pub fn folders<'a>(places: impl Iterator<Item = &'a Path>) -> Vec<String> {
    let mut folders: Vec<String> = Vec::new();
    for place in places {
        let real = place.canonicalize().ok();
        for path in [Some(place.to_owned()), real].into_iter().flatten() {
            let path = path.display().to_string();
            // What programs have in place of a folder may be its very name.
            if path != "/" && !REMAPPED.contains(&path.as_str()) {
                folders.push(path);
            }
        }
    }
    folders.sort();
    folders.dedup();
    folders
}

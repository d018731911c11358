//! A step that is being carried out: its processes and what they print.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use supercargo_plan::facts::tools::Ground;
use supercargo_plan::facts::tools::cargo::Messages;
use supercargo_plan::plan::{Artifact, CARGO_HOME_FOLDER, Command, RUN_FOLDER, Step, StepId};
use supercargo_plan::verdict::Verdict;
use supercargo_plan::verdicts::{Case, End};

use super::Work;
use super::event::Event;
use super::journal::Log;
use crate::process::{Call, Jobs, LONGEST_LINE, LONGEST_MESSAGE, Source, Terms, stream};

/// Most bytes of output that are read as a whole.
const MOST: usize = 8 * 1024 * 1024;

/// Folders of this machine, by what stands for them in a plan.
pub type Places = BTreeMap<&'static str, String>;

/// Where commands run.
pub struct Site<'a> {
    /// The workspace's root folder.
    pub root: &'a Path,
    /// What stands for folders.
    pub places: &'a Places,
}

/// A step that is being carried out.
pub struct Running<'a> {
    /// What all steps have in common.
    pub work: &'a Work<'a>,
    /// The step.
    pub step: &'a Step,
    /// What the verdicts are made from.
    pub case: Case<'a>,
    /// Jobs that it shares with the other lane.
    pub jobs: Option<&'a Jobs>,
    /// What a step before it made.
    pub made: &'a dyn Fn(&StepId) -> Option<Artifact>,
    /// How many tests may run side by side.
    pub threads: &'a dyn Fn() -> usize,
    /// Asked again and again: the verdict, where it is to be ended before its end.
    pub halt: &'a dyn Fn() -> Option<Verdict>,
    /// The log.
    pub log: RefCell<Log>,
    /// When it started.
    pub started: Instant,
}

/// What a process printed.
#[derive(Default)]
pub struct Printed {
    /// Standard output, or both streams where they are one.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Running<'_> {
    /// Runs a compilation; what it printed is in the log as a person would read it.
    pub fn compile(&self, command: &Command) -> (End, Messages, String) {
        let call = self.call(command, &[]).map(|call| self.sharing(call));
        self.read_messages(call, self.case.ground)
    }

    /// The same at another site, with the jobs that the command itself says.
    pub fn compile_at(&self, site: &Site<'_>, command: &Command) -> (End, Messages, String) {
        let words: Vec<OsString> = command.iter().map(OsString::from).collect();
        let home = site.places.get(CARGO_HOME_FOLDER).map(|home| ("CARGO_HOME".to_owned(), home.clone()));
        let more: Vec<_> = home.into_iter().collect();
        let call = self.call_at(site, site.root, &words, &more);
        let top = self.case.ground.top;
        let inside = self.work.root.strip_prefix(top).unwrap_or(Path::new(""));
        let depth = inside.components().count();
        let top = site.root.ancestors().nth(depth).unwrap_or(site.root).display().to_string();
        self.read_messages(call, Ground { top: &top, ..self.case.ground })
    }

    fn read_messages(&self, call: Result<Call, String>, ground: Ground<'_>) -> (End, Messages, String) {
        let mut messages = Messages::default();
        let mut stderr = String::new();
        let end = self.process_quietly(call, (false, LONGEST_MESSAGE), &mut |source, line| match source {
            Source::Stdout => {
                let before = messages.findings.len();
                let known = messages.read(ground, line);
                let mut log = self.log.borrow_mut();
                messages.findings[before..].iter().for_each(|finding| log.line(finding.text.as_bytes()));
                if !known {
                    log.line(line);
                }
            }
            Source::Stderr => {
                let text = String::from_utf8_lossy(line);
                grow(&mut stderr, &text);
                self.log.borrow_mut().line(line);
                self.show(&text);
            }
        });
        (end, messages, stderr)
    }

    /// The call, taking its jobs from those that the lanes share.
    pub fn sharing(&self, call: Call) -> Call {
        match self.jobs {
            Some(jobs) => call.with_jobs(jobs),
            None => call,
        }
    }

    /// The variable `name` with the number of tests that may run side by side; none where a person has set it.
    pub fn test_threads(&self, name: &str) -> Option<(String, String)> {
        let set = self.work.variables.iter().any(|(set, _)| set == name);
        (!set).then(|| (name.to_owned(), (self.threads)().to_string()))
    }

    /// Runs a command to its end, and hands over all that it printed.
    pub fn whole(&self, command: &Command, merged: bool) -> (End, Printed) {
        let mut printed = Printed::default();
        let call = self.call(command, &[]).map(|call| self.sharing(call));
        let end = self.process(call, merged, &mut |source, line| {
            let text = String::from_utf8_lossy(line);
            grow(if source == Source::Stdout { &mut printed.stdout } else { &mut printed.stderr }, &text);
        });
        (end, printed)
    }

    /// A command as a call: from the workspace's root, with what its children get.
    pub fn call(&self, command: &Command, more: &[(String, String)]) -> Result<Call, String> {
        let folder = self.work.folder.display().to_string();
        let words: Vec<OsString> = command.iter().map(|word| word.replace(RUN_FOLDER, &folder).into()).collect();
        self.call_in(self.work.root, &words, more)
    }

    /// Where commands run, unless it is said otherwise.
    #[must_use]
    pub fn site(&self) -> Site<'_> {
        Site { root: self.work.root, places: self.work.places }
    }

    /// The same for words that are no UTF-8, from any folder.
    pub fn call_in(&self, folder: &Path, words: &[OsString], more: &[(String, String)]) -> Result<Call, String> {
        self.call_at(&self.site(), folder, words, more)
    }

    pub fn call_at(
        &self,
        site: &Site<'_>,
        folder: &Path,
        words: &[OsString],
        more: &[(String, String)],
    ) -> Result<Call, String> {
        let (program, rest) = words.split_first().ok_or("the command is empty")?;
        let program = if program == "cargo" { &self.work.cargo } else { program };
        let call = Call::new(folder, |shell| shell.cmd(program).args(rest)).map_err(|problem| problem.what)?;
        let placed = |value: &String| {
            site.places.iter().fold(value.clone(), |value, (placeholder, path)| value.replace(placeholder, path))
        };
        let own = self.step.environment.iter().map(|(name, value)| (name.clone(), placed(value)));
        // What is read by machines is not coloured, and all there.
        let plain = [
            ("CARGO_TERM_COLOR", "never"),
            ("CARGO_TERM_QUIET", "false"),
            ("CARGO_TERM_VERBOSE", "false"),
            ("CARGO_TERM_PROGRESS_WHEN", "never"),
        ];
        let plain = plain.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let own = plain.into_iter().chain(own).chain(more.iter().cloned());
        let own = own.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        Ok(call.with_environment(self.work.variables.iter().cloned().chain(own)))
    }

    /// Runs a call; each line is logged, shown and read.
    pub fn process(&self, call: Result<Call, String>, merged: bool, read: &mut dyn FnMut(Source, &[u8])) -> End {
        self.process_quietly(call, (merged, LONGEST_LINE), &mut |source, line| {
            self.log.borrow_mut().line(line);
            self.show(&String::from_utf8_lossy(line));
            read(source, line);
        })
    }

    fn process_quietly(
        &self,
        call: Result<Call, String>,
        (merged, longest): (bool, usize),
        read: &mut dyn FnMut(Source, &[u8]),
    ) -> End {
        let call = match call {
            Ok(call) => call,
            Err(why) => return End::NotStarted(why),
        };
        let command = call.to_string();
        self.log.borrow_mut().line(format!("$ {command}").as_bytes());
        (self.work.emit)(&Event::ProcessStarted { step: self.step.id.clone(), command });
        let limit = Duration::from_secs(self.step.timeout).saturating_sub(self.started.elapsed());
        match stream(call, &Terms { limit, merged, longest, halt: self.halt }, read) {
            End::TimedOut(_) => End::TimedOut(self.step.timeout),
            end => end,
        }
    }

    fn show(&self, line: &str) {
        (self.work.emit)(&Event::Printed { step: self.step.id.clone(), line: line.to_owned() });
    }
}

/// Adds a line to a text that does not grow beyond bounds: what is too much goes from its beginning.
pub fn grow(text: &mut String, line: &str) {
    text.push_str(&console::strip_ansi_codes(line));
    text.push('\n');
    if text.len() > 2 * MOST {
        text.drain(..text.ceil_char_boundary(text.len() - MOST));
    }
}

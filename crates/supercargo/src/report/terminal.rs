//! A verb while it runs: cargo's manner, a live line on a terminal, plain lines elsewhere, a heartbeat in CI.

use std::collections::BTreeMap;
use std::env;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use console::{Style, Term};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use supercargo_plan::plan::StepId;
use supercargo_plan::verdict::Verdict;

use super::words::time;
use crate::execute::event::Event;
use crate::report::{is_terminal, say};

/// How often something is said while nothing happens, where nobody sees the live line.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// How a person wants to be spoken to.
#[derive(Clone, Copy, Debug)]
pub struct Voice {
    /// Whether text is coloured.
    pub colour: bool,
    /// Whether a live line is drawn.
    pub live: bool,
    /// Whether it runs in CI.
    pub ci: bool,
    /// Whether only what went wrong is said.
    pub quiet: bool,
    /// Whether commands, keys and reasons are said as well.
    pub verbose: bool,
}

impl Voice {
    /// A voice for this terminal and environment; `colour` is what was asked for.
    #[must_use]
    pub fn new(colour: Option<bool>, quiet: bool, verbose: bool) -> Self {
        let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let ci = set("CI").is_some_and(|value| value != "false" && value != "0");
        let terminal = is_terminal() && set("TERM").is_none_or(|term| term != "dumb");
        let wanted = || match set("CARGO_TERM_COLOR").as_deref() {
            _ if set("NO_COLOR").is_some() => false,
            Some("always") => true,
            Some("never") => false,
            _ => set("CLICOLOR_FORCE").is_some_and(|value| value != "0") || terminal,
        };
        Self { colour: colour.unwrap_or_else(wanted), live: terminal && !ci, ci, quiet, verbose }
    }
}

/// What is shown while it runs.
pub struct Terminal {
    voice: Voice,
    /// The verb, as the live line has it.
    title: &'static str,
    started: Instant,
    state: Mutex<State>,
    bar: Option<ProgressBar>,
}

#[derive(Default)]
struct State {
    /// The steps that run: since when, and what they said last.
    running: BTreeMap<StepId, (Option<Instant>, String)>,
    total: usize,
    done: usize,
    said: Option<Instant>,
}

impl Terminal {
    /// A terminal, or what stands for one.
    #[must_use]
    pub fn new(voice: Voice, title: &'static str) -> Self {
        let bar = (voice.live && !voice.quiet).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
            bar.set_style(ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { voice, title, started: Instant::now(), state: Mutex::default(), bar }
    }

    /// `   Verb text`, in cargo's manner.
    #[must_use]
    pub fn line(&self, verb: &str, verdict: Option<&Verdict>, text: &str) -> String {
        let padded = format!("{verb:>12}");
        format!("{} {text}\n", self.style(verdict).apply_to(padded))
    }

    fn style(&self, verdict: Option<&Verdict>) -> Style {
        let style = Style::new().force_styling(self.voice.colour).bold();
        match verdict {
            Some(verdict) if verdict.is_bad() => style.red().bright(),
            Some(Verdict::Flaky(_) | Verdict::Warned(_) | Verdict::NotRun(_) | Verdict::Interrupted) => {
                style.yellow().bright()
            }
            Some(Verdict::Cached | Verdict::Skipped(_)) => style.cyan().bright(),
            _ => style.green().bright(),
        }
    }

    /// Text in the colour of a verdict.
    #[must_use]
    pub fn paint(&self, verdict: &Verdict, text: &str) -> String {
        self.style(Some(verdict)).apply_to(text).to_string()
    }

    /// Whether a line of `length` characters is broken in two where a person looks at it.
    #[must_use]
    pub fn breaks(&self, length: usize) -> bool {
        let width = Term::stderr().size_checked().map(|(_, width)| usize::from(width));
        self.voice.live && width.is_some_and(|width| width < length)
    }

    /// Says something above the live line.
    pub fn print(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None => say(text),
        }
    }

    /// Shows what happens.
    pub fn show(&self, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::RunStarted { steps, .. } => state.total = steps.len(),
            Event::StepStarted { step, subjects, expected, .. } => {
                state.running.insert(step.clone(), (Some(Instant::now()), String::new()));
                let expected = expected.map_or_else(String::new, |seconds| format!(", about {}", time(seconds)));
                let subjects = if *subjects > 1 { format!(" for {subjects} members") } else { String::new() };
                if !self.voice.quiet && self.bar.is_none() {
                    self.print(&self.line("Running", None, &format!("{step}{subjects}{expected}")));
                }
                state.said = Some(Instant::now());
            }
            Event::ProcessStarted { command, .. } if self.voice.verbose => {
                self.print(&self.line("Executing", None, command))
            }
            Event::Printed { step, line } => {
                if let Some((_, last)) = state.running.get_mut(step) {
                    let line = console::strip_ansi_codes(line);
                    line.trim().clone_into(last);
                }
            }
            Event::StepFinished { step, verdict, seconds: Some(seconds), told, .. } => {
                state.running.remove(step);
                state.done += 1;
                if !self.voice.quiet || verdict.is_bad() {
                    let because = verdict
                        .because()
                        .filter(|why| !why.is_empty())
                        .map_or_else(String::new, |why| format!(": {why}"));
                    let word = verdict.word();
                    let verb = format!("{}{}", word[..1].to_uppercase(), &word[1..]);
                    self.print(&self.line(&verb, Some(verdict), &format!("{step} in {}{because}", time(*seconds))));
                    told.notes.iter().for_each(|note| self.print(&self.line("Note", Some(&Verdict::Cached), note)));
                }
            }
            Event::RunFinished { .. } => self.bar.iter().for_each(ProgressBar::finish_and_clear),
            _ => {}
        }
        if let Some(bar) = &self.bar {
            bar.set_message(self.status(&state));
        }
    }

    /// The live line: what runs, for how long, how much is done.
    fn status(&self, state: &State) -> String {
        let running = state.running.iter().map(|(step, (since, last))| {
            let since = since.map_or(0.0, |since| since.elapsed().as_secs_f64());
            // In CI, what a tool prints could be taken for a command.
            let last: String = if self.voice.ci { String::new() } else { last.chars().take(40).collect() };
            let last = if last.is_empty() { last } else { format!(" ({last})") };
            format!("{step} {}{last}", time(since))
        });
        let running = running.collect::<Vec<_>>().join(", ");
        let all = time(self.started.elapsed().as_secs_f64());
        format!(
            "{} {}/{} in {all}: {running}",
            self.style(None).apply_to(format!("{:>12}", self.title)),
            state.done,
            state.total
        )
    }

    /// Called again and again while it runs: draws the live line anew, or says that it goes on.
    pub fn beat(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = &self.bar {
            bar.set_message(self.status(&state));
        } else if self.voice.ci
            && state.said.is_some_and(|said| said.elapsed() >= HEARTBEAT)
            && !state.running.is_empty()
        {
            state.said = Some(Instant::now());
            let status = self.status(&state);
            self.print(&format!("{}\n", console::strip_ansi_codes(&status)));
        }
    }
}

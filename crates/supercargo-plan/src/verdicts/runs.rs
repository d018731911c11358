//! Tests and doctests: what ran of what there was to run.

use std::collections::BTreeMap;

use super::{Case, End, Judgement, member, plural};
use crate::facts::tools::cargo::{Messages, errors};
use crate::facts::tools::libtest::{self, Section};
use crate::facts::tools::nextest::Ran;
use crate::facts::tools::{diagnostics, finding};
use crate::facts::workspace::{MemberName, Package};
use crate::verdict::{Finding, Severity, Verdict};

impl Case<'_> {
    /// A run of cargo-nextest: by member what ran, and how many tests there were to run and are ignored.
    #[must_use]
    pub fn nextest(
        &self,
        end: &End,
        ran: &BTreeMap<MemberName, Ran>,
        list: Option<&BTreeMap<MemberName, (usize, usize)>>,
        messages: &Messages,
    ) -> Judgement {
        let mut judgement = Judgement { unjudged: matches!(end, End::Signalled(_)), ..Judgement::default() };
        for subject in self.running {
            let Some(name) = subject else { continue };
            let none = Ran::default();
            let ran = ran.get(name).unwrap_or(&none);
            let listed = list.and_then(|list| list.get(name).copied());
            let untested = self.untested(name, messages).filter(|_| ran.tests == 0);
            let verdict = untested.unwrap_or_else(|| match (end, listed) {
                _ if ran.failed > 0 => {
                    Verdict::Failed(format!("{} of {} failed", ran.failed, plural(ran.tests, "test")))
                }
                (End::Exited(0 | 4 | 100), Some((0, ignored))) if ran.tests == 0 => Verdict::Skipped(no_tests(ignored)),
                (End::Exited(0 | 4), Some((listed, _))) if ran.tests == 0 => {
                    Verdict::Failed(format!("{} listed and none ran", plural(listed, "test")))
                }
                (End::Exited(0), _) if ran.tests > 0 => good(ran),
                (End::Exited(100), Some((listed, _))) if ran.tests == listed => good(ran),
                (End::Exited(100), Some((listed, _))) => {
                    Verdict::NotRun(format!("{} of {} ran", ran.tests, plural(listed, "test")))
                }
                (End::Exited(0), _) => Verdict::Failed("cargo-nextest does not say what it ran".into()),
                _ => end.verdict(),
            });
            // Where no test failed, a failure is nobody's judgement.
            judgement.unjudged |= matches!(verdict, Verdict::Failed(_)) && ran.failed == 0;
            judgement.tests.insert(subject.clone(), ran.tests);
            judgement.tell(subject, verdict);
        }
        judgement
    }

    /// The verdict on a member that cargo names no executable of tests of.
    fn untested(&self, name: &MemberName, messages: &Messages) -> Option<Verdict> {
        if messages.executables.iter().any(|executable| executable.member == *name) {
            return None;
        }
        let member = member(self.ground.workspace, name)?;
        let mut tested = member.targets.iter().filter(|target| target.test);
        Some(match tested.any(|target| target.required_features.is_empty()) {
            true => Verdict::Failed("cargo names no executable of its tests".into()),
            false => Verdict::Skipped("its targets need features that are not on".into()),
        })
    }

    /// Executables of tests that were run one by one.
    #[must_use]
    pub fn executables(&self, runs: &[ExecutableRun], messages: &Messages) -> Judgement {
        let mut judgement = Judgement::default();
        for subject in self.running {
            let own: Vec<&ExecutableRun> = runs.iter().filter(|run| Some(&run.member) == subject.as_ref()).collect();
            let passed: usize = own.iter().map(|run| run.passed()).sum();
            let untested = subject.as_ref().and_then(|name| self.untested(name, messages));
            let bad = own.iter().find_map(|run| run.fault()).or(untested);
            let ignored = own.iter().map(|run| run.section.ignored).sum();
            let verdict = match bad {
                Some(bad) => bad,
                None if passed > 0 => Verdict::Passed,
                None => match own.iter().map(|run| run.section.filtered).sum() {
                    0 => Verdict::Skipped(no_tests(ignored)),
                    filtered => Verdict::Failed(format!("{} listed and none ran", plural(filtered, "test"))),
                },
            };
            judgement.tests.insert(subject.clone(), passed + own.iter().map(|run| run.section.failed).sum::<usize>());
            let failed =
                |run: &ExecutableRun| run.section.failed > 0 || matches!(run.end, End::Exited(code) if code != 0);
            judgement.unjudged |= matches!(verdict, Verdict::Failed(_)) && !own.iter().any(|run| failed(run));
            judgement.tell(subject, verdict);
        }
        for run in runs {
            let failures = run.section.failures.iter().map(|(name, text)| self.failure(&run.member, name, text));
            judgement.findings.extend(failures);
            if run.fault().is_some() && run.section.failures.is_empty() {
                let message = format!("{}: {}", run.target, run.end.verdict());
                let finding = finding(self.ground, libtest::place("", &run.tail), &message, &run.tail);
                judgement.findings.push(Finding { member: Some(run.member.clone()), ..finding });
            }
        }
        judgement
    }

    fn failure(&self, member: &MemberName, name: &str, text: &str) -> Finding {
        let message = libtest::message(name, text);
        let finding = finding(self.ground, libtest::place(name, text), &message, &libtest::text(text));
        Finding { member: Some(member.clone()), ..finding }
    }

    /// The tests of documentation, by library.
    #[must_use]
    pub fn doctests(&self, end: &End, sections: &[Section], output: &str) -> Judgement {
        let broken = self.broken(&Messages::default(), output, Severity::Error);
        let mut judgement = Judgement::default();
        for subject in self.running {
            let member = subject.as_ref().and_then(|name| member(self.ground.workspace, name));
            let Some(member) = member else { continue };
            let library = library(member);
            let own: Vec<&Section> =
                sections.iter().filter(|section| Some(&section.library) == library.as_ref()).collect();
            let [passed, failed, ignored] = [
                own.iter().map(|section| section.passed).sum::<usize>(),
                own.iter().map(|section| section.failed).sum(),
                own.iter().map(|section| section.ignored).sum(),
            ];
            let complete = !own.is_empty() && own.iter().all(|section| section.results > 0);
            let verdict = if failed > 0 {
                Verdict::Failed(format!("{failed} of {} failed", plural(passed + failed, "doctest")))
            } else if !matches!(end, End::Exited(_)) {
                end.verdict()
            } else if complete && passed == 0 && own.iter().any(|section| section.filtered > 0) {
                Verdict::Failed("its doctests are all left out by arguments".into())
            } else if complete {
                if passed > 0 { Verdict::Passed } else { Verdict::Skipped(no_tests(ignored)) }
            } else if broken.contains(&member.name) || (!own.is_empty() && !end.is_good()) {
                Verdict::Failed("its documentation does not compile".into())
            } else if end.is_good() {
                judgement.unjudged = true;
                Verdict::Failed("its documentation was not tested, and cargo does not say why".into())
            } else {
                let cause = broken.iter().next().map(|name| format!("{name} does not compile"));
                Verdict::NotRun(cause.unwrap_or_else(|| format!("cargo stopped before it: {}", end.verdict())))
            };
            let failures = own.iter().flat_map(|section| &section.failures);
            judgement.findings.extend(failures.map(|(name, text)| self.failure(&member.name, name, text)));
            judgement.tests.insert(subject.clone(), passed + failed);
            judgement.tell(subject, verdict);
        }
        if matches!(end, End::Exited(code) if *code != 0) && !judgement.verdicts.values().any(Verdict::is_bad) {
            for member in self.ground.workspace.members() {
                let own = sections.iter().filter(|section| Some(&section.library) == library(member).as_ref());
                let failures: Vec<_> = own.flat_map(|section| &section.failures).collect();
                if !failures.is_empty() {
                    let why = format!("{} failed, of a member that was not to run", plural(failures.len(), "doctest"));
                    judgement.verdicts.insert(Some(member.name.clone()), Verdict::Failed(why));
                    judgement
                        .findings
                        .extend(failures.iter().map(|(name, text)| self.failure(&member.name, name, text)));
                }
            }
        }
        if !end.is_good() && judgement.findings.is_empty() {
            judgement.findings = diagnostics(self.ground, output);
            if judgement.findings.is_empty() {
                judgement.tail = errors(output);
            }
        }
        if !end.is_good() && !judgement.verdicts.values().any(Verdict::is_bad) && matches!(end, End::Exited(_)) {
            // Something failed, and nobody is named for it: then everyone is.
            let (findings, tail) = (judgement.findings, judgement.tail);
            return Judgement { findings, tail, unjudged: true, ..self.all(&end.verdict()) };
        }
        judgement
    }
}

/// The name of a member's library, as rustdoc prints it.
fn library(member: &Package) -> Option<String> {
    member.targets.iter().find(|target| target.library).map(|target| target.name.replace('-', "_"))
}

fn good(ran: &Ran) -> Verdict {
    if ran.flaky.is_empty() { Verdict::Passed } else { Verdict::Flaky(ran.flaky.join(", ")) }
}

fn no_tests(ignored: usize) -> String {
    if ignored == 0 { "no tests".into() } else { format!("no tests: {ignored} ignored") }
}

/// The run of one executable of tests.
#[derive(Clone, Debug)]
pub struct ExecutableRun {
    /// The member.
    pub member: MemberName,
    /// The target.
    pub target: String,
    /// How many tests it lists; none where it does not speak libtest's language.
    pub listed: Option<usize>,
    /// How it ended.
    pub end: End,
    /// What it printed, read.
    pub section: Section,
    /// The end of what it printed.
    pub tail: String,
}

impl ExecutableRun {
    /// Tests that passed: a harness of its own counts as one.
    fn passed(&self) -> usize {
        if self.listed.is_none() && self.end.is_good() { 1 } else { self.section.passed }
    }

    fn fault(&self) -> Option<Verdict> {
        let failed = self.section.failed;
        let section = &self.section;
        let told = section.passed + failed + section.ignored + section.filtered;
        let listed = self.listed.unwrap_or(0);
        match &self.end {
            End::Exited(_) if failed > 0 => {
                let all = plural(section.passed + failed, "test");
                Some(Verdict::Failed(format!("{failed} of {all} of {} failed", self.target)))
            }
            // More may be told than there is, by what tests start; less, when one of them ends the process.
            End::Exited(0) if told < listed => {
                let ran = section.passed + failed;
                Some(Verdict::Failed(format!("{} of {} listed and {ran} ran", plural(listed, "test"), self.target)))
            }
            End::Exited(0) => None,
            end => match end.verdict() {
                Verdict::Failed(why) => Some(Verdict::Failed(format!("{}: {why}", self.target))),
                verdict => Some(verdict),
            },
        }
    }
}

//! One step to verdicts: each action by the tools it calls.

use std::collections::BTreeMap;
use std::fs;

use supercargo_plan::facts::tools::libtest::Output;
use supercargo_plan::facts::tools::{audit, nextest, rustfmt};
use supercargo_plan::facts::workspace::MemberName;
use supercargo_plan::plan::{Action, Command, Subject};
use supercargo_plan::verdict::Verdict;
use supercargo_plan::verdicts::{Case, End, Judgement, tail};

use super::executables;
use super::running::{Running, grow};

impl Running<'_> {
    /// Carries the step out.
    #[must_use]
    pub fn execute(&self) -> Judgement {
        match &self.step.action {
            Action::Missing { tool, optional: true, .. } => {
                let mut judgement = self.case.all(&Verdict::Skipped("tool missing".into()));
                judgement
                    .notes
                    .push(format!("{}: {tool} is not installed, and policy lets it be missing", self.step.id));
                judgement
            }
            Action::Missing { tool, install, .. } => {
                let verdict = Verdict::Failed(format!("{tool} is not installed; mend: {install}"));
                Judgement { unjudged: true, ..self.case.all(&verdict) }
            }
            Action::Program { command } => {
                let (end, printed) = self.whole(command, true);
                self.case.program(&end, &printed.stdout)
            }
            Action::Each { commands } => self.each(commands),
            Action::Format { command } => {
                let (end, printed) = self.whole(command, true);
                let findings = rustfmt::parse(self.case.ground, &printed.stdout);
                self.case.format(&end, findings, &tail(&printed.stdout))
            }
            Action::Audit { command } => {
                let (end, printed) = self.whole(command, false);
                let audit = audit::parse(self.case.ground, &printed.stdout, &printed.stderr);
                self.case.audit(&end, audit, self.step.warns)
            }
            Action::Compile { command } => {
                let (end, messages, stderr) = self.compile(command);
                self.case.compile(&end, messages, &stderr, command.iter().any(|word| word == "--all-targets"))
            }
            Action::Build { command, program, target, outside, twice, .. } => {
                let mut judgement = self.build(command, (program, target), *twice);
                judgement.notes.extend(outside.iter().map(|path| {
                    format!("{program} has other bytes in every folder, as its path dependency {path} is out of the workspace")
                }));
                judgement
            }
            Action::Smoke { of, arguments, emulator } => {
                self.smoke((self.made)(of).as_ref(), arguments, emulator.as_deref())
            }
            Action::Doctests { command } => self.doctests(command),
            Action::Nextest { build, run, list, profile } => self.nextest(build, run, list, profile.as_deref()),
            Action::Tests { build, arguments } => {
                let (end, messages, stderr) = self.compile(build);
                let mut judgement = self.case.built(&end, &messages, &stderr).unwrap_or_else(|| {
                    let runs = executables::run(self, &messages, arguments);
                    self.case.executables(&runs, &messages)
                });
                let note = "ran the executables that cargo test names; cargo install --locked cargo-nextest is faster and tells more";
                judgement.notes.push(note.into());
                judgement
            }
        }
    }

    fn each(&self, commands: &BTreeMap<MemberName, Command>) -> Judgement {
        let mut sum = Judgement::default();
        for (name, command) in commands {
            let (end, printed) = self.whole(command, true);
            let own: [Subject; 1] = [Some(name.clone())];
            let mut judgement = Case { running: &own, ..self.case }.program(&end, &printed.stdout);
            if let (Some(toolchain), true) = (command.get(2), printed.stdout.contains("is not installed")) {
                let why = format!("toolchain {toolchain} is not installed; mend: rustup toolchain install {toolchain}");
                judgement =
                    Judgement { unjudged: true, ..Case { running: &own, ..self.case }.all(&Verdict::Failed(why)) };
            }
            sum.verdicts.append(&mut judgement.verdicts);
            sum.findings.append(&mut judgement.findings);
            sum.unjudged |= judgement.unjudged;
            if !judgement.tail.is_empty() {
                sum.tail = judgement.tail;
            }
        }
        sum
    }

    fn doctests(&self, command: &Command) -> Judgement {
        let mut output = Output::default();
        let mut text = String::new();
        let threads: Vec<_> = self.test_threads("RUST_TEST_THREADS").into_iter().collect();
        let call = self.call(command, &threads).map(|call| self.sharing(call));
        let end = self.process(call, true, &mut |_, line| {
            let line = String::from_utf8_lossy(line);
            output.read(&line);
            grow(&mut text, &line);
        });
        self.case.doctests(&end, &output.sections, &text)
    }

    fn nextest(&self, build: &Command, run: &Command, list: &Command, profile: Option<&str>) -> Judgement {
        let (end, messages, stderr) = self.compile(build);
        if let Some(judgement) = self.case.built(&end, &messages, &stderr) {
            return judgement;
        }
        let report = self.work.folder.join("nextest.xml");
        let inherits = profile.map_or_else(String::new, |profile| format!("inherits = {profile:?}\n"));
        let config = format!("[profile.supercargo]\n{inherits}junit.path = {:?}\n", report.display().to_string());
        fs::remove_file(&report).ok();
        if let Err(error) = fs::write(self.work.folder.join("nextest.toml"), config) {
            return self.case.all(&Verdict::Failed(format!("cargo-nextest's report has no place: {error}")));
        }
        let mut text = String::new();
        let own = self.work.root.join(".config/nextest.toml");
        // What the repository says of threads, it has reasons for.
        let says = fs::read_to_string(own).is_ok_and(|text| text.contains("test-threads"));
        let threads: Vec<_> = self.test_threads("NEXTEST_TEST_THREADS").into_iter().filter(|_| !says).collect();
        let end = self.process(self.call(run, &threads), true, &mut |_, line| {
            grow(&mut text, &String::from_utf8_lossy(line));
        });
        let parsed = fs::read_to_string(&report).map_err(|error| error.to_string());
        let parsed = parsed.and_then(|xml| nextest::parse(self.case.ground, &xml));
        let (ran, findings) = match parsed {
            Ok(parsed) => parsed,
            // Without tests, nextest leaves no report.
            Err(_) if matches!(end, End::Exited(4)) => Default::default(),
            Err(why) => {
                let verdict = match end {
                    End::Exited(_) => Verdict::Failed(format!("{}, and its report cannot be read: {why}", shown(&end))),
                    end => end.verdict(),
                };
                return Judgement { tail: tail(&text), ..self.case.all(&verdict) };
            }
        };
        let idle =
            |subject: &Subject| subject.as_ref().is_none_or(|name| ran.get(name).is_none_or(|ran| ran.tests == 0));
        let wanted = end != End::Exited(0) || self.case.running.iter().any(idle);
        let listed = (wanted && matches!(end, End::Exited(_))).then(|| {
            let (_, printed) = self.whole(list, false);
            nextest::parse_list(printed.stdout.as_bytes()).ok()
        });
        let mut judgement = self.case.nextest(&end, &ran, listed.flatten().as_ref(), &messages);
        if !end.is_good() && findings.is_empty() && judgement.verdicts.values().any(Verdict::is_bad) {
            judgement.tail = tail(&text);
        }
        judgement.findings = findings;
        judgement
    }
}

fn shown(end: &End) -> String {
    match end {
        End::Exited(code) => format!("exit code {code}"),
        end => end.verdict().to_string(),
    }
}

//! Compilations: who compiles, who does not, and who waits for one that does not.

use std::collections::{BTreeMap, BTreeSet};

use super::{Case, End, Judgement, member, plural};
use crate::facts::tools::cargo::{Messages, errors, uncompiled};
use crate::facts::workspace::{MemberName, Package, TargetKind};
use crate::graph::Key;
use crate::plan::Subject;
use crate::verdict::{Finding, Severity, Verdict};

impl Case<'_> {
    /// The members that depend, in any way, on one of `failed`: each with the one it waits for.
    fn waiting(&self, failed: &BTreeSet<MemberName>) -> BTreeMap<MemberName, MemberName> {
        let mut waiting: BTreeMap<MemberName, MemberName> = BTreeMap::new();
        let mut open: Vec<(Key<'_>, &MemberName)> =
            failed.iter().map(|name| (Key::Member(name.as_str()), name)).collect();
        let mut seen: BTreeSet<Key<'_>> = open.iter().map(|(key, _)| *key).collect();
        while let Some((used, cause)) = open.pop() {
            for (user, edges) in self.graph {
                if edges.iter().any(|(key, _)| *key == used) && seen.insert(*user) {
                    if let Key::Member(name) = user {
                        waiting.insert(MemberName::from(*name), cause.clone());
                    }
                    open.push((*user, cause));
                }
            }
        }
        waiting
    }

    /// Those that a compilation failed for, by cargo's own words and the compiler's.
    pub(super) fn broken(&self, messages: &Messages, stderr: &str, denied: Severity) -> BTreeSet<MemberName> {
        let named = uncompiled(stderr).into_iter().map(MemberName::from);
        let named = named.filter(|name| self.ground.workspace.members().any(|member| member.name == *name));
        messages.faulty(denied).into_iter().cloned().chain(named).collect()
    }

    /// A compilation in which warnings are denied. `whole` says whether every target is compiled.
    #[must_use]
    pub fn compile(&self, end: &End, messages: Messages, stderr: &str, whole: bool) -> Judgement {
        let broken = self.broken(&messages, stderr, Severity::Warning);
        let waiting = if end.is_good() { BTreeMap::new() } else { self.waiting(&broken) };
        let mut judgement = Judgement { unjudged: !matches!(end, End::Exited(_)), ..Judgement::default() };
        for subject in self.running {
            let member = subject.as_ref().and_then(|name| member(self.ground.workspace, name));
            let Some(member) = member else { continue };
            let verdict = if broken.contains(&member.name) {
                Verdict::Failed(counted(&messages.findings, &member.name))
            } else if !matches!(end, End::Exited(_)) {
                end.verdict()
            } else if let Some(cause) = waiting.get(&member.name) {
                Verdict::NotRun(format!("{cause} failed"))
            } else if messages.torn || (broken.is_empty() && (!end.is_good() || !messages.is_whole())) {
                judgement.doubt(subject, unended(end));
                continue;
            } else if let Some(verdict) = compiled(&messages, member, whole && !end.is_good()) {
                verdict
            } else {
                judgement.doubt(subject, "cargo does not say that it was compiled");
                continue;
            };
            judgement.tell(subject, verdict);
        }
        for name in broken {
            // A result that was kept does not stand against what is seen.
            let why = counted(&messages.findings, &name);
            judgement.verdicts.entry(Some(name)).or_insert(Verdict::Failed(why));
        }
        if !end.is_good() && messages.findings.is_empty() {
            judgement.tail = errors(stderr);
        }
        judgement.findings = messages.findings;
        judgement
    }

    /// The compilation of tests: none where it is good, else the verdicts.
    #[must_use]
    pub fn built(&self, end: &End, messages: &Messages, stderr: &str) -> Option<Judgement> {
        if end.is_good() && messages.is_whole() {
            return None;
        }
        let broken = self.broken(messages, stderr, Severity::Error);
        let cause = broken.iter().next().map_or_else(|| "the compilation".to_owned(), ToString::to_string);
        let verdict = |subject: &Subject| match subject {
            Some(name) if broken.contains(name) => Verdict::Failed("its tests do not compile".into()),
            _ if !matches!(end, End::Exited(_)) => end.verdict(),
            _ if broken.is_empty() => Verdict::Failed(unended(end)),
            _ => Verdict::NotRun(format!("{cause} does not compile")),
        };
        let mut verdicts: BTreeMap<Subject, Verdict> =
            self.running.iter().map(|subject| (subject.clone(), verdict(subject))).collect();
        for name in broken.iter().filter(|name| !self.running.contains(&Some((*name).clone()))) {
            verdicts.insert(Some(name.clone()), Verdict::Failed("its tests do not compile".into()));
        }
        let findings: Vec<Finding> =
            messages.findings.iter().filter(|finding| finding.severity == Severity::Error).cloned().collect();
        let tail = if findings.is_empty() { errors(stderr) } else { String::new() };
        let unjudged = broken.is_empty();
        Some(Judgement { verdicts, findings, tail, unjudged, ..Judgement::default() })
    }
}

/// The verdict on a member that cargo found no fault with: good if cargo says that it was compiled, and none where it
/// says nothing.
fn compiled(messages: &Messages, member: &Package, whole: bool) -> Option<Verdict> {
    let targets: Vec<_> = member.targets.iter().filter(|target| target.kind != TargetKind::BuildScript).collect();
    let open: Vec<_> = targets.iter().filter(|target| target.required_features.is_empty()).collect();
    let seen = |source| messages.compiled.contains(&(member.name.clone(), source));
    let any = targets.iter().any(|target| seen(target.source.clone()));
    if open.is_empty() && !any {
        return Some(Verdict::Skipped("its targets need features that are not on".into()));
    }
    match any && (!whole || open.iter().all(|target| seen(target.source.clone()))) {
        true => Some(Verdict::Passed),
        false if whole => Some(Verdict::NotRun("cargo stopped before it".into())),
        false => None,
    }
}

/// How a compilation ended that nobody is named for.
fn unended(end: &End) -> String {
    let how =
        if end.is_good() { "it ended without saying that it was done".to_owned() } else { end.verdict().to_string() };
    format!("cargo did not come to a good end: {how}")
}

/// `1 error, 2 warnings` of a member.
fn counted(findings: &[Finding], member: &MemberName) -> String {
    let count =
        |severity| findings.iter().filter(|f| f.severity == severity && f.member.as_ref() == Some(member)).count();
    let counts = [(count(Severity::Error), "error"), (count(Severity::Warning), "warning")];
    let counts = counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| plural(*n, word));
    let counts = counts.collect::<Vec<_>>().join(", ");
    if counts.is_empty() { "it does not compile".into() } else { counts }
}

//! Programs that are shipped: good only when they were compiled, and proved to be what they are to be.

use super::{Case, End, Judgement};
use crate::facts::tools::cargo::{Messages, errors};
use crate::plan::Artifact;
use crate::verdict::{Finding, Severity, Verdict};

impl Case<'_> {
    /// A compilation that came to no program: none where cargo said that it is done.
    #[must_use]
    pub fn uncompiled(&self, end: &End, messages: &Messages, stderr: &str) -> Option<Judgement> {
        if end.is_good() && messages.is_whole() {
            return None;
        }
        let broken = self.broken(messages, stderr, Severity::Error);
        let names: Vec<&str> = broken.iter().map(|name| name.as_str()).collect();
        let verdict = match end {
            End::Exited(_) if !names.is_empty() => Verdict::Failed(format!("{} does not compile", names.join(", "))),
            End::Exited(0) => Verdict::Failed("cargo ended without saying that it was done".into()),
            End::Exited(_) => Verdict::Failed("it does not compile".into()),
            end => end.verdict(),
        };
        let findings: Vec<Finding> =
            messages.findings.iter().filter(|finding| finding.severity == Severity::Error).cloned().collect();
        let tail = if findings.is_empty() { errors(stderr) } else { String::new() };
        Some(Judgement { findings, tail, unjudged: broken.is_empty(), ..self.all(&verdict) })
    }

    /// What was compiled, and what proof says of it: faults, each a sentence, or the artifact.
    #[must_use]
    pub fn proved(&self, proof: Result<Artifact, Vec<String>>) -> Judgement {
        match proof {
            Ok(artifact) => {
                let artifacts = self.running.iter().map(|subject| (subject.clone(), artifact.clone())).collect();
                Judgement { artifacts, ..self.all(&Verdict::Passed) }
            }
            Err(faults) => {
                let first = faults.first().map(|fault| fault.split(": ").next().unwrap_or(fault).to_owned());
                let first = first.unwrap_or_default();
                let finding = |fault: &String| Finding {
                    member: self.running.first().cloned().flatten(),
                    severity: Severity::Error,
                    file: None,
                    line: None,
                    message: fault.clone(),
                    text: fault.clone(),
                };
                Judgement { findings: faults.iter().map(finding).collect(), ..self.all(&Verdict::Failed(first)) }
            }
        }
    }
}

//! What becomes of a program once it was built: kept under its key if nothing moved meanwhile, withdrawn if it is not the
//! same twice.

use std::time::SystemTime;

use supercargo_plan::plan::{Action, Step};
use supercargo_plan::programs::Entry;
use supercargo_plan::recipe::Draft;
use supercargo_plan::results;
use supercargo_plan::verdict::Verdict;
use supercargo_plan::verdicts::Judgement;

use super::programs::{Asking, Survey, survey};
use crate::execute::freshness;
use crate::store::Programs;

/// What became of a program once it was built.
pub enum Settled {
    /// There is nothing to keep, or no key to keep it under.
    Nothing,
    /// It is kept under its key.
    Kept,
    /// It is not, for this reason: what it depends on moved.
    Moved(String),
}

/// Keeps what was built under its key, if nothing that it depends on moved meanwhile.
pub fn settle(asking: &Asking<'_>, store: &Programs, step: &Step, judgement: &Judgement, clock: SystemTime) -> Settled {
    let Action::Build { program, target, .. } = &step.action else { return Settled::Nothing };
    let Some(item) = step.items.first() else { return Settled::Nothing };
    let (Some(artifact), Some(key)) = (judgement.artifacts.get(&item.member), &item.key) else {
        return Settled::Nothing;
    };
    if judgement.verdicts.get(&item.member) != Some(&Verdict::Passed) {
        return Settled::Nothing;
    }
    let now = survey(asking, Some(clock), |found| {
        let same = |draft: &&Draft<'_>| draft.id == step.id;
        Ok(found.drafts.iter().find(same).and_then(|draft| draft.parts.clone().ok()))
    });
    match now {
        Ok(Some(parts)) if results::key(&parts).to_string() == *key => {
            let entry = Entry {
                key: key.clone(),
                program: program.clone(),
                target: target.clone(),
                artifact: artifact.clone(),
            };
            store.keep(&entry, (&step.id, &item.member), &parts);
            Settled::Kept
        }
        Ok(_) => Settled::Moved(format!(
            "{} is not kept under its key: what it depends on changed while it was built",
            step.id
        )),
        Err(problem) => Settled::Moved(format!("{} is not kept under its key: {}", step.id, problem.what)),
    }
}

/// Notes what cargo's folder is known to be made from, after a step that built there.
pub fn note_freshness(found: &Survey<'_>, step: &Step, settled: &Settled) {
    let inputs = found.drafts.iter().find(|draft| draft.id == step.id).map(|draft| &draft.inputs);
    let in_place = matches!(step.action, Action::Build { twice: false, .. });
    match (settled, inputs.filter(|_| in_place)) {
        (Settled::Kept, Some(inputs)) => freshness::confirm(&found.world.target, inputs),
        (Settled::Moved(_), Some(_)) => freshness::forget(&found.world.target),
        _ => {}
    }
}

/// Withdraws what is kept of a program that two builds of the same differ in.
pub fn withdraw(store: &Programs, step: &Step, judgement: &Judgement) {
    let twice = matches!(step.action, Action::Build { twice: true, .. });
    for item in step.items.iter().filter(|_| twice && !judgement.unjudged) {
        if let (Some(Verdict::Failed(_)), Some(key)) = (judgement.verdicts.get(&item.member), &item.key) {
            store.forget(key);
        }
    }
}

//! Text for people: reasons, plans, faults.

use std::fmt::Write as _;

use supercargo_plan::answer::{Answer, Compared, Member};
use supercargo_plan::cause::Cause;
use supercargo_plan::facts::policy::Policy;
use supercargo_plan::facts::workspace::Level;
use supercargo_plan::graph::{Key, key};
use supercargo_plan::location::{NOBODYS, NOBODYS_ENDINGS};
use supercargo_plan::problem::Problem;

/// A problem: what is wrong, and what mends it.
#[must_use]
pub fn problem(problem: &Problem) -> String {
    format!("error: {}\n mend: {}\n", problem.what, problem.mend)
}

/// Most causes that a summary lists.
const MOST_CAUSES: usize = 10;

/// `main (merge base 0123456789ab)`.
fn since(compared: &Compared) -> String {
    match &compared.merge_base {
        Some(merge_base) => format!("{} (merge base {})", compared.base, &merge_base[..12]),
        None => compared.base.clone(),
    }
}

/// One line: how many, since when; and why it is everyone, with what would change that.
#[must_use]
pub fn summary(answer: &Answer<'_>) -> String {
    let (selected, all) = (answer.selected().len(), answer.workspace.members().count());
    let mut text = format!("{selected} of {all} members affected since {}\n", since(&answer.compared));
    let counts = |cause: &&Cause| answer.set == Level::Check || cause.level == Level::Build;
    let everyone: Vec<&Cause> = answer.affected.everyone.iter().filter(counts).collect();
    for cause in everyone.iter().take(MOST_CAUSES) {
        let _written = writeln!(text, "everyone: {cause}");
    }
    if everyone.len() > MOST_CAUSES {
        let _written = writeln!(text, "everyone: and {} more causes", everyone.len() - MOST_CAUSES);
    }
    let unowned = everyone.iter().find(|cause| cause.kind.word() == "unowned");
    if let Some(cause) = unowned {
        let _written = writeln!(text, "{}", rule_hint(&cause.what));
    }
    text
}

/// The rule that would take a path from everyone.
fn rule_hint(path: &str) -> String {
    let escaped: String =
        path.chars().flat_map(|c| "[]{}*?\\!".contains(c).then_some('\\').into_iter().chain([c])).collect();
    let glob = escaped.rsplit_once('/').map_or_else(|| escaped.clone(), |(folder, _)| format!("{folder}/**"));
    format!(
        "a rule in the root Cargo.toml would change that:\n  \
         [[workspace.metadata.supercargo.rule]]\n  paths = [{glob:?}]\n  affects = []"
    )
}

/// `core-lib -> util -> app`.
fn chain(keys: &[Key<'_>]) -> String {
    keys.iter().map(Key::to_string).collect::<Vec<_>>().join(" -> ")
}

/// Every reason of one member.
#[must_use]
pub fn why(answer: &Answer<'_>, member: &Member<'_>) -> String {
    let name = &member.package.name;
    let what = if member.verdict.build { "its library or programs" } else { "only what its tests see" };
    let mut text = format!("{name} is affected since {}: {what}\n", since(&answer.compared));
    for reason in answer.affected.reasons(key(member.package), answer.set) {
        let _written = writeln!(text, "\n  {}", reason.cause);
        if reason.chain.len() > 1 {
            let _written = writeln!(text, "    {}", chain(&reason.chain));
        }
    }
    text
}

/// What a member that is not affected depends on.
#[must_use]
pub fn why_not(answer: &Answer<'_>, member: &Member<'_>) -> String {
    let mut text = format!("{} is not affected since {}\n", member.package.name, since(&answer.compared));
    let mut used: Vec<Key<'_>> = answer
        .affected
        .dependencies(key(member.package), answer.set)
        .iter()
        .skip(1)
        .filter_map(|chain| chain.first().copied())
        .collect();
    used.sort();
    if used.is_empty() {
        text.push_str("it depends on nothing\n");
        return text;
    }
    text.push_str("it depends on these, and nothing of theirs that it can see changed:\n");
    for kind in ["members", "path crates", "packages"] {
        let names: Vec<String> = used.iter().filter(|key| kind_of(key) == kind).map(Key::to_string).collect();
        if !names.is_empty() {
            let _written = writeln!(text, "  {kind}: {}", names.join(", "));
        }
    }
    text
}

fn kind_of(key: &Key<'_>) -> &'static str {
    match key {
        Key::Member(_) => "members",
        Key::Outside(_) | Key::Beyond(_) => "path crates",
        Key::Locked(_) => "packages",
    }
}

/// The answer to `--why` for a member that is not affected, or to `--why-not` for one that is.
#[must_use]
pub fn contrary(answer: &Answer<'_>, member: &Member<'_>, question: &str) -> String {
    let not = if answer.holds(member) { "" } else { "not " };
    let name = &member.package.name;
    format!(
        "{name} is {not}affected since {}; ask: cargo xtask affected {} {question} {name}\n",
        since(&answer.compared),
        answer.compared.base
    )
}

/// What will be read, and whose a path is.
pub struct Plan<'a> {
    /// The base, as asked.
    pub base: &'a str,
    /// The commit that is compared; the working tree where there is none.
    pub head: Option<&'a str>,
    /// The set.
    pub set: Level,
    /// Every process, in order.
    pub calls: &'a [String],
    /// The rules.
    pub policy: &'a Policy,
}

/// A plan.
#[must_use]
pub fn plan(plan: &Plan<'_>) -> String {
    let head = plan.head.unwrap_or("the working tree");
    let set = if plan.set == Level::Build { "build" } else { "check" };
    let mut text =
        format!("compare {head} with {} at their merge base; set: {set}\n\nread, and nothing else:\n", plan.base);
    for call in plan.calls {
        let _written = writeln!(text, "  {call}");
    }
    text.push_str("\nwhose a path is, the first line that fits:\n");
    text.push_str(
        "  who includes it, links to it, names it in rerun-if-changed or as a literal path: theirs in any case\n",
    );
    for rule in &plan.policy.rules {
        let _written = writeln!(text, "  rule: {rule}");
    }
    let _written = writeln!(
        text,
        "  {} (.{}, or no ending) at the root of a member, the workspace or the repository: nobody",
        NOBODYS.join(", "),
        NOBODYS_ENDINGS.join(", .")
    );
    text.push_str("  a path in the folder of a member, or of a path crate that members use: that one\n");
    text.push_str("  anything else: everyone\n");
    text
}

//! The answer as JSON, schema 1: sorted, without clock or absolute path, the same bytes for the same facts.

use serde_json::{Map, Value, json};
use supercargo_plan::answer::{Answer, Member};
use supercargo_plan::cause::Cause;
use supercargo_plan::facts::workspace::Level;
use supercargo_plan::graph::{Key, key};

/// The version of the form: raised when a field goes or changes its meaning.
const SCHEMA: u32 = 1;

/// The whole answer, one line.
#[must_use]
pub fn answer(answer: &Answer<'_>) -> String {
    let compared = &answer.compared;
    let members: Vec<Value> = answer.members().iter().map(|found| member(answer, found)).collect();
    let value = json!({
        "schema": SCHEMA,
        "base": { "asked": compared.base, "commit": compared.base_commit, "merge_base": compared.merge_base },
        "head": {
            "asked": compared.head,
            "commit": compared.head_commit,
            "working_tree": compared.head.is_none(),
        },
        "set": answer.set,
        "target": compared.target,
        "everyone": answer.affected.everyone.iter().map(cause).collect::<Vec<_>>(),
        "members": members,
    });
    format!("{value}\n")
}

fn cause(cause: &Cause) -> Value {
    json!({ "kind": cause.kind.word(), "what": cause.what, "change": cause.change, "set": cause.level })
}

fn member(answer: &Answer<'_>, member: &Member<'_>) -> Value {
    let package = member.package;
    let own = key(package);
    let reasons = if member.verdict.check { answer.affected.reasons(own, Level::Check) } else { Vec::new() };
    let reasons: Vec<Value> = reasons
        .iter()
        .map(|reason| {
            let mut value = cause(&reason.cause);
            value["distance"] = reason.distance.into();
            value["chain"] = reason.chain.iter().map(Key::to_string).collect();
            value
        })
        .collect();
    json!({
        "name": package.name,
        "path": package.folder.to_string(),
        "version": package.version,
        "affected": { "check": member.verdict.check, "build": member.verdict.build },
        "fingerprints": fingerprints(answer, &own),
        "distance": member.verdict.distance,
        "reasons": reasons,
    })
}

/// Both fingerprints, on both sides; null where the member or the base is not there.
fn fingerprints(answer: &Answer<'_>, member: &Key<'_>) -> Value {
    let side = |n: usize| answer.prints[n].as_ref().and_then(|prints| prints.get(member));
    let both = |of: &dyn Fn(usize) -> Option<String>| json!({ "base": of(0), "head": of(1) });
    let mut value = Map::new();
    value.insert("build".into(), both(&|n| side(n).map(|prints| prints.build.to_string())));
    value.insert("check".into(), both(&|n| side(n).map(|prints| prints.check.to_string())));
    Value::Object(value)
}

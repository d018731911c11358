//! What cargo may take for unchanged although it changed, since it goes by times and by what build scripts say they watch.

use std::collections::BTreeMap;

use supercargo_artifact::digest::{Digest, Hasher};

use crate::fingerprint;
use crate::graph::{Graph, Key, key};
use crate::invocation::auditable;
use crate::recipe::{Draft, Facts, Inputs};

/// What `draft` is made from, whose packages `closed` holds; `contents` are those of [`crate::fingerprint::contents`].
#[must_use]
pub fn inputs<'a>(
    facts: &Facts<'a>,
    draft: &Draft<'_>,
    (closed, contents): (&Graph<'a>, &BTreeMap<Key<'a>, Option<Digest>>),
) -> Inputs {
    let mut everyone = Hasher::new("supercargo inputs 1");
    for (name, value) in &facts.conditions.environment.counted {
        everyone.field(name.as_bytes()).field(value.map_or([0; 32], |digest| *digest.as_bytes()).as_slice());
    }
    for (name, value) in &facts.conditions.configuration {
        everyone.field(name.as_bytes()).field(value.as_bytes());
    }
    everyone.field(facts.policy.shipping.epoch.to_string().as_bytes());
    if facts.closures.vendored {
        everyone.field(fingerprint::nobodys(facts.side).as_bytes());
    }
    let mut packages: BTreeMap<String, Option<Digest>> = BTreeMap::new();
    let own = facts.snapshot.workspace.packages.iter().filter(|package| closed.contains_key(&key(package)));
    for package in own {
        let content = contents.get(&key(package)).copied().flatten();
        // Two of one name are told apart by nothing that cargo's folders show.
        let known = packages.remove(package.name.as_str());
        let both = known.map_or(content, |known| known.zip(content).map(|(one, other)| join(&one, &other)));
        packages.insert(package.name.as_str().to_owned(), both);
    }
    let tools = format!("{}\n{}", draft.linker, auditable(facts).unwrap_or_default());
    Inputs { everyone: everyone.finish().to_string(), tools, packages }
}

fn join(one: &Digest, other: &Digest) -> Digest {
    Hasher::new("supercargo two packages 1").field(one.as_bytes()).field(other.as_bytes()).finish()
}

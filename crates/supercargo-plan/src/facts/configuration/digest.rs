//! The digest of a configuration: what can change a program, in one spelling, wherever the workspace lies.

use std::path::Path;

use serde_json::Value;
use supercargo_artifact::digest::{Digest, Hasher};

use super::super::manifest;
use super::node::Node;
use super::{Configuration, folder};

/// Tables that change no program: how things are fetched, shown, named and kept.
const IDLE: [&str; 13] = [
    "alias",
    "cache",
    "cargo-new",
    "credential-alias",
    "doc",
    "future-incompat-report",
    "http",
    "install",
    "net",
    "registries",
    "registry",
    "source",
    "term",
];

/// Keys of `[build]` that change no program.
const IDLE_BUILD: [&str; 11] = [
    "analysis",
    "artifact-dir",
    "build-dir",
    "dep-info-basedir",
    "jobs",
    "out-dir",
    "pipelining",
    "rustdoc",
    "rustdocflags",
    "target-dir",
    "warnings",
];

/// Keys of `[target.*]` and `[host]` that change no program.
const IDLE_TARGET: [&str; 2] = ["runner", "rustdocflags"];

/// Keys whose value is a program: with a `/` in it, a path that starts at the folder of the file.
const PROGRAMS: [&str; 4] = ["linker", "rustc", "rustc-wrapper", "rustc-workspace-wrapper"];

impl Configuration {
    /// The digest of all that can change a program: equal for other spellings of the same, and for a workspace with the
    /// same configuration in another folder. Variables are not in it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut text = String::new();
        self.spell(&self.root, &mut Vec::new(), false, &mut text);
        Hasher::new("supercargo configuration 1").field(text.as_bytes()).finish()
    }

    /// Appends the one spelling of `node`, without what changes no program. `rooted` where text is a path that starts at
    /// the folder of its file.
    fn spell(&self, node: &Node, keys: &mut Vec<String>, rooted: bool, text: &mut String) {
        match node {
            Node::Table(fields) => {
                let relative = matches!(fields.get("relative"), Some(Node::Leaf(Value::Bool(true), _)));
                text.push('{');
                for (key, value) in fields {
                    keys.push(key.clone());
                    if !idle(keys) && !is_sccache(keys, value) {
                        let top = keys[0].as_str();
                        let program = PROGRAMS.contains(&key.as_str());
                        let program = program && value.text().is_some_and(|(value, _)| value.contains('/'));
                        let rooted = program || top == "paths" || (top == "patch" && key == "path") || relative;
                        let mut spelled = String::new();
                        self.spell(value, keys, rooted, &mut spelled);
                        // A table that says nothing is as good as none.
                        if spelled != "{}" {
                            manifest::spell_string(key, text);
                            text.push(':');
                            text.push_str(&spelled);
                            text.push(',');
                        }
                    }
                    keys.pop();
                }
                text.push('}');
            }
            Node::List(items) => {
                text.push('[');
                for item in items {
                    self.spell(item, keys, rooted, text);
                    text.push(',');
                }
                text.push(']');
            }
            Node::Leaf(Value::String(value), path) => {
                if rooted && !value.starts_with('/') {
                    manifest::spell_string(&self.place(folder(path)), text);
                }
                manifest::spell_string(&self.homeless(value), text);
            }
            Node::Leaf(other, _) => text.push_str(&other.to_string()),
        }
    }

    /// How a folder is reached from here; `~` for one that is neither above nor below.
    fn place(&self, folder: &str) -> String {
        let (here, folder) = (Path::new(&self.here), Path::new(folder));
        if let Ok(below) = folder.strip_prefix(here) {
            return below.to_string_lossy().into_owned();
        }
        match here.strip_prefix(folder) {
            Ok(above) => "../".repeat(above.components().count()),
            Err(_) => "~".to_owned(),
        }
    }

    /// `value` with a mark wherever it names the folder that cargo is called in.
    fn homeless(&self, value: &str) -> String {
        let here = self.here.trim_end_matches('/');
        let mut text = String::new();
        let mut rest = value;
        while let Some(at) = rest.find(here).filter(|_| !here.is_empty()) {
            let after = &rest[at + here.len()..];
            let whole = !after.starts_with(|c: char| c.is_alphanumeric() || "_-.+~@".contains(c));
            text.push_str(&rest[..at]);
            text.push_str(if whole { "\0" } else { here });
            rest = after;
        }
        text + rest
    }
}

/// Whether a wrapper hands out what the compiler made, here or elsewhere, and nothing else.
fn is_sccache(keys: &[String], value: &Node) -> bool {
    let named =
        || value.text().is_some_and(|(value, _)| Path::new(value).file_stem().is_some_and(|name| name == "sccache"));
    keys == ["build", "rustc-wrapper"] && named()
}

/// A file of configuration without its tables that change no program.
#[must_use]
pub fn counted(table: &Value) -> Value {
    let Some(fields) = table.as_object() else { return table.clone() };
    let counted = fields.iter().filter(|(name, _)| !IDLE.contains(&name.as_str()));
    Value::Object(counted.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// Whether what `keys` lead to changes no program.
fn idle(keys: &[String]) -> bool {
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    match keys.as_slice() {
        [top] => IDLE.contains(top),
        ["build", key] => IDLE_BUILD.contains(key),
        ["target", _, key] | ["host", key] => IDLE_TARGET.contains(key),
        _ => false,
    }
}

//! The files of cargo's configuration as values, each with the file that it was written in, and how they are merged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::super::manifest;

/// A value, and the file that it was written in.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Table(BTreeMap<String, Node>),
    List(Vec<Node>),
    Leaf(Value, String),
}

/// One file's values over those of the files that it includes.
pub(super) fn load(
    path: &str,
    text: &[u8],
    read: &mut dyn FnMut(&str) -> Option<Vec<u8>>,
    seen: &mut BTreeSet<String>,
) -> Result<Node, String> {
    if !seen.insert(path.to_owned()) {
        return Err(format!("`{path}` is included more than once"));
    }
    let mut value = manifest::parse(text)?;
    let include =
        value.as_object_mut().and_then(|table| table.remove("include")).unwrap_or_else(|| Value::Array(vec![]));
    let listed = include.as_array().ok_or("`include` is no list")?;
    let mut root = Node::Table(BTreeMap::new());
    for item in listed {
        let (name, optional) = included(item)?;
        let folder = Path::new(path).parent().unwrap_or(Path::new("/"));
        let file = folder.join(name).to_string_lossy().into_owned();
        match read(&file) {
            Some(text) => {
                root.merge(load(&file, &text, read, seen).map_err(|fault| format!("{name}: {fault}"))?, true)?
            }
            None if optional => {}
            None => return Err(format!("there is no `{file}`, which it includes")),
        }
    }
    root.merge(Node::new(value, path)?, true)?;
    Ok(root)
}

/// The path that an item of `include` names, as written, and whether the file may be missing.
fn included(item: &Value) -> Result<(&str, bool), String> {
    let optional = match &item["optional"] {
        Value::Null => false,
        Value::Bool(optional) => *optional,
        other => return Err(format!("`include.optional` is {other}")),
    };
    let name = item.as_str().or(item["path"].as_str()).ok_or_else(|| format!("`include` names no file: {item}"))?;
    if Path::new(name).extension().is_none_or(|ending| ending != "toml")
        || name.contains(['*', '?', '[', ']', '{', '}'])
    {
        return Err(format!("`include` names `{name}`, and cargo takes plain paths that end in .toml"));
    }
    Ok((name, optional))
}

impl Node {
    fn new(value: Value, path: &str) -> Result<Self, String> {
        Ok(match value {
            Value::Object(map) if map.keys().any(|key| key.starts_with("$__toml")) => {
                return Err("cargo takes no dates".to_owned());
            }
            Value::Object(map) => {
                let fields = map.into_iter().map(|(key, value)| Ok((key, Self::new(value, path)?)));
                Self::Table(fields.collect::<Result<_, String>>()?)
            }
            Value::Array(items) => {
                Self::List(items.into_iter().map(|item| Self::new(item, path)).collect::<Result<_, _>>()?)
            }
            Value::Number(number) if !number.is_i64() => return Err(format!("cargo takes no number like {number}")),
            leaf => Self::Leaf(leaf, path.to_owned()),
        })
    }

    /// Adds what `other` holds: what is here wins, unless `over` says that what comes does. Where cargo does not join
    /// lists (runners, credential providers), nothing here depends on it.
    pub(super) fn merge(&mut self, other: Self, over: bool) -> Result<(), String> {
        match (self, other) {
            (Self::Table(old), Self::Table(new)) => {
                for (key, value) in new {
                    match old.get_mut(&key) {
                        Some(known) => known.merge(value, over).map_err(|fault| match fault.strip_prefix('`') {
                            Some(fault) => format!("`{key}.{fault}"),
                            None => format!("`{key}` {fault}"),
                        })?,
                        None => drop(old.insert(key, value)),
                    }
                }
            }
            (Self::List(old), Self::List(mut new)) if over => old.append(&mut new),
            (Self::List(old), Self::List(mut new)) => {
                new.append(old);
                *old = new;
            }
            (Self::Leaf(..), Self::Leaf(..)) if !over => {}
            (old @ Self::Leaf(..), new @ Self::Leaf(..)) => *old = new,
            (old, new) => return Err(format!("is {} here and {} in a nearer file", new.kind(), old.kind())),
        }
        Ok(())
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Table(_) => "a table",
            Self::List(_) => "a list",
            Self::Leaf(..) => "a single value",
        }
    }

    pub(super) fn get(&self, keys: &[&str]) -> Option<&Self> {
        keys.iter().try_fold(self, |node, key| match node {
            Self::Table(fields) => fields.get(*key),
            _ => None,
        })
    }

    /// The words of a list of strings, or of a string with spaces between them.
    pub(super) fn words(&self) -> Option<Vec<String>> {
        match self {
            Self::Leaf(Value::String(text), _) => Some(text.split_whitespace().map(str::to_owned).collect()),
            Self::List(items) => items.iter().map(|item| item.text().map(|(text, _)| text.to_owned())).collect(),
            _ => None,
        }
    }

    /// A string, and the file that it was written in.
    pub(super) fn text(&self) -> Option<(&str, &str)> {
        match self {
            Self::Leaf(Value::String(text), path) => Some((text, path)),
            _ => None,
        }
    }

    /// A file that something of this was written in.
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Leaf(_, path) => path,
            Self::List(items) => items.first().map_or("", Self::path),
            Self::Table(fields) => fields.values().next().map_or("", Self::path),
        }
    }
}

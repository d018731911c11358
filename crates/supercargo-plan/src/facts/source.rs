//! What a Rust source file names: files it includes, modules, variables, paths among its string literals.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What one source file names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "l")]
    pub literals: Vec<Literal>,
    /// Modules that lie in files of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "m")]
    pub modules: Vec<Module>,
    /// For a build script: what it says of its inputs.
    #[serde(default, skip_serializing_if = "Inputs::is_silent", rename = "i")]
    pub inputs: Inputs,
    /// Environment variables, by name.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty", rename = "e")]
    pub environment: BTreeSet<String>,
}

impl Source {
    /// Notes `name`, where it can be a variable's: with `{}` in it, it is computed, and nobody here knows it.
    pub fn name_variable(&mut self, name: &str) {
        let first = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        if first && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
            self.environment.insert(name.to_owned());
        }
    }
}

/// Whether a build script tells cargo what to watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Inputs {
    /// It names nothing, so cargo watches every file of the package.
    #[default]
    Silent,
    /// It names all that it reads, in literals.
    Named,
    /// Some of what it names is computed, and so unknown here.
    Computed,
}

impl Inputs {
    fn is_silent(&self) -> bool {
        *self == Self::Silent
    }
}

/// A path in a source file. Text in `{}` or after `$` stands for what is not known, such as an environment variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Literal {
    /// The text.
    #[serde(rename = "t")]
    pub text: String,
    /// How it is used.
    #[serde(default, skip_serializing_if = "is_default", rename = "u")]
    pub usage: Usage,
    /// Whether it stands in code that only tests compile.
    #[serde(default, skip_serializing_if = "is_default", rename = "c")]
    pub test: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// How a literal is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Usage {
    /// Somewhere in the code: it may be read when it runs.
    #[default]
    Any,
    /// In an attribute or a macro that is not one of the standard library's: it may be read when it is compiled.
    Macro,
    /// In `include!`, `include_str!` or `include_bytes!`.
    Include,
    /// After `rerun-if-changed=`.
    Rerun,
    /// One word in a `join` or `push`: maybe a folder of the workspace.
    Join,
}

/// A `mod name;`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Its name, after the inline modules around it, parted by `/`.
    #[serde(rename = "n")]
    pub name: String,
    /// Files that `#[path]` (or a `cfg_attr` with `path`) gives it.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "p")]
    pub paths: Vec<String>,
    /// Whether only tests compile it.
    #[serde(default, skip_serializing_if = "is_default", rename = "c")]
    pub test: bool,
}

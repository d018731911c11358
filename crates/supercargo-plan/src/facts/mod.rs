//! Facts: what text from cargo, git and the repository says, parsed.

pub mod checks;
pub mod closure;
pub mod conditions;
pub mod configuration;
mod faults;
pub mod includes;
pub mod lexer;
pub mod lock;
pub mod manifest;
pub mod metadata;
pub mod outside;
pub mod path;
pub mod platform;
pub mod policy;
pub mod scan;
pub mod shared;
pub mod shipping;
pub mod source;
pub mod tools;
pub mod tree;
pub mod workspace;

use std::collections::BTreeMap;

use includes::Links;
use lock::Lock;
use source::Source;
use tree::{ObjectId, Tree};
use workspace::Workspace;

/// What source files name, by the id of their content.
pub type Sources = BTreeMap<ObjectId, Source>;

/// All facts of one state of the repository.
#[derive(Clone, Copy)]
pub struct Snapshot<'a> {
    /// Its files.
    pub tree: &'a Tree,
    /// Where its symbolic links lead.
    pub links: &'a Links,
    /// Its workspace.
    pub workspace: &'a Workspace,
    /// Its lockfile; none where git knows of none.
    pub lock: Option<&'a Lock>,
    /// What its source files name; a file that is missing here names nothing.
    pub sources: &'a Sources,
}

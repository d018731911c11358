//! Decides: facts in, answers out. The same facts give the same bytes.

pub mod affected;
pub mod answer;
pub mod built;
pub mod catalog;
pub mod cause;
pub mod claims;
pub mod draft;
pub mod environment;
pub mod facts;
pub mod fingerprint;
pub mod freshness;
pub mod graph;
pub mod invocation;
pub mod linking;
pub mod location;
pub mod ownership;
pub mod plan;
pub mod problem;
pub mod programs;
pub mod recipe;
pub mod record;
pub mod results;
pub mod shards;
pub mod verbs;
pub mod verdict;
pub mod verdicts;

//! Decides: facts in, answers out. The same facts give the same bytes.

pub mod affected;
pub mod answer;
pub mod cause;
pub mod claims;
pub mod facts;
pub mod fingerprint;
pub mod graph;
pub mod location;
pub mod ownership;
pub mod problem;
pub mod shards;

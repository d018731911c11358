//! Makes bytes: the deterministic formats of supercargo, each named by the digest of what was written.
//!
//! Nothing in here knows of workspaces, cargo, git, clocks or networks.

pub mod digest;

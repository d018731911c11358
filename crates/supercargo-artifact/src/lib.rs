//! Makes bytes: the deterministic formats of supercargo, each named by the digest of what was written.
//!
//! Nothing in here knows of workspaces, cargo, git, clocks or networks.

pub mod action_result;
pub mod digest;
pub mod elf;
pub mod inspect;

/// The text of what proves programs: what other code proved is proved anew.
pub const PROOF: &str = concat!(include_str!("elf.rs"), include_str!("inspect.rs"));

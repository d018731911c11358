//! The program as people use it: real git, real cargo, a sandbox of its own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod counts;
mod faults;
mod formats;
mod gate_asking;
mod gate_broken;
mod gate_cache;
mod gate_content;
mod gate_environment;
mod gate_formats;
mod gate_hook;
mod gate_killed;
mod gate_limits;
mod gate_sandbox;
mod gate_tools;
mod gate_workspaces;
mod lockfile;
mod oracle;
mod partial;
mod properties;
mod sandbox;
mod workflow;

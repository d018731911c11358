//! The program as people use it: real git, real cargo, a sandbox of its own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod build_affected;
mod build_fresh;
mod build_ground;
mod build_merge;
mod build_moved;
mod build_native;
mod build_native_zig;
mod build_proof;
mod build_record;
mod build_repro;
mod build_repro_faults;
mod build_repro_stale;
mod build_repro_twins;
mod build_sandbox;
mod build_settings;
mod build_settings_flags;
mod build_settings_tools;
mod build_shared;
mod build_shipped;
mod build_smoke;
mod build_store;
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
#[expect(dead_code, reason = "the unit tests of the store use more of it")]
#[path = "../../../crates/supercargo/src/store/servers.rs"]
mod servers;
mod shared_gate;
mod workflow;

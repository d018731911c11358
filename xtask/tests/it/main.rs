//! The program as people use it: real git, real cargo, a sandbox of its own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod counts;
mod faults;
mod formats;
mod lockfile;
mod oracle;
mod properties;
mod sandbox;

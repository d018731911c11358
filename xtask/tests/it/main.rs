//! The program as people use it: real git, real cargo, a sandbox of its own.

mod counts;
mod faults;
mod formats;
mod lockfile;
mod oracle;
mod properties;
mod sandbox;

//! The door: `cargo xtask`.

use std::process::ExitCode;

fn main() -> ExitCode {
    supercargo::run()
}

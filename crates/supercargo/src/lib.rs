//! Acts and speaks: reads the world, asks the deciding crate, reports.

mod cli;
mod flow;
mod process;
mod read;
mod report;

use std::process::ExitCode;

use clap::Parser as _;
use supercargo_plan::problem::{Exit, Problem};

/// Runs `cargo xtask` with the arguments of this process.
#[must_use]
pub fn run() -> ExitCode {
    process::end_on_interrupt();
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return explain(&error),
    };
    let ended: Result<Exit, Problem> = match &cli.verb {
        cli::Verb::Affected(arguments) => flow::affected(arguments),
    };
    let exit = ended.unwrap_or_else(|problem| {
        report::say(&report::text::problem(&problem));
        problem.exit
    });
    ExitCode::from(exit as u8)
}

/// Help and version are data; anything else that clap has to say is for the person who typed.
fn explain(error: &clap::Error) -> ExitCode {
    let shown = error.render().to_string();
    let exit = if error.use_stderr() { Exit::Usage } else { Exit::Yes };
    if error.use_stderr() || report::data(&shown).is_err() {
        report::say(&shown);
    }
    ExitCode::from(exit as u8)
}

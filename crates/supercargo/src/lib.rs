//! Acts and speaks: reads the world, asks the deciding crate, reports.

mod cli;
mod execute;
mod flow;
mod process;
mod read;
mod report;
mod store;

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Parser as _;
use supercargo_plan::facts::checks::Check;
use supercargo_plan::problem::{Exit, Problem};

/// Runs `cargo xtask` with the arguments of this process: the pipeline as it is.
#[must_use]
pub fn run() -> ExitCode {
    Pipeline::new().run()
}

/// The pipeline, with the team's own checks in it.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     supercargo::Pipeline::new().check("licenses", ["python3", "ci/licenses.py"]).run()
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Pipeline {
    checks: BTreeMap<String, Check>,
}

impl Pipeline {
    /// The pipeline as it is.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a step to the gate: `command`, from the workspace's root; its exit status is the verdict. It is data, as if
    /// policy said so: `--plan` shows it, and policy may switch it off or give it a timeout.
    #[must_use]
    pub fn check<S: Into<String>>(mut self, name: &str, command: impl IntoIterator<Item = S>) -> Self {
        let command = command.into_iter().map(Into::into).collect();
        self.checks.insert(name.to_owned(), Check { command: Some(command), ..Check::default() });
        self
    }

    /// Runs `cargo xtask` with the arguments of this process.
    #[must_use]
    pub fn run(self) -> ExitCode {
        if std::env::args().nth(1).as_deref() == Some(process::guard::ARGUMENT) {
            process::guard::run();
            return ExitCode::SUCCESS;
        }
        process::end_on_interrupt();
        let cli = match cli::Cli::try_parse() {
            Ok(cli) => cli,
            Err(error) => return explain(&error),
        };
        let ended: Result<Exit, Problem> = match &cli.verb {
            cli::Verb::Gate(arguments) => flow::gate::run(arguments, &self.checks),
            cli::Verb::Build(arguments) => flow::build::run(arguments),
            cli::Verb::Affected(arguments) => flow::affected::run(arguments),
        };
        let exit = ended.unwrap_or_else(|problem| {
            report::say(&report::text::problem(&problem));
            problem.exit
        });
        ExitCode::from(exit as u8)
    }
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

//! What a person may type.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use supercargo_plan::facts::workspace::Level;

/// The pipeline that a Rust team keeps in its own repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Print the members that a change touches, and why
    Affected(Affected),
}

/// `cargo xtask affected`.
#[derive(Debug, Default, Args)]
#[command(
    after_help = "Exit codes: 0 answered, also when nobody is affected; 1 the answer to --why, --why-not or --lint is no;\n\
2 usage; 3 something a person must mend; 5 timed out; 130 interrupted."
)]
pub struct Affected {
    /// Branch, tag or commit to compare with, at its merge base with HEAD; `auto` asks CI, then origin/HEAD, origin/main, main [default: policy's `base`, else auto]
    pub base: Option<String>,
    /// Compare this commit instead of the working tree
    #[arg(long, value_name = "REV")]
    pub head: Option<String>,
    /// The workspace to ask about [default: that of the current folder]
    #[arg(long, value_name = "PATH")]
    pub manifest_path: Option<PathBuf>,
    /// What must differ: what is built, or that and what tests see
    #[arg(long, value_enum, default_value_t)]
    pub set: Set,
    /// Count only the dependencies that this platform has
    #[arg(long, value_name = "TRIPLE")]
    pub target: Option<String>,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Split the matrix into at most this many shards of about equal work
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub shards: Option<u16>,
    /// Recorded durations to balance shards by [default: <target directory>/xtask/durations.json]
    #[arg(long, value_name = "FILE", requires = "shards")]
    pub durations: Option<PathBuf>,
    /// Print every reason why this member is affected
    #[arg(long, value_name = "MEMBER", group = "question")]
    pub why: Option<String>,
    /// Print what this member depends on, none of which changed
    #[arg(long, value_name = "MEMBER", group = "question")]
    pub why_not: Option<String>,
    /// Print paths that nobody owns, rules that match nothing, and faults of the policy
    #[arg(long, group = "question")]
    pub lint: bool,
    /// Print what would be read and which rules count, and stop
    #[arg(long, group = "question")]
    pub plan: bool,
    /// Take everyone when the base cannot be read
    #[arg(long)]
    pub or_all: bool,
}

/// Which members to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Set {
    /// Whose library, programs, tests, benches, examples or data differ
    #[default]
    Check,
    /// Whose library or programs differ
    Build,
}

impl From<Set> for Level {
    fn from(set: Set) -> Self {
        match set {
            Set::Check => Self::Check,
            Set::Build => Self::Build,
        }
    }
}

/// The forms of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One name a line
    #[default]
    Names,
    /// Everything, schema-versioned
    Json,
    /// Output lines for GitHub Actions, appended to $GITHUB_OUTPUT too when that is set
    Github,
    /// A GitHub Actions matrix
    Matrix,
    /// `-p a -p b`
    CargoArgs,
    /// A filterset for cargo-nextest
    Nextest,
    /// The affected part of the graph for Mermaid
    Mermaid,
    /// The affected part of the graph for Graphviz
    Dot,
}

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
    /// Check the change: run what has not passed yet, for the members that need it
    Gate(Gate),
    /// Build the shippable programs: static, reproducible, each stored once under its digest
    Build(Build),
    /// Print the members that a change touches, and why
    Affected(Affected),
}

/// `cargo xtask gate`.
#[derive(Debug, Default, Args)]
#[command(
    after_help = "Exit codes: 0 passed, or cached; 1 a check failed; 2 usage; 3 something a person must mend; 4 no step passed or \
was cached, and nothing explains it; 5 timed out; 130 interrupted."
)]
pub struct Gate {
    /// Check only these members, and compile only them; the steps of the workspace are left out
    #[arg(short, long = "package", value_name = "NAME")]
    pub package: Vec<String>,
    /// Run only the steps of the workspace: fmt, deny, advisories and the like
    #[arg(long, conflicts_with = "package")]
    pub workspace_steps: bool,
    /// Check only the members that are affected since this branch, tag or commit; `auto` as in `affected`
    #[arg(long, value_name = "REV")]
    pub base: Option<String>,
    /// Run only this step, for one member or all
    #[arg(long, value_name = "STEP[:MEMBER]")]
    pub only: Vec<String>,
    /// Leave this step out, for one member or all
    #[arg(long, value_name = "STEP[:MEMBER]")]
    pub skip: Vec<String>,
    /// Run everything anew, and compare with what was kept
    #[arg(long)]
    pub no_cache: bool,
    /// Go on when a step fails [default: in CI]
    #[arg(long)]
    pub keep_going: bool,
    /// Print every step, its members, its commands and why it runs, and stop
    #[arg(long, group = "question")]
    pub plan: bool,
    /// Print why a step runs or does not, and stop
    #[arg(long, value_name = "STEP[:MEMBER]", group = "question")]
    pub why: Option<String>,
    /// Install a hook that runs the gate before a push
    #[arg(long, group = "question")]
    pub install_hook: bool,
    /// Remove that hook
    #[arg(long, group = "question")]
    pub remove_hook: bool,
    /// The workspace to check [default: that of the current folder]
    #[arg(long, value_name = "PATH")]
    pub manifest_path: Option<PathBuf>,
    /// How many lanes of steps run side by side
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub lanes: u8,
    /// How many jobs run side by side [default: as many as there are cores and memory for]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// How to print the plan and the record
    #[arg(long, value_enum, default_value_t)]
    pub format: GateFormat,
    /// Whether to colour what is said
    #[arg(long, value_enum, default_value_t)]
    pub color: Colour,
    /// Say only what went wrong
    #[arg(short, long)]
    pub quiet: bool,
    /// Say commands and keys as well
    #[arg(short, long)]
    pub verbose: bool,
}

/// `cargo xtask build`.
#[derive(Debug, Default, Args)]
#[command(
    after_help = "Exit codes: 0 every program is in the store; 1 one is not; 2 usage; 3 something a person must mend; \
4 there was nothing to build, and nothing explains it; 5 timed out; 130 interrupted."
)]
pub struct Build {
    /// Build only the programs of these members
    #[arg(short, long = "package", value_name = "NAME")]
    pub package: Vec<String>,
    /// Build only these programs
    #[arg(long, value_name = "NAME")]
    pub bin: Vec<String>,
    /// Build only for these of policy's targets
    #[arg(long, value_name = "TRIPLE")]
    pub target: Vec<String>,
    /// The profile [default: policy's, else release]
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Build only the programs that are affected since this branch, tag or commit; `auto` as in `affected`
    #[arg(long, value_name = "REV")]
    pub affected: Option<String>,
    /// Start each program, in an emulator where this machine cannot
    #[arg(long)]
    pub smoke: bool,
    /// Build everything twice, in two folders and with two homes of cargo, and compare
    #[arg(long)]
    pub verify_reproducible: bool,
    /// Build what is in the store as well
    #[arg(long)]
    pub no_cache: bool,
    /// Merge the records of several machines into one, and their stores into this one
    #[arg(long, value_name = "RECORD", num_args = 1.., group = "question")]
    pub merge: Vec<PathBuf>,
    /// Print every program, what links it and why, its command and whether it is there, and stop
    #[arg(long, group = "question")]
    pub plan: bool,
    /// The workspace to build [default: that of the current folder]
    #[arg(long, value_name = "PATH")]
    pub manifest_path: Option<PathBuf>,
    /// How many jobs run side by side [default: as many as there are cores and memory for]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// How to print the record or the plan; `matrix` and `github` print the programs for a CI matrix, and build nothing
    #[arg(long, value_enum, default_value_t)]
    pub format: BuildFormat,
    /// Whether to colour what is said
    #[arg(long, value_enum, default_value_t)]
    pub color: Colour,
    /// Say only what went wrong
    #[arg(short, long)]
    pub quiet: bool,
    /// Say commands and keys as well
    #[arg(short, long)]
    pub verbose: bool,
}

/// The forms of the record of a build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum BuildFormat {
    /// For people, on stderr
    #[default]
    Text,
    /// That, and the record (or the plan) on stdout, schema-versioned
    Json,
    /// A GitHub Actions matrix of programs and targets
    Matrix,
    /// That as output lines, appended to $GITHUB_OUTPUT too when that is set
    Github,
}

/// The forms of a gate's record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GateFormat {
    /// For people, on stderr
    #[default]
    Text,
    /// That, and the record (or the plan) on stdout, schema-versioned
    Json,
    /// That, and annotations for GitHub Actions on stdout
    Github,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless the environment says otherwise
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
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

//! What a build is planned from: everything about the repository, the toolchain and the programs, read once.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use supercargo_artifact::digest::Digest;
use supercargo_plan::affected;
use supercargo_plan::facts::configuration::Configuration;
use supercargo_plan::facts::policy::{self, Policy};
use supercargo_plan::facts::workspace::{MemberName, Workspace};
use supercargo_plan::fingerprint::Side;
use supercargo_plan::graph::key;
use supercargo_plan::problem::Problem;
use supercargo_plan::programs::{Selection, profile, select, shipped};
use supercargo_plan::recipe::{Asked, CONFIGURATION, Draft, Facts};
use supercargo_plan::results::{self, Conditions};
use supercargo_plan::verbs::build::draft;

use super::machinery::{Machinery, cargo_home};
use super::{head_side, sides};
use crate::cli::Build as Arguments;
use crate::execute::program::folders;
use crate::execute::running::Places;
use crate::process;
use crate::read::git::on_disk;
use crate::read::place::Place;
use crate::read::request::Request;
use crate::read::{self, World, configuration, environment, machine, unlisted};

/// What is asked, and where.
pub struct Asking<'a> {
    /// The command line.
    pub arguments: &'a Arguments,
    /// Where it was typed.
    pub place: &'a Place,
    /// The base, as a revision.
    pub base: Option<String>,
}

/// What was found.
pub struct Survey<'a> {
    /// The repository.
    pub world: &'a World,
    /// What the plan is made from.
    pub facts: &'a Facts<'a>,
    /// The programs, and their keys.
    pub drafts: &'a [Draft<'a>],
    /// The workspace's root folder.
    pub root: &'a Path,
    /// Cargo's home.
    pub home: &'a Path,
    /// What stands for folders of this machine.
    pub places: &'a Places,
    /// What wraps the compiler.
    pub wrapper: Option<&'a str>,
    /// Variables that are set, that flags could be read from, and that no program sees.
    pub withheld: &'a [String],
}

impl Survey<'_> {
    /// Folders of this machine that are in no program.
    #[must_use]
    pub fn folders(&self) -> Vec<String> {
        let home = env::home_dir();
        folders(self.places.values().map(Path::new).chain([self.world.top()]).chain(home.as_deref()))
    }
}

/// The text of what makes programs: what other code made is made anew.
const CODE: [&str; 13] = [
    env!("CARGO_PKG_VERSION"),
    include_str!("../execute/freshness.rs"),
    include_str!("../execute/program.rs"),
    include_str!("../execute/running.rs"),
    include_str!("../read/closures.rs"),
    include_str!("../read/configuration.rs"),
    include_str!("../read/environment.rs"),
    include_str!("../read/toolchain.rs"),
    include_str!("../read/unlisted.rs"),
    include_str!("machinery.rs"),
    include_str!("programs.rs"),
    supercargo_artifact::PROOF,
    supercargo_plan::verbs::build::CODE,
];

/// Variables that cargo would read flags from.
const FLAGS: [&str; 3] = ["CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"];

/// Reads everything, and hands it to `then`. What was touched since `clock` has no name, and so no key.
///
/// # Errors
/// When something a person must mend is in the way.
pub fn survey<R>(
    asking: &Asking<'_>,
    clock: Option<SystemTime>,
    then: impl FnOnce(&Survey<'_>) -> Result<R, Problem>,
) -> Result<R, Problem> {
    let base = Ok(asking.base.as_deref().unwrap_or("HEAD"));
    let mut world = read::world(&Request { place: asking.place, base, head: None, target: None, or_all: false })?;
    clock.into_iter().for_each(|clock| world.forget_touched(clock));
    let world = &world;
    let workspace = &world.head.workspace;
    let (policy, mut faults) = policy::parse(workspace);
    faults.extend(policy.checks.unknown());
    policy::refuse(&faults, workspace)?;
    let secret = policy.shared.as_ref().and_then(|shared| shared.credentials.as_deref());
    secret.into_iter().for_each(process::withhold);
    // Without a slash at its end, which would be a part of every prefix.
    let root: PathBuf = on_disk(world.top(), &workspace.root).components().collect();
    let configuration = configuration(&root)?;
    let asked = asked(asking.arguments, workspace, (&policy, &configuration))?;
    let snapshot = world.snapshot(&world.head);
    let (affected, side) = compared(asking, world, &policy);
    let machinery = Machinery::read(snapshot, (&root, &world.target), (&policy, &configuration), &asked)?;
    let mut found = unlisted::read(snapshot, (world.top(), &world.target), &|_| false, clock)?;
    // What cargo understands of its configuration counts, and not how it is written.
    found.retain(|name, _| !name.ends_with(".cargo/config.toml") && !name.ends_with(".cargo/config"));
    found.insert(CONFIGURATION.to_owned(), machinery.configuration);
    let toolchain = &machinery.toolchain;
    let conditions = Conditions {
        code: Digest::of(CODE.concat().as_bytes()).to_string(),
        toolchain: toolchain.text.clone(),
        environment: environment::scrubbed(&policy.shipping.pass, secret),
        configuration: found,
    };
    let facts = Facts {
        snapshot,
        policy: &policy,
        asked: &asked,
        tools: &toolchain.tools,
        rustup: toolchain.tools.version("rustup").is_some(),
        commit: toolchain.says("commit-hash").filter(|commit| *commit != "unknown"),
        conditions: &conditions,
        side: &side,
        nameless: &results::nameless(snapshot, &side),
        closures: &machinery.closures,
        grounds: &machinery.grounds,
        overrides: configuration.overrides(),
        folders: &machinery.folders(),
        spaced: machinery.places.values().any(|path| path.contains(char::is_whitespace)),
        affected: affected.as_ref().map(|(base, members)| (*base, members)),
    };
    let drafts = draft(&facts);
    let set = |name: &&str| env::var_os(name).is_some() && !conditions.environment.passed.contains(*name);
    let withheld: Vec<String> = FLAGS.iter().filter(|name| set(name)).map(|name| (*name).to_owned()).collect();
    let (home, places) = (machinery.home.as_path(), &machinery.places);
    let wrapper = machinery.wrapper.as_deref();
    then(&Survey { world, wrapper, facts: &facts, drafts: &drafts, root: &root, home, places, withheld: &withheld })
}

/// Cargo's configuration of the workspace in `root`, where two builds of it can be of the same.
fn configuration(root: &Path) -> Result<Configuration, Problem> {
    if !root.join("Cargo.lock").is_file() {
        let what = "there is no Cargo.lock, so no two builds are of the same";
        return Err(Problem::mend(what, "cargo generate-lockfile"));
    }
    let configuration = configuration::read(root, &cargo_home()?)?;
    let Some(rustc) = configuration.rustc() else { return Ok(configuration) };
    let what = format!("cargo's configuration has {rustc} in rustc's place, and no record would say which one that is");
    Err(Problem::mend(what, "$EDITOR rust-toolchain.toml, and take `build.rustc` out of .cargo/config.toml"))
}

/// What is asked for.
fn asked(
    arguments: &Arguments,
    workspace: &Workspace,
    (policy, configuration): (&Policy, &Configuration),
) -> Result<Asked, Problem> {
    let shipping = &policy.shipping;
    let shipped = shipped(workspace, policy)?;
    let selection = Selection {
        packages: arguments.package.clone(),
        programs: arguments.bin.clone(),
        targets: arguments.target.clone(),
    };
    let (programs, targets) = select(&shipped, &shipping.targets, &selection)?;
    let asked = arguments.profile.as_deref().unwrap_or(&shipping.profile);
    let profile = profile(workspace, configuration.profiles(), asked)?.to_owned();
    let fitting = machine::jobs(machine::cores(), machine::memory(), shipping.memory_per_job);
    let jobs = arguments.jobs.map_or(fitting, usize::from);
    let (smoke, twice) = (arguments.smoke, arguments.verify_reproducible);
    Ok(Asked { programs, targets, profile, jobs, smoke, twice })
}

/// The later side; and with a base, the members whose programs differ from it.
fn compared<'a>(
    asking: &'a Asking<'_>,
    world: &'a World,
    policy: &'a Policy,
) -> (Option<(&'a str, BTreeSet<MemberName>)>, Side<'a>) {
    let Some(base) = &asking.base else { return (None, head_side(world, policy)) };
    let sides = sides(world, policy);
    let affected = sides.base.as_ref().map(|base| affected::compare(base, &sides.head));
    let members = world.head.workspace.members();
    let before = world.base.as_ref().ok().map(|base| policy::parse(&base.workspace).0.shipping);
    let ruled = before.is_none_or(|before| !before.makes_the_same_as(&policy.shipping));
    let members = members.filter(|member| ruled || affected.as_ref().is_none_or(|a| a.verdict(&key(member)).build));
    let members = members.map(|member| member.name.clone()).collect();
    (Some((base.as_str(), members)), sides.head)
}

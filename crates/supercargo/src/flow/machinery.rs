//! The machine that builds: toolchain, configuration, what is linked into what by which linker, and its folders.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use supercargo_artifact::digest::Digest;
use supercargo_plan::facts::Snapshot;
use supercargo_plan::facts::closure::{Closures, Wanted};
use supercargo_plan::facts::configuration::Configuration;
use supercargo_plan::facts::policy::Policy;
use supercargo_plan::facts::shipping::{Auditable, Linker};
use supercargo_plan::facts::workspace::MemberName;
use supercargo_plan::invocation::c_variables;
use supercargo_plan::linking::choose;
use supercargo_plan::plan::{CARGO_HOME_FOLDER, SYSROOT_FOLDER, TARGET_FOLDER, WORKSPACE_FOLDER, ZIG_FOLDER};
use supercargo_plan::problem::Problem;
use supercargo_plan::programs::{Program, ship};
use supercargo_plan::recipe::{Asked, Ground};

use crate::execute::running::Places;
use crate::read::cache::Cache;
use crate::read::closures::{self, Question};
use crate::read::toolchain::{self, Toolchain};
use crate::read::{configuration, environment, machine};

/// All that a build needs to know of the machine.
pub struct Machinery {
    /// The toolchain, and the linkers that are used.
    pub toolchain: Toolchain,
    /// Cargo's home.
    pub home: PathBuf,
    /// The digest of cargo's configuration.
    pub configuration: Digest,
    /// What wraps the compiler.
    pub wrapper: Option<String>,
    /// What is linked into the programs.
    pub closures: Closures,
    /// What is known of each target.
    pub grounds: BTreeMap<String, Ground>,
    /// What stands for folders.
    pub places: Places,
}

impl Machinery {
    /// Reads it for the workspace in `root`, whose target folder is `target`.
    ///
    /// # Errors
    /// When something a person must mend is in the way.
    pub fn read(
        snapshot: Snapshot<'_>,
        (root, target): (&Path, &Path),
        (policy, configuration): (&Policy, &Configuration),
        asked: &Asked,
    ) -> Result<Self, Problem> {
        let cache = Cache::below(target);
        let mut toolchain = tools(root, policy, &cache)?;
        let home = cargo_home()?;
        let digest = configuration.digest();
        let question = Question {
            root,
            wanted: &wanted(&asked.programs, policy),
            targets: &asked.targets,
            host: toolchain.says("host").unwrap_or_default(),
            toolchain: &toolchain.text,
            configuration: &digest,
        };
        let closures = closures::read(snapshot, &question, &cache)?;
        let grounds = grounds(asked, (configuration, &passed(policy)), (root, &toolchain), &cache);
        for linker in linkers(asked, policy, &grounds, &closures) {
            toolchain.ask_linker(root, &linker);
        }
        // Where nobody knows the toolchain's folder, nothing starts so.
        let sysroot = toolchain.sysroot.clone().unwrap_or_else(|| "/nowhere".into());
        let places = [
            (TARGET_FOLDER, target),
            (WORKSPACE_FOLDER, root),
            (CARGO_HOME_FOLDER, home.as_path()),
            (SYSROOT_FOLDER, sysroot.as_path()),
        ];
        let zig = toolchain.zig.as_ref().map(|zig| (ZIG_FOLDER, zig.as_path()));
        let places = places.into_iter().chain(zig).map(|(name, path)| (name, path.display().to_string())).collect();
        let wrappers = ["RUSTC_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER"];
        let wrappers = wrappers.iter().filter_map(|name| Some(((*name).to_owned(), env::var(name).ok()?))).collect();
        let wrapper = configuration.rustc_wrapper(&wrappers);
        Ok(Self { wrapper, toolchain, home, configuration: digest, closures, grounds, places })
    }

    /// What stands for folders, those that lie in others after them.
    #[must_use]
    pub fn folders(&self) -> Vec<&'static str> {
        let mut folders: Vec<&'static str> = self.places.keys().copied().collect();
        folders.sort_by_key(|name| (self.places[name].matches('/').count(), *name));
        folders
    }
}

/// The toolchain, and the tools that a build may need.
fn tools(root: &Path, policy: &Policy, cache: &Cache) -> Result<Toolchain, Problem> {
    let mut wanted = vec!["rustup"];
    if policy.shipping.auditable != Auditable::Never {
        wanted.push("cargo-auditable");
    }
    toolchain::read(root, &wanted, &[], cache)
}

/// The folder that cargo keeps sources and configuration in.
///
/// # Errors
/// When nobody can tell.
pub fn cargo_home() -> Result<PathBuf, Problem> {
    let named = env::var_os("CARGO_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let home = named.or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    let home = home.ok_or_else(|| Problem::mend("cargo has no home here", "export CARGO_HOME=$PWD/.cargo-home"))?;
    // A compiler that starts in a folder behind a link is told the real one: both would be in programs. Cargo makes it.
    fs::create_dir_all(&home).ok();
    let real = home.canonicalize().or_else(|_| std::path::absolute(&home));
    real.map_err(|error| Problem::mend(format!("cargo's home: {error}"), "cd into the workspace"))
}

/// The members whose programs are built, with the features that policy says.
fn wanted(programs: &[Program], policy: &Policy) -> Vec<Wanted> {
    let members: BTreeSet<&MemberName> = programs.iter().map(|program| &program.package).collect();
    let wanted = members.into_iter().map(|member| {
        let ship = ship(policy, member);
        Wanted { member: member.clone(), features: ship.features, default_features: ship.default_features }
    });
    wanted.collect()
}

/// The variables that policy passes, as text.
fn passed(policy: &Policy) -> BTreeMap<String, String> {
    let environment = environment::scrubbed(&policy.shipping.pass, None);
    let variables = environment.counted.keys().filter_map(|name| Some((name.clone(), env::var(name).ok()?)));
    variables.collect()
}

/// What is known of each target; `variables` are those that policy passes.
fn grounds(
    asked: &Asked,
    (configuration, variables): (&Configuration, &BTreeMap<String, String>),
    (root, toolchain): (&Path, &Toolchain),
    cache: &Cache,
) -> BTreeMap<String, Ground> {
    let ground = |target: &String| {
        let conditions = |flags: &[String]| {
            configuration::conditions(configuration, (root, &toolchain.text), (target, flags), cache)
        };
        // As cargo does: flags may depend on conditions, which depend on the flags that there are without any.
        let plain = configuration.rustflags(target, None, variables);
        let asked = conditions(&plain);
        let flags = configuration.rustflags(target, asked.as_ref(), variables);
        let conditions = if flags == plain { asked } else { conditions(&flags) };
        let c_flags = c_variables(target).map(|name| {
            let value = variables.get(&name).map(String::as_str).or_else(|| configuration.variable(&name));
            value.map(str::to_owned).map(|value| (name, value))
        });
        Ground {
            c_flags: c_flags.into_iter().flatten().collect(),
            missing: toolchain.lacks(target),
            flags,
            linker: configuration.linker(target, conditions.as_ref(), variables).map(|linker| within(root, linker)),
            emulator: machine::emulator(target),
        }
    };
    asked.targets.iter().map(|target| (target.clone(), ground(target))).collect()
}

/// A program of the workspace by a name that is the same in every clone.
fn within(root: &Path, program: String) -> String {
    let below = Path::new(&program).strip_prefix(root).ok().map(Path::display);
    below.map_or_else(|| program.clone(), |below| format!("{WORKSPACE_FOLDER}/{below}"))
}

/// Every linker that links a program.
fn linkers(
    asked: &Asked,
    policy: &Policy,
    grounds: &BTreeMap<String, Ground>,
    closures: &Closures,
) -> BTreeSet<Linker> {
    let mut linkers = BTreeSet::new();
    for target in &asked.targets {
        let configured = grounds.get(target).and_then(|ground| ground.linker.as_deref());
        for program in &asked.programs {
            let closure = closures.of(&program.package, target);
            let fixed = policy.shipping.linkers.get(target);
            linkers.extend(closure.map(|closure| choose(target, fixed, configured, closure).linker));
        }
    }
    linkers
}

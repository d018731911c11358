//! How a program is built: the command, its variables and flags, with names in place of the machine's folders.

use std::collections::BTreeMap;

use crate::catalog::cargo_spec;
use crate::facts::shipping::{Auditable, Linker};
use crate::plan::{CARGO_HOME_FOLDER, Command, SYSROOT_FOLDER, TARGET_FOLDER, ZIG_FOLDER};
use crate::recipe::{Draft, Facts};

/// How a flag begins that takes a folder out of paths.
const REMAP: &str = "--remap-path-prefix=";

/// What programs have in place of the folders of cargo, of the toolchain, of what is built, of the
/// workspace and of zig.
pub const REMAPPED: [&str; 5] = ["/cargo", "/rust", "/target", "/workspace", "/zig"];

/// What cargo-auditable says of its version, where programs are built with it.
#[must_use]
pub fn auditable<'a>(facts: &Facts<'a>) -> Option<&'a str> {
    match facts.policy.shipping.auditable {
        Auditable::Never => None,
        Auditable::IfInstalled => facts.tools.version("cargo-auditable"),
        Auditable::Always => Some(facts.tools.version("cargo-auditable").unwrap_or("missing")),
    }
}

/// The command that builds a program.
#[must_use]
pub fn command(facts: &Facts<'_>, draft: &Draft<'_>, jobs: bool) -> Command {
    let mut command = vec!["cargo"];
    command.extend(auditable(facts).map(|_| "auditable"));
    command.push(if draft.choice.linker.is_zig() { "zigbuild" } else { "build" });
    let spec = cargo_spec(facts.snapshot.workspace, facts.snapshot.lock, &draft.program.package);
    let features = draft.ship.features.join(",");
    command.extend(["--locked", "--package", &spec, "--bin", &draft.program.name, "--target", draft.target]);
    command.extend(["--profile", &facts.asked.profile]);
    if !draft.ship.default_features {
        command.push("--no-default-features");
    }
    if !features.is_empty() {
        command.extend(["--features", &features]);
    }
    let count = facts.asked.jobs.to_string();
    if jobs {
        command.extend(["--jobs", &count]);
    }
    command.extend(["--message-format", "json"]);
    command.into_iter().map(str::to_owned).collect()
}

/// The variables that say how a program is built, without any that says where.
#[must_use]
pub fn settings(facts: &Facts<'_>, draft: &Draft<'_>) -> Vec<(String, String)> {
    let shipping = &facts.policy.shipping;
    let upper = |name: &str| name.to_uppercase().replace(['-', '.'], "_");
    let mut settings = vec![
        ("CARGO_INCREMENTAL".to_owned(), "0".to_owned()),
        ("SOURCE_DATE_EPOCH".to_owned(), shipping.epoch.to_string()),
    ];
    let linker = match &draft.choice.linker {
        Linker::RustLld | Linker::ZigAndRustLld => Some("rust-lld"),
        Linker::Zig => None,
        Linker::Program(program) => Some(program.as_str()),
    };
    settings.extend(linker.map(|linker| (format!("CARGO_TARGET_{}_LINKER", upper(draft.target)), linker.to_owned())));
    if shipping.tuned {
        let profile = upper(&facts.asked.profile);
        for (key, value) in [("STRIP", "symbols"), ("LTO", "thin"), ("CODEGEN_UNITS", "1")] {
            settings.push((format!("CARGO_PROFILE_{profile}_{key}"), value.to_owned()));
        }
    }
    settings
}

/// The flags: those of cargo's configuration, then what takes the machine's own folders out of paths. The last prefix
/// that fits counts.
#[must_use]
pub fn flags(facts: &Facts<'_>, target: &str) -> Vec<String> {
    let mut flags = facts.grounds.get(target).map(|ground| ground.flags.clone()).unwrap_or_default();
    flags.extend(prefixes(facts).into_iter().map(|(from, to)| format!("{REMAP}{from}={to}")));
    flags
}

/// The flags in the order that they are told in, which hangs on no machine: how deep its folders lie decides in which order
/// rustc gets their prefixes.
#[must_use]
pub fn told(mut flags: Vec<String>) -> Vec<String> {
    let own = flags.iter().position(|flag| flag.starts_with(REMAP)).unwrap_or(flags.len());
    flags[own..].sort();
    flags
}

/// What stands for folders of the machine, and what programs have in their place. Of several that fit, the last one
/// counts: what lies in another folder comes after it.
fn prefixes(facts: &Facts<'_>) -> Vec<(String, String)> {
    let mut prefixes: Vec<(String, String)> = Vec::new();
    for folder in facts.folders {
        let mut add = |from: String, to: &str| prefixes.push((from, to.to_owned()));
        match *folder {
            CARGO_HOME_FOLDER => {
                add((*folder).to_owned(), REMAPPED[0]);
                for registry in &facts.closures.registries {
                    // The folder's name depends on where a machine has the registry from.
                    add(format!("{folder}/registry/src/{registry}"), "/cargo/registry");
                }
            }
            SYSROOT_FOLDER => {
                add((*folder).to_owned(), REMAPPED[1]);
                if let Some(commit) = facts.commit {
                    // Where the library's sources are installed, rustc names them there.
                    add(format!("{folder}/lib/rustlib/src/rust"), &format!("/rustc/{commit}"));
                }
            }
            TARGET_FOLDER => add((*folder).to_owned(), REMAPPED[2]),
            ZIG_FOLDER => add((*folder).to_owned(), REMAPPED[4]),
            _ => add((*folder).to_owned(), REMAPPED[3]),
        }
    }
    for (from, to) in &facts.closures.elsewhere {
        prefixes.push((from.clone(), format!("/cargo/registry/{to}")));
    }
    prefixes
}

/// The variables with the flags for C and C++.
#[must_use]
pub fn c_variables(target: &str) -> [String; 2] {
    ["CFLAGS", "CXXFLAGS"].map(|name| format!("{name}_{}", target.replace('-', "_")))
}

/// Flags by which compilers of C do the same: the variable and its value.
fn c_flags(facts: &Facts<'_>, target: &str) -> Vec<(String, String)> {
    let quote = if facts.spaced { "'" } else { "" };
    let flag = |(from, to): (String, String)| format!("{quote}-ffile-prefix-map={from}={to}{quote}");
    let flags = prefixes(facts).into_iter().map(flag).collect::<Vec<_>>().join(" ");
    let own = facts.grounds.get(target).map(|ground| ground.c_flags.clone()).unwrap_or_default();
    let both = |name: String| {
        let flags = own.get(&name).map_or_else(|| flags.clone(), |own| format!("{own} {flags}"));
        (name, flags)
    };
    let mut variables: Vec<(String, String)> = c_variables(target).map(both).into();
    if facts.spaced {
        variables.push(("CC_SHELL_ESCAPED_FLAGS".to_owned(), "1".to_owned()));
    }
    variables
}

/// All variables of a program's build.
#[must_use]
pub fn environment(facts: &Facts<'_>, draft: &Draft<'_>) -> BTreeMap<String, String> {
    let mut environment: BTreeMap<String, String> = settings(facts, draft).into_iter().collect();
    // What is between lies there too, whatever the configuration says: its folder is in programs, and is remapped.
    for name in ["CARGO_TARGET_DIR", "CARGO_BUILD_BUILD_DIR"] {
        environment.insert(name.to_owned(), format!("{TARGET_FOLDER}/xtask/cargo"));
    }
    // Set otherwise, flags would put those of the configuration out of force.
    environment.insert("CARGO_ENCODED_RUSTFLAGS".to_owned(), flags(facts, draft.target).join("\u{1f}"));
    if draft.choice.linker != Linker::RustLld {
        environment.extend(c_flags(facts, draft.target));
    }
    environment
}

//! Prints the workspace members that guppy's determinator takes for affected, one a line, sorted.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io, str};

use anyhow::{Context as _, bail};
use determinator::Determinator;
use guppy::CargoMetadata;
use guppy::graph::cargo::{CargoOptions, CargoResolverVersion};
use guppy::graph::{DependencyDirection, PackageGraph};
use guppy::platform::PlatformSpec;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [base, head, paths] = arguments.as_slice() else {
        bail!("usage: compare-determinator BASE.json HEAD.json PATHS, where paths are parted by NUL");
    };
    let (base, head) = (graph(base)?, graph(head)?);
    let paths = fs::read(paths).with_context(|| paths.display().to_string())?;
    let mut changed = Vec::new();
    for path in paths.split(|byte| *byte == 0).filter(|path| !path.is_empty()) {
        match str::from_utf8(path) {
            Ok(path) => changed.push(path),
            // The determinator's own type for paths is UTF-8.
            Err(_) => writeln!(io::stderr(), "note: left out, not UTF-8: {}", String::from_utf8_lossy(path))?,
        }
    }
    let mut options = CargoOptions::new();
    // Resolvers 2 and 3 decide features alike, and no workspace of edition 2021 or later has resolver 1.
    options.set_resolver(CargoResolverVersion::V2).set_platform(PlatformSpec::Any).set_include_dev(true);
    let mut determinator = Determinator::new(&base, &head);
    determinator.set_cargo_options(&options).add_changed_paths(changed);
    let affected = determinator.compute().affected_set;
    let mut names: Vec<&str> = affected.packages(DependencyDirection::Forward).map(|package| package.name()).collect();
    names.sort_unstable();
    let mut out = io::stdout().lock();
    for name in names {
        writeln!(out, "{name}")?;
    }
    Ok(())
}

/// The package graph of `cargo metadata`'s answer in the file `path`.
fn graph(path: &Path) -> anyhow::Result<PackageGraph> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let metadata = CargoMetadata::parse_json(text).with_context(|| path.display().to_string())?;
    metadata.build_graph().with_context(|| path.display().to_string())
}

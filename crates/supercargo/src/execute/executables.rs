//! Tests without cargo-nextest: each executable in its package's folder, with what cargo would give it.

use std::cell::RefCell;
use std::ffi::OsString;
use std::path::PathBuf;

use supercargo_plan::facts::tools::cargo::{Executable, Messages};
use supercargo_plan::facts::tools::libtest::{Output, Section, listed};
use supercargo_plan::facts::workspace::Package;
use supercargo_plan::plan::Command;
use supercargo_plan::verdicts::{End, ExecutableRun, tail};

use super::running::Running;

/// Runs the executables of the members that need it.
#[must_use]
pub fn run(running: &Running<'_>, messages: &Messages, arguments: &Command) -> Vec<ExecutableRun> {
    let libraries = libraries(running, messages);
    let wanted = |executable: &&Executable| running.case.running.contains(&Some(executable.member.clone()));
    let runs = messages.executables.iter().filter(wanted);
    runs.filter_map(|executable| {
        let members = running.case.ground.workspace.members();
        let package = members.into_iter().find(|package| package.name == executable.member)?;
        Some(one(running, messages, executable, package, &libraries, arguments))
    })
    .collect()
}

fn one(
    running: &Running<'_>,
    messages: &Messages,
    executable: &Executable,
    package: &Package,
    libraries: &str,
    arguments: &Command,
) -> ExecutableRun {
    let folder = PathBuf::from(running.case.ground.top).join(package.folder.to_string());
    let mut variables = vec![
        ("CARGO".to_owned(), running.work.cargo.to_string_lossy().into_owned()),
        ("CARGO_MANIFEST_DIR".to_owned(), folder.display().to_string()),
        ("CARGO_MANIFEST_PATH".to_owned(), folder.join("Cargo.toml").display().to_string()),
        ("CARGO_PKG_NAME".to_owned(), package.name.to_string()),
        ("CARGO_PKG_VERSION".to_owned(), package.version.clone()),
        ("CARGO_PKG_RUST_VERSION".to_owned(), package.rust_version.clone().unwrap_or_default()),
        ("LD_LIBRARY_PATH".to_owned(), libraries.to_owned()),
    ];
    variables.extend(running.test_threads("RUST_TEST_THREADS"));
    let version = package.version.split(['.', '-', '+']);
    for (part, number) in ["MAJOR", "MINOR", "PATCH"].into_iter().zip(version) {
        variables.push((format!("CARGO_PKG_VERSION_{part}"), number.to_owned()));
    }
    if let Some(script) = messages.scripts.get(&executable.package) {
        variables.push(("OUT_DIR".to_owned(), script.out_dir.clone()));
        variables.extend(script.env.iter().cloned());
    }
    let call = |arguments: &[&str]| {
        let words: Vec<OsString> =
            [executable.path.as_str()].into_iter().chain(arguments.iter().copied()).map(OsString::from).collect();
        running.call_in(&folder, &words, &variables)
    };
    let text = RefCell::new(String::new());
    let collect = |line: &[u8]| {
        let mut text = text.borrow_mut();
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
        if text.len() > 1024 * 1024 {
            let from = text.ceil_char_boundary(text.len() - 512 * 1024);
            text.drain(..from);
        }
    };
    // A harness of its own may take `--list` for a run, and says what it likes; that of the standard library lists.
    let listing = running.process(call(&["--list"]), true, &mut |_, line| collect(line));
    let count = listed(&text.borrow());
    if !listing.is_good() && !matches!(listing, End::Exited(_)) {
        let (member, target) = (executable.member.clone(), executable.target.clone());
        let tail = tail(&text.borrow());
        return ExecutableRun { member, target, listed: count, end: listing, section: Section::default(), tail };
    }
    let mut output = Output::default();
    text.borrow_mut().clear();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let end = running.process(call(&words), true, &mut |_, line| {
        output.read(&String::from_utf8_lossy(line));
        collect(line);
    });
    let tail = tail(&text.borrow());
    let (member, target) = (executable.member.clone(), executable.target.clone());
    ExecutableRun { member, target, listed: count, end, section: output.sum(), tail }
}

/// Where the executables find the libraries that they are linked with when they start.
fn libraries(running: &Running<'_>, messages: &Messages) -> String {
    let mut folders: Vec<String> = messages
        .scripts
        .values()
        .flat_map(|script| &script.linked_paths)
        .map(|path| path.split_once('=').map_or(path.as_str(), |(_, path)| path).to_owned())
        .collect();
    for executable in &messages.executables {
        // `deps`, and the folder above it.
        let path = PathBuf::from(&executable.path);
        folders.extend(path.ancestors().skip(1).take(2).map(|folder| folder.display().to_string()));
    }
    folders.extend(running.work.libraries.clone());
    folders.sort();
    folders.dedup();
    folders.join(":")
}

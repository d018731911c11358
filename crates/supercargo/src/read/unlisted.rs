//! Files that no tree of the repository holds and that its sources name all the same: ignored by git, or out of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use supercargo_artifact::digest::{Digest, Hasher};
use supercargo_plan::facts::Snapshot;
use supercargo_plan::facts::path::RepoPath;
use supercargo_plan::facts::source::{Literal, Usage};
use supercargo_plan::facts::tree::Mode;
use supercargo_plan::problem::Problem;
use walkdir::WalkDir;

use super::git::{Git, on_disk};

/// Folders of ignored files that hold other languages' packages, and no source of ours.
const FOREIGN: [&str; 5] = ["node_modules", ".venv", "venv", "__pycache__", ".git"];

/// Most files of one folder that are looked at.
const MOST: usize = 20_000;

/// Bytes up to which a file counts by its content, and beyond by its size and times.
const LONGEST: u64 = 4 * 1024 * 1024;

/// Where the system tells of its own state, which is never the same twice.
const STATE: [&str; 3] = ["/proc", "/sys", "/dev"];

/// What is found, by a name without absolute path: its digest.
type Found = BTreeMap<String, Digest>;

/// The digests of files that count although the repository does not hold them. `wanted` are those that policy names; the
/// target folder is left out.
///
/// # Errors
/// When git fails.
pub fn read(
    snapshot: Snapshot<'_>,
    (top, target): (&Path, &Path),
    wanted: &dyn Fn(&RepoPath) -> bool,
    clock: Option<SystemTime>,
) -> Result<Found, Problem> {
    let mut found = Found::new();
    let literals = literals(snapshot);
    ignored(&mut found, &literals, (top, target), wanted, clock)?;
    beyond(&mut found, &literals, (snapshot, top), clock);
    let real = top.canonicalize().unwrap_or_else(|_| top.to_owned());
    for (path, _) in snapshot.tree.iter().filter(|(_, entry)| entry.mode == Mode::Link) {
        let target = on_disk(top, path).canonicalize();
        if let Some(target) = target.ok().filter(|target| !target.starts_with(&real) && !is_state(target)) {
            found.insert(format!("behind {path}"), content(&target, clock));
        }
    }
    Ok(found)
}

/// The literals of the sources, each with the source that it stands in.
fn literals(snapshot: Snapshot<'_>) -> Vec<(&RepoPath, &Literal)> {
    let sources = snapshot.tree.iter().filter_map(|(path, entry)| Some((path, snapshot.sources.get(&entry.id)?)));
    sources.flat_map(|(path, source)| source.literals.iter().map(move |literal| (path, literal))).collect()
}

/// Files that git ignores: sources, settings, and whatever has a name, or lies in a folder, that a source spells.
fn ignored(
    found: &mut Found,
    literals: &[(&RepoPath, &Literal)],
    (top, target): (&Path, &Path),
    wanted: &dyn Fn(&RepoPath) -> bool,
    clock: Option<SystemTime>,
) -> Result<(), Problem> {
    let listed = Git::new(top).ignored()?;
    let target = target.canonicalize().unwrap_or_else(|_| target.to_owned());
    let words: BTreeSet<&[u8]> = literals
        .iter()
        .filter_map(|(_, literal)| literal.text.as_bytes().rsplit(|byte| *byte == b'/').next())
        .collect();
    let mut add = |path: &Path| {
        let below = RepoPath::new(path.strip_prefix(top).unwrap_or(path).as_os_str().as_bytes());
        let name = below.name();
        let read = [&b".rs"[..], b".toml", b".proto"].iter().any(|ending| name.ends_with(ending));
        let spelled = || below.as_bytes().split(|byte| *byte == b'/').any(|part| words.contains(part));
        if read || name.starts_with(b".env") || spelled() || wanted(&below) {
            found.insert(format!("ignored {below}"), content(path, clock));
        }
    };
    for path in listed.split(|byte| *byte == 0).filter(|path| !path.is_empty()) {
        let (path, is_folder) = path.strip_suffix(b"/").map_or((path, false), |path| (path, true));
        let path = on_disk(top, &RepoPath::new(path));
        if path.starts_with(&target) {
            continue;
        }
        if is_folder {
            files(&path, &|folder| folder != target && !is_cache(folder)).iter().for_each(|path| add(path));
        } else {
            add(&path);
        }
    }
    Ok(())
}

/// Paths out of the repository that sources name: what they include or watch, and files that they spell out.
fn beyond(
    found: &mut Found,
    literals: &[(&RepoPath, &Literal)],
    (snapshot, top): (Snapshot<'_>, &Path),
    clock: Option<SystemTime>,
) {
    let names_one = |literal: &Literal| literal.text.starts_with('/') || literal.text.contains("..");
    for (source, literal) in literals.iter().filter(|(_, literal)| names_one(literal)) {
        let around = snapshot.workspace.packages.iter().filter(|package| source.below(&package.folder).is_some());
        let package = around.max_by_key(|package| package.folder.as_bytes().len()).map(|package| &package.folder);
        let starts = [Some(source.parent()), package.cloned(), Some(snapshot.workspace.root.clone())];
        let is_read = matches!(literal.usage, Usage::Include | Usage::Rerun);
        // After a variable, such as the package's folder, the rest tells where it leads.
        let text = literal.text.rsplit('}').next().unwrap_or_default();
        let text = if text.len() < literal.text.len() { text.trim_start_matches('/') } else { text };
        for (n, start) in starts.into_iter().enumerate().filter_map(|(n, start)| Some((n, start?))) {
            let path = flat(&on_disk(top, &start).join(text));
            let counts = fs::metadata(&path).is_ok_and(|file| file.is_file() || (is_read && file.is_dir()));
            if counts && !path.starts_with(top) && !is_state(&path) {
                found.insert(format!("named {} in {source} ({n})", literal.text), content(&path, clock));
            }
        }
    }
}

/// Whether who made a folder marks it as one that can be made anew, as cargo does with every target folder, also one that
/// is in use no more (<https://bford.info/cachedir/>).
fn is_cache(folder: &Path) -> bool {
    folder.join("CACHEDIR.TAG").is_file()
}

fn is_state(path: &Path) -> bool {
    STATE.iter().any(|state| path.starts_with(state))
}

/// A path without `..`, as far as words tell.
fn flat(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut flat, component| {
        match component {
            Component::ParentDir => _ = flat.pop(),
            Component::CurDir => {}
            component => flat.push(component),
        }
        flat
    })
}

/// The files below a folder, in order.
fn files(folder: &Path, enter: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let foreign = |name: &OsStr| FOREIGN.iter().any(|foreign| name == *foreign);
    let walk = WalkDir::new(folder).sort_by_file_name().into_iter();
    let walk = walk.filter_entry(|entry| !foreign(entry.file_name()) && enter(entry.path())).filter_map(Result::ok);
    // More than that are not sources that a person named.
    walk.filter(|entry| !entry.file_type().is_dir()).take(MOST).map(walkdir::DirEntry::into_path).collect()
}

/// The digest of a file, or of a folder's files with their names. What was touched since `clock` is like nothing else.
#[must_use]
pub fn content(path: &Path, clock: Option<SystemTime>) -> Digest {
    let mut digest = Hasher::new("supercargo unlisted 1");
    let found = if path.is_dir() { files(path, &|_| true) } else { vec![path.to_owned()] };
    for file in found {
        digest.field(file.strip_prefix(path).unwrap_or(&file).as_os_str().as_bytes());
        let Ok(known) = fs::metadata(&file) else { continue };
        let (seconds, nanos) =
            (u64::try_from(known.ctime()).unwrap_or(0), u32::try_from(known.ctime_nsec()).unwrap_or(0));
        // A file's time lags behind the clock by a tick of the kernel's.
        let changed = UNIX_EPOCH + Duration::new(seconds, nanos) + Duration::from_millis(10);
        if clock.is_some_and(|clock| changed >= clock) {
            digest.field(b"touched");
        }
        if !known.is_file() || known.len() > LONGEST {
            // Neither a pipe nor a device has an end that could be waited for.
            let times =
                [known.len().cast_signed(), known.mtime(), known.mtime_nsec(), known.ctime(), known.ctime_nsec()];
            digest.field(format!("{times:?}").as_bytes());
        } else {
            digest.field(&fs::read(&file).unwrap_or_default());
        }
    }
    digest.finish()
}

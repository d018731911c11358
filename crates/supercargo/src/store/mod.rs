//! What is kept below the target folder: entries in files that are whole or as good as not there.

mod blobs;
mod envelope;
mod keyed;
mod programs;
mod remote;
mod results;
#[cfg(test)]
mod servers;
mod sharing;
mod transfer;

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use supercargo_artifact::digest::Digest;

pub use blobs::Blobs;
pub use programs::Programs;
pub use remote::Remote;
pub use results::Results;

/// How long an entry is kept that nobody stores or uses anew.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How often it is written down that an entry is used.
const NOTED_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long what is half written may still be somebody's work.
const HALF_WRITTEN_FOR: Duration = Duration::from_secs(60 * 60);

/// Writes an entry: the digest of `text`, then that.
///
/// # Errors
/// When the disk does not take it. The entry that was there before stays whole.
pub fn write_entry(path: &Path, text: &[u8]) -> io::Result<()> {
    write_bytes(path, &entry(text), None)
}

/// The bytes of an entry that holds `text`.
fn entry(text: &[u8]) -> Vec<u8> {
    let mut bytes = Digest::of(text).to_string().into_bytes();
    bytes.extend_from_slice(text);
    bytes
}

/// Writes a file that is whole or as good as not there.
///
/// # Errors
/// When the disk does not take it. The file that was there before stays whole.
pub fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_bytes(path, bytes, None)
}

/// Writes a file that is whole or as good as not there; `made` is its time, where that is not now.
fn write_bytes(path: &Path, bytes: &[u8], made: Option<SystemTime>) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new();
    // As any other file: others may read it, unless this person's mask says otherwise.
    let mut file = file.permissions(Permissions::from_mode(0o666)).prefix(".").suffix(".tmp").tempfile_in(folder)?;
    file.write_all(bytes)?;
    made.map_or(Ok(()), |made| file.as_file().set_modified(made))?;
    file.persist(path)?;
    Ok(())
}

/// What an entry holds; none where it is torn or foreign.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn read_entry(path: &Path) -> io::Result<Option<Vec<u8>>> {
    Ok(open_entry(fs::read(path)?))
}

/// What the bytes of an entry hold; none where they are torn or foreign.
fn open_entry(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let whole =
        bytes.split_at_checked(64).is_some_and(|(digest, text)| Digest::of(text).to_string().as_bytes() == digest);
    whole.then(|| bytes.split_off(64))
}

/// Writes down that a file is used. Where that fails, it is removed too early, and made anew.
fn used(path: &Path) {
    let Ok(file) = File::open(path) else { return };
    let time = file.metadata().and_then(|known| known.modified());
    if time.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > NOTED_EVERY)) {
        file.set_modified(SystemTime::now()).ok();
    }
}

/// Removes files of `folder` that are too old to be of use and that `keep` does not name, and what killed runs left half
/// written.
fn prune(folder: &Path, keep: impl Fn(&str) -> bool) {
    for file in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(known) = file.metadata() else { continue };
        let age = known.modified().ok().and_then(|time| time.elapsed().ok()).unwrap_or_default();
        let name = file.file_name();
        let name = name.to_string_lossy();
        let torn = name.ends_with(".tmp");
        if age > if torn { HALF_WRITTEN_FOR } else { KEPT_FOR } && (torn || !keep(&name)) {
            if known.is_dir() { fs::remove_dir_all(file.path()) } else { fs::remove_file(file.path()) }.ok();
        }
    }
}

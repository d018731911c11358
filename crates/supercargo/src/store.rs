//! What is kept below the target folder: entries in files that are whole or as good as not there.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;
use supercargo_artifact::digest::{Digest, Hasher};
use supercargo_plan::plan::{StepId, Subject};
use supercargo_plan::results::{self, Kept, Parts};

/// How long a result is kept that nobody stores anew.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A file's time may lie this far ahead, as on a network's disk; further ahead, it tells nothing.
const AHEAD: Duration = Duration::from_secs(60);

/// The bytes of an entry: the digest of what follows, then that.
///
/// # Errors
/// When the disk does not take it. The entry that was there before stays whole.
pub fn write_entry(path: &Path, text: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".").suffix(".tmp").tempfile_in(folder)?;
    write!(file, "{}", Digest::of(text))?;
    file.write_all(text)?;
    file.persist(path)?;
    Ok(())
}

/// What an entry holds; none where it is torn or foreign.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn read_entry(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = fs::read(path)?;
    let whole =
        bytes.split_at_checked(64).is_some_and(|(digest, text)| Digest::of(text).to_string().as_bytes() == digest);
    Ok(whole.then(|| bytes.split_off(64)))
}

/// The results of steps, below the target folder.
pub struct Results {
    folder: PathBuf,
    /// Entries that could not be understood.
    foreign: Mutex<BTreeSet<PathBuf>>,
    /// Why nothing can be kept.
    trouble: Mutex<Option<String>>,
}

impl Results {
    /// The results below the target folder `target`.
    #[must_use]
    pub fn below(target: &Path) -> Self {
        let folder = target.join("xtask").join("results");
        Self { folder, foreign: Mutex::default(), trouble: Mutex::default() }
    }

    fn read<T: DeserializeOwned>(&self, path: &Path) -> Option<T> {
        let read = read_entry(path);
        let entry = match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            read => read.ok().flatten().and_then(|text| serde_json::from_slice(&text).ok()),
        };
        if entry.is_none() {
            self.foreign.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
        }
        entry
    }

    /// The result under `key`, and its age in seconds.
    #[must_use]
    pub fn kept(&self, key: &Digest) -> Option<(Kept, u64)> {
        let path = self.folder.join(key.to_string());
        let kept = self.read(&path)?;
        let written = fs::metadata(&path).and_then(|file| file.modified()).ok()?;
        match SystemTime::now().duration_since(written) {
            Ok(age) => Some((kept, age.as_secs())),
            Err(ahead) => (ahead.duration() < AHEAD).then_some((kept, 0)),
        }
    }

    /// The parts of the key of the last good result of a subject.
    #[must_use]
    pub fn last(&self, step: &StepId, member: &Subject) -> Option<Parts> {
        self.read(&self.path_of_last(step, member))
    }

    fn path_of_last(&self, step: &StepId, member: &Subject) -> PathBuf {
        let mut name = Hasher::new("supercargo last 1");
        name.field(step.as_str().as_bytes()).field(member.as_ref().map_or("", |m| m.as_str()).as_bytes());
        self.folder.join(format!("last-{}", name.finish()))
    }

    /// Keeps a result under the key made of `parts`.
    pub fn keep(&self, kept: &Kept, parts: &Parts) {
        let key = self.folder.join(results::key(parts).to_string());
        let last = self.path_of_last(&kept.step, &kept.member);
        let done = json(kept).and_then(|text| write_entry(&key, &text));
        let done = done.and_then(|()| write_entry(&last, &json(parts)?));
        if let Err(error) = done {
            *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        }
    }

    /// Forgets the result under `key`: it was wrong.
    pub fn forget(&self, key: &str) {
        fs::remove_file(self.folder.join(key)).ok();
    }

    /// What a person should know: once, however often it happened.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let foreign = self.foreign.lock().unwrap_or_else(PoisonError::into_inner).len();
        let ignored = (foreign > 0)
            .then(|| format!("{foreign} files in the cache of results are torn or not ours: ignored, and run anew"));
        let unkept = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take();
        let unkept = unkept.map(|why| {
            format!("results cannot be kept, so the next run repeats them: {why}; rm -r target/xtask/results")
        });
        ignored.into_iter().chain(unkept).collect()
    }

    /// Removes what is too old to be of use, and what killed runs left half written.
    pub fn prune(&self) {
        let old = |file: &fs::DirEntry| {
            let age = file.metadata().and_then(|file| file.modified()).ok().and_then(|time| time.elapsed().ok());
            let torn = file.file_name().to_string_lossy().ends_with(".tmp");
            age.is_some_and(|age| age > if torn { Duration::from_secs(3600) } else { KEPT_FOR })
        };
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for file in files.filter(old) {
            fs::remove_file(file.path()).ok();
        }
    }
}

fn json<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_torn_foreign_or_of_another_time_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let results = Results::below(folder.path());
        let kept =
            Kept { key: String::new(), step: StepId::new("test", None), member: None, nothing: None, tests: Some(3) };
        let parts: Parts = [("a".to_owned(), "b".to_owned())].into();
        let key = results::key(&parts);
        assert_eq!(results.kept(&key), None);
        assert_eq!(results.notes(), Vec::<String>::new());
        results.keep(&kept, &parts);
        assert_eq!(results.kept(&key), Some((kept.clone(), 0)));
        assert_eq!(results.last(&kept.step, &None), Some(parts.clone()));
        let path = folder.path().join("xtask/results").join(key.to_string());
        let whole = fs::read(&path).unwrap();
        for torn in [&whole[..whole.len() - 1], &whole[..10], b"", b"{}"] {
            fs::write(&path, torn).unwrap();
            assert_eq!(results.kept(&key), None);
        }
        assert_eq!(results.notes().len(), 1);
        fs::write(&path, &whole).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(3600)).unwrap();
        assert_eq!(results.kept(&key), None);
    }

    #[test]
    fn a_disk_that_takes_nothing_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("xtask"), "a file where a folder should be").unwrap();
        let results = Results::below(folder.path());
        let kept =
            Kept { key: String::new(), step: StepId::new("test", None), member: None, nothing: None, tests: None };
        results.keep(&kept, &Parts::new());
        results.keep(&kept, &Parts::new());
        assert_eq!(results.notes().iter().filter(|note| note.contains("cannot be kept")).count(), 1);
    }
}

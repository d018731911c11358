//! Results of steps: what passed, here or on another machine.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde::Serialize;
use serde::de::DeserializeOwned;
use supercargo_artifact::digest::{Digest, Hasher};
use supercargo_plan::plan::{StepId, Subject};
use supercargo_plan::results::{self, Kept, Parts};

use super::envelope::{AHEAD, Opened, seal};
use super::sharing::Sharing;
use super::{Remote, entry, prune, read_entry, write_bytes, write_entry};

/// The results of steps, below the target folder.
pub struct Results {
    folder: PathBuf,
    /// Entries that could not be understood.
    foreign: Mutex<BTreeSet<PathBuf>>,
    /// Why nothing can be kept.
    trouble: Mutex<Option<String>>,
    /// Those of other machines.
    sharing: Option<Sharing>,
}

impl Results {
    /// The results below the target folder `target`, and those in the shared store.
    #[must_use]
    pub fn below(target: &Path, remote: Option<Arc<Remote>>) -> Self {
        let folder = target.join("xtask").join("results");
        Self { folder, foreign: Mutex::default(), trouble: Mutex::default(), sharing: remote.map(Sharing::new) }
    }

    /// Fetches from the shared store what is not here under the keys `wanted`, or is older than the seconds beside one.
    pub fn prefetch(&self, wanted: impl IntoIterator<Item = (Digest, Option<u64>)>) {
        let Some(sharing) = &self.sharing else { return };
        let is_here = |key: &Digest, most: Option<u64>| {
            let fresh = |age| most.is_none_or(|most| age <= most);
            self.withdrawn(key).exists() || self.kept(key).is_some_and(|(_, age)| fresh(age))
        };
        let missing = wanted.into_iter().filter(|(key, most)| !is_here(key, *most)).map(|(key, _)| key);
        let missing: Vec<Digest> = missing.collect::<BTreeSet<_>>().into_iter().collect();
        sharing.ask(&missing, &|key, opened: Opened<Kept>| {
            // What was withdrawn is as good as none.
            let text = opened.value.and_then(|kept| json(&kept).ok());
            let path = self.folder.join(key.to_string());
            if let Some(Err(error)) = text.map(|text| write_bytes(&path, &entry(&text), Some(opened.made))) {
                self.unkept(&error);
            }
        });
    }

    /// Waits until what was kept is in the shared store too, but not for long.
    pub fn finish(&self) {
        self.sharing.iter().for_each(Sharing::finish);
    }

    /// The mark of a result that turned out to be wrong: the shared store's word on it is not taken again.
    fn withdrawn(&self, key: &Digest) -> PathBuf {
        self.folder.join(format!("not-{key}"))
    }

    fn unkept(&self, error: &io::Error) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
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

    /// Keeps a result under the key made of `parts`, and sends it to the shared store.
    pub fn keep(&self, kept: &Kept, parts: &Parts) {
        let key = results::key(parts);
        let done = json(kept).and_then(|text| write_entry(&self.folder.join(key.to_string()), &text));
        if let Err(error) = done {
            self.unkept(&error);
        }
        self.remember(&kept.step, &kept.member, parts);
        if let Some(sharing) = &self.sharing {
            fs::remove_file(self.withdrawn(&key)).ok();
            seal(&key, Some(kept)).into_iter().for_each(|entry| sharing.send(key, entry));
        }
    }

    /// Remembers the parts of the key of the last good result of a subject.
    pub fn remember(&self, step: &StepId, member: &Subject, parts: &Parts) {
        let written = json(parts).and_then(|text| write_entry(&self.path_of_last(step, member), &text));
        written.err().iter().for_each(|error| self.unkept(error));
    }

    /// Forgets the result under `key`: it was wrong. The shared store is told so, where it takes what is put there.
    pub fn forget(&self, key: &str) {
        let known = fs::remove_file(self.folder.join(key)).is_ok();
        let Some((sharing, key)) = self.sharing.as_ref().filter(|_| known).zip(Digest::parse(key)) else { return };
        write_entry(&self.withdrawn(&key), b"").ok();
        seal::<Kept>(&key, None).into_iter().for_each(|entry| sharing.send(key, entry));
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
        let shared = self.sharing.iter().flat_map(Sharing::notes);
        ignored.into_iter().chain(unkept).chain(shared).collect()
    }

    /// Removes what is too old to be of use, and what killed runs left half written.
    pub fn prune(&self) {
        prune(&self.folder, |_| false);
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
        let results = Results::below(folder.path(), None);
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
        file.set_modified(SystemTime::now() + std::time::Duration::from_secs(3600)).unwrap();
        assert_eq!(results.kept(&key), None);
    }

    #[test]
    fn a_disk_that_takes_nothing_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("xtask"), "a file where a folder should be").unwrap();
        let results = Results::below(folder.path(), None);
        let kept =
            Kept { key: String::new(), step: StepId::new("test", None), member: None, nothing: None, tests: None };
        results.keep(&kept, &Parts::new());
        results.keep(&kept, &Parts::new());
        assert_eq!(results.notes().iter().filter(|note| note.contains("cannot be kept")).count(), 1);
    }
}

//! What was made under a key of all that can change it: the second time, it is looked up.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;
use supercargo_artifact::action_result::{ActionResult, OutputFile};
use supercargo_artifact::digest::Digest;

use super::envelope::{open, seal};
use super::remote::QUESTION;
use super::{Blobs, prune, used, write_bytes};

/// Entries `target/xtask/store/keys/<key>`: what is said of outputs that lie in the store.
pub struct Keyed {
    folder: PathBuf,
    /// Entries that were not what they are called.
    foreign: Mutex<usize>,
}

impl Keyed {
    /// The entries below the target folder `target`.
    #[must_use]
    pub fn below(target: &Path) -> Self {
        Self { folder: target.join("xtask").join("store").join("keys"), foreign: Mutex::default() }
    }

    /// What was put under `key`: here, else in the shared store behind `blobs`. That says nothing of whether its outputs
    /// are still there: `blobs` tells.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, key: &Digest, blobs: &Blobs) -> Option<T> {
        let path = self.path(key);
        match fs::read(&path) {
            Ok(bytes) => match open(key, bytes).and_then(|opened| opened.value) {
                Some(value) => {
                    used(&path);
                    return Some(value);
                }
                None => self.remove(&path),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => self.remove(&path),
        }
        let remote = blobs.remote().filter(|remote| remote.is_on())?;
        let message = remote.action(key, Instant::now() + QUESTION)?;
        let entry = ActionResult::decode(&message).map(|result| result.stdout);
        // An entry that does not name the key itself is of something else, whatever the server calls it.
        let Some((entry, opened)) = entry.and_then(|entry| Some((entry.clone(), open::<T>(key, entry)?))) else {
            remote.distrust();
            return None;
        };
        let value = opened.value?;
        // Where it cannot be kept here, it is asked for again the next time.
        write_bytes(&path, &entry, None).ok();
        Some(value)
    }

    fn path(&self, key: &Digest) -> PathBuf {
        self.folder.join(key.to_string())
    }

    fn remove(&self, path: &Path) {
        *self.foreign.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        if fs::symlink_metadata(path).is_ok_and(|there| there.is_dir()) {
            fs::remove_dir_all(path).ok();
        } else {
            fs::remove_file(path).ok();
        }
    }

    /// Puts `value` under `key`, here and then in the shared store: its `outputs` (name, digest, size in bytes), which lie
    /// in `blobs`, before itself.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn put<T: Serialize>(
        &self,
        key: &Digest,
        value: &T,
        outputs: &[(&str, Digest, u64)],
        blobs: &Blobs,
    ) -> io::Result<()> {
        let entry = seal(key, Some(value))?;
        write_bytes(&self.path(key), &entry, None)?;
        let Some(remote) = blobs.remote().filter(|remote| remote.writes()) else { return Ok(()) };
        if outputs.iter().all(|(_, digest, size)| blobs.share(digest, *size)) {
            let file = |(name, digest, size): &(&str, Digest, u64)| OutputFile {
                path: (*name).to_owned(),
                digest: *digest,
                size: *size,
            };
            let result = ActionResult { output_files: outputs.iter().map(file).collect(), stdout: entry };
            remote.put_action(key, &result.encode());
        }
        Ok(())
    }

    /// Whether something lies here under `key`.
    #[must_use]
    pub fn holds(&self, key: &Digest) -> bool {
        self.path(key).exists()
    }

    /// Forgets what is under `key` here: it was wrong, or its outputs are gone.
    pub fn forget(&self, key: &Digest) {
        fs::remove_file(self.path(key)).ok();
    }

    /// What a person should know: once, however often it happened.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let foreign = *self.foreign.lock().unwrap_or_else(PoisonError::into_inner);
        let note = || format!("{foreign} entries of the store's keys were torn or not ours: removed, and built anew");
        (foreign > 0).then(note).into_iter().collect()
    }

    /// Removes what is too old to be of use, and what killed runs left half written.
    pub fn prune(&self) {
        prune(&self.folder, |name| Digest::parse(name).is_none());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_found_and_what_is_spoilt_is_removed_and_said() {
        let folder = tempfile::tempdir().unwrap();
        let (blobs, keyed) = (Blobs::below(folder.path(), None), Keyed::below(folder.path()));
        let key = Digest::of(b"key");
        let get = || keyed.get::<Vec<String>>(&key, &blobs);
        assert_eq!(get(), None);
        let value = vec!["a".to_owned()];
        let path = folder.path().join("xtask/store/keys").join(key.to_string());
        for way in 0..4 {
            keyed.put(&key, &value, &[], &blobs).unwrap();
            assert_eq!(get(), Some(value.clone()));
            let whole = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            match way {
                0 => fs::write(&path, &whole[..whole.len() / 2]).unwrap(),
                1 => fs::write(&path, seal(&Digest::of(b"other"), Some(&value)).unwrap()).unwrap(),
                2 => fs::write(&path, seal(&key, Some(&7)).unwrap()).unwrap(),
                _ => fs::create_dir(&path).unwrap(),
            }
            assert_eq!(get(), None, "{way}");
            assert!(fs::symlink_metadata(&path).is_err());
        }
        assert_eq!(keyed.notes().len(), 1);
        keyed.put(&key, &value, &[], &blobs).unwrap();
        keyed.prune();
        assert_eq!(get(), Some(value));
        let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(40 * 24 * 60 * 60);
        fs::File::open(&path).unwrap().set_modified(long_ago).unwrap();
        keyed.prune();
        assert_eq!(get(), None);
        keyed.put(&key, &7, &[], &blobs).unwrap();
        keyed.forget(&key);
        assert_eq!(get(), None);
        assert_eq!(keyed.notes().len(), 1);
    }
}

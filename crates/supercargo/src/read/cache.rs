//! The cache of facts: what was parsed, under the content that it was parsed from. Losing it costs time, nothing else.

use std::fs;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::{read_entry, write_entry};

/// Entries that are kept; the oldest go first.
const KEPT: usize = 64;

/// A folder of facts.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache below the target folder `target`.
    #[must_use]
    pub fn below(target: &std::path::Path) -> Self {
        Self { folder: target.join("xtask").join("facts") }
    }

    /// The entry `name`; none where it is missing, torn or foreign.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_slice(&self.bytes(name)?).ok()
    }

    /// The bytes that were kept as `name`.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        read_entry(&self.folder.join(name)).ok()?
    }

    /// Keeps `value` as `name`. A disk that does not take it is no fault: the next run reads anew.
    pub fn put<T: Serialize>(&self, name: &str, value: &T) {
        if let Ok(text) = serde_json::to_vec(value) {
            self.put_bytes(name, &text);
        }
    }

    /// Keeps `text` as `name`.
    pub fn put_bytes(&self, name: &str, text: &[u8]) {
        let write = || -> std::io::Result<()> {
            write_entry(&self.folder.join(name), text)?;
            self.prune()
        };
        write().ok();
    }

    fn prune(&self) -> std::io::Result<()> {
        let mut entries: Vec<_> = fs::read_dir(&self.folder)?
            .flatten()
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        if entries.len() > KEPT {
            entries.sort();
            for (_, path) in &entries[..entries.len() - KEPT] {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torn_and_foreign_entries_are_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::below(folder.path());
        assert_eq!(cache.get::<Vec<String>>("x.json"), None);
        cache.put("x.json", &vec!["a", "b"]);
        assert_eq!(cache.get::<Vec<String>>("x.json"), Some(vec!["a".into(), "b".into()]));
        let path = folder.path().join("xtask/facts/x.json");
        let whole = fs::read(&path).unwrap();
        for torn in [&whole[..whole.len() - 1], &whole[..10], b"", b"[\"a\"]"] {
            fs::write(&path, torn).unwrap();
            assert_eq!(cache.get::<Vec<String>>("x.json"), None);
        }
    }

    #[test]
    fn the_oldest_entries_go() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::below(folder.path());
        for n in 0..KEPT + 5 {
            cache.put(&format!("{n}.json"), &n);
        }
        assert_eq!(fs::read_dir(folder.path().join("xtask/facts")).unwrap().count(), KEPT);
    }
}

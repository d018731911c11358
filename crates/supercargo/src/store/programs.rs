//! Programs that are shipped: their bytes, the keys that they are found by, and the names that people see.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use supercargo_artifact::digest::Digest;
use supercargo_plan::built::{Built, Made};
use supercargo_plan::facts::shared::Shared;
use supercargo_plan::plan::{StepId, Subject};
use supercargo_plan::programs::Entry;
use supercargo_plan::results::Parts;

use super::keyed::Keyed;
use super::{Blobs, Remote, Results};

/// The store of programs below a target folder.
pub struct Programs {
    /// Their bytes.
    pub blobs: Blobs,
    keyed: Keyed,
    results: Results,
    /// `target/xtask/programs`.
    names: PathBuf,
    notes: Mutex<Vec<String>>,
}

impl Programs {
    /// The store below `target`, and the one that is shared.
    #[must_use]
    pub fn open(target: &Path, shared: Option<&Shared>) -> Self {
        let remote = shared.map(|shared| Arc::new(Remote::open(shared)));
        Self {
            blobs: Blobs::below(target, remote),
            keyed: Keyed::below(target),
            results: Results::below(target, None),
            names: target.join("xtask").join("programs"),
            notes: Mutex::default(),
        }
    }

    /// What was built under a key, if its bytes are there. What comes from another machine is proved here as well: `prove`
    /// says what is wrong with it.
    pub fn built(&self, key: &Digest, prove: &dyn Fn(&[u8], &str) -> Vec<String>) -> Option<Entry> {
        let known = self.keyed.holds(key);
        let entry: Entry = self.keyed.get(key, &self.blobs)?;
        let digest = Digest::parse(&entry.artifact.digest)?;
        let own = known && self.blobs.holds(&digest);
        let path = self.blobs.get(&digest, Some(entry.artifact.size))?;
        let size = fs::metadata(path).ok()?.len();
        if own && size == entry.artifact.size && !self.blobs.was_corrupt(&digest) {
            return Some(entry);
        }
        let mut faults = prove(&self.blobs.read(&digest)?, &entry.target);
        if size != entry.artifact.size {
            faults.push(format!("it has {size} bytes, and is to have {}", entry.artifact.size));
        }
        let Some(fault) = faults.first() else { return Some(entry) };
        self.note(format!("what the shared store has for {} is not used: {fault}", entry.program));
        self.blobs.forget(&digest);
        self.keyed.forget(key);
        None
    }

    /// The parts of the key of the last program of a step.
    #[must_use]
    pub fn last(&self, step: &StepId, member: &Subject) -> Option<Parts> {
        self.results.last(step, member)
    }

    /// Keeps a program, whose bytes are there already, under its key.
    pub fn keep(&self, entry: &Entry, (step, member): (&StepId, &Subject), parts: &Parts) {
        let digests = Digest::parse(&entry.key).zip(Digest::parse(&entry.artifact.digest));
        let Some((key, digest)) = digests else { return };
        let outputs = [(entry.program.as_str(), digest, entry.artifact.size)];
        if let Err(error) = self.keyed.put(&key, entry, &outputs, &self.blobs) {
            self.note(format!(
                "{} cannot be kept under its key, so the next run builds it again: {error}",
                entry.program
            ));
        }
        self.results.remember(step, member, parts);
    }

    /// Forgets what is kept under a key: it is not what is built from the same.
    pub fn forget(&self, key: &str) {
        Digest::parse(key).iter().for_each(|key| self.keyed.forget(key));
    }

    /// Keeps the programs of other machines' records, whose bytes are here, under their keys.
    pub fn adopt(&self, built: &Built) {
        for made in built.programs.iter().filter(|made| made.verdict.is_good()) {
            let (Some(key), Some(artifact)) = (&made.key, &made.artifact) else { continue };
            let (program, target) = (made.program.clone(), made.target.clone());
            let entry = Entry { key: key.clone(), program, target, artifact: artifact.clone() };
            Digest::parse(key).and_then(|key| self.keyed.put(&key, &entry, &[], &self.blobs).err()).iter().for_each(
                |e| {
                    self.note(format!("{} cannot be kept under its key: {e}", made.program));
                },
            );
        }
    }

    /// Copies the file of this digest from another store; whether it is here then.
    #[must_use]
    pub fn import(&self, store: &Path, digest: &Digest) -> bool {
        let path = store.join("sha256").join(digest.to_string());
        let same = fs::read(&path).is_ok_and(|bytes| Digest::of(&bytes) == *digest);
        same && self.blobs.put_file(&path).is_ok_and(|(copied, _)| copied == *digest)
    }

    fn note(&self, note: String) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note);
    }

    /// Gives the programs of a record the names that people see, and removes what nobody uses any more; what a person
    /// should know.
    #[must_use]
    pub fn finish(&self, built: &Built) -> Vec<String> {
        let mut notes = std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner));
        if let Err(error) = self.name(built) {
            notes.push(format!("{} cannot be brought up to date: {error}", "target/xtask/programs"));
        }
        let used = built.programs.iter().filter_map(|made| Digest::parse(&made.artifact.as_ref()?.digest));
        self.blobs.prune(&used.collect::<BTreeSet<_>>());
        self.keyed.prune();
        notes.extend(self.notes());
        notes
    }

    /// What a person should know of the store itself.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let remote = self.blobs.remote().map(|remote| remote.notes()).unwrap_or_default();
        [self.blobs.notes(), self.keyed.notes(), remote].concat()
    }

    fn name(&self, built: &Built) -> io::Result<()> {
        fs::create_dir_all(&self.names)?;
        for made in &built.programs {
            let Some((name, digest)) = named(made) else { continue };
            let place = self.names.join(&name);
            let target = Path::new("../store/sha256").join(digest);
            if fs::read_link(&place).is_ok_and(|there| there == target) {
                continue;
            }
            let aside = self.names.join(format!(".{name}.{}", std::process::id()));
            fs::remove_file(&aside).ok();
            symlink(&target, &aside)?;
            fs::rename(&aside, &place)?;
        }
        let wanted: BTreeSet<String> = built.programs.iter().filter_map(named).map(|(name, _)| name).collect();
        // Where a program came to nothing, an older one would pass for it.
        let bad = built.programs.iter().filter(|made| made.verdict.is_bad());
        let bad: BTreeSet<String> = bad.map(stem).collect();
        let replaced = |name: &str| {
            let stem = name.rsplit_once('-').map_or(name, |(stem, _)| stem);
            let anew = wanted.iter().any(|new| new.rsplit_once('-').is_some_and(|(new, _)| new == stem));
            !wanted.contains(name) && (anew || bad.contains(stem))
        };
        for file in fs::read_dir(&self.names)?.flatten() {
            let dangles = fs::metadata(file.path()).is_err();
            if dangles || replaced(&file.file_name().to_string_lossy()) {
                fs::remove_file(file.path()).ok();
            }
        }
        Ok(())
    }
}

/// `<name>-<version>-<target>`.
fn stem(made: &Made) -> String {
    format!("{}-{}-{}", made.program, made.version, made.target)
}

/// `<name>-<version>-<target>-<12 hex>`, and the whole digest.
fn named(made: &Made) -> Option<(String, &str)> {
    let digest = made.artifact.as_ref()?.digest.as_str();
    Some((format!("{}-{}", stem(made), digest.get(..12)?), digest))
}

//! The store: files named by the digest of their content, which is checked whenever one is used.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use supercargo_artifact::digest::{Digest, Stream};
use tempfile::NamedTempFile;

use super::{Remote, prune, used};

/// How often an entry is put in place of what somebody else puts there.
const ATTEMPTS: usize = 5;

/// The files of the store, `target/xtask/store/sha256/<digest>`: read-only, executable, each whole or as good as not
/// there. Several processes may use it at once.
pub struct Blobs {
    folder: PathBuf,
    remote: Option<Arc<Remote>>,
    corrupt: Mutex<BTreeSet<Digest>>,
}

impl Blobs {
    /// The store below the target folder `target`, with the shared store behind it.
    #[must_use]
    pub fn below(target: &Path, remote: Option<Arc<Remote>>) -> Self {
        let folder = target.join("xtask").join("store").join("sha256");
        Self { folder, remote, corrupt: Mutex::default() }
    }

    /// The shared store.
    #[must_use]
    pub fn remote(&self) -> Option<&Arc<Remote>> {
        self.remote.as_ref()
    }

    /// Keeps a copy of the file at `path`: its digest and its size in bytes.
    ///
    /// # Errors
    /// When the file cannot be read, or the disk does not take it.
    pub fn put_file(&self, path: &Path) -> io::Result<(Digest, u64)> {
        self.put(&mut File::open(path)?)
    }

    /// Keeps `bytes`: their digest and size.
    ///
    /// # Errors
    /// When the disk does not take them.
    pub fn put_bytes(&self, mut bytes: &[u8]) -> io::Result<(Digest, u64)> {
        self.put(&mut bytes)
    }

    fn put(&self, from: &mut impl Read) -> io::Result<(Digest, u64)> {
        let mut file = self.begin()?;
        let (mut stream, mut size) = (Stream::default(), 0);
        let mut buffer = vec![0; 64 << 10];
        loop {
            let length = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            stream.update(&buffer[..length]);
            file.write_all(&buffer[..length])?;
            size += length as u64;
        }
        let digest = stream.finish();
        self.finish(file, &digest)?;
        Ok((digest, size))
    }

    fn begin(&self) -> io::Result<NamedTempFile> {
        fs::create_dir_all(&self.folder)?;
        tempfile::Builder::new().prefix(".").suffix(".tmp").tempfile_in(&self.folder)
    }

    /// Puts a file that is written and whole in its place, whatever is there now.
    fn finish(&self, mut file: NamedTempFile, digest: &Digest) -> io::Result<()> {
        let path = self.path(digest);
        if is_whole(&path, digest) {
            used(&path);
            return Ok(());
        }
        file.as_file().sync_all()?;
        fs::set_permissions(file.path(), Permissions::from_mode(0o555))?;
        let mut last = None;
        for _ in 0..ATTEMPTS {
            // A file in its place is replaced; only a folder is in the way.
            if fs::symlink_metadata(&path).is_ok_and(|there| there.is_dir()) {
                self.evict(&path, digest);
            }
            match file.persist(&path) {
                Ok(_) => return Ok(()),
                Err(failed) => (file, last) = (failed.file, Some(failed.error)),
            }
        }
        last.map_or(Ok(()), Err)
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.to_string())
    }

    /// Where the file of this digest lies, checked to the last byte; from the shared store, where it is not here. `size`
    /// is how large it is, where that is known.
    #[must_use]
    pub fn get(&self, digest: &Digest, size: Option<u64>) -> Option<PathBuf> {
        let path = self.path(digest);
        if fs::symlink_metadata(&path).is_ok() {
            if is_whole(&path, digest) {
                used(&path);
                return Some(path);
            }
            self.evict(&path, digest);
            self.corrupt.lock().unwrap_or_else(PoisonError::into_inner).insert(*digest);
        }
        let remote = self.remote.as_ref().filter(|remote| remote.is_on())?;
        let mut file = self.begin().ok()?;
        (remote.blob(digest, size, file.as_file_mut()) && self.finish(file, digest).is_ok()).then_some(path)
    }

    /// Whether something lies here under this digest, whatever it is.
    #[must_use]
    pub fn holds(&self, digest: &Digest) -> bool {
        fs::symlink_metadata(self.path(digest)).is_ok()
    }

    /// Whether what lay here under this digest was not what it is called.
    #[must_use]
    pub fn was_corrupt(&self, digest: &Digest) -> bool {
        self.corrupt.lock().unwrap_or_else(PoisonError::into_inner).contains(digest)
    }

    /// Removes the file of this digest: it is what it is called, and yet not what it is to be.
    pub fn forget(&self, digest: &Digest) {
        fs::remove_file(self.path(digest)).ok();
    }

    /// The bytes of this digest.
    #[must_use]
    pub fn read(&self, digest: &Digest) -> Option<Vec<u8>> {
        let path = self.get(digest, None)?;
        fs::read(path).ok().filter(|bytes| Digest::of(bytes) == *digest)
    }

    /// Puts the file of this digest into the shared store; whether it is there then.
    pub fn share(&self, digest: &Digest, size: u64) -> bool {
        self.remote.as_ref().is_some_and(|remote| remote.put_blob(digest, size, &self.path(digest)))
    }

    /// Removes what is not what it is called: first out of the way, and for good when it is still so then, since another
    /// process may have put it right meanwhile.
    fn evict(&self, path: &Path, digest: &Digest) {
        let Ok(aside) = self.begin().and_then(|file| file.into_temp_path().keep().map_err(io::Error::other)) else {
            return;
        };
        fs::remove_file(&aside).ok();
        if fs::rename(path, &aside).is_err() {
            return;
        }
        if is_whole(&aside, digest) {
            fs::rename(&aside, path).ok();
        } else if fs::symlink_metadata(&aside).is_ok_and(|there| there.is_dir()) {
            fs::remove_dir_all(&aside).ok();
        } else {
            fs::remove_file(&aside).ok();
        }
    }

    /// What a person should know: each entry once.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let corrupt = self.corrupt.lock().unwrap_or_else(PoisonError::into_inner);
        let note = |digest: &Digest| {
            format!("the store's entry sha256:{digest} was not what it is called: removed, and made anew")
        };
        corrupt.iter().map(note).collect()
    }

    /// Removes what nobody used for 30 days and `keep` does not name, and what killed runs left half written.
    pub fn prune(&self, keep: &BTreeSet<Digest>) {
        prune(&self.folder, |name| Digest::parse(name).is_none_or(|digest| keep.contains(&digest)));
    }
}

/// Whether a file, and no link to one, has this digest.
fn is_whole(path: &Path, digest: &Digest) -> bool {
    if !fs::symlink_metadata(path).is_ok_and(|there| there.is_file()) {
        return false;
    }
    let Ok(mut file) = File::open(path) else { return false };
    let mut stream = Stream::default();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return stream.finish() == *digest,
            Ok(length) => stream.update(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn what_is_put_is_there_read_only_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::below(folder.path(), None);
        assert_eq!(blobs.get(&Digest::of(b"abc"), None), None);
        let (digest, size) = blobs.put_bytes(b"abc").unwrap();
        assert_eq!((digest, size), (Digest::of(b"abc"), 3));
        let path = blobs.get(&digest, Some(3)).unwrap();
        assert_eq!(path, folder.path().join("xtask/store/sha256").join(digest.to_string()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o555);
        assert_eq!(blobs.put_file(&path).unwrap(), (digest, 3));
        assert_eq!(blobs.read(&digest).as_deref(), Some(&b"abc"[..]));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert_eq!(blobs.notes(), Vec::<String>::new());
    }

    /// Ways to spoil an entry.
    fn spoil(path: &Path, way: usize) {
        fs::remove_file(path).unwrap();
        match way {
            0 => fs::write(path, "ab").unwrap(),
            1 => fs::write(path, "abd").unwrap(),
            2 => fs::create_dir_all(path.join("full")).unwrap(),
            3 => std::os::unix::fs::symlink("/nowhere", path).unwrap(),
            // What it leads to has the right bytes today.
            4 => {
                fs::write(path.with_file_name("elsewhere"), "abc").unwrap();
                std::os::unix::fs::symlink("elsewhere", path).unwrap();
            }
            _ => fs::write(path, "").unwrap(),
        }
    }

    #[test]
    fn what_is_not_what_it_is_called_is_removed_said_once_and_replaced() {
        for way in 0..6 {
            let folder = tempfile::tempdir().unwrap();
            let blobs = Blobs::below(folder.path(), None);
            let (digest, _) = blobs.put_bytes(b"abc").unwrap();
            let path = blobs.get(&digest, None).unwrap();
            spoil(&path, way);
            assert_eq!(blobs.get(&digest, None), None, "{way}");
            assert_eq!(blobs.read(&digest), None);
            assert!(fs::symlink_metadata(&path).is_err(), "{way}");
            assert_eq!(blobs.notes().len(), 1);
            blobs.put_bytes(b"abc").unwrap();
            // And without anybody having looked.
            spoil(&path, way);
            blobs.put_bytes(b"abc").unwrap();
            assert_eq!(blobs.read(&digest).as_deref(), Some(&b"abc"[..]), "{way}");
            assert_eq!(blobs.notes().len(), 1);
        }
    }

    #[test]
    fn several_at_once_leave_it_whole() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = vec![7; 300_000];
        let digest = Digest::of(&bytes);
        std::thread::scope(|scope| {
            for n in 0..8 {
                let (bytes, folder) = (&bytes, folder.path());
                scope.spawn(move || {
                    let blobs = Blobs::below(folder, None);
                    for _ in 0..20 {
                        blobs.put_bytes(bytes).unwrap();
                        if n == 0 {
                            fs::remove_file(blobs.path(&digest)).ok();
                            fs::create_dir(blobs.path(&digest)).ok();
                        }
                        assert!(blobs.read(&digest).is_none_or(|read| read == *bytes));
                    }
                });
            }
        });
        let blobs = Blobs::below(folder.path(), None);
        blobs.put_bytes(&bytes).unwrap();
        assert!(blobs.read(&digest).is_some());
        let left = fs::read_dir(&blobs.folder).unwrap().flatten().map(|file| file.file_name());
        assert_eq!(left.collect::<Vec<_>>(), [digest.to_string().as_str()]);
    }

    #[test]
    fn a_disk_that_takes_nothing_is_an_error_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("xtask"), "a file where a folder should be").unwrap();
        assert!(Blobs::below(folder.path(), None).put_bytes(b"abc").is_err());
    }

    #[test]
    fn a_full_disk_is_an_error_and_leaves_what_was_there() {
        const INSIDE: &str = "SUPERCARGO_TEST_FULL_DISK";
        if std::env::var_os(INSIDE).is_none() {
            // The same test again, where no file may grow beyond some KiB: a write fails halfway, as on a full disk.
            let script = "ulimit -f 64; trap '' XFSZ; exec \"$0\" --exact store::blobs::tests::a_full_disk_is_an_error_and_leaves_what_was_there";
            let program = std::env::current_exe().unwrap();
            let done = std::process::Command::new("sh").arg("-c").arg(script).arg(program).env(INSIDE, "1").output();
            let done = done.unwrap();
            let said = String::from_utf8_lossy(&done.stdout);
            assert!(done.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::below(folder.path(), None);
        let (small, _) = blobs.put_bytes(b"small").unwrap();
        assert!(blobs.put_bytes(&vec![7; 1 << 20]).is_err());
        assert_eq!(blobs.read(&small).as_deref(), Some(&b"small"[..]));
        assert_eq!(fs::read_dir(&blobs.folder).unwrap().count(), 1);
    }

    #[test]
    fn what_nobody_uses_is_removed_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::below(folder.path(), None);
        let long_ago = SystemTime::now() - Duration::from_secs(40 * 24 * 60 * 60);
        let put = |text: &str| {
            let (digest, _) = blobs.put_bytes(text.as_bytes()).unwrap();
            File::open(blobs.path(&digest)).unwrap().set_modified(long_ago).unwrap();
            digest
        };
        let (old, used, named) = (put("old"), put("used"), put("named"));
        blobs.get(&used, None).unwrap();
        let torn = blobs.folder.join(".x.tmp");
        File::create(&torn).unwrap().set_modified(long_ago).unwrap();
        fs::write(blobs.folder.join(".y.tmp"), "somebody's work").unwrap();
        blobs.prune(&[named].into());
        let there = [old, used, named].map(|digest| blobs.path(&digest).exists());
        assert_eq!(there, [false, true, true]);
        assert!(!torn.exists() && blobs.folder.join(".y.tmp").exists());
    }
}

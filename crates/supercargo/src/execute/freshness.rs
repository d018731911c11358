//! Cargo's own folder: what it may wrongly take for unchanged is made to be compiled again, and one build at a time uses it.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use supercargo_artifact::digest::Digest;
use supercargo_plan::plan::{StepId, TARGET_FOLDER};
use supercargo_plan::recipe::Inputs;
use supercargo_plan::verdict::Verdict;
use supercargo_plan::verdicts::{End, Judgement};

use super::running::Running;

/// How often it is asked whether the folder is free.
const ASKED_EVERY: Duration = Duration::from_millis(50);

/// By step: what its program is made from.
pub type AllInputs<'a> = BTreeMap<StepId, &'a Inputs>;

impl Running<'_> {
    /// Makes cargo's folder ready for this step, and keeps it to itself until what is returned is dropped.
    pub fn prepare(&self, inputs: &AllInputs<'_>, program: &str, target: &str) -> Result<Option<File>, Box<Judgement>> {
        let Some(place) = self.work.places.get(TARGET_FOLDER) else { return Ok(None) };
        let folder = Path::new(place).join("xtask").join("cargo");
        let lock = self.lock(&folder.with_extension("lock"))?;
        let member = self.case.running.iter().flatten().next();
        if let Some((inputs, member)) = inputs.get(&self.step.id).zip(member) {
            let said =
                |error: io::Error| Box::new(self.unfit(&format!("target/xtask/cargo cannot be cleaned: {error}")));
            refresh(&folder, inputs, (member.as_str(), program, target)).map_err(said)?;
        }
        Ok(Some(lock))
    }

    /// Waits until no other build uses cargo's folder: cargo's own lock ends before its programs are read.
    fn lock(&self, path: &Path) -> Result<File, Box<Judgement>> {
        let said =
            |error: io::Error| Box::new(self.unfit(&format!("target/xtask/cargo.lock cannot be locked: {error}")));
        fs::create_dir_all(path.parent().unwrap_or(path)).map_err(said)?;
        let file = File::create(path).map_err(said)?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(said(error)),
            }
            let late = self.started.elapsed() > Duration::from_secs(self.step.timeout);
            let late = late.then(|| End::TimedOut(self.step.timeout).verdict());
            if let Some(verdict) = (self.halt)().or(late) {
                return Err(Box::new(self.case.all(&verdict)));
            }
            thread::sleep(ASKED_EVERY);
        }
    }

    /// A step that could not be carried out.
    pub fn unfit(&self, why: &str) -> Judgement {
        Judgement { unjudged: true, ..self.case.all(&Verdict::Failed(why.to_owned())) }
    }
}

/// Removes from cargo's `folder` what was made from anything but `inputs`, and what it has of the program itself, which is
/// only built when the store has it not.
fn refresh(folder: &Path, inputs: &Inputs, (package, program, target): (&str, &str, &str)) -> io::Result<()> {
    let stamps = Stamps(folder.join(".inputs"));
    if !stamps.says("everyone", &inputs.everyone) {
        remove(folder)?;
        stamps.write("everyone", &inputs.everyone)?;
    }
    // One target's programs may have several linkers.
    let linker = inputs.tools.split([':', ' ']).next().unwrap_or_default();
    let tools = format!("tools {}", Digest::of(format!("{target} {linker}").as_bytes()));
    if !stamps.says(&tools, &inputs.tools) {
        remove(&folder.join(target))?;
        stamps.write(&tools, &inputs.tools)?;
    }
    let value = |digest: &Option<Digest>| digest.map(|digest| digest.to_string());
    let fresh = |(name, digest): &(&String, &Option<Digest>)| {
        value(digest).is_some_and(|digest| stamps.says(&format!("package {name}"), &digest))
    };
    let stale: Vec<_> = inputs.packages.iter().filter(|package| !fresh(package)).collect();
    let noted = fingerprints(folder);
    if noted.is_empty() && !stale.is_empty() {
        // Nothing was compiled yet; or cargo notes it elsewhere, and nobody could tell it what is stale.
        for place in fs::read_dir(folder).into_iter().flatten().flatten().filter(|place| place.file_name() != ".inputs")
        {
            if place.path().is_dir() { remove(&place.path())? } else { fs::remove_file(place.path())? }
        }
    }
    for entry in noted {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some((name, _)) = name.rsplit_once('-') else { continue };
        let own = || name == package && entry.join(format!("bin-{program}")).exists();
        if stale.iter().any(|(stale, _)| *stale == name) || own() {
            remove(&entry)?;
        }
    }
    // Until it is known that nothing moved meanwhile, nobody knows what they are compiled from.
    inputs.packages.keys().try_for_each(|name| stamps.remove(&format!("package {name}")))
}

/// Notes in the target folder `target` that cargo's folder has packages as `inputs` are: nothing moved while they were
/// compiled.
pub fn confirm(target: &Path, inputs: &Inputs) {
    let stamps = Stamps(target.join("xtask/cargo/.inputs"));
    for (name, digest) in &inputs.packages {
        let Some(digest) = digest else { continue };
        // What is not noted is compiled again.
        stamps.write(&format!("package {name}"), &digest.to_string()).ok();
    }
}

/// Notes that nobody knows what cargo's folder was made from.
pub fn forget(target: &Path) {
    fs::remove_dir_all(target.join("xtask/cargo/.inputs")).ok();
}

/// What the folder's content was made from.
struct Stamps(PathBuf);

impl Stamps {
    fn says(&self, name: &str, value: &str) -> bool {
        fs::read(self.0.join(name)).is_ok_and(|there| there == value.as_bytes())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.0.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn write(&self, name: &str, value: &str) -> io::Result<()> {
        crate::store::write_file(&self.0.join(name), value.as_bytes())
    }
}

/// Where cargo notes what it compiled: `<profile>/.fingerprint/<package>-<hash>`, for the host and below each target.
fn fingerprints(folder: &Path) -> Vec<PathBuf> {
    let below = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let profiles = below(folder).into_iter().flat_map(|place| [below(&place), vec![place]].concat());
    profiles.flat_map(|place| below(&place.join(".fingerprint"))).collect()
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_from_something_else_is_removed_and_nothing_more() {
        let place = tempfile::tempdir().unwrap();
        let folder = &place.path().join("xtask/cargo");
        let mut inputs = Inputs { everyone: "e".into(), tools: "rust-lld".into(), ..Inputs::default() };
        let mut set = |name: &str, content: &[u8]| {
            inputs.packages.insert(name.into(), Some(Digest::of(content)));
            inputs.clone()
        };
        set("a", b"1");
        let inputs = set("a-b", b"1");
        let make = || {
            for file in [
                "t/release/.fingerprint/a-12/lib-a",
                "release/.fingerprint/a-b-34/lib-b",
                "t/release/.fingerprint/libc-56/l",
            ] {
                fs::create_dir_all(folder.join(file)).unwrap();
            }
            fs::create_dir_all(folder.join("t/release/.fingerprint/a-78/bin-p")).unwrap();
        };
        let there = || {
            let all = fingerprints(folder);
            let mut names: Vec<String> =
                all.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
            names.sort();
            names
        };
        let confirmed = |inputs: &Inputs| confirm(place.path(), inputs);
        refresh(folder, &inputs, ("a", "p", "t")).unwrap();
        make();
        confirmed(&inputs);
        refresh(folder, &inputs, ("a", "p", "t")).unwrap();
        assert_eq!(there(), ["a-12", "a-b-34", "libc-56"]);
        // What was not confirmed is not known.
        refresh(folder, &inputs, ("a", "p", "t")).unwrap();
        assert_eq!(there(), ["libc-56"]);
        make();
        confirmed(&inputs);
        let mut other = inputs.clone();
        other.packages.insert("a-b".into(), Some(Digest::of(b"2")));
        refresh(folder, &other, ("a", "p", "t")).unwrap();
        assert_eq!(there(), ["a-12", "libc-56"]);
        make();
        confirmed(&other);
        other.packages.insert("a".into(), None);
        for _ in 0..2 {
            refresh(folder, &other, ("a", "p", "t")).unwrap();
            assert_eq!(there(), ["a-b-34", "libc-56"]);
            make();
            confirmed(&other);
        }
        refresh(folder, &Inputs { tools: "rust-lld 2".into(), ..other.clone() }, ("a", "p", "t")).unwrap();
        assert_eq!(there(), ["a-b-34"]);
        refresh(folder, &Inputs { everyone: "f".into(), ..other }, ("a", "p", "t")).unwrap();
        assert_eq!(there(), Vec::<String>::new());
    }
}

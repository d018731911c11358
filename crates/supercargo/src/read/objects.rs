//! What objects hold, by id; what the answer needs and a partial clone lacks is fetched, all of it at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use supercargo_plan::facts::path::RepoPath;
use supercargo_plan::facts::tree::ObjectId;
use supercargo_plan::problem::Problem;

use super::git::{Git, unreadable};
use crate::process::{self, Call};

/// How long a remote may take to give what is missing.
const LIMIT: Duration = Duration::from_secs(120);

/// Nobody is asked for a password, or whether a host is trusted: the answer would be waited for.
const NOBODY_IS_ASKED: [(&str, &str); 3] =
    [("SSH_ASKPASS", "false"), ("SSH_ASKPASS_REQUIRE", "force"), ("GCM_INTERACTIVE", "never")];

/// Brings every object that any filter left out.
const MEND: &str = "git fetch --refetch --no-filter";

/// Contents by id.
pub type Held = BTreeMap<ObjectId, Vec<u8>>;

/// The objects of a repository, of which a partial clone lacks some.
pub struct Objects<'a> {
    git: &'a Git,
    /// What the comparison needs: whatever is missing of it comes with the first fetch.
    needed: BTreeMap<ObjectId, RepoPath>,
    /// One fetch at a time; why one failed, so that it is not tried again.
    failed: Mutex<Option<Problem>>,
}

impl<'a> Objects<'a> {
    /// The objects that `git` knows; of those that are missing, `needed` are fetched together.
    #[must_use]
    pub fn new(git: &'a Git, needed: BTreeMap<ObjectId, RepoPath>) -> Self {
        Self { git, needed, failed: Mutex::new(None) }
    }

    /// The contents of `ids` as far as they are here.
    ///
    /// # Errors
    /// When git fails.
    pub fn held(&self, ids: &[ObjectId]) -> Result<Held, Problem> {
        self.git.held(ids)
    }

    /// The contents of all of `ids`, fetched where they are not here.
    ///
    /// # Errors
    /// When git fails, or one cannot be had.
    pub fn contents(&self, ids: &[ObjectId]) -> Result<Held, Problem> {
        let mut held = self.git.held(ids)?;
        let missing: Vec<ObjectId> = ids.iter().filter(|id| !held.contains_key(id)).copied().collect();
        if !missing.is_empty() {
            held.extend(self.fetched(&missing)?);
        }
        Ok(held)
    }

    /// The contents of `ids` as far as they can be had.
    ///
    /// # Errors
    /// When git fails at what is here.
    pub fn wished(&self, ids: &[ObjectId]) -> Result<Held, Problem> {
        self.contents(ids).or_else(|_| self.git.held(ids))
    }

    /// Fetches `missing`, and with it whatever else will be asked for.
    fn fetched(&self, missing: &[ObjectId]) -> Result<Held, Problem> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted: BTreeSet<ObjectId> = missing.iter().chain(self.needed.keys()).copied().collect();
        let mut wanted: Vec<ObjectId> = wanted.into_iter().collect();
        let held = self.git.held(&wanted)?;
        wanted.retain(|id| !held.contains_key(id));
        // Another thread may have fetched them while this one waited.
        if missing.iter().all(|id| held.contains_key(id)) {
            return Ok(held);
        }
        if let Some(problem) = failed.as_ref() {
            return Err(problem.clone());
        }
        let brought = self.fetch(&wanted).and_then(|why| {
            let held = self.git.held(missing)?;
            let lost: Vec<ObjectId> = missing.iter().filter(|id| !held.contains_key(id)).copied().collect();
            if lost.is_empty() { Ok(held) } else { Err(self.lost(&lost, why)) }
        });
        *failed = brought.as_ref().err().cloned();
        brought
    }

    /// Asks the promisor remotes for `ids`, one after the other until one gives them: the last one asked, and its reason.
    fn fetch(&self, ids: &[ObjectId]) -> Result<Option<(String, String)>, Problem> {
        let input: String = ids.iter().map(|id| format!("{id}\n")).collect();
        let mut why = None;
        for remote in promisors(self.git)? {
            let output = process::output(call(self.git, &remote)?, Some(input.clone().into_bytes()), LIMIT)?;
            let fatal = output.stderr.lines().find_map(|line| line.strip_prefix("fatal: "));
            why = Some((remote, fatal.or(output.stderr.lines().next()).unwrap_or("it says nothing").to_owned()));
            if output.status.success() {
                break;
            }
        }
        Ok(why)
    }

    /// What is told when `ids` cannot be had.
    fn lost(&self, ids: &[ObjectId], why: Option<(String, String)>) -> Problem {
        let paths = ids.iter().filter_map(|id| self.needed.get(id)).map(|path| format!("a version of {path}"));
        let first = paths.chain(ids.iter().map(|id| format!("object {id}"))).next().unwrap_or_default();
        let more = if ids.len() > 1 { format!(" (and {} more)", ids.len() - 1) } else { String::new() };
        match why {
            Some((remote, why)) => Problem::mend(
                format!("{first}{more} is not in this clone, which is partial, and `{remote}` does not give it: {why}"),
                format!("{MEND} {remote}"),
            ),
            None => Problem::mend(format!("{first}{more} is not in this repository"), "git fsck"),
        }
    }
}

impl Git {
    /// The contents of `ids` as far as they are here: nothing is fetched.
    fn held(&self, ids: &[ObjectId]) -> Result<Held, Problem> {
        let mut held = Held::new();
        if ids.is_empty() {
            return Ok(held);
        }
        let input: String = ids.iter().map(|id| format!("{id}\n")).collect();
        let output = self.must(["cat-file", "--batch", "--buffer"], Some(input.into_bytes()))?;
        let mut rest = output.as_slice();
        for id in ids {
            let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| unreadable("cat-file"))?;
            let (head, content) = (&rest[..end], &rest[end + 1..]);
            if head.ends_with(b" missing") {
                rest = content;
                continue;
            }
            let size = String::from_utf8_lossy(head).rsplit(' ').next().and_then(|size| size.parse().ok());
            let (content, after) =
                size.and_then(|size| content.split_at_checked(size)).ok_or_else(|| unreadable("cat-file"))?;
            held.insert(*id, content.to_vec());
            rest = after.get(1..).unwrap_or_default();
        }
        Ok(held)
    }
}

/// The call that asks `remote` for objects, as git itself does when it lacks one, but for many at once.
fn call(git: &Git, remote: &str) -> Result<Call, Problem> {
    let options = ["-c", "fetch.negotiationAlgorithm=noop", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head"];
    let nothing_else = ["--no-prune", "--no-auto-maintenance", "--recurse-submodules=no", "--filter=blob:none"];
    git.call_in(options.into_iter().chain(nothing_else).chain(["--stdin", remote]), &NOBODY_IS_ASKED)
}

/// The arguments that find the remotes that promised what a partial clone lacks.
fn promisors_args() -> [&'static str; 4] {
    ["config", "-z", "--get-regexp", r"^(remote\..*\.promisor|extensions\.partialclone)$"]
}

/// The remotes that promised what a partial clone lacks; none where it is no partial clone.
fn promisors(git: &Git) -> Result<Vec<String>, Problem> {
    let output = git.run(promisors_args())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut remotes: Vec<String> = Vec::new();
    for (key, value) in text.split('\0').filter_map(|entry| entry.split_once('\n')) {
        let remote = match key.strip_prefix("remote.").and_then(|key| key.strip_suffix(".promisor")) {
            Some(_) if matches!(value, "false" | "no" | "off" | "0" | "") => continue,
            Some(remote) => remote,
            // As an older git has it.
            None => value,
        };
        if !remotes.iter().any(|known| known == remote) {
            remotes.push(remote.to_owned());
        }
    }
    Ok(remotes)
}

/// The calls that may fetch, in a partial clone.
///
/// # Errors
/// When git cannot be run.
pub fn fetches(git: &Git) -> Result<Vec<Call>, Problem> {
    let remotes = promisors(git)?;
    let asked = if remotes.is_empty() { None } else { Some(git.call(promisors_args())) };
    asked.into_iter().chain(remotes.iter().map(|remote| call(git, remote))).collect()
}

pub(super) fn missing(path: &RepoPath) -> Problem {
    Problem::mend(format!("{path} is not in this repository"), "git fsck")
}

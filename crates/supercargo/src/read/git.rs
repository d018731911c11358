//! What git knows: commits, trees and what differs. Its configuration is pinned, and it fetches nothing by itself.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use supercargo_plan::facts::path::RepoPath;
use supercargo_plan::facts::tree::{self, Change, Entry, Mode, ObjectId, Tree};
use supercargo_plan::problem::{Exit, Problem};

use crate::process::{self, Call, Output};

/// How long one call of git may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Options and environment that make git's answers the same under every user's configuration.
const PINNED: [&str; 12] = [
    "--no-optional-locks",
    "--no-replace-objects",
    "-c core.excludesFile=/dev/null",
    "-c core.attributesFile=/dev/null",
    "-c core.fileMode=true",
    "-c core.ignoreCase=false",
    "-c diff.autoRefreshIndex=false",
    "-c core.checkStat=default",
    "-c core.trustctime=true",
    "-c core.fsmonitor=false",
    "-c core.quotePath=false",
    "-c diff.ignoreSubmodules=none",
];

/// Git, called from one folder.
#[derive(Clone)]
pub struct Git {
    folder: PathBuf,
}

/// The commits of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commits {
    /// The repository's top folder.
    pub top: PathBuf,
    /// The tree of the commit that is compared, or that the working tree stands on.
    pub tree: ObjectId,
    /// The commit that was asked for.
    pub base: ObjectId,
    /// The commit that is compared, or that the working tree stands on.
    pub head: ObjectId,
    /// Where the two parted.
    pub merge_base: ObjectId,
}

impl Git {
    /// Calls git from `folder`.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// One call, as a value: to be shown or run.
    ///
    /// # Errors
    /// When there is no current folder to start from.
    pub fn call<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Result<Call, Problem> {
        self.call_in(args, &[])
    }

    /// One call with `variables` in its environment.
    pub(super) fn call_in<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
        variables: &[(&str, &str)],
    ) -> Result<Call, Problem> {
        Call::new(&self.folder, |shell| {
            let pinned = PINNED.iter().flat_map(|option| option.split(' '));
            let command = shell.cmd("git").args(pinned).args(args);
            let command = command.env("GIT_LITERAL_PATHSPECS", "0").env_remove("GIT_GLOB_PATHSPECS");
            // A hook is told where its repository is, but not where its top is: git finds both by itself.
            let command = match std::env::var_os("GIT_WORK_TREE") {
                Some(_) => command,
                None => command
                    .env_remove("GIT_DIR")
                    .env_remove("GIT_INDEX_FILE")
                    .env_remove("GIT_PREFIX")
                    .env_remove("GIT_COMMON_DIR"),
            };
            let command = command.envs(variables.iter().copied());
            command.env("GIT_NO_LAZY_FETCH", "1").env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0")
        })
    }

    pub(super) fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Result<Output, Problem> {
        process::output(self.call(args)?, None, LIMIT)
    }

    /// Runs a call whose failure nobody expects.
    pub(super) fn must<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
        input: Option<Vec<u8>>,
    ) -> Result<Vec<u8>, Problem> {
        let command = self.call(args)?;
        let shown = command.to_string();
        let output = process::output(command, input, LIMIT)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(Problem::mend(format!("git failed: {}", output.stderr), shown))
    }

    /// The arguments that find the commits of a comparison.
    #[must_use]
    pub fn commits_args(base: &str, head: &str) -> Vec<String> {
        let commit = |revision: &str| format!("{revision}^{{commit}}");
        let tree = format!("{head}^{{tree}}");
        ["rev-parse".into(), "--show-toplevel".into(), tree, commit(base), commit(head), format!("{base}...{head}")]
            .into()
    }

    /// The repository's top, the two commits and where they parted.
    ///
    /// # Errors
    /// When there is no repository, no such commit, or no common ancestor.
    pub fn commits(&self, base: &str, head: &str) -> Result<Commits, Problem> {
        let output = self.run(Self::commits_args(base, head))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines = text.lines();
        let top = lines.next().unwrap_or_default();
        let mut commit = || lines.next().and_then(|line| ObjectId::parse(line.as_bytes()));
        if !output.status.success() {
            return Err(self.no_commits(base, head, &output.stderr)?);
        }
        let (Some(tree), Some(base_id), Some(head_id)) = (commit(), commit(), commit()) else {
            return Err(self.no_commits(base, head, &output.stderr)?);
        };
        let merge_base = lines.find_map(|line| ObjectId::parse(line.strip_prefix('^')?.as_bytes()));
        match merge_base {
            Some(merge_base) => Ok(Commits { top: top.into(), tree, base: base_id, head: head_id, merge_base }),
            None => Err(self.unrelated(base, head)?),
        }
    }

    /// The files that git ignores, folders of nothing else as one; parted by NUL.
    ///
    /// # Errors
    /// When git fails.
    pub fn ignored(&self) -> Result<Vec<u8>, Problem> {
        let arguments = ["ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory"];
        self.must(arguments, None)
    }

    /// The folders in which git keeps this repository: its own, and the one that its worktrees share.
    ///
    /// # Errors
    /// When git fails.
    pub fn own_folders(&self) -> Result<Vec<PathBuf>, Problem> {
        let output = self.must(["rev-parse", "--path-format=absolute", "--git-dir", "--git-common-dir"], None)?;
        Ok(String::from_utf8_lossy(&output).lines().map(PathBuf::from).collect())
    }

    /// The folder where git looks for hooks, as its configuration has it.
    ///
    /// # Errors
    /// When git fails.
    pub fn hooks(&self) -> Result<PathBuf, Problem> {
        let output = self.must(["rev-parse", "--path-format=absolute", "--git-path", "hooks"], None)?;
        let folder = String::from_utf8_lossy(&output).trim_end_matches('\n').to_owned();
        Ok(self.folder.join(folder))
    }

    /// The repository's top folder.
    ///
    /// # Errors
    /// When there is no repository here.
    pub fn top(&self) -> Result<PathBuf, Problem> {
        let output = self.run(["rev-parse", "--show-toplevel"])?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').into());
        }
        if output.stderr.contains("dubious ownership") {
            let mend = "git config --global --add safe.directory \"$PWD\"";
            return Err(Problem::mend("git does not trust this repository: another user owns it", mend));
        }
        Err(Problem::mend(
            format!("there is no git repository here ({})", output.stderr.trim_start_matches("fatal: ")),
            "git init && git add --all && git commit --message 'first'",
        ))
    }

    /// The commit that `revision` names, when it is here.
    ///
    /// # Errors
    /// When git cannot be run.
    pub fn commit(&self, revision: &str) -> Result<Option<ObjectId>, Problem> {
        let output =
            self.run(["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{revision}^{{commit}}")])?;
        Ok(ObjectId::parse(output.stdout.trim_ascii_end()))
    }

    /// The files of a commit or tree, as git lists them.
    ///
    /// # Errors
    /// When git fails.
    pub fn listing(&self, tree: &str) -> Result<Vec<u8>, Problem> {
        self.must(Self::tree_args(tree), None)
    }

    /// The files of a commit or tree.
    ///
    /// # Errors
    /// When git fails.
    pub fn tree(&self, tree: &str) -> Result<Tree, Problem> {
        tree::parse_ls_tree(&self.listing(tree)?).ok_or_else(|| unreadable("ls-tree"))
    }

    /// The arguments that list a commit's files.
    #[must_use]
    pub fn tree_args(commit: &str) -> Vec<String> {
        ["ls-tree", "-r", "-z", "--full-tree", commit].map(str::to_owned).into()
    }

    /// The arguments that list what differs between `from` (with `parted`, where the two parted) and `to`, or the working
    /// tree.
    #[must_use]
    pub fn changes_args(from: &str, parted: bool, to: Option<&str>) -> Vec<String> {
        let raw = ["--raw", "-z", "--no-renames", "--no-abbrev", "--ignore-submodules=none"];
        let command: &[&str] = match to {
            Some(_) => &["diff-tree", "-r"],
            None => &["diff", "--no-ext-diff", "--no-textconv", "--no-relative", "--no-color", "-O/dev/null"],
        };
        let parted = if parted { &["--merge-base"][..] } else { &[] };
        command
            .iter()
            .copied()
            .chain(raw)
            .chain(parted.iter().copied())
            .chain([from])
            .chain(to)
            .map(str::to_owned)
            .collect()
    }

    /// What differs between a commit (with `parted`, where the two parted) and another, or the working tree.
    ///
    /// # Errors
    /// When git fails.
    pub fn changes(&self, from: &str, parted: bool, to: Option<&str>) -> Result<Vec<Change>, Problem> {
        let diff = self.must(Self::changes_args(from, parted, to), None)?;
        tree::parse_raw_diff(&diff).ok_or_else(|| unreadable("diff --raw"))
    }

    /// The arguments that list the files that are neither tracked nor ignored.
    #[must_use]
    pub fn untracked_args() -> Vec<String> {
        ["ls-files", "-z", "--others", "--exclude-standard", "--full-name", "--", ":/"].map(str::to_owned).into()
    }

    /// The files that are neither tracked nor ignored.
    ///
    /// # Errors
    /// When git fails.
    pub fn untracked(&self) -> Result<Vec<(RepoPath, Mode)>, Problem> {
        Ok(tree::parse_untracked(&self.must(Self::untracked_args(), None)?))
    }

    /// The ids that git would give the files at `paths`, relative to the folder that git is called from.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn hash(&self, paths: &[&RepoPath]) -> Result<Vec<ObjectId>, Problem> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let input = paths.iter().map(|path| format_path(path)).collect::<Vec<_>>().concat();
        let output = self.must(["hash-object", "--stdin-paths"], Some(input))?;
        let ids: Option<Vec<_>> = output.trim_ascii_end().split(|byte| *byte == b'\n').map(ObjectId::parse).collect();
        ids.filter(|ids| ids.len() == paths.len()).ok_or_else(|| unreadable("hash-object"))
    }

    /// The first of `names` that is a commit.
    ///
    /// # Errors
    /// When git cannot be run.
    pub fn first<'n>(&self, names: &[&'n str]) -> Result<Option<&'n str>, Problem> {
        for name in names {
            if self.commit(name)?.is_some() {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// The parents of `revision`.
    ///
    /// # Errors
    /// When git cannot be run.
    pub fn parents(&self, revision: &str) -> Result<Vec<ObjectId>, Problem> {
        let output = self.run(["rev-parse", &format!("{revision}^@")])?;
        Ok(output.stdout.split(|byte| *byte == b'\n').filter_map(ObjectId::parse).collect())
    }

    /// Names what git has not: ids of files that differ from the index.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn name_contents(&self, changes: &mut [Change]) -> Result<(), Problem> {
        let unnamed = |entry: &Entry| entry.id.is_zero() && matches!(entry.mode, Mode::File | Mode::Program);
        let wanted: Vec<usize> =
            (0..changes.len()).filter(|n| changes[*n].after.as_ref().is_some_and(unnamed)).collect();
        let paths: Vec<&RepoPath> = wanted.iter().map(|n| &changes[*n].path).collect();
        let ids = self.hash(&paths)?;
        for (n, id) in wanted.into_iter().zip(ids) {
            if let Some(entry) = &mut changes[n].after {
                entry.id = id;
            }
        }
        Ok(())
    }
}

/// A path on a line of its own, quoted where it must be.
fn format_path(path: &RepoPath) -> Vec<u8> {
    let shown = path.to_string();
    if shown.starts_with('"') { format!("{shown}\n").into_bytes() } else { [path.as_bytes(), b"\n"].concat() }
}

pub(super) fn unreadable(command: &str) -> Problem {
    Problem { exit: Exit::Mend, what: format!("git {command} said something unknown"), mend: "git --version".into() }
}

/// A path of the repository as the system takes it.
#[must_use]
pub fn on_disk(top: &Path, path: &RepoPath) -> PathBuf {
    let relative: &OsStr = OsStr::from_bytes(path.as_bytes());
    top.join(OsString::from(relative))
}

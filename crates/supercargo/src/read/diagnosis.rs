//! Why commits could not be compared, and the command that mends it.

use supercargo_plan::facts::tree::ObjectId;
use supercargo_plan::problem::Problem;

use super::git::Git;

impl Git {
    fn is_shallow(&self) -> Result<bool, Problem> {
        Ok(self.run(["rev-parse", "--is-shallow-repository"])?.stdout.starts_with(b"true"))
    }

    /// Why the commits could not be found.
    pub(super) fn no_commits(&self, base: &str, head: &str, stderr: &str) -> Result<Problem, Problem> {
        self.top()?;
        if head == "HEAD" && self.commit(head)?.is_none() {
            let mend = "git add --all && git commit --message 'first'";
            return Ok(Problem::mend("nothing is committed yet: there is no commit `HEAD`", mend));
        }
        if self.commit(head)?.is_none() {
            return Ok(Problem::mend(format!("there is no commit `{head}`"), "git log --oneline --all"));
        }
        if self.commit(base)?.is_none() {
            let remote = format!("origin/{base}");
            if !base.contains('/') && self.commit(&remote)?.is_some() {
                let what = format!("the base `{base}` is no commit of this clone, but `{remote}` is");
                return Ok(Problem::mend(what, format!("cargo xtask affected {remote}")));
            }
            let shallow = self.is_shallow()?;
            return Ok(Problem::mend(format!("the base `{base}` is no commit of this clone"), fetch(base, shallow)));
        }
        Ok(Problem::mend(format!("git cannot compare `{base}` and `{head}`: {stderr}"), "git fsck"))
    }

    pub(super) fn unrelated(&self, base: &str, head: &str) -> Result<Problem, Problem> {
        let what = format!("`{base}` and `{head}` have no common ancestor in this clone");
        if self.is_shallow()? {
            let branch = base.strip_prefix("origin/").unwrap_or("main");
            return Ok(Problem::mend(
                format!("{what}, which is shallow"),
                format!("git fetch --unshallow origin {branch}"),
            ));
        }
        Ok(Problem::mend(what, format!("cargo xtask affected {base} --or-all")))
    }
}

/// The command that brings `base`, into the branch that it names: a clone of one branch fetches others nowhere.
fn fetch(base: &str, shallow: bool) -> String {
    let command = if shallow { "git fetch --unshallow origin" } else { "git fetch origin" };
    match base.strip_prefix("origin/") {
        Some("HEAD") => "git remote set-head origin --auto".to_owned(),
        Some(branch) => format!("{command} {branch}:refs/remotes/origin/{branch}"),
        None if ObjectId::parse(base.as_bytes()).is_some() && shallow => command.to_owned(),
        None if ObjectId::parse(base.as_bytes()).is_some() => format!("{command} {base}"),
        None if base.starts_with('v') && base[1..].starts_with(|c: char| c.is_ascii_digit()) => {
            format!("{command} tag {base}")
        }
        None => format!("{command} {base}:{base}"),
    }
}

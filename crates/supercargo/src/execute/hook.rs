//! The hook that git runs before it pushes.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use supercargo_plan::problem::Problem;

/// The line by which a hook is known to be ours.
const MARK: &str = "# supercargo: cargo xtask gate before a push";

/// The hook's text, for a workspace in `folder`, seen from the repository's top.
fn text(folder: &str) -> String {
    let folder = folder.replace('\'', "'\\''");
    format!(
        "#!/bin/sh\n{MARK}\n# Git says on stdin what is pushed, and dies of a hook that does not listen.\ncat >/dev/null\n\
         unset GIT_DIR GIT_INDEX_FILE GIT_PREFIX GIT_WORK_TREE\ncd '{folder}' && exec cargo xtask gate\n"
    )
}

/// Installs the hook in `hooks`, git's folder of hooks. Returns the file.
///
/// # Errors
/// When another hook is there, or the disk does not take it.
pub fn install(hooks: &Path, folder: &str) -> Result<PathBuf, Problem> {
    let path = hooks.join("pre-push");
    match fs::read_to_string(&path) {
        Ok(there) if there.contains(MARK) => {}
        Ok(_) => {
            let path = path.display();
            return Err(Problem::mend(
                format!("there is a pre-push hook already, and it is not ours: {path}"),
                format!(
                    "echo 'cargo xtask gate || exit 1' >> {path}    # chains the gate to it; it must read stdin before"
                ),
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(untaken(&path, &error)),
    }
    let write = || -> io::Result<()> {
        fs::create_dir_all(hooks)?;
        let mut file = tempfile::Builder::new().prefix(".pre-push").tempfile_in(hooks)?;
        io::Write::write_all(&mut file, text(folder).as_bytes())?;
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o755))?;
        file.persist(&path)?;
        Ok(())
    };
    write().map_err(|error| untaken(&path, &error))?;
    Ok(path)
}

/// Removes the hook from `hooks`. Returns the file, or none where there was none.
///
/// # Errors
/// When the hook that is there is not ours, or the disk does not let go of it.
pub fn remove(hooks: &Path) -> Result<Option<PathBuf>, Problem> {
    let path = hooks.join("pre-push");
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(untaken(&path, &error)),
        Ok(there) if !there.contains(MARK) => Err(Problem::mend(
            format!("the pre-push hook is not ours, so it stays: {}", path.display()),
            format!("$EDITOR {}", path.display()),
        )),
        Ok(_) => fs::remove_file(&path).map(|()| Some(path.clone())).map_err(|error| untaken(&path, &error)),
    }
}

fn untaken(path: &Path, error: &io::Error) -> Problem {
    Problem::mend(
        format!("the hook {} cannot be changed: {error}", path.display()),
        format!("ls -l {}", path.display()),
    )
}

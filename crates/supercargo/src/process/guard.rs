//! A process beside ours that outlives it, and ends what it leaves behind when it is killed.

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ChildStdin, Stdio};
use std::sync::{Mutex, PoisonError};

use super::{Call, kill};

/// The argument by which this program is the guard.
pub const ARGUMENT: &str = "__guard";

/// The pipe to the guard. When it closes, because we are gone, the guard acts.
static PIPE: Mutex<Option<ChildStdin>> = Mutex::new(None);

/// Starts the guard. Where that fails, a killed gate leaves its children to end by themselves.
pub fn start() {
    *PIPE.lock().unwrap_or_else(PoisonError::into_inner) = spawn();
}

fn spawn() -> Option<ChildStdin> {
    let program = env::current_exe().ok()?;
    let call = Call::new(Path::new("/"), |shell| shell.cmd(program).arg(ARGUMENT)).ok()?;
    let mut command = call.command;
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().ok()?.stdin.take()
}

/// Puts a group under guard.
pub fn watch(group: i32) {
    tell(&format!("+{group}\n"));
}

/// Releases a group that has ended.
pub fn release(group: i32) {
    tell(&format!("-{group}\n"));
}

fn tell(line: &str) {
    let mut pipe = PIPE.lock().unwrap_or_else(PoisonError::into_inner);
    if pipe.as_mut().is_some_and(|pipe| pipe.write_all(line.as_bytes()).is_err()) {
        *pipe = None;
    }
}

/// The guard itself: reads which groups run until the pipe closes, and ends those that are left.
pub fn run() {
    let mut groups: BTreeSet<i32> = BTreeSet::new();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match (line.get(..1), line.get(1..).and_then(|group| group.parse().ok())) {
            (Some("+"), Some(group)) => _ = groups.insert(group),
            (Some("-"), Some(group)) => _ = groups.remove(&group),
            _ => {}
        }
    }
    groups.into_iter().for_each(kill);
}

//! Child processes: each in a group of its own, with a time limit, and none left behind.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use supercargo_plan::problem::{Exit, Problem};
use xshell::{Cmd, Shell};

/// The groups that run now, to be ended when a person interrupts.
static LIVE: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// A process to be started, as a value: to be shown or run.
pub struct Call {
    command: Command,
    shown: String,
}

impl Call {
    /// A call from `folder`, put together by `build`.
    ///
    /// # Errors
    /// When there is no current folder to start from.
    pub fn new(folder: &Path, build: impl for<'s> FnOnce(&'s Shell) -> Cmd<'s>) -> Result<Self, Problem> {
        let shell = Shell::new().map_err(|error| Problem::mend(error.to_string(), "cd into the workspace"))?;
        shell.change_dir(folder);
        let command = build(&shell);
        let shown = command.to_string();
        Ok(Self { command: Command::from(command), shown })
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// What a process left.
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error, as text.
    pub stderr: String,
}

/// Runs `call` to its end, `input` on its standard input, for at most `limit`.
///
/// # Errors
/// When it cannot be started, or takes longer than it may: then its whole group is killed.
pub fn output(call: Call, input: Option<Vec<u8>>, limit: Duration) -> Result<Output, Problem> {
    let Call { mut command, shown } = call;
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.spawn().map_err(|error| {
        let program = command.get_program().to_string_lossy().into_owned();
        Problem::mend(format!("`{program}` does not start: {error}"), format!("install {program}, or put it on PATH"))
    })?;
    let group = i32::try_from(child.id()).unwrap_or(i32::MAX);
    live().insert(group);
    let (done, is_done) = channel::<()>();
    let timed_out = Arc::new(AtomicBool::new(false));
    let expired = Arc::clone(&timed_out);
    let watch = std::thread::spawn(move || {
        if is_done.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            expired.store(true, Ordering::Release);
            kill(group);
        }
    });
    let feed = child.stdin.take().zip(input).map(|(mut pipe, input)| {
        // A reader that ends early closes the pipe; its exit status tells why.
        std::thread::spawn(move || pipe.write_all(&input).ok())
    });
    let output = child.wait_with_output();
    live().remove(&group);
    drop(done);
    watch.join().ok();
    feed.map(std::thread::JoinHandle::join);
    if timed_out.load(Ordering::Acquire) {
        let what = format!("`{shown}` took longer than {} s and was ended", limit.as_secs());
        return Err(Problem { exit: Exit::TimedOut, what, mend: shown });
    }
    let output = output.map_err(|error| Problem::mend(format!("`{shown}` cannot be read: {error}"), shown))?;
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Ok(Output { status: output.status, stdout: output.stdout, stderr })
}

fn live() -> std::sync::MutexGuard<'static, BTreeSet<i32>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kill(group: i32) {
    if let Some(pid) = Pid::from_raw(group) {
        kill_process_group(pid, Signal::KILL).ok();
    }
}

/// From here on, an interrupt ends every group that runs and then this process.
pub fn end_on_interrupt() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM]) else { return };
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            live().iter().for_each(|group| kill(*group));
            std::process::exit(i32::from(Exit::Interrupted as u8));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn sh(script: &str) -> Call {
        Call::new(Path::new("/"), |shell| shell.cmd("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn a_process_that_hangs_is_ended_with_its_children() {
        let start = Instant::now();
        // The grandchild holds the pipe open: only the end of the whole group closes it.
        let problem = output(sh("sleep 60 & sleep 60"), None, Duration::from_millis(200)).err().unwrap();
        assert_eq!(problem.exit, Exit::TimedOut);
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn input_output_and_status_come_through() {
        let done = output(sh("cat; echo oops >&2; exit 3"), Some(b"hello".to_vec()), Duration::from_secs(60)).unwrap();
        assert_eq!(
            (done.stdout.as_slice(), done.stderr.as_str(), done.status.code()),
            (&b"hello"[..], "oops", Some(3))
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let call = Call::new(Path::new("/"), |shell| shell.cmd("no-such-program-here")).unwrap();
        let problem = output(call, None, Duration::from_secs(1)).err().unwrap();
        assert!(problem.what.contains("no-such-program-here"), "{problem}");
    }
}

//! Child processes: each in a group of its own, with a time limit, and none left behind.

pub mod guard;
mod stream;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use supercargo_plan::problem::{Exit, Problem};
use xshell::{Cmd, Shell};

pub use stream::{LONGEST_LINE, LONGEST_MESSAGE, Source, Terms, stream};

/// The groups that run now, to be ended when a person interrupts.
static LIVE: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Whether a person interrupted us.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether the verb that runs ends by itself once it is interrupted.
static ENDS_ITSELF: AtomicBool = AtomicBool::new(false);

/// The variable that no child gets.
static WITHHELD: Mutex<Option<String>> = Mutex::new(None);

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
        let mut command = Command::from(command);
        if let Some(name) = &*WITHHELD.lock().unwrap_or_else(PoisonError::into_inner) {
            command.env_remove(name);
        }
        Ok(Self { command, shown })
    }

    /// The same call with nothing in its environment but `variables`.
    #[must_use]
    pub fn with_environment(mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        self.command.env_clear().envs(variables);
        self
    }

    /// The same call, taking turns with others that share `jobs`.
    #[must_use]
    pub fn with_jobs(mut self, jobs: &Jobs) -> Self {
        jobs.0.configure(&mut self.command);
        self
    }
}

/// Jobs that several processes share: each has one, and takes more from here (the protocol of GNU make's jobserver).
pub struct Jobs(jobserver::Client);

impl Jobs {
    /// So many jobs to share besides the one that each process has.
    ///
    /// # Errors
    /// When there is no pipe to share them by.
    pub fn new(shared: usize) -> std::io::Result<Self> {
        jobserver::Client::new(shared).map(Self)
    }

    /// Shares one more.
    pub fn share_one(&self) {
        // Where nobody takes it, nobody misses it.
        self.0.release_raw().ok();
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
    let mut running = live();
    if interrupted() {
        return Err(Problem { exit: Exit::Interrupted, what: "interrupted".into(), mend: shown });
    }
    let mut child = command.spawn().map_err(|error| {
        let program = command.get_program().to_string_lossy().into_owned();
        Problem::mend(format!("`{program}` does not start: {error}"), format!("install {program}, or put it on PATH"))
    })?;
    let group = i32::try_from(child.id()).unwrap_or(i32::MAX);
    running.insert(group);
    drop(running);
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

/// Ends a group, and what its processes started that has a group of its own: cargo-nextest gives one to each test, and
/// does not come to end them when it is killed itself.
fn kill(group: i32) {
    let Some(leader) = Pid::from_raw(group) else { return };
    // Stopped, it starts nothing while we look.
    kill_process_group(leader, Signal::STOP).ok();
    let family = family(group);
    for pid in family.iter().filter_map(|id| Pid::from_raw(*id)) {
        kill_process_group(pid, Signal::KILL).ok();
        kill_process(pid, Signal::KILL).ok();
    }
    kill_process_group(leader, Signal::KILL).ok();
}

/// The processes of a group, and all that descend from them, where the system tells (Linux).
fn family(group: i32) -> BTreeSet<i32> {
    let ids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let all: Vec<(i32, i32, i32)> = ids
        .filter_map(|id| {
            // `id (name) state parent group ..`; the name may hold anything.
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(1).map(str::parse::<i32>);
            Some((id, fields.next()?.ok()?, fields.next()?.ok()?))
        })
        .collect();
    let mut family: BTreeSet<i32> = all.iter().filter(|(_, _, its)| *its == group).map(|(id, ..)| *id).collect();
    loop {
        let more: Vec<i32> = all
            .iter()
            .filter(|(id, parent, _)| family.contains(parent) && !family.contains(id))
            .map(|(id, ..)| *id)
            .collect();
        if more.is_empty() {
            return family;
        }
        family.extend(more);
    }
}

/// From here on, an interrupt ends every group that runs, and then this process; a second one in any case.
pub fn end_on_interrupt() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM]) else { return };
    std::thread::spawn(move || {
        for _ in signals.forever() {
            let again = INTERRUPTED.swap(true, Ordering::AcqRel);
            live().iter().for_each(|group| kill(*group));
            if again || !ENDS_ITSELF.load(Ordering::Acquire) {
                std::process::exit(i32::from(Exit::Interrupted as u8));
            }
        }
    });
}

/// From here on, no child gets the variable `name`: it holds credentials of ours.
pub fn withhold(name: &str) {
    *WITHHELD.lock().unwrap_or_else(PoisonError::into_inner) = Some(name.to_owned());
}

/// Says that the verb tells what became of it before it ends, when it is interrupted.
pub fn ends_itself() {
    ENDS_ITSELF.store(true, Ordering::Release);
}

/// Whether a person interrupted us.
#[must_use]
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Acquire)
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

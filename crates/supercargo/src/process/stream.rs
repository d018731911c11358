//! A process whose output is read line by line while it runs, in bounded memory.

use std::io::{PipeReader, Read, pipe};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use supercargo_plan::verdict::Verdict;
use supercargo_plan::verdicts::End;

use super::{Call, guard, interrupted, kill, live};

/// Longest line of what is read by people: what is longer comes in parts.
pub const LONGEST_LINE: usize = 64 * 1024;

/// Longest line of what is read by machines: half of a message is none.
pub const LONGEST_MESSAGE: usize = 64 * 1024 * 1024;

/// How often it is asked whether to stop.
const PULSE: Duration = Duration::from_millis(50);

/// How long the output of a process that has ended may go on, when something it started holds it open.
const GRACE: Duration = Duration::from_secs(2);

/// Where a line was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// On standard output; on either, where both are one.
    Stdout,
    /// On standard error.
    Stderr,
}

/// A line, and where it was printed.
type Line = (Source, Vec<u8>);

/// How a process is to be run.
pub struct Terms<'a> {
    /// How long it may take.
    pub limit: Duration,
    /// Whether both streams are read as one, in the order in which they are written.
    pub merged: bool,
    /// Longest line of standard output, in bytes.
    pub longest: usize,
    /// Asked again and again: the verdict, where it is to be ended before its end.
    pub halt: &'a dyn Fn() -> Option<Verdict>,
}

/// Runs `call`, handing over each line without its end. Its whole group is gone when this returns.
pub fn stream(call: Call, terms: &Terms<'_>, read: &mut dyn FnMut(Source, &[u8])) -> End {
    if let Some(verdict) = (terms.halt)() {
        return End::Stopped(verdict);
    }
    // Whoever interrupts us ends all that runs: nothing starts between that and our end.
    let mut running = live();
    if interrupted() {
        return End::Stopped(Verdict::Interrupted);
    }
    let (child, lines) = match start(call, terms) {
        Ok(started) => started,
        Err(why) => return End::NotStarted(why),
    };
    let group = i32::try_from(child.id()).unwrap_or(i32::MAX);
    running.insert(group);
    drop(running);
    guard::watch(group);
    let ended = follow(child, group, terms, &lines, read);
    // Whatever it left behind goes as well.
    kill(group);
    live().remove(&group);
    guard::release(group);
    ended
}

fn start(call: Call, terms: &Terms<'_>) -> Result<(Child, Receiver<Line>), String> {
    let Call { mut command, .. } = call;
    let program = command.get_program().to_string_lossy().into_owned();
    let unstarted = |error: std::io::Error| format!("`{program}` does not start: {error}");
    let (reader, writer) = pipe().map_err(unstarted)?;
    let mut readers = vec![(Source::Stdout, reader)];
    if terms.merged {
        command.stderr(writer.try_clone().map_err(unstarted)?);
    } else {
        let (reader, writer) = pipe().map_err(unstarted)?;
        readers.push((Source::Stderr, reader));
        command.stderr(writer);
    }
    command.stdout(writer).stdin(Stdio::null()).process_group(0);
    let child = command.spawn().map_err(unstarted)?;
    // The command holds the ends that are written to: with it gone, the end of output is seen.
    drop(command);
    let (sender, lines) = sync_channel(256);
    for (source, reader) in readers {
        let sender = sender.clone();
        let longest = if source == Source::Stdout { terms.longest } else { LONGEST_LINE };
        thread::spawn(move || pump(source, reader, longest, &sender));
    }
    Ok((child, lines))
}

/// Parts what is read into lines.
fn pump(source: Source, mut reader: PipeReader, longest: usize, sender: &SyncSender<Line>) {
    let mut chunk = vec![0; 64 * 1024];
    let mut line: Vec<u8> = Vec::new();
    loop {
        let n = match reader.read(&mut chunk) {
            Ok(n) => n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => 0,
        };
        if n == 0 {
            break;
        }
        for part in chunk[..n].split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if line.ends_with(b"\n") || line.len() >= longest {
                if line.ends_with(b"\n") {
                    line.pop();
                }
                if sender.send((source, std::mem::take(&mut line))).is_err() {
                    return;
                }
            }
        }
    }
    if !line.is_empty() {
        sender.send((source, line)).ok();
    }
}

fn follow(
    mut child: Child,
    group: i32,
    terms: &Terms<'_>,
    lines: &Receiver<Line>,
    read: &mut dyn FnMut(Source, &[u8]),
) -> End {
    let deadline = Instant::now() + terms.limit;
    let mut why = None;
    let mut ended: Option<(ExitStatus, Instant)> = None;
    let mut next_check = Instant::now() + PULSE;
    loop {
        match lines.recv_timeout(PULSE) {
            Ok((source, line)) => read(source, &line),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = Instant::now();
        if now < next_check {
            continue;
        }
        next_check = now + PULSE;
        if why.is_none() && ended.is_none() {
            why = (terms.halt)().map(End::Stopped);
            if now >= deadline {
                why = why.or(Some(End::TimedOut(terms.limit.as_secs())));
            }
            if why.is_some() {
                kill(group);
            }
        }
        if ended.is_none() {
            ended = child.try_wait().ok().flatten().map(|status| (status, now));
        }
        match ended {
            Some((_, at)) if now > at + GRACE => kill(group),
            _ => {}
        }
        // Something that left the group holds the output open: it is not waited for.
        if ended.is_some_and(|(_, at)| now > at + 2 * GRACE) {
            break;
        }
    }
    let status = match ended {
        Some((status, _)) => Ok(status),
        None => wait(&mut child, group, terms, deadline, &mut why),
    };
    match (why, status) {
        (Some(why), _) => why,
        (None, Err(error)) => End::NotStarted(format!("its end cannot be seen: {error}")),
        // Whoever interrupts us ends the group as well: what dies of that is not to blame.
        (None, Ok(status)) if status.signal().is_some() && (terms.halt)().is_some() => {
            (terms.halt)().map_or(End::Signalled(0), End::Stopped)
        }
        (None, Ok(status)) => match (status.code(), status.signal()) {
            (Some(code), _) => End::Exited(code),
            (None, signal) => End::Signalled(signal.unwrap_or_default()),
        },
    }
}

/// Waits for a process that has closed its output and goes on.
fn wait(
    child: &mut Child,
    group: i32,
    terms: &Terms<'_>,
    deadline: Instant,
    why: &mut Option<End>,
) -> std::io::Result<ExitStatus> {
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if why.is_none() {
            *why = (terms.halt)().map(End::Stopped);
            if Instant::now() >= deadline {
                *why = Some(End::TimedOut(terms.limit.as_secs()));
            }
            if why.is_some() {
                kill(group);
            }
        }
        thread::sleep(pause);
        pause = (pause * 2).min(PULSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn run(script: &str, limit: u64, merged: bool, halt: &dyn Fn() -> Option<Verdict>) -> (End, Vec<String>) {
        let call = Call::new(Path::new("/"), |shell| shell.cmd("sh").args(["-c", script])).unwrap();
        let mut lines = Vec::new();
        let terms = Terms { limit: Duration::from_millis(limit), merged, longest: LONGEST_LINE, halt };
        let end = stream(call, &terms, &mut |_, line| lines.push(String::from_utf8_lossy(line).into_owned()));
        (end, lines)
    }

    #[test]
    fn lines_come_in_order_and_the_last_needs_no_end() {
        let (end, lines) = run("echo a; echo b >&2; printf c; exit 3", 60_000, true, &|| None);
        assert_eq!((end, lines), (End::Exited(3), vec!["a".into(), "b".into(), "c".into()]));
    }

    #[test]
    fn a_signal_a_hang_and_a_halt_are_told_apart() {
        assert_eq!(run("kill -9 $$", 60_000, false, &|| None).0, End::Signalled(9));
        assert_eq!(run("sleep 60 & sleep 60", 200, false, &|| None).0, End::TimedOut(0));
        assert_eq!(run("exec >&- 2>&-; sleep 60", 200, false, &|| None).0, End::TimedOut(0));
        let start = Instant::now();
        let halt = || (start.elapsed() > Duration::from_millis(100)).then_some(Verdict::Interrupted);
        assert_eq!(run("sleep 60", 60_000, false, &halt).0, End::Stopped(Verdict::Interrupted));
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn what_is_left_behind_does_not_hold_the_step() {
        let start = Instant::now();
        assert_eq!(run("sleep 60 & exit 0", 60_000, false, &|| None).0, End::Exited(0));
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_line_without_end_comes_in_parts() {
        let (end, lines) = run("head -c 5000000 /dev/zero", 60_000, false, &|| None);
        assert_eq!(end, End::Exited(0));
        assert_eq!(lines.iter().map(String::len).sum::<usize>(), 5_000_000);
        assert!(lines.iter().all(|line| line.len() <= LONGEST_LINE + 64 * 1024));
    }
}

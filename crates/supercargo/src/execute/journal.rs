//! The folder of a run: events as they happen, logs, and what is made of them at the end.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use supercargo_plan::plan::StepId;
use tempfile::TempDir;

use super::event::{Event, SCHEMA};

/// Runs whose folders are kept.
const KEPT: usize = 20;

/// Most bytes of a log, before its middle is left out.
const LONGEST_LOG: usize = 32 * 1024 * 1024;

/// Bytes of the end that are kept of a log that is too long.
const END: usize = 256 * 1024;

/// The folder of one run.
pub struct Journal {
    /// `target/xtask/gate/<run>`.
    pub folder: PathBuf,
    /// When the run started.
    pub started: Instant,
    events: Mutex<Option<File>>,
    /// Stands in for a folder that cannot be made, as long as the run goes on.
    temporary: Option<TempDir>,
}

impl Journal {
    /// Opens a folder for a run of `verb` below the target folder. Where the disk does not take it, the run goes on
    /// without, and the reason is told.
    pub fn open(target: &Path, verb: &str) -> (Self, Option<String>) {
        let all = target.join("xtask").join(verb);
        let now = DateTime::<Utc>::from(SystemTime::now()).format("%Y%m%dT%H%M%S%.3fZ").to_string().replace('.', "");
        let name = format!("{now}-{}", std::process::id());
        let folder = all.join(&name);
        let open = || -> io::Result<File> {
            fs::create_dir_all(folder.join("logs"))?;
            let events = File::create(folder.join("events.jsonl"))?;
            // A link is replaced as a whole, so that it never leads nowhere.
            let link = all.join(format!(".latest-{name}"));
            std::os::unix::fs::symlink(&name, &link)?;
            fs::rename(&link, all.join("latest"))?;
            prune(&all);
            Ok(events)
        };
        let (events, trouble) = match open() {
            Ok(events) => (Some(events), None),
            Err(error) => (None, Some(format!("the folder of this run cannot be kept: {error}"))),
        };
        let temporary = trouble.as_ref().and_then(|_| tempfile::tempdir().ok());
        let folder = temporary.as_ref().map_or(folder, |folder| folder.path().to_owned());
        (Self { folder, started: Instant::now(), events: Mutex::new(events), temporary }, trouble)
    }

    /// Appends an event, and has it on disk before going on.
    pub fn append(&self, event: &Event) {
        let mut value = match serde_json::to_value(event) {
            Ok(Value::Object(fields)) => fields,
            _ => return,
        };
        value.insert("schema".into(), SCHEMA.into());
        value.insert("at".into(), json!(self.started.elapsed().as_secs_f64()));
        let line = format!("{}\n", Value::Object(value));
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = events.as_mut() {
            // The end of a full disk is told by what is written last.
            file.write_all(line.as_bytes()).and_then(|()| file.flush()).ok();
        }
    }

    /// Writes a file of the folder.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn write(&self, name: &str, text: &str) -> io::Result<()> {
        if self.temporary.is_some() {
            return Ok(());
        }
        fs::write(self.folder.join(name), text)
    }

    /// Opens the log of a step.
    #[must_use]
    pub fn log(&self, step: &StepId) -> Log {
        Log { file: File::create(self.folder.join("logs").join(step.log())).ok(), written: 0, end: Vec::new() }
    }
}

/// Removes the folders of old runs: those that ended, and those that were killed.
fn prune(all: &Path) {
    let mut runs: Vec<PathBuf> = fs::read_dir(all).into_iter().flatten().flatten().map(|run| run.path()).collect();
    runs.retain(|run| run.is_dir() && !run.is_symlink());
    runs.sort();
    let many = runs.len().saturating_sub(KEPT);
    let goes_on = |run: &PathBuf| {
        let id = run.file_name().and_then(|name| name.to_str()?.rsplit_once('-')?.1.parse::<u32>().ok());
        id.is_some_and(|id| Path::new(&format!("/proc/{id}")).exists())
    };
    // One that goes on beside us is left alone.
    for run in runs[..many].iter().filter(|run| !goes_on(run)) {
        fs::remove_dir_all(run).ok();
    }
}

/// A log: all that a step printed, without the middle of what is too long.
pub struct Log {
    file: Option<File>,
    written: usize,
    end: Vec<u8>,
}

impl Log {
    /// Adds a line.
    pub fn line(&mut self, line: &[u8]) {
        if self.written < LONGEST_LOG {
            self.written += line.len() + 1;
            self.put(line);
            return;
        }
        self.written += line.len() + 1;
        self.end.extend_from_slice(line);
        self.end.push(b'\n');
        if self.end.len() > 2 * END {
            self.end.drain(..self.end.len() - END);
        }
    }

    fn put(&mut self, line: &[u8]) {
        if let Some(file) = self.file.as_mut()
            && file.write_all(line).and_then(|()| file.write_all(b"\n")).is_err()
        {
            self.file = None;
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if !self.end.is_empty() {
            let end = std::mem::take(&mut self.end);
            let left_out = self.written - LONGEST_LOG.min(self.written) - end.len().min(self.written);
            self.put(format!(".. {left_out} bytes left out ..").as_bytes());
            self.put(&end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_a_folder_and_latest_leads_to_the_newest() {
        let target = tempfile::tempdir().unwrap();
        let (first, trouble) = Journal::open(target.path(), "gate");
        assert_eq!(trouble, None);
        first.append(&Event::RunFinished { exit: 0, seconds: 1.0 });
        let text = fs::read_to_string(target.path().join("xtask/gate/latest/events.jsonl")).unwrap();
        let event: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((event["reason"].as_str(), event["schema"].as_u64()), (Some("run-finished"), Some(1)));
    }

    #[test]
    fn a_log_that_is_too_long_keeps_its_beginning_and_end() {
        let target = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(target.path(), "gate");
        let mut log = journal.log(&StepId::new("test", Some("a/b")));
        let line = vec![b'x'; 1024 * 1024];
        (0..40).for_each(|_| log.line(&line));
        log.line(b"the end");
        drop(log);
        let text = fs::read(journal.folder.join("logs/test.a_b.log")).unwrap();
        assert!(text.len() < 34 * 1024 * 1024, "{}", text.len());
        assert!(text.ends_with(b"the end\n\n") && text.windows(14).any(|window| window == b"bytes left out"));
    }
}

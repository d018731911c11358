//! The only place that prints: values to text, text to the terminal.

pub mod github;
pub mod graph;
pub mod json;
pub mod text;

use std::env;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write as _};

use supercargo_plan::problem::Problem;

/// Prints data on stdout. A reader that has seen enough is no fault.
///
/// # Errors
/// When stdout does not take it, as on a full disk.
pub fn data(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Says something to a person, on stderr.
pub fn say(text: &str) {
    let mut stderr = io::stderr().lock();
    // Where nobody can hear, there is nobody to tell.
    stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()).ok();
}

/// Appends output lines to the file that GitHub Actions names in $GITHUB_OUTPUT, when it does.
///
/// # Errors
/// When the file does not take them.
pub fn append_outputs(lines: &str) -> Result<(), Problem> {
    let Some(path) = env::var_os("GITHUB_OUTPUT").filter(|path| !path.is_empty()) else { return Ok(()) };
    let file = OpenOptions::new().append(true).create(true).open(&path);
    file.and_then(|mut file| file.write_all(lines.as_bytes())).map_err(|error| {
        Problem::mend(format!("$GITHUB_OUTPUT does not take the answer: {error}"), "unset GITHUB_OUTPUT")
    })
}

//! The only place that prints: values to text, text to the terminal.

pub mod build;
pub mod gate;
pub mod github;
pub mod graph;
pub mod json;
pub mod terminal;
pub mod text;
pub mod words;

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};

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

/// Whether a person may be looking at what is said.
#[must_use]
pub fn is_terminal() -> bool {
    io::stderr().is_terminal()
}

//! The terminal goes on telling while work is done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::cli::Colour;
use crate::report::terminal::{Terminal, Voice};

/// How a person wants to be spoken to.
#[must_use]
pub fn voice(colour: Colour, quiet: bool, verbose: bool) -> Voice {
    let colour = match colour {
        Colour::Auto => None,
        Colour::Always => Some(true),
        Colour::Never => Some(false),
    };
    Voice::new(colour, quiet, verbose)
}

/// Ends the beat when it goes.
struct EndOfBeat<'a> {
    over: &'a AtomicBool,
    beat: &'a thread::Thread,
}

impl Drop for EndOfBeat<'_> {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        self.beat.unpark();
    }
}

/// Does `work`, while the terminal goes on telling how long it takes.
pub fn beating<R>(terminal: &Terminal, work: impl FnOnce() -> R) -> R {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let beat = scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                thread::park_timeout(Duration::from_millis(250));
                terminal.beat();
            }
        });
        // Also when the work panics: else nobody would ever end the beat.
        let _ended = EndOfBeat { over: &over, beat: beat.thread() };
        work()
    })
}

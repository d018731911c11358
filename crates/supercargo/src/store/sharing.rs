//! Results of other machines: asked for all at once before the plan is made, and sent while the run goes on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use supercargo_artifact::action_result::ActionResult;
use supercargo_artifact::digest::Digest;

use super::Remote;
use super::envelope::{Opened, open};

/// How many questions are asked at once.
const QUESTIONS: usize = 8;

/// How many answers are sent at once.
const SENDERS: usize = 2;

/// How long all questions may take together.
const ASKED_FOR: Duration = Duration::from_secs(10);

/// How long the end of a run waits for what is still to be sent.
const SENT_FOR: Duration = Duration::from_secs(10);

/// The shared store as a cache of results.
pub struct Sharing {
    remote: Arc<Remote>,
    post: Mutex<Option<Post>>,
}

/// What is on its way to the shared store.
struct Post {
    letters: Sender<(Digest, Vec<u8>)>,
    /// Closes when everything is sent.
    sent: Receiver<()>,
}

impl Sharing {
    /// Results in `remote`.
    #[must_use]
    pub fn new(remote: Arc<Remote>) -> Self {
        Self { remote, post: Mutex::default() }
    }

    /// Asks for all of `keys` at once, and hands what is found to `found`: an entry names its key itself, or it is none.
    pub fn ask<T: DeserializeOwned>(&self, keys: &[Digest], found: &(impl Fn(&Digest, Opened<T>) + Sync)) {
        let (next, until) = (AtomicUsize::new(0), Instant::now() + ASKED_FOR);
        let ask = || {
            while let Some(key) = keys.get(next.fetch_add(1, Ordering::Relaxed)) {
                if Instant::now() >= until {
                    self.remote.close("is too slow to be of use");
                }
                if !self.remote.is_on() {
                    return;
                }
                let Some(message) = self.remote.action(key, until) else { continue };
                match ActionResult::decode(&message).and_then(|result| open(key, result.stdout)) {
                    Some(opened) => found(key, opened),
                    None => self.remote.distrust(),
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..QUESTIONS.min(keys.len()) {
                scope.spawn(ask);
            }
        });
    }

    /// Sends an entry, while the run goes on.
    pub fn send(&self, key: Digest, entry: Vec<u8>) {
        if !self.remote.writes() {
            return;
        }
        let mut post = self.post.lock().unwrap_or_else(PoisonError::into_inner);
        let post = post.get_or_insert_with(|| self.open_post());
        // Where nobody takes it any more, the shared store is off.
        post.letters.send((key, entry)).ok();
    }

    fn open_post(&self) -> Post {
        let (letters, received) = channel::<(Digest, Vec<u8>)>();
        let (done, sent) = channel::<()>();
        let received = Arc::new(Mutex::new(received));
        for _ in 0..SENDERS {
            let (remote, received, done) = (Arc::clone(&self.remote), Arc::clone(&received), done.clone());
            thread::spawn(move || {
                let next = || received.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
                while let Some((key, entry)) = next() {
                    let result = ActionResult { output_files: Vec::new(), stdout: entry };
                    remote.put_action(&key, &result.encode());
                }
                drop(done);
            });
        }
        Post { letters, sent }
    }

    /// Waits until all is sent, but not for long.
    pub fn finish(&self) {
        let post = self.post.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Post { letters, sent }) = post else { return };
        drop(letters);
        if sent.recv_timeout(SENT_FOR) == Err(RecvTimeoutError::Timeout) {
            self.remote.close("is too slow to take all that passed");
        }
    }

    /// What a person should know.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.remote.notes()
    }
}

//! A store that several machines share: any server of Bazel's HTTP cache protocol, which never fails or stalls a run.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use supercargo_artifact::action_result;
use supercargo_artifact::digest::Digest;
use supercargo_plan::facts::shared::Shared;
use ureq::Agent;
use ureq::http::Response;

use super::transfer::{Fault, Fetched, agent, authorization, broken, failed, pour};

/// How long a small question may take, all attempts together.
pub const QUESTION: Duration = Duration::from_secs(5);

/// How long a blob may take, all attempts together, besides a second for each MiB.
const BLOB: Duration = Duration::from_secs(10);

/// The largest blob that is read where nobody says how large it is.
const LARGEST: u64 = 512 << 20;

/// How often a question is asked that fails in passing.
const ATTEMPTS: u32 = 3;

/// The shared store. After its first lasting failure it is off for the rest of the run, which is said once.
pub struct Remote {
    agent: Agent,
    url: String,
    /// The header's value; none where nothing is to be sent.
    authorization: Option<String>,
    /// The variable that policy names.
    variable: Option<String>,
    off: AtomicBool,
    writes: AtomicBool,
    /// What a person should know, by what it is about.
    notes: Mutex<BTreeMap<Note, String>>,
    /// Names under which the server has something else.
    lies: Mutex<u32>,
    /// Those of them that are blobs: what is there is replaced.
    spoilt: Mutex<BTreeSet<Digest>>,
}

/// What a note is about: one of each is said.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Note {
    Off,
    ReadOnly,
    TooLarge,
}

/// What became of something that was to be put there.
enum Put {
    Taken,
    TooLarge,
    /// Our own disk did not give it.
    Unread,
    Refused(u16),
}

impl Remote {
    /// The shared store of policy, with the credentials of this process.
    #[must_use]
    pub fn open(shared: &Shared) -> Self {
        let secret = shared.credentials.as_ref().and_then(|name| env::var(name).ok());
        Self::new(shared, secret.as_deref())
    }

    /// The shared store, with `secret` as credentials.
    fn new(shared: &Shared, secret: Option<&str>) -> Self {
        let secret = secret.map(str::trim).filter(|secret| !secret.is_empty());
        // Policy refuses credentials for what is neither; whatever policy says, they are not sent there.
        let private = shared.is_encrypted() || shared.is_loopback();
        let remote = Self {
            agent: agent(shared),
            url: shared.url.clone(),
            authorization: secret.filter(|_| private).map(authorization),
            variable: shared.credentials.clone(),
            off: AtomicBool::new(false),
            writes: AtomicBool::new(shared.writes && (secret.is_some() || shared.credentials.is_none())),
            notes: Mutex::default(),
            lies: Mutex::default(),
            spoilt: Mutex::default(),
        };
        if shared.writes
            && let Some(name) = shared.credentials.as_ref().filter(|_| secret.is_none())
        {
            remote.note(Note::ReadOnly, format!("the shared store is only read, as {name} is not set"));
        }
        if shared.is_encrypted() && !cfg!(feature = "tls") {
            let mend = "in xtask/Cargo.toml: supercargo = { .., features = [\"tls\"] }";
            remote.close(&format!("is https, and this xtask was compiled without TLS; {mend}"));
        }
        if secret.is_some_and(|secret| !secret.bytes().all(|b| b == b' ' || b.is_ascii_graphic())) {
            remote.close(&format!("cannot be asked: {} holds what no header may", remote.variable()));
        }
        remote
    }

    /// Whether anything is still asked of it.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.off.load(Ordering::Acquire)
    }

    /// Whether anything is still put there.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.is_on() && self.writes.load(Ordering::Acquire)
    }

    /// Asks nothing of it any more, because it `does` something.
    pub fn close(&self, does: &str) {
        if !self.off.swap(true, Ordering::AcqRel) {
            self.note(Note::Off, format!("the shared store {} {does}; this run goes on without it", self.url));
        }
    }

    /// Counts what the server gave for another thing than was asked for.
    pub fn distrust(&self) {
        *self.lies.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }

    /// What a person should know: once, however often it happened. Credentials are not in it.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> =
            self.notes.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let lies = *self.lies.lock().unwrap_or_else(PoisonError::into_inner);
        if lies > 0 {
            let what = format!("{lies} entries of the shared store {} are not what they are called", self.url);
            notes.push(format!("{what}: ignored, and made anew"));
        }
        notes
    }

    fn note(&self, about: Note, text: String) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).entry(about).or_insert(text);
    }

    fn variable(&self) -> &str {
        self.variable.as_deref().unwrap_or_default()
    }

    /// The message under `/ac/<key>`, asked for until `until` at most. It is whatever the server says that it is: the
    /// entry in it must name the key itself.
    pub fn action(&self, key: &Digest, until: Instant) -> Option<Vec<u8>> {
        let url = format!("{}/ac/{key}", self.url);
        let until = until.min(Instant::now() + QUESTION);
        self.attempts(until, |left| {
            let Some(mut answer) = self.get(&url, left)? else { return Ok(None) };
            let mut bytes = Vec::new();
            let limit = action_result::LONGEST as u64 + 1;
            answer.body_mut().as_reader().take(limit).read_to_end(&mut bytes).map_err(|error| broken(&error))?;
            Ok(Some(bytes))
        })?
    }

    /// Puts a message under `/ac/<key>`. The blobs that it names must be there.
    pub fn put_action(&self, key: &Digest, message: &[u8]) -> bool {
        let url = format!("{}/ac/{key}", self.url);
        let until = Instant::now() + QUESTION;
        // What is longer, nobody would read.
        let fits = message.len() <= action_result::LONGEST;
        fits && self.writes() && self.put(until, message.len() as u64, |left| self.send(&url, left, message))
    }

    /// Fetches `/cas/<digest>` into `file`; whether it holds that, and nothing else, in the end.
    pub fn blob(&self, digest: &Digest, size: Option<u64>, file: &mut File) -> bool {
        let url = format!("{}/cas/{digest}", self.url);
        let largest = size.unwrap_or(LARGEST);
        let until = Instant::now() + BLOB + for_size(largest);
        let fetched = self.attempts(until, |left| {
            let Some(mut answer) = self.get(&url, left)? else { return Ok(Fetched::Missing) };
            let start = Instant::now();
            // Whatever size it is said to have: what comes slower than that is not waited for.
            let in_time = |total| start.elapsed() < BLOB + for_size(total);
            pour(&mut answer.body_mut().as_reader(), (digest, largest), file, &in_time)
        });
        if matches!(fetched, Some(Fetched::Foreign)) {
            self.distrust();
            self.spoilt.lock().unwrap_or_else(PoisonError::into_inner).insert(*digest);
        }
        matches!(fetched, Some(Fetched::Whole))
    }

    /// Puts the file at `path` under `/cas/<digest>`, unless it is there; whether it is there then.
    pub fn put_blob(&self, digest: &Digest, size: u64, path: &Path) -> bool {
        let url = format!("{}/cas/{digest}", self.url);
        let until = Instant::now() + BLOB + for_size(size);
        let there = || {
            if self.spoilt.lock().unwrap_or_else(PoisonError::into_inner).contains(digest) {
                return Some(false);
            }
            self.attempts(Instant::now() + QUESTION, |left| {
                let answer = self.asked(self.agent.head(&url), left).call().map_err(|error| failed(&error))?;
                match answer.status().as_u16() {
                    status @ (500.. | 300..=399 | 408 | 429) => Err(self.refused(status)),
                    status => Ok(status == 200),
                }
            })
        };
        self.writes()
            && there().is_some_and(|there| {
                there
                    || self.put(until, size, |left| match File::open(path) {
                        Ok(file) => self.send(&url, left, &file),
                        // Our own disk is at fault, and not the server.
                        Err(_) => Ok(Put::Unread),
                    })
            })
    }

    fn put(&self, until: Instant, size: u64, mut send: impl FnMut(Duration) -> Result<Put, Fault>) -> bool {
        match self.attempts(until, &mut send) {
            Some(Put::Taken) => return true,
            Some(Put::TooLarge) => {
                let what = format!("the shared store {} does not take {size} bytes at once", self.url);
                self.note(Note::TooLarge, format!("{what}: what is as large is kept here alone"));
            }
            Some(Put::Refused(status)) => {
                self.writes.store(false, Ordering::Release);
                let why = match (status, &self.variable) {
                    (401 | 403, Some(name)) => format!("; credentials come from {name}"),
                    (401 | 403, None) => "; policy names no variable with `credentials`".to_owned(),
                    _ => String::new(),
                };
                let what = format!("the shared store {} answers {status} to what is put there{why}", self.url);
                self.note(Note::ReadOnly, format!("{what}; it is only read"));
            }
            Some(Put::Unread) | None => {}
        }
        false
    }

    fn send(&self, url: &str, left: Duration, body: impl ureq::AsSendBody) -> Result<Put, Fault> {
        let request = self.asked(self.agent.put(url), left).header("Content-Type", "application/octet-stream");
        let answer = request.send(body).map_err(|error| failed(&error))?;
        match answer.status().as_u16() {
            // That it is there already is as good.
            200..=299 | 409 | 412 => Ok(Put::Taken),
            413 => Ok(Put::TooLarge),
            status @ (300..=399 | 408 | 429 | 500..) => Err(self.refused(status)),
            status => Ok(Put::Refused(status)),
        }
    }

    /// The answer to a question; none where there is nothing.
    fn get(&self, url: &str, left: Duration) -> Result<Option<Response<ureq::Body>>, Fault> {
        let answer = self.asked(self.agent.get(url), left).call().map_err(|error| failed(&error))?;
        match answer.status().as_u16() {
            200 => Ok(Some(answer)),
            404 => Ok(None),
            status => Err(self.refused(status)),
        }
    }

    /// A request, with what it needs besides its address.
    fn asked<B>(&self, request: ureq::RequestBuilder<B>, left: Duration) -> ureq::RequestBuilder<B> {
        let request = match &self.authorization {
            Some(value) => request.header("Authorization", value),
            None => request,
        };
        request.config().timeout_global(Some(left)).timeout_per_read(Some(QUESTION)).build()
    }

    /// What an answer means that is none.
    fn refused(&self, status: u16) -> Fault {
        match (status, &self.variable) {
            (401 | 403, Some(name)) => Fault::Lasting(format!("answers {status}; credentials come from {name}")),
            (401 | 403, None) => {
                Fault::Lasting(format!("answers {status}; policy names no variable with `credentials`"))
            }
            (300..=399, _) => Fault::Lasting(format!("answers {status}, and redirects are not followed")),
            (408 | 429 | 500.., _) => Fault::Passing(format!("answers {status}")),
            _ => Fault::Lasting(format!("answers {status}")),
        }
    }

    /// Asks until there is an answer, a few times, and not longer than until `until`.
    fn attempts<T>(&self, until: Instant, mut ask: impl FnMut(Duration) -> Result<T, Fault>) -> Option<T> {
        let mut last = "does not answer in time".to_owned();
        for attempt in 0..ATTEMPTS {
            let left = until.saturating_duration_since(Instant::now());
            if !self.is_on() {
                return None;
            }
            if left.is_zero() {
                break;
            }
            match ask(left) {
                Ok(answer) => return Some(answer),
                Err(Fault::Lasting(why)) => {
                    self.close(&why);
                    return None;
                }
                Err(Fault::Passing(why)) => last = why,
            }
            thread::sleep(Duration::from_millis(50 << (2 * attempt)).min(left));
        }
        self.close(&last);
        None
    }
}

fn for_size(size: u64) -> Duration {
    Duration::from_secs(size >> 20)
}

#[cfg(test)]
mod tests {
    use super::super::Blobs;
    use super::super::keyed::Keyed;
    use super::super::servers::{Always, Answer, Asks, Faulty, Nginx};
    use super::*;
    use std::sync::Arc;

    fn shared(url: &str, writes: bool, credentials: Option<&str>) -> Shared {
        Shared { url: url.to_owned(), writes, credentials: credentials.map(str::to_owned) }
    }

    /// What a store gives that has nothing here, and `remote` behind it.
    struct Asked {
        _folder: tempfile::TempDir,
        remote: Arc<Remote>,
        blobs: Blobs,
        keyed: Keyed,
    }

    fn asked(remote: Remote) -> Asked {
        let folder = tempfile::tempdir().unwrap();
        let remote = Arc::new(remote);
        let blobs = Blobs::below(folder.path(), Some(Arc::clone(&remote)));
        Asked { keyed: Keyed::below(folder.path()), _folder: folder, remote, blobs }
    }

    fn faulty(answer: impl Fn() -> Answer + Send + Sync + 'static) -> (Faulty, Asked) {
        let server = Faulty::start(move |_| answer());
        let asked = asked(Remote::new(&shared(&server.url, true, None), None));
        (server, asked)
    }

    #[test]
    fn what_one_machine_makes_another_finds_on_a_real_server() {
        let Some(nginx) = Nginx::start(Asks::Nobody, None) else { return };
        let (one, other) = (
            asked(Remote::new(&shared(&nginx.url, true, None), None)),
            asked(Remote::new(&shared(&nginx.url, false, None), None)),
        );
        let key = Digest::of(b"key");
        // More than nginx takes by default, so that the README's `client_max_body_size` is tried.
        let program = vec![7; 12 << 20];
        let (digest, size) = one.blobs.put_bytes(&program).unwrap();
        assert_eq!(other.keyed.get::<String>(&key, &other.blobs), None);
        for _ in 0..2 {
            one.keyed.put(&key, &"value".to_owned(), &[("app", digest, size)], &one.blobs).unwrap();
        }
        assert_eq!(nginx.names("ac"), [key.to_string()]);
        assert_eq!(nginx.names("cas"), [digest.to_string()]);
        assert_eq!(other.keyed.get::<String>(&key, &other.blobs).as_deref(), Some("value"));
        let path = other.blobs.get(&digest, Some(size)).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), program);
        // Somebody spoils what lies on the server.
        std::fs::write(nginx.file("cas", &digest.to_string()), "spoilt").unwrap();
        let third = asked(Remote::new(&shared(&nginx.url, false, None), None));
        assert_eq!(third.blobs.get(&digest, Some(size)), None);
        assert!(third.remote.notes()[0].contains("1 entries"), "{:?}", third.remote.notes());
        // Who may write puts it right again once it is made.
        let fourth = asked(Remote::new(&shared(&nginx.url, true, None), None));
        assert_eq!(fourth.blobs.get(&digest, Some(size)), None);
        fourth.blobs.put_bytes(&program).unwrap();
        fourth.keyed.put(&key, &"value".to_owned(), &[("app", digest, size)], &fourth.blobs).unwrap();
        assert_eq!(std::fs::read(nginx.file("cas", &digest.to_string())).unwrap(), program);
        // From here on, it is here.
        drop(nginx);
        assert_eq!(other.keyed.get::<String>(&key, &other.blobs).as_deref(), Some("value"));
        assert!(other.blobs.read(&digest).is_some());
        assert_eq!([one.remote.notes(), other.remote.notes()].concat(), Vec::<String>::new());
        // Without a server, a question is asked in vain, once.
        assert_eq!(other.keyed.get::<String>(&Digest::of(b"other"), &other.blobs), None);
        assert_eq!(other.remote.notes().len(), 1);
        assert!(!other.remote.is_on());
    }

    #[test]
    fn credentials_open_a_real_server_and_are_never_told() {
        for asks in [Asks::All, Asks::Writers] {
            let Some(nginx) = Nginx::start(asks, None) else { return };
            let key = Digest::of(b"key");
            let policy = shared(&nginx.url, true, Some("STORE_LOGIN"));
            // Not set: a branch that nobody trusts.
            let untrusted = asked(Remote::new(&policy, Some(" ")));
            untrusted.keyed.put(&key, &1, &[], &untrusted.blobs).unwrap();
            assert_eq!(untrusted.remote.notes(), ["the shared store is only read, as STORE_LOGIN is not set"]);
            let wrong = asked(Remote::new(&policy, Some("user:wrong")));
            wrong.keyed.put(&key, &2, &[], &wrong.blobs).unwrap();
            assert!(wrong.remote.notes()[0].contains("401"), "{:?}", wrong.remote.notes());
            assert!(wrong.remote.notes()[0].contains("STORE_LOGIN"));
            assert!(!wrong.remote.notes()[0].contains("user:"));
            assert!(!wrong.remote.writes());
            assert_eq!(nginx.names("ac"), Vec::<String>::new());
            let right = asked(Remote::new(&policy, Some("user:pass%word\n")));
            right.keyed.put(&key, &3, &[], &right.blobs).unwrap();
            assert_eq!(right.remote.notes(), Vec::<String>::new());
            assert_eq!(nginx.names("ac"), [key.to_string()]);
            let reader = asked(Remote::new(&policy, None));
            let found = reader.keyed.get::<u32>(&key, &reader.blobs);
            assert_eq!(found, (asks == Asks::Writers).then_some(3));
            assert_eq!(reader.remote.is_on(), asks == Asks::Writers);
        }
    }

    #[test]
    fn credentials_go_nowhere_in_the_open_and_nowhere_else() {
        let server = Faulty::start(|_| Answer::Status(404, Vec::new()));
        let token = Remote::new(&shared(&server.url, false, Some("TOKEN")), Some("hunter2"));
        token.action(&Digest::of(b"a"), Instant::now() + QUESTION);
        let sent = server.requests()[0].headers.join("\n").to_lowercase();
        assert!(sent.contains("authorization: bearer hunter2"), "{sent}");
        let open = Remote::new(&shared("http://store.example.com", false, Some("TOKEN")), Some("hunter2"));
        assert_eq!(open.authorization, None);
        let target = server.url.clone();
        let elsewhere = Faulty::start(move |_| Answer::Redirect(format!("{target}/stolen")));
        let remote = Remote::new(&shared(&elsewhere.url, false, Some("TOKEN")), Some("hunter2"));
        assert_eq!(remote.action(&Digest::of(b"a"), Instant::now() + QUESTION), None);
        assert!(remote.notes()[0].contains("redirects are not followed"), "{:?}", remote.notes());
        assert_eq!((server.requests().len(), elsewhere.requests().len()), (1, 1));
        let broken = Remote::new(&shared(&server.url, false, Some("TOKEN")), Some("a\u{7}b"));
        assert!(!broken.is_on() && broken.notes()[0].contains("TOKEN"));
    }

    #[test]
    fn a_server_that_is_broken_is_asked_a_few_times_and_then_no_more() {
        let cases: [(Always, usize, &str); 4] = [
            (|| Answer::Status(500, Vec::new()), 3, "answers 500"),
            (|| Answer::Truncated(b"abc".to_vec(), 10), 3, "does not end its answers"),
            (|| Answer::Rubbish, 3, "does not speak HTTP"),
            (|| Answer::Status(403, Vec::new()), 1, "policy names no variable"),
        ];
        for (answer, times, said) in cases {
            let (server, asked) = faulty(answer);
            let start = Instant::now();
            for _ in 0..20 {
                assert_eq!(asked.keyed.get::<u32>(&Digest::of(b"key"), &asked.blobs), None);
                assert_eq!(asked.blobs.get(&Digest::of(b"blob"), None), None);
                asked.keyed.put(&Digest::of(b"key2"), &7, &[], &asked.blobs).unwrap();
            }
            assert_eq!(server.requests().len(), times, "{said}");
            let notes = asked.remote.notes();
            assert!(notes.len() == 1 && notes[0].contains(said), "{notes:?}");
            assert!(start.elapsed() < Duration::from_secs(5));
        }
    }

    #[test]
    fn a_server_that_hangs_or_trickles_costs_seconds_once() {
        let cases: [Always; 2] = [|| Answer::Hang, || Answer::Trickle];
        thread::scope(|scope| {
            for answer in cases {
                scope.spawn(move || {
                    let (_server, asked) = faulty(answer);
                    let start = Instant::now();
                    for _ in 0..20 {
                        assert_eq!(asked.keyed.get::<u32>(&Digest::of(b"key"), &asked.blobs), None);
                    }
                    assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
                    let notes = asked.remote.notes();
                    assert!(notes.len() == 1 && notes[0].contains("in time"), "{notes:?}");
                });
            }
        });
    }

    #[test]
    fn a_blob_that_trickles_is_not_waited_for_whatever_its_size() {
        let (_server, asked) = faulty(|| Answer::Trickle);
        let start = Instant::now();
        assert_eq!(asked.blobs.get(&Digest::of(b"blob"), Some(1 << 40)), None);
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
        assert!(asked.remote.notes()[0].contains("too slow"), "{:?}", asked.remote.notes());
    }

    #[test]
    fn a_server_that_lies_is_not_believed() {
        let (_, size) = (Digest::of(b"blob"), 4);
        let cases: [Always; 3] = [
            || Answer::Status(200, b"blub".to_vec()),
            || Answer::Status(200, b"blob and more".to_vec()),
            || Answer::Endless,
        ];
        for answer in cases {
            let (_server, asked) = faulty(answer);
            for known in [Some(size), None] {
                // Nobody waits for 512 MiB of an endless body here.
                if known.is_some() || !matches!(answer(), Answer::Endless) {
                    assert_eq!(asked.blobs.get(&Digest::of(b"blob"), known), None);
                }
            }
            assert_eq!(asked.keyed.get::<u32>(&Digest::of(b"key"), &asked.blobs), None);
            let notes = asked.remote.notes();
            assert!(notes.len() == 1 && notes[0].contains("are not what they are called"), "{notes:?}");
            assert!(asked.remote.is_on());
        }
    }

    #[test]
    fn an_entry_of_another_key_is_not_believed() {
        let sealed = super::super::envelope::seal(&Digest::of(b"other"), Some(&7)).unwrap();
        let result = action_result::ActionResult { stdout: sealed, ..Default::default() };
        let message = result.encode();
        let server = Faulty::start(move |_| Answer::Status(200, message.clone()));
        let asked = asked(Remote::new(&shared(&server.url, false, None), None));
        assert_eq!(asked.keyed.get::<u32>(&Digest::of(b"key"), &asked.blobs), None);
        assert_eq!(asked.keyed.get::<u32>(&Digest::of(b"other"), &asked.blobs), Some(7));
        assert_eq!(asked.remote.notes().len(), 1);
    }

    #[test]
    fn what_is_too_large_for_a_server_is_kept_here() {
        let server = Faulty::start(|request| match request.line.split(' ').next() {
            Some("PUT") => Answer::Status(if request.line.contains("/cas/") { 413 } else { 200 }, Vec::new()),
            _ => Answer::Status(404, Vec::new()),
        });
        let asked = asked(Remote::new(&shared(&server.url, true, None), None));
        let (digest, size) = asked.blobs.put_bytes(b"program").unwrap();
        for _ in 0..2 {
            asked.keyed.put(&Digest::of(b"key"), &7, &[("app", digest, size)], &asked.blobs).unwrap();
        }
        // An entry without its outputs is of no use to anybody.
        assert!(server.requests().iter().all(|request| !request.line.starts_with("PUT /ac/")));
        assert_eq!(asked.remote.notes().len(), 1);
        asked.keyed.put(&Digest::of(b"key"), &7, &[], &asked.blobs).unwrap();
        let requests = server.requests();
        let put = requests.iter().find(|request| request.line.starts_with("PUT /ac/"));
        assert!(put.and_then(|put| action_result::ActionResult::decode(&put.body)).is_some());
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn https_needs_the_feature() {
        let remote = Remote::new(&shared("https://store.example.com", false, None), None);
        assert!(!remote.is_on());
        assert!(remote.notes()[0].contains("features = [\"tls\"]"), "{:?}", remote.notes());
    }
}

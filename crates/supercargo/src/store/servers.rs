//! Servers to test a shared store with: a real one, and one that does whatever a test wants it to do wrong.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// What a server was asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET /ac/..`.
    pub line: String,
    /// The headers, each as `name: value`.
    pub headers: Vec<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// What a server does then.
pub enum Answer {
    /// Answers with this status and body.
    Status(u16, Vec<u8>),
    /// Says that the body has so many bytes more than it has.
    Truncated(Vec<u8>, usize),
    /// Answers with a body that does not end.
    Endless,
    /// Answers a byte each tenth of a second, without end.
    Trickle,
    /// Sends elsewhere.
    Redirect(String),
    /// Says what is no HTTP.
    Rubbish,
    /// Never answers.
    Hang,
}

/// What a server always answers.
pub type Always = fn() -> Answer;

/// A server that does what it should not.
pub struct Faulty {
    /// Where it is.
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Faulty {
    /// A server that answers so.
    pub fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                thread::spawn(move || {
                    let Some(request) = receive(&stream) else { return };
                    seen.lock().unwrap().push(request.clone());
                    respond(&stream, &request, answer(&request));
                });
            }
        });
        Self { url, requests }
    }

    /// What it was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn receive(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let header = |name: &str| lines.iter().find_map(|line| line.to_lowercase().strip_prefix(name).map(str::to_owned));
    let length = header("content-length:").and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { line: lines.remove(0).trim_end_matches(" HTTP/1.1").to_owned(), headers: lines, body })
}

fn respond(mut stream: &TcpStream, request: &Request, answer: Answer) {
    let head = |status: u16, length: usize| {
        format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n").into_bytes()
    };
    let whole = |status: u16, body: &[u8]| {
        let sent = if request.line.starts_with("HEAD") { &[] } else { body };
        [head(status, body.len()).as_slice(), sent].concat()
    };
    let bytes = match answer {
        Answer::Status(status, body) => whole(status, &body),
        Answer::Truncated(body, more) => [head(200, body.len() + more).as_slice(), &body].concat(),
        Answer::Redirect(url) => {
            format!("HTTP/1.1 302 X\r\nLocation: {url}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into()
        }
        Answer::Rubbish => b"220 mail.example.com ESMTP\r\n".to_vec(),
        Answer::Endless | Answer::Trickle => {
            let (chunk, pause) = if matches!(answer, Answer::Endless) { (65536, 0) } else { (1, 100) };
            let chunk = vec![b'x'; chunk];
            let mut sent = stream.write_all(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n");
            while sent.is_ok() {
                thread::sleep(Duration::from_millis(pause));
                sent = stream.write_all(&chunk);
            }
            return;
        }
        Answer::Hang => {
            thread::sleep(Duration::from_secs(120));
            return;
        }
    };
    stream.write_all(&bytes).ok();
}

/// Whom [`Nginx`] asks who they are, as `user` with the password `pass%word`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// Nobody.
    Nobody,
    /// Who puts something there.
    Writers,
    /// Everybody.
    All,
}

/// nginx with its dav module, as the README configures it.
pub struct Nginx {
    child: Child,
    folder: TempDir,
    /// Where it is.
    pub url: String,
}

impl Nginx {
    /// A server with nothing in it; none where nginx is not installed. `tls` is a folder with `cert.pem` and `key.pem`.
    pub fn start(asks: Asks, tls: Option<&Path>) -> Option<Self> {
        let runs = |program: &&str| Command::new(program).arg("-v").stderr(Stdio::null()).status().is_ok();
        let program = ["nginx", "/usr/sbin/nginx"].into_iter().find(runs);
        assert!(program.is_some() || std::env::var_os("SUPERCARGO_REQUIRE_PEERS").is_none(), "nginx is not installed");
        let Some(program) = program else {
            absent();
            return None;
        };
        let started = (0..5).find_map(|_| Self::start_once(program, asks, tls));
        assert!(started.is_some(), "nginx does not start");
        started
    }

    /// A server at a port that is free now, unless somebody else is quicker.
    fn start_once(program: &str, asks: Asks, tls: Option<&Path>) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        fs::write(folder.path().join("users"), "user:{PLAIN}pass%word\n").unwrap();
        fs::write(folder.path().join("nginx.conf"), configuration(folder.path(), port, asks, tls)).unwrap();
        let mut command = Command::new(program);
        command.arg("-p").arg(folder.path()).arg("-c").arg(folder.path().join("nginx.conf"));
        command.args(["-e", "error.log"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) && child.try_wait().unwrap().is_none() {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                let scheme = if tls.is_some() { "https" } else { "http" };
                return Some(Self { child, folder, url: format!("{scheme}://127.0.0.1:{port}/store") });
            }
            thread::sleep(Duration::from_millis(20));
        }
        child.kill().ok();
        child.wait().ok();
        None
    }

    /// The names of what is in it, below `ac` or `cas`.
    pub fn names(&self, below: &str) -> Vec<String> {
        let files = fs::read_dir(self.folder.path().join("data/store").join(below)).into_iter().flatten().flatten();
        let mut names: Vec<String> = files.map(|file| file.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The file of a name below `ac` or `cas`.
    pub fn file(&self, below: &str, name: &str) -> std::path::PathBuf {
        self.folder.path().join("data/store").join(below).join(name)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[expect(clippy::print_stderr, reason = "a test says what it did not test")]
fn absent() {
    eprintln!("nginx is not installed: what it would serve is not tested");
}

fn configuration(folder: &Path, port: u16, asks: Asks, tls: Option<&Path>) -> String {
    let folder = folder.display();
    let users = format!("auth_basic store; auth_basic_user_file {folder}/users;");
    let guard = match asks {
        Asks::Nobody => String::new(),
        Asks::Writers => format!("limit_except GET {{ {users} }}"),
        Asks::All => users,
    };
    let (listen, keys) = match tls {
        None => (String::new(), String::new()),
        Some(keys) => {
            let keys = keys.display();
            (" ssl".to_owned(), format!("ssl_certificate {keys}/cert.pem; ssl_certificate_key {keys}/key.pem;"))
        }
    };
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary: String = temporary.map(|name| format!("{name}_temp_path {folder}/{name};\n")).concat();
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\n\
         http {{\naccess_log off;\n{temporary}server {{\nlisten 127.0.0.1:{port}{listen};\n{keys}\n\
         location /store/ {{\nroot {folder}/data;\nclient_max_body_size 0;\ndav_methods PUT;\n\
         create_full_put_path on;\n{guard}\n}}\n}}\n}}\n"
    )
}

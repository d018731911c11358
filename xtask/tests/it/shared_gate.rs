//! A gate whose results several clones share, by way of a real server and of one that does everything wrong.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::gate_sandbox::Gated;
use crate::sandbox::Sandbox;
use crate::servers::{Always, Answer, Asks, Faulty, Nginx};

/// A small repository whose policy names a shared store.
fn sharing(url: &str, rest: &str) -> Sandbox {
    let sandbox = Sandbox::small();
    sandbox.policy(&format!("[workspace.metadata.supercargo.store]\nurl = \"{url}\"\n{rest}\n"));
    sandbox.commit("share");
    sandbox
}

/// A clone on another machine: another folder, another home, nothing built.
fn cloned(from: &Sandbox) -> Sandbox {
    let sandbox = Sandbox::empty();
    let (source, target) = (from.path(""), sandbox.path(""));
    let arguments = ["clone", "--quiet", source.to_str().unwrap(), target.to_str().unwrap()];
    let done = sandbox.command("git", Path::new("/")).args(arguments).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    fs::create_dir(sandbox.path("../bin")).unwrap();
    sandbox
}

const SOME: [&str; 2] = ["--only", "fmt,clippy,test"];
const WRITES: &str = "access = \"read-write\"";

fn all_cached(gated: &Gated) {
    assert_eq!(gated.verdict("fmt", ""), "cached", "{}", gated.stderr);
    for step in ["clippy", "test"] {
        assert_eq!(gated.verdicts(step), "cached cached cached", "{step}");
    }
}

#[test]
fn what_passed_in_one_clone_is_cached_in_another() {
    let Some(nginx) = Nginx::start(Asks::Nobody, None) else { return };
    let one = sharing(&nginx.url, WRITES);
    // A proxy is not asked for what is on this machine.
    let proxy = [("http_proxy", "http://127.0.0.1:9"), ("HTTP_PROXY", "http://127.0.0.1:9")];
    let gated = one.gate_with(&SOME, &proxy).ends(0);
    assert_eq!(gated.verdicts("test"), "passed passed passed");
    assert!(!gated.stderr.contains("shared store"), "{}", gated.stderr);
    assert_eq!(nginx.names("ac").len(), 7);
    let other = cloned(&one);
    // The plan knows it too, and keeps it: after it, no server is needed.
    let plan = other.gating(&["--plan", "--only", "clippy", "--format", "json"]).output().unwrap();
    let plan = String::from_utf8(plan.stdout).unwrap();
    assert_eq!(plan.matches("\"state\":\"cached\"").count(), 3, "{plan}");
    all_cached(&other.gate(&SOME).ends(0));
    assert!(!other.path("target/debug").exists());
    drop(nginx);
    all_cached(&other.gate(&SOME).ends(0));
    // What changed runs, and what did not is still cached.
    other.append("crates/c/src/lib.rs", "// x\n");
    let gated = other.gate(&["--only", "clippy"]).ends(0);
    assert_eq!(gated.verdicts("clippy"), "cached cached passed");
    assert_eq!(gated.stderr.matches("the shared store").count(), 1, "{}", gated.stderr);
}

#[test]
fn only_who_is_trusted_writes_and_no_child_sees_the_credentials() {
    let Some(nginx) = Nginx::start(Asks::Writers, None) else { return };
    let rest = format!(
        "{WRITES}\ncredentials = \"STORE_LOGIN\"\n[workspace.metadata.supercargo.gate]\npass-env = [\"STORE_*\"]\n\
         [workspace.metadata.supercargo.gate.check.mine]\ncommand = [\"sh\", \"-c\", \"env >> ../seen; ! env | grep LOGIN\"]\n"
    );
    let one = sharing(&nginx.url, &rest);
    // It names the variable as well.
    one.append(
        "crates/a/src/lib.rs",
        "\n/// L.\npub fn l() -> bool {\n    std::env::var(\"STORE_LOGIN\").is_ok()\n}\n",
    );
    one.append("crates/a/src/lib.rs", "\n#[test]\nfn unseen() {\n    assert!(!l());\n}\n");
    one.commit("name it");
    let untrusted = one.gate(&["--only", "test,mine"]).ends(0);
    untrusted.says("note: the shared store is only read, as STORE_LOGIN is not set");
    assert_eq!(nginx.names("ac"), Vec::<String>::new());
    let other = cloned(&one);
    let login = [("STORE_LOGIN", "user:pass%word"), ("STORE_NAME", "team")];
    let trusted = other.gate_with(&["--only", "test,mine"], &login).ends(0);
    assert!(!trusted.stderr.contains("STORE_LOGIN"), "{}", trusted.stderr);
    assert!(!trusted.stderr.contains("pass%word") && !trusted.stdout.contains("pass%word"));
    let seen = fs::read_to_string(other.path("../seen")).unwrap();
    assert!(seen.contains("STORE_NAME=team") && !seen.contains("LOGIN"), "{seen}");
    assert_eq!(nginx.names("ac").len(), 4);
    // Credentials are no part of a key: who has none reads what was put there.
    let third = cloned(&one);
    let gated = third.gate_with(&["--only", "test,mine"], &[("STORE_NAME", "team")]).ends(0);
    assert_eq!(gated.verdicts("test"), "cached cached cached", "{}", gated.stderr);
    assert_eq!(gated.verdict("mine", ""), "cached");
}

#[test]
fn a_result_that_was_wrong_is_withdrawn_for_everybody() {
    let Some(nginx) = Nginx::start(Asks::Nobody, None) else { return };
    let one = sharing(&nginx.url, WRITES);
    let path = "[\"..\", \"..\", \"..\", \"out.txt\"].join(\"/\")";
    let test = format!("#[test]\nfn t() {{\n    assert!(std::fs::metadata({path}).is_ok());\n}}\n");
    one.write("crates/c/tests/it.rs", &test);
    one.commit("read what nobody sees");
    one.write("../out.txt", "");
    one.gate(&["--only", "test"]).ends(0);
    let other = cloned(&one);
    assert_eq!(other.gate(&["--only", "test"]).ends(0).verdict("test", "c"), "cached");
    let third = cloned(&one);
    third.gate(&["--only", "test", "--no-cache"]).ends(1).says("was kept as passed and is not now");
    // Neither here nor elsewhere is it believed again.
    third.gate(&["--only", "test"]).ends(1);
    cloned(&one).gate(&["--only", "test"]).ends(1);
    one.gate(&["--only", "test", "--no-cache"]).ends(0);
    assert_eq!(cloned(&one).gate(&["--only", "test"]).ends(0).verdict("test", "c"), "cached");
}

#[test]
fn what_another_machine_found_long_ago_is_as_old_as_it_is() {
    let Some(nginx) = Nginx::start(Asks::Nobody, None) else { return };
    let rest = format!(
        "{WRITES}\n[workspace.metadata.supercargo.gate.check.mine]\ncommand = [\"true\"]\nmax-age = \"2s\"\n\
         [workspace.metadata.supercargo.gate.check.ever]\ncommand = [\"true\"]\n"
    );
    let one = sharing(&nginx.url, &rest);
    one.gate(&["--only", "mine,ever"]).ends(0);
    let other = cloned(&one);
    thread::sleep(Duration::from_secs(4));
    let gated = other.gate(&["--only", "mine,ever"]).ends(0);
    assert_eq!([gated.verdict("mine", ""), gated.verdict("ever", "")], ["passed", "cached"]);
}

#[test]
fn a_server_that_gives_one_result_for_another_is_not_believed() {
    let Some(nginx) = Nginx::start(Asks::Nobody, None) else { return };
    let one = sharing(&nginx.url, WRITES);
    one.gate(&["--only", "clippy"]).ends(0);
    let (names, other) = (nginx.names("ac"), cloned(&one));
    let entries: Vec<Vec<u8>> = names.iter().map(|name| fs::read(nginx.file("ac", name)).unwrap()).collect();
    for (n, name) in names.iter().enumerate() {
        let lie = match n {
            0 => entries[1].clone(),
            1 => entries[1][..entries[1].len() - 1].to_vec(),
            _ => b"<html>".to_vec(),
        };
        fs::remove_file(nginx.file("ac", name)).unwrap();
        fs::write(nginx.file("ac", name), lie).unwrap();
    }
    let gated = other.gate(&["--only", "clippy"]).ends(0);
    assert_eq!(gated.verdicts("clippy"), "passed passed passed");
    gated.says("note: 3 entries of the shared store");
    // What was made anew took the place of the lies.
    let gated = cloned(&one).gate(&["--only", "clippy"]).ends(0);
    assert_eq!(gated.verdicts("clippy"), "cached cached cached");
}

#[test]
fn a_server_that_is_slow_or_broken_fails_nothing_and_is_said_once() {
    let cases: [(Always, &str); 6] = [
        (|| Answer::Hang, "does not answer in time"),
        (|| Answer::Trickle, "in time"),
        (|| Answer::Status(500, Vec::new()), "answers 500"),
        (|| Answer::Truncated(b"abc".to_vec(), 10), "does not end its answers"),
        (|| Answer::Endless, "are not what they are called"),
        (|| Answer::Redirect("http://127.0.0.1:9/".to_owned()), "redirects are not followed"),
    ];
    for (answer, said) in cases {
        let server = Faulty::start(move |_| answer());
        let sandbox = sharing(&server.url, WRITES);
        let start = Instant::now();
        let gated = sandbox.gate(&["--only", "fmt"]).ends(0);
        assert!(start.elapsed() < Duration::from_secs(15), "{said}: {:?}", start.elapsed());
        assert_eq!(gated.verdict("fmt", ""), "passed");
        assert!(gated.stderr.contains(said), "{said}: {}", gated.stderr);
        assert_eq!(gated.stderr.matches(said).count(), 1, "{}", gated.stderr);
    }
}

#[test]
fn policy_says_what_is_wrong_with_the_store() {
    let sandbox = sharing("https://me:hunter2@example.com", "acess = \"read\"");
    let gated = sandbox.gate(&["--only", "fmt"]).ends(3);
    gated.says("unknown key `acess`; did you mean `access`?");
    gated.says("workspace.metadata.supercargo.store.url: it names a user");
    assert!(!gated.stderr.contains("hunter2"));
}

#[cfg(not(feature = "tls"))]
#[test]
fn https_without_tls_is_said_and_goes_on_without() {
    let sandbox = sharing("https://127.0.0.1:9", "");
    let gated = sandbox.gate(&["--only", "fmt"]).ends(0);
    gated.says("compiled without TLS");
}

#[cfg(feature = "tls")]
#[test]
fn https_believes_the_certificates_of_the_platform_and_no_others() {
    use std::process::Command;

    let keys = tempfile::tempdir().unwrap();
    let script = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem &&
        openssl req -newkey rsa:2048 -nodes -subj /CN=store -keyout key.pem -out store.csr &&
        printf 'subjectAltName=IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' > extensions &&
        openssl x509 -req -days 2 -in store.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile extensions -out cert.pem";
    let made = Command::new("sh").args(["-c", script]).current_dir(keys.path()).output().unwrap();
    let Some(nginx) = Nginx::start(Asks::Nobody, Some(keys.path())) else { return };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let one = sharing(&nginx.url, WRITES);
    let gated = one.gate(&["--only", "fmt"]).ends(0);
    gated.says("the shared store https://127.0.0.1");
    assert_eq!(nginx.names("ac"), Vec::<String>::new());
    let authority = keys.path().join("ca.pem");
    let trusting = [("SSL_CERT_FILE", authority.to_str().unwrap())];
    let gated = one.gate_with(&["--only", "fmt", "--no-cache"], &trusting).ends(0);
    assert!(!gated.stderr.contains("shared store"), "{}", gated.stderr);
    assert_eq!(nginx.names("ac").len(), 1);
    assert_eq!(cloned(&one).gate_with(&["--only", "fmt"], &trusting).ends(0).verdict("fmt", ""), "cached");
}

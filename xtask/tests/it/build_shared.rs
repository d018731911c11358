//! Programs that several machines share, by way of a real server and of those that do everything wrong.

use std::fs;
use std::time::{Duration, Instant};

use crate::build_ground::{ARM, Ground, Made, X86};
use crate::servers::{Always, Answer, Asks, Faulty, Nginx};

const WRITES: &str = "access = \"read-write\"";

/// A workspace whose policy names a shared store.
fn sharing(url: &str, rest: &str, targets: &str) -> Ground {
    let ground = Ground::with(&format!("targets = [{targets}]"), "\"shared\"");
    ground.append("Cargo.toml", &format!("\n[workspace.metadata.supercargo.store]\nurl = \"{url}\"\n{rest}\n"));
    ground.committed()
}

fn one_target(url: &str, rest: &str) -> Ground {
    sharing(url, rest, &format!("\"{X86}\""))
}

/// Whether a build of cargo's was started.
fn compiled(ground: &Ground) -> bool {
    ground.root.join("target/xtask/cargo").exists()
}

#[test]
fn what_one_machine_built_is_there_on_another() {
    let Some(nginx) = Nginx::start(Asks::Nobody, None) else { return };
    let one = sharing(&nginx.url, WRITES, &format!("\"{X86}\", \"{ARM}\""));
    let first = one.build(&[]).ends(0);
    assert!(!first.stderr.contains("shared store"), "{}", first.stderr);
    assert_eq!((nginx.names("ac").len(), nginx.names("cas").len()), (2, 2));
    let other = one.cloned("another/folder");
    let plan = other.plan(&[]);
    assert_eq!(plan.matches("cached: sha256:").count(), 2, "{plan}");
    let second = other.build(&["--smoke"]).ends(0);
    assert!(!compiled(&other));
    for target in [X86, ARM] {
        assert_eq!(second.of("p", target)["verdict"], "cached");
        assert_eq!(second.of("p", target)["digest"], first.of("p", target)["digest"]);
    }
    assert_eq!(other.prints(), "shared");
    // From now on, no server is needed, and none is asked for what is here.
    drop(nginx);
    let third = other.build(&[]).ends(0);
    assert!(!third.stderr.contains("shared store"), "{}", third.stderr);
    // What was asked to be built anew is.
    assert_eq!(other.build(&["--no-cache", "--target", X86]).ends(0).verdict(), "passed");
}

#[test]
fn who_only_reads_puts_nothing_there() {
    let Some(nginx) = Nginx::start(Asks::Nobody, None) else { return };
    one_target(&nginx.url, "").build(&[]).ends(0);
    one_target(&nginx.url, "access = \"read\"").build(&["--verify-reproducible"]).ends(0);
    assert_eq!((nginx.names("ac").len(), nginx.names("cas").len()), (0, 0));
    let server = Faulty::start(|_| Answer::Status(404, Vec::new()));
    one_target(&server.url, "").build(&[]).ends(0);
    assert!(server.requests().iter().all(|request| request.line.starts_with("GET ")), "{:?}", server.requests());
    assert!(!server.requests().is_empty());
}

/// Every file below a folder, with what is in it.
fn texts(folder: &std::path::Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            texts(&path, found);
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap_or_default()));
        }
    }
}

#[test]
fn credentials_are_seen_by_nobody() {
    let Some(nginx) = Nginx::start(Asks::Writers, None) else { return };
    let one = Ground::with("pass-env = [\"STORE_*\"]", "option_env!(\"STORE_LOGIN\").unwrap_or(\"unseen\")");
    one.append(
        "Cargo.toml",
        &format!(
            "\n[workspace.metadata.supercargo.store]\nurl = \"{}\"\n{WRITES}\ncredentials = \"STORE_LOGIN\"\n",
            nginx.url
        ),
    );
    let script = "fn main() {\n    println!(\"cargo:warning={:?}\", std::env::var(\"STORE_LOGIN\"));\n}\n";
    one.write("crates/p/build.rs", script);
    let one = one.committed();
    let untrusted = one.build(&[]).ends(0).says("the shared store is only read, as STORE_LOGIN is not set");
    assert!(nginx.names("cas").is_empty());
    let login = [("STORE_LOGIN", "user:pass%word")];
    let other = one.cloned("other");
    let trusted = other.build_with(&["--verbose"], &login).ends(0);
    assert_eq!(other.prints(), "unseen");
    assert_eq!((nginx.names("ac").len(), nginx.names("cas").len()), (1, 1));
    assert_eq!([trusted.text("key"), trusted.text("digest")], [untrusted.text("key"), untrusted.text("digest")]);
    let plan = other.building(&["--plan", "--format", "json"]).envs(login).output().unwrap();
    let mut found =
        vec![("stdout".to_owned(), trusted.stdout.into_bytes()), ("stderr".to_owned(), trusted.stderr.into_bytes())];
    found.extend([("plan".to_owned(), plan.stdout), ("plan's stderr".to_owned(), plan.stderr)]);
    texts(&other.root.join("target"), &mut found);
    for (name, bytes) in found {
        // As it is, and as base64 has it.
        for secret in ["pass%word", "dXNlcjpwYXNzJXdvcmQ"] {
            assert!(!crate::build_ground::holds(&bytes, secret), "{secret} is in {name}");
        }
    }
    // Who may not write reads it.
    let third = one.cloned("third");
    assert_eq!(third.build(&[]).ends(0).verdict(), "cached");
    // A login that is refused is said once, and fails nothing.
    one.append("crates/p/src/main.rs", "// other\nfn _f() {}\n");
    let refused = one.build_with(&[], &[("STORE_LOGIN", "user:wrong")]).ends(0);
    assert_eq!(refused.stderr.matches("the shared store").count(), 1, "{}", refused.stderr);
    assert!(!refused.stderr.contains("user:wrong"));
}

/// Asserts that a build got nothing from elsewhere and is good all the same.
#[track_caller]
fn built_here(ground: &Ground, start: Instant, made: &Made) {
    assert_eq!(made.verdict(), "passed", "{}", made.stderr);
    assert_eq!(ground.prints(), "shared");
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}\n{}", start.elapsed(), made.stderr);
    assert!(made.stderr.matches("shared store").count() <= 1, "{}", made.stderr);
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
        let ground = one_target(&server.url, WRITES);
        let start = Instant::now();
        let made = ground.build(&[]).ends(0).says(said);
        built_here(&ground, start, &made);
    }
    let ground = one_target("http://127.0.0.1:9", WRITES);
    built_here(&ground, Instant::now(), &ground.build(&[]).ends(0).says("shared store"));
}

#[test]
fn a_server_that_lies_is_not_believed() {
    let Some(nginx) = Nginx::start(Asks::Nobody, None) else { return };
    let one = sharing(&nginx.url, WRITES, &format!("\"{X86}\", \"{ARM}\""));
    let first = one.build(&[]).ends(0);
    let digest = |target: &str| first.of("p", target)["digest"].as_str().unwrap().to_owned();
    let key = |target: &str| first.of("p", target)["key"].as_str().unwrap().to_owned();
    let blobs = [X86, ARM].map(|target| fs::read(nginx.file("cas", &digest(target))).unwrap());
    let actions = [X86, ARM].map(|target| fs::read(nginx.file("ac", &key(target))).unwrap());
    let put = |below: &str, name: &str, bytes: &[u8]| {
        fs::remove_file(nginx.file(below, name)).ok();
        fs::write(nginx.file(below, name), bytes).unwrap();
    };
    let at = |place: &str| {
        let other = one.cloned(place);
        let start = Instant::now();
        let made = other.build(&["--target", X86]).ends(0);
        built_here(&other, start, &made);
        assert_eq!(made.text("digest"), digest(X86), "{place}");
        put("ac", &key(X86), &actions[0]);
        put("cas", &digest(X86), &blobs[0]);
    };
    put("cas", &digest(X86), &blobs[1]);
    at("another blob");
    put("cas", &digest(X86), &blobs[0][..1000]);
    at("a short blob");
    put("cas", &digest(X86), b"");
    at("an empty blob");
    fs::remove_file(nginx.file("cas", &digest(X86))).unwrap();
    at("no blob");
    put("ac", &key(X86), &actions[1]);
    at("the action of another key");
    put("ac", &key(X86), &actions[0][..actions[0].len() - 7]);
    at("a torn action");
    put("ac", &key(X86), b"<html>hello</html>");
    at("a page");
    // An action that names other bytes, whose digest is right: a program for another machine, and none at all.
    let script = b"#!/bin/sh\necho shared\n".to_vec();
    for bytes in [&blobs[1], &script] {
        let name = sha256(bytes);
        put("cas", &name, bytes);
        put("ac", &key(X86), &forged(&actions[0], &name, bytes.len()));
        at("a forged action");
    }
}

/// The digest of bytes, by a program of the system's.
fn sha256(bytes: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    let output = std::process::Command::new("sha256sum").arg(file.path()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

/// An action as whoever may write could put it there: whole, of this very key, and with other bytes behind it.
fn forged(action: &[u8], digest: &str, size: usize) -> Vec<u8> {
    let start = action.windows(7).position(|window| window == b"{\"key\":").unwrap();
    let text = serde_json::Deserializer::from_slice(&action[start..]).into_iter::<serde_json::Value>().next();
    let mut text = text.unwrap().unwrap();
    (text["value"]["digest"], text["value"]["size"]) = (digest.into(), size.into());
    let text = text.to_string();
    let entry = format!("{}{text}", sha256(text.as_bytes()));
    // `stdout_raw` of an `ActionResult`: its number and kind, its length, and itself.
    let length = entry.len();
    assert!((128..16384).contains(&length));
    let head = [0x2a, u8::try_from(length & 127).unwrap() | 128, u8::try_from(length >> 7).unwrap()];
    [&head[..], entry.as_bytes()].concat()
}

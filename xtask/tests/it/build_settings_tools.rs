//! Tools around the compiler: cargo-auditable, which changes programs and counts, and sccache, which does neither.

use std::fs;

use crate::build_ground::{Ground, X86, holds};

const LIBRARY: &str = "pub fn word() -> &'static str {\n    \"lib\"\n}\n";

fn with_library(policy: &str) -> Ground {
    let ground = Ground::with(policy, "\"\"");
    ground.member("p", "[dependencies]\nlib = { path = \"../lib\" }\n", "lib::word()");
    ground.write("crates/lib/Cargo.toml", "[package]\nname = \"lib\"\nversion = \"0.7.1\"\nedition = \"2021\"\n");
    ground.write("crates/lib/src/lib.rs", LIBRARY);
    ground.committed()
}

#[test]
fn programs_list_what_is_in_them_where_policy_says_so() {
    let ground = with_library("auditable = \"if-installed\"");
    let without = ground.build(&[]).ends(0);
    assert!(!holds(&ground.bytes(), ".dep-v0"));
    if !ground.peer("cargo-auditable") {
        return;
    }
    let with = ground.build(&[]).ends(0);
    assert_eq!(with.verdict(), "passed");
    assert!(holds(&ground.bytes(), ".dep-v0"));
    assert_ne!(with.text("key"), without.text("key"));
    assert_eq!(ground.build(&["--verify-reproducible"]).ends(0).text("digest"), with.text("digest"));
    // In another folder, the list is the same.
    let other = ground.cloned("other/place");
    other.peer("cargo-auditable");
    let there = other.build(&[]).ends(0);
    assert_eq!([there.text("key"), there.text("digest")], [with.text("key"), with.text("digest")]);
    // Never, whatever is installed: the program of a machine without it.
    let text = fs::read_to_string(ground.root.join("Cargo.toml")).unwrap();
    ground.write("Cargo.toml", &text.replace("if-installed", "never"));
    let never = ground.build(&[]).ends(0);
    assert_eq!(never.text("digest"), without.text("digest"));
    assert!(!holds(&ground.bytes(), ".dep-v0"));
}

#[test]
fn what_must_list_them_and_cannot_says_what_to_install() {
    let ground = with_library("auditable = \"always\"");
    ground.build(&[]).ends(1).says("cargo install --locked cargo-auditable");
    assert!(ground.programs().is_empty());
    if ground.peer("cargo-auditable") {
        ground.build(&[]).ends(0);
        assert!(holds(&ground.bytes(), ".dep-v0"));
    }
}

#[test]
fn what_is_listed_can_be_compiled_by_zig_too() {
    let ground = with_library(&format!("auditable = \"always\"\nlinker.{X86} = \"zig\""));
    if !ground.peer("cargo-auditable") || !ground.zig() {
        return;
    }
    ground.build(&["--smoke"]).ends(0);
    assert!(holds(&ground.bytes(), ".dep-v0"));
    assert_eq!(ground.prints(), "lib");
}

/// A server of sccache's own, ended with the test.
struct Server {
    program: std::path::PathBuf,
    port: String,
    cache: tempfile::TempDir,
}

impl Server {
    fn start() -> Option<Self> {
        let program = crate::build_ground::peer("sccache")?;
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        Some(Self { program, port, cache: tempfile::tempdir().unwrap() })
    }

    fn variables(&self) -> [(&str, &str); 3] {
        let cache = self.cache.path().to_str().unwrap();
        [("SCCACHE_DIR", cache), ("SCCACHE_SERVER_PORT", &self.port), ("SCCACHE_IDLE_TIMEOUT", "60")]
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut command = std::process::Command::new(&self.program);
        command.arg("--stop-server").envs(self.variables()).stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null()).status().ok();
    }
}

#[test]
fn sccache_counts_in_no_key_and_its_hits_are_recorded() {
    let ground = with_library("");
    let plain = ground.build(&[]).ends(0);
    assert!(plain.record["sccache"].is_null());
    let Some(server) = Server::start() else { return };
    let program = server.program.to_str().unwrap();
    let mut variables = server.variables().to_vec();
    variables.push(("RUSTC_WRAPPER", program));
    let clean = || fs::remove_dir_all(ground.root.join("target")).unwrap();
    assert_eq!(ground.build_with(&[], &variables).ends(0).verdict(), "cached");
    clean();
    let first = ground.build_with(&[], &variables).ends(0);
    clean();
    let second = ground.build_with(&[], &variables).ends(0);
    assert_eq!(second.record["sccache"]["hits"], 1, "{}", second.stdout);
    assert_eq!(first.record["sccache"]["misses"], 1, "{}", first.stdout);
    for made in [&first, &second] {
        assert_eq!([made.text("key"), made.text("digest")], [plain.text("key"), plain.text("digest")]);
    }
    // The same by way of the configuration.
    clean();
    fs::write(ground.cargo.join("config.toml"), format!("[build]\nrustc-wrapper = \"{program}\"\n")).unwrap();
    let third = ground.build_with(&[], &server.variables()).ends(0);
    assert_eq!([third.text("key"), third.text("digest")], [plain.text("key"), plain.text("digest")]);
    assert_eq!(third.record["sccache"]["hits"], 1, "{}", third.stdout);
}

#[test]
fn a_wrapper_that_fails_is_named() {
    let ground = with_library("");
    ground.build(&[]).ends(0);
    ground.fake("sccache", "case \"$*\" in *--show-stats*) exit 7;; *-vV*) shift; exec rustc -vV;; *) echo no cache today >&2; exit 7;; esac");
    let made = ground.build_with(&["--no-cache"], &[("RUSTC_WRAPPER", "sccache")]);
    let made = made.ends(1).says("sccache").says("no cache today");
    assert!(made.record.is_null() || made.record["sccache"].is_null());
    ground.build_with(&[], &[("RUSTC_WRAPPER", "no-such-wrapper")]).ends(0);
}

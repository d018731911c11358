//! What is in the store is what it is called: anything else is removed, said, and built anew.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use crate::build_sandbox::{OWN, listed, saying};
use crate::sandbox::Sandbox;

fn writable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Ways to spoil an entry.
const SPOILT: [fn(&Path); 6] = [
    |path| {
        writable(path);
        fs::OpenOptions::new().write(true).open(path).unwrap().set_len(100).unwrap();
    },
    |path| {
        writable(path);
        let mut bytes = fs::read(path).unwrap();
        bytes[5000] ^= 1;
        fs::write(path, bytes).unwrap();
    },
    |path| {
        fs::write(
            {
                writable(path);
                path
            },
            "",
        )
        .unwrap()
    },
    |path| {
        fs::remove_file(path).unwrap();
        fs::create_dir_all(path.join("deep")).unwrap();
    },
    |path| {
        fs::remove_file(path).unwrap();
        symlink("/nowhere", path).unwrap();
    },
    |path| {
        fs::rename(path, path.with_file_name("aside")).unwrap();
        symlink("aside", path).unwrap();
    },
];

#[test]
fn an_entry_that_is_not_what_it_is_called_is_removed_said_and_built_anew() {
    let sandbox = Sandbox::shipping(&[("app", &saying("a"))]);
    let digest = sandbox.build(&[]).ends(0).of("app", OWN)["digest"].clone();
    let entry = sandbox.entry();
    for spoil in SPOILT {
        spoil(&entry);
        let built = sandbox.build(&[]).ends(0);
        built.says("was not what it is called: removed");
        assert_eq!((built.app(), &built.of("app", OWN)["digest"]), ("passed", &digest));
        assert!(fs::symlink_metadata(&entry).unwrap().is_file());
        assert_eq!(fs::metadata(&entry).unwrap().permissions().mode() & 0o222, 0, "read-only");
        assert_eq!(sandbox.started("app"), "a");
        let again = sandbox.build(&[]).ends(0);
        assert_eq!(again.app(), "cached");
        assert!(!again.stderr.contains("note"), "{}", again.stderr);
        fs::remove_file(entry.with_file_name("aside")).ok();
    }
    fs::remove_file(&entry).unwrap();
    assert_eq!(sandbox.build(&[]).ends(0).app(), "passed");
}

#[test]
fn a_key_that_is_torn_or_foreign_is_removed_and_built_anew() {
    let sandbox = Sandbox::shipping(&[("app", &saying("a")), ("other", &saying("b"))]);
    sandbox.build(&[]).ends(0);
    let folder = sandbox.path("target/xtask/store/keys");
    let keys = listed(&folder);
    assert_eq!(keys.len(), 2);
    let [one, two] = [0, 1].map(|n| fs::read(folder.join(&keys[n])).unwrap());
    for (content, other) in [(one[..one.len() / 2].to_vec(), two.clone()), (two, one), (Vec::new(), b"null".to_vec())] {
        fs::write(folder.join(&keys[0]), content).unwrap();
        fs::write(folder.join(&keys[1]), other).unwrap();
        let built = sandbox.build(&[]).ends(0);
        assert!(built.verdicts().iter().any(|verdict| verdict.ends_with("passed")), "{:?}", built.verdicts());
        built.says("of the store's keys were torn or not ours");
        assert_eq!((sandbox.started("app"), sandbox.started("other")), ("a".into(), "b".into()));
        assert_eq!(sandbox.build(&[]).ends(0).verdicts(), ["app x86_64 cached", "other x86_64 cached"]);
    }
    fs::remove_file(folder.join(&keys[0])).unwrap();
    fs::create_dir(folder.join(&keys[0])).unwrap();
    sandbox.build(&[]).ends(0);
    assert_eq!(sandbox.build(&[]).ends(0).verdicts(), ["app x86_64 cached", "other x86_64 cached"]);
}

#[test]
fn names_lead_to_what_the_record_has() {
    let sandbox = Sandbox::shipping(&[("app", &saying("a"))]);
    let built = sandbox.build(&[]).ends(0);
    let digest = built.of("app", OWN)["digest"].as_str().unwrap().to_owned();
    let name = format!("app-0.1.0-{OWN}-{}", &digest[..12]);
    assert_eq!(sandbox.names_seen(), [name.as_str()]);
    let place = sandbox.path("target/xtask/programs").join(&name);
    assert_eq!(fs::read_link(&place).unwrap(), Path::new("../store/sha256").join(&digest));
    assert_eq!(fs::metadata(&place).unwrap().len(), built.of("app", OWN)["size"].as_u64().unwrap());
    // A name that somebody took is taken back.
    fs::remove_file(&place).unwrap();
    symlink("/etc/passwd", &place).unwrap();
    sandbox.build(&[]).ends(0);
    assert_eq!(sandbox.started("app"), "a");
    fs::remove_file(&place).unwrap();
    fs::write(&place, "not a program").unwrap();
    sandbox.build(&[]).ends(0);
    assert_eq!(sandbox.started("app"), "a");
    sandbox.write("crates/app/src/main.rs", &saying("b"));
    sandbox.build(&[]).ends(0);
    assert_eq!(sandbox.names_seen().len(), 1, "what was replaced has no name any more");
    assert_eq!(sandbox.started("app"), "b");
}

#[test]
fn what_the_record_names_stays_however_old_it_is() {
    let sandbox = Sandbox::shipping(&[("app", &saying("a"))]);
    sandbox.build(&[]).ends(0);
    let old = sandbox.entry();
    sandbox.write("crates/app/src/main.rs", &saying("b"));
    let built = sandbox.build(&[]).ends(0);
    let now = sandbox.path("target/xtask/store/sha256").join(built.of("app", OWN)["digest"].as_str().unwrap());
    let half = old.with_file_name(".half.tmp");
    fs::write(&half, "half").unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(40 * 24 * 60 * 60);
    for path in [&old, &now, &half] {
        fs::File::open(path).unwrap().set_modified(long_ago).unwrap();
    }
    assert_eq!(sandbox.build(&[]).ends(0).app(), "cached");
    assert!(now.exists() && !old.exists() && !half.exists());
    assert_eq!(sandbox.build(&[]).ends(0).app(), "cached");
}

#[test]
fn two_builds_at_once_both_end_right() {
    let sandbox = Sandbox::shipping(&[("app", &saying("a")), ("other", &saying("b"))]);
    let start = |_| sandbox.building(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    for child in [1, 2, 3].map(start) {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(sandbox.stored().len(), 2, "{:?}", sandbox.stored());
    let built = sandbox.build(&[]).ends(0);
    assert_eq!(built.verdicts(), ["app x86_64 cached", "other x86_64 cached"]);
    assert_eq!((sandbox.started("app"), sandbox.started("other")), ("a".into(), "b".into()));
    assert!(!built.stderr.contains("note"), "{}", built.stderr);
}

#[test]
fn a_store_that_takes_nothing_fails_with_where_the_program_is() {
    let sandbox = Sandbox::shipping(&[("app", &saying("a"))]);
    sandbox.build(&[]).ends(0);
    let store = sandbox.path("target/xtask/store");
    fs::remove_dir_all(&store).unwrap();
    fs::write(&store, "no folder").unwrap();
    let built = sandbox.build(&[]).ends(1);
    assert_eq!(built.app(), "failed");
    built.says("the store does not take the program");
    built.says("mend: df -h");
    let top = sandbox.path("").display().to_string();
    assert!(!built.record.to_string().contains(&top), "a path of this machine: {}", built.record);
    fs::remove_file(&store).unwrap();
    assert_eq!(sandbox.build(&[]).ends(0).app(), "passed");
}

#[test]
fn a_full_disk_leaves_no_half_program() {
    let sandbox = Sandbox::shipping(&[("app", &saying("a"))]);
    // No file may grow beyond this many blocks of 512 bytes: the program, the store's copy and small files in turn.
    for blocks in [900, 300, 2, 0] {
        let program = sandbox.building(&[]);
        let mut command = sandbox.command("sh", &sandbox.path(""));
        let line = format!("ulimit -f {blocks}; trap '' XFSZ; exec {} build", env!("CARGO_BIN_EXE_xtask"));
        let variables = program.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let output = command.env_clear().envs(variables).args(["-c", &line]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(1 | 3)), "{blocks}: {:?} {stderr}", output.status);
        let whole = |name: &String| !name.starts_with('.');
        assert!(!sandbox.stored().iter().any(whole), "{blocks}: {:?}", sandbox.stored());
        let record = fs::read(sandbox.path("target/xtask/build.json"));
        let record = record.map(|record| serde_json::from_slice::<serde_json::Value>(&record).is_ok());
        assert!(record.unwrap_or(true), "{blocks}: a record that is torn");
    }
    assert_eq!(sandbox.build(&[]).ends(0).app(), "passed");
    assert_eq!(sandbox.started("app"), "a");
}

#[test]
fn a_record_that_cannot_be_written_is_no_success() {
    let sandbox = Sandbox::shipping(&[("app", &saying("a"))]);
    fs::create_dir_all(sandbox.path("target/xtask/build.json/x")).unwrap();
    sandbox.build(&[]).ends(3).says("the record target/xtask/build.json cannot be written");
    sandbox.remove("target/xtask/build.json");
    assert_eq!(sandbox.build(&[]).ends(0).app(), "cached");
}

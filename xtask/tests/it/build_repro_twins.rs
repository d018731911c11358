//! The two places that programs are built in to be compared: what is built there is what is built here.

use std::fs;
use std::os::unix::fs::symlink;

use crate::build_ground::Ground;

/// Asserts that what was proved to be reproducible has the bytes of any other build.
#[track_caller]
fn same(ground: &Ground) -> String {
    let twice = ground.build(&["--verify-reproducible"]).ends(0);
    let printed = ground.prints();
    fs::remove_dir_all(ground.root.join("target")).unwrap();
    let once = ground.build(&[]).ends(0);
    assert_eq!([twice.text("key"), twice.text("digest")], [once.text("key"), once.text("digest")]);
    assert_eq!(printed, ground.prints());
    assert!(ground.leftovers().is_empty());
    printed
}

const WORD: &str = "option_env!(\"WORD\").unwrap_or(\"none\")";

#[test]
fn configuration_above_the_repository_counts_there_too() {
    let ground = Ground::bare("a/b/repo");
    let other = Ground::new("", WORD);
    other.git(&["clone", "--quiet", other.root.to_str().unwrap(), ground.root.to_str().unwrap()]);
    ground.write("../.cargo/config.toml", "[env]\nWORD = \"near\"\n[build]\nrustflags = [\"--cfg\", \"near\"]\n");
    ground.write("../../.cargo/config.toml", "[env]\nWORD = \"far\"\n");
    assert_eq!(same(&ground), "near");
    fs::remove_dir_all(ground.root.join("../.cargo")).unwrap();
    fs::remove_dir_all(ground.root.join("target")).unwrap();
    assert_eq!(same(&ground), "far");
}

#[test]
fn configuration_that_git_ignores_counts_there_too() {
    let ground = Ground::new("", WORD);
    ground.append(".gitignore", "/.cargo\n");
    ground.write(".cargo/config.toml", "[env]\nWORD = \"ignored\"\n");
    assert_eq!(same(&ground), "ignored");
    // How it is written, and what changes no program, does not count.
    ground.write(".cargo/config.toml", "# Mine.\n[env]\nWORD = \"ignored\"\n[build]\njobs = 1\n");
    assert_eq!(ground.build(&[]).ends(0).verdict(), "cached");
    ground.write(".cargo/config.toml", "[env]\nWORD = \"other\"\n");
    assert_eq!(ground.build(&[]).ends(0).verdict(), "passed");
}

#[test]
fn configuration_of_another_folder_is_no_proof() {
    let ground = Ground::new("", WORD);
    fs::create_dir(ground.path("tmp/.cargo")).unwrap();
    fs::write(ground.path("tmp/.cargo/config.toml"), "[env]\nWORD = \"of the temporary folder\"\n").unwrap();
    ground.build(&["--verify-reproducible"]).ends(1).says("cargo finds another configuration in ");
    assert_eq!(ground.leftovers().len(), 1);
}

#[test]
fn what_lies_behind_links_and_what_is_ignored_is_there() {
    let ground = Ground::with("", "concat!(include!(\"linked.rs\"), include_str!(\"../made/made.txt\"))");
    fs::write(ground.path("word.rs"), "\"linked \"").unwrap();
    symlink("../../../../word.rs", ground.root.join("crates/p/src/linked.rs")).unwrap();
    ground.write("crates/p/made/made.txt", "made");
    ground.append(".gitignore", "made/\n");
    let ground = ground.committed();
    assert_eq!(same(&ground), "linked made");
    // Both count.
    let first = ground.build(&[]).ends(0);
    assert_eq!(first.verdict(), "cached");
    fs::write(ground.path("word.rs"), "\"other \"").unwrap();
    ground.build(&[]).ends(0);
    assert_eq!(ground.prints(), "other made");
    ground.write("crates/p/made/made.txt", "anew");
    ground.build(&[]).ends(0);
    assert_eq!(ground.prints(), "other anew");
}

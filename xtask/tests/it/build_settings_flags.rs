//! Cargo's configuration and profiles: all of it is in force, what changes programs counts, and nothing else does.

use std::fs;

use crate::build_ground::{Ground, Made, X86};

const FLAGS: &str = "[cfg!(one), cfg!(two), cfg!(three)].map(|on| if on { \"on\" } else { \"off\" }).join(\" \")";

fn flag(name: &str) -> String {
    format!("rustflags = [\"--cfg\", \"{name}\"]\n")
}

#[test]
fn flags_of_the_configuration_are_in_force_beside_ours() {
    let ground = Ground::new("", FLAGS);
    let config = format!(
        "[target.{X86}]\n{}[target.'cfg(target_env = \"musl\")']\n{}[target.'cfg(windows)']\n{}",
        flag("one"),
        flag("two"),
        flag("three")
    );
    ground.write(".cargo/config.toml", &config);
    let made = ground.build(&[]).ends(0);
    assert_eq!(ground.prints(), "on on off");
    assert!(made.of("p", X86)["flags"].to_string().contains("remap-path-prefix"));
    // Those of `build` are for where there are no others, as with cargo.
    ground.write(".cargo/config.toml", &format!("{config}[build]\n{}", flag("three")));
    ground.build(&[]).ends(0);
    assert_eq!(ground.prints(), "on on off");
    ground.write(".cargo/config.toml", &format!("[build]\n{}", flag("three")));
    ground.build(&[]).ends(0);
    assert_eq!(ground.prints(), "off off on");
}

#[test]
fn flags_from_above_and_from_cargos_home_are_in_force() {
    let ground = Ground::new("", FLAGS);
    ground.write(".cargo/config.toml", &format!("[build]\n{}", flag("one")));
    ground.write("../.cargo/config.toml", &format!("[build]\n{}", flag("two")));
    fs::write(ground.cargo.join("config.toml"), format!("[build]\n{}", flag("three"))).unwrap();
    ground.build(&["--verify-reproducible"]).ends(0);
    assert_eq!(ground.prints(), "on on on");
    fs::remove_file(ground.root.join("../.cargo/config.toml")).unwrap();
    assert_eq!(ground.build(&[]).ends(0).verdict(), "passed");
    assert_eq!(ground.prints(), "on off on");
}

#[test]
fn what_changes_no_program_does_not_count() {
    let ground = Ground::new("", "\"x\"");
    ground.write(".cargo/config.toml", "[build]\nrustflags = [\"--cfg\", \"x\"]\n");
    let first = ground.build(&[]).ends(0);
    for text in [
        "# A comment.\n[build]\nrustflags   = [ \"--cfg\" , \"x\" ]\n",
        "[net]\nretry = 3\n[term]\nverbose = true\n[alias]\nb = \"build\"\n[build]\nrustflags = [\"--cfg\", \"x\"]\n",
        "[http]\ntimeout = 9\n[source.mine]\nregistry = \"sparse+https://example.com/\"\n[build]\nrustflags = [\"--cfg\", \"x\"]\n",
    ] {
        ground.write(".cargo/config.toml", text);
        let made = ground.build(&[]).ends(0);
        assert_eq!([made.verdict(), made.text("key")], ["cached".to_owned(), first.text("key")], "{text}");
    }
    ground.write(".cargo/config.toml", "[build]\nrustflags = [\"--cfg\", \"y\"]\n");
    assert!(ground.plan(&[]).contains("changed since it was last built: "), "{}", ground.plan(&[]));
    assert_eq!(ground.build(&[]).ends(0).verdict(), "passed");
}

#[test]
fn what_is_made_for_the_processor_of_the_machine_has_no_key() {
    for flags in ["[\"-C\", \"target-cpu=native\"]", "\"-Ctarget-cpu=native\"", "[\"--codegen=target-cpu=native\"]"] {
        let ground = Ground::new("", "\"x\"");
        ground.write(".cargo/config.toml", &format!("[build]\nrustflags = {flags}\n"));
        assert_eq!(ground.build(&[]).ends(0).text("key"), "");
        assert!(ground.plan(&[]).contains("nothing is kept of it: "), "{}", ground.plan(&[]));
        ground.write(".cargo/config.toml", "[build]\nrustflags = [\"-Ctarget-cpu=x86-64-v2\"]\n");
        assert_eq!(ground.build(&[]).ends(0).text("key").len(), 64);
    }
}

#[test]
fn folders_of_the_configuration_are_in_no_program() {
    let ground = Ground::with("", "concat!(include!(concat!(env!(\"OUT_DIR\"), \"/file.rs\")))");
    ground.write(
        "crates/p/build.rs",
        "fn main() {\n    std::fs::write(std::env::var(\"OUT_DIR\").unwrap() + \"/file.rs\", \"file!()\").unwrap();\n}\n",
    );
    let ground = ground.committed();
    let first = ground.build(&[]).ends(0);
    let elsewhere = tempfile::tempdir().unwrap();
    let config = format!("[build]\nbuild-dir = \"{0}\"\ntarget-dir = \"{0}/t\"\n", elsewhere.path().display());
    ground.write(".cargo/config.toml", &config);
    let second = ground.build(&["--no-cache"]).ends(0);
    assert_eq!(first.text("digest"), second.text("digest"));
    assert!(!elsewhere.path().join("release").exists() && !elsewhere.path().join(X86).exists());
}

#[test]
fn a_linker_that_is_configured_is_respected_and_is_the_same_in_every_folder() {
    let ground = Ground::new("", "\"x\"");
    let lld = "#!/bin/sh\n[ \"$1\" = --version ] && echo mine 1.0 && exit 0\nexec rust-lld \"$@\"\n";
    ground.write("tools/ld", lld);
    ground.write(
        ".cargo/config.toml",
        &format!("[target.{X86}]\nlinker = \"tools/ld\"\nrustflags = [\"-Clinker-flavor=ld.lld\"]\n"),
    );
    let tool = |ground: &Ground| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(ground.root.join("tools/ld"), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink(rust_lld(), ground.path("bin/rust-lld")).unwrap();
    };
    tool(&ground);
    ground.commit("linker");
    let first = ground.build(&[]).ends(0);
    assert_eq!(first.of("p", X86)["linker"]["because"], "cargo's configuration says so");
    assert!(first.of("p", X86)["linker"]["version"].as_str().unwrap().contains("mine 1.0"));
    assert!(!first.stdout.contains(ground.root.to_str().unwrap()), "{}", first.stdout);
    assert!(ground.plan(&[]).contains("cargo's configuration says so"));
    let other = ground.cloned("some/where/else");
    std::os::unix::fs::symlink(rust_lld(), other.path("bin/rust-lld")).unwrap();
    let second = other.build(&[]).ends(0);
    assert_eq!([first.text("key"), first.text("digest")], [second.text("key"), second.text("digest")]);
}

fn rust_lld() -> std::path::PathBuf {
    crate::gate_sandbox::toolchain().join("../lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld")
}

#[test]
fn a_linker_of_policy_goes_before_the_configuration() {
    let ground = Ground::new(&format!("linker.{X86} = \"rust-lld\""), "\"x\"");
    ground.write(".cargo/config.toml", &format!("[target.{X86}]\nlinker = \"no-such-linker\"\n"));
    let made = ground.build(&[]).ends(0);
    assert_eq!(made.of("p", X86)["linker"]["because"], "policy says so");
}

#[test]
fn a_profile_is_policys_or_asked_for_and_tuned_is_what_it_says() {
    let ground = Ground::with("profile = \"dist\"", "if cfg!(debug_assertions) { \"debug\" } else { \"plain\" }");
    ground.append("Cargo.toml", "\n[profile.dist]\ninherits = \"release\"\nstrip = \"none\"\n[profile.loud]\ninherits = \"dist\"\ndebug-assertions = true\n");
    let ground = ground.committed();
    let size = |made: &Made| made.of("p", X86)["size"].as_u64().unwrap();
    let plain = ground.build(&[]).ends(0);
    assert_eq!((plain.text("profile").as_str(), ground.prints().as_str()), ("dist", "plain"));
    ground.build(&["--profile", "loud"]).ends(0);
    assert_eq!(ground.prints(), "debug");
    ground.build(&["--profile", "lud"]).ends(2).says("there is no profile `lud`; there are: ");
    let text = fs::read_to_string(ground.root.join("Cargo.toml")).unwrap();
    ground.write("Cargo.toml", &text.replace("profile = \"dist\"", "profile = \"dist\"\ntuned = true"));
    let tuned = ground.build(&["--verbose"]).ends(0);
    assert!(size(&tuned) < size(&plain), "{} and {}", size(&tuned), size(&plain));
    assert!(!crate::build_ground::holds(&ground.bytes(), ".symtab"));
    assert_ne!(tuned.text("key"), plain.text("key"));
}

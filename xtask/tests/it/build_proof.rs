//! What is stored is static, of the right machine, and has no path of this machine in it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::build_sandbox::{OTHER, OWN, Shipped, saying};
use crate::sandbox::Sandbox;

/// A script that leaves a source in `OUT_DIR`, and a program that includes it.
const GENERATING: &str = "fn main() {\n    let path = std::env::var(\"OUT_DIR\").unwrap() + \"/generated.rs\";\n    \
     std::fs::write(path, \"fn generated() -> &'static str { file!() }\").unwrap();\n}\n";
const GENERATED: &str = "include!(concat!(env!(\"OUT_DIR\"), \"/generated.rs\"));\n\nfn main() {\n    \
     println!(\"{} {}\", file!(), generated());\n    if std::env::args().count() > 9 {\n        panic!(\"far\");\n    }\n}\n";

#[test]
fn a_program_that_links_dynamically_is_refused_and_the_library_named() {
    let sandbox = Sandbox::shipping(&[("app", &saying("a"))]);
    let flags = "rustflags = [\"-Ctarget-feature=-crt-static\"]\nlinker = \"cc\"\n";
    sandbox.write(".cargo/config.toml", &format!("[target.{OWN}]\n{flags}"));
    let built = sandbox.build(&[]).ends(1);
    assert_eq!((built.app(), built.of("app", OWN)["because"].as_str()), ("failed", Some("it is not static")));
    assert!(built.of("app", OWN)["digest"].is_null());
    built.says("it needs the library `libc.so.6`");
    assert_eq!((sandbox.stored(), sandbox.names_seen()), (Vec::new(), Vec::new()));
}

#[test]
fn a_program_for_another_machine_is_refused() {
    let sandbox = Sandbox::shipping_both(&[("app", &saying("a"))]);
    sandbox.build(&[]).ends(0);
    let other = fs::read(sandbox.path(&format!("target/xtask/cargo/{OTHER}/release/app"))).unwrap();
    sandbox.write("other", "");
    fs::write(sandbox.path("../other"), other).unwrap();
    fs::remove_dir_all(sandbox.path("target/xtask/store")).unwrap();
    // A linker that does something else than it is asked for.
    let linker = sandbox.fake("linker", "[ \"$1\" = --version ] && echo 1 && exit\nwhile [ $# -gt 1 ]; do [ \"$1\" = -o ] && out=$2; shift; done\ncp \"$(dirname $0)/../other\" \"$out\"");
    sandbox.write(".cargo/config.toml", &format!("[target.{OWN}]\nlinker = {:?}\n", linker.display().to_string()));
    let built = sandbox.build(&["--target", OWN]).ends(1);
    assert_eq!(built.app(), "failed");
    built.says("it is made for AArch64");
    assert_eq!(sandbox.stored(), Vec::<String>::new());
}

#[test]
fn a_path_of_this_machine_is_refused_where_it_cannot_be_remapped() {
    let folder = "fn main() {\n    println!(\"{}\", env!(\"CARGO_MANIFEST_DIR\"));\n}\n";
    let out = "fn main() {\n    println!(\"{}\", env!(\"OUT_DIR\"));\n}\n";
    let sandbox = Sandbox::shipping(&[("folder", folder), ("out", out), ("app", GENERATED)]);
    sandbox.write("crates/out/build.rs", "fn main() {}\n");
    sandbox.write("crates/app/build.rs", GENERATING);
    let built = sandbox.build(&[]).ends(1);
    assert_eq!(built.verdicts(), ["app x86_64 passed", "folder x86_64 failed", "out x86_64 failed"]);
    built.says("a path of this machine is in it");
    built.says("crates/folder»");
    built.says("env!(\"OUT_DIR\")");
    built.says(&format!("rerun: cargo xtask build --bin out --target {OWN}"));
    let said = sandbox.started("app");
    assert!(said.starts_with("crates/app/src/main.rs /target/"), "{said}");
    unspoken(&sandbox);
}

/// Nothing that was stored knows where it was made.
#[track_caller]
fn unspoken(sandbox: &Sandbox) {
    let top = sandbox.path("").canonicalize().unwrap();
    let places = [top.parent().unwrap().display().to_string(), sandbox.path("..").display().to_string()];
    for name in sandbox.stored() {
        let bytes = fs::read(sandbox.path("target/xtask/store/sha256").join(name)).unwrap();
        for place in &places {
            assert!(!bytes.windows(place.len()).any(|window| window == place.as_bytes()), "{place}");
        }
    }
    let record = fs::read_to_string(sandbox.path("target/xtask/build.json")).unwrap();
    assert!(!places.iter().any(|place| record.contains(place.as_str())), "{record}");
    assert!(!record.contains("/root") && !record.contains("/home"), "{record}");
}

#[test]
fn the_place_of_the_workspace_and_of_cargos_home_makes_no_difference() {
    let sandbox = Sandbox::shipping(&[("app", GENERATED)]);
    sandbox.write("crates/app/build.rs", GENERATING);
    sandbox.commit("script");
    let mut digests = vec![sandbox.build(&[]).ends(0).of("app", OWN)["digest"].clone()];
    unspoken(&sandbox);
    // With spaces and signs in it, and cargo's home within.
    let places = ["../two words='x'", "../linked/to", "../far/away/from/there"];
    fs::create_dir(sandbox.path("../real")).unwrap();
    symlink("real", sandbox.path("../linked")).unwrap();
    for place in places {
        let folder = sandbox.path(place);
        sandbox.git(&["clone", "--quiet", ".", folder.to_str().unwrap()]);
        let home = folder.join("target/home of cargo");
        let output = sandbox.building_in(&folder, &["--quiet"]).env("CARGO_HOME", home).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{place}: {}", String::from_utf8_lossy(&output.stderr));
        let record = fs::read(folder.join("target/xtask/build.json")).unwrap();
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
        digests.push(record["programs"][0]["digest"].clone());
    }
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
}

#[test]
fn a_build_folder_of_cargos_configuration_does_not_get_into_programs() {
    let sandbox = Sandbox::shipping(&[("app", GENERATED)]);
    sandbox.write("crates/app/build.rs", GENERATING);
    let place = sandbox.path("../elsewhere").display().to_string();
    sandbox.write(".cargo/config.toml", &format!("[build]\nbuild-dir = {place:?}\ntarget-dir = \"else\"\n"));
    let built = sandbox.building(&[]).output().unwrap();
    assert_eq!(built.status.code(), Some(0), "{}", String::from_utf8_lossy(&built.stderr));
    assert!(!Path::new(&place).exists());
}

#[test]
fn a_linker_of_the_workspace_is_named_by_no_path_of_this_machine() {
    let sandbox = Sandbox::shipping(&[("app", &saying("a"))]);
    let lld = crate::gate_sandbox::toolchain().join("../lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld");
    let script = format!("#!/bin/sh\n[ \"$1\" = --version ] && echo 1 && exit\nexec {} \"$@\"\n", lld.display());
    sandbox.write("tools/rust-lld", &script);
    fs::set_permissions(sandbox.path("tools/rust-lld"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    sandbox.write(".cargo/config.toml", &format!("[target.{OWN}]\nlinker = \"tools/rust-lld\"\n"));
    sandbox.commit("linker");
    let built = sandbox.build(&[]).ends(0);
    unspoken(&sandbox);
    let key = built.of("app", OWN)["key"].clone();
    let folder = sandbox.path("../clone");
    sandbox.git(&["clone", "--quiet", ".", folder.to_str().unwrap()]);
    let output = sandbox.building_in(&folder, &["--plan", "--format", "json"]).output().unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["steps"][0]["items"][0]["key"], key, "the same program in another clone");
    // And yet what the linker is counts.
    sandbox.write("tools/rust-lld", &script.replace("exec", "# x\nexec"));
    assert_eq!(sandbox.build(&[]).ends(0).app(), "passed");
}

#[test]
fn rust_lld_of_cargos_configuration_is_the_one_that_rustc_brings() {
    let sandbox = Sandbox::shipping(&[("app", &saying("a"))]);
    sandbox.write(".cargo/config.toml", &format!("[target.{OWN}]\nlinker = \"rust-lld\"\n"));
    let built: Shipped = sandbox.build(&[]).ends(0);
    assert_eq!(built.of("app", OWN)["linker"]["because"], "cargo's configuration says so");
}

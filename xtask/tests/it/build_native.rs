//! Which linker is chosen for what is linked in, and how it is explained: nothing here needs zig.

use std::fs;

use crate::build_ground::{ARM, Ground, X86, downloaded, is_downloaded};

const BOTH: &str = "targets = [\"x86_64-unknown-linux-musl\", \"aarch64-unknown-linux-musl\"]";

/// A crate of the workspace beside the program, whose manifest goes on so and whose build script does that.
fn beside(ground: &Ground, rest: &str, script: &str) {
    let manifest = format!("[package]\nname = \"side\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{rest}");
    ground.write("crates/side/Cargo.toml", &manifest);
    ground.write("crates/side/src/lib.rs", "");
    ground.write("crates/side/build.rs", &format!("fn main() {{\n    {script}\n}}\n"));
}

/// A program that depends on a crate beside it, in this way.
fn depending(dependency: &str, rest: &str, script: &str) -> Ground {
    let ground = Ground::with(BOTH, "\"x\"");
    ground.member("p", dependency, "\"x\"");
    beside(&ground, rest, script);
    ground.committed()
}

const PLAIN: &str = "[dependencies]\nside = { path = \"../side\" }\n";
const CC: &str = "links = \"side\"\n[build-dependencies]\ncc = \"1\"\n";

#[test]
fn without_zig_the_crate_is_named_and_what_installs_it() {
    if !downloaded("cc") {
        return;
    }
    let ground = depending(PLAIN, CC, "cc::Build::new().file(\"x.c\").compile(\"x\");");
    ground.member("pure", "", "\"pure\"");
    ground.lock();
    ground.commit("pure");
    // Without a python that has it.
    let nothing = [("CARGO_ZIGBUILD_PYTHON_PATH", "no-python")];
    let made = ground.build_with(&[], &nothing).ends(1);
    assert!(made.verdict().starts_with("failed"), "{}", made.verdict());
    let made = made.says("side 0.1.0 needs a compiler of C (build-dependency on cc)");
    let made = made.says("pip install ziglang && cargo install --locked cargo-zigbuild");
    assert_eq!([&made.of("pure", X86)["verdict"], &made.of("pure", ARM)["verdict"]], ["passed", "passed"]);
    assert_eq!(made.of("pure", ARM)["linker"]["because"], "nothing but Rust is linked");
    let plan = ground.building(&["--plan"]).envs(nothing).output().unwrap();
    let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(plan.contains("pip install ziglang") && plan.contains("side 0.1.0"), "{plan}");
}

#[test]
fn what_is_not_linked_in_needs_no_zig() {
    if !downloaded("cc") {
        return;
    }
    let optional = "[dependencies]\nside = { path = \"../side\", optional = true }\n";
    let windows = "[target.'cfg(windows)'.dependencies]\nside = { path = \"../side\" }\n";
    let host = "[build-dependencies]\nside = { path = \"../side\" }\n";
    let dev = "[dev-dependencies]\nside = { path = \"../side\" }\n";
    for dependency in [optional, windows, host, dev] {
        let ground = depending(dependency, CC, "");
        let plan = ground.plan(&[]);
        assert_eq!(plan.matches("linked by rust-lld: nothing but Rust is linked").count(), 2, "{dependency}: {plan}");
        ground.build(&[]).ends(0);
    }
    // With the feature on, it is.
    let on = depending(optional, CC, "");
    on.append("crates/p/Cargo.toml", "[package.metadata.supercargo]\nfeatures = [\"side\"]\n");
    let made = on.build_with(&[], &[("CARGO_ZIGBUILD_PYTHON_PATH", "no-python")]).ends(1);
    assert_eq!(made.of("p", X86)["linker"]["name"], "zig+rust-lld");
}

#[test]
fn links_alone_is_no_library_and_the_build_script_has_the_last_word() {
    for (rest, script, zig) in [
        ("links = \"side\"\n", "println!(\"cargo:root=x\");", false),
        ("links = \"side\"\n", "println!(\"cargo:rustc-link-lib=m\");", true),
        ("links = \"side\"\n", "println!(\"cargo::rustc-link-search=/x\");", true),
        ("", "println!(\"cargo:rustc-cfg=x\");", false),
    ] {
        let ground = depending(PLAIN, rest, script);
        let made = ground.build_with(&["--target", X86], &[("CARGO_ZIGBUILD_PYTHON_PATH", "no-python")]);
        let linker = &made.of("p", X86)["linker"];
        assert_eq!(linker["name"] == "zig+rust-lld", zig, "{script}: {linker}");
        assert_eq!(linker["because"].as_str().unwrap().contains("links = \"side\""), zig, "{linker}");
    }
}

#[test]
fn a_build_script_that_changes_its_mind_is_read_anew() {
    let ground = depending(PLAIN, "links = \"side\"\n", "");
    assert_eq!(ground.build(&["--target", X86]).ends(0).of("p", X86)["linker"]["name"], "rust-lld");
    beside(&ground, "links = \"side\"\n", "println!(\"cargo:rustc-link-lib=m\");");
    let made = ground.build_with(&["--target", X86], &[("CARGO_ZIGBUILD_PYTHON_PATH", "no-python")]);
    assert_eq!(made.of("p", X86)["linker"]["name"], "zig+rust-lld", "{}", made.stderr);
}

#[test]
fn rayon_links_nothing() {
    if !["rayon", "rayon-core", "either", "crossbeam-deque"].iter().all(|name| is_downloaded(name)) {
        return;
    }
    let ground = Ground::with("", "\"x\"");
    ground.member("p", "[dependencies]\nrayon = \"1\"\n", "\"x\"");
    let ground = ground.committed();
    assert!(ground.plan(&[]).contains("linked by rust-lld: nothing but Rust is linked"), "{}", ground.plan(&[]));
}

#[test]
fn a_program_that_is_linked_dynamically_is_refused() {
    let ground = Ground::new("", "\"x\"");
    ground.write(".cargo/config.toml", "[build]\nrustflags = [\"-Ctarget-feature=-crt-static\"]\n");
    let made = ground.build(&[]).ends(1);
    assert_eq!(made.text("digest"), "");
    assert!(made.verdict().starts_with("failed("), "{}", made.verdict());
    assert!(ground.programs().is_empty());
}

#[test]
fn a_program_for_glibc_is_linked_by_the_hosts_cc_where_policy_says_so() {
    let gnu = "x86_64-unknown-linux-gnu";
    let ground = Ground::new(&format!("targets = [\"{gnu}\"]\nlinker.{gnu} = \"cc\""), "\"glibc\"");
    let made = ground.build(&["--smoke"]).ends(0);
    let made = made.of("p", gnu);
    assert_eq!(made["linker"]["because"], "policy says so");
    assert_eq!(made["smoke"]["verdict"], "passed");
    assert!(made["linker"]["version"].as_str().unwrap().starts_with("cc: "), "{made}");
    let program = &ground.programs()[&format!("p-0.1.0-{gnu}")];
    assert_eq!(crate::build_ground::prints(program), "glibc");
    // Another compiler makes another program.
    ground.fake("cc", "[ \"$1\" = --version ] && echo cc 99 && exit 0\nexec /usr/bin/cc \"$@\"");
    let second = ground.build(&[]).ends(0);
    assert_eq!(second.of("p", gnu)["verdict"], "passed");
    assert_ne!(second.of("p", gnu)["key"], made["key"]);
    fs::remove_file(ground.path("bin/cc")).unwrap();
    assert_eq!(ground.build(&[]).ends(0).of("p", gnu)["verdict"], "cached");
}

#[test]
fn a_linker_that_is_missing_is_named() {
    let ground = Ground::new(&format!("linker.{X86} = \"no-such-linker\""), "\"x\"");
    ground.build(&[]).ends(1).says("no-such-linker");
    ground.plan(&[]);
}

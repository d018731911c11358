//! The same bytes everywhere: one commit built in two folders, with two homes, has one key and one digest for each target.

use std::fs;
use std::os::unix::fs::symlink;

use crate::build_ground::{ARM, Ground, X86, holds, prints};

/// A workspace with all that tends to bring paths along: a crate of the registry, a build script whose text is included,
/// a macro, panics, and information for debuggers.
fn rich() -> Ground {
    let ground = Ground::with(&format!("targets = [\"{X86}\", \"{ARM}\"]"), "\"\"");
    ground.append(
        "Cargo.toml",
        "\n[profile.release]\ndebug = \"line-tables-only\"\n\n[profile.lean]\ninherits = \"release\"\ndebug = false\n",
    );
    let dependencies = "[dependencies]\nmac = { path = \"../mac\" }\nmid = { path = \"../mid\" }\nsemver = \"1\"\n";
    let main = "include!(concat!(env!(\"OUT_DIR\"), \"/made.rs\"));\n\
        fn main() {\n    let words: Vec<String> = std::env::args().collect();\n    \
        let version = semver::Version::parse(env!(\"CARGO_PKG_VERSION\")).unwrap();\n    \
        println!(\"{version} {} {} {}\", mac::place!(), made(1), file!());\n    mid::f(words.len());\n    \
        assert!(words.len() < 9, \"{words:?}\");\n}\n";
    ground.member("p", dependencies, main);
    ground.write("crates/mid/Cargo.toml", "[package]\nname = \"mid\"\nversion = \"0.1.0\"\nedition = \"2021\"\n");
    ground.write(
        "crates/mid/src/lib.rs",
        "pub fn f(n: usize) {\n    if n > 7 {\n        panic!(\"{}\", file!());\n    }\n}\n",
    );
    let mac = "[package]\nname = \"mac\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[lib]\nproc-macro = true\n";
    ground.write("crates/mac/Cargo.toml", mac);
    let mac = "#[proc_macro]\npub fn place(_: proc_macro::TokenStream) -> proc_macro::TokenStream {\n    \
        format!(\"{:?}\", file!()).parse().unwrap()\n}\n";
    ground.write("crates/mac/src/lib.rs", mac);
    let script = "fn main() {\n    let out = std::env::var(\"OUT_DIR\").unwrap();\n    \
        let text = \"fn made(n: u32) -> u32 { if n > 3 { panic!() } else { n } }\";\n    \
        std::fs::write(format!(\"{out}/made.rs\"), text).unwrap();\n}\n";
    ground.write("crates/p/build.rs", script);
    ground.committed()
}

/// Every folder that no program may know of.
fn folders(ground: &Ground) -> Vec<String> {
    let toolchain = crate::gate_sandbox::toolchain().parent().unwrap();
    let places = [&ground.root, &ground.cargo, &ground.path(""), toolchain];
    places.iter().map(|path| path.display().to_string().trim_end_matches('/').to_owned()).collect()
}

#[test]
fn one_commit_is_one_key_and_one_digest_wherever_it_is_built() {
    let one = rich();
    let other = one.cloned("far/below/and below/the repository");
    // A home by way of a link, and a target folder elsewhere.
    symlink(&other.cargo, other.path("linked-home")).unwrap();
    let elsewhere = other.path("elsewhere");
    let variables = [("CARGO_HOME", other.path("linked-home")), ("CARGO_TARGET_DIR", elsewhere.clone())]
        .map(|(n, v)| (n, v.display().to_string()));
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for profile in ["release", "lean"] {
        let arguments = ["--profile", profile, "--smoke"];
        let (first, second) = (one.build(&arguments).ends(0), other.build_with(&arguments, &variables).ends(0));
        for target in [X86, ARM] {
            let (first, second) = (first.of("p", target), second.of("p", target));
            assert_eq!(first["verdict"], "passed", "{first}");
            assert_eq!([&first["digest"], &first["key"]], [&second["digest"], &second["key"]], "{profile} {target}");
            assert_eq!(first["linker"]["name"], "rust-lld");
        }
        for folder in folders(&one).iter().chain(&folders(&other)) {
            for (name, path) in one.programs() {
                let bytes = fs::read(&path).unwrap();
                assert!(!holds(&bytes, folder), "{folder} is in {name}, {profile}");
            }
            assert!(!first.stdout.contains(folder) && !second.stdout.contains(folder), "{folder} is in the record");
        }
        assert!(prints(&one.programs()[&format!("p-0.1.0-{X86}")]).starts_with("0.1.0 "));
    }
    assert!(!other.root.join("target").exists());
}

#[test]
fn what_is_reproducible_is_proved_to_be_so_and_leaves_nothing() {
    let ground = rich();
    let made = ground.build(&["--verify-reproducible", "--target", X86]).ends(0);
    assert_eq!(made.verdict(), "passed");
    assert!(ground.leftovers().is_empty(), "{:?}", ground.leftovers());
    // What was proved is what any build makes, under the same key.
    let anew = ground.cloned("x/y").build(&["--target", X86]).ends(0);
    assert_eq!([anew.text("digest"), anew.text("key")], [made.text("digest"), made.text("key")]);
    assert_eq!(ground.build(&["--target", X86]).ends(0).verdict(), "cached");
}

#[test]
fn no_commit_and_no_tag_is_in_a_program() {
    let ground = rich();
    let first = ground.build(&["--target", X86]).ends(0);
    ground.commit("another");
    ground.git(&["tag", "v9.9.9"]);
    ground.git(&["checkout", "--quiet", "-b", "other"]);
    let second = ground.build(&["--target", X86]).ends(0);
    assert_eq!(second.verdict(), "cached");
    assert_eq!(first.text("key"), second.text("key"));
    let anew = ground.build(&["--target", X86, "--no-cache"]).ends(0);
    assert_eq!([anew.text("digest"), anew.verdict()], [first.text("digest"), "passed".to_owned()]);
    assert_eq!(anew.record["commit"], ground.git(&["rev-parse", "HEAD"]));
}

#[test]
fn a_workspace_that_is_reached_by_a_link_or_lies_below_the_top_is_the_same() {
    let ground = Ground::new("", "file!()");
    let first = ground.build(&[]).ends(0);
    let other = ground.cloned("real/repo");
    symlink(other.path("real"), other.path("link")).unwrap();
    let manifest = other.path("link/repo/Cargo.toml");
    let mut command = other.building(&["--format", "json", "--manifest-path", manifest.to_str().unwrap()]);
    let second =
        crate::build_ground::Made::from(command.current_dir(other.path("link/repo")).output().unwrap()).ends(0);
    assert_eq!([first.text("key"), first.text("digest")], [second.text("key"), second.text("digest")]);
}

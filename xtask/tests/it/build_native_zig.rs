//! Programs with C in them, really compiled by zig for both targets and really run, here and under an emulator.

use std::fs;
use std::process::Command;

use crate::build_ground::{ARM, Ground, X86, downloaded, holds, peer, prints};

/// A crate that compiles C files by their relative, absolute and generated paths, each of which says its own name.
fn speaking(place: &str) -> Ground {
    let ground = Ground::bare(place);
    ground.write(
        "Cargo.toml",
        "[workspace]\nresolver = \"2\"\nmembers = [\"crates/*\"]\n\n[workspace.metadata.supercargo.build]\npass-env = [\"CFLAGS*\"]\n",
    );
    ground.write(".gitignore", "/target\n");
    let main = "use std::ffi::{CStr, c_char};\nextern \"C\" {\n    fn near(n: i32) -> *const c_char;\n    fn made() -> *const c_char;\n    \
        fn far() -> *const c_char;\n}\nfn main() {\n    for text in unsafe { [near(1), made(), far()] } {\n        \
        println!(\"{}\", unsafe { CStr::from_ptr(text) }.to_str().unwrap());\n    }\n}\n";
    ground.member("p", "links = \"speaking\"\n[build-dependencies]\ncc = \"1\"\n", main);
    ground.write(
        "crates/p/build.rs",
        "fn main() {\n    let out = std::env::var(\"OUT_DIR\").unwrap();\n    let here = std::env::var(\"CARGO_MANIFEST_DIR\").unwrap();\n    \
         std::fs::write(format!(\"{out}/made.c\"), \"const char *made(void) { return __FILE__; }\").unwrap();\n    \
         cc::Build::new().file(\"src/near.c\").file(format!(\"{out}/made.c\")).file(format!(\"{here}/src/far.c\")).compile(\"speaking\");\n}\n",
    );
    let near = "#include <assert.h>\n#ifndef WORD\n#define WORD \"none\"\n#endif\nconst char *near(int n) { assert(n > 0); return __FILE__ \" \" WORD; }\n";
    ground.write("crates/p/src/near.c", near);
    ground.write("crates/p/src/far.c", "#include <assert.h>\nint check(int n) { assert(n > 7); return n; }\nconst char *far(void) { return __FILE__; }\n");
    ground.committed()
}

fn starts(made: &crate::build_ground::Made, target: &str) {
    let smoke = &made.of("p", target)["smoke"];
    let emulated = target == ARM && peer("qemu-aarch64-static").is_none();
    assert_eq!(smoke["verdict"], if emulated { "skipped" } else { "passed" }, "{smoke}");
}

#[test]
fn c_is_compiled_and_names_no_folder_wherever_it_is_built() {
    let one = speaking("repo");
    if !one.zig() || !downloaded("cc") {
        return;
    }
    let first = one.build(&["--smoke"]).ends(0);
    for target in [X86, ARM] {
        let made = first.of("p", target);
        assert_eq!(made["linker"]["name"], "zig+rust-lld");
        assert_eq!(made["linker"]["because"], "p 0.1.0 needs a compiler of C (build-dependency on cc)");
        starts(&first, target);
        let bytes = fs::read(&one.programs()[&format!("p-0.1.0-{target}")]).unwrap();
        assert!(!holds(&bytes, one.path("").to_str().unwrap().trim_end_matches('/')));
    }
    let said = one.prints();
    assert!(said.starts_with("src/near.c none\n/target/") && said.ends_with("/workspace/crates/p/src/far.c"), "{said}");
    if let Some(qemu) = peer("qemu-aarch64-static") {
        let output = Command::new(qemu).arg(&one.programs()[&format!("p-0.1.0-{ARM}")]).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).starts_with("src/near.c none"));
    }
    // Folders with spaces, and another depth.
    let other = one.cloned("with a space/and more/the repo");
    other.zig();
    let second = other.build(&["--target", X86]).ends(0);
    assert_eq!([first.text("key"), first.text("digest")], [second.text("key"), second.text("digest")]);
    // Nothing changed: zig is not even started.
    let again = one.build(&[]).ends(0);
    assert_eq!([again.verdict(), again.of("p", ARM)["verdict"].as_str().unwrap().to_owned()], ["cached", "cached"]);
    // Flags for C that policy passes are in force beside ours, and count.
    for (name, word) in [("CFLAGS", "passed"), ("CFLAGS_x86_64_unknown_linux_musl", "for the target")] {
        let made =
            one.build_with(&["--target", X86], &[(name, &format!("-DWORD=\"{}\"", word.replace(' ', "-")))]).ends(0);
        assert_ne!(made.text("key"), first.text("key"));
        assert!(
            one.prints().starts_with(&format!("src/near.c {}\n", word.replace(' ', "-"))),
            "{name}: {}",
            one.prints()
        );
    }
}

#[test]
fn a_library_of_the_system_is_refused_by_its_name() {
    let ground = Ground::with("", "{ extern \"C\" { fn word() -> i32; } unsafe { word() } }");
    let build = "fn main() {\n    println!(\"cargo:rustc-link-search=native={}/../../lib\", std::env::var(\"CARGO_MANIFEST_DIR\").unwrap());\n    \
        println!(\"cargo:rustc-link-lib=dylib=word\");\n}\n";
    ground.member("p", "links = \"word\"\n", "{ extern \"C\" { fn word() -> i32; } unsafe { word() } }");
    ground.write("crates/p/build.rs", build);
    ground.write("lib/word.c", "int word(void) { return 1; }\n");
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-nostdlib", "-o", "lib/libword.so", "lib/word.c"]).current_dir(&ground.root);
    assert!(compile.status().unwrap().success());
    let ground = ground.committed();
    if !ground.zig() {
        return;
    }
    let made = ground.build(&[]).ends(1).says("it needs the library `libword.so`");
    assert_eq!((made.text("digest"), made.verdict().as_str()), (String::new(), "failed(it is not static)"));
    assert!(ground.programs().is_empty());
}

#[test]
fn a_crate_of_the_registry_with_assembly_is_the_same_everywhere() {
    let ground = Ground::with(&format!("targets = [\"{X86}\", \"{ARM}\"]"), "\"\"");
    if !ground.zig() || !downloaded("ring") || !downloaded("cc") {
        return;
    }
    let main = "ring::digest::digest(&ring::digest::SHA256, b\"x\").as_ref()[0]";
    ground.member("p", "[dependencies]\nring = \"0.17\"\n", main);
    ground.member("pure", "", "\"pure\"");
    let ground = ground.committed();
    let first = ground.build(&["--smoke"]).ends(0);
    for target in [X86, ARM] {
        assert!(first.of("p", target)["linker"]["because"].as_str().unwrap().starts_with("ring 0.17"));
        assert_eq!(first.of("pure", target)["linker"]["name"], "rust-lld");
        starts(&first, target);
    }
    assert_eq!(prints(&ground.programs()[&format!("p-0.1.0-{X86}")]), "45");
    let other = ground.cloned("a/deeper/place");
    other.zig();
    let second = other.build(&["--target", X86]).ends(0);
    assert_eq!([first.text("key"), first.text("digest")], [second.text("key"), second.text("digest")]);
}

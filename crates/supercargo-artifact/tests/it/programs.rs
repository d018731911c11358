//! ELF files as rustc makes them.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types, reason = "a test acts and reads")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use supercargo_artifact::elf::{Kind, Program, parse, parts};
use supercargo_artifact::inspect::{first_difference, traces};

const X86: &str = "x86_64-unknown-linux-musl";
const ARM: &str = "aarch64-unknown-linux-musl";

const HELLO: &str = "fn main() { let all: Vec<String> = std::env::args().collect(); println!(\"{}\", all[0]); }\n";

/// A folder that goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    /// Compiles `text` with `arguments`.
    fn rustc(&self, text: &str, arguments: &[&str]) -> Vec<u8> {
        fs::write(self.0.join("hello.rs"), text).unwrap();
        let output = Command::new("rustc")
            .current_dir(&self.0)
            .args(["--edition=2024", "-Cstrip=debuginfo", "hello.rs", "-o", "made"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(self.0.join("made")).unwrap()
    }

    fn for_musl(&self, text: &str, triple: &str, arguments: &[&str]) -> Vec<u8> {
        self.rustc(text, &[&["--target", triple, "-Clinker=rust-lld"], arguments].concat())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A static program, made once.
fn hello() -> &'static [u8] {
    static MADE: OnceLock<Vec<u8>> = OnceLock::new();
    MADE.get_or_init(|| Folder::new("hello").for_musl(HELLO, X86, &["-Cstrip=symbols"]))
}

fn stays_static(program: &Program) {
    assert_eq!((&program.interpreter, program.needed.as_slice()), (&None, &[][..]));
}

#[test]
fn static_programs_of_two_machines() {
    let folder = Folder::new("static");
    let arm = parse(&folder.for_musl(HELLO, ARM, &[])).unwrap();
    let fixed = parse(&folder.for_musl(HELLO, X86, &["-Crelocation-model=static"])).unwrap();
    let movable = parse(hello()).unwrap();
    for (program, kind, own, other) in
        [(&arm, None, ARM, X86), (&fixed, Some(Kind::Fixed), X86, ARM), (&movable, Some(Kind::Movable), X86, ARM)]
    {
        stays_static(program);
        assert!(kind.is_none_or(|kind| kind == program.kind), "{program:?}");
        assert_eq!(program.faults(own), [""; 0]);
        assert_eq!(program.faults(other).len(), 1);
    }
}

#[test]
fn a_dynamic_program_asks_for_its_loader_and_libraries() {
    let folder = Folder::new("dynamic");
    for arguments in [&["-Ctarget-feature=-crt-static"][..], &["-Cstrip=symbols"]] {
        let program = parse(&folder.rustc(HELLO, arguments)).unwrap();
        let loader = program.interpreter.as_ref().unwrap();
        assert!(loader.starts_with("/lib") && loader.contains("ld"), "{loader}");
        assert!(program.needed.iter().any(|name| name.starts_with("libc.")), "{:?}", program.needed);
        let triple = format!("{}-unknown-linux", std::env::consts::ARCH);
        assert_eq!(program.faults(&format!("{triple}-gnu")), [""; 0]);
        assert_eq!(program.faults(&format!("{triple}-musl")).len(), 1 + program.needed.len());
    }
    let object = parse(&folder.rustc(HELLO, &["--emit=obj"])).unwrap();
    assert_eq!(object.faults("").len(), 1);
}

#[test]
fn the_section_that_differs_is_named() {
    let folder = Folder::new("difference");
    let one = folder.for_musl(HELLO, X86, &[]);
    assert_eq!(first_difference(&one, &one), None);
    assert_eq!(first_difference(&one, &folder.for_musl(HELLO, X86, &[])), None, "rustc is reproducible here");
    // What is changed by hand is found where it is.
    for part in parts(&one).unwrap() {
        let mut other = one.clone();
        let at = part.range.end - 1;
        other[at] ^= 1;
        let difference = first_difference(&one, &other).unwrap();
        if parts(&other).is_ok() {
            let named = [difference.section.as_deref(), difference.sections.first().map(String::as_str)];
            assert!(named.contains(&Some(&part.name)) || part.name.starts_with("the "), "{} {difference:?}", part.name);
            assert!(difference.file_offset == at || part.name.starts_with("the "), "{} {difference:?}", part.name);
        }
    }
    // A text of another length moves all that lies after it; what lies before it is equal all the same.
    let told = HELLO.replace("{}", "a longer text {}");
    let difference = first_difference(&one, &folder.for_musl(&told, X86, &[])).unwrap();
    assert!(difference.sections.iter().any(|name| name == ".rodata"), "{difference:?}");
    assert!(difference.sections.iter().all(|name| !name.starts_with("the ")), "{difference:?}");
    let mut longer = one.clone();
    longer.push(0);
    let difference = first_difference(&one, &longer).unwrap();
    assert_eq!((difference.section, difference.file_offset), (None, one.len()));
}

#[test]
fn paths_of_this_machine_are_found() {
    let folder = Folder::new("traces");
    let text = "fn main() { let n = std::env::args().count(); assert!(n > 7, \"{}\", env!(\"HERE\")); }\n";
    let here = folder.0.to_str().unwrap().to_owned();
    fs::write(folder.0.join("hello.rs"), text).unwrap();
    let made = |remap: &str| {
        let output = Command::new("rustc")
            .env("HERE", format!("{here}/data"))
            .args(["--target", X86, "-Clinker=rust-lld", "-Cdebuginfo=2", remap])
            .arg(folder.0.join("hello.rs"))
            .arg("-o")
            .arg(folder.0.join("made"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(folder.0.join("made")).unwrap()
    };
    let kept = traces(&made("--remap-path-prefix=/none=/none"), &[here.clone(), "/no/such/folder".into()], &|_| true);
    let sections: Vec<&str> = kept.iter().filter_map(|trace| trace.section.as_deref()).collect();
    assert!(sections.contains(&".rodata") && sections.iter().any(|name| name.starts_with(".debug_")), "{kept:?}");
    assert!(kept.iter().any(|trace| trace.text.contains("hello.rs")), "{kept:?}");
    assert!(kept.iter().all(|trace| trace.path == here && trace.text.contains(&here)));
    // Debug information and locations are mapped, and what the program itself holds is not.
    let mapped = traces(&made(&format!("--remap-path-prefix={here}=/src")), std::slice::from_ref(&here), &|_| true);
    assert_eq!(mapped.len(), 1, "{mapped:?}");
    assert!(mapped[0].text.contains("/data"), "{mapped:?}");
}

#[test]
fn what_is_cut_off_is_refused() {
    let whole = hello();
    let short = (0..4096).chain((4096..whole.len()).step_by(997)).chain(whole.len() - 200..whole.len());
    for length in short {
        assert!(parse(&whole[..length]).is_err(), "{length} of {}", whole.len());
        if length % 64 == 0 {
            first_difference(&whole[..length], whole).unwrap();
        }
    }
}

#[test]
fn no_byte_makes_it_panic() {
    let mut bytes = hello().to_vec();
    // Headers in front, and the section headers at the end.
    let ends = (0..1024).chain(bytes.len() - 2048..bytes.len());
    for at in ends.collect::<Vec<_>>() {
        for value in [0, 1, 0x7f, 0x80, 0xff, bytes[at] ^ 1, bytes[at].wrapping_add(16)] {
            let before = std::mem::replace(&mut bytes[at], value);
            if let Ok(program) = parse(&bytes) {
                drop(program.faults(X86));
            }
            drop(parts(&bytes));
            bytes[at] = before;
        }
    }
    let mut state = 1_u64;
    for _ in 0..2000 {
        let mut changed = bytes[..bytes.len().min(4096)].to_vec();
        changed.extend(&bytes[bytes.len() - 2048..]);
        for _ in 0..8 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = usize::try_from(state >> 33).unwrap() % changed.len();
            changed[at] = state.to_le_bytes()[2];
        }
        drop(parse(&changed));
        drop(first_difference(&changed, &bytes[..4096]));
    }
}

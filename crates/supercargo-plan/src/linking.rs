//! What links a program for a target, and why.

use crate::facts::closure::Closure;
use crate::facts::shipping::Linker;

/// A linker, and why it is the one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The linker.
    pub linker: Linker,
    /// Why.
    pub because: String,
}

/// Chooses the linker of a program: `policy` has the first word, cargo's configuration the second; what is linked decides
/// where neither says anything.
#[must_use]
pub fn choose(target: &str, policy: Option<&Linker>, configured: Option<&str>, closure: &Closure) -> Choice {
    if let Some(linker) = policy {
        return Choice { linker: linker.clone(), because: "policy says so".into() };
    }
    if let Some(program) = configured {
        // Rustc finds its own beside its libraries, and nobody else on PATH.
        let compiles = !closure.native.is_empty();
        let own = (program == "rust-lld").then_some(if compiles { Linker::ZigAndRustLld } else { Linker::RustLld });
        let linker = own.unwrap_or_else(|| Linker::Program(program.to_owned()));
        return Choice { linker, because: "cargo's configuration says so".into() };
    }
    match closure.native.as_slice() {
        [] if links_alone(target) => Choice { linker: Linker::RustLld, because: "nothing but Rust is linked".into() },
        [] => Choice { linker: Linker::Zig, because: format!("{target} links with a library of C") },
        native => {
            // Zig's own libraries carry its folders in debug information, and those of C++ are zig's alone.
            let plus_plus = native.iter().find(|package| package.plus_plus);
            let first = plus_plus.unwrap_or(&native[0]);
            let more = if native.len() < 2 { String::new() } else { format!(" and {} more", native.len() - 1) };
            let language = if plus_plus.is_some() { "C++" } else { "C" };
            let because = format!("{} needs a compiler of {language} ({}){more}", first.package, first.why);
            let alone = plus_plus.is_none() && links_alone(target);
            Choice { linker: if alone { Linker::ZigAndRustLld } else { Linker::Zig }, because }
        }
    }
}

/// Whether rustc brings all that a program of pure Rust is linked with.
fn links_alone(target: &str) -> bool {
    is_static(target) || target.starts_with("wasm32") || target.ends_with("-none")
}

/// Whether programs for `target` are in the Executable and Linkable Format.
#[must_use]
pub fn is_elf(target: &str) -> bool {
    !["-windows", "-apple-", "wasm", "-uefi", "-aix"].iter().any(|other| target.contains(other))
}

/// Whether programs for `target` are to need nothing of the system that they run on.
fn is_static(target: &str) -> bool {
    target.contains("-musl")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn closure(native: &[&str]) -> Closure {
        let native: Vec<_> =
            native.iter().map(|name| json!({ "package": name, "why": "build-dependency on cc", "plus_plus": name.starts_with("cxx") })).collect();
        let closure = json!({ "member": "m", "target": "t", "edges": [], "digest": "", "native": native });
        serde_json::from_value(closure).unwrap()
    }

    #[test]
    fn what_is_linked_decides_where_nobody_says_anything() {
        let (musl, gnu) = ("aarch64-unknown-linux-musl", "x86_64-unknown-linux-gnu");
        let chosen = |target: &str, native: &[&str]| choose(target, None, None, &closure(native));
        assert_eq!(chosen(musl, &[]).linker, Linker::RustLld);
        assert_eq!(chosen("armv7-unknown-linux-musleabihf", &[]).linker, Linker::RustLld);
        assert_eq!(chosen(gnu, &[]).linker, Linker::Zig);
        let choice = chosen(musl, &["ring 0.17.14", "zstd-sys 2.0.1"]);
        assert_eq!(choice.linker, Linker::ZigAndRustLld);
        assert_eq!(choice.because, "ring 0.17.14 needs a compiler of C (build-dependency on cc) and 1 more");
        assert_eq!(chosen(musl, &["ring 0.17.14", "cxx 1.0.0"]).linker, Linker::Zig);
        assert_eq!(chosen(gnu, &["ring 0.17.14"]).linker, Linker::Zig);
    }

    #[test]
    fn policy_comes_first_and_configuration_second() {
        let cc = Linker::Program("cc".into());
        let choice = choose("x-musl", Some(&cc), Some("ld"), &closure(&["ring 0.17.14"]));
        assert_eq!((choice.linker, choice.because.as_str()), (cc, "policy says so"));
        let choice = choose("x-musl", None, Some("ld"), &closure(&["ring 0.17.14"]));
        assert_eq!(choice.linker, Linker::Program("ld".into()));
    }

    #[test]
    fn a_target_tells_what_its_programs_are() {
        assert!(is_static("x86_64-unknown-linux-musl") && !is_static("x86_64-unknown-linux-gnu"));
        assert!(is_elf("x86_64-unknown-freebsd") && is_elf("riscv64gc-unknown-linux-gnu"));
        for other in ["x86_64-pc-windows-gnu", "aarch64-apple-darwin", "wasm32-wasip1"] {
            assert!(!is_elf(other), "{other}");
        }
    }
}

//! Which variables children get, and which of them count: what is not passed cannot change a result.

use std::collections::{BTreeMap, BTreeSet};

use supercargo_artifact::digest::Digest;

/// Variables that tools need to find their way, and that change no result; a `*` at the end stands for the rest.
const UNCOUNTED: [&str; 25] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "TERM",
    "COLORTERM",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "RUSTUP_*",
    "CARGO_HOME",
    "CARGO_NET_*",
    "CARGO_HTTP_*",
    "CARGO_REGISTRIES_*",
    "CARGO_TERM_*",
    "RUSTC_WRAPPER",
    "SCCACHE_*",
    "http_proxy",
    "https_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "no_proxy",
];

/// Those of them that do not count even where code names them: where things lie differs from machine to machine.
const PLACES: [&str; 15] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "TERM",
    "CARGO_HOME",
    // Files that a forge's runner makes anew for every step.
    "GITHUB_ENV",
    "GITHUB_EVENT_PATH",
    "GITHUB_OUTPUT",
    "GITHUB_PATH",
    "GITHUB_STATE",
    "GITHUB_STEP_SUMMARY",
    "RUNNER_TEMP",
];

/// Variables that change results wherever they are set: those of cargo, of rustc, of compilers and linkers for C.
const COUNTED: [&str; 42] = [
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "RUSTC",
    "RUSTDOC",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_BOOTSTRAP",
    "RUST_BACKTRACE",
    "RUST_LIB_BACKTRACE",
    "RUST_MIN_STACK",
    "RUST_TEST_*",
    "RUSTFMT",
    "CARGO_ENCODED_*",
    "CARGO_BUILD_*",
    "CARGO_PROFILE_*",
    "CARGO_TARGET_*",
    "CARGO_INCREMENTAL",
    "CARGO_UNSTABLE_*",
    "CARGO_RESOLVER_*",
    "CARGO_FUTURE_INCOMPAT_*",
    "CARGO_CACHE_*",
    "CLIPPY_*",
    "NEXTEST_*",
    "CC",
    "CC_*",
    "CFLAGS",
    "CFLAGS_*",
    "CXX",
    "CXX_*",
    "CXXFLAGS",
    "CXXFLAGS_*",
    "CPPFLAGS",
    "LDFLAGS",
    "AR",
    "AR_*",
    "RANLIB",
    "PKG_CONFIG*",
    "CMAKE*",
    "LIBRARY_PATH",
    "CPATH",
    "MACOSX_DEPLOYMENT_TARGET",
    "TZ",
    "XDG_CONFIG_HOME",
];

/// Variables that cargo sets for one package or program. Inherited, they would make children rebuild each other's work.
const CARGOS_OWN: [&str; 16] = [
    "CARGO",
    "CARGO_MANIFEST_*",
    "CARGO_PKG_*",
    "CARGO_CRATE_NAME",
    "CARGO_BIN_*",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_TARGET_TMPDIR",
    "CARGO_RUSTC_CURRENT_DIR",
    "CARGO_MAKEFLAGS",
    "CARGO_CFG_*",
    "CARGO_FEATURE_*",
    "OUT_DIR",
    "DEP_*",
    "MAKEFLAGS",
    "MFLAGS",
    "LD_LIBRARY_PATH",
];

/// What children get, and what of it counts. Values are never shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// The names that children get.
    pub passed: BTreeSet<String>,
    /// By name: the digest of the value, or none where it is absent.
    pub counted: BTreeMap<String, Option<Digest>>,
}

fn is(patterns: &[impl AsRef<str>], name: &str) -> bool {
    patterns.iter().map(AsRef::as_ref).any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    })
}

/// Divides the variables that are `set`. `named` are those that sources name, `pass` what policy passes. What the sources
/// of one member name counts for every member: all get it, and a package of a registry may read it for any of them.
#[must_use]
pub fn divide(set: &BTreeMap<String, Vec<u8>>, named: &BTreeSet<String>, pass: &[String]) -> Environment {
    let counts = |name: &str| {
        is(pass, name)
            || (!is(&CARGOS_OWN, name) && (is(&COUNTED, name) || (named.contains(name) && !is(&PLACES, name))))
    };
    let mut environment = Environment::default();
    for (name, value) in set {
        if counts(name) {
            environment.passed.insert(name.clone());
            environment.counted.insert(name.clone(), Some(Digest::of(value)));
        } else if is(&UNCOUNTED, name) {
            environment.passed.insert(name.clone());
        }
    }
    let absent = named.iter().chain(pass.iter().filter(|name| !name.ends_with('*')));
    for name in absent.filter(|name| !set.contains_key(*name) && counts(name)) {
        environment.counted.insert(name.clone(), None);
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_passed_does_not_count_and_what_counts_is_passed() {
        let set =
            ["RUSTFLAGS", "HOME", "SECRET", "NAMED", "CARGO_MANIFEST_DIR", "CARGO_TARGET_TMPDIR", "CC_x86", "FOO_A"];
        let set: BTreeMap<String, Vec<u8>> = set.map(|name| (name.to_owned(), b"1".to_vec())).into();
        let named = ["NAMED", "ABSENT", "HOME", "CARGO_PKG_NAME"].map(str::to_owned).into();
        let environment = divide(&set, &named, &["FOO_*".into(), "GONE".into()]);
        let counted: Vec<(&str, bool)> =
            environment.counted.iter().map(|(name, value)| (name.as_str(), value.is_some())).collect();
        let expected = [
            ("ABSENT", false),
            ("CC_x86", true),
            ("FOO_A", true),
            ("GONE", false),
            ("NAMED", true),
            ("RUSTFLAGS", true),
        ];
        assert_eq!(counted, expected);
        let passed: Vec<&str> = environment.passed.iter().map(String::as_str).collect();
        assert_eq!(passed, ["CC_x86", "FOO_A", "HOME", "NAMED", "RUSTFLAGS"]);
    }
}

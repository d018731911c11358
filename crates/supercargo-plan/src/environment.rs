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

/// Variables that the tools of a build need to find their way, and that change no program.
const NEEDED: [&str; 24] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "RUSTUP_*",
    "CARGO_HOME",
    "CARGO_NET_*",
    "CARGO_HTTP_*",
    "CARGO_REGISTRIES_*",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "RUSTC_WRAPPER",
    "SCCACHE_*",
    "SSL_CERT_*",
    "CARGO_ZIGBUILD_CACHE_DIR",
    "CARGO_ZIGBUILD_PYTHON_PATH",
    "CARGO_ZIGBUILD_ZIG_PATH",
    "XDG_CACHE_HOME",
    "ZIG_GLOBAL_CACHE_DIR",
    "ZIG_LOCAL_CACHE_DIR",
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
/// `secret` is ours alone: whoever names or passes it, no child gets it, and so it does not count.
#[must_use]
pub fn divide(
    set: &BTreeMap<String, Vec<u8>>,
    named: &BTreeSet<String>,
    pass: &[String],
    secret: Option<&str>,
) -> Environment {
    let counts = |name: &str| {
        let named = named.contains(name) && !is(&PLACES, name);
        secret != Some(name) && (is(pass, name) || (!is(&CARGOS_OWN, name) && (is(&COUNTED, name) || named)))
    };
    let mut environment = Environment::default();
    for (name, value) in set {
        if counts(name) {
            environment.passed.insert(name.clone());
            environment.counted.insert(name.clone(), Some(Digest::of(value)));
        } else if is(&UNCOUNTED, name) && secret != Some(name.as_str()) {
            environment.passed.insert(name.clone());
        }
    }
    let absent = named.iter().chain(pass.iter().filter(|name| !name.ends_with('*')));
    for name in absent.filter(|name| !set.contains_key(*name) && counts(name)) {
        environment.counted.insert(name.clone(), None);
    }
    environment
}

/// The same for programs that are shipped: what policy does not pass, they cannot see, whoever names it, so that no
/// machine, commit or person is in them.
#[must_use]
pub fn scrub(set: &BTreeMap<String, Vec<u8>>, pass: &[String], secret: Option<&str>) -> Environment {
    let mut environment = Environment::default();
    for (name, value) in set.iter().filter(|(name, _)| secret != Some(name.as_str())) {
        if is(pass, name) {
            environment.passed.insert(name.clone());
            environment.counted.insert(name.clone(), Some(Digest::of(value)));
        } else if is(&NEEDED, name) {
            environment.passed.insert(name.clone());
        }
    }
    for name in pass.iter().filter(|name| !name.ends_with('*') && !set.contains_key(*name)) {
        environment.counted.insert(name.clone(), None);
    }
    secret.map(|secret| environment.counted.remove(secret));
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
        let environment = divide(&set, &named, &["FOO_*".into(), "GONE".into()], None);
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

    #[test]
    fn a_program_sees_what_policy_passes_and_what_tools_need() {
        let set = ["RUSTFLAGS", "HOME", "USER", "GITHUB_SHA", "FOO", "SCCACHE_DIR", "SCCACHE_TOKEN", "RUSTC_WRAPPER"];
        let set: BTreeMap<String, Vec<u8>> = set.map(|name| (name.to_owned(), b"1".to_vec())).into();
        let environment = scrub(&set, &["FOO".into(), "GONE".into(), "SCCACHE_TOKEN".into()], Some("SCCACHE_TOKEN"));
        let passed: Vec<&str> = environment.passed.iter().map(String::as_str).collect();
        assert_eq!(passed, ["FOO", "HOME", "RUSTC_WRAPPER", "SCCACHE_DIR"]);
        let counted: Vec<&str> = environment.counted.keys().map(String::as_str).collect();
        assert_eq!(counted, ["FOO", "GONE"]);
    }

    #[test]
    fn no_child_gets_the_credentials_of_the_store() {
        let set = ["STORE_TOKEN", "STORE_NAME", "CARGO_NET_TOKEN", "CC_TOKEN"];
        let set: BTreeMap<String, Vec<u8>> = set.map(|name| (name.to_owned(), b"1".to_vec())).into();
        let named: BTreeSet<String> = ["STORE_TOKEN", "GONE_TOKEN"].map(str::to_owned).into();
        for pass in [&["STORE_*".to_owned()], &["STORE_TOKEN".to_owned()], &["*".to_owned()]] {
            for secret in ["STORE_TOKEN", "CARGO_NET_TOKEN", "CC_TOKEN", "GONE_TOKEN"] {
                let environment = divide(&set, &named, pass, Some(secret));
                assert!(!environment.passed.contains(secret) && !environment.counted.contains_key(secret), "{secret}");
                assert_eq!(environment.passed.contains("STORE_NAME"), pass[0] != "STORE_TOKEN");
            }
        }
    }
}

//! The oracle: what cargo hands to rustc is what its configuration is said to be.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types, reason = "a test acts and reads")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use supercargo_plan::facts::conditions::Conditions;
use supercargo_plan::facts::configuration::{Configuration, Source, parse};
use supercargo_plan::problem::Problem;

const MUSL: &str = "x86_64-unknown-linux-musl";

/// Folders with configuration, the nearest first: the workspace, two above it, and cargo's home.
const FOLDERS: [&str; 4] = ["far/near/work/.cargo", "far/near/.cargo", "far/.cargo", "home"];

/// Files in one sandbox, and variables; `{root}` in them is the sandbox.
struct Arrangement {
    files: &'static [(&'static str, &'static str)],
    variables: &'static [(&'static str, &'static str)],
}

/// What rustc gets for the package.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    flags: Vec<String>,
    linker: Option<String>,
    wrapper: Option<String>,
}

struct Sandbox(PathBuf);

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

impl Sandbox {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("supercargo-configuration-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let sandbox = Self(path.canonicalize().unwrap());
        let manifest = "[package]\nname = \"probe\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
        sandbox.write("far/near/work/Cargo.toml", manifest);
        sandbox.write("far/near/work/src/main.rs", "fn main() {}\n");
        // It answers what cargo asks, and instead of compiling tells how it was called.
        let record =
            "case \" $* \" in *\" --crate-name probe \"*) printf '%s\\n' \"$@\" > {root}/called; exit 1;; esac";
        sandbox.script("rustc", &format!("{record}\nexec {} \"$@\"", rustc().display()));
        for folder in ["far/near/work/tools", "far/near/tools", "far/tools", "tools", "bin"] {
            sandbox.script(&format!("{folder}/wrap"), "printf '%s' \"$0\" > {root}/wrapped\nexec \"$@\"");
        }
        sandbox
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, self.fill(text)).unwrap();
    }

    fn script(&self, name: &str, text: &str) {
        self.write(name, &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(self.0.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn fill(&self, text: &str) -> String {
        text.replace("{root}", self.0.to_str().unwrap())
    }

    fn work(&self) -> PathBuf {
        self.0.join("far/near/work")
    }

    fn variables(&self, set: &[(&str, &str)]) -> BTreeMap<String, String> {
        set.iter().map(|(name, value)| ((*name).to_owned(), self.fill(value))).collect()
    }

    fn lay(&self, files: &[(&str, &str)]) {
        for folder in FOLDERS {
            drop(fs::remove_dir_all(self.0.join(folder)));
        }
        files.iter().for_each(|(name, text)| self.write(name, text));
    }

    fn cargo(&self, variables: &BTreeMap<String, String>, arguments: &[&str]) -> Output {
        let path = format!("{}:/usr/bin:/bin", self.0.join("bin").display());
        Command::new(cargo())
            .current_dir(self.work())
            .env_clear()
            .env("PATH", path)
            .env("HOME", &self.0)
            .env("CARGO_HOME", self.0.join("home"))
            .env("RUSTC", self.0.join("rustc"))
            .env("CARGO_TARGET_DIR", self.0.join("target"))
            .envs(variables)
            .args(arguments)
            .output()
            .unwrap()
    }

    /// The arguments with which cargo calls rustc for the package, and what it puts before rustc.
    fn called(&self, variables: &BTreeMap<String, String>) -> (Vec<String>, Option<String>) {
        let [called, wrapped] = ["called", "wrapped"].map(|name| self.0.join(name));
        drop(fs::remove_file(&called));
        drop(fs::remove_file(&wrapped));
        let output = self.cargo(variables, &["build", "--offline", "--target", MUSL]);
        assert!(called.exists(), "rustc was not called: {}", String::from_utf8_lossy(&output.stderr));
        let lines = fs::read_to_string(&called).unwrap();
        (lines.lines().map(str::to_owned).collect(), fs::read_to_string(wrapped).ok())
    }

    /// What cargo does, told by what it does when there is no configuration.
    fn cargo_says(&self, plain: &[String], variables: &BTreeMap<String, String>) -> Answer {
        let (called, wrapper) = self.called(variables);
        let mut called = stable(&called);
        let plain = stable(plain);
        let at = called.iter().position(|argument| argument.starts_with("linker="));
        let linker = at.map(|at| {
            let linker = called.remove(at);
            assert_eq!(called.remove(at - 1), "-C");
            linker.trim_start_matches("linker=").to_owned()
        });
        let same = called.iter().zip(&plain).take_while(|(one, other)| one == other).count();
        let end = called.len() - (plain.len() - same);
        assert_eq!(called[end..], plain[same..], "flags stand in one place: {called:?}");
        Answer { flags: called[same..end].to_vec(), linker, wrapper }
    }

    fn configuration(&self) -> Result<Configuration, Problem> {
        let chosen = FOLDERS.map(|folder| {
            let files = ["config", "config.toml"].map(|name| self.0.join(folder).join(name));
            files.into_iter().find(|file| file.is_file())
        });
        let source = |path: PathBuf| Source { text: fs::read(&path).unwrap(), path: path.to_str().unwrap().to_owned() };
        let sources: Vec<Source> = chosen.into_iter().flatten().map(source).collect();
        parse(self.work().to_str().unwrap(), &sources, &mut |path| fs::read(path).ok())
    }

    fn we_say(&self, variables: &BTreeMap<String, String>) -> Answer {
        let configuration = self.configuration().unwrap();
        let conditions = |flags: &[String]| {
            let output = Command::new(rustc()).args(Conditions::question(MUSL, flags)).output().unwrap();
            assert!(output.status.success());
            Conditions::parse(&String::from_utf8(output.stdout).unwrap())
        };
        let first = configuration.rustflags(MUSL, None, variables);
        let flags = configuration.rustflags(MUSL, Some(&conditions(&first)), variables);
        let linker = configuration.linker(MUSL, Some(&conditions(&flags)), variables);
        // A name is found in `PATH`.
        let wrapper = configuration
            .rustc_wrapper(variables)
            .map(|wrapper| if wrapper.contains('/') { wrapper } else { format!("{}/bin/{wrapper}", self.0.display()) });
        Answer { flags, linker, wrapper }
    }
}

/// The cargo that runs this test, not rustup's.
fn cargo() -> &'static Path {
    Path::new(env!("CARGO"))
}

fn rustc() -> PathBuf {
    cargo().with_file_name("rustc")
}

/// Arguments without those that hash all others.
fn stable(arguments: &[String]) -> Vec<String> {
    let hashes =
        |argument: &str| ["metadata=", "extra-filename=", "incremental="].iter().any(|p| argument.starts_with(p));
    let kept = arguments.iter().enumerate().filter(|(n, argument)| {
        !hashes(argument) && !arguments.get(n + 1).is_some_and(|next| hashes(next) && *argument == "-C")
    });
    kept.map(|(_, argument)| argument.clone()).collect()
}

const NEAR: &str = "far/near/work/.cargo/config.toml";
const MIDDLE: &str = "far/near/.cargo/config.toml";
const FAR: &str = "far/.cargo/config.toml";
const HOME: &str = "home/config.toml";

const ARRANGEMENTS: &[Arrangement] = &[
    Arrangement { files: &[(NEAR, "build.rustflags = ['--cfg', 'near', '-Cmetadata=b c']")], variables: &[] },
    Arrangement {
        files: &[
            (NEAR, "build.rustflags = ['--cfg=near']"),
            (MIDDLE, "build.rustflags = ['--cfg=middle']"),
            (FAR, "build.rustflags = ['--cfg=far']"),
            (HOME, "build.rustflags = ['--cfg=home']"),
        ],
        variables: &[],
    },
    Arrangement {
        files: &[(NEAR, "build.rustflags = '--cfg=near  --cfg=n'"), (HOME, "build.rustflags = '--cfg=home'")],
        variables: &[("CARGO_BUILD_RUSTFLAGS", "--cfg=variable  --cfg v")],
    },
    Arrangement {
        files: &[(
            NEAR,
            "build.rustflags = ['--cfg=build']\n[target.x86_64-unknown-linux-musl]\nrustflags = ['--cfg=target']\n\
             [target.'cfg(unix)']\nrustflags = ['--cfg=a_unix']\n[target.'cfg(target_env = \"musl\")']\nrustflags = \
             '--cfg=musl'\n[target.'cfg(not(target_feature = \"crt-static\"))']\nrustflags = ['--cfg=dynamic']\n\
             [target.'cfg(all(target_arch = \"x86_64\", any(windows, target_has_atomic = \"64\")))']\nrustflags = \
             ['--cfg=all']\n[target.'cfg(unix']\nrustflags = ['--cfg=broken']\n[target.x86_64-unknown-linux-gnu]\n\
             rustflags = ['--cfg=gnu']",
        )],
        variables: &[("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS", "--cfg=variable")],
    },
    Arrangement {
        files: &[
            (NEAR, "[target.'cfg(unix)']\nrustflags = ['--cfg=near']"),
            (HOME, "[target.'cfg(unix)']\nrustflags = ['--cfg=home']"),
        ],
        variables: &[("CARGO_BUILD_RUSTFLAGS", "--cfg=build")],
    },
    // Flags decide on conditions, and these on flags.
    Arrangement {
        files: &[(
            NEAR,
            "[target.x86_64-unknown-linux-musl]\nrustflags = ['--cfg=mine', '-Ctarget-feature=-crt-static,+avx2']\n\
             [target.'cfg(mine)']\nrustflags = ['--cfg=because']\n[target.'cfg(because)']\nrustflags = ['--cfg=never']\n\
             [target.'cfg(target_feature = \"avx2\")']\nrustflags = ['--cfg=wide']\n\
             [target.'cfg(target_feature = \"crt-static\")']\nrustflags = ['--cfg=static']\n\
             [target.'cfg(debug_assertions)']\nrustflags = ['--cfg=debug']\n[target.'cfg(panic = \"unwind\")']\n\
             rustflags = ['--cfg=unwind']",
        )],
        variables: &[],
    },
    // A build flag stands down once a condition brings another.
    Arrangement {
        files: &[(NEAR, "build.rustflags = ['--cfg=mine']\n[target.'cfg(mine)']\nrustflags = ['--cfg=because']")],
        variables: &[],
    },
    Arrangement {
        files: &[(NEAR, "build.rustflags = ['--cfg=build']\ntarget.x86_64-unknown-linux-musl.rustflags = []")],
        variables: &[("RUSTFLAGS", " --cfg=one   --cfg=two ")],
    },
    Arrangement {
        files: &[(NEAR, "target.x86_64-unknown-linux-musl.rustflags = ['--cfg=target']")],
        variables: &[("RUSTFLAGS", "")],
    },
    Arrangement {
        files: &[(NEAR, "build.rustflags = ['--cfg=build']")],
        variables: &[("RUSTFLAGS", "--cfg=r"), ("CARGO_ENCODED_RUSTFLAGS", "--cfg\u{1f}b\u{1f}-Cmetadata=c d")],
    },
    Arrangement {
        files: &[
            (NEAR, "build.rustflags = ['--cfg=build']"),
            ("far/near/work/.cargo/config", "build.rustflags = ['--cfg=old']"),
        ],
        variables: &[],
    },
    Arrangement {
        files: &[
            (NEAR, "build.rustc-wrapper = 'tools/wrap'\ntarget.x86_64-unknown-linux-musl.linker = 'a-linker'"),
            (FAR, "build.rustc-wrapper = 'wrap'\ntarget.x86_64-unknown-linux-musl.linker = './tools/ld'"),
        ],
        variables: &[],
    },
    Arrangement {
        files: &[
            (MIDDLE, "[target.'cfg(unix)']\nlinker = './tools/ld'"),
            (HOME, "build.rustc-wrapper = './tools/wrap'\ntarget.x86_64-unknown-linux-gnu.linker = 'no'"),
        ],
        variables: &[],
    },
    Arrangement {
        files: &[(FAR, "build.rustc-wrapper = 'tools/wrap'\ntarget.x86_64-unknown-linux-musl.linker = 'ld'")],
        variables: &[
            ("CARGO_BUILD_RUSTC_WRAPPER", "wrap"),
            ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER", "tools/ld"),
        ],
    },
    Arrangement {
        files: &[(FAR, "build.rustc-wrapper = 'no/such'\n[target.'cfg(unix)']\nlinker = '/abs/ld'")],
        variables: &[("RUSTC_WRAPPER", "../tools/wrap"), ("CARGO_BUILD_RUSTC_WRAPPER", "wrap")],
    },
    Arrangement { files: &[(FAR, "build.rustc-wrapper = 'no/such'")], variables: &[("RUSTC_WRAPPER", "")] },
    Arrangement {
        files: &[
            (
                NEAR,
                "include = ['one.toml', { path = '../shared/two.toml' }, { path = 'none.toml', optional = true }]\nbuild.rustflags = ['--cfg=near']",
            ),
            (
                "far/near/work/.cargo/one.toml",
                "include = ['deep.toml']\nbuild = { rustflags = ['--cfg=one'], rustc-wrapper = 'no' }",
            ),
            ("far/near/work/.cargo/deep.toml", "build.rustflags = ['--cfg=deep']"),
            ("far/near/work/shared/two.toml", "build = { rustflags = ['--cfg=two'], rustc-wrapper = './tools/wrap' }"),
            (FAR, "build = { rustflags = ['--cfg=far'], rustc-wrapper = 'no' }"),
        ],
        variables: &[],
    },
    Arrangement {
        files: &[(
            NEAR,
            "[env]\nRUSTFLAGS = '--cfg=unread'\nCARGO_BUILD_RUSTFLAGS = '--cfg=unread'\n[profile.dev]\nopt-level = 0",
        )],
        variables: &[],
    },
];

#[test]
fn cargo_says_the_same() {
    let sandbox = Sandbox::new("oracle");
    let (plain, wrapper) = sandbox.called(&BTreeMap::new());
    assert_eq!(wrapper, None);
    for Arrangement { files, variables } in ARRANGEMENTS {
        sandbox.lay(files);
        let variables = sandbox.variables(variables);
        assert_eq!(sandbox.we_say(&variables), sandbox.cargo_says(&plain, &variables), "{files:?} {variables:?}");
    }
}

#[test]
fn cargo_refuses_the_same() {
    let sandbox = Sandbox::new("refusals");
    // What is not refused comes to the package.
    sandbox.called(&BTreeMap::new());
    fs::remove_file(sandbox.0.join("called")).unwrap();
    let both: &[&[(&str, &str)]] = &[
        &[(NEAR, "build.rustflags = ['a']"), (FAR, "build.rustflags = 'b'")],
        &[(NEAR, "build = 1"), (FAR, "build.rustflags = 'b'")],
        &[(NEAR, "x = 1.5")],
        &[(NEAR, "x = 1979-05-27")],
        &[(NEAR, "build = ")],
        &[(NEAR, "include = 'one.toml'"), ("far/near/work/.cargo/one.toml", "")],
        &[(NEAR, "include = ['one']"), ("far/near/work/.cargo/one", "")],
        &[(NEAR, "include = ['none.toml']")],
        &[(NEAR, "include = ['config.toml']")],
        &[(NEAR, "include = ['one.toml', 'one.toml']"), ("far/near/work/.cargo/one.toml", "")],
        &[(NEAR, "build.rustflags = 1")],
        &[(NEAR, "build.rustflags = [['a']]")],
        &[(NEAR, "target.x.rustflags = 1")],
        &[(NEAR, "target.x.linker = 1")],
        &[(NEAR, "build.rustc-wrapper = ['a']")],
    ];
    for files in both {
        sandbox.lay(files);
        let output = sandbox.cargo(&BTreeMap::new(), &["build", "--offline", "--target", MUSL]);
        assert!(!sandbox.0.join("called").exists(), "cargo takes {files:?}");
        assert!(!output.status.success());
        assert!(sandbox.configuration().is_err(), "{files:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

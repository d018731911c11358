//! What the team decided about the programs that it ships: `[workspace.metadata.supercargo.build]`, and what members say.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::checks::{MEMORY_PER_JOB, duration, memory_per_job, pass_env};
use super::faults::Faults;

/// The targets that programs are built for where policy names none.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];

/// Seconds that one program may take, where policy says nothing.
const TIMEOUT: u64 = 60 * 60;

const KEYS: [&str; 10] = [
    "auditable",
    "linker",
    "memory-per-job",
    "pass-env",
    "profile",
    "smoke",
    "source-date-epoch",
    "targets",
    "timeout",
    "tuned",
];
const MEMBER_KEYS: [&str; 4] = ["default-features", "features", "ship", "smoke"];

/// The policy of `build`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shipping {
    /// The targets, as rustc names them; sorted, none twice.
    pub targets: Vec<String>,
    /// The profile, as cargo names it.
    pub profile: String,
    /// Whether the profile is tuned for shipping, whatever the manifest says of it.
    pub tuned: bool,
    /// Whether programs carry the list of what they are linked from.
    pub auditable: Auditable,
    /// Variables that children get, and that count: names, a `*` at the end for all that start so.
    pub pass: Vec<String>,
    /// Memory that one job is taken to need, in MiB.
    pub memory_per_job: u64,
    /// How long one program may take, in seconds.
    pub timeout: u64,
    /// `SOURCE_DATE_EPOCH`, in seconds.
    pub epoch: u64,
    /// By target: the linker, where the choice is not left to what is linked.
    pub linkers: BTreeMap<String, Linker>,
    /// The arguments with which a program shows that it starts.
    pub smoke: Vec<String>,
}

impl Default for Shipping {
    fn default() -> Self {
        let mut targets = TARGETS.map(str::to_owned).to_vec();
        targets.sort();
        Self {
            targets,
            profile: "release".to_owned(),
            tuned: false,
            auditable: Auditable::Never,
            pass: Vec::new(),
            memory_per_job: MEMORY_PER_JOB,
            timeout: TIMEOUT,
            epoch: 0,
            linkers: BTreeMap::new(),
            smoke: vec!["--version".to_owned()],
        }
    }
}

/// Whether programs carry the list of what they are linked from, as cargo-auditable writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auditable {
    /// They do not, on any machine.
    Never,
    /// Where cargo-auditable is installed: machines that have it make other bytes than those that have it not.
    IfInstalled,
    /// Always: a machine without cargo-auditable builds nothing.
    Always,
}

/// What links a program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Linker {
    /// The linker that comes with rustc.
    RustLld,
    /// That, and zig as the compiler of C, through cargo-zigbuild.
    ZigAndRustLld,
    /// Zig, through cargo-zigbuild: a compiler and libraries for C and C++ besides.
    Zig,
    /// A program of the machine's, such as `cc`.
    Program(String),
}

impl Linker {
    /// Whether cargo-zigbuild calls it.
    #[must_use]
    pub const fn is_zig(&self) -> bool {
        matches!(self, Self::Zig | Self::ZigAndRustLld)
    }

    /// The linker that policy writes so.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "rust-lld" => Some(Self::RustLld),
            "zig" => Some(Self::Zig),
            "zig+rust-lld" => Some(Self::ZigAndRustLld),
            program if program.trim().is_empty() || program.starts_with('-') => None,
            program => Some(Self::Program(program.to_owned())),
        }
    }
}

impl fmt::Display for Linker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RustLld => "rust-lld",
            Self::ZigAndRustLld => "zig+rust-lld",
            Self::Zig => "zig",
            Self::Program(program) => program,
        })
    }
}

/// What one member says of its programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ship {
    /// Whether they are shipped.
    pub ship: Option<bool>,
    /// The features that they are built with.
    pub features: Vec<String>,
    /// Whether the default ones are on besides.
    pub default_features: bool,
    /// The arguments with which they show that they start.
    pub smoke: Option<Vec<String>>,
}

impl Default for Ship {
    fn default() -> Self {
        Self { ship: None, features: Vec::new(), default_features: true, smoke: None }
    }
}

impl Shipping {
    /// Whether both make the same programs: how long they may take, or how they are started, makes no other ones.
    #[must_use]
    pub fn makes_the_same_as(&self, other: &Self) -> bool {
        let making = |one: &Self| Self { memory_per_job: 0, timeout: 0, smoke: Vec::new(), ..one.clone() };
        making(self) == making(other)
    }
}

/// Parses the table at `at`.
pub(super) fn parse(faults: &mut Faults, at: &str, table: &Value) -> Shipping {
    faults.keys(at, table, &KEYS);
    let mut parsed = Shipping::default();
    if !table["targets"].is_null() {
        let at = format!("{at}.targets");
        let mut targets = faults.strings(&at, &table["targets"], "names of targets").unwrap_or_default();
        targets.sort();
        targets.dedup();
        if targets.is_empty() {
            faults.add::<()>(format!("{at}: there must be one target at least"));
        }
        for target in targets.iter().filter(|target| !is_triple(target)) {
            faults.add::<()>(format!("{at}: `{target}` is no name of a target"));
        }
        parsed.targets = targets;
    }
    match &table["profile"] {
        Value::Null => {}
        Value::String(profile) if is_profile(profile) => parsed.profile.clone_from(profile),
        other => _ = faults.add::<()>(format!("{at}.profile: expected the name of a profile, found {other}")),
    }
    parsed.tuned = flag(faults, &format!("{at}.tuned"), &table["tuned"]).unwrap_or_default();
    parsed.auditable = match table["auditable"].as_str() {
        Some("never") => Auditable::Never,
        Some("if-installed") => Auditable::IfInstalled,
        Some("always") => Auditable::Always,
        None if table["auditable"].is_null() => Auditable::Never,
        _ => {
            let found = &table["auditable"];
            let expected = "expected \"never\", \"if-installed\" or \"always\"";
            faults.add(format!("{at}.auditable: {expected}, found {found}")).unwrap_or(Auditable::Never)
        }
    };
    parsed.pass = pass_env(faults, at, table);
    parsed.memory_per_job = memory_per_job(faults, at, table).unwrap_or(MEMORY_PER_JOB);
    parsed.timeout = duration(faults, &format!("{at}.timeout"), &table["timeout"]).unwrap_or(TIMEOUT);
    parsed.epoch = match &table["source-date-epoch"] {
        Value::Null => 0,
        epoch => epoch.as_u64().unwrap_or_else(|| {
            let expected = "expected seconds since 1970, such as 0";
            faults.add(format!("{at}.source-date-epoch: {expected}, found {epoch}")).unwrap_or_default()
        }),
    };
    parsed.linkers = linkers(faults, &format!("{at}.linker"), &table["linker"]);
    parsed.smoke = arguments(faults, &format!("{at}.smoke"), &table["smoke"]).unwrap_or(parsed.smoke);
    for target in parsed.linkers.keys().filter(|target| !parsed.targets.contains(target)) {
        let all = parsed.targets.join(", ");
        faults.add::<()>(format!("{at}.linker.{target}: it is none of the targets; there are: {all}"));
    }
    parsed
}

fn linkers(faults: &mut Faults, at: &str, table: &Value) -> BTreeMap<String, Linker> {
    if !table.is_null() && !table.is_object() {
        faults.add::<()>(format!("{at}: expected a table of targets, found {table}"));
    }
    let mut linkers = BTreeMap::new();
    for (target, name) in table.as_object().into_iter().flatten() {
        match name.as_str().and_then(Linker::parse) {
            Some(linker) => linkers.extend([(target.clone(), linker)]),
            None => {
                let expected = "expected \"rust-lld\", \"zig+rust-lld\", \"zig\" or a program such as \"cc\"";
                faults.add::<()>(format!("{at}.{target}: {expected}, found {name}"));
            }
        }
    }
    linkers
}

/// Parses what a member says, at `at`.
pub(super) fn parse_member(faults: &mut Faults, at: &str, table: &Value) -> Ship {
    faults.keys(at, table, &MEMBER_KEYS);
    let mut features = match &table["features"] {
        Value::Null => Vec::new(),
        value => faults.strings(&format!("{at}.features"), value, "names of features").unwrap_or_default(),
    };
    features.sort();
    features.dedup();
    if let Some(name) = features.iter().find(|name| name.is_empty() || name.contains([' ', ',', '/', '?'])) {
        faults.add::<()>(format!("{at}.features: `{name}` is no feature of this member"));
    }
    Ship {
        ship: flag(faults, &format!("{at}.ship"), &table["ship"]),
        features,
        default_features: flag(faults, &format!("{at}.default-features"), &table["default-features"]).unwrap_or(true),
        smoke: arguments(faults, &format!("{at}.smoke"), &table["smoke"]),
    }
}

fn arguments(faults: &mut Faults, at: &str, value: &Value) -> Option<Vec<String>> {
    if value.is_null() { None } else { faults.strings(at, value, "arguments") }
}

fn flag(faults: &mut Faults, at: &str, value: &Value) -> Option<bool> {
    match value {
        Value::Null => None,
        Value::Bool(flag) => Some(*flag),
        other => faults.add(format!("{at}: expected true or false, found {other}")),
    }
}

/// Whether `name` can name a target: what goes into paths and variables goes there as it is.
#[must_use]
pub fn is_triple(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    name.contains('-') && !name.starts_with(['-', '.']) && name.bytes().all(plain)
}

/// Whether `name` can name a profile.
#[must_use]
pub fn is_profile(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !name.is_empty() && !name.starts_with('-') && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(table: &Value) -> (Shipping, Vec<String>) {
        let mut faults = Faults::default();
        let shipping = parse(&mut faults, "build", table);
        (shipping, faults.0)
    }

    #[test]
    fn what_policy_says_is_understood() {
        let (shipping, faults) = parsed(&json!({
            "targets": ["x86_64-unknown-linux-musl", "x86_64-unknown-linux-gnu"],
            "profile": "dist", "tuned": true, "auditable": "always", "pass-env": ["FOO"], "memory-per-job": "1GiB",
            "timeout": "10m", "source-date-epoch": 7, "smoke": ["--help"],
            "linker": { "x86_64-unknown-linux-gnu": "cc", "x86_64-unknown-linux-musl": "zig" },
        }));
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(shipping.targets, ["x86_64-unknown-linux-gnu", "x86_64-unknown-linux-musl"]);
        assert_eq!((shipping.profile.as_str(), shipping.tuned, shipping.epoch), ("dist", true, 7));
        assert_eq!(shipping.linkers["x86_64-unknown-linux-gnu"], Linker::Program("cc".into()));
        assert_eq!(shipping.linkers["x86_64-unknown-linux-musl"], Linker::Zig);
        assert_eq!(parsed(&Value::Null).0.targets.len(), 2);
    }

    #[test]
    fn every_fault_is_told() {
        for (table, told) in [
            (json!({ "target": [] }), "did you mean `targets`?"),
            (json!({ "targets": [] }), "one target at least"),
            (json!({ "targets": ["../x"] }), "is no name of a target"),
            (json!({ "targets": ["linux"] }), "is no name of a target"),
            (json!({ "profile": "a b" }), "expected the name of a profile"),
            (json!({ "auditable": true }), "expected \"never\""),
            (json!({ "source-date-epoch": "now" }), "expected seconds"),
            (json!({ "linker": { "x86_64-unknown-linux-musl": "" } }), "expected \"rust-lld\""),
            (json!({ "linker": { "x86_64-pc-windows-gnu": "zig" } }), "it is none of the targets"),
            (json!({ "smoke": "--version" }), "expected arguments"),
        ] {
            let (_, faults) = parsed(&table);
            assert!(faults.len() == 1 && faults[0].contains(told), "{table}: {faults:?}");
        }
        for (table, told) in [
            (json!({ "shp": true }), "did you mean `ship`?"),
            (json!({ "ship": "yes" }), "expected true or false"),
            (json!({ "features": ["a/b"] }), "is no feature of this member"),
        ] {
            let mut faults = Faults::default();
            parse_member(&mut faults, "package", &table);
            assert!(faults.0.len() == 1 && faults.0[0].contains(told), "{table}: {:?}", faults.0);
        }
    }
}

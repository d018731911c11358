//! Cargo as the oracle: whatever cargo rebuilds after a file was touched is in the answer.

use std::collections::BTreeSet;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

use crate::sandbox::Sandbox;

/// Paths whose change cargo must notice, and so must we.
const TOUCHED: [&str; 15] = [
    "crates/core/src/lib.rs",
    "crates/core/tests/it.rs",
    "crates/mid/src/lib.rs",
    "crates/reading/src/tests.rs",
    "crates/linked/src/link.rs",
    "crates/watching/build.rs",
    "crates/silent/README.md",
    "crates/documented/README.md",
    "outside/src/lib.rs",
    "shared/a.txt",
    "shared/b.txt",
    "shared/part.rs",
    "shared/inner.rs",
    "shared/target.rs",
    "shared/watched/x.proto",
];

/// The packages that a build says it compiles.
fn rebuilt(sandbox: &Sandbox) -> BTreeSet<String> {
    let stderr = sandbox.cargo(&["build", "--workspace", "--all-targets", "--offline", "--locked"]);
    let compiled = stderr.lines().filter_map(|line| line.trim_start().strip_prefix("Compiling "));
    compiled.filter_map(|rest| rest.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn whatever_cargo_rebuilds_is_in_the_answer() {
    let sandbox = Sandbox::new();
    let members = sandbox.members();
    assert!(rebuilt(&sandbox).len() >= members.len(), "the first build compiles everything");
    for path in TOUCHED {
        // Cargo goes by time: no two changes may fall into one tick of the clock.
        sleep(Duration::from_millis(50));
        let content = fs::read(sandbox.path(path)).unwrap();
        sandbox.append(path, if path.ends_with(".rs") { "// touched\n" } else { "touched\n" });
        let answer = sandbox.names(&["main"]);
        let rebuilt: BTreeSet<String> = rebuilt(&sandbox).intersection(&members).cloned().collect();
        assert!(!rebuilt.is_empty(), "{path}: cargo rebuilt nothing, so this asked nothing");
        let missing: Vec<_> = rebuilt.difference(&answer).collect();
        assert!(missing.is_empty(), "{path}: cargo rebuilt {missing:?}, and the answer is {answer:?}");
        fs::write(sandbox.path(path), content).unwrap();
        self::rebuilt(&sandbox);
    }
}

//! The hook that runs the gate before a push.

use std::fs;

use crate::sandbox::Sandbox;

#[test]
fn a_push_is_blocked_when_the_gate_fails() {
    let sandbox = Sandbox::small();
    sandbox.gate(&["--install-hook"]).ends(0).says("pre-push");
    sandbox.gate(&["--install-hook"]).ends(0);
    let remote = sandbox.path("../remote.git");
    sandbox.git(&["init", "--quiet", "--bare", remote.to_str().unwrap()]);
    sandbox.git(&["remote", "add", "origin", remote.to_str().unwrap()]);
    let push = |code: i32| {
        sandbox.fake(
            "cargo",
            &format!("echo \"$@\" > ../asked; echo \"$GIT_DIR\" >> ../asked; pwd >> ../asked; exit {code}"),
        );
        let path = format!("{}:{}", sandbox.path("../bin").display(), std::env::var("PATH").unwrap());
        let mut command = sandbox.command("git", &sandbox.path("crates"));
        // More references than a pipe holds: a hook that does not listen would end git.
        command.env("PATH", path).args(["push", "--quiet", "origin", "--all"]).output().unwrap().status.success()
    };
    let id = format!("{}\n", sandbox.git(&["rev-parse", "HEAD"]));
    (0..1500).for_each(|n| sandbox.write(&format!(".git/refs/heads/branch-with-a-long-name-{n}"), &id));
    assert!(!push(1), "a push that the gate did not pass");
    let asked = fs::read_to_string(sandbox.path("../asked")).unwrap();
    let top = sandbox.path("").canonicalize().unwrap();
    assert_eq!(asked, format!("xtask gate\n\n{}\n", top.display()));
    let listed = sandbox.git(&["ls-remote", "origin"]);
    assert_eq!(listed, "");
    assert!(push(0));
    sandbox.remove("../bin/cargo");
    sandbox.gate(&["--remove-hook"]).ends(0);
    assert!(!sandbox.path(".git/hooks/pre-push").exists());
    sandbox.gate(&["--remove-hook"]).ends(0).says("there is no pre-push hook");
}

#[test]
fn a_hook_of_another_stays() {
    let sandbox = Sandbox::small();
    sandbox.write(".git/hooks/pre-push", "#!/bin/sh\nexit 0\n");
    let gated = sandbox.gate(&["--install-hook"]).ends(3);
    gated.says("not ours");
    gated.says("cargo xtask gate");
    sandbox.gate(&["--remove-hook"]).ends(3);
    assert_eq!(fs::read_to_string(sandbox.path(".git/hooks/pre-push")).unwrap(), "#!/bin/sh\nexit 0\n");
    // Hooks may lie elsewhere, and be no text.
    sandbox.git(&["config", "core.hooksPath", "hooks here"]);
    sandbox.gate(&["--install-hook"]).ends(0);
    assert!(sandbox.path("hooks here/pre-push").exists());
    fs::write(sandbox.path("hooks here/pre-push"), [0x7f, 0x45, 0xff, 0xfe]).unwrap();
    sandbox.gate(&["--install-hook"]).ends(3);
}

//! The workflow that lets a change in: what its required check passes, what its scripts do with words from outside.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::json;

fn workflows() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(".github/workflows")
}

fn gate() -> String {
    fs::read_to_string(workflows().join("gate.yml")).unwrap()
}

/// Whether a program that a test asks is on this machine. Where it must be, its absence is a failure.
#[expect(clippy::print_stderr, reason = "what a test leaves out is said where its output is read")]
fn here(program: &str, unchecked: &str) -> bool {
    let asked = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let here = asked.is_ok_and(|status| status.success());
    let required = std::env::var_os("SUPERCARGO_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(here || !required, "{program} is not installed, and SUPERCARGO_REQUIRE_PEERS=1 asks for it");
    if !here {
        eprintln!("{program} is not installed: {unchecked} is left unchecked");
    }
    here
}

/// The lines of a workflow's job, by the job's name.
fn jobs(workflow: &str) -> Vec<(String, String)> {
    let mut jobs: Vec<(String, String)> = Vec::new();
    for line in workflow.lines().skip_while(|line| *line != "jobs:").skip(1) {
        let name = line.strip_prefix("  ").and_then(|rest| rest.strip_suffix(':'));
        match name.filter(|name| !name.starts_with([' ', '#'])) {
            Some(name) => jobs.push((name.to_owned(), String::new())),
            None if line.starts_with("    ") => jobs.last_mut().unwrap().1.push_str(&format!("{line}\n")),
            None => assert!(line.is_empty() || line.starts_with("  #"), "not the form this test reads: {line}"),
        }
    }
    jobs
}

fn job(name: &str) -> String {
    jobs(&gate()).into_iter().find(|(job, _)| job == name).unwrap().1
}

/// A job's steps.
fn steps(job: &str) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    for line in job.lines().skip_while(|line| *line != "    steps:").skip(1) {
        if line.starts_with("      - ") {
            steps.push(String::new());
        }
        if !line.starts_with("      #") {
            steps.last_mut().unwrap().push_str(&format!("{line}\n"));
        }
    }
    assert!(!steps.is_empty(), "a job without steps:\n{job}");
    steps
}

/// The value of the one line `key: value` of a step.
fn value<'s>(step: &'s str, key: &str) -> &'s str {
    let mut found = step.lines().filter_map(|line| line.trim_start().strip_prefix(key)?.strip_prefix(": "));
    let value = found.next().unwrap_or_default();
    assert!(!value.is_empty() && found.next().is_none(), "one `{key}:` in\n{step}");
    value
}

/// The script of the one step of a job that has `name`.
fn script(job: &str, name: &str) -> String {
    let heading = format!("      - name: {name}\n");
    let step = steps(job).into_iter().find(|step| step.starts_with(&heading)).unwrap();
    let body = step.split("        run: |\n").nth(1).unwrap();
    body.lines().map(|line| format!("{}\n", line.strip_prefix("          ").unwrap_or(line))).collect()
}

/// Runs a script as GitHub's runner does where no shell is named, `programs` before all others.
fn run(script: &str, programs: &Path, variables: &[(&str, &str)]) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), script).unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut command = Command::new("bash");
    command.arg("-e").arg(file.path()).current_dir(programs).envs(variables.iter().copied());
    command.env("PATH", format!("{}:{path}", programs.display())).output().unwrap()
}

#[test]
fn the_required_check_passes_what_was_planned_and_passed_alone() {
    let required = job("required");
    // What is simulated below is what the job asks.
    for line in [
        "    needs: [plan, gate]",
        "    if: always()",
        "          ANY: ${{ needs.plan.outputs.any }}",
        "          NEEDS: ${{ toJSON(needs) }}",
    ] {
        assert!(required.lines().any(|other| other == line), "{line}");
    }
    assert_eq!(steps(&required).len(), 1, "one step judges");
    let script = script(&required, "Judge the jobs");
    if !here("bash", "the required check") || !here("jq", "the required check") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (case, plan, any, gate, passes) in [
        ("all succeeded", "success", "true", "success", true),
        ("nobody is affected", "success", "false", "skipped", true),
        ("the plan failed", "failure", "", "skipped", false),
        ("the plan failed after its answer", "failure", "true", "skipped", false),
        ("the plan failed after it had found nobody", "failure", "false", "skipped", false),
        ("the plan was cancelled, or took too long", "cancelled", "false", "skipped", false),
        ("the plan was skipped", "skipped", "", "skipped", false),
        ("an entry failed", "success", "true", "failure", false),
        ("an entry was cancelled, or took too long", "success", "true", "cancelled", false),
        ("somebody is affected, and the entries were skipped", "success", "true", "skipped", false),
        ("the plan did not answer, and the entries were skipped", "success", "", "skipped", false),
        ("nobody is affected, and an entry failed all the same", "success", "false", "failure", false),
        ("a newer run took the place of this one", "cancelled", "", "cancelled", false),
    ] {
        let outputs = if any.is_empty() { json!({}) } else { json!({ "any": any, "matrix": "{\"include\":[]}" }) };
        let needs =
            json!({ "plan": { "result": plan, "outputs": outputs }, "gate": { "result": gate, "outputs": {} } });
        let output = run(&script, folder.path(), &[("ANY", any), ("NEEDS", &format!("{needs:#}"))]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), passes, "{case}: {told}");
        // jq's own errors (2, 3, 5) are no verdict.
        assert!(matches!(output.status.code(), Some(0 | 1)), "{case}: {:?} {told}", output.status);
    }
}

#[test]
fn an_entry_of_the_matrix_is_words_and_never_a_script() {
    let gate = job("gate");
    assert!(gate.contains("          CARGO_ARGS: ${{ matrix.cargo_args }}\n"), "the words come by the environment");
    let script = script(&gate, "Check the members");
    if !here("bash", "the entries' command line") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cargo = folder.path().join("cargo");
    fs::write(&cargo, "#!/bin/sh\nprintf '%s\\n' \"$@\"\n").unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    for (words, expected) in [
        ("-p supercargo", vec!["-p", "supercargo"]),
        ("-p a -p b@1.2.0", vec!["-p", "a", "-p", "b@1.2.0"]),
        ("", vec![]),
        (
            "-p $(touch${IFS}made) `touch made` ; touch made",
            vec!["-p", "$(touch${IFS}made)", "`touch", "made`", ";", "touch", "made"],
        ),
        ("-p *", vec!["-p", "*"]),
    ] {
        let output = run(&script, folder.path(), &[("CARGO_ARGS", words)]);
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        let told = String::from_utf8(output.stdout).unwrap();
        let told: Vec<&str> = told.lines().collect();
        assert_eq!(told[..4], ["xtask", "gate", "--format", "github"], "{words}");
        assert_eq!(told[4..], expected, "{words}");
    }
    assert!(!folder.path().join("made").exists(), "a word was run");
}

#[test]
fn each_job_ends_and_each_save_is_one_that_is_restored() {
    for (name, job) in jobs(&gate()) {
        assert!(job.contains("\n    timeout-minutes: "), "{name} has no timeout-minutes");
        let cached = |action: &str| -> Vec<String> {
            steps(&job).into_iter().filter(|step| step.contains(&format!("uses: actions/cache/{action}@"))).collect()
        };
        let place = |step: &String| (value(step, "path").to_owned(), value(step, "key").to_owned());
        let restores = cached("restore");
        for step in &restores {
            let (_, key) = place(step);
            // A name that ends where a longer name goes on would bring the other's.
            let prefix = value(step, "restore-keys");
            assert!(key.strip_prefix(prefix) == Some("${{ github.sha }}") && prefix.ends_with('/'), "{name}:\n{step}");
        }
        let saves = cached("save");
        for step in &saves {
            assert_eq!(value(step, "if"), "github.event_name == 'push'", "{name} saves what is not main's:\n{step}");
        }
        let restored: BTreeSet<_> = restores.iter().map(place).collect();
        assert_eq!(restored, saves.iter().map(place).collect(), "{name}");
        assert!(!job.contains("uses: actions/cache@"), "{name} saves from everywhere");
    }
}

#[test]
fn linters_of_workflows_find_nothing() {
    let entries = fs::read_dir(workflows()).unwrap().map(|entry| entry.unwrap().path());
    let files: BTreeSet<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "yml")).collect();
    assert!(!files.is_empty(), "no workflow was found");
    for (program, arguments) in [
        ("zizmor", ["--offline", "--persona=auditor"]),
        ("check-jsonschema", ["--builtin-schema", "vendor.github-workflows"]),
    ] {
        if here(program, "every workflow") {
            let output = Command::new(program).args(arguments).args(&files).output().unwrap();
            let told = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
            assert!(output.status.success(), "{program} ({}):\n{told}", output.status);
        }
    }
}

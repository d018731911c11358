//! The forms of the answer, each read back as its reader would.

use std::fs;

use serde_json::Value;

use crate::sandbox::{Sandbox, set};

fn text(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let output = sandbox.ask(arguments);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    serde_json::from_str(&text(sandbox, arguments)).unwrap()
}

fn changed() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.append("crates/mid/src/lib.rs", "// x\n");
    sandbox
}

#[test]
fn json_tells_commits_sets_prints_distance_and_reasons() {
    let sandbox = changed();
    let answer = json(&sandbox, &["main", "--format", "json"]);
    let commit = sandbox.git(&["rev-parse", "main"]);
    assert_eq!(answer["schema"], 1);
    assert_eq!(answer["base"], serde_json::json!({ "asked": "main", "commit": commit, "merge_base": commit }));
    assert_eq!(answer["head"], serde_json::json!({ "asked": null, "commit": commit, "working_tree": true }));
    let members = answer["members"].as_array().unwrap();
    assert_eq!(members.len(), sandbox.members().len());
    let app = members.iter().find(|member| member["name"] == "app").unwrap();
    assert_eq!(app["path"], "crates/app");
    assert_eq!(app["version"], "0.1.0");
    assert_eq!(app["affected"], serde_json::json!({ "check": true, "build": true }));
    assert_eq!(app["distance"], 1);
    assert_eq!(
        app["reasons"],
        serde_json::json!([{
            "kind": "file", "what": "crates/mid/src/lib.rs", "change": "modified", "set": "build", "distance": 1,
            "chain": ["mid", "app"],
        }])
    );
    let core = members.iter().find(|member| member["name"] == "core").unwrap();
    assert_eq!((&core["distance"], &core["reasons"]), (&Value::Null, &Value::Array(vec![])));
    assert_eq!(core["fingerprints"]["build"]["base"], core["fingerprints"]["build"]["head"]);
}

#[test]
fn arguments_and_filters() {
    let sandbox = changed();
    assert_eq!(text(&sandbox, &["main", "--format", "cargo-args"]), "-p app -p mid\n");
    assert_eq!(text(&sandbox, &["main", "--format", "nextest"]), "package(=app) | package(=mid)\n");
    let unchanged = Sandbox::new();
    assert_eq!(text(&unchanged, &["main", "--format", "cargo-args"]), "");
    assert_eq!(text(&unchanged, &["main", "--format", "nextest"]), "none()\n");
    assert_eq!(json(&unchanged, &["main", "--format", "matrix"]), serde_json::json!({ "include": [] }));
}

#[test]
fn the_sets_differ_by_what_only_tests_see() {
    let sandbox = Sandbox::new();
    sandbox.append("crates/core/src/lib.rs", "// x\n");
    let build = sandbox.names(&["main", "--set", "build"]);
    assert_eq!(build, set(&["app", "core", "mid", "optuser", "winuser"]));
    assert_eq!(sandbox.names(&["main"]), &build | &set(&["devuser"]));
}

#[test]
fn outputs_are_lines_on_stdout_and_in_the_file_that_ci_names() {
    let sandbox = changed();
    let file = sandbox.path("../outputs");
    fs::write(&file, "before=1\n").unwrap();
    let output = sandbox.asking("", &["main", "--format", "github"]).env("GITHUB_OUTPUT", &file).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("before=1\n{lines}"));
    let field = |name: &str| lines.lines().find_map(|line| line.strip_prefix(&format!("{name}="))).unwrap().to_owned();
    assert_eq!(
        (field("any"), field("count"), field("members")),
        ("true".into(), "2".into(), "[\"app\",\"mid\"]".into())
    );
    let matrix: Value = serde_json::from_str(&field("matrix")).unwrap();
    assert_eq!(matrix["include"][1]["cargo_args"], "-p mid");
    let none = text(&Sandbox::new(), &["main", "--format", "github"]);
    assert_eq!(none, "any=false\ncount=0\nmembers=[]\nmatrix={\"include\":[]}\n");
}

#[test]
fn shards_are_balanced_by_what_was_recorded() {
    let sandbox = Sandbox::new();
    sandbox.append("crates/core/src/lib.rs", "// x\n");
    sandbox.write(
        "target/xtask/durations.json",
        r#"{"schema": 1, "seconds": {"core": 100, "app": 30, "mid": 30, "devuser": 20, "winuser": 10, "optuser": 9}}"#,
    );
    let matrix = json(&sandbox, &["main", "--format", "matrix", "--shards", "2"]);
    let shards: Vec<&Value> = matrix["include"].as_array().unwrap().iter().map(|shard| &shard["members"]).collect();
    assert_eq!(
        shards,
        [&serde_json::json!(["core"]), &serde_json::json!(["app", "devuser", "mid", "optuser", "winuser"])]
    );
    fs::remove_file(sandbox.path("target/xtask/durations.json")).unwrap();
    let matrix = json(&sandbox, &["main", "--format", "matrix", "--shards", "3"]);
    let shards = matrix["include"].as_array().unwrap();
    let members: usize = shards.iter().map(|shard| shard["members"].as_array().unwrap().len()).sum();
    assert_eq!((shards.len(), members), (3, 6));
    sandbox.write("../rubbish", "{");
    let output = sandbox.ask(&["main", "--format", "matrix", "--shards", "2", "--durations", "../rubbish"]);
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn graphs_mark_the_cause() {
    let sandbox = changed();
    let mermaid = text(&sandbox, &["main", "--format", "mermaid"]);
    assert!(mermaid.starts_with("graph LR\n"), "{mermaid}");
    assert!(mermaid.contains("c0>\"crates/mid/src/lib.rs (modified)\"]:::cause\n  c0 --> n1"), "{mermaid}");
    assert!(mermaid.contains("n0[\"app\"]") && mermaid.contains("n1 --> n0"), "{mermaid}");
    let dot = text(&sandbox, &["main", "--format", "dot"]);
    assert!(dot.starts_with("digraph affected {") && dot.contains("n1 -> n0;"), "{dot}");
}

#[test]
fn a_platform_narrows_the_edges() {
    let sandbox = Sandbox::new();
    sandbox.append("crates/core/src/lib.rs", "// x\n");
    let linux = sandbox.names(&["main", "--target", "x86_64-unknown-linux-gnu"]);
    assert_eq!(linux, set(&["app", "core", "devuser", "mid", "optuser"]));
    let windows = sandbox.names(&["main", "--target", "x86_64-pc-windows-msvc"]);
    assert!(windows.contains("winuser"));
    sandbox.commit("edited");
    assert_eq!(sandbox.names(&["main", "--target", "x86_64-unknown-linux-gnu", "--head", "HEAD"]), linux);
    assert_eq!(sandbox.ask(&["main", "--target", "no-such-thing"]).status.code(), Some(2));
    sandbox.append("crates/app/Cargo.toml", "no-such-package-anywhere = \"1\"\n");
    let output = sandbox.ask(&["main", "--target", "x86_64-unknown-linux-gnu"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cargo fetch --locked"));
}

#[test]
fn the_plan_shows_what_is_read_and_whose_a_path_is() {
    let sandbox = Sandbox::new();
    let plan = text(&sandbox, &["main", "--plan"]);
    for part in [
        "rev-parse",
        "ls-tree -r -z",
        "metadata --format-version 1 --offline",
        "README, CHANGELOG",
        "anything else: everyone",
    ] {
        assert!(plan.contains(part), "`{part}` is not in: {plan}");
    }
}

#[test]
fn the_base_comes_from_policy_ci_or_the_clone() {
    let sandbox = Sandbox::new();
    sandbox.append("crates/core/src/lib.rs", "// x\n");
    sandbox.commit("one");
    sandbox.append("crates/app/src/lib.rs", "// x\n");
    sandbox.commit("two");
    assert!(sandbox.names(&[]).contains("core"), "main is the last resort");
    let one = sandbox.git(&["rev-parse", "HEAD^"]);
    let zero = "0".repeat(40);
    let event = sandbox.path("../event.json");
    let ask = |name: &str, text: &str| {
        fs::write(&event, text).unwrap();
        let mut command = sandbox.asking("", &[]);
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_NAME", name).env("GITHUB_EVENT_PATH", &event);
        command.output().unwrap()
    };
    for (name, text) in [
        ("push", format!("{{\"before\": \"{one}\"}}")),
        ("merge_group", format!("{{\"merge_group\": {{\"base_sha\": \"{one}\"}}}}")),
        (
            "pull_request",
            format!("{{\"pull_request\": {{\"base\": {{\"sha\": \"{one}\"}}, \"head\": {{\"sha\": \"x\"}}}}}}"),
        ),
    ] {
        assert_eq!(String::from_utf8_lossy(&ask(name, &text).stdout), "app\n", "{name}");
    }
    assert_eq!(ask("push", &format!("{{\"before\": \"{zero}\"}}")).status.code(), Some(3), "a first push");
    assert_eq!(ask("push", "{").status.code(), Some(3), "an event that cannot be read");
    // The checkout of a pull request is a merge: its first parent is the base as it was merged.
    sandbox.git(&["checkout", "--quiet", "main"]);
    sandbox.append("crates/silent/src/lib.rs", "// x\n");
    sandbox.commit("the base moved on");
    let tip = sandbox.git(&["rev-parse", "feat"]);
    let stale = sandbox.git(&["rev-parse", "main^"]);
    sandbox.git(&["merge", "--quiet", "--no-ff", "--no-edit", "feat"]);
    let event_text =
        format!("{{\"pull_request\": {{\"base\": {{\"sha\": \"{stale}\"}}, \"head\": {{\"sha\": \"{tip}\"}}}}}}");
    let names = String::from_utf8(ask("pull_request", &event_text).stdout).unwrap();
    assert!(names.contains("core") && !names.contains("silent"), "{names}");
    sandbox.append("Cargo.toml", "[workspace.metadata.supercargo]\nbase = \"HEAD\"\n");
    assert_eq!(sandbox.names(&[]), set(&[]), "policy's base");
}

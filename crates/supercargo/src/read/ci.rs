//! What the forge's CI says it is running for: the commit that a change is to be compared with.

use std::env;
use std::fs;

use serde_json::Value;
use supercargo_plan::problem::Problem;

use super::git::Git;

/// The base of the change that CI runs for; none outside CI, or where the event has none.
///
/// # Errors
/// When an event is there and cannot be read, or is a branch's first push.
pub fn base(git: &Git) -> Result<Option<String>, Problem> {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let base = if set("GITHUB_ACTIONS").is_some() {
        let name = set("GITHUB_EVENT_NAME").unwrap_or_default();
        match set("GITHUB_EVENT_PATH") {
            Some(path) => github(&name, &read_event(&path)?, git)?,
            None => github(&name, &Value::Null, git)?,
        }
    } else if set("GITLAB_CI").is_some() {
        set("CI_MERGE_REQUEST_DIFF_BASE_SHA").or_else(|| set("CI_COMMIT_BEFORE_SHA"))
    } else {
        None
    };
    Ok(base)
}

fn read_event(path: &str) -> Result<Value, Problem> {
    let text = fs::read(path).map_err(|error| error.to_string());
    let event = text.and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string()));
    event.map_err(|error| {
        Problem::mend(
            format!("CI's event ($GITHUB_EVENT_PATH) cannot be read: {error}"),
            "cargo xtask affected origin/main",
        )
    })
}

/// <https://docs.github.com/en/webhooks/webhook-events-and-payloads>
fn github(name: &str, event: &Value, git: &Git) -> Result<Option<String>, Problem> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let base = match name {
        "pull_request" | "pull_request_target" => {
            // The checkout is a merge of both tips: its first parent is the base as it was merged.
            let tip = text(&event["pull_request"]["head"]["sha"]);
            let parents = git.parents("HEAD")?;
            match parents.as_slice() {
                [base, head] if tip == Some(head.to_string()) => Some(base.to_string()),
                _ => text(&event["pull_request"]["base"]["sha"]),
            }
        }
        "merge_group" => text(&event["merge_group"]["base_sha"]),
        "push" => text(&event["before"]),
        _ => return Ok(None),
    };
    let what = || format!("CI's event ($GITHUB_EVENT_PATH) is a {name} that names no base");
    base.map(Some).ok_or_else(|| Problem::mend(what(), "git fetch origin main && cargo xtask affected origin/main"))
}

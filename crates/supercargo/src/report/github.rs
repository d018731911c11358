//! Answers as GitHub Actions matrices and output lines, and the arguments that they carry.

use std::env;
use std::fs::OpenOptions;
use std::io::Write as _;

use serde_json::{Value, json};
use supercargo_plan::answer::Answer;
use supercargo_plan::facts::workspace::MemberName;
use supercargo_plan::problem::Problem;

/// `-p a -p b`.
#[must_use]
pub fn cargo_arguments(answer: &Answer<'_>, members: &[MemberName]) -> String {
    members.iter().map(|name| answer.cargo_argument(name)).collect::<Vec<_>>().join(" ")
}

/// A filterset for cargo-nextest; `none()` where there is nobody.
#[must_use]
pub fn nextest_filter(members: &[MemberName]) -> String {
    match members {
        [] => "none()".to_owned(),
        members => members.iter().map(|name| format!("package(={name})")).collect::<Vec<_>>().join(" | "),
    }
}

/// A matrix: an entry for each of `shards`, none for none.
#[must_use]
pub fn matrix(answer: &Answer<'_>, shards: &[Vec<MemberName>]) -> Value {
    let entry = |(n, members): (usize, &Vec<MemberName>)| {
        json!({
            "shard": n + 1,
            "shards": shards.len(),
            "name": match members.as_slice() {
                [only] => only.to_string(),
                [first, rest @ ..] => format!("{first} and {} more", rest.len()),
                [] => String::new(),
            },
            "members": members,
            "cargo_args": cargo_arguments(answer, members),
            "nextest": nextest_filter(members),
        })
    };
    json!({ "include": shards.iter().enumerate().map(entry).collect::<Vec<_>>() })
}

/// `any`, `count`, `members` and `matrix` as output lines.
#[must_use]
pub fn outputs(answer: &Answer<'_>, members: &[MemberName], shards: &[Vec<MemberName>]) -> String {
    format!(
        "any={}\ncount={}\nmembers={}\nmatrix={}\n",
        !members.is_empty(),
        members.len(),
        json!(members),
        matrix(answer, shards)
    )
}

/// A matrix of programs: an entry for each, with its target.
#[must_use]
pub fn programs_matrix(entries: &[(&str, &str)]) -> Value {
    let entry = |(program, target): &(&str, &str)| json!({ "program": program, "target": target });
    json!({ "include": entries.iter().map(entry).collect::<Vec<_>>() })
}

/// `any`, `count` and `matrix` of programs as output lines.
#[must_use]
pub fn programs_outputs(entries: &[(&str, &str)]) -> String {
    format!("any={}\ncount={}\nmatrix={}\n", !entries.is_empty(), entries.len(), programs_matrix(entries))
}

/// Appends output lines to the file that GitHub Actions names in $GITHUB_OUTPUT, when it does.
///
/// # Errors
/// When the file does not take them.
pub fn append_outputs(lines: &str) -> Result<(), Problem> {
    let Some(path) = env::var_os("GITHUB_OUTPUT").filter(|path| !path.is_empty()) else { return Ok(()) };
    let file = OpenOptions::new().append(true).create(true).open(&path);
    file.and_then(|mut file| file.write_all(lines.as_bytes())).map_err(|error| {
        Problem::mend(format!("$GITHUB_OUTPUT does not take the answer: {error}"), "unset GITHUB_OUTPUT")
    })
}

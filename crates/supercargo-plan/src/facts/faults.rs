//! What is wrong with a policy, collected, so that all of it is told at once.

use serde_json::Value;

use crate::problem::nearest;

/// What is wrong, collected.
#[derive(Default)]
pub(super) struct Faults(pub(super) Vec<String>);

impl Faults {
    pub(super) fn add<T>(&mut self, fault: String) -> Option<T> {
        self.0.push(fault);
        None
    }

    /// Refuses keys that nobody knows.
    pub(super) fn keys(&mut self, at: &str, table: &Value, known: &[&str]) {
        let Some(table) = table.as_object() else {
            if !table.is_null() {
                self.0.push(format!("{at}: expected a table, found {table}"));
            }
            return;
        };
        for key in table.keys().filter(|key| !known.contains(&key.as_str())) {
            let hint = match nearest(key, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if known.is_empty() => "there are none".to_owned(),
                None => format!("there are: {}", known.join(", ")),
            };
            self.0.push(format!("{at}: unknown key `{key}`; {hint}"));
        }
    }

    pub(super) fn strings(&mut self, at: &str, value: &Value, of: &str) -> Option<Vec<String>> {
        let strings =
            value.as_array().and_then(|items| items.iter().map(|item| item.as_str().map(str::to_owned)).collect());
        if strings.is_none() {
            let found = if value.is_null() { "nothing".to_owned() } else { value.to_string() };
            self.0.push(format!("{at}: expected {of}, found {found}"));
        }
        strings
    }
}

/// What is wrong with a glob. The matcher takes any text, and one that is no glob would match nothing in silence.
pub(super) fn glob_fault(glob: &str) -> Option<&'static str> {
    if glob.starts_with('/') || glob.split('/').any(|component| matches!(component, "." | "..")) {
        return Some("is no path from the repository's top");
    }
    let mut braces = 0_usize;
    let mut characters = glob.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' if characters.next().is_none() => return Some("ends in a backslash"),
            '[' if !characters.by_ref().skip(1).any(|c| c == ']') => return Some("opens a `[` and does not close it"),
            '{' => braces += 1,
            '}' if braces == 0 => return Some("closes a `{` that it did not open"),
            '}' => braces -= 1,
            _ => {}
        }
    }
    (braces > 0).then_some("opens a `{` and does not close it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_glob_is_told() {
        for glob in ["a[", "a[]", "{a", "a}", "a\\", "/a", "../a", "a/./b"] {
            assert!(glob_fault(glob).is_some(), "{glob}");
        }
        for glob in ["a", "[a]", "[]a]", "[!a]", "{a,b}", "a\\[", "**/*"] {
            assert_eq!(glob_fault(glob), None, "{glob}");
        }
    }
}

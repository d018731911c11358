//! What the team decided about a store that several machines share: `[workspace.metadata.supercargo.store]`.

use std::net::Ipv4Addr;

use serde_json::Value;

use super::faults::Faults;

const KEYS: [&str; 3] = ["access", "credentials", "url"];

/// The shared store, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// `http://..` or `https://..`, without user, query or a slash at the end: `/ac/<key>` and `/cas/<digest>` go after it.
    pub url: String,
    /// Whether something is put there, besides being read.
    pub writes: bool,
    /// The variable that holds `user:password` or a bearer token. Children never get it.
    pub credentials: Option<String>,
}

impl Shared {
    /// Whether what is sent there is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.url.starts_with("https://")
    }

    /// Whether the server is on this very machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let authority = self.url.split('/').nth(2).unwrap_or_default();
        let host =
            authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')).map_or(authority, |(host, _)| host);
        host == "localhost" || host == "[::1]" || host.parse::<Ipv4Addr>().is_ok_and(|host| host.is_loopback())
    }
}

/// Parses the table at `at`. No fault repeats a URL that may hold a secret.
pub(super) fn parse(faults: &mut Faults, at: &str, table: &Value) -> Option<Shared> {
    if table.is_null() {
        return None;
    }
    faults.keys(at, table, &KEYS);
    let url = match &table["url"] {
        Value::String(url) => match url_fault(url) {
            None => Some(url.trim_end_matches('/').to_owned()),
            Some(fault) => faults.add(format!("{at}.url: {fault}")),
        },
        Value::Null if !table.is_object() => None,
        _ => faults.add(format!("{at}.url: expected a URL like \"https://cache.example.com/store\"")),
    };
    let writes = match &table["access"] {
        Value::Null => false,
        Value::String(access) if access == "read" => false,
        Value::String(access) if access == "read-write" => true,
        other => {
            faults.add(format!("{at}.access: expected \"read\" or \"read-write\", found {other}")).unwrap_or_default()
        }
    };
    let credentials = match &table["credentials"] {
        Value::Null => None,
        Value::String(name) if is_variable(name) => Some(name.clone()),
        _ => faults.add(format!("{at}.credentials: expected the name of a variable, never its value")),
    };
    let shared = Shared { url: url?, writes, credentials };
    if shared.credentials.is_some() && !shared.is_encrypted() && !shared.is_loopback() {
        return faults.add(format!("{at}.credentials: they are not sent over plain http; use https"));
    }
    Some(shared)
}

/// Whether this may be the name of a variable. A value that was pasted in its place mostly is none.
fn is_variable(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// What is wrong with a URL.
fn url_fault(url: &str) -> Option<&'static str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let Some(rest) = rest else {
        return Some("expected a URL that starts with https:// or http://");
    };
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return Some("it names a user; credentials come from the variable that `credentials` names");
    }
    if url.contains(['?', '#']) {
        return Some("it has a query or a fragment; paths are put after it");
    }
    if url.bytes().any(|b| !b.is_ascii_graphic() || b"\"<>\\^`{|}".contains(&b)) {
        return Some("it has characters that no URL has");
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if host.is_empty() || (!bracketed && host.contains([':', '[', ']'])) {
        return Some("it names no host");
    }
    port.is_some_and(|port| port.parse::<u16>().is_err()).then_some("its port is no port")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(table: &Value) -> (Option<Shared>, Vec<String>) {
        let mut faults = Faults::default();
        let shared = parse(&mut faults, "store", table);
        (shared, faults.0)
    }

    #[test]
    fn a_store_is_read_unless_policy_says_more() {
        let (shared, faults) = parsed(&json!({ "url": "https://cache.example.com/team/" }));
        let expected = Shared { url: "https://cache.example.com/team".into(), writes: false, credentials: None };
        assert_eq!((shared, faults), (Some(expected), vec![]));
        let table = json!({ "url": "http://127.0.0.1:8080", "access": "read-write", "credentials": "STORE_TOKEN" });
        let (shared, faults) = parsed(&table);
        assert_eq!(faults, Vec::<String>::new());
        assert!(shared.is_some_and(|shared| shared.writes && shared.is_loopback() && !shared.is_encrypted()));
        assert_eq!(parsed(&Value::Null), (None, vec![]));
    }

    #[test]
    fn faults_are_told_all_at_once_and_no_secret_is_repeated() {
        let table = json!({ "urls": 1, "access": "write", "credentials": "hunter2:x" });
        let (shared, faults) = parsed(&table);
        assert_eq!(shared, None);
        let told = faults.join("\n");
        for words in [
            "did you mean `url`?",
            "store.url: expected a URL",
            "\"read-write\", found \"write\"",
            "name of a variable",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
        assert!(!told.contains("hunter2"));
        for url in [
            "https://me:hunter2@example.com",
            "https://example.com/?token=hunter2",
            "https://example.com/#hunter2",
            "ftp://hunter2",
            "https://",
            "https://:80",
            "https://exa mple.com",
            "https://example.com:99999",
            "https://::1/",
        ] {
            let (shared, faults) = parsed(&json!({ "url": url }));
            assert_eq!((shared, faults.len()), (None, 1), "{url}");
            assert!(!faults[0].contains("hunter2"), "{faults:?}");
        }
        assert_eq!(parsed(&json!("https://example.com")).1.len(), 1);
    }

    #[test]
    fn credentials_stay_off_the_open_net() {
        let with = |url: &str| parsed(&json!({ "url": url, "credentials": "TOKEN" }));
        for url in ["http://example.com", "http://127.0.0.1.example.com", "http://localhost.example.com:80"] {
            assert!(with(url).1[0].contains("plain http"), "{url}");
        }
        for url in ["https://example.com", "http://127.0.0.1", "http://localhost:80/x", "http://[::1]:80"] {
            assert_eq!(with(url).1, Vec::<String>::new(), "{url}");
        }
    }
}

//! Paths as git has them: bytes, relative to the top of the repository, parted by `/`.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path from the top of the repository. Empty is the top itself; there is no `.`, no `..`, no slash at either end.
///
/// Shown, and stored, as git quotes it: plain where it is UTF-8 without control characters, quotes or backslashes, else
/// in double quotes with C escapes. Both forms read back as the same bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RepoPath(Vec<u8>);

impl RepoPath {
    /// The path whose bytes git gave; a slash at the end (git's mark of a folder) is dropped.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.strip_suffix(b"/").unwrap_or(bytes).to_vec())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the top of the repository.
    #[must_use]
    pub fn is_top(&self) -> bool {
        self.0.is_empty()
    }

    /// The last component; empty for the top.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        split(&self.0).1
    }

    /// The bytes of the folder that holds it.
    #[must_use]
    pub fn folder(&self) -> &[u8] {
        split(&self.0).0
    }

    /// The folder that holds it; the top for the top.
    #[must_use]
    pub fn parent(&self) -> Self {
        Self(split(&self.0).0.to_vec())
    }

    /// Itself and every folder above it, the top last.
    pub fn ancestors(&self) -> impl Iterator<Item = &[u8]> {
        let mut next = Some(self.0.as_slice());
        std::iter::from_fn(move || {
            let here = next?;
            next = (!here.is_empty()).then(|| split(here).0);
            Some(here)
        })
    }

    /// The path below `folder` when this lies in it (or is it).
    #[must_use]
    pub fn below(&self, folder: &Self) -> Option<&[u8]> {
        if folder.is_top() {
            return Some(&self.0);
        }
        match self.0.strip_prefix(folder.0.as_slice())? {
            [] => Some(&[]),
            [b'/', rest @ ..] => Some(rest),
            _ => None,
        }
    }

    /// `relative` seen from this folder, with `.` and `..` resolved; none where it leaves the repository.
    #[must_use]
    pub fn join(&self, relative: &[u8]) -> Option<Self> {
        let mut bytes = self.0.clone();
        for component in relative.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." if bytes.is_empty() => return None,
                b".." => bytes.truncate(split(&bytes).0.len()),
                name => {
                    if !bytes.is_empty() {
                        bytes.push(b'/');
                    }
                    bytes.extend_from_slice(name);
                }
            }
        }
        Some(Self(bytes))
    }
}

/// Folder and last component.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (&[], bytes),
    }
}

impl From<&str> for RepoPath {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes())
    }
}

impl Borrow<[u8]> for RepoPath {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(&self.0) {
            Ok(text) if !text.contains(|c: char| c.is_control() || c == '"' || c == '\\') => f.write_str(text),
            _ => f.write_str(&quote(&self.0)),
        }
    }
}

impl fmt::Debug for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

/// Git's C-style quoting (`core.quotePath`), with bytes that are text left as they are.
fn quote(bytes: &[u8]) -> String {
    let mut quoted = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => quoted.push_str("\\\""),
                '\\' => quoted.push_str("\\\\"),
                '\n' => quoted.push_str("\\n"),
                '\t' => quoted.push_str("\\t"),
                c if c.is_control() => {
                    let mut buffer = [0; 4];
                    c.encode_utf8(&mut buffer).bytes().for_each(|byte| quoted.push_str(&format!("\\{byte:03o}")));
                }
                c => quoted.push(c),
            }
        }
        chunk.invalid().iter().for_each(|byte| quoted.push_str(&format!("\\{byte:03o}")));
    }
    quoted.push('"');
    quoted
}

impl FromStr for RepoPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
            return Ok(Self::from(text));
        };
        let mut bytes = Vec::new();
        let mut rest = inner.as_bytes();
        while let [first, tail @ ..] = rest {
            (rest, _) = match (first, tail) {
                (b'\\', [b'n', tail @ ..]) => (tail, bytes.push(b'\n')),
                (b'\\', [b't', tail @ ..]) => (tail, bytes.push(b'\t')),
                (b'\\', [c @ (b'"' | b'\\'), tail @ ..]) => (tail, bytes.push(*c)),
                (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                    (tail, bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0')))
                }
                (b'\\', _) => return Err(format!("a path is quoted badly: {text}")),
                (byte, tail) => (tail, bytes.push(*byte)),
            };
        }
        Ok(Self(bytes))
    }
}

impl Serialize for RepoPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RepoPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_are_quoted_as_git_does_and_read_back() {
        for (bytes, shown) in [
            (&b"src/a b.rs"[..], "src/a b.rs"),
            ("käse".as_bytes(), "käse"),
            (b"a\nb", "\"a\\nb\""),
            (b"q\"\\", "\"q\\\"\\\\\""),
            (b"\xff\xfe/x", "\"\\377\\376/x\""),
            (b"\x1b[31m", "\"\\033[31m\""),
        ] {
            let path = RepoPath::new(bytes);
            assert_eq!(path.to_string(), shown);
            assert_eq!(shown.parse::<RepoPath>().map(|p| p.as_bytes().to_vec()), Ok(bytes.to_vec()));
        }
    }

    #[test]
    fn join_resolves_dots_and_refuses_to_leave() {
        let folder = RepoPath::from("crates/a");
        assert_eq!(folder.join(b"../b/./x"), Some(RepoPath::from("crates/b/x")));
        assert_eq!(folder.join(b"../.."), Some(RepoPath::default()));
        assert_eq!(folder.join(b"../../../x"), None);
    }

    #[test]
    fn below_needs_a_whole_component() {
        let path = RepoPath::from("crates/core-lib/x");
        assert_eq!(path.below(&RepoPath::from("crates/core")), None);
        assert_eq!(path.below(&RepoPath::from("crates/core-lib")), Some(&b"x"[..]));
        assert_eq!(path.below(&RepoPath::default()), Some(&b"crates/core-lib/x"[..]));
    }

    #[test]
    fn ancestors_end_at_the_top() {
        let path = RepoPath::from("a/b");
        assert_eq!(path.ancestors().collect::<Vec<_>>(), [&b"a/b"[..], b"a", b""]);
        assert_eq!(RepoPath::default().ancestors().count(), 1);
    }
}

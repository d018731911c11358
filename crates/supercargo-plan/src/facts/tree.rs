//! What git says is there: path, mode and object id of every file of one state of the repository.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::path::RepoPath;

/// The id under which git keeps (or would keep) a file's content: SHA-1 or SHA-256, as the repository has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    bytes: [u8; 32],
    len: u8,
}

impl ObjectId {
    /// Git's «no object».
    pub const ZERO: Self = Self { bytes: [0; 32], len: 20 };

    /// Reads 40 or 64 hexadecimal digits.
    #[must_use]
    pub fn parse(hex: &[u8]) -> Option<Self> {
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = digit(pair[0])? * 16 + digit(pair[1])?;
        }
        matches!(hex.len(), 40 | 64).then(|| Self { bytes, len: u8::try_from(hex.len() / 2).unwrap_or(32) })
    }

    /// The raw bytes, 20 or 32.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Whether this is git's «no object»: absent, or in the working tree and not hashed yet.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.bytes == [0; 32]
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for ObjectId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ObjectId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(text.as_bytes()).ok_or_else(|| serde::de::Error::custom("not an object id"))
    }
}

/// What a tree entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// A file (100644).
    File,
    /// A file that may be run (100755).
    Program,
    /// A symbolic link (120000): the content is its target.
    Link,
    /// A submodule (160000), or an untracked repository: the id is a commit.
    Repository,
}

impl Mode {
    fn parse(octal: &[u8]) -> Option<Self> {
        match octal {
            b"100644" | b"100664" => Some(Self::File),
            b"100755" => Some(Self::Program),
            b"120000" => Some(Self::Link),
            b"160000" => Some(Self::Repository),
            _ => None,
        }
    }
}

/// One file: its mode and the id of its content. A zero id is content that git cannot name (a submodule with changes
/// inside, an untracked repository) and equals nothing that is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub mode: Mode,
    /// The id of its content.
    pub id: ObjectId,
}

/// A path's position in its tree: cheap to compare, in the order of the paths' bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathId(usize);

/// Every file of one state of the repository, in the order of their paths' bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    entries: Vec<(RepoPath, Entry)>,
}

impl Tree {
    /// How many files there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The position of `path`.
    #[must_use]
    pub fn find(&self, path: &[u8]) -> Option<PathId> {
        self.entries.binary_search_by(|(own, _)| own.as_bytes().cmp(path)).ok().map(PathId)
    }

    /// The entry at `path`.
    #[must_use]
    pub fn get(&self, path: &[u8]) -> Option<&Entry> {
        self.find(path).map(|id| self.entry(id))
    }

    /// The path at a position.
    #[must_use]
    pub fn path(&self, id: PathId) -> &RepoPath {
        &self.entries[id.0].0
    }

    /// The entry at a position.
    #[must_use]
    pub fn entry(&self, id: PathId) -> &Entry {
        &self.entries[id.0].1
    }

    /// All positions, in order.
    pub fn ids(&self) -> impl Iterator<Item = PathId> + use<> {
        (0..self.entries.len()).map(PathId)
    }

    /// All entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&RepoPath, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path, entry))
    }

    /// The positions below `folder`.
    pub fn below(&self, folder: &RepoPath) -> impl Iterator<Item = PathId> + use<> {
        self.range(folder).map(PathId)
    }

    fn range(&self, folder: &RepoPath) -> std::ops::Range<usize> {
        // Siblings such as `a-b` sort between `a` and `a/x`, so the range is that of `a/`.
        let prefix: Vec<u8> = if folder.is_top() { Vec::new() } else { [folder.as_bytes(), b"/"].concat() };
        let start = self.entries.partition_point(|(path, _)| path.as_bytes() < prefix.as_slice());
        let inside = self.entries[start..].partition_point(|(path, _)| path.as_bytes().starts_with(&prefix));
        start..start + inside
    }

    /// Leaves out what lies below `folder`.
    pub fn leave_out(&mut self, folder: &RepoPath) {
        let inside = self.range(folder);
        self.entries.drain(inside);
    }

    /// Takes the name of its content from a file: from here on nobody knows what it holds.
    pub fn forget(&mut self, id: PathId) {
        if let Some(zero) = ObjectId::parse(&[b'0'; 40]) {
            self.entries[id.0].1.id = zero;
        }
    }

    /// This tree as it was before `changes`.
    #[must_use]
    pub fn before(&self, changes: &[Change]) -> Self {
        self.with(changes, |change| change.before)
    }

    /// This tree as it is after `changes`.
    #[must_use]
    pub fn after(&self, changes: &[Change]) -> Self {
        self.with(changes, |change| change.after)
    }

    fn with(&self, changes: &[Change], side: impl Fn(&Change) -> Option<Entry>) -> Self {
        let mut changes: Vec<&Change> = changes.iter().collect();
        changes.sort_by_key(|change| &change.path);
        let mut entries = Vec::with_capacity(self.entries.len() + changes.len());
        let mut old = self.entries.iter().peekable();
        for (n, change) in changes.iter().enumerate() {
            while let Some(kept) = old.next_if(|(path, _)| *path < change.path) {
                entries.push(kept.clone());
            }
            old.next_if(|(path, _)| *path == change.path);
            // Of two changes at one path, such as removed from the index and untracked, the later one holds.
            let last = changes.get(n + 1).is_none_or(|next| next.path != change.path);
            if let (Some(entry), true) = (side(change), last) {
                entries.push((change.path.clone(), entry));
            }
        }
        entries.extend(old.cloned());
        Self { entries }
    }
}

impl FromIterator<(RepoPath, Entry)> for Tree {
    fn from_iter<I: IntoIterator<Item = (RepoPath, Entry)>>(entries: I) -> Self {
        let mut entries: Vec<(RepoPath, Entry)> = entries.into_iter().collect();
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        entries.dedup_by(|(one, _), (other, _)| one == other);
        Self { entries }
    }
}

/// One path that differs between two states; an absent side is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub path: RepoPath,
    /// The entry in the earlier state.
    pub before: Option<Entry>,
    /// The entry in the later state; its id is zero where git has not hashed the working tree's file.
    pub after: Option<Entry>,
}

/// Parses `git ls-tree -r -z`.
#[must_use]
pub fn parse_ls_tree(bytes: &[u8]) -> Option<Tree> {
    records(bytes)
        .map(|record| {
            let (head, path) = split_once(record, b'\t')?;
            let mut words = head.split(|byte| *byte == b' ');
            let mode = Mode::parse(words.next()?)?;
            let id = ObjectId::parse(words.nth(1)?)?;
            Some((RepoPath::new(path), Entry { mode, id }))
        })
        .collect()
}

/// Parses `git ls-files -z --others`: untracked files, and untracked repositories (with a slash at their end).
#[must_use]
pub fn parse_untracked(bytes: &[u8]) -> Vec<(RepoPath, Mode)> {
    records(bytes)
        .map(|path| (RepoPath::new(path), if path.ends_with(b"/") { Mode::Repository } else { Mode::File }))
        .collect()
}

/// Parses `git diff --raw -z --no-renames --no-abbrev`.
#[must_use]
pub fn parse_raw_diff(bytes: &[u8]) -> Option<Vec<Change>> {
    let mut fields = records(bytes);
    let mut changes: Vec<Change> = Vec::new();
    while let Some(head) = fields.next() {
        let path = RepoPath::new(fields.next()?);
        let words: Vec<&[u8]> = head.strip_prefix(b":")?.split(|byte| *byte == b' ').collect();
        let [before, after, before_id, after_id, _status] = words.as_slice() else { return None };
        let entry = |mode: &[u8], id: &[u8]| match Mode::parse(mode) {
            Some(mode) => Some(Some(Entry { mode, id: ObjectId::parse(id)? })),
            None => (mode == b"000000").then_some(None),
        };
        let mut change = Change { path, before: entry(before, before_id)?, after: entry(after, after_id)? };
        if let (true, Some(after)) = (change.before == change.after, &mut change.after) {
            // The same commit of a submodule, with changes inside that have no name.
            after.id = ObjectId::ZERO;
        }
        match changes.last_mut() {
            // An unmerged path comes twice; the second record compares the working tree's file.
            Some(last) if last.path == change.path => *last = change,
            _ => changes.push(change),
        }
    }
    Some(changes)
}

fn records(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == 0).filter(|record| !record.is_empty())
}

fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = bytes.iter().position(|byte| *byte == at)?;
    Some((&bytes[..position], &bytes[position + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "f2ad6c76f0115a6ba5b00456a849810e7ec0af20";
    const B: &str = "78981922613b2afb6025042ff6bd878ac1994e85";

    fn entry(mode: Mode, id: &str) -> Option<Entry> {
        Some(Entry { mode, id: ObjectId::parse(id.as_bytes())? })
    }

    #[test]
    fn ls_tree_gives_paths_with_any_bytes() {
        let listing = format!("100644 blob {A}\ta\nb\0120000 blob {B}\tlink\0160000 commit {B}\tvendor\0");
        let tree = parse_ls_tree(listing.as_bytes()).unwrap_or_default();
        assert_eq!(tree.get(b"a\nb").copied(), entry(Mode::File, A));
        assert_eq!(tree.get(b"link").copied(), entry(Mode::Link, B));
        assert_eq!(tree.get(b"vendor").copied(), entry(Mode::Repository, B));
        assert_eq!(parse_ls_tree(b"rubbish\0"), None);
    }

    #[test]
    fn a_raw_diff_tells_both_sides() {
        let zero = "0".repeat(40);
        let diff = format!(
            ":100644 100755 {A} {B} M\0x\0:000000 100644 {zero} {zero} A\0new\0:100644 000000 {A} {zero} D\0old\0"
        );
        let changes = parse_raw_diff(diff.as_bytes()).unwrap_or_default();
        assert_eq!(changes.len(), 3);
        assert_eq!((changes[0].before, changes[0].after), (entry(Mode::File, A), entry(Mode::Program, B)));
        assert_eq!((changes[1].before, changes[1].after), (None, entry(Mode::File, &zero)));
        assert_eq!((changes[2].before, changes[2].after), (entry(Mode::File, A), None));
        assert_eq!(parse_raw_diff(b":100644 100644\0x\0"), None);
    }

    #[test]
    fn below_finds_a_folder_past_its_look_alikes() {
        let tree: Tree = ["a-b", "a/x", "a/y/z", "a0", "b"]
            .iter()
            .filter_map(|path| Some((RepoPath::from(*path), entry(Mode::File, A)?)))
            .collect();
        let names = |folder: &str| tree.below(&folder.into()).map(|id| tree.path(id).to_string()).collect::<Vec<_>>();
        assert_eq!(names("a"), ["a/x", "a/y/z"]);
        assert_eq!(names("a/y"), ["a/y/z"]);
        assert!(names("b").is_empty());
        assert_eq!(names("").len(), 5);
    }

    #[test]
    fn changes_are_applied_in_any_order_and_the_last_word_counts() {
        let tree: Tree =
            ["a", "c", "e"].iter().filter_map(|p| Some((RepoPath::from(*p), entry(Mode::File, A)?))).collect();
        let change = |path: &str, after| Change { path: path.into(), before: None, after };
        let changes = [
            change("e", None),
            change("b", entry(Mode::File, B)),
            change("c", None),
            change("c", entry(Mode::Link, B)),
        ];
        let after = tree.after(&changes);
        let shown: Vec<_> = after.iter().map(|(path, entry)| (path.to_string(), entry.mode)).collect();
        assert_eq!(shown, [("a".into(), Mode::File), ("b".into(), Mode::File), ("c".into(), Mode::Link)]);
    }
}

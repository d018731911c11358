//! Looks into made bytes: where two programs differ, and what a program tells of the machine that made it.

use std::collections::BTreeMap;

use memchr::memmem;

use super::elf::{self, Part};

/// How many traces of one path are told.
pub const TRACES: usize = 8;

/// How much of the text around a trace is told, in bytes before and after the path.
const AROUND: (usize, usize) = (32, 128);

/// The first place where two files differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The section, or headers, that it lies in; none between sections and in what is no ELF file.
    pub section: Option<String>,
    /// How far into the section, in bytes; into the file, where there is no section.
    pub offset: usize,
    /// How far into the first file, in bytes; into the second, for a section that only it has.
    pub file_offset: usize,
    /// All sections that differ, as they lie in the first file, then those that only the second has.
    pub sections: Vec<String>,
}

/// A path of the machine that made a program, found inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The path that was looked for.
    pub path: String,
    /// The printable text around it, cut where it is long.
    pub text: String,
    /// The section that it lies in.
    pub section: Option<String>,
    /// Where the path begins, in bytes from the file's beginning.
    pub offset: usize,
}

/// Where `one` and `other` differ first; none when they are equal. Sections of ELF files are compared with their
/// namesakes, so that one that grew does not count for all that lie after it, and headers, which tell of sizes, only
/// where all sections are equal.
#[must_use]
pub fn first_difference(one: &[u8], other: &[u8]) -> Option<Difference> {
    let file_offset = unequal(one, other)?;
    let [parts, counterparts] = [one, other].map(|bytes| elf::parts(bytes).unwrap_or_default());
    let [ours, theirs] = [&parts, &counterparts].map(|parts| sections(parts));
    let [known, namesakes] = [&ours, &theirs].map(|sections| sections.iter().copied().collect::<BTreeMap<_, _>>());
    let mut sections = Vec::new();
    let mut first = None;
    for (name, part) in &ours {
        let ours = &one[part.range.clone()];
        let theirs = namesakes.get(name);
        let offset = theirs.map_or(Some(0), |theirs| unequal(ours, &other[theirs.range.clone()]));
        if let Some(offset) = offset {
            first.get_or_insert((part, offset));
            sections.push(part.name.clone());
        }
    }
    for (name, part) in &theirs {
        if !known.contains_key(name) {
            first.get_or_insert((part, 0));
            sections.push(part.name.clone());
        }
    }
    if let Some((part, offset)) = first {
        let file_offset = part.range.start + offset;
        return Some(Difference { section: Some(part.name.clone()), offset, file_offset, sections });
    }
    // Beyond the end of one, the other's parts tell.
    let parts = if file_offset < one.len() { &parts } else { &counterparts };
    let part = part_at(parts, file_offset);
    let offset = part.map_or(file_offset, |part| file_offset - part.range.start);
    let section = part.map(|part| part.name.clone());
    Some(Difference { sections: section.iter().cloned().collect(), section, offset, file_offset })
}

/// Every occurrence of `paths` (absolute folders or files of the machine that made `bytes`) that is not the beginning of
/// a longer name, at most [`TRACES`] of each that `counts`, in the order of `paths`. `/` itself is no path to look
/// for.
#[must_use]
pub fn traces(bytes: &[u8], paths: &[String], counts: &dyn Fn(&Trace) -> bool) -> Vec<Trace> {
    let parts = elf::parts(bytes).unwrap_or_default();
    let mut found = Vec::new();
    for path in paths {
        let wanted = path.trim_end_matches('/').as_bytes();
        if wanted.is_empty() {
            continue;
        }
        let ends = |at: &usize| !bytes.get(at + wanted.len()).copied().is_some_and(continues);
        let trace = |offset: usize| Trace {
            path: path.clone(),
            text: around(bytes, offset, wanted.len()),
            section: part_at(&parts, offset).map(|part| part.name.clone()),
            offset,
        };
        found.extend(memmem::find_iter(bytes, wanted).filter(ends).map(trace).filter(counts).take(TRACES));
    }
    found
}

/// Whether a name that is followed by `byte` goes on.
fn continues(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.+~@".contains(&byte)
}

/// The printable text around what lies at `offset`.
fn around(bytes: &[u8], offset: usize, length: usize) -> String {
    let printable = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    let before = bytes[..offset].iter().rev().take(AROUND.0).take_while(|byte| printable(byte)).count();
    let after = bytes[offset + length..].iter().take(AROUND.1).take_while(|byte| printable(byte)).count();
    String::from_utf8_lossy(&bytes[offset - before..offset + length + after]).into_owned()
}

/// The smallest part that holds the byte at `offset`.
fn part_at(parts: &[Part], offset: usize) -> Option<&Part> {
    parts.iter().filter(|part| part.range.contains(&offset)).min_by_key(|part| part.range.len())
}

/// The sections among `parts`, each with its name and how many before it have the same.
fn sections(parts: &[Part]) -> Vec<((&str, usize), &Part)> {
    let mut seen = BTreeMap::new();
    let sections = parts.iter().filter(|part| !part.name.starts_with("the "));
    sections
        .map(|part| {
            let count = seen.entry(part.name.as_str()).or_insert(0);
            *count += 1;
            ((part.name.as_str(), *count), part)
        })
        .collect()
}

/// The first offset at which `one` and `other` differ: the shorter's length, if it is the longer's beginning.
fn unequal(one: &[u8], other: &[u8]) -> Option<usize> {
    const STRIDE: usize = 4096;
    if one == other {
        return None;
    }
    let shorter = one.len().min(other.len());
    let strides = one.chunks(STRIDE).zip(other.chunks(STRIDE));
    let equal = strides.take_while(|(one, other)| one == other).count() * STRIDE;
    let (one, other) = (one.get(equal..).unwrap_or_default(), other.get(equal..).unwrap_or_default());
    Some(one.iter().zip(other).position(|(one, other)| one != other).map_or(shorter, |n| equal + n))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traced(bytes: &[u8], paths: &[&str]) -> Vec<(String, usize)> {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        traces(bytes, &paths, &|_| true).into_iter().map(|trace| (trace.text, trace.offset)).collect()
    }

    #[test]
    fn equal_files_do_not_differ() {
        assert_eq!(first_difference(b"", b""), None);
        assert_eq!(first_difference(&[7; 9000], &[7; 9000]), None);
    }

    #[test]
    fn what_is_no_elf_file_differs_at_an_offset() {
        let at = |one: &[u8], other: &[u8]| first_difference(one, other).map(|d| (d.section, d.offset, d.file_offset));
        assert_eq!(at(b"abc", b"abd"), Some((None, 2, 2)));
        assert_eq!(at(b"abc", b"abcd"), Some((None, 3, 3)));
        assert_eq!(at(b"", b"a"), Some((None, 0, 0)));
        for n in [0, 4095, 4096, 4097, 8191, 8192, 8999] {
            let mut other = [7; 9000];
            other[n] = 8;
            assert_eq!(at(&[7; 9000], &other), Some((None, n, n)));
            assert_eq!(at(&[7; 9000], &other[..n]), Some((None, n, n)));
        }
    }

    #[test]
    fn a_path_ends_where_its_name_does() {
        for (bytes, found) in [
            ("/home/me", true),
            ("/home/me/x", true),
            ("/home/me\0", true),
            ("/home/me: no such file", true),
            ("text before/home/me\"", true),
            ("/home/me2", false),
            ("/home/me-too/x", false),
            ("/home/me.old", false),
            ("/home/m", false),
        ] {
            for path in ["/home/me", "/home/me/"] {
                assert_eq!(!traced(bytes.as_bytes(), &[path]).is_empty(), found, "{bytes}");
            }
        }
        assert_eq!(traced(b"/a/b", &["", "/"]), []);
    }

    #[test]
    fn text_around_is_printable_and_bounded() {
        let text = [b"\0see ", "/w/src/main.rs:1".as_bytes(), b"\x01more"].concat();
        assert_eq!(traced(&text, &["/w"]), [("see /w/src/main.rs:1".to_owned(), 5)]);
        let long = [[b'x'; 500].as_slice(), b"/w/", &[b'y'; 500]].concat();
        assert_eq!(traced(&long, &["/w"])[0].0.len(), AROUND.0 + 2 + AROUND.1);
        assert_eq!(traced(&b"/w/ ".repeat(100), &["/w", "/v"]).len(), TRACES);
    }
}

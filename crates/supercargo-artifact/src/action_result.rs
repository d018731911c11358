//! `ActionResult` of the Remote Execution API v2, in protobuf's wire format: what servers of Bazel's caches take as a value.

use crate::digest::Digest;

/// Longest message that is read, in bytes.
pub const LONGEST: usize = 1 << 20;

/// Numbers of fields, as `build/bazel/remote/execution/v2/remote_execution.proto` gives them.
mod field {
    pub const OUTPUT_FILES: u64 = 2;
    pub const EXIT_CODE: u64 = 4;
    pub const STDOUT_RAW: u64 = 5;
    pub const PATH: u64 = 1;
    pub const DIGEST: u64 = 2;
    pub const IS_EXECUTABLE: u64 = 4;
    pub const HASH: u64 = 1;
    pub const SIZE_BYTES: u64 = 2;
}

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FIXED_32: u64 = 5;

/// A file that an action made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutputFile {
    /// Its name, relative.
    pub path: String,
    /// The digest of its content.
    pub digest: Digest,
    /// The size of its content, in bytes.
    pub size: u64,
}

/// What a successful action left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionResult {
    /// Its files. Servers drop a result when they have dropped one of these.
    pub output_files: Vec<OutputFile>,
    /// What it printed: our own entry.
    pub stdout: Vec<u8>,
}

impl ActionResult {
    /// The message: equal results give equal bytes. Files are sorted, each is executable, and the exit code is 0.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut files: Vec<&OutputFile> = self.output_files.iter().collect();
        files.sort();
        let mut message = Vec::new();
        for file in files {
            let mut digest = Vec::new();
            put_bytes(&mut digest, field::HASH, file.digest.to_string().as_bytes());
            put_number(&mut digest, field::SIZE_BYTES, file.size);
            let mut output = Vec::new();
            put_bytes(&mut output, field::PATH, file.path.as_bytes());
            put_bytes(&mut output, field::DIGEST, &digest);
            put_number(&mut output, field::IS_EXECUTABLE, 1);
            put_bytes(&mut message, field::OUTPUT_FILES, &output);
        }
        if !self.stdout.is_empty() {
            put_bytes(&mut message, field::STDOUT_RAW, &self.stdout);
        }
        message
    }

    /// The result in a message; none where it is no such message, longer than [`LONGEST`], or of an action that failed.
    /// Fields that nobody here knows are skipped: servers add some (which worker it came from).
    #[must_use]
    pub fn decode(message: &[u8]) -> Option<Self> {
        if message.len() > LONGEST {
            return None;
        }
        let mut result = Self::default();
        let mut fields = Fields(message);
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (field::OUTPUT_FILES, Value::Bytes(file)) => result.output_files.push(output_file(file)?),
                (field::STDOUT_RAW, Value::Bytes(bytes)) => result.stdout = bytes.to_vec(),
                (field::EXIT_CODE, Value::Number(0)) => {}
                (field::OUTPUT_FILES | field::STDOUT_RAW | field::EXIT_CODE, _) => return None,
                _ => {}
            }
        }
        Some(result)
    }
}

fn output_file(message: &[u8]) -> Option<OutputFile> {
    let (mut path, mut digest) = (None, None);
    let mut fields = Fields(message);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (field::PATH, Value::Bytes(bytes)) => path = Some(std::str::from_utf8(bytes).ok()?.to_owned()),
            (field::DIGEST, Value::Bytes(bytes)) => digest = Some(hash_and_size(bytes)?),
            (field::PATH | field::DIGEST, _) => return None,
            _ => {}
        }
    }
    let (digest, size) = digest?;
    Some(OutputFile { path: path.filter(|path| !path.is_empty())?, digest, size })
}

fn hash_and_size(message: &[u8]) -> Option<(Digest, u64)> {
    let (mut hash, mut size) = (None, 0);
    let mut fields = Fields(message);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (field::HASH, Value::Bytes(bytes)) => hash = Some(Digest::parse(std::str::from_utf8(bytes).ok()?)?),
            // An int64: what is negative has its highest bit set.
            (field::SIZE_BYTES, Value::Number(bytes)) if bytes <= i64::MAX as u64 => size = bytes,
            (field::HASH | field::SIZE_BYTES, _) => return None,
            _ => {}
        }
    }
    Some((hash?, size))
}

/// The value of a field, as far as the wire tells.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a fixed size: no field that is known here has one.
    Fixed,
}

/// The fields of a message, one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The next field; none at the end. The outer none: this is no message.
    fn next(&mut self) -> Option<Option<(u64, Value<'a>)>> {
        if self.0.is_empty() {
            return Some(None);
        }
        let tag = self.varint()?;
        let (number, wire) = (tag >> 3, tag & 7);
        if number == 0 || number > (1 << 29) - 1 {
            return None;
        }
        let value = match wire {
            VARINT => Value::Number(self.varint()?),
            FIXED_64 => self.take(8).map(|_| Value::Fixed)?,
            LENGTH_DELIMITED => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            FIXED_32 => self.take(4).map(|_| Value::Fixed)?,
            // Groups are of the first version, and nobody has them.
            _ => return None,
        };
        Some(Some((number, value)))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for n in 0..10 {
            let byte = *self.take(1)?.first()?;
            let bits = u64::from(byte & 0x7f);
            if n == 9 && bits > 1 {
                return None;
            }
            number |= bits << (7 * n);
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

fn put_varint(message: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        message.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    message.push(number as u8);
}

fn put_number(message: &mut Vec<u8>, field: u64, number: u64) {
    // A zero is what an absent field is.
    if number != 0 {
        put_varint(message, field << 3 | VARINT);
        put_varint(message, number);
    }
}

fn put_bytes(message: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(message, field << 3 | LENGTH_DELIMITED);
    put_varint(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> ActionResult {
        let file = |path: &str, size| OutputFile { path: path.into(), digest: Digest::of(path.as_bytes()), size };
        ActionResult { output_files: vec![file("b", 300), file("a", 0)], stdout: b"entry".to_vec() }
    }

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let result = ActionResult {
            output_files: vec![OutputFile { path: "app".into(), digest: Digest::of(b"abc"), size: 300 }],
            stdout: b"hi".to_vec(),
        };
        let hash = b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let mut expected = vec![0x12, 78, 0x0a, 3, b'a', b'p', b'p', 0x12, 69, 0x0a, 64];
        expected.extend_from_slice(hash);
        expected.extend_from_slice(&[0x10, 0xac, 0x02, 0x20, 1, 0x2a, 2, b'h', b'i']);
        assert_eq!(result.encode(), expected);
        assert_eq!(ActionResult::default().encode(), b"");
        assert_eq!(ActionResult::decode(&expected), Some(result));
    }

    #[test]
    fn what_is_put_in_comes_out_sorted() {
        let mut result = sample();
        let decoded = ActionResult::decode(&result.encode());
        result.output_files.sort();
        assert_eq!(decoded, Some(result.clone()));
        assert_eq!(sample().encode(), result.encode());
    }

    #[test]
    fn what_servers_add_is_skipped_and_a_failure_is_no_result() {
        let mut message = sample().encode();
        // execution_metadata = 9 { worker = 1 }; a fixed32 and a fixed64 of numbers that nobody knows.
        message
            .extend_from_slice(&[0x4a, 3, 0x0a, 1, b'w', 0x9d, 0x06, 1, 2, 3, 4, 0x99, 0x06, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(ActionResult::decode(&message).is_some_and(|result| result.output_files.len() == 2));
        message.extend_from_slice(&[0x20, 1]);
        assert_eq!(ActionResult::decode(&message), None);
    }

    #[test]
    fn rubbish_is_no_result() {
        let endless = [0x2a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        let overflowing = [0x20, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        for bytes in [&b"<html>"[..], b"{}", b"\0", b"\x0b", &endless, &overflowing, b"\x12\x02\x0a\x00", b"\x28\x01"] {
            assert_eq!(ActionResult::decode(bytes), None, "{bytes:?}");
        }
        assert_eq!(ActionResult::decode(&vec![0; LONGEST + 1]), None);
        let long = ActionResult { stdout: vec![0; LONGEST], ..ActionResult::default() };
        assert_eq!(ActionResult::decode(&long.encode()), None);
    }

    #[test]
    fn no_truncation_and_no_flipped_bit_is_more_than_another_result() {
        let whole = sample().encode();
        for length in 0..whole.len() {
            if let Some(part) = ActionResult::decode(&whole[..length]) {
                assert!(part.encode().len() <= length);
            }
        }
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Some(other) = ActionResult::decode(&bytes) {
                assert_eq!(ActionResult::decode(&other.encode()).map(|again| again.encode()), Some(other.encode()));
            }
        }
        // A sequence of numbers that is the same every time.
        let mut state = 1_u64;
        for _ in 0..20_000 {
            let mut bytes = [0_u8; 48];
            for byte in &mut bytes {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = (state >> 56) as u8 & if state & (1 << 40) == 0 { 0x3f } else { 0xff };
            }
            let length = (state >> 33) as usize % bytes.len();
            let decoded = ActionResult::decode(&bytes[..length]);
            assert!(decoded.is_none_or(|result| result.encode().len() <= length));
        }
    }
}

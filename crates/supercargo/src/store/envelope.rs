//! What an entry says of itself besides its value: the key that it is of, and when it was made.

use std::io;
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use supercargo_artifact::digest::Digest;

use super::{entry, open_entry};

/// A clock may be this far ahead, as another machine's; further ahead, it tells nothing.
pub const AHEAD: Duration = Duration::from_secs(60);

#[derive(Deserialize, Serialize)]
struct Envelope<T> {
    /// The key: an entry that a server gives for another key is not believed.
    key: String,
    /// Seconds since 1970.
    made: u64,
    /// The value; none where it was withdrawn.
    value: Option<T>,
}

/// What an entry holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened<T> {
    /// When it was made.
    pub made: SystemTime,
    /// The value; none where it was withdrawn, since it turned out to be wrong.
    pub value: Option<T>,
}

/// The bytes of an entry of `key`, made now.
///
/// # Errors
/// When the value cannot be written as JSON.
pub fn seal<T: Serialize>(key: &Digest, value: Option<&T>) -> io::Result<Vec<u8>> {
    let made = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let text = serde_json::to_vec(&Envelope { key: key.to_string(), made, value }).map_err(io::Error::other)?;
    Ok(entry(&text))
}

/// What the bytes of an entry hold; none where they are torn, foreign, of another key or of a time to come.
#[must_use]
pub fn open<T: DeserializeOwned>(key: &Digest, bytes: Vec<u8>) -> Option<Opened<T>> {
    let envelope: Envelope<T> = serde_json::from_slice(&open_entry(bytes)?).ok()?;
    let made = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(envelope.made))?;
    let ahead = made.duration_since(SystemTime::now()).unwrap_or_default();
    (envelope.key == key.to_string() && ahead < AHEAD).then_some(Opened { made, value: envelope.value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_of_its_key_and_of_no_other() {
        let key = Digest::of(b"a");
        let sealed = seal(&key, Some(&7_u32)).unwrap();
        assert_eq!(open::<u32>(&key, sealed.clone()).and_then(|opened| opened.value), Some(7));
        assert_eq!(open::<u32>(&Digest::of(b"b"), sealed.clone()), None);
        assert_eq!(open::<String>(&key, sealed.clone()), None);
        assert_eq!(open::<u32>(&key, sealed[..sealed.len() - 1].to_vec()), None);
        assert_eq!(open::<u32>(&key, Vec::new()), None);
        let withdrawn = open::<u32>(&key, seal::<u32>(&key, None).unwrap());
        assert!(withdrawn.is_some_and(|opened| opened.value.is_none()));
        for made in [u64::MAX, 99_999_999_999] {
            let text = format!("{{\"key\":\"{key}\",\"made\":{made},\"value\":7}}");
            assert_eq!(open::<u32>(&key, entry(text.as_bytes())), None);
        }
    }
}

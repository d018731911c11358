//! What goes over the wire to a shared store: the client, its credentials, what its errors mean, the bytes of a blob.

use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::time::Duration;

use supercargo_artifact::digest::{Digest, Stream};
use supercargo_plan::facts::shared::Shared;
use ureq::Agent;

/// How long it may take until a server is found and takes a connection.
const CONNECT: Duration = Duration::from_secs(2);

/// Why an attempt came to nothing.
pub enum Fault {
    /// It may go better the next time.
    Passing(String),
    /// It will not.
    Lasting(String),
}

/// What became of a blob that was asked for.
pub enum Fetched {
    /// It is there, to the last byte.
    Whole,
    /// The server has none.
    Missing,
    /// Bytes of another digest, or more than there may be.
    Foreign,
    /// Our own disk did not take it.
    Untaken,
}

/// The client: nothing is followed, and what is on this machine is asked without a proxy, whatever the environment says.
pub fn agent(shared: &Shared) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(CONNECT))
        .timeout_resolve(Some(CONNECT))
        .user_agent(concat!("supercargo/", env!("CARGO_PKG_VERSION")));
    let config = if shared.is_loopback() { config.proxy(None) } else { config };
    #[cfg(feature = "tls")]
    let config =
        config.tls_config(ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::PlatformVerifier).build());
    config.build().into()
}

/// The value of the header: `user:password`, or a token.
pub fn authorization(secret: &str) -> String {
    if secret.contains(':') { format!("Basic {}", base64(secret.as_bytes())) } else { format!("Bearer {secret}") }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for n in 0..4 {
            let digit = (bits >> (18 - 6 * n)) as usize & 63;
            text.push(if n <= chunk.len() { char::from(ALPHABET[digit]) } else { '=' });
        }
    }
    text
}

/// What it means that there was no answer.
pub fn failed(error: &ureq::Error) -> Fault {
    match error {
        ureq::Error::Timeout(_) => Fault::Passing("does not answer in time".to_owned()),
        ureq::Error::Io(error) => Fault::Passing(format!("cannot be reached: {error}")),
        ureq::Error::HostNotFound => Fault::Passing("has a name that nobody knows".to_owned()),
        ureq::Error::ConnectionFailed => Fault::Passing("takes no connection".to_owned()),
        ureq::Error::Protocol(error) => Fault::Passing(format!("does not speak HTTP: {error}")),
        error => Fault::Lasting(format!("cannot be asked: {error}")),
    }
}

/// What it means that an answer did not end.
pub fn broken(error: &io::Error) -> Fault {
    let timeout = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    match timeout {
        Some(ureq::Error::Timeout(_)) => Fault::Passing("does not end its answers in time".to_owned()),
        _ => Fault::Passing(format!("does not end its answers: {error}")),
    }
}

/// Reads a blob into a file from its start: a digest, and the most bytes that it may have. `in_time` says whether so many
/// bytes are enough by now.
///
/// # Errors
/// When the body does not end as it should.
pub fn pour(
    body: &mut impl Read,
    (digest, largest): (&Digest, u64),
    file: &mut File,
    in_time: &dyn Fn(u64) -> bool,
) -> Result<Fetched, Fault> {
    if file.set_len(0).and_then(|()| file.rewind()).is_err() {
        return Ok(Fetched::Untaken);
    }
    let (mut stream, mut total) = (Stream::default(), 0_u64);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = body.read(&mut buffer).map_err(|error| broken(&error))?;
        if length == 0 {
            break;
        }
        total += length as u64;
        if total > largest {
            return Ok(Fetched::Foreign);
        }
        if !in_time(total) {
            return Err(Fault::Lasting("is too slow to be of use".to_owned()));
        }
        stream.update(&buffer[..length]);
        if file.write_all(&buffer[..length]).is_err() {
            return Ok(Fetched::Untaken);
        }
    }
    Ok(if stream.finish() == *digest { Fetched::Whole } else { Fetched::Foreign })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_a_user_or_a_token() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(authorization("Aladdin:open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(authorization("abc"), "Bearer abc");
    }
}

//! SHA-256 digests, in hexadecimal, of the data that programs send and receive.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::pattern;

/// The number of bytes hashed in one step.
const CHUNK: usize = 64 * 1024;

/// The digest of the first `length` bytes of the [`pattern`].
#[must_use]
pub fn of_pattern(length: u64) -> String {
    let mut hash = Sha256::new();
    for offset in (0..length).step_by(CHUNK) {
        let step = (length - offset).min(CHUNK as u64);
        hash.update(pattern::bytes(offset, step as usize));
    }
    hex(hash)
}

/// Reads to the end. Returns the number of bytes and their digest.
///
/// # Errors
/// The errors of the reader.
pub async fn of_reader(reader: &mut (impl AsyncRead + Unpin)) -> std::io::Result<(u64, String)> {
    let (mut hash, mut length) = (Sha256::new(), 0);
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = reader.read(&mut buffer).await?;
        if read == 0 {
            return Ok((length, hex(hash)));
        }
        hash.update(&buffer[..read]);
        length += read as u64;
    }
}

/// Finishes a digest and returns it as text.
#[must_use]
pub fn hex(hash: Sha256) -> String {
    hash.finalize()
        .iter()
        .fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

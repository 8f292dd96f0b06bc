//! Test data in which every eight bytes encode their position in the stream, so that lost,
//! repeated, moved or changed bytes are detected and located.

use anyhow::{Result, ensure};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Bytes moved in one call of a sender or receiver.
const CHUNK: usize = 64 * 1024;

/// The eight bytes at offset `index * 8` (the finaliser of SplitMix64, which is injective).
fn word(index: u64) -> [u8; 8] {
    let mut z = index.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)).to_le_bytes()
}

/// Fills `buffer` with the stream's bytes from `offset` on.
pub fn fill(offset: u64, buffer: &mut [u8]) {
    let (mut index, skip) = (offset / 8, (offset % 8) as usize);
    let head = buffer.len().min((8 - skip) % 8);
    let (first, rest) = buffer.split_at_mut(head);
    if !first.is_empty() {
        first.copy_from_slice(&word(index)[skip..skip + head]);
        index += 1;
    }
    for (bytes, index) in rest.chunks_mut(8).zip(index..) {
        bytes.copy_from_slice(&word(index)[..bytes.len()]);
    }
}

/// The stream's bytes `offset..offset + length`.
#[must_use]
pub fn bytes(offset: u64, length: usize) -> Vec<u8> {
    let mut buffer = vec![0; length];
    fill(offset, &mut buffer);
    buffer
}

/// Checks that `received` equals the stream at `offset`.
///
/// # Errors
/// Names the first wrong byte.
pub fn check(offset: u64, received: &[u8]) -> Result<()> {
    let expected = bytes(offset, received.len());
    let wrong = received.iter().zip(&expected).position(|(r, e)| r != e);
    ensure!(
        wrong.is_none(),
        "byte {} of the stream is wrong",
        offset + wrong.unwrap_or(0) as u64
    );
    Ok(())
}

/// Writes the first `total` bytes of the stream. Does not shut down.
///
/// # Errors
/// The errors of the writer.
pub async fn send(writer: &mut (impl AsyncWrite + Unpin), total: u64) -> Result<()> {
    let mut offset = 0;
    while offset < total {
        let length = (total - offset).min(CHUNK as u64) as usize;
        writer.write_all(&bytes(offset, length)).await?;
        offset += length as u64;
    }
    writer.flush().await?;
    Ok(())
}

/// Reads to the end of the stream and checks every byte.
///
/// # Errors
/// If a byte is wrong, if the stream is not `total` bytes long, or if reading fails.
pub async fn receive(reader: &mut (impl AsyncRead + Unpin), total: u64) -> Result<()> {
    receive_exactly(reader, total).await?;
    let more = reader.read(&mut [0]).await?;
    ensure!(more == 0, "the stream goes on after {total} bytes");
    Ok(())
}

/// Reads the first `total` bytes of the stream and checks them.
///
/// # Errors
/// If a byte is wrong, if the stream ends earlier, or if reading fails.
pub async fn receive_exactly(reader: &mut (impl AsyncRead + Unpin), total: u64) -> Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut offset = 0;
    while offset < total {
        let room = (total - offset).min(CHUNK as u64) as usize;
        let length = reader.read(&mut buffer[..room]).await?;
        ensure!(
            length > 0,
            "the stream ended after {offset} of {total} bytes"
        );
        check(offset, &buffer[..length])?;
        offset += length as u64;
    }
    Ok(())
}

/// Sends the first `total` bytes of the stream, shuts down, and at the same time expects them back.
///
/// # Errors
/// If a returned byte is wrong, if their number is not `total`, or if sending or receiving fails.
pub async fn exchange(stream: impl AsyncRead + AsyncWrite, total: u64) -> Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let outward = async {
        send(&mut writer, total).await?;
        writer.shutdown().await?;
        Ok(())
    };
    tokio::try_join!(outward, receive(&mut reader, total))?;
    Ok(())
}

/// The counterpart of [`exchange`]: returns all received data until the end, then shuts down.
///
/// # Errors
/// The errors of the stream.
pub async fn echo(stream: impl AsyncRead + AsyncWrite) -> Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    tokio::io::copy(&mut reader, &mut writer).await?;
    writer.shutdown().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_range_is_part_of_the_whole_stream() {
        let whole = bytes(0, 100);
        for offset in 0..40 {
            for length in 0..40 {
                assert_eq!(
                    bytes(offset, length),
                    whole[offset as usize..offset as usize + length],
                    "{length} bytes at {offset}"
                );
            }
        }
    }

    #[test]
    fn a_wrong_byte_is_located() {
        let mut data = bytes(3, 50);
        check(3, &data).expect("untouched data is right");
        data[20] ^= 1;
        let error = check(3, &data).expect_err("a byte was changed");
        assert_eq!(error.to_string(), "byte 23 of the stream is wrong");
    }

    #[test]
    fn a_shifted_stream_is_detected() {
        assert!(check(8, &bytes(0, 64)).is_err());
        assert!(check(1, &bytes(0, 64)).is_err());
    }
}

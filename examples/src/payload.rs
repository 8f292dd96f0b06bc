//! A byte stream of which the receiver can check every byte.

use std::sync::OnceLock;

use anyhow::{Result, ensure};

/// A prime, so that the repetition does not coincide with buffers or segments.
const PERIOD: usize = 1_048_573;

/// Two copies of the repeating part, so that any slice of up to [`PERIOD`] bytes can be borrowed
/// from them.
fn block() -> &'static [u8] {
    static BLOCK: OnceLock<Vec<u8>> = OnceLock::new();
    BLOCK.get_or_init(|| {
        // Xorshift (Marsaglia 2003): pseudorandom numbers without a dependency.
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let mut noise = Vec::with_capacity(2 * PERIOD);
        noise.resize_with(PERIOD, || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        });
        noise.extend_from_within(..);
        noise
    })
}

/// Generates the data in advance, so that the first use is not part of a measurement.
pub fn prepare() {
    block();
}

/// Up to `length` bytes of the stream at `offset`; at least one if `length` is not zero.
#[must_use]
pub fn at(offset: u64, length: usize) -> &'static [u8] {
    let start = (offset % PERIOD as u64) as usize;
    &block()[start..start + length.min(PERIOD)]
}

/// Checks that `received` equals the stream at `offset`.
///
/// # Errors
/// If a byte differs.
pub fn check(offset: u64, received: &[u8]) -> Result<()> {
    let mut done = 0;
    while done < received.len() {
        let rest = &received[done..];
        let expected = at(offset + done as u64, rest.len());
        ensure!(
            rest.starts_with(expected),
            "the data between byte {offset} and byte {} differs from the sent data",
            offset + received.len() as u64
        );
        done += expected.len();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_does_not_depend_on_how_it_is_cut() {
        let mut stream = Vec::new();
        while stream.len() < 3 * PERIOD {
            let offset = stream.len() as u64;
            stream.extend_from_slice(at(offset, 77_777));
        }
        check(0, &stream).expect("the whole");
        check(1_000_000, &stream[1_000_000..1_500_000]).expect("a part");
        check(1, &stream).expect_err("shifted by one");
        stream[2_000_000] ^= 1;
        check(0, &stream).expect_err("a byte changed");
    }
}

//! Data whose every byte the receiver can check.

use std::sync::OnceLock;

use anyhow::{Result, ensure};

/// A prime, so that the stream does not repeat in step with any buffer or segment.
const PERIOD: usize = 1_048_573;

/// The repeating part, once from the start and once more, so that any slice of up to
/// [`PERIOD`] bytes can be borrowed from it.
fn block() -> &'static [u8] {
    static BLOCK: OnceLock<Vec<u8>> = OnceLock::new();
    BLOCK.get_or_init(|| {
        // Xorshift (Marsaglia 2003): noise that needs no crate.
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

/// Makes the noise, which otherwise its first use does: before a time is taken.
pub fn prepare() {
    block();
}

/// Up to `length` bytes of the stream from `offset` on; at least one if `length` is not zero.
#[must_use]
pub fn at(offset: u64, length: usize) -> &'static [u8] {
    let start = (offset % PERIOD as u64) as usize;
    &block()[start..start + length.min(PERIOD)]
}

/// Checks that `received` is what the stream has at `offset`.
///
/// # Errors
/// When a byte differs.
pub fn check(offset: u64, received: &[u8]) -> Result<()> {
    let mut done = 0;
    while done < received.len() {
        let rest = &received[done..];
        let expected = at(offset + done as u64, rest.len());
        ensure!(
            rest.starts_with(expected),
            "the data between byte {offset} and byte {} is not what was sent",
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
    fn a_stream_is_the_same_however_it_is_cut() {
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

//! The memory to which large writes are copied, outside the engine's lock.
//!
//! Each write has a chunk of its own, less than twice as large as the write. Its unacknowledged
//! bytes therefore keep no memory of other writes alive, and the engine counts the chunk. The
//! engine itself copies smaller writes together.

use std::array;

use bytes::BytesMut;

use crate::io::arena::Arena;
use crate::sync::{Mutex, PoisonError};

/// Bytes of the smallest write that has a chunk of its own.
pub(crate) const MIN: usize = 16 << 10;

/// The maximum number of bytes that one write accepts. A writer with more data calls again.
pub(crate) const MAX_WRITE: usize = 256 << 10;

/// The number of chunk sizes: each power of two from the smallest write to the largest.
const SIZES: usize = (MAX_WRITE / MIN).ilog2() as usize + 1;

/// One arena for each chunk size.
pub(crate) struct Written([Mutex<Arena>; SIZES]);

impl Written {
    /// Creates the memory of a stack whose payload may take `memory` bytes.
    pub(crate) fn new(memory: usize) -> Self {
        Self(array::from_fn(|size| {
            let largest = MIN << size;
            // Bulk data comes in pieces of the usual buffer size and of the largest accepted size.
            let usual = largest == 64 << 10 || largest == MAX_WRITE;
            let kept = if usual { memory } else { memory.min(64 << 20) };
            Mutex::new(Arena::new(largest, 0, kept))
        }))
    }

    /// Memory for `len` bytes, at most [`MAX_WRITE`], and the number of bytes of memory that it
    /// keeps alive.
    pub(crate) fn part(&self, len: usize) -> (BytesMut, usize) {
        let len = len.clamp(1, MAX_WRITE);
        let size = (len.div_ceil(MIN).next_power_of_two()).ilog2() as usize;
        let mut arena = self.0[size].lock().unwrap_or_else(PoisonError::into_inner);
        (arena.whole_part(len), arena.chunk_size())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_keeps_less_than_twice_as_much_alive() {
        let written = Written::new(1 << 30);
        for len in [
            MIN,
            MIN + 1,
            40_000,
            65_536,
            65_537,
            MAX_WRITE - 1,
            MAX_WRITE,
        ] {
            let (part, pinned) = written.part(len);
            assert_eq!(part.len(), len);
            assert!((len..=2 * len).contains(&pinned), "{pinned} for {len}");
        }
    }

    #[test]
    fn writes_do_not_keep_each_other_alive() {
        let written = Written::new(1 << 30);
        let parts: Vec<_> = (0..3).map(|_| written.part(20_000).0).collect();
        let mut addresses: Vec<_> = parts.iter().map(|part| part.as_ptr() as usize).collect();
        addresses.sort_unstable();
        assert!(
            addresses.windows(2).all(|pair| pair[1] - pair[0] > 32_768),
            "{addresses:?}"
        );
    }
}

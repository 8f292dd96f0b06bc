//! Reusable memory for payload in transit.
//!
//! Parts are cut from large chunks without copying: the frames that a device reads, and the bytes
//! that applications write. A part may live long, until it is read or acknowledged. A chunk is
//! reused once no part of it is held.

use bytes::{Bytes, BytesMut};

/// The maximum number of bytes that one arena keeps for reuse.
const MAX_KEPT: usize = 4 << 20;
/// The divisor of the stack's payload memory that gives a second such maximum.
const KEPT_PART: usize = 64;

/// The chunks of one user.
#[derive(Debug)]
pub(crate) struct Arena {
    largest: usize,
    chunk_size: usize,
    /// The maximum number of known chunks, not counting the current one.
    max_used: usize,
    /// The rest of the current chunk; all of its length may be written.
    current: BytesMut,
    /// Used-up chunks, the latest last.
    used: Vec<BytesMut>,
}

impl Arena {
    /// Creates memory for parts of up to `largest` bytes, cut from chunks of at least `chunk`
    /// bytes, in a stack whose payload may take `memory` bytes. Nothing is allocated yet. Chunks
    /// should be as small as possible: reused memory is then still in the processor's cache.
    pub(crate) fn new(largest: usize, chunk: usize, memory: usize) -> Self {
        // For parts of any size a remainder of each chunk stays, through which the chunk is
        // reclaimed.
        let chunk_size = chunk.max(largest) + 1;
        Self {
            largest,
            chunk_size,
            max_used: (MAX_KEPT.min(memory / KEPT_PART) / chunk_size).max(1),
            current: BytesMut::new(),
            used: Vec::new(),
        }
    }

    /// The space into which the next part is written.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        self.make_room(self.largest);
        &mut self.current[..self.largest]
    }

    /// Whether the current space has `len` bytes, which may be more than the largest part.
    pub(crate) fn has(&self, len: usize) -> bool {
        self.current.len() >= len
    }

    /// The first `len` bytes of [`space`](Self::space), which have been written.
    pub(crate) fn filled(&mut self, len: usize) -> &mut [u8] {
        &mut self.current[..len]
    }

    /// The first `len` bytes, which have been written, and the space behind them.
    pub(crate) fn split(&mut self, len: usize) -> (&mut [u8], &mut [u8]) {
        self.current.split_at_mut(len)
    }

    /// Cuts off the part in the first `len` bytes of [`space`](Self::space) and returns it.
    pub(crate) fn take(&mut self, len: usize) -> Bytes {
        self.take_mut(len).freeze()
    }

    /// Like [`take`](Self::take), but returns a part that can be written further.
    pub(crate) fn take_mut(&mut self, len: usize) -> BytesMut {
        self.current.split_to(len.min(self.current.len()))
    }

    /// A part of `len` bytes, at most the largest, from a chunk of its own. Its contents are those
    /// of the chunk's last use, to be overwritten.
    pub(crate) fn whole_part(&mut self, len: usize) -> BytesMut {
        if self.current.len() < self.chunk_size {
            self.next_chunk();
        }
        self.current.split_to(len.min(self.largest))
    }

    /// A copy of `data`, which must not exceed the largest part.
    pub(crate) fn copy(&mut self, data: &[u8]) -> Bytes {
        self.space()[..data.len()].copy_from_slice(data);
        self.take(data.len())
    }

    /// Begins a new chunk if more than the largest part has been cut from the current one.
    pub(crate) fn begin_chunk(&mut self) {
        if self.current.len() + self.largest < self.chunk_size && self.current.capacity() > 0 {
            self.next_chunk();
        }
    }

    /// Bytes of a chunk.
    pub(crate) fn chunk_size(&self) -> usize {
        self.chunk_size
    }

    fn make_room(&mut self, len: usize) {
        if self.current.len() < len {
            self.next_chunk();
        }
    }

    fn next_chunk(&mut self) {
        let size = self.chunk_size;
        let mut exhausted = std::mem::take(&mut self.current);
        if exhausted.capacity() > 0 {
            if self.used.len() >= self.max_used {
                // The oldest chunk has been held for long; its last holder frees its memory.
                self.used.remove(0);
            }
            exhausted.clear();
            self.used.push(exhausted);
        }
        self.current = self
            .reclaim()
            .map_or_else(|| BytesMut::zeroed(size), |chunk| whole(chunk, size));
    }

    /// The most recently used chunk of which no part is held: its memory is the most likely to be
    /// in the processor's cache.
    fn reclaim(&mut self) -> Option<BytesMut> {
        let size = self.chunk_size;
        let free = self
            .used
            .iter_mut()
            .rposition(|chunk| chunk.try_reclaim(size))?;
        Some(self.used.remove(free))
    }
}

/// Restores a reclaimed chunk to its full length, with its old contents: writing zeros first would
/// touch all memory twice.
fn whole(mut chunk: BytesMut, size: usize) -> BytesMut {
    if chunk.capacity() == size {
        #[expect(
            unsafe_code,
            reason = "BytesMut forgets that all of its memory is initialised"
        )]
        // SAFETY: every chunk was made by `zeroed(size)`, which initialises an allocation of
        // exactly `size` bytes. Reclaiming returns that allocation, and no smaller part of it has
        // this capacity.
        unsafe {
            chunk.set_len(size);
        }
    } else {
        chunk.resize(size, 0);
    }
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: usize = 64 << 10;

    #[test]
    fn parts_keep_their_bytes_while_they_are_held() {
        let mut memory = Arena::new(1500, CHUNK, 1 << 30);
        let mut held = Vec::new();
        for i in 0..1000_usize {
            let len = 1 + i % 1500;
            memory.space()[..len].fill(i as u8);
            held.push(memory.take(len));
        }
        for (i, frame) in held.iter().enumerate() {
            assert_eq!(frame.len(), 1 + i % 1500);
            assert!(frame.iter().all(|&byte| byte == i as u8), "frame {i}");
        }
    }

    #[test]
    fn chunks_are_used_again_once_let_go() {
        let mut memory = Arena::new(1500, CHUNK, 1 << 30);
        let mut addresses = std::collections::HashSet::new();
        for _ in 0..100_000 {
            addresses.insert(memory.space().as_ptr() as usize / memory.chunk_size);
            drop(memory.take(1500));
        }
        // Chunks are not aligned to their size: each may appear under two numbers.
        assert!(
            addresses.len() <= 2 * (MAX_KEPT / memory.chunk_size + 1),
            "{addresses:?}"
        );
    }

    #[test]
    fn a_part_as_large_as_a_chunk_is_used_again() {
        let mut memory = Arena::new(CHUNK, 0, 1 << 30);
        let first = memory.whole_part(CHUNK);
        let address = first.as_ptr();
        drop(first);
        drop(memory.whole_part(CHUNK));
        assert_eq!(memory.whole_part(CHUNK).as_ptr(), address);
    }

    #[test]
    fn small_memory_keeps_few_chunks() {
        let mut memory = Arena::new(CHUNK, 0, 8 << 20);
        let parts: Vec<_> = (0..20).map(|_| memory.whole_part(CHUNK)).collect();
        drop(parts);
        assert_eq!(memory.used.len(), (8 << 20) / 64 / (CHUNK + 1));
    }

    #[test]
    fn an_idle_arena_holds_no_memory() {
        let memory = Arena::new(65_535, 0, 1 << 30);
        assert_eq!(memory.current.capacity(), 0);
    }
}

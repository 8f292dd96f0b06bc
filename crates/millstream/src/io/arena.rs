//! Memory for payload on its way, used again and again.
//!
//! Parts are cut from large chunks without copying: the frames that a device reads, the bytes that
//! applications write. A part may live for long, until it is read or acknowledged; a chunk is used again once
//! nobody holds a part of it.

use bytes::{Bytes, BytesMut};

/// Bytes kept to be used again, at the most: by one arena,
const MAX_KEPT: usize = 4 << 20;
/// and as a part of the memory that the stack may take for payload.
const KEPT_PART: usize = 64;

/// The chunks of one user.
#[derive(Debug)]
pub(crate) struct Arena {
    largest: usize,
    chunk_size: usize,
    /// Chunks that are known besides the one in use, at the most.
    max_used: usize,
    /// What is left of the chunk in use; all of its length may be written.
    current: BytesMut,
    /// Used up, the latest last.
    used: Vec<BytesMut>,
}

impl Arena {
    /// Memory for parts of up to `largest` bytes, cut from chunks of at least `chunk`, in a stack that may take `memory` bytes
    /// for payload. None is allocated yet. Chunks are best as small as they may be: what is used again is still in the
    /// processor's cache then.
    pub(crate) fn new(largest: usize, chunk: usize, memory: usize) -> Self {
        // However large the parts, something is left of each chunk, by which it is reclaimed.
        let chunk_size = chunk.max(largest) + 1;
        Self {
            largest,
            chunk_size,
            max_used: (MAX_KEPT.min(memory / KEPT_PART) / chunk_size).max(1),
            current: BytesMut::new(),
            used: Vec::new(),
        }
    }

    /// Where to write the next part to.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        self.make_room(self.largest);
        &mut self.current[..self.largest]
    }

    /// Whether the space at hand has `len` bytes, which may be more than the largest part.
    pub(crate) fn has(&self, len: usize) -> bool {
        self.current.len() >= len
    }

    /// What was written into the first `len` bytes of [`space`](Self::space).
    pub(crate) fn filled(&mut self, len: usize) -> &mut [u8] {
        &mut self.current[..len]
    }

    /// What was written into the first `len` bytes, and the space behind.
    pub(crate) fn split(&mut self, len: usize) -> (&mut [u8], &mut [u8]) {
        self.current.split_at_mut(len)
    }

    /// The part that was written into the first `len` bytes of [`space`](Self::space), and behind.
    pub(crate) fn take(&mut self, len: usize) -> Bytes {
        self.take_mut(len).freeze()
    }

    /// As [`take`](Self::take), to be written on.
    pub(crate) fn take_mut(&mut self, len: usize) -> BytesMut {
        self.current.split_to(len.min(self.current.len()))
    }

    /// A part of `len` bytes, at most the largest, to be written elsewhere, of a chunk of its own. It holds what it held before.
    pub(crate) fn whole_part(&mut self, len: usize) -> BytesMut {
        if self.current.len() < self.chunk_size {
            self.next_chunk();
        }
        self.current.split_to(len.min(self.largest))
    }

    /// A copy of `data`, of at most the largest size.
    pub(crate) fn copy(&mut self, data: &[u8]) -> Bytes {
        self.space()[..data.len()].copy_from_slice(data);
        self.take(data.len())
    }

    /// Begins a chunk, if more than the largest part has been cut from the one in use.
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
                // The oldest is held for long; its memory is freed by the last holder.
                self.used.remove(0);
            }
            exhausted.clear();
            self.used.push(exhausted);
        }
        self.current = self
            .reclaim()
            .map_or_else(|| BytesMut::zeroed(size), |chunk| whole(chunk, size));
    }

    /// The chunk used latest of those that nobody holds a part of any more: its memory is the likeliest
    /// to be in the processor's cache.
    fn reclaim(&mut self) -> Option<BytesMut> {
        let size = self.chunk_size;
        let free = self
            .used
            .iter_mut()
            .rposition(|chunk| chunk.try_reclaim(size))?;
        Some(self.used.remove(free))
    }
}

/// A reclaimed chunk at its full length again, with what was in it: writing zeros over it first would
/// touch all memory twice.
fn whole(mut chunk: BytesMut, size: usize) -> BytesMut {
    if chunk.capacity() == size {
        #[expect(
            unsafe_code,
            reason = "BytesMut forgets that all of its memory is initialised"
        )]
        // SAFETY: every chunk was made by `zeroed(size)`, which initialises an allocation of exactly `size`
        // bytes; reclaiming gives back that allocation, and none of a smaller part of it has this capacity.
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
        // Chunks are not aligned to their size: each may show up under two numbers.
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

//! Memory for payload on its way, used again and again.
//!
//! Parts are cut from large chunks without copying: the frames that a device reads, the bytes that
//! applications write. A part may live for long, until it is read or acknowledged; a chunk is used again once
//! nobody holds a part of it.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Bytes of a chunk, unless the largest part is larger.
const MIN_CHUNK: usize = 64 << 10;
const MAX_CHUNK: usize = 256 << 10;

/// Bytes kept to be used again, at the most.
const MAX_KEPT: usize = 4 << 20;

/// The chunks of one user.
#[derive(Debug)]
pub(crate) struct Arena {
    largest: usize,
    chunk_size: usize,
    /// What is left of the chunk in use; all of its length may be written.
    current: BytesMut,
    /// Used up, oldest first.
    used: VecDeque<BytesMut>,
}

impl Arena {
    /// Memory for parts of up to `largest` bytes. None is allocated yet.
    pub(crate) fn new(largest: usize) -> Self {
        Self {
            largest,
            chunk_size: (16 * largest).clamp(MIN_CHUNK, MAX_CHUNK).max(largest),
            current: BytesMut::new(),
            used: VecDeque::new(),
        }
    }

    /// Where to write the next part to.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        self.make_room(self.largest);
        &mut self.current[..self.largest]
    }

    /// The part that was written into the first `len` bytes of [`space`](Self::space).
    pub(crate) fn take(&mut self, len: usize) -> Bytes {
        self.current.split_to(len.min(self.largest)).freeze()
    }

    /// A part of `len` bytes, at most the largest, to be written elsewhere. It holds what it held before.
    pub(crate) fn part(&mut self, len: usize) -> BytesMut {
        let len = len.min(self.largest);
        self.make_room(len);
        self.current.split_to(len)
    }

    fn make_room(&mut self, len: usize) {
        if self.current.len() < len {
            self.next_chunk();
        }
    }

    fn next_chunk(&mut self) {
        // Reclaiming succeeds when nobody holds a part of the oldest any more.
        let size = self.chunk_size;
        let chunk = self
            .used
            .pop_front_if(|oldest| oldest.try_reclaim(size))
            .map_or_else(|| BytesMut::zeroed(size), |chunk| whole(chunk, size));
        let mut exhausted = std::mem::replace(&mut self.current, chunk);
        if exhausted.capacity() > 0 {
            if self.used.len() >= MAX_KEPT / size {
                // Somebody holds the oldest for long; its memory is freed by the last holder.
                self.used.pop_front();
            }
            exhausted.clear();
            self.used.push_back(exhausted);
        }
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

    #[test]
    fn parts_keep_their_bytes_while_they_are_held() {
        let mut memory = Arena::new(1500);
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
        let mut memory = Arena::new(1500);
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
    fn an_idle_arena_holds_no_memory() {
        let memory = Arena::new(65_535);
        assert_eq!(memory.current.capacity(), 0);
    }
}

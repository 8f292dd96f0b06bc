//! Memory that frames are read into.
//!
//! Frames are cut from large chunks without copying, and a payload may stay in its chunk until the
//! application has read it. A chunk is used again once nobody holds a part of it.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Chunks kept to be used again.
const MAX_CHUNKS: usize = 4;

/// The chunks of one device.
#[derive(Debug)]
pub(crate) struct FrameMemory {
    max_frame: usize,
    chunk_size: usize,
    /// What is left of the chunk in use; all of its length may be written.
    current: BytesMut,
    /// Used up, oldest first.
    used: VecDeque<BytesMut>,
}

impl FrameMemory {
    /// Memory for frames of up to `max_frame` bytes. None is allocated yet.
    pub(crate) fn new(max_frame: usize) -> Self {
        Self {
            max_frame,
            chunk_size: (16 * max_frame).clamp(64 << 10, 256 << 10).max(max_frame),
            current: BytesMut::new(),
            used: VecDeque::new(),
        }
    }

    /// Where to read the next frame to.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.current.len() < self.max_frame {
            self.next_chunk();
        }
        &mut self.current[..self.max_frame]
    }

    /// The frame that was read into the first `len` bytes of [`space`](Self::space).
    pub(crate) fn take(&mut self, len: usize) -> Bytes {
        self.current.split_to(len.min(self.max_frame)).freeze()
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
            if self.used.len() == MAX_CHUNKS {
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
    fn frames_keep_their_bytes_while_they_are_held() {
        let mut memory = FrameMemory::new(1500);
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
        let mut memory = FrameMemory::new(1500);
        let mut addresses = std::collections::HashSet::new();
        for _ in 0..100_000 {
            addresses.insert(memory.space().as_ptr() as usize / memory.chunk_size);
            drop(memory.take(1500));
        }
        // Chunks are not aligned to their size: each may show up under two numbers.
        assert!(addresses.len() <= 2 * (MAX_CHUNKS + 1), "{addresses:?}");
    }

    #[test]
    fn an_idle_device_holds_no_memory() {
        let memory = FrameMemory::new(65_535);
        assert_eq!(memory.current.capacity(), 0);
    }
}

//! A queue of bytes as a list of slices, with a tail into which short slices are copied.
//!
//! A slice keeps the memory alive of which it is a part. The rope counts that memory, not the bytes
//! in the slice: [`memory`](Rope::memory). It counts the memory of its own tails with the last
//! bytes in them, which are the last to be removed.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

use super::{SMALL_PAYLOAD, keeps_slice};

/// Capacity in bytes of the smallest and the largest tail.
const MIN_TAIL: usize = 256;
const MAX_TAIL: usize = 16 * 1024;

/// The memory of a chunk is released by copying its last bytes once they are less than this
/// fraction (1/16) of it.
const RELEASED_PART: usize = 16;

#[derive(Debug)]
struct Chunk {
    /// Position of its first byte.
    start: u64,
    data: Bytes,
    /// Bytes of memory counted for it.
    pinned: u32,
    /// Whether it is a slice counted by its length only, which is still to be examined.
    loose: bool,
    /// Whether it was present when the loose chunks were last examined.
    settled: bool,
}

impl Chunk {
    fn new(start: u64, data: Bytes, pinned: u32) -> Self {
        Self {
            start,
            data,
            pinned,
            loose: false,
            settled: false,
        }
    }

    fn end(&self) -> u64 {
        self.start + self.data.len() as u64
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Rope {
    start: u64,
    /// Contiguous from `start` to the start of the tail; none is empty.
    chunks: VecDeque<Chunk>,
    /// The last bytes, still growing.
    tail: BytesMut,
    /// Bytes of memory counted for the chunks and for the tail.
    held: u32,
    /// Bytes of `held` that are counted for the tail.
    tail_pinned: u16,
    /// Whether a chunk may hold far more memory than it counts or needs.
    loose: bool,
}

impl Rope {
    /// An empty rope whose first byte will have the position `start`.
    pub(crate) fn new(start: u64) -> Self {
        Self {
            start,
            chunks: VecDeque::new(),
            tail: BytesMut::new(),
            held: 0,
            tail_pinned: 0,
            loose: false,
        }
    }

    /// Appends `data`, which keeps `pinned` bytes of memory alive, without a copy.
    pub(crate) fn push(&mut self, data: Bytes, pinned: usize) {
        if data.is_empty() {
            return;
        }
        self.end_tail();
        let pinned = u32::try_from(pinned.max(data.len())).unwrap_or(u32::MAX);
        self.push_chunk(data, pinned);
    }

    /// Appends as [`push`](Self::push) does, for a part of a memory block whose other parts may be
    /// held elsewhere: it counts by its length until [`compact`](Self::compact).
    pub(crate) fn push_loose(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        let len = data.len();
        self.push(data, len);
        self.loose = true;
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.loose = true;
        }
    }

    /// Appends a copy of `data`. The size of the memory allocated for copies grows with the rope.
    pub(crate) fn push_slice(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            if self.tail.len() == self.tail.capacity() {
                self.freeze_tail();
                let size = data.len().max(self.len()).clamp(MIN_TAIL, MAX_TAIL);
                self.tail = BytesMut::with_capacity(size);
                self.count_tail(size as u16);
            }
            let room = self.tail.capacity() - self.tail.len();
            let (copied, rest) = data.split_at(room.min(data.len()));
            self.tail.extend_from_slice(copied);
            data = rest;
        }
    }

    /// Turns the tail into a chunk, so that [`slices`](Self::slices) shares it. The free room in
    /// its memory stays in use.
    pub(crate) fn freeze_tail(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        if self.tail.len() == self.tail.capacity() {
            let data = mem::take(&mut self.tail).freeze();
            let pinned = u32::from(self.tail_pinned);
            self.count_tail(0);
            self.push_chunk(data, pinned);
        } else {
            let start = self.tail_start();
            let data = self.tail.split().freeze();
            self.chunks.push_back(Chunk::new(start, data, 0));
        }
    }

    /// Drops the bytes before `position`.
    pub(crate) fn release(&mut self, position: u64) {
        if position >= self.end() {
            self.clear();
            return;
        }
        if position > self.tail_start() {
            self.freeze_tail();
        }
        self.start = self.start.max(position);
        while let Some(chunk) = self.chunks.front_mut() {
            let stale = self.start - chunk.start;
            if stale < chunk.data.len() as u64 {
                chunk.start = self.start;
                chunk.data.advance(stale as usize);
                if chunk.data.len() < chunk.pinned as usize / RELEASED_PART {
                    self.copy_front();
                }
                break;
            }
            self.pop_chunk();
        }
    }

    /// Removes the first slice, or its first `max` bytes. A remainder that becomes short is copied,
    /// so that it does not keep the whole memory of the slice alive.
    pub(crate) fn pop(&mut self, max: usize) -> Option<Bytes> {
        if max == 0 {
            return None;
        }
        if self.chunks.is_empty() {
            self.freeze_tail();
        }
        let chunk = self.chunks.front_mut()?;
        let data = if chunk.data.len() > max {
            let data = chunk.data.split_to(max);
            chunk.start += max as u64;
            let rest = chunk.data.len();
            if rest + max >= SMALL_PAYLOAD && rest < SMALL_PAYLOAD {
                self.copy_front();
            } else if !keeps_slice(rest, chunk.pinned as usize) {
                self.loose = true;
            }
            data
        } else {
            self.pop_chunk()?
        };
        self.start += data.len() as u64;
        if self.chunks.is_empty() && self.tail.is_empty() {
            self.clear();
        }
        Some(data)
    }

    /// Whether [`compact`](Self::compact) has something to do.
    pub(crate) fn is_loose(&self) -> bool {
        self.loose
    }

    /// Copies the remaining bytes of slices that keep far more memory alive than their length,
    /// where loose slices are parts of blocks of `block` bytes. The work is proportional to the
    /// data appended since the last call.
    pub(crate) fn compact(&mut self, block: usize) {
        if !mem::take(&mut self.loose) {
            return;
        }
        let new = self.chunks.iter().rev().take_while(|chunk| !chunk.settled);
        let new = self.chunks.len() - new.count();
        let mut fresh = self.chunks.range(new..);
        let loose = fresh.position(|chunk| chunk.loose && !keeps_slice(chunk.data.len(), block));
        if let Some(loose) = loose {
            self.append_again(new + loose, block);
        }
        // From the point where nothing is copied: chunks that stay slices are counted in full.
        let mut held = self.held;
        for chunk in self.chunks.range_mut(new..) {
            if mem::take(&mut chunk.loose) {
                held = held.saturating_sub(chunk.pinned);
                chunk.pinned = u32::try_from(block.max(chunk.data.len())).unwrap_or(u32::MAX);
                held = held.saturating_add(chunk.pinned);
            }
            chunk.settled = true;
        }
        self.held = held;
        if let Some(front) = self.chunks.front()
            && !keeps_slice(front.data.len(), front.pinned as usize)
        {
            self.copy_front();
        }
    }

    /// Removes the chunks from index `first` on, and the tail, and appends them again: those that
    /// keep far more memory alive than their length as copies.
    fn append_again(&mut self, first: usize, block: usize) {
        let again = self.chunks.split_off(first);
        let last = Bytes::copy_from_slice(&self.tail);
        self.tail.clear();
        for chunk in again {
            self.discount(chunk.pinned);
            let pinned = if chunk.loose {
                block
            } else {
                chunk.pinned as usize
            };
            if chunk.data.len() >= SMALL_PAYLOAD && keeps_slice(chunk.data.len(), pinned) {
                self.push(chunk.data, pinned);
            } else {
                self.push_slice(&chunk.data);
            }
        }
        self.push_slice(&last);
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.end());
    }

    /// Position of the first byte.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Position after the last byte.
    pub(crate) fn end(&self) -> u64 {
        self.tail_start() + self.tail.len() as u64
    }

    pub(crate) fn len(&self) -> usize {
        (self.end() - self.start) as usize
    }

    /// Bytes of memory kept alive, including the rope's own.
    pub(crate) fn memory(&self) -> usize {
        self.held as usize + self.chunks.capacity() * size_of::<Chunk>()
    }

    /// Number of slices that [`slices`](Self::slices) returns for the same range.
    pub(crate) fn slice_count(&self, from: u64, to: u64) -> usize {
        self.chunks_in(from, to).len() + usize::from(!self.tail_in(from, to).is_empty())
    }

    /// The bytes held in the range from `from` to `to`: slices of the chunks and a copy of the
    /// bytes in the tail.
    pub(crate) fn slices(&self, from: u64, to: u64) -> impl Iterator<Item = Bytes> {
        let shared = self
            .chunks
            .range(self.chunks_in(from, to))
            .map(move |chunk| {
                let range = part(chunk.start, chunk.data.len(), from, to);
                chunk.data.slice(range)
            });
        let tail = self.tail_in(from, to);
        let tail = self.tail.get(tail).filter(|tail| !tail.is_empty());
        let copied = tail.map(Bytes::copy_from_slice);
        shared.chain(copied)
    }

    /// Indices of the chunks that hold bytes from `from` to `to`.
    fn chunks_in(&self, from: u64, to: u64) -> Range<usize> {
        let first = self.chunks.partition_point(|chunk| chunk.end() <= from);
        let end = self.chunks.partition_point(|chunk| chunk.start < to);
        if from < to { first..end } else { first..first }
    }

    /// Indices of the bytes of the tail from `from` to `to`.
    fn tail_in(&self, from: u64, to: u64) -> Range<usize> {
        part(self.tail_start(), self.tail.len(), from, to)
    }

    fn tail_start(&self) -> u64 {
        self.chunks.back().map_or(self.start, Chunk::end)
    }

    /// Turns the bytes of the tail into a chunk, because what follows is not copied behind them.
    /// The memory is kept for later copies, unless most of it has been used.
    fn end_tail(&mut self) {
        let len = self.tail.len();
        if len == 0 {
            return;
        }
        if keeps_slice(len, self.tail_pinned.into()) {
            let data = mem::take(&mut self.tail).freeze();
            let pinned = u32::from(self.tail_pinned);
            self.count_tail(0);
            self.push_chunk(data, pinned);
        } else {
            let data = Bytes::copy_from_slice(&self.tail);
            self.tail.clear();
            self.push_chunk(data, len as u32);
        }
    }

    /// Appends `data` behind an empty tail.
    fn push_chunk(&mut self, data: Bytes, pinned: u32) {
        let start = self.tail_start();
        self.held = self.held.saturating_add(pinned);
        self.chunks.push_back(Chunk::new(start, data, pinned));
    }

    fn pop_chunk(&mut self) -> Option<Bytes> {
        let chunk = self.chunks.pop_front()?;
        self.discount(chunk.pinned);
        Some(chunk.data)
    }

    /// Releases the memory of which the first chunk is a part.
    fn copy_front(&mut self) {
        let Some(chunk) = self.chunks.front_mut() else {
            return;
        };
        chunk.data = Bytes::copy_from_slice(&chunk.data);
        let had = mem::replace(&mut chunk.pinned, chunk.data.len() as u32);
        self.held = self.held.saturating_add(chunk.pinned);
        chunk.loose = false;
        self.discount(had);
    }

    fn count_tail(&mut self, size: u16) {
        self.discount(self.tail_pinned.into());
        self.held = self.held.saturating_add(size.into());
        self.tail_pinned = size;
    }

    fn discount(&mut self, pinned: u32) {
        self.held = self.held.saturating_sub(pinned);
    }
}

/// The part of the `len` bytes beginning at `start` that lies between `from` and `to`.
fn part(start: u64, len: usize, from: u64, to: u64) -> Range<usize> {
    let index = |position: u64| {
        usize::try_from(position.saturating_sub(start)).map_or(len, |index| index.min(len))
    };
    index(from)..index(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(rope: &Rope) -> Vec<u8> {
        rope.slices(0, u64::MAX).flatten().collect()
    }

    #[test]
    fn an_empty_rope_has_no_memory() {
        let mut rope = Rope::new(7);
        for empty in [
            Rope::clear,
            |rope: &mut Rope| rope.release(u64::MAX),
            |rope: &mut Rope| {
                while rope.pop(300).is_some() {}
            },
        ] {
            rope.push_slice(&[1; 1000]);
            rope.push(Bytes::from(vec![2; 5000]), 0);
            rope.push_slice(b"tail");
            let end = rope.end();
            empty(&mut rope);
            assert_eq!((rope.start(), rope.end(), rope.len()), (end, end, 0));
            assert_eq!((rope.chunks.capacity(), rope.tail.capacity()), (0, 0));
            assert_eq!(rope.memory(), 0);
        }
    }

    #[test]
    fn the_tail_grows_with_the_rope_and_has_a_bound() {
        let mut rope = Rope::new(0);
        rope.push_slice(b"x");
        assert!(rope.tail.capacity() < 2 * MIN_TAIL);
        for _ in 0..400 {
            rope.push_slice(&[0; 999]);
            assert!(rope.tail.capacity() < 2 * MAX_TAIL);
        }
        let longest = rope.chunks.iter().map(|chunk| chunk.data.len()).max();
        assert_eq!(longest, Some(MAX_TAIL));
        assert!(rope.chunks.len() < 35, "{} chunks", rope.chunks.len());
    }

    #[test]
    fn a_range_ends_in_the_middle_of_chunks_and_tail() {
        let mut rope = Rope::new(100);
        rope.push(Bytes::from_static(b"0123456789"), 0);
        rope.push(Bytes::from_static(b"abcdefghij"), 0);
        rope.push_slice(b"tail");
        for (from, to, expected) in [
            (0, 103, "012"),
            (109, 111, "9a"),
            (119, 122, "jta"),
            (122, 999, "il"),
            (110, 110, ""),
            (115, 105, ""),
            (124, 999, ""),
        ] {
            let slices: Vec<_> = rope.slices(from, to).collect();
            assert_eq!(slices.concat(), expected.as_bytes());
            assert_eq!(slices.len(), rope.slice_count(from, to));
        }
    }

    #[test]
    fn the_tail_s_memory_is_shared_and_stays_in_use() {
        let mut rope = Rope::new(0);
        rope.push_slice(b"hello ");
        rope.freeze_tail();
        let room = rope.tail.capacity();
        rope.push_slice(b"world");
        assert_eq!(rope.tail.capacity(), room, "no new allocation");
        assert_eq!(content(&rope), b"hello world");
        let first = rope.slices(0, 6).next().map(|slice| slice.as_ptr());
        assert_eq!(first, Some(rope.chunks[0].data.as_ptr()));
    }

    #[test]
    fn a_short_remainder_does_not_pin_its_buffer() {
        let big = Bytes::from(vec![9; 60_000]);
        let mut rope = Rope::new(0);
        rope.push(big.clone(), 0);
        drop(rope.pop(59_000));
        assert!(!big.is_unique());
        drop(rope.pop(999));
        assert!(big.is_unique());
        assert_eq!(content(&rope), [9]);
    }
}

//! A queue of bytes as a list of slices, with a tail into which short ones are copied.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

/// Bytes that the smallest and the largest tail have room for.
const MIN_TAIL: usize = 256;
const MAX_TAIL: usize = 64 * 1024;

#[derive(Debug)]
struct Chunk {
    /// Position of its first byte.
    start: u64,
    data: Bytes,
}

impl Chunk {
    fn end(&self) -> u64 {
        self.start + self.data.len() as u64
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Rope {
    start: u64,
    end: u64,
    /// Contiguous from `start` to where the tail begins; none is empty.
    chunks: VecDeque<Chunk>,
    /// The last bytes, still growing.
    tail: BytesMut,
}

impl Rope {
    /// An empty rope whose first byte will have the position `start`.
    pub(super) fn new(start: u64) -> Self {
        Self {
            start,
            end: start,
            chunks: VecDeque::new(),
            tail: BytesMut::new(),
        }
    }

    /// Appends `data` without copying it.
    pub(super) fn push(&mut self, data: Bytes) {
        if !data.is_empty() {
            self.freeze_tail();
            let start = self.end;
            self.end += data.len() as u64;
            self.chunks.push_back(Chunk { start, data });
        }
    }

    /// Appends a copy of `data`. What the copies take from the heap at a time grows with the rope.
    pub(super) fn push_slice(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            if self.tail.len() == self.tail.capacity() {
                self.freeze_tail();
                let size = data.len().max(self.len()).clamp(MIN_TAIL, MAX_TAIL);
                self.tail = BytesMut::with_capacity(size);
            }
            let room = self.tail.capacity() - self.tail.len();
            let (copied, rest) = data.split_at(room.min(data.len()));
            self.tail.extend_from_slice(copied);
            self.end += copied.len() as u64;
            data = rest;
        }
    }

    /// Turns the tail into a chunk, so that [`slices`](Self::slices) shares it. What room is left in its
    /// memory stays in use.
    pub(super) fn freeze_tail(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        let start = self.tail_start();
        let full = self.tail.len() == self.tail.capacity();
        let data = if full {
            mem::take(&mut self.tail)
        } else {
            self.tail.split()
        };
        self.chunks.push_back(Chunk {
            start,
            data: data.freeze(),
        });
    }

    /// Drops the bytes before `position`.
    pub(super) fn release(&mut self, position: u64) {
        if position >= self.end {
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
                break;
            }
            self.chunks.pop_front();
        }
    }

    /// Takes the first slice out, or its first `max` bytes. A remainder that becomes short is copied
    /// as [`unpinned`](super::unpinned) would.
    pub(super) fn pop(&mut self, max: usize) -> Option<Bytes> {
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
            if chunk.data.len() + max >= super::SMALL_PAYLOAD {
                chunk.data = super::unpinned(mem::take(&mut chunk.data));
            }
            data
        } else {
            self.chunks.pop_front()?.data
        };
        self.start += data.len() as u64;
        if self.start == self.end {
            self.clear();
        }
        Some(data)
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.end);
    }

    /// Position of the first byte.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Position after the last byte.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// How many slices [`slices`](Self::slices) gives for the same range.
    pub(super) fn slice_count(&self, from: u64, to: u64) -> usize {
        self.chunks_in(from, to).len() + usize::from(!self.tail_in(from, to).is_empty())
    }

    /// What is held of the bytes from `from` to `to`: slices of the chunks and a copy of what lies in
    /// the tail.
    pub(super) fn slices(&self, from: u64, to: u64) -> impl Iterator<Item = Bytes> {
        let shared = self
            .chunks
            .range(self.chunks_in(from, to))
            .map(move |chunk| {
                let range = part(chunk.start, chunk.data.len(), from, to);
                chunk.data.slice(range)
            });
        let tail = self.tail_in(from, to);
        let copied = (!tail.is_empty()).then(|| Bytes::copy_from_slice(&self.tail[tail]));
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
        self.end - self.tail.len() as u64
    }
}

/// Which of `len` bytes beginning at `start` lie between `from` and `to`.
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
            rope.push(Bytes::from(vec![2; 5000]));
            rope.push_slice(b"tail");
            let end = rope.end();
            empty(&mut rope);
            assert_eq!((rope.start(), rope.end(), rope.len()), (end, end, 0));
            assert_eq!((rope.chunks.capacity(), rope.tail.capacity()), (0, 0));
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
        assert!(rope.chunks.len() < 15, "{} chunks", rope.chunks.len());
    }

    #[test]
    fn a_range_ends_in_the_middle_of_chunks_and_tail() {
        let mut rope = Rope::new(100);
        rope.push(Bytes::from_static(b"0123456789"));
        rope.push(Bytes::from_static(b"abcdefghij"));
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
        rope.push(big.clone());
        drop(rope.pop(59_000));
        assert!(!big.is_unique());
        drop(rope.pop(999));
        assert!(big.is_unique());
        assert_eq!(content(&rope), [9]);
    }
}

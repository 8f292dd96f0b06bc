//! The receive buffer: data that arrived in order, until the application reads it.

use std::iter;

use bytes::Bytes;

use super::SMALL_PAYLOAD;
use super::rope::Rope;

/// See the module.
#[derive(Debug)]
pub(crate) struct RecvBuffer(Rope);

impl RecvBuffer {
    /// An empty buffer whose first byte will have the position `base`.
    pub(crate) fn new(base: u64) -> Self {
        Self(Rope::new(base))
    }

    /// Appends payload, without a copy unless it is short. If `block` is not zero, the payload is a
    /// part of a memory block of `block` bytes that other payload shares.
    pub(crate) fn push(&mut self, data: Bytes, block: usize) {
        if data.len() < SMALL_PAYLOAD {
            self.0.push_slice(&data);
        } else if block == 0 {
            let len = data.len();
            self.0.push(data, len);
        } else {
            self.0.push_loose(data);
        }
    }

    /// Appends payload that keeps `pinned` bytes of memory alive, without a copy unless it is
    /// short.
    pub(crate) fn push_pinning(&mut self, data: Bytes, pinned: usize) {
        if data.len() < SMALL_PAYLOAD {
            self.0.push_slice(&data);
        } else {
            self.0.push(data, pinned);
        }
    }

    /// Whether [`compact`](Self::compact) has something to do.
    pub(crate) fn is_loose(&self) -> bool {
        self.0.is_loose()
    }

    /// Copies unread payload that is a small part of its block of `block` bytes.
    pub(crate) fn compact(&mut self, block: usize) {
        self.0.compact(block);
    }

    /// Moves at most `max` bytes to `out`, as the slices in which they are held. Returns the number
    /// of bytes.
    pub(crate) fn read(&mut self, max: usize, out: &mut impl Extend<Bytes>) -> usize {
        let mut left = max;
        out.extend(iter::from_fn(|| {
            let data = self.0.pop(left)?;
            left -= data.len();
            Some(data)
        }));
        max - left
    }

    /// Copies references as [`read`](Self::read) moves bytes; the bytes stay in the buffer.
    pub(crate) fn peek(&self, max: usize, out: &mut impl Extend<Bytes>) -> usize {
        let len = max.min(self.len());
        let from = self.0.start();
        out.extend(self.0.slices(from, from + len as u64));
        len
    }

    /// Bytes of memory kept alive.
    pub(crate) fn memory(&self) -> usize {
        self.0.memory()
    }

    /// Bytes held.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing to read.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Push(Vec<u8>),
        Read(usize),
        Peek(usize),
        Compact,
    }

    fn op() -> impl Strategy<Value = Op> {
        let data = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            prop::collection::vec(any::<u8>(), 500..530),
            prop::collection::vec(any::<u8>(), 20_000..20_010),
        ];
        let max = || prop_oneof![0usize..600, Just(30_000), Just(usize::MAX)];
        prop_oneof![
            30 => data.prop_map(Op::Push),
            20 => max().prop_map(Op::Read),
            10 => max().prop_map(Op::Peek),
            10 => Just(Op::Compact),
        ]
    }

    proptest! {
        #[test]
        fn the_buffer_behaves_as_a_queue(
            base in 0u64..1 << 40, block in prop::sample::select(&[0, 1_000, 30_000, 65_536][..]),
            ops in prop::collection::vec(op(), 1..100),
        ) {
            let mut buffer = RecvBuffer::new(base);
            let mut oracle: VecDeque<u8> = VecDeque::new();
            let mut end = base;
            for op in ops {
                match op {
                    Op::Push(data) => {
                        end += data.len() as u64;
                        oracle.extend(&data);
                        buffer.push(data.into(), block);
                    }
                    Op::Read(max) => {
                        let mut out: Vec<Bytes> = Vec::new();
                        let len = buffer.read(max, &mut out);
                        let expected: Vec<u8> = oracle.drain(..max.min(oracle.len())).collect();
                        prop_assert_eq!(out.concat(), &expected[..]);
                        prop_assert_eq!(len, expected.len());
                    }
                    Op::Peek(max) => {
                        let mut out: Vec<Bytes> = Vec::new();
                        let len = buffer.peek(max, &mut out);
                        let expected: Vec<u8> = oracle.iter().copied().take(max).collect();
                        prop_assert_eq!(out.concat(), &expected[..]);
                        prop_assert_eq!(len, expected.len());
                    }
                    Op::Compact => {
                        buffer.compact(block);
                        prop_assert!(!buffer.is_loose());
                        // Twice the length, two tails, and the overhead of chunks.
                        let most = 3 * buffer.len() + 2 * 16_384 + 100 * 128;
                        prop_assert!(buffer.memory() <= most, "{} for {}", buffer.memory(), buffer.len());
                    }
                }
                prop_assert_eq!(buffer.len(), oracle.len());
                prop_assert!(buffer.memory() >= buffer.len());
                prop_assert_eq!(buffer.memory() == 0, buffer.is_empty());
                prop_assert_eq!(buffer.is_empty(), oracle.is_empty());
                prop_assert_eq!(buffer.0.end(), end);
            }
        }
    }

    #[test]
    fn a_byte_does_not_pin_the_buffer_it_came_in() {
        let packet = Bytes::from(vec![0; 65_536]);
        let mut buffer = RecvBuffer::new(0);
        buffer.push(packet.slice(40..41), 0);
        assert!(packet.is_unique());
    }

    #[test]
    fn what_is_left_unread_does_not_pin_a_block_that_it_is_little_of() {
        let block = Bytes::from(vec![0; 65_536]);
        let mut buffer = RecvBuffer::new(0);
        for at in 0..8 {
            buffer.push(block.slice(at * 8_000..at * 8_000 + 1_448), 65_536);
        }
        assert!(!block.is_unique(), "a reader may be about to take it");
        buffer.compact(65_536);
        assert!(block.is_unique());
        assert!(buffer.memory() < 2 * buffer.len(), "{}", buffer.memory());
        buffer.push(block.slice(..32_767), 65_536);
        buffer.push(block.slice(..32_768), 65_536);
        buffer.compact(65_536);
        let held = buffer.memory() - 65_536;
        assert!(
            (44_351..2 * 44_351).contains(&held),
            "{held} for all but half of the block"
        );
    }

    #[test]
    fn nor_does_what_is_left_of_a_large_part() {
        let block = Bytes::from(vec![0; 65_536]);
        let mut buffer = RecvBuffer::new(0);
        buffer.push(block.clone(), 65_536);
        buffer.compact(65_536);
        let mut out: Vec<Bytes> = Vec::new();
        for (read, is_free) in [(30_000, false), (10_000, true)] {
            buffer.read(read, &mut out);
            buffer.compact(65_536);
            out.clear();
            assert_eq!(block.is_unique(), is_free);
        }
        assert!(buffer.memory() < 26_000, "{}", buffer.memory());
    }

    #[test]
    fn a_large_payload_is_handed_on_without_a_copy() {
        let packet = Bytes::from(vec![0; 65_536]);
        let mut buffer = RecvBuffer::new(0);
        buffer.push(packet.slice(40..), 0);
        let mut out: Vec<Bytes> = Vec::new();
        buffer.read(usize::MAX, &mut out);
        assert_eq!(
            out.iter().map(|slice| slice.as_ptr()).collect::<Vec<_>>(),
            [packet[40..].as_ptr()]
        );
    }
}

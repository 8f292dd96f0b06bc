//! The receive buffer: what arrived in order, until the application reads it.

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

    /// Appends payload, without a copy unless it is short.
    pub(crate) fn push(&mut self, data: Bytes) {
        if data.len() < SMALL_PAYLOAD {
            self.0.push_slice(&data);
        } else {
            self.0.push(data);
        }
    }

    /// Moves at most `max` bytes to `out`, as the slices in which they are held. Returns how many.
    pub(crate) fn read(&mut self, max: usize, out: &mut impl Extend<Bytes>) -> usize {
        let mut left = max;
        out.extend(iter::from_fn(|| {
            let data = self.0.pop(left)?;
            left -= data.len();
            Some(data)
        }));
        max - left
    }

    /// As [`read`](Self::read), but what it gives stays in the buffer.
    pub(crate) fn peek(&self, max: usize, out: &mut impl Extend<Bytes>) -> usize {
        let len = max.min(self.len());
        let from = self.0.start();
        out.extend(self.0.slices(from, from + len as u64));
        len
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
        ]
    }

    proptest! {
        #[test]
        fn the_buffer_behaves_as_a_queue(base in 0u64..1 << 40, ops in prop::collection::vec(op(), 1..100)) {
            let mut buffer = RecvBuffer::new(base);
            let mut oracle: VecDeque<u8> = VecDeque::new();
            let mut end = base;
            for op in ops {
                match op {
                    Op::Push(data) => {
                        end += data.len() as u64;
                        oracle.extend(&data);
                        buffer.push(data.into());
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
                }
                prop_assert_eq!(buffer.len(), oracle.len());
                prop_assert_eq!(buffer.is_empty(), oracle.is_empty());
                prop_assert_eq!(buffer.0.end(), end);
            }
        }
    }

    #[test]
    fn a_byte_does_not_pin_the_buffer_it_came_in() {
        let packet = Bytes::from(vec![0; 65_536]);
        let mut buffer = RecvBuffer::new(0);
        buffer.push(packet.slice(40..41));
        assert!(packet.is_unique());
    }

    #[test]
    fn a_large_payload_is_handed_on_without_a_copy() {
        let packet = Bytes::from(vec![0; 65_536]);
        let mut buffer = RecvBuffer::new(0);
        buffer.push(packet.slice(40..));
        let mut out: Vec<Bytes> = Vec::new();
        buffer.read(usize::MAX, &mut out);
        assert_eq!(
            out.iter().map(|slice| slice.as_ptr()).collect::<Vec<_>>(),
            [packet[40..].as_ptr()]
        );
    }
}

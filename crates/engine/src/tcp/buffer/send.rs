//! The send buffer: data written by the application, until the peer has acknowledged it.

use bytes::{Bytes, BytesMut};

use super::rope::Rope;

/// Shorter data is copied together with its neighbours instead of being kept as a separate slice.
const MIN_SLICE: usize = 1024;

/// More slices than this are copied into one: a vectored write takes few, and each costs time.
const MAX_PAYLOAD_SLICES: usize = 48;

/// See the module.
#[derive(Debug)]
pub(crate) struct SendBuffer(Rope);

impl SendBuffer {
    /// An empty buffer whose first byte will have the position `base`.
    pub(crate) fn new(base: u64) -> Self {
        Self(Rope::new(base))
    }

    /// Appends `data`, which keeps `pinned` bytes of memory alive, without a copy unless it is
    /// short.
    pub(crate) fn push(&mut self, data: Bytes, pinned: usize) {
        if data.len() < MIN_SLICE {
            self.0.push_slice(&data);
        } else {
            self.0.push(data, pinned);
        }
    }

    /// Appends a copy of `data`.
    pub(crate) fn push_slice(&mut self, data: &[u8]) {
        self.0.push_slice(data);
    }

    /// Appends to `out` slices that cover the `len` bytes from the position `start`, or as many of
    /// them as are held.
    pub(crate) fn gather(&mut self, start: u64, len: usize, out: &mut Vec<Bytes>) {
        self.0.freeze_tail();
        let to = start.saturating_add(len as u64).min(self.end());
        let from = start.max(self.base());
        if self.0.slice_count(from, to) <= MAX_PAYLOAD_SLICES {
            out.extend(self.0.slices(from, to));
        } else {
            let mut copy = BytesMut::with_capacity((to - from) as usize);
            self.0
                .slices(from, to)
                .for_each(|slice| copy.extend_from_slice(&slice));
            out.push(copy.freeze());
        }
    }

    /// Drops and frees the bytes before `up_to`, which are acknowledged.
    pub(crate) fn release(&mut self, up_to: u64) {
        self.0.release(up_to);
    }

    /// Position of the first byte held.
    pub(crate) fn base(&self) -> u64 {
        self.0.start()
    }

    /// Position after the last byte.
    pub(crate) fn end(&self) -> u64 {
        self.0.end()
    }

    /// Bytes of memory kept alive.
    pub(crate) fn memory(&self) -> usize {
        self.0.memory()
    }

    /// Bytes held.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether all data written has been acknowledged.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Push(Vec<u8>),
        PushSlice(Vec<u8>),
        Gather(u64, usize),
        Release(u64),
    }

    fn data() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            prop::collection::vec(any::<u8>(), 1000..1100),
            prop::collection::vec(any::<u8>(), 20_000..20_010),
        ]
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => data().prop_map(Op::Push),
            5 => data().prop_map(Op::PushSlice),
            6 => (0u64..30_000, 0usize..30_000).prop_map(|(start, len)| Op::Gather(start, len)),
            3 => (0u64..20_000).prop_map(Op::Release),
        ]
    }

    proptest! {
        #[test]
        fn the_buffer_behaves_as_a_vec(base in 0u64..1 << 40, ops in prop::collection::vec(op(), 1..60)) {
            let mut buffer = SendBuffer::new(base);
            let mut oracle: Vec<u8> = Vec::new();
            let mut released = 0;
            for op in ops {
                match op {
                    Op::Push(data) => {
                        oracle.extend(&data);
                        buffer.push(data.into(), 0);
                    }
                    Op::PushSlice(data) => {
                        oracle.extend(&data);
                        buffer.push_slice(&data);
                    }
                    Op::Gather(offset, len) => {
                        let mut out = Vec::new();
                        // Includes positions before the bytes held.
                        let start = (base + released as u64 + offset).saturating_sub(1000);
                        buffer.gather(start, len, &mut out);
                        let held = base + released as u64..base + oracle.len() as u64;
                        let range = start..start + len as u64;
                        let (from, to) = (range.start.max(held.start), range.end.min(held.end));
                        let expected: &[u8] =
                            if from < to { &oracle[(from - base) as usize..(to - base) as usize] } else { &[] };
                        prop_assert_eq!(out.concat(), expected);
                        prop_assert!(out.len() <= MAX_PAYLOAD_SLICES);
                        prop_assert!(out.iter().all(|slice| !slice.is_empty()));
                    }
                    Op::Release(n) => {
                        buffer.release(base + released as u64 + n);
                        released = oracle.len().min(released + n as usize);
                    }
                }
                prop_assert_eq!(buffer.base(), base + released as u64);
                prop_assert_eq!(buffer.end(), base + oracle.len() as u64);
                prop_assert_eq!(buffer.len(), oracle.len() - released);
                prop_assert_eq!(buffer.is_empty(), oracle.len() == released);
            }
        }
    }

    #[test]
    fn long_data_is_not_copied_and_short_data_is() {
        let mut buffer = SendBuffer::new(0);
        let (long, short) = (
            Bytes::from(vec![1; MIN_SLICE]),
            Bytes::from(vec![2; MIN_SLICE - 1]),
        );
        buffer.push(long.clone(), 0);
        buffer.push(short.clone(), 0);
        let mut out = Vec::new();
        buffer.gather(0, long.len(), &mut out);
        assert_eq!(
            out.iter().map(|slice| slice.as_ptr()).collect::<Vec<_>>(),
            [long.as_ptr()]
        );
        assert!(short.is_unique());
        drop(out);
        assert!(!long.is_unique());
        buffer.release(long.len() as u64);
        assert!(long.is_unique(), "freed when acknowledged");
    }

    #[test]
    fn many_slices_are_copied_into_one() {
        let mut buffer = SendBuffer::new(0);
        let mut out = Vec::new();
        for n in 0..=MAX_PAYLOAD_SLICES as u64 {
            buffer.push_slice(b"four");
            buffer.gather(n * 4, 4, &mut out);
        }
        out.clear();
        buffer.gather(0, MAX_PAYLOAD_SLICES * 4, &mut out);
        assert_eq!(out.len(), MAX_PAYLOAD_SLICES);
        out.clear();
        buffer.gather(2, MAX_PAYLOAD_SLICES * 4, &mut out);
        assert_eq!(out.len(), 1);
        assert_eq!(out[0].len(), MAX_PAYLOAD_SLICES * 4);
    }
}

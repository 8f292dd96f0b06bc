//! The bytes of an assembler, and the memory that they keep alive.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::tcp::buffer::{SMALL_PAYLOAD, keeps_slice};

/// Overhead in bytes counted for a piece: its entries in two trees, which may be half empty.
const PIECE_COST: usize = 128;

/// Maximum number of bytes that are copied together.
const MAX_COPY: usize = 16 * 1024;

/// A copy absorbs the copied piece after it if that is no longer than this,
const MAX_TAKEN_ALONG: usize = 256;
/// or than this many times its own length: data that arrives from right to left also ends up in few
/// pieces, and each byte is moved only a few times.
const TIMES_TAKEN_ALONG: usize = 8;

/// Payload without a gap.
#[derive(Debug)]
enum Piece {
    /// A copy.
    Own(Vec<u8>),
    /// A slice, and the bytes of memory counted for it.
    Slice(Bytes, usize),
}

impl Piece {
    /// Bytes of memory kept alive.
    fn pinned(&self) -> usize {
        match self {
            Self::Own(data) => data.capacity(),
            Self::Slice(_, pinned) => *pinned,
        }
    }
}

/// Payload by the position of its first byte; no two pieces overlap.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    map: BTreeMap<u64, Piece>,
    /// Bytes of memory that the pieces keep alive.
    pinned: usize,
}

impl Pieces {
    /// Keeps payload whose first byte has the position `start`, a slice of `pinned` bytes of
    /// memory. A slice that would keep far more memory alive than its length becomes a copy,
    /// together with adjacent copies. O(log n).
    pub(crate) fn keep(&mut self, start: u64, data: Bytes, pinned: usize) {
        if data.len() >= SMALL_PAYLOAD && keeps_slice(data.len(), pinned) {
            self.insert(start, Piece::Slice(data, pinned));
            return;
        }
        let end = start + data.len() as u64;
        let behind = self.take_along(end, data.len());
        let behind = behind.as_deref().unwrap_or_default();
        if let Some((&from, Piece::Own(before))) = self.map.range_mut(..start).next_back()
            && from + before.len() as u64 == start
            && before.len() + data.len() + behind.len() <= MAX_COPY
        {
            self.pinned -= before.capacity();
            before.extend_from_slice(&data);
            before.extend_from_slice(behind);
            self.pinned += before.capacity();
            return;
        }
        let mut own = Vec::with_capacity(data.len() + behind.len());
        own.extend_from_slice(&data);
        own.extend_from_slice(behind);
        self.insert(start, Piece::Own(own));
    }

    /// Removes the first piece, if it begins at or before `limit`; returns its position, its bytes,
    /// and the number of bytes of memory that they keep alive.
    pub(crate) fn take_first(&mut self, limit: u64) -> Option<(u64, Bytes, usize)> {
        let first = self
            .map
            .first_entry()
            .filter(|first| *first.key() <= limit)?;
        let (start, piece) = first.remove_entry();
        let pinned = piece.pinned();
        self.pinned -= pinned;
        let data = match piece {
            Piece::Own(data) => data.into(),
            Piece::Slice(data, _) => data,
        };
        Some((start, data, pinned))
    }

    /// Whether a small payload that begins at `start` needs no piece of its own.
    pub(crate) fn grows(&self, start: u64) -> bool {
        let before = self.map.range(..start).next_back();
        matches!(before, Some((&from, Piece::Own(data)))
            if from + data.len() as u64 == start && data.len() <= MAX_COPY / 2)
    }

    /// Number of pieces.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// Bytes of memory that all pieces keep alive.
    pub(crate) fn memory(&self) -> usize {
        self.pinned + self.map.len() * PIECE_COST
    }

    /// Removes the copy that begins at `start`, if it is short compared with the `len` bytes before
    /// it.
    fn take_along(&mut self, start: u64, len: usize) -> Option<Vec<u8>> {
        let most = MAX_TAKEN_ALONG.max(len * TIMES_TAKEN_ALONG);
        match self.map.get(&start) {
            Some(Piece::Own(behind)) if behind.len() <= most.min(MAX_COPY.saturating_sub(len)) => {}
            _ => return None,
        }
        match self.map.remove(&start) {
            Some(Piece::Own(behind)) => {
                self.pinned -= behind.capacity();
                Some(behind)
            }
            _ => None,
        }
    }

    fn insert(&mut self, start: u64, piece: Piece) {
        self.pinned += piece.pinned();
        self.map.insert(start, piece);
    }
}

//! The assembler: holds payload that arrived out of order until the data before it has arrived.

#[cfg(test)]
mod exhaustive;
mod pieces;

use arrayvec::ArrayVec;
use bytes::{Buf, Bytes};

use self::pieces::Pieces;
use super::range_set::RangeSet;

/// Bytes of the limit for each permitted piece. A piece costs memory besides its bytes; without a
/// bound on their number a peer could fill the memory with segments of one byte.
const BYTES_PER_PIECE: usize = 256;
/// Minimum number of permitted pieces.
const MIN_PIECES: usize = 64;

/// Number of recent arrivals remembered: as many ranges as a SACK option can hold (RFC 2018 3).
const ARRIVALS: usize = 4;

/// The result of passing payload to the assembler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inserted {
    /// The first range of it that was held already (reported by a D-SACK, RFC 2883).
    pub(crate) duplicate: Option<(u64, u64)>,
    /// Bytes at its end that were dropped for lack of room.
    pub(crate) dropped: usize,
}

/// See the module. When empty, as it nearly always is, it takes one word.
#[derive(Debug, Default)]
pub(crate) struct Assembler(Option<Box<Held>>);

#[derive(Debug, Default)]
struct Held {
    /// The payload.
    pieces: Pieces,
    /// The ranges covered by the pieces, and the FIN.
    ranges: RangeSet,
    /// The start positions of the latest arrivals, latest first.
    arrivals: ArrayVec<u64, ARRIVALS>,
}

impl Assembler {
    /// Adds payload whose first byte has the position `start`. Bytes that are held already are
    /// kept. At most `limit` bytes are held: once there is no room, the rest of the payload is
    /// dropped. If `block` is not zero, the payload is a part of a memory block of `block` bytes.
    pub(crate) fn insert(
        &mut self,
        start: u64,
        data: Bytes,
        limit: usize,
        block: usize,
    ) -> Inserted {
        let held = self.0.get_or_insert_default();
        let inserted = held.insert(start, data, limit, block);
        if held.ranges.is_empty() {
            self.clear();
        }
        inserted
    }

    /// Records the FIN, whose sequence number has the position `position`. Returns whether it was
    /// recorded before.
    pub(crate) fn insert_fin(&mut self, position: u64) -> bool {
        let held = self.0.get_or_insert_default();
        let known = held.ranges.covering(position).is_some();
        held.ranges.insert(position, position + 1, &mut |_, _| {});
        held.note_arrival(position);
        known
    }

    /// Removes the piece that continues the stream at `next` and returns it with the number of
    /// bytes of memory that it keeps alive; discards everything before it. Call this repeatedly,
    /// each time with the position after the last piece, until it returns nothing.
    pub(crate) fn take_contiguous(&mut self, next: u64) -> Option<(Bytes, usize)> {
        let held = self.0.as_mut()?;
        let taken = held.take_contiguous(next);
        if held.ranges.is_empty() {
            self.clear();
        }
        taken
    }

    /// Drops everything and frees the memory.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }

    /// The first part of `start..end` that is held.
    pub(crate) fn first_held(&self, start: u64, end: u64) -> Option<(u64, u64)> {
        let (from, to) = self.0.as_ref()?.ranges.first_within(start, end)?;
        Some((from.max(start), to.min(end)))
    }

    /// The contiguous ranges around each of the latest arrivals, latest first (for SACK, RFC 2018
    /// section 4). A range that contains two arrivals is returned twice.
    pub(crate) fn latest(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().flat_map(|held| {
            let arrivals = held.arrivals.iter();
            arrivals.filter_map(|&position| held.ranges.covering(position))
        })
    }

    /// Bytes of memory kept alive.
    pub(crate) fn memory(&self) -> usize {
        let held = self.0.as_ref();
        held.map_or(0, |held| held.pieces.memory() + size_of::<Held>())
    }

    /// Whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl Held {
    fn insert(&mut self, start: u64, mut data: Bytes, limit: usize, block: usize) -> Inserted {
        let mut inserted = Inserted::default();
        let Some(end) = start.checked_add(data.len() as u64) else {
            inserted.dropped = data.len();
            return inserted;
        };
        let max_pieces = MIN_PIECES + limit / BYTES_PER_PIECE;
        let mut room = (limit as u64).saturating_sub(self.ranges.covered_bytes());
        let whole = data.len();
        // The start of `data`; everything before it is already held.
        let mut cursor = start;
        let mut full = false;
        for (from, to) in self.ranges.gaps(start, end) {
            if from > cursor {
                inserted.duplicate.get_or_insert((cursor, from));
            }
            let fits = if self.pieces.len() < max_pieces || self.pieces.grows(from) {
                to.min(from.saturating_add(room))
            } else {
                from
            };
            if fits > from {
                data.advance((from - cursor) as usize);
                let piece = data.split_to((fits - from) as usize);
                let pinned = if block == 0 { whole } else { block };
                self.pieces.keep(from, piece, pinned);
                room -= fits - from;
            }
            cursor = fits;
            full = fits < to;
            if full {
                break;
            }
        }
        if full {
            inserted.dropped = (end - cursor) as usize;
        } else if cursor < end {
            inserted.duplicate.get_or_insert((cursor, end));
            cursor = end;
        }
        self.ranges.insert(start, cursor, &mut |_, _| {});
        self.note_arrival(start);
        inserted
    }

    fn note_arrival(&mut self, position: u64) {
        let ranges = &self.ranges;
        self.arrivals
            .retain(|&mut old| old != position && ranges.covering(old).is_some());
        if self.arrivals.is_full() {
            self.arrivals.pop();
        }
        self.arrivals.insert(0, position);
    }

    fn take_contiguous(&mut self, next: u64) -> Option<(Bytes, usize)> {
        let mut taken = None;
        let mut end = next;
        while let Some((start, mut data, pinned)) = self.pieces.take_first(next) {
            let stale = next - start;
            if stale < data.len() as u64 {
                data.advance(stale as usize);
                end = next + data.len() as u64;
                taken = Some((data, pinned));
                break;
            }
        }
        self.ranges.remove_below(end);
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u64, usize),
        Take(u64),
        Clear,
    }

    fn op(span: u64, longest: usize) -> impl Strategy<Value = Op> {
        prop_oneof![
            20 => (0..span, 0..longest).prop_map(|(start, len)| Op::Insert(start, len)),
            4 => (0..span / 4).prop_map(Op::Take),
            1 => Just(Op::Clear),
        ]
    }

    /// A segment whose bytes all carry its number, so that the test can tell which one was kept.
    fn segment(number: usize, len: usize) -> Bytes {
        Bytes::from(vec![number as u8; len])
    }

    fn ranges_of(oracle: &BTreeMap<u64, u8>) -> Vec<(u64, u64)> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for &at in oracle.keys() {
            match ranges.last_mut() {
                Some(last) if last.1 == at => last.1 += 1,
                _ => ranges.push((at, at + 1)),
            }
        }
        ranges
    }

    fn held(assembler: &Assembler) -> Vec<(u64, u64)> {
        let held = assembler.0.iter();
        held.flat_map(|held| held.ranges.iter()).collect()
    }

    fn bytes(assembler: &Assembler) -> u64 {
        held(assembler).iter().map(|(start, end)| end - start).sum()
    }

    /// Runs `ops` on an assembler with a limit of `limit` bytes and on a map from positions to
    /// bytes.
    fn run(limit: usize, block: usize, ops: Vec<Op>) {
        let mut assembler = Assembler::default();
        let mut oracle: BTreeMap<u64, u8> = BTreeMap::new();
        let mut next = 0;
        for (number, op) in ops.into_iter().enumerate() {
            match op {
                Op::Insert(offset, len) => {
                    let start = next + offset;
                    let inserted = assembler.insert(start, segment(number, len), limit, block);
                    let end = start + len as u64;
                    // Bytes already held are kept; new ones take room.
                    let (mut cut, mut held) = (start, Vec::new());
                    while cut < end {
                        if oracle.contains_key(&cut) {
                            held.push(cut);
                        } else if oracle.len() < limit {
                            oracle.insert(cut, number as u8);
                        } else {
                            break;
                        }
                        cut += 1;
                    }
                    let first = held.first().copied();
                    let duplicate = first.map(|first| {
                        let run = held
                            .iter()
                            .zip(first..)
                            .take_while(|(held, at)| **held == *at)
                            .count();
                        (first, first + run as u64)
                    });
                    assert_eq!(
                        inserted,
                        Inserted {
                            duplicate,
                            dropped: (end - cut) as usize
                        }
                    );
                }
                Op::Take(skip) => {
                    next += skip;
                    oracle = oracle.split_off(&next);
                    while let Some((data, pinned)) = assembler.take_contiguous(next) {
                        assert!(pinned >= data.len());
                        assert!(!data.is_empty());
                        for byte in data {
                            assert_eq!(oracle.remove(&next), Some(byte));
                            next += 1;
                        }
                    }
                    assert!(!oracle.contains_key(&next));
                }
                Op::Clear => {
                    assembler.clear();
                    oracle.clear();
                }
            }
            let ranges = ranges_of(&oracle);
            assert_eq!(held(&assembler), ranges);
            assert_eq!(assembler.is_empty(), oracle.is_empty());
            assert!(assembler.memory() >= oracle.len());
            assert_eq!(assembler.memory() == 0, oracle.is_empty());
            assert!(assembler.latest().all(|range| ranges.contains(&range)));
        }
    }

    proptest! {
        #[test]
        fn the_pieces_behave_as_a_map(ops in prop::collection::vec(op(150, 30), 1..100)) {
            run(usize::MAX / 2, 0, ops);
        }

        #[test]
        fn the_limit_is_kept_and_cuts_the_end(
            limit in 0usize..60, ops in prop::collection::vec(op(150, 30), 1..100),
        ) {
            run(limit, 0, ops);
        }

        #[test]
        fn large_pieces_too(
            block in prop::sample::select(&[0, 2_000, 65_536][..]), ops in prop::collection::vec(op(5000, 1500), 1..30),
        ) {
            run(10_000, block, ops);
        }
    }

    #[test]
    fn the_number_of_pieces_is_bounded() {
        let mut assembler = Assembler::default();
        for n in 0..=MIN_PIECES as u64 {
            assert_eq!(
                assembler.insert(n * 2, segment(0, 1), BYTES_PER_PIECE, 0),
                Inserted::default()
            );
        }
        let next = MIN_PIECES as u64 * 2 + 2;
        assert_eq!(
            assembler
                .insert(next, segment(0, 1), BYTES_PER_PIECE, 0)
                .dropped,
            1
        );
        // A segment that is already held needs no piece.
        assert_eq!(
            assembler
                .insert(0, segment(0, 1), BYTES_PER_PIECE, 0)
                .duplicate,
            Some((0, 1))
        );
        assert!(assembler.take_contiguous(0).is_some());
        assert_eq!(
            assembler
                .insert(next, segment(0, 1), BYTES_PER_PIECE, 0)
                .dropped,
            0
        );
    }

    /// The number of pieces for bytes that arrive one by one, and the memory per byte.
    fn pieces(starts: impl Iterator<Item = u64>) -> (usize, usize) {
        let mut assembler = Assembler::default();
        let mut count = 0;
        for start in starts {
            assembler.insert(start, segment(0, 1), 1 << 20, 0);
            count += 1;
        }
        let pieces = assembler.0.as_ref().map_or(0, |held| held.pieces.len());
        (pieces, assembler.memory() / count)
    }

    #[test]
    fn bytes_that_come_one_by_one_are_copied_together() {
        assert_eq!(pieces(10..50_010), (4, 1), "in order");
        let (count, memory) = pieces((10..50_010).rev());
        assert!(
            count < 50_000 / 200 && memory <= 2,
            "{count} from the right, {memory}"
        );
        let by_two = (5..4_000)
            .map(|n| 2 * n)
            .chain((5..4_000).map(|n| 2 * n + 1));
        let (count, memory) = pieces(by_two);
        assert!(
            count < 8 && memory <= 3,
            "{count} where gaps are filled, {memory}"
        );
    }

    #[test]
    fn pieces_that_touch_none_cost_what_is_counted() {
        let (count, memory) = pieces((5..4_000).map(|n| 2 * n));
        assert_eq!(count, 3_995);
        assert!((100..200).contains(&memory), "{memory} bytes each");
    }

    #[test]
    fn what_is_little_of_its_block_is_copied() {
        let block = Bytes::from(vec![0; 65_536]);
        let mut assembler = Assembler::default();
        for n in 0..449 {
            assembler.insert(10 + n * 1_024, block.slice(..512), 1 << 20, 65_536);
        }
        assert!(block.is_unique());
        assert!(assembler.memory() < 2 * 449 * 512, "{}", assembler.memory());
        assembler.insert(1 << 19, block.slice(..32_768), 1 << 20, 65_536);
        assert!(!block.is_unique() && assembler.memory() > 65_536 + 449 * 512);
    }

    #[test]
    fn the_fin_is_held_like_an_octet() {
        let mut assembler = Assembler::default();
        assert!(!assembler.insert_fin(20));
        assert_eq!(assembler.latest().collect::<Vec<_>>(), [(20, 21)]);
        assembler.insert(10, segment(0, 10), 100, 0);
        assert_eq!(assembler.latest().collect::<Vec<_>>(), [(10, 21), (10, 21)]);
        assert!(assembler.insert_fin(20), "it is here");
        let taken = assembler.take_contiguous(10).map(|(data, _)| data);
        assert_eq!(taken, Some(segment(0, 10)));
        assert_eq!(assembler.take_contiguous(20), None);
        assert!(!assembler.is_empty());
        assert_eq!(assembler.take_contiguous(21), None);
        assert!(assembler.is_empty());
    }

    #[test]
    fn a_fin_does_not_wait_for_text_for_which_there_is_no_room() {
        let mut assembler = Assembler::default();
        assembler.insert_fin(20);
        assembler.insert(10, segment(0, 10), 0, 0);
        assert_eq!(held(&assembler), [(20, 21)]);
    }

    #[test]
    fn a_short_piece_does_not_pin_the_buffer_it_came_in() {
        let packet = Bytes::from(vec![0; 60_000]);
        let mut assembler = Assembler::default();
        assembler.insert(10, segment(0, 59_000), 1 << 20, 0);
        assembler.insert(0, packet.slice(..59_020), 1 << 20, 0);
        assert_eq!(bytes(&assembler), 59_020);
        assert!(packet.is_unique(), "its ends of 10 bytes each are copies");
        assembler.insert(70_000, packet.clone(), 1 << 20, 0);
        assert!(!packet.is_unique());
    }

    #[test]
    fn the_end_of_the_number_line_does_no_harm() {
        let mut assembler = Assembler::default();
        assert_eq!(assembler.insert(u64::MAX, segment(0, 1), 100, 0).dropped, 1);
        assert_eq!(
            assembler
                .insert(u64::MAX - 1, segment(0, 1), 100, 0)
                .dropped,
            0
        );
        assert_eq!(
            assembler
                .take_contiguous(u64::MAX - 1)
                .map(|(data, _)| data.len()),
            Some(1)
        );
        assert!(assembler.is_empty());
    }

    #[test]
    fn the_latest_arrivals_come_first_and_what_is_filled_is_forgotten() {
        let mut assembler = Assembler::default();
        for start in [10, 30, 50, 70, 90] {
            assembler.insert(start, segment(0, 5), 1000, 0);
        }
        let latest = |assembler: &Assembler| assembler.latest().collect::<Vec<_>>();
        assert_eq!(latest(&assembler), [(90, 95), (70, 75), (50, 55), (30, 35)]);
        assert!(assembler.take_contiguous(10).is_some());
        assembler.insert(50, segment(0, 20), 1000, 0);
        assert_eq!(latest(&assembler), [(50, 75), (90, 95), (50, 75), (30, 35)]);
        assert!(assembler.take_contiguous(40).is_none());
        assert_eq!(latest(&assembler), [(50, 75), (90, 95), (50, 75)]);
    }

    #[test]
    fn empty_it_is_a_word() {
        assert_eq!(size_of::<Assembler>(), size_of::<usize>());
        let mut assembler = Assembler::default();
        assembler.insert(10, segment(0, 5), 0, 0);
        assert!(assembler.is_empty(), "nothing was kept");
    }
}

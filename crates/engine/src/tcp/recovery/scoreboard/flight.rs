//! The segments in flight, in the order of the stream.
//!
//! A segment is recorded as it was sent, a super-segment as one segment. It is cut into pieces when
//! the states of its parts begin to differ. The pieces of a segment are stored apart from those of
//! other segments: a cut moves only pieces of one segment, however much data is in flight.

use std::collections::VecDeque;
use std::slice;

use super::work::Work;
use crate::time::Instant;

/// Segments kept allocated when nothing is in flight.
const IDLE_CAPACITY: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Sent, and not reported as received.
    InFlight,
    /// Judged lost; waits to be sent again.
    Lost,
    /// Held by the peer, according to a selective acknowledgment.
    Sacked,
}

/// A segment, or a part of one whose bytes differ in their position only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) sent_at: Instant,
    /// The number of its last transmission.
    pub(crate) serial: u64,
    pub(crate) fate: Fate,
    pub(crate) retransmitted: bool,
    /// Whether it was judged lost before it was sent again.
    pub(crate) repaired: bool,
}

impl Piece {
    pub(crate) fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Shortens the piece to the part before `at`, and returns the rest.
    fn cut_off(&mut self, at: u64) -> Self {
        let rest = Self { start: at, ..*self };
        self.end = at;
        rest
    }
}

/// A segment as it was first sent.
#[derive(Debug)]
struct Segment {
    end: u64,
    pieces: Pieces,
}

/// The pieces of a segment: contiguous, and at least one.
#[derive(Debug)]
enum Pieces {
    Whole(Piece),
    Cut(Vec<Piece>),
}

impl Segment {
    fn start(&self) -> u64 {
        self.pieces().first().map_or(self.end, |piece| piece.start)
    }

    fn pieces(&self) -> &[Piece] {
        match &self.pieces {
            Pieces::Whole(piece) => slice::from_ref(piece),
            Pieces::Cut(pieces) => pieces,
        }
    }

    fn pieces_mut(&mut self) -> &mut [Piece] {
        match &mut self.pieces {
            Pieces::Whole(piece) => slice::from_mut(piece),
            Pieces::Cut(pieces) => pieces,
        }
    }

    /// The pieces from the one that contains `position` onwards.
    fn pieces_from(&self, position: u64) -> &[Piece] {
        let pieces = self.pieces();
        let first = pieces.partition_point(|piece| piece.end <= position);
        pieces.get(first..).unwrap_or_default()
    }

    /// Makes `at` the end of a piece, if it lies inside one.
    fn cut(&mut self, at: u64) {
        let index = self.pieces().partition_point(|piece| piece.end <= at);
        let Some(piece) = self.pieces_mut().get_mut(index) else {
            return;
        };
        if piece.start >= at {
            return;
        }
        let rest = piece.cut_off(at);
        match &mut self.pieces {
            Pieces::Whole(first) => self.pieces = Pieces::Cut(vec![*first, rest]),
            Pieces::Cut(pieces) => pieces.insert(index + 1, rest),
        }
    }

    fn for_range(&mut self, start: u64, end: u64, visit: &mut impl FnMut(&mut Piece)) {
        self.cut(start);
        self.cut(end);
        let pieces = self.pieces_mut();
        let first = pieces.partition_point(|piece| piece.end <= start);
        let inside = pieces.iter_mut().skip(first);
        inside.take_while(|piece| piece.start < end).for_each(visit);
    }

    /// Removes the data before `una`, which lies inside the segment.
    fn remove_below(&mut self, una: u64, visit: &mut impl FnMut(Piece)) {
        self.cut(una);
        if let Pieces::Cut(pieces) = &mut self.pieces {
            let count = pieces.partition_point(|piece| piece.end <= una);
            pieces.drain(..count).for_each(visit);
        }
    }
}

/// The segments in flight, contiguous from the oldest unacknowledged one to the newest.
#[derive(Debug)]
pub(crate) struct Flight {
    segments: VecDeque<Segment>,
    pub(crate) work: Work,
}

impl Flight {
    pub(crate) const fn new() -> Self {
        Self {
            segments: VecDeque::new(),
            work: Work::new(),
        }
    }

    /// Adds a segment that was sent for the first time. It begins where the last one ends.
    pub(crate) fn push(&mut self, piece: Piece) {
        debug_assert!(self.segments.back().is_none_or(|s| s.end == piece.start));
        self.segments.push_back(Segment {
            end: piece.end,
            pieces: Pieces::Whole(piece),
        });
    }

    /// Removes the data before `una`, and passes its pieces to `visit`.
    pub(crate) fn remove_below(&mut self, una: u64, mut visit: impl FnMut(Piece)) {
        while let Some(front) = self.segments.front_mut() {
            if front.end > una {
                if front.start() < una {
                    front.remove_below(una, &mut visit);
                }
                break;
            }
            front.pieces().iter().copied().for_each(&mut visit);
            self.segments.pop_front();
        }
        if self.segments.is_empty() && self.segments.capacity() > IDLE_CAPACITY * 32 {
            self.segments.shrink_to(IDLE_CAPACITY);
        }
    }

    /// Calls `visit` for each piece of `start..end`, cut so that all of them lie wholly inside.
    pub(crate) fn for_range(&mut self, start: u64, end: u64, mut visit: impl FnMut(&mut Piece)) {
        let first = self.index_of(start);
        let work = &self.work;
        for segment in self.segments.range_mut(first..) {
            if segment.start() >= end {
                break;
            }
            segment.for_range(start, end, &mut |piece| {
                work.note();
                visit(piece);
            });
        }
    }

    /// Calls `visit` for each piece. The time grows with the number of pieces.
    pub(crate) fn for_each(&mut self, visit: impl FnMut(&mut Piece)) {
        let segments = self.segments.iter_mut();
        segments.flat_map(Segment::pieces_mut).for_each(visit);
    }

    /// All pieces, the oldest first.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Piece> {
        self.segments.iter().flat_map(Segment::pieces)
    }

    /// The pieces from the one that contains `position` onwards, or from the first.
    pub(crate) fn iter_from(&self, position: u64) -> impl Iterator<Item = &Piece> {
        let first = self.index_of(position);
        let segments = self.segments.range(first..);
        segments.flat_map(move |segment| segment.pieces_from(position))
    }

    pub(crate) fn first(&self) -> Option<&Piece> {
        self.segments.front()?.pieces().first()
    }

    pub(crate) fn last(&self) -> Option<&Piece> {
        self.segments.back()?.pieces().last()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// The number of segments; a super-segment counts as one.
    pub(crate) fn segments(&self) -> usize {
        self.segments.len()
    }

    /// The index of the segment that contains `position`, or of the first after it.
    ///
    /// Most segments have the same size, so that the index can be estimated. From the estimate, the
    /// step doubles until it has passed the position: O(log n) if the estimate is wrong.
    #[expect(
        clippy::indexing_slicing,
        reason = "a guess is below the length, and so is each step"
    )]
    fn index_of(&self, position: u64) -> usize {
        let len = self.segments.len();
        let ends = |index: usize| self.segments[index].end <= position;
        let Some(guess) = self.guess(position) else {
            return 0;
        };
        let mut step = 1;
        let (mut low, mut high);
        if ends(guess) {
            low = guess + 1;
            while low + step <= len && ends(low + step - 1) {
                low += step;
                step *= 2;
            }
            high = len.min(low + step);
        } else {
            high = guess;
            while high >= step && !ends(high - step) {
                high -= step;
                step *= 2;
            }
            low = high.saturating_sub(step);
        }
        while low < high {
            let middle = low.midpoint(high);
            if ends(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The index that `position` would have if all segments had the same size.
    fn guess(&self, position: u64) -> Option<usize> {
        let start = self.segments.front()?.start();
        let span = u128::from(self.segments.back()?.end - start).max(1);
        let offset = u128::from(position.saturating_sub(start));
        let len = self.segments.len();
        let guess = offset * len as u128 / span;
        Some((guess as usize).min(len - 1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_place_is_found_whatever_the_sizes(
            sizes in prop::collection::vec(prop_oneof![Just(10), 1u64..200], 0..60),
            acked in 0u64..500,
        ) {
            let mut flight = Flight::new();
            let mut end = 100;
            for (serial, size) in (1..).zip(sizes) {
                flight.push(Piece {
                    start: end,
                    end: end + size,
                    sent_at: Instant::ZERO,
                    serial,
                    fate: Fate::InFlight,
                    retransmitted: false,
                    repaired: false,
                });
                end += size;
            }
            flight.remove_below(100 + acked, |_| {});
            for position in 0..end + 10 {
                let expected = flight.segments.partition_point(|s| s.end <= position);
                prop_assert_eq!(flight.index_of(position), expected);
            }
        }
    }
}

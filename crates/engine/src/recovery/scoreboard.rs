//! The scoreboard: every segment in flight, and what is known of it (RFC 6675).
//!
//! A segment is recorded as it was sent, super-segments as one, and split when an acknowledgment ends
//! inside it. Each goes through its states at most once per transmission, so that the work per
//! acknowledgment does not depend on how much is in flight: finding a place is a binary search, and
//! what a SACK block repeats is not visited again.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};

use super::rack::Transmission;
use crate::buf::range_set::RangeSet;
use crate::time::Instant;

/// Segments that selective acknowledgment must put above a hole before it counts as lost (RFC 5681).
pub(crate) const DUP_THRESH: u32 = 3;

/// Transmissions looked at for the last one in flight; beyond, an earlier one's deadline serves.
const LOOK_BACK: usize = 64;

/// Entries kept allocated when nothing is in flight.
const IDLE_CAPACITY: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Sent and nothing heard.
    InFlight,
    /// Taken for lost; waits to be sent again.
    Lost,
    /// The peer holds it.
    Sacked,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    start: u64,
    end: u64,
    sent_at: Instant,
    serial: u64,
    fate: Fate,
    retransmitted: bool,
}

impl Sent {
    fn len(&self) -> u64 {
        self.end - self.start
    }
}

/// What an acknowledgment took off the scoreboard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// Sequence space newly known to have arrived.
    pub(crate) bytes: u64,
    /// When the oldest of it was sent, among what was never retransmitted (Karn).
    pub(crate) sent_at: Option<Instant>,
    /// Some of it had been sent more than once.
    pub(crate) retransmitted: bool,
    /// Some of it had been sent once only, before this position.
    pub(crate) original_before: Option<u64>,
    /// The newest transmission among what was sent once, and among what was sent again.
    pub(crate) newest: Option<Transmission>,
    pub(crate) newest_again: Option<Transmission>,
    /// The end of the highest of it.
    pub(crate) high: u64,
    /// Something sent once arrived after something higher.
    pub(crate) reordered: bool,
}

impl Delivered {
    /// Adds a segment; `highest` is the end of the highest that arrived with earlier acknowledgments.
    fn add(&mut self, sent: &Sent, highest: u64) {
        self.bytes += sent.len();
        self.high = self.high.max(sent.end);
        let transmission = Some(Transmission {
            at: sent.sent_at,
            serial: sent.serial,
            end: sent.end,
        });
        if sent.retransmitted {
            self.retransmitted = true;
            self.newest_again = self.newest_again.max(transmission);
        } else {
            self.sent_at = earliest(self.sent_at, Some(sent.sent_at));
            self.newest = self.newest.max(transmission);
            self.original_before = earliest(self.original_before, Some(sent.end));
            self.reordered |= sent.end < highest;
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.sent_at = earliest(self.sent_at, other.sent_at);
        self.retransmitted |= other.retransmitted;
        self.original_before = earliest(self.original_before, other.original_before);
        self.newest = self.newest.max(other.newest);
        self.newest_again = self.newest_again.max(other.newest_again);
        self.high = self.high.max(other.high);
        self.reordered |= other.reordered;
    }
}

fn earliest<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    a.into_iter().chain(b).min()
}

/// What went out in one piece.
#[derive(Clone, Copy, Debug)]
struct Departure {
    at: Instant,
    start: u64,
    end: u64,
    serial: u64,
}

impl Departure {
    /// Whether it was sent, at least in part, before `newest`.
    fn is_before(&self, newest: Transmission) -> bool {
        (self.at, self.serial) < (newest.at, newest.serial)
            || self.serial == newest.serial && self.start < newest.end
    }
}

/// A position that may be moved while the scoreboard is only looked at.
#[derive(Debug)]
struct Hint(AtomicU64);

impl Hint {
    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, position: u64) {
        self.0.store(position, Ordering::Relaxed);
    }
}

/// A scoreboard that takes memory with the first segment: many connections send nothing for long.
#[derive(Debug, Default)]
pub(crate) struct LazyScoreboard(Option<Box<Scoreboard>>);

impl LazyScoreboard {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }

    /// Gives back the memory, if nothing is in flight.
    pub(crate) fn release(&mut self) {
        if self.is_empty() {
            self.clear();
        }
    }
}

impl Deref for LazyScoreboard {
    type Target = Scoreboard;

    fn deref(&self) -> &Scoreboard {
        static EMPTY: Scoreboard = Scoreboard::new();
        self.0.as_deref().unwrap_or(&EMPTY)
    }
}

impl DerefMut for LazyScoreboard {
    fn deref_mut(&mut self) -> &mut Scoreboard {
        self.0.get_or_insert_with(|| Box::new(Scoreboard::new()))
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Scoreboard {
    /// Contiguous from the oldest not acknowledged to the newest sent.
    sent: VecDeque<Sent>,
    sacked: RangeSet,
    /// All transmissions that may still be in flight, in the order in which they went out. Some are of
    /// segments that have arrived, or were sent again since: they are passed over.
    order: VecDeque<Departure>,
    /// How many there have been.
    departures: u64,
    /// The end of the highest segment that has arrived.
    highest: u64,
    /// Bytes taken to be in the network.
    in_flight: u64,
    lost: u64,
    /// Everything below it that is not sacked has been judged lost in this episode.
    judged: u64,
    /// No segment below it waits to be sent again. Only a hint to start searching from.
    next_lost: Hint,
}

impl Scoreboard {
    /// Records a first transmission. It must begin where the last one ended.
    pub(crate) fn on_sent(&mut self, start: u64, end: u64, now: Instant) {
        self.departures += 1;
        debug_assert!(self.sent.back().is_none_or(|last| last.end == start));
        self.sent.push_back(Sent {
            start,
            end,
            sent_at: now,
            serial: self.departures,
            fate: Fate::InFlight,
            retransmitted: false,
        });
        self.note_departure(now, start, end);
        self.in_flight += end - start;
    }

    /// Records that `start..end` was sent again.
    pub(crate) fn on_retransmitted(&mut self, start: u64, end: u64, now: Instant) {
        self.departures += 1;
        let serial = self.departures;
        self.for_range(start, end, |board, sent| {
            if sent.fate == Fate::Lost {
                board.lost -= sent.len();
                board.in_flight += sent.len();
                sent.fate = Fate::InFlight;
            }
            sent.retransmitted = true;
            sent.sent_at = now;
            sent.serial = serial;
        });
        self.note_departure(now, start, end);
        self.next_lost.set(self.next_lost.get().max(end));
    }

    /// Everything below `una` is acknowledged.
    pub(crate) fn on_ack(&mut self, una: u64) -> Delivered {
        let mut delivered = Delivered::default();
        let highest = self.highest;
        while let Some(front) = self.sent.front_mut() {
            if front.start >= una {
                break;
            }
            let mut acked = *front;
            if front.end > una {
                front.start = una;
                acked.end = una;
            } else {
                self.sent.pop_front();
            }
            match acked.fate {
                Fate::InFlight => {
                    self.in_flight -= acked.len();
                    delivered.add(&acked, highest);
                }
                Fate::Lost => {
                    self.lost -= acked.len();
                    delivered.add(&acked, highest);
                }
                // Counted when it was sacked.
                Fate::Sacked => {}
            }
        }
        if !self.sacked.is_empty() {
            self.sacked.remove_below(una);
        }
        while self.order.front().is_some_and(|sent| sent.end <= una) {
            self.order.pop_front();
        }
        if self.sent.is_empty() && self.sent.capacity() > IDLE_CAPACITY * 32 {
            self.sent.shrink_to(IDLE_CAPACITY);
            self.order.shrink_to(IDLE_CAPACITY);
        }
        delivered
    }

    /// What an acknowledgment delivered has been taken note of.
    pub(crate) fn on_delivered(&mut self, delivered: &Delivered) {
        self.highest = self.highest.max(delivered.high);
    }

    /// Judges what was sent before `newest`, which has arrived: lost is what `deadline`, from the time it was sent,
    /// says was due by now (RFC 8985 6.2 step 5). Returns whether something was, and when the last of
    /// the rest is due.
    pub(crate) fn judge_by_time(
        &mut self,
        now: Instant,
        newest: Transmission,
        deadline: impl Fn(Instant) -> Instant,
    ) -> (bool, Option<Instant>) {
        let mut any = false;
        while let Some(&sent) = self.order.front() {
            if !sent.is_before(newest) {
                return (any, None);
            }
            // Of a super-segment, part may have been sent before what has arrived of it.
            let end = if sent.serial == newest.serial {
                sent.end.min(newest.end)
            } else {
                sent.end
            };
            if self.is_in_flight(sent.serial, sent.start, end) {
                if deadline(sent.at) > now {
                    break;
                }
                any |= self.lose_transmission(sent.serial, sent.start, end);
            }
            self.order.pop_front();
            if end < sent.end {
                self.order.push_front(Departure { start: end, ..sent });
            }
        }
        (any, self.last_before(newest).map(deadline))
    }

    fn note_departure(&mut self, at: Instant, start: u64, end: u64) {
        self.order.push_back(Departure {
            at,
            start,
            end,
            serial: self.departures,
        });
    }

    fn lose_transmission(&mut self, serial: u64, start: u64, end: u64) -> bool {
        let mut first = None;
        self.for_range(start, end, |board, segment| {
            if segment.fate == Fate::InFlight && segment.serial == serial {
                board.lose(segment);
                first = first.or(Some(segment.start));
            }
        });
        if let Some(first) = first {
            self.next_lost.set(self.next_lost.get().min(first));
        }
        first.is_some()
    }

    /// When the last transmission before `newest` went out, of those that may still be in flight.
    fn last_before(&self, newest: Transmission) -> Option<Instant> {
        let end = self.order.partition_point(|sent| sent.is_before(newest));
        self.order
            .range(end.saturating_sub(LOOK_BACK)..end)
            .rev()
            .find(|sent| self.is_in_flight(sent.serial, sent.start, sent.end))
            .or_else(|| self.order.front())
            .map(|sent| sent.at)
    }

    /// Whether some of a transmission has not arrived, and was not sent again.
    fn is_in_flight(&self, serial: u64, start: u64, end: u64) -> bool {
        self.sent
            .range(self.index_of(start)..)
            .take_while(|segment| segment.start < end)
            .any(|segment| segment.fate == Fate::InFlight && segment.serial == serial)
    }

    /// Nothing is lost after all: what was taken for it is in the network.
    pub(crate) fn lose_nothing(&mut self) {
        for sent in &mut self.sent {
            if sent.fate == Fate::Lost {
                sent.fate = Fate::InFlight;
            }
        }
        self.in_flight += self.lost;
        self.lost = 0;
    }

    /// The newest segment, or its last `max` bytes, to probe with (RFC 8985 7.3).
    pub(crate) fn tail(&self, max: u64) -> Option<(u64, u64)> {
        let last = self.sent.back()?;
        Some((last.start.max(last.end.saturating_sub(max)), last.end))
    }

    /// The peer holds `start..end`, which lies between SND.UNA and SND.NXT.
    pub(crate) fn on_sack(&mut self, start: u64, end: u64) -> Delivered {
        let mut delivered = Delivered::default();
        let mut sacked = std::mem::take(&mut self.sacked);
        sacked.insert(start, end, &mut |from, to| {
            self.for_range(from, to, |board, sent| {
                match sent.fate {
                    Fate::InFlight => board.in_flight -= sent.len(),
                    Fate::Lost => board.lost -= sent.len(),
                    Fate::Sacked => return,
                }
                delivered.add(sent, board.highest);
                sent.fate = Fate::Sacked;
            });
        });
        self.sacked = sacked;
        delivered
    }

    /// Judges what selective acknowledgment says is lost: what has more than two full segments sacked
    /// above it, or three sacked ranges (RFC 6675 IsLost). Returns whether something new was.
    pub(crate) fn judge_by_sack(&mut self, mss: u32) -> bool {
        let mut above = 0;
        let mut ranges = 0;
        let mut boundary = None;
        for (start, end) in self.sacked.iter().rev() {
            above += end - start;
            ranges += 1;
            if ranges >= DUP_THRESH || above > u64::from((DUP_THRESH - 1) * mss) {
                boundary = Some(start);
                break;
            }
        }
        boundary.is_some_and(|boundary| self.judge_below(boundary))
    }

    /// Takes the oldest segment for lost (three duplicates without SACK, or a NewReno partial
    /// acknowledgment, RFC 6582). Returns whether it was not already.
    pub(crate) fn judge_first(&mut self, mss: u32) -> bool {
        let Some(first) = self.sent.front().copied() else {
            return false;
        };
        let end = first.end.min(first.start + u64::from(mss));
        let mut judged = false;
        self.for_range(first.start, end, |board, sent| {
            if sent.fate == Fate::InFlight {
                board.lose(sent);
                judged = true;
            }
        });
        self.next_lost.set(self.next_lost.get().min(first.start));
        judged
    }

    /// The retransmission timer fired: all that the peer does not hold is lost. The selective
    /// acknowledgments are forgotten too where the oldest segment is among them: the peer has
    /// reneged (RFC 2018 section 8).
    pub(crate) fn judge_all(&mut self) {
        let reneged = self.sent.front().is_some_and(|s| s.fate == Fate::Sacked);
        if reneged {
            self.sacked.clear();
        }
        let (mut in_flight, mut lost) = (0, 0);
        for sent in &mut self.sent {
            if sent.fate == Fate::Sacked && !reneged {
                continue;
            }
            in_flight += if sent.fate == Fate::InFlight {
                sent.len()
            } else {
                0
            };
            sent.fate = Fate::Lost;
            lost += sent.len();
        }
        self.in_flight -= in_flight;
        self.lost = lost;
        let una = self.sent.front().map_or(0, |s| s.start);
        self.judged = self.sent.back().map_or(0, |s| s.end);
        self.next_lost.set(una);
    }

    /// The next range to send again, at most `max` bytes and all of one transmission.
    pub(crate) fn next_retransmission(&self, max: u64) -> Option<(u64, u64)> {
        if self.lost == 0 {
            return None;
        }
        let from = self.index_of(self.next_lost.get());
        let sent = self
            .sent
            .range(from..)
            .find(|sent| sent.fate == Fate::Lost)?;
        let (start, end) = (sent.start, sent.end);
        self.next_lost.set(start);
        Some((start, end.min(start.saturating_add(max))))
    }

    /// Whether nothing is outstanding.
    pub(crate) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// Bytes taken to be in the network (RFC 6675 pipe).
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Bytes that the peer holds out of order.
    pub(crate) fn sacked(&self) -> u64 {
        self.sacked.covered_bytes()
    }

    /// Bytes taken for lost and not yet sent again.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    const fn new() -> Self {
        Self {
            sent: VecDeque::new(),
            sacked: RangeSet::new(),
            order: VecDeque::new(),
            departures: 0,
            highest: 0,
            in_flight: 0,
            lost: 0,
            judged: 0,
            next_lost: Hint(AtomicU64::new(0)),
        }
    }

    fn judge_below(&mut self, boundary: u64) -> bool {
        if boundary <= self.judged {
            return false;
        }
        let (from, mut any) = (self.judged, false);
        let mut first = u64::MAX;
        self.for_range(from, boundary, |board, sent| {
            if sent.fate == Fate::InFlight && !sent.retransmitted {
                board.lose(sent);
                first = first.min(sent.start);
                any = true;
            }
        });
        self.judged = boundary;
        self.next_lost.set(self.next_lost.get().min(first));
        any
    }

    fn lose(&mut self, sent: &mut Sent) {
        self.in_flight -= sent.len();
        self.lost += sent.len();
        sent.fate = Fate::Lost;
    }

    /// Index of the segment that contains `position`, or of the first after it.
    fn index_of(&self, position: u64) -> usize {
        self.sent.partition_point(|sent| sent.end <= position)
    }

    /// Calls `visit` for each segment of `start..end`, split so that they lie wholly inside.
    fn for_range(&mut self, start: u64, end: u64, mut visit: impl FnMut(&mut Self, &mut Sent)) {
        let mut index = self.index_of(start);
        while let Some(mut sent) = self.sent.get(index).copied() {
            if sent.start >= end {
                break;
            }
            if sent.start < start {
                self.split(index, start);
                index += 1;
                continue;
            }
            if sent.end > end {
                self.split(index, end);
                sent.end = end;
            }
            visit(self, &mut sent);
            self.sent[index] = sent;
            index += 1;
        }
    }

    fn split(&mut self, index: usize, at: u64) {
        let mut tail = self.sent[index];
        self.sent[index].end = at;
        tail.start = at;
        self.sent.insert(index + 1, tail);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MSS: u32 = 1000;

    fn board(segments: u64) -> Scoreboard {
        let mut board = Scoreboard::new();
        for i in 0..segments {
            board.on_sent(i * 1000, (i + 1) * 1000, Instant::from_millis(i));
        }
        board
    }

    #[test]
    fn three_segments_sacked_above_a_hole_make_it_lost() {
        let mut board = board(10);
        board.on_sack(1000, 3000);
        assert!(!board.judge_by_sack(MSS));
        board.on_sack(1000, 4000);
        assert!(board.judge_by_sack(MSS));
        assert_eq!(board.next_retransmission(1000), Some((0, 1000)));
        assert_eq!(
            (board.in_flight(), board.lost(), board.sacked()),
            (6000, 1000, 3000)
        );
        board.on_retransmitted(0, 1000, Instant::from_millis(20));
        assert_eq!((board.in_flight(), board.lost()), (7000, 0));
        assert_eq!(board.next_retransmission(1000), None);
        assert!(
            !board.judge_by_sack(MSS),
            "a retransmission is not lost by the same SACKs"
        );
    }

    #[test]
    fn three_ranges_count_though_they_are_small() {
        let mut board = Scoreboard::new();
        for i in 0..8 {
            board.on_sent(i * 10, (i + 1) * 10, Instant::ZERO);
        }
        board.on_sack(10, 20);
        board.on_sack(30, 40);
        assert!(!board.judge_by_sack(MSS));
        board.on_sack(50, 60);
        assert!(board.judge_by_sack(MSS));
        assert_eq!(board.lost(), 10);
    }

    #[test]
    fn holes_are_filled_in_order() {
        let mut board = board(10);
        board.on_sack(1000, 2000);
        board.on_sack(3000, 4000);
        board.on_sack(5000, 10_000);
        assert!(board.judge_by_sack(MSS));
        let mut sent = Vec::new();
        while let Some((start, end)) = board.next_retransmission(1000) {
            board.on_retransmitted(start, end, Instant::from_millis(30));
            sent.push(start);
        }
        assert_eq!(sent, [0, 2000, 4000]);
    }

    #[test]
    fn a_timeout_loses_all_but_what_is_sacked() {
        let mut board = board(4);
        board.on_sack(2000, 3000);
        board.judge_all();
        assert_eq!(
            (board.in_flight(), board.lost(), board.sacked()),
            (0, 3000, 1000)
        );
    }

    #[test]
    fn a_timeout_with_the_oldest_sacked_forgets_the_sacks() {
        let mut board = board(4);
        board.on_sack(0, 1000);
        board.judge_all();
        assert_eq!(
            (board.in_flight(), board.lost(), board.sacked()),
            (0, 4000, 0)
        );
    }

    #[test]
    fn a_retransmitted_segment_gives_no_round_trip_time() {
        let mut board = board(2);
        board.judge_first(MSS);
        board.on_retransmitted(0, 1000, Instant::from_millis(50));
        let delivered = board.on_ack(1000);
        assert_eq!((delivered.bytes, delivered.sent_at), (1000, None));
        assert_eq!(board.on_ack(2000).sent_at, Some(Instant::from_millis(1)));
    }

    #[derive(Clone, Debug)]
    enum Op {
        Send(u64),
        Ack(u64),
        Sack(u64, u64),
        Judge,
        Timeout,
        Retransmit(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (1u64..3000).prop_map(Op::Send),
            2 => (0u64..2000).prop_map(Op::Ack),
            4 => (0u64..8000, 1u64..3000).prop_map(|(a, b)| Op::Sack(a, b)),
            2 => Just(Op::Judge),
            1 => Just(Op::Timeout),
            3 => (1u64..2000).prop_map(Op::Retransmit),
        ]
    }

    proptest! {
        /// Every byte between una and nxt is exactly one of in flight, lost and sacked; the sums agree
        /// with a count of the segments.
        #[test]
        fn the_sums_agree_with_the_segments(ops in prop::collection::vec(op(), 1..120)) {
            let mut board = Scoreboard::new();
            let (mut una, mut nxt) = (0u64, 0u64);
            for (i, op) in ops.into_iter().enumerate() {
                let now = Instant::from_millis(i as u64);
                match op {
                    Op::Send(len) => { board.on_sent(nxt, nxt + len, now); nxt += len; }
                    Op::Ack(len) => { una = (una + len).min(nxt); board.on_ack(una); }
                    Op::Sack(from, len) => {
                        let (from, to) = ((una + from).min(nxt), (una + from + len).min(nxt));
                        if from < to { board.on_sack(from, to); }
                    }
                    Op::Judge => { board.judge_by_sack(MSS); }
                    Op::Timeout => board.judge_all(),
                    Op::Retransmit(max) => if let Some((from, to)) = board.next_retransmission(max) {
                        prop_assert!(from >= una && to <= nxt && to > from);
                        board.on_retransmitted(from, to, now);
                    },
                }
                let sum = |fate| board.sent.iter().filter(|s| s.fate == fate).map(Sent::len).sum::<u64>();
                prop_assert_eq!(sum(Fate::InFlight), board.in_flight());
                prop_assert_eq!(sum(Fate::Lost), board.lost());
                prop_assert_eq!(sum(Fate::Sacked), board.sacked());
                prop_assert_eq!(board.in_flight() + board.lost() + board.sacked(), nxt - una);
                let waiting = board.sent.iter().find(|s| s.fate == Fate::Lost).map(|s| s.start);
                prop_assert_eq!(board.next_retransmission(u64::MAX).map(|r| r.0), waiting);
            }
        }
    }
}

//! The scoreboard: every segment in flight, and what is known of it (RFC 6675).
//!
//! A segment is recorded as it was sent, super-segments as one, and split when an acknowledgment ends
//! inside it. Each goes through its states at most once per transmission, so that the work per
//! acknowledgment does not depend on how much is in flight: finding a place is a binary search, and
//! what a SACK block repeats is not visited again.

mod delivered;
mod lazy;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use self::delivered::{Delivered, segments};
pub(crate) use self::lazy::LazyScoreboard;
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
    /// It was taken for lost before it was sent again.
    repaired: bool,
}

impl Sent {
    fn len(&self) -> u64 {
        self.end - self.start
    }
}

/// Part of a transmission, judged lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    /// The transmission's number.
    pub(crate) serial: u64,
    pub(crate) bytes: u32,
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
    /// How many of them were taken for lost and sent again.
    in_flight_again: u64,
    lost: u64,
    /// Bytes ever judged lost.
    lost_ever: u64,
    /// The losses that [`take_losses`](Self::take_losses) has not given out, where somebody asks for them.
    losses: Option<Vec<Loss>>,
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
            repaired: false,
        });
        self.note_departure(now, start, end);
        self.in_flight += end - start;
    }

    /// Records that `start..end` was sent again.
    pub(crate) fn on_retransmitted(&mut self, start: u64, end: u64, now: Instant) {
        self.departures += 1;
        let serial = self.departures;
        self.for_range(start, end, |board, sent| {
            match sent.fate {
                Fate::Lost => {
                    board.lost -= sent.len();
                    sent.repaired = true;
                }
                Fate::InFlight => board.leave_flight(sent),
                Fate::Sacked => {}
            }
            sent.retransmitted = true;
            sent.sent_at = now;
            sent.serial = serial;
            if sent.fate != Fate::Sacked {
                board.enter_flight(sent);
            }
        });
        self.note_departure(now, start, end);
        self.next_lost.set(self.next_lost.get().max(end));
    }

    /// Everything below `una` is acknowledged; full segments have `mss` bytes.
    pub(crate) fn on_ack(&mut self, una: u64, mss: u32) -> Delivered {
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
                    self.leave_flight(&acked);
                    delivered.add(&acked, highest, mss);
                }
                Fate::Lost => {
                    self.lost -= acked.len();
                    delivered.add(&acked, highest, mss);
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

    /// Nothing is lost after all: what was taken for it is in the network, and may be overtaken there.
    pub(crate) fn lose_nothing(&mut self) {
        for index in 0..self.sent.len() {
            let mut sent = self.sent[index];
            if sent.fate == Fate::Lost {
                self.enter_flight(&mut sent);
                self.sent[index] = sent;
                self.order.push_back(Departure {
                    at: sent.sent_at,
                    start: sent.start,
                    end: sent.end,
                    serial: sent.serial,
                });
            }
        }
        self.order
            .make_contiguous()
            .sort_unstable_by_key(|sent| (sent.serial, sent.start));
        self.lost = 0;
        self.judged = 0;
    }

    /// The newest segment, or its last `max` bytes, to probe with (RFC 8985 7.3).
    pub(crate) fn tail(&self, max: u64) -> Option<(u64, u64)> {
        let last = self.sent.back()?;
        Some((last.start.max(last.end.saturating_sub(max)), last.end))
    }

    /// The peer holds `start..end`, which lies between SND.UNA and SND.NXT. Of a segment of which it holds only a part that
    /// counts in full segments of `mss` bytes (as Linux has it): a peer cannot cut the flight into single bytes.
    pub(crate) fn on_sack(&mut self, start: u64, end: u64, mss: u32) -> Delivered {
        let mut delivered = Delivered::default();
        let (start, end) = self.in_full_segments(start, end, mss.max(1).into());
        if start >= end {
            return delivered;
        }
        let mut sacked = std::mem::take(&mut self.sacked);
        sacked.insert(start, end, &mut |from, to| {
            self.for_range(from, to, |board, sent| {
                match sent.fate {
                    Fate::InFlight => board.leave_flight(sent),
                    Fate::Lost => board.lost -= sent.len(),
                    Fate::Sacked => return,
                }
                delivered.add(sent, board.highest, mss);
                sent.fate = Fate::Sacked;
            });
        });
        self.sacked = sacked;
        delivered
    }

    fn in_full_segments(&self, start: u64, end: u64, mss: u64) -> (u64, u64) {
        let around = |position| self.sent.get(self.index_of(position));
        let start = around(start).map_or(end, |sent| {
            let within = start.saturating_sub(sent.start);
            (sent.start + within.next_multiple_of(mss)).min(sent.end)
        });
        let end = around(end).map_or(end, |sent| {
            let within = end.saturating_sub(sent.start);
            end.min(sent.start + within - within % mss)
        });
        (start, end)
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

    /// All that the peer does not hold is to be sent again.
    pub(crate) fn judge_all(&mut self) {
        self.judge_all_but(|_| false);
    }

    /// The retransmission timer fired: the oldest segment is lost, and all else that the peer does not hold but what is
    /// `recent` by the time it was sent. The selective acknowledgments are forgotten where the peer [has
    /// reneged](Self::is_reneged). Returns where the first segment begins that is left in flight.
    pub(crate) fn judge_all_but(&mut self, recent: impl Fn(Instant) -> bool) -> Option<u64> {
        let reneged = self.is_reneged();
        if reneged {
            self.sacked.clear();
        }
        let mut spared = None;
        for index in 0..self.sent.len() {
            let mut sent = self.sent[index];
            match sent.fate {
                Fate::InFlight if index > 0 && !reneged && recent(sent.sent_at) => {
                    spared = spared.or(Some(sent.start));
                }
                Fate::InFlight => self.lose(&mut sent),
                Fate::Sacked if reneged => {
                    sent.fate = Fate::Lost;
                    self.lost += sent.len();
                }
                Fate::Sacked | Fate::Lost => {}
            }
            self.sent[index] = sent;
        }
        let una = self.sent.front().map_or(0, |s| s.start);
        self.judged = self.sent.back().map_or(0, |s| s.end);
        self.next_lost.set(una);
        spared
    }

    /// Segments of more than `mss` bytes cannot have arrived. Returns whether there was one.
    pub(crate) fn judge_larger(&mut self, mss: u32) -> bool {
        let mut first = None;
        for index in 0..self.sent.len() {
            let mut sent = self.sent[index];
            if sent.fate == Fate::InFlight && sent.len() > u64::from(mss) {
                self.lose(&mut sent);
                first = first.or(Some(sent.start));
            }
            self.sent[index] = sent;
        }
        if let Some(first) = first {
            self.next_lost.set(self.next_lost.get().min(first));
        }
        first.is_some()
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

    /// How many of them were taken for lost and sent again.
    pub(crate) fn in_flight_again(&self) -> u64 {
        self.in_flight_again
    }

    /// Whether the peer has reneged: it said that it held what it does not acknowledge now (RFC 2018 8).
    pub(crate) fn is_reneged(&self) -> bool {
        let oldest = self.sent.front();
        oldest.is_some_and(|sent| sent.fate == Fate::Sacked)
    }

    /// Bytes that the peer holds out of order.
    pub(crate) fn sacked(&self) -> u64 {
        self.sacked.covered_bytes()
    }

    /// Bytes taken for lost and not yet sent again.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Bytes taken for lost over the connection's life, again for each transmission.
    pub(crate) fn lost_ever(&self) -> u64 {
        self.lost_ever
    }

    /// Number of the last transmission.
    pub(crate) fn last_serial(&self) -> u64 {
        self.departures
    }

    /// No transmission before that number may still be in flight.
    pub(crate) fn oldest_serial(&self) -> u64 {
        let oldest = self.order.front();
        oldest.map_or(self.departures + 1, |sent| sent.serial)
    }

    /// Whether each loss is to be remembered until it is [taken](Self::take_losses).
    pub(crate) fn remember_losses(&mut self, wanted: bool) {
        self.losses = wanted.then(Vec::new);
    }

    /// The losses since the last time.
    pub(crate) fn take_losses(&mut self) -> Vec<Loss> {
        self.losses.as_mut().map(std::mem::take).unwrap_or_default()
    }

    const fn new() -> Self {
        Self {
            sent: VecDeque::new(),
            sacked: RangeSet::new(),
            order: VecDeque::new(),
            departures: 0,
            highest: 0,
            in_flight: 0,
            in_flight_again: 0,
            lost: 0,
            lost_ever: 0,
            losses: None,
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

    fn enter_flight(&mut self, sent: &mut Sent) {
        sent.fate = Fate::InFlight;
        self.in_flight += sent.len();
        if sent.repaired {
            self.in_flight_again += sent.len();
        }
    }

    fn leave_flight(&mut self, sent: &Sent) {
        self.in_flight -= sent.len();
        if sent.repaired {
            self.in_flight_again -= sent.len();
        }
    }

    fn lose(&mut self, sent: &mut Sent) {
        self.leave_flight(sent);
        self.lost += sent.len();
        sent.fate = Fate::Lost;
        self.lost_ever += sent.len();
        if let Some(losses) = &mut self.losses {
            losses.push(Loss {
                serial: sent.serial,
                bytes: sent.len().min(u64::from(u32::MAX)) as u32,
            });
        }
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

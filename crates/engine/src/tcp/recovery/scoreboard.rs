//! The scoreboard: every segment in flight, and its state (RFC 6675).
//!
//! - [`flight`](self::flight): the segments, in the order of the stream;
//! - [`departures`](self::departures): their transmissions, in the order of time;
//! - [`tally`](self::tally): the number of bytes in each state, and the lost ranges;
//! - [`delivered`](self::delivered): the data that an acknowledgment shows to have arrived.
//!
//! Each piece of a segment passes through its states at most once per transmission, so that the
//! work per acknowledgment does not depend on the amount of data in flight: a position is found by
//! binary search, and data that a SACK block repeats is not visited again. Only a timeout and a
//! decrease of the path's segment size visit the whole flight.

mod delivered;
mod departures;
mod flight;
mod on_demand;
mod tally;
#[cfg(test)]
mod tests;
mod work;

pub(crate) use self::delivered::{Delivered, segments};
use self::flight::{Fate, Flight, Piece};
pub(crate) use self::on_demand::LazyScoreboard;
pub(crate) use self::tally::Loss;
use self::tally::Tally;
use super::rack::Transmission;
use crate::tcp::buffer::range_set::RangeSet;
use crate::time::Instant;

/// Segments that must be selectively acknowledged above a hole before it counts as lost (RFC 5681).
pub(crate) const DUP_THRESH: u32 = 3;

/// The scoreboard of one connection.
#[derive(Debug)]
pub(crate) struct Scoreboard {
    flight: Flight,
    sacked: RangeSet,
    tally: Tally,
    /// The end of the highest segment that has arrived.
    highest: u64,
    /// All data below this position that is not sacked has been judged lost in this episode.
    judged: u64,
    /// Set when the peer reneges: until this position is acknowledged, its selective
    /// acknowledgments are ignored.
    distrusted_until: u64,
    /// Losses are not reverted again until this position is acknowledged: the data below it was in
    /// flight at the last reversal.
    taken_back_until: u64,
}

impl Scoreboard {
    /// Records a first transmission. It must begin where the last one ended.
    pub(crate) fn on_sent(&mut self, start: u64, end: u64, now: Instant) {
        let mut piece = Piece {
            start,
            end,
            sent_at: now,
            serial: self.tally.departures.push(now, start, end),
            fate: Fate::InFlight,
            retransmitted: false,
            repaired: false,
        };
        self.tally.departures.take(piece.serial, end - start);
        self.tally.enter_flight(&mut piece);
        self.flight.push(piece);
    }

    /// Records that `start..end` was sent again.
    pub(crate) fn on_retransmitted(&mut self, start: u64, end: u64, now: Instant) {
        let Self { flight, tally, .. } = self;
        let serial = tally.departures.push(now, start, end);
        flight.for_range(start, end, |piece| {
            tally.settle(piece);
            tally.departures.release(piece.serial, piece.len());
            tally.departures.take(serial, piece.len());
            piece.retransmitted = true;
            piece.repaired |= piece.fate == Fate::Lost;
            piece.sent_at = now;
            piece.serial = serial;
            if piece.fate != Fate::Sacked {
                tally.enter_flight(piece);
            }
        });
        tally.departures.forget_done();
    }

    /// Processes an acknowledgment of all data below `una`; full segments have `mss` bytes.
    pub(crate) fn on_ack(&mut self, una: u64, mss: u32) -> Delivered {
        let mut delivered = Delivered::default();
        let Self {
            flight,
            tally,
            highest,
            ..
        } = self;
        flight.remove_below(una, |piece| {
            tally.settle(&piece);
            tally.departures.release(piece.serial, piece.len());
            // Sacked data was counted when it was sacked.
            if piece.fate != Fate::Sacked {
                delivered.add(&piece, *highest, mss);
            }
        });
        tally.departures.forget_done();
        if !self.sacked.is_empty() {
            self.sacked.remove_below(una);
        }
        delivered
    }

    /// Records the highest position that an acknowledgment delivered, after the acknowledgment has
    /// been evaluated.
    pub(crate) fn on_delivered(&mut self, delivered: &Delivered) {
        self.highest = self.highest.max(delivered.high);
    }

    /// Judges by time the transmissions before `newest`, which has arrived: a transmission is lost
    /// if its `deadline`, a function of the time at which it was sent, has passed (RFC 8985 6.2
    /// step 5). Returns whether any data was lost, and the deadline of the last of the remaining
    /// transmissions.
    pub(crate) fn judge_by_time(
        &mut self,
        now: Instant,
        newest: Transmission,
        deadline: impl Fn(Instant) -> Instant,
    ) -> (bool, Option<Instant>) {
        let mut any = false;
        while let Some((serial, sent)) = self.tally.departures.first_before(newest) {
            // Part of a super-segment may have been sent before the part that has arrived.
            let end = if serial == newest.serial {
                sent.end.min(newest.end)
            } else {
                sent.end
            };
            if end == sent.end || self.is_in_flight(serial, sent.start, end) {
                if deadline(sent.at) > now {
                    let last = self.tally.departures.last_before(newest);
                    return (any, last.map(deadline));
                }
                any |= self.lose_transmission(serial, sent.start, end);
            }
            self.tally.departures.judged(end);
        }
        (any, None)
    }

    fn lose_transmission(&mut self, serial: u64, start: u64, end: u64) -> bool {
        let mut any = false;
        let Self { flight, tally, .. } = self;
        flight.for_range(start, end, |piece| {
            if piece.fate == Fate::InFlight && piece.serial == serial {
                tally.lose(piece);
                any = true;
            }
        });
        any
    }

    /// Whether some of `start..end` of a transmission has neither arrived nor been sent again.
    fn is_in_flight(&self, serial: u64, start: u64, end: u64) -> bool {
        self.flight
            .iter_from(start)
            .take_while(|piece| piece.start < end)
            .any(|piece| piece.fate == Fate::InFlight && piece.serial == serial)
    }

    /// Reverts all losses: the data that was judged lost is in the network, where it may be
    /// overtaken. Each segment may be judged lost and reverted once; otherwise a peer that shows
    /// both again and again would cause the whole flight to be visited each time. Data that was
    /// reverted before then stays lost.
    pub(crate) fn lose_nothing(&mut self) {
        if self.oldest() < self.taken_back_until {
            return;
        }
        self.taken_back_until = self.newest();
        let lost = std::mem::take(&mut self.tally.lost);
        for (start, end) in lost.iter() {
            self.flight
                .for_range(start, end, |piece| self.tally.enter_flight(piece));
        }
        self.judged = 0;
    }

    /// The newest segment, or its last `max` bytes, to probe with (RFC 8985 7.3).
    pub(crate) fn tail(&self, max: u64) -> Option<(u64, u64)> {
        let last = self.flight.last()?;
        Some((last.start.max(last.end.saturating_sub(max)), last.end))
    }

    /// Records that the peer holds `start..end`, which lies between SND.UNA and SND.NXT. If it
    /// holds only part of a segment, that part counts in full segments of `mss` bytes (as in
    /// Linux), so that a peer cannot cut the flight into single bytes.
    pub(crate) fn on_sack(&mut self, start: u64, end: u64, mss: u32) -> Delivered {
        let mut delivered = Delivered::default();
        // Most blocks repeat earlier reports.
        if self.has_sacked(start, end) || self.oldest() < self.distrusted_until {
            return delivered;
        }
        let (start, end) = self.in_full_segments(start, end, mss.max(1).into());
        if start >= end {
            return delivered;
        }
        let Self {
            flight,
            sacked,
            tally,
            highest,
            ..
        } = self;
        sacked.insert(start, end, &mut |from, to| {
            flight.for_range(from, to, |piece| {
                tally.settle(piece);
                delivered.add(piece, *highest, mss);
                piece.fate = Fate::Sacked;
            });
        });
        delivered
    }

    /// Whether the peer holds all of `start..end` out of order.
    pub(crate) fn has_sacked(&self, start: u64, end: u64) -> bool {
        let around = self.sacked.covering(start);
        around.is_some_and(|(_, covered)| end <= covered)
    }

    fn in_full_segments(&self, start: u64, end: u64, mss: u64) -> (u64, u64) {
        let around = |position| self.flight.iter_from(position).next();
        let start = around(start).map_or(end, |piece| {
            let within = start.saturating_sub(piece.start);
            (piece.start + within.next_multiple_of(mss)).min(piece.end)
        });
        let end = around(end).map_or(end, |piece| {
            let within = end.saturating_sub(piece.start);
            end.min(piece.start + within - within % mss)
        });
        (start, end)
    }

    /// Judges losses by selective acknowledgments: data is lost if more than two full segments, or
    /// three ranges, are sacked above it (RFC 6675 IsLost). Returns whether any new loss was found.
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

    /// Judges the oldest segment lost (three duplicates without SACK, or a NewReno partial
    /// acknowledgment, RFC 6582). Returns whether it was not judged lost before.
    pub(crate) fn judge_first(&mut self, mss: u32) -> bool {
        let Some(first) = self.flight.first().copied() else {
            return false;
        };
        let end = first.end.min(first.start + u64::from(mss));
        let mut judged = false;
        let Self { flight, tally, .. } = self;
        flight.for_range(first.start, end, |piece| {
            if piece.fate == Fate::InFlight {
                tally.lose(piece);
                judged = true;
            }
        });
        judged
    }

    /// Judges all data lost that the peer does not hold.
    pub(crate) fn judge_all(&mut self) {
        self.judge_all_but(|_| false);
    }

    /// Judges losses when the retransmission timer has fired: the oldest segment is lost, and so is
    /// all other data that the peer does not hold, except data that is `recent` by the time at
    /// which it was sent. If the peer [has reneged](Self::is_reneged), its selective
    /// acknowledgments are discarded. Returns the start of the first segment that is left in
    /// flight.
    ///
    /// The work is proportional to the data in flight: data that an earlier timeout judged lost is
    /// not visited again.
    pub(crate) fn judge_all_but(&mut self, recent: impl Fn(Instant) -> bool) -> Option<u64> {
        let reneged = self.is_reneged();
        if reneged {
            self.forget_sacks();
        }
        self.judged = self.newest();
        self.judge_first(u32::MAX);
        while let Some((serial, sent)) = self.tally.departures.first() {
            if !reneged && recent(sent.at) {
                return self.first_in_flight();
            }
            self.lose_transmission(serial, sent.start, sent.end);
            self.tally.departures.judged(sent.end);
        }
        None
    }

    /// Discards the selective acknowledgments: the peer may not hold the data that it reported, and
    /// its reports are ignored until all of that data has been acknowledged (RFC 2018 8).
    fn forget_sacks(&mut self) {
        self.distrusted_until = self.newest();
        let sacked = std::mem::take(&mut self.sacked);
        let Self { flight, tally, .. } = self;
        for (start, end) in sacked.iter() {
            flight.for_range(start, end, |piece| tally.mark_lost(piece));
        }
    }

    /// The start of the first segment in flight.
    fn first_in_flight(&self) -> Option<u64> {
        let sent = self.tally.departures.in_flight();
        let starts = sent.filter_map(|(serial, sent)| {
            let pieces = self.flight.iter_from(sent.start);
            let mut own = pieces.take_while(|piece| piece.start < sent.end);
            own.find(|piece| piece.fate == Fate::InFlight && piece.serial == serial)
        });
        starts.map(|piece| piece.start).min()
    }

    /// The start of the flight; zero if it is empty.
    pub(crate) fn oldest(&self) -> u64 {
        self.flight.first().map_or(0, |first| first.start)
    }

    fn newest(&self) -> u64 {
        self.flight.last().map_or(0, |last| last.end)
    }

    /// Judges segments of more than `mss` bytes lost, since they cannot have arrived. Returns
    /// whether there was one.
    pub(crate) fn judge_larger(&mut self, mss: u32) -> bool {
        let mut any = false;
        let Self { flight, tally, .. } = self;
        flight.for_each(|piece| {
            if piece.fate == Fate::InFlight && piece.len() > u64::from(mss) {
                tally.lose(piece);
                any = true;
            }
        });
        any
    }

    /// The next range to retransmit: at most `max` bytes, all of one transmission.
    pub(crate) fn next_retransmission(&self, max: u64) -> Option<(u64, u64)> {
        let (start, _) = self.tally.lost.iter().next()?;
        let end = self.flight.iter_from(start).next()?.end;
        Some((start, end.min(start.saturating_add(max))))
    }

    /// Whether nothing is outstanding.
    pub(crate) fn is_empty(&self) -> bool {
        self.flight.is_empty()
    }

    /// Bytes assumed to be in the network (RFC 6675 pipe).
    pub(crate) fn in_flight(&self) -> u64 {
        self.tally.in_flight
    }

    /// Whether the outstanding data is one segment of at most `mss` bytes.
    pub(crate) fn is_single(&self, mss: u32) -> bool {
        self.flight.segments() == 1 && self.in_flight() <= u64::from(mss)
    }

    /// Bytes in flight that were judged lost and have been sent again.
    pub(crate) fn in_flight_again(&self) -> u64 {
        self.tally.in_flight_again
    }

    /// Whether the peer has reneged: it does not acknowledge data now that it reported before
    /// (RFC 2018 8).
    pub(crate) fn is_reneged(&self) -> bool {
        let oldest = self.flight.first();
        oldest.is_some_and(|piece| piece.fate == Fate::Sacked)
    }

    /// Bytes that the peer holds out of order.
    pub(crate) fn sacked(&self) -> u64 {
        self.sacked.covered_bytes()
    }

    /// Bytes judged lost and not yet sent again.
    pub(crate) fn lost(&self) -> u64 {
        self.tally.lost.covered_bytes()
    }

    /// Bytes judged lost during the connection's lifetime, counted once per transmission.
    pub(crate) fn lost_ever(&self) -> u64 {
        self.tally.lost_ever
    }

    /// The number of the last transmission.
    pub(crate) fn last_serial(&self) -> u64 {
        self.tally.departures.last_serial()
    }

    /// No transmission with a lower number is in flight.
    pub(crate) fn oldest_serial(&self) -> u64 {
        self.tally.departures.next_serial()
    }

    /// Sets whether losses are recorded until they are [taken](Self::take_losses).
    pub(crate) fn remember_losses(&mut self, wanted: bool) {
        self.tally.losses = wanted.then(Vec::new);
    }

    /// Takes the losses recorded since the last call.
    pub(crate) fn take_losses(&mut self) -> Vec<Loss> {
        let losses = self.tally.losses.as_mut();
        losses.map(std::mem::take).unwrap_or_default()
    }

    const fn new() -> Self {
        Self {
            flight: Flight::new(),
            sacked: RangeSet::new(),
            tally: Tally::new(),
            highest: 0,
            judged: 0,
            distrusted_until: 0,
            taken_back_until: 0,
        }
    }

    fn judge_below(&mut self, boundary: u64) -> bool {
        if boundary <= self.judged {
            return false;
        }
        let mut any = false;
        let Self {
            flight,
            tally,
            judged,
            ..
        } = self;
        flight.for_range(*judged, boundary, |piece| {
            if piece.fate == Fate::InFlight && !piece.retransmitted {
                tally.lose(piece);
                any = true;
            }
        });
        *judged = boundary;
        any
    }
}

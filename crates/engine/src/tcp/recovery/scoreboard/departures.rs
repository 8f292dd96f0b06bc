//! What went out, in the order of time: every transmission since the oldest of which something is not acknowledged.
//!
//! Transmissions are numbered without a gap, so that a number is a place, and each knows how much of it is in flight. So
//! nobody has to look for it among the segments.

use std::collections::VecDeque;

use super::work::Work;
use crate::tcp::recovery::rack::Transmission;
use crate::time::Instant;

/// Transmissions looked at for the last one in flight; beyond, an earlier one's deadline serves.
const LOOK_BACK: u64 = 64;

/// Transmissions kept allocated when there is none.
const IDLE_CAPACITY: usize = 8;

/// What went out in one piece.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Departure {
    pub(crate) at: Instant,
    /// What is before it has been judged.
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Bytes in flight, and bytes not acknowledged, that have not gone out again since.
    in_flight: u64,
    outstanding: u64,
}

#[derive(Debug)]
pub(crate) struct Departures {
    order: VecDeque<Departure>,
    /// Number of the last.
    last: u64,
    /// No transmission before that number is in flight.
    next: u64,
    /// Between these two, without the first, none is in flight: found by who looked for the last
    /// one. What arrives against the order of time would else be looked at again with every
    /// acknowledgment.
    gap: (u64, u64),
    pub(crate) work: Work,
}

impl Departures {
    pub(crate) const fn new() -> Self {
        Self {
            order: VecDeque::new(),
            last: 0,
            next: 1,
            gap: (0, 0),
            work: Work::new(),
        }
    }

    /// `start..end` goes out. Returns the number.
    pub(crate) fn push(&mut self, at: Instant, start: u64, end: u64) -> u64 {
        self.order.push_back(Departure {
            at,
            start,
            end,
            in_flight: 0,
            outstanding: 0,
        });
        self.last += 1;
        self.last
    }

    /// So many bytes belong to transmission `serial` from now on.
    pub(crate) fn take(&mut self, serial: u64, bytes: u64) {
        if let Some(departure) = self.get_mut(serial) {
            departure.outstanding += bytes;
        }
    }

    /// They do no longer: they are acknowledged, or go out again.
    pub(crate) fn release(&mut self, serial: u64, bytes: u64) {
        if let Some(departure) = self.get_mut(serial) {
            departure.outstanding -= bytes;
        }
    }

    /// The bytes of `serial` from `start` on are in flight from now on.
    pub(crate) fn enter_flight(&mut self, serial: u64, start: u64, bytes: u64) {
        if let Some(departure) = self.get_mut(serial) {
            departure.start = departure.start.min(start);
            departure.in_flight += bytes;
            self.next = self.next.min(serial);
            if self.gap.0 < serial && serial < self.gap.1 {
                self.gap.0 = serial;
            }
        }
    }

    /// So many bytes of `serial` are in flight no longer.
    pub(crate) fn leave_flight(&mut self, serial: u64, bytes: u64) {
        if let Some(departure) = self.get_mut(serial) {
            departure.in_flight -= bytes;
        }
    }

    /// Forgets the oldest of which nothing is outstanding.
    pub(crate) fn forget_done(&mut self) {
        while self.order.front().is_some_and(|d| d.outstanding == 0) {
            self.order.pop_front();
        }
        self.next = self.next.max(self.first_serial());
        if self.order.is_empty() && self.order.capacity() > IDLE_CAPACITY * 32 {
            self.order.shrink_to(IDLE_CAPACITY);
        }
    }

    /// The first transmission that is in flight, if it was sent before `newest`, at least in part.
    pub(crate) fn first_before(&mut self, newest: Transmission) -> Option<(u64, Departure)> {
        loop {
            let departure = *self.get(self.next)?;
            if !is_before(self.next, &departure, newest) {
                return None;
            }
            if departure.in_flight > 0 {
                return Some((self.next, departure));
            }
            self.next += 1;
        }
    }

    /// The first transmission that is in flight.
    pub(crate) fn first(&mut self) -> Option<(u64, Departure)> {
        loop {
            let departure = *self.get(self.next)?;
            if departure.in_flight > 0 {
                return Some((self.next, departure));
            }
            self.next += 1;
        }
    }

    /// Those that are in flight.
    pub(crate) fn in_flight(&self) -> impl Iterator<Item = (u64, &Departure)> {
        let first = self.next.saturating_sub(self.first_serial());
        let numbered = (self.next..).zip(self.order.range(first as usize..));
        numbered.filter(|(_, departure)| departure.in_flight > 0)
    }

    /// The first transmission that is in flight has been judged up to `end`.
    pub(crate) fn judged(&mut self, end: u64) {
        let next = self.next;
        if let Some(departure) = self.get_mut(next) {
            departure.start = end;
            if end >= departure.end {
                self.next += 1;
            }
        }
    }

    /// When the last transmission before `newest` went out, of those that are in flight.
    pub(crate) fn last_before(&mut self, newest: Transmission) -> Option<Instant> {
        let partly = |d: &Departure| is_before(newest.serial, d, newest);
        let end = newest.serial + u64::from(self.get(newest.serial).is_some_and(partly));
        let mut serial = end;
        for _ in 0..LOOK_BACK {
            if self.gap.0 < serial && serial <= self.gap.1 {
                serial = self.gap.0 + 1;
            }
            serial = serial.saturating_sub(1);
            if serial < self.next {
                break;
            }
            if let Some(departure) = self.get(serial).filter(|d| d.in_flight > 0).copied() {
                self.gap = (serial, end);
                return Some(departure.at);
            }
        }
        self.gap = (serial.max(self.next), end);
        self.get(self.next).map(|departure| departure.at)
    }

    /// Number of the last transmission.
    pub(crate) fn last_serial(&self) -> u64 {
        self.last
    }

    /// No transmission before that number is in flight.
    pub(crate) fn next_serial(&self) -> u64 {
        self.next
    }

    fn first_serial(&self) -> u64 {
        self.last + 1 - self.order.len() as u64
    }

    fn get(&self, serial: u64) -> Option<&Departure> {
        self.work.note();
        let index = serial.checked_sub(self.first_serial())?;
        self.order.get(index as usize)
    }

    fn get_mut(&mut self, serial: u64) -> Option<&mut Departure> {
        let index = serial.checked_sub(self.first_serial())?;
        self.order.get_mut(index as usize)
    }
}

/// Whether a transmission was sent, at least in part, before `newest`.
fn is_before(serial: u64, departure: &Departure, newest: Transmission) -> bool {
    (departure.at, serial) < (newest.at, newest.serial)
        || serial == newest.serial && departure.start < newest.end
}

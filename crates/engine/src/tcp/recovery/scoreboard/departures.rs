//! Transmissions in the order of time, beginning with the oldest that has unacknowledged data.
//!
//! Transmissions have consecutive numbers, so that the number of a transmission gives its place in
//! the queue. Each transmission records how much of it is in flight, so that the segments need not
//! be searched.

use std::collections::VecDeque;

use super::work::Work;
use crate::tcp::recovery::rack::Transmission;
use crate::time::Instant;

/// The maximum number of transmissions examined to find the last one in flight; after that, the
/// deadline of an earlier one is used.
const LOOK_BACK: u64 = 64;

/// Transmissions kept allocated when the queue is empty.
const IDLE_CAPACITY: usize = 8;

/// A transmission: the data that was sent in one piece.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Departure {
    pub(crate) at: Instant,
    /// All data of the transmission before this position has been judged.
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Bytes in flight that have not been sent again since.
    in_flight: u64,
    /// Bytes not acknowledged that have not been sent again since.
    outstanding: u64,
}

#[derive(Debug)]
pub(crate) struct Departures {
    order: VecDeque<Departure>,
    /// The number of the last transmission.
    last: u64,
    /// No transmission with a lower number is in flight.
    next: u64,
    /// No transmission strictly between these two numbers is in flight, as a search for the last
    /// one has found. Without this record, data that arrives against the order of time would cause
    /// the same transmissions to be examined again with every acknowledgment.
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

    /// Records a transmission of `start..end`. Returns its number.
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

    /// Adds outstanding bytes to transmission `serial`.
    pub(crate) fn take(&mut self, serial: u64, bytes: u64) {
        if let Some(departure) = self.get_mut(serial) {
            departure.outstanding += bytes;
        }
    }

    /// Removes outstanding bytes from transmission `serial`: they were acknowledged, or are sent
    /// again.
    pub(crate) fn release(&mut self, serial: u64, bytes: u64) {
        if let Some(departure) = self.get_mut(serial) {
            departure.outstanding -= bytes;
        }
    }

    /// Records that bytes of `serial`, from `start` on, are now in flight.
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

    /// Records that bytes of `serial` are no longer in flight.
    pub(crate) fn leave_flight(&mut self, serial: u64, bytes: u64) {
        if let Some(departure) = self.get_mut(serial) {
            departure.in_flight -= bytes;
        }
    }

    /// Removes the oldest transmissions that have no outstanding bytes.
    pub(crate) fn forget_done(&mut self) {
        while self.order.front().is_some_and(|d| d.outstanding == 0) {
            self.order.pop_front();
        }
        self.next = self.next.max(self.first_serial());
        if self.order.is_empty() && self.order.capacity() > IDLE_CAPACITY * 32 {
            self.order.shrink_to(IDLE_CAPACITY);
        }
    }

    /// The first transmission in flight, if at least part of it was sent before `newest`.
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

    /// The first transmission in flight.
    pub(crate) fn first(&mut self) -> Option<(u64, Departure)> {
        loop {
            let departure = *self.get(self.next)?;
            if departure.in_flight > 0 {
                return Some((self.next, departure));
            }
            self.next += 1;
        }
    }

    /// The transmissions in flight, with their numbers.
    pub(crate) fn in_flight(&self) -> impl Iterator<Item = (u64, &Departure)> {
        let first = self.next.saturating_sub(self.first_serial());
        let numbered = (self.next..).zip(self.order.range(first as usize..));
        numbered.filter(|(_, departure)| departure.in_flight > 0)
    }

    /// Records that the first transmission in flight has been judged up to `end`.
    pub(crate) fn judged(&mut self, end: u64) {
        let next = self.next;
        if let Some(departure) = self.get_mut(next) {
            departure.start = end;
            if end >= departure.end {
                self.next += 1;
            }
        }
    }

    /// The time of the last transmission in flight before `newest`, or of an earlier one if the
    /// search for it ends at its limit.
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

    /// The number of the last transmission.
    pub(crate) fn last_serial(&self) -> u64 {
        self.last
    }

    /// No transmission with a lower number is in flight.
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

/// Whether at least part of a transmission was sent before `newest`.
fn is_before(serial: u64, departure: &Departure, newest: Transmission) -> bool {
    (departure.at, serial) < (newest.at, newest.serial)
        || serial == newest.serial && departure.start < newest.end
}

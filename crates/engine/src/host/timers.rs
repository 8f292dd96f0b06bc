//! Timers: due times and the actions of timers.

use std::time::Duration;

use super::Stack;
use crate::table::place::Place;
use crate::tcp::connection::Outcome;
use crate::tcp::listen::half_open::Decision;
use crate::time::Instant;
use crate::timer::{Fired, Present};

/// A connection whose timer waits for what has not been handed over is looked at again after that.
const UNHEARD: Duration = Duration::from_millis(1);

/// Maximum number of timers that one call of `handle_timeout` processes; a fraction of a
/// millisecond of work.
const TIMEOUT_STEPS: usize = 1024;

impl Stack {
    /// Fires the due timers. Hand in the packets that have arrived first: a timer may be waiting
    /// for them.
    ///
    /// The work of one call is bounded by 1024 timers that fire or are sorted, and as many
    /// connections whose TIME-WAIT or FIN-WAIT-2 ends. If more timers are due,
    /// [`poll_timeout`](Self::poll_timeout) reports it: hand in the packets that have arrived in
    /// the meantime, and call again.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout_heard(now, now);
    }

    /// Fires timers as [`handle_timeout`](Self::handle_timeout) does, if all packets that arrived
    /// before `heard` have been handed in and later ones may still wait. Timers of retransmissions
    /// and probes, which mean that something has not arrived, fire only if they were due by
    /// `heard`: otherwise a waiting packet may be the one that stops them. All other timers fire if
    /// they are due by `now`.
    pub fn handle_timeout_heard(&mut self, now: Instant, heard: Instant) {
        let present = Present {
            now,
            heard: heard.min(now),
        };
        let mut steps = TIMEOUT_STEPS;
        while let Some(key) = self.wheel.expire_within(now, &mut steps) {
            match Place::from_key(key) {
                Place::Connection(index) => self.on_connection_timeout(present, index),
                Place::HalfOpen(index) => self.on_half_open_timeout(present, index),
                Place::Reassembly(index) => {
                    self.reassembly
                        .on_timeout(index, &mut self.wheel, &mut self.counters);
                }
                Place::Membership => self.on_membership_timer(now),
                // These records have no timers.
                Place::TimeWait(_) => {}
            }
        }
        self.expire_records(now, TIMEOUT_STEPS);
    }

    /// The time at which to call [`handle_timeout`](Self::handle_timeout), unless another call
    /// precedes it.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let record = self.records.first(&self.demux.time_wait);
        self.wheel
            .next_deadline()
            .into_iter()
            .chain(record.map(|(_, ends_at)| ends_at))
            .min()
    }

    fn on_connection_timeout(&mut self, present: Present, index: u32) {
        if let Some(connection) = self.demux.connections.at_mut(index) {
            connection.filed = None;
        }
        self.with_connection(present.now, index, |tcb, cx| {
            let mut fired = Fired::default();
            while let Some(kind) = tcb.timers.take_due(present, &mut fired) {
                let outcome = tcb.on_timeout(kind, cx);
                if outcome != Outcome::Alive {
                    return outcome;
                }
            }
            debug_assert_eq!(fired.put_off(), 0, "a timer did nothing");
            cx.counters.timers_put_off += u64::from(fired.put_off());
            Outcome::Alive
        });
        self.file_later(present.now, index);
    }

    /// Looks later again at a deadline that has passed and waits for unread packets. It stays filed
    /// under its own time, so that no step on the connection in the meantime files it anew.
    fn file_later(&mut self, now: Instant, index: u32) {
        if let Some(connection) = self.demux.connections.at_mut(index)
            && let Some((timer, deadline)) = connection.filed
            && deadline <= now
        {
            self.wheel.rearm(timer, now + UNHEARD);
        }
    }

    fn on_half_open_timeout(&mut self, present: Present, index: u32) {
        let Present { now, heard } = present;
        let Some(half_open) = self.demux.half_open.at_mut(index) else {
            return;
        };
        half_open.timer = None;
        let Some(listener) = self.listeners.get(half_open.listener) else {
            return;
        };
        let waits_for_peer = half_open.decision != Decision::Asked;
        if waits_for_peer && half_open.sent_at + half_open.timeout(&listener.options) > heard {
            let key = Place::HalfOpen(index).key();
            half_open.timer = Some(self.wheel.insert(now + UNHEARD, key));
        } else {
            self.on_unanswered(now, index);
        }
    }

    /// Keeps the connection's only wheel entry at its earliest deadline. An entry whose deadline
    /// has moved later stays in place and is filed again when it fires; a connection without
    /// deadlines has no entry.
    pub(crate) fn file_timer(&mut self, index: u32) {
        let Some(connection) = self.demux.connections.at_mut(index) else {
            return;
        };
        let key = Place::Connection(index).key();
        match (connection.tcb.timers.earliest(), connection.filed) {
            (Some(deadline), None) => {
                connection.filed = Some((self.wheel.insert(deadline, key), deadline));
            }
            (Some(deadline), Some((timer, filed))) if deadline < filed => {
                self.wheel.rearm(timer, deadline);
                connection.filed = Some((timer, deadline));
            }
            (None, Some((timer, _))) => {
                self.wheel.cancel(timer);
                connection.filed = None;
            }
            _ => {}
        }
    }
}

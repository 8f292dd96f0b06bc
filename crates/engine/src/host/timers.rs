//! Timers: due times and the actions of timers.

use super::Stack;
use super::demux::Place;
use crate::tcp::connection::Outcome;
use crate::time::Instant;
use crate::timer::Fired;

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
        let mut steps = TIMEOUT_STEPS;
        while let Some(key) = self.wheel.expire_within(now, &mut steps) {
            match Place::from_key(key) {
                Place::Connection(index) => self.on_connection_timeout(now, index),
                Place::HalfOpen(index) => self.on_half_open_timeout(now, index),
                Place::Reassembly(index) => self.on_reassembly_timeout(index),
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
        let record = self.records.next_end(&self.demux);
        self.wheel.next_deadline().into_iter().chain(record).min()
    }

    fn on_connection_timeout(&mut self, now: Instant, index: u32) {
        if let Some(connection) = self.demux.connections.at_mut(index) {
            connection.filed = None;
        }
        self.with_connection(now, index, |tcb, cx| {
            let mut fired = Fired::default();
            while let Some(kind) = tcb.timers.take_due(now, &mut fired) {
                let outcome = tcb.on_timeout(kind, cx);
                if outcome != Outcome::Alive {
                    return outcome;
                }
            }
            debug_assert_eq!(fired.put_off(), 0, "a timer did nothing");
            cx.counters.timers_put_off += u64::from(fired.put_off());
            Outcome::Alive
        });
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

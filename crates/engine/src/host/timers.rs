//! Timers: when something is due, and what fires then.

use super::Stack;
use super::demux::Place;
use crate::tcp::connection::Outcome;
use crate::time::Instant;
use crate::timer::Fired;

/// Timers that one call of `handle_timeout` works off at the most, a fraction of a millisecond's
/// work.
const TIMEOUT_STEPS: usize = 1024;

impl Stack {
    /// Fires the timers that are due. What has arrived before comes first: it may be what a timer waits for.
    ///
    /// The work of one call is bounded, by 1024 timers that fire or are sorted and as many
    /// connections whose TIME-WAIT or FIN-WAIT-2 is over. If more is due
    /// [`poll_timeout`](Self::poll_timeout) says so: take in what has arrived meanwhile, and call
    /// again.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut steps = TIMEOUT_STEPS;
        while let Some(key) = self.wheel.expire_within(now, &mut steps) {
            match Place::from_key(key) {
                Place::Connection(index) => self.on_connection_timeout(now, index),
                Place::HalfOpen(index) => self.on_half_open_timeout(now, index),
                Place::Reassembly(index) => self.on_reassembly_timeout(index),
                // They have no timers.
                Place::TimeWait(_) => {}
            }
        }
        self.expire_records(now, TIMEOUT_STEPS);
    }

    /// When [`handle_timeout`](Self::handle_timeout) should be called, unless something else happens before.
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

    /// Keeps the connection's one wheel entry at its earliest deadline. A deadline that moved later
    /// stays filed where it is and is filed again when that fires; none at all leaves no entry.
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

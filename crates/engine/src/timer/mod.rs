//! Timers: the wheel that all of a stack's share, and the table of deadlines that each connection has.
//!
//! A connection arms and cancels its timers in its own table ([`Deadlines`]), which costs a store.
//! The stack files one entry on the [`Wheel`](wheel::Wheel) for it, at the earliest of them.

pub(crate) mod wheel;

use crate::time::Instant;

/// The timers of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimerKind {
    /// What was overtaken is due, or the tail is to be probed (RFC 8985 6.3, 7.2): before the
    /// retransmission timer, also at the same instant.
    LossProbe,
    /// Retransmission of the oldest segment outstanding (RFC 6298, RFC 9293 3.8.1).
    Retransmit,
    /// Probing of a window that is closed or too small to use (RFC 9293 3.8.6.1).
    Persist,
    /// An acknowledgment that waits for company (RFC 9293 3.8.6.3).
    DelayedAck,
    /// Probing of a connection on which nothing happens (RFC 9293 3.8.4).
    Keepalive,
    /// The peer's FIN after ours, on a connection the application has let go of: FIN-WAIT-2 has no
    /// timer in RFC 9293 (3.6), but no state may last for ever without an owner.
    FinWait2,
    /// The limit on how long data may stay unacknowledged (RFC 5482, RFC 9293 3.8.3).
    UserTimeout,
}

impl TimerKind {
    const ALL: [Self; 7] = [
        Self::LossProbe,
        Self::Retransmit,
        Self::Persist,
        Self::DelayedAck,
        Self::Keepalive,
        Self::FinWait2,
        Self::UserTimeout,
    ];
}

/// A deadline that is not set. The end of time never comes either.
const OFF: u64 = u64::MAX;

/// When each timer of one connection fires.
#[derive(Clone, Debug)]
pub(crate) struct Deadlines([u64; TimerKind::ALL.len()]);

impl Deadlines {
    /// Sets or moves a timer.
    pub(crate) fn arm(&mut self, kind: TimerKind, deadline: Instant) {
        self.0[kind as usize] = deadline.as_nanos();
    }

    /// Stops a timer, if it runs.
    pub(crate) fn cancel(&mut self, kind: TimerKind) {
        self.0[kind as usize] = OFF;
    }

    /// Stops all timers.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Stops and returns the timer that was due first, of those due at `now`.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<TimerKind> {
        let kind = self.first()?;
        let due = self.0[kind as usize] <= now.as_nanos();
        due.then(|| {
            self.cancel(kind);
            kind
        })
    }

    /// Whether a timer runs.
    pub(crate) fn is_armed(&self, kind: TimerKind) -> bool {
        self.0[kind as usize] != OFF
    }

    /// When a timer fires, if it runs.
    pub(crate) fn get(&self, kind: TimerKind) -> Option<Instant> {
        self.is_armed(kind)
            .then(|| Instant::from_nanos(self.0[kind as usize]))
    }

    /// When the first of the timers fires, if any runs.
    pub(crate) fn earliest(&self) -> Option<Instant> {
        self.get(self.first()?)
    }

    /// The timer that fires first.
    fn first(&self) -> Option<TimerKind> {
        TimerKind::ALL
            .into_iter()
            .filter(|&kind| self.is_armed(kind))
            .min_by_key(|&kind| self.0[kind as usize])
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self([OFF; TimerKind::ALL.len()])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Arm(usize, u64),
        Cancel(usize),
        Take(u64),
        Clear,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            6 => (0..TimerKind::ALL.len(), 0u64..50).prop_map(|(kind, at)| Op::Arm(kind, at)),
            2 => (0..TimerKind::ALL.len()).prop_map(Op::Cancel),
            4 => (0u64..50).prop_map(Op::Take),
            1 => Just(Op::Clear),
        ]
    }

    proptest! {
        #[test]
        fn the_table_behaves_as_a_map(ops in prop::collection::vec(op(), 1..60)) {
            let mut deadlines = Deadlines::default();
            let mut oracle = BTreeMap::new();
            for op in ops {
                match op {
                    Op::Arm(kind, at) => {
                        deadlines.arm(TimerKind::ALL[kind], Instant::from_nanos(at));
                        oracle.insert(kind, at);
                    }
                    Op::Cancel(kind) => {
                        deadlines.cancel(TimerKind::ALL[kind]);
                        oracle.remove(&kind);
                    }
                    Op::Take(now) => {
                        let first = oracle.values().min().copied().filter(|&at| at <= now);
                        let taken = deadlines.take_due(Instant::from_nanos(now));
                        let taken_at = taken.and_then(|kind| oracle.remove(&(kind as usize)));
                        prop_assert_eq!(taken_at, first);
                    }
                    Op::Clear => {
                        deadlines.clear();
                        oracle.clear();
                    }
                }
                for (index, kind) in TimerKind::ALL.into_iter().enumerate() {
                    let expected = oracle.get(&index).copied().map(Instant::from_nanos);
                    prop_assert_eq!(deadlines.get(kind), expected);
                    prop_assert_eq!(deadlines.is_armed(kind), expected.is_some());
                }
                let earliest = oracle.values().min().copied().map(Instant::from_nanos);
                prop_assert_eq!(deadlines.earliest(), earliest);
            }
        }
    }
}

//! Timers: the wheel shared by the whole stack, and the table of deadlines of each connection.
//!
//! A connection arms and cancels its timers in its own table ([`Deadlines`]), at the cost of a
//! store. The stack keeps one entry on the [`Wheel`](wheel::Wheel) for it, at the earliest
//! deadline.

pub(crate) mod wheel;

use std::time::Duration;

use crate::time::Instant;

/// The timers of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimerKind {
    /// Overtaken segments are due to be marked lost, or the tail is to be probed
    /// (RFC 8985 6.3, 7.2): before the retransmission timer, even at the same instant.
    LossProbe,
    /// Retransmission of the oldest outstanding segment (RFC 6298, RFC 9293 3.8.1).
    Retransmit,
    /// Probing of a window that is closed or too small to use (RFC 9293 3.8.6.1).
    Persist,
    /// A delayed acknowledgment (RFC 9293 3.8.6.3).
    DelayedAck,
    /// Probing of an idle connection (RFC 9293 3.8.4).
    Keepalive,
    /// The next segment is due (pacing).
    Pacing,
    /// The limit on the time for which data may stay unacknowledged (RFC 5482, RFC 9293 3.8.3).
    UserTimeout,
}

impl TimerKind {
    const ALL: [Self; 7] = [
        Self::LossProbe,
        Self::Retransmit,
        Self::Persist,
        Self::DelayedAck,
        Self::Keepalive,
        Self::Pacing,
        Self::UserTimeout,
    ];

    /// Whether the timer is about what has not come from the peer.
    const fn is_about_silence(self) -> bool {
        match self {
            Self::LossProbe
            | Self::Retransmit
            | Self::Persist
            | Self::Keepalive
            | Self::UserTimeout => true,
            Self::DelayedAck | Self::Pacing => false,
        }
    }
}

/// Times by which it is judged what is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Present {
    pub(crate) now: Instant,
    /// All that arrived before has been handed over. Timers about what has not come are due by this.
    pub(crate) heard: Instant,
}

impl Present {
    /// A timer of that kind is due if its deadline is not later.
    fn of(self, kind: TimerKind) -> Instant {
        if kind.is_about_silence() {
            self.heard
        } else {
            self.now
        }
    }
}

/// Delay of a timer that is due again at the instant at which it has fired.
const PUT_OFF: Duration = Duration::from_millis(10);

/// The timers of one connection that have fired at one instant. Each may fire once: its action
/// leaves it stopped or due later, and a deadline whose action has no effect must not keep the
/// stack processing it for ever.
#[derive(Debug, Default)]
pub(crate) struct Fired {
    kinds: u8,
    put_off: u32,
}

const _: () = assert!(TimerKind::ALL.len() <= u8::BITS as usize);

impl Fired {
    /// Number of timers that were due again at the same instant and were postponed. Each is a fault
    /// of this crate.
    pub(crate) fn put_off(&self) -> u32 {
        self.put_off
    }

    /// Notes a timer. Returns whether it had not fired before.
    fn insert(&mut self, kind: TimerKind) -> bool {
        let bit = 1 << kind as u8;
        let is_first = self.kinds & bit == 0;
        self.kinds |= bit;
        is_first
    }
}

/// A deadline that is not set. A deadline at the end of time never comes either.
const OFF: u64 = u64::MAX;

/// The deadline of each timer of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Deadlines([u64; TimerKind::ALL.len()]);

#[expect(clippy::indexing_slicing, reason = "a place for each kind")]
impl Deadlines {
    /// Sets or moves a timer.
    pub(crate) fn arm(&mut self, kind: TimerKind, deadline: Instant) {
        self.0[kind as usize] = deadline.as_nanos();
    }

    /// Stops a timer, if it is armed.
    pub(crate) fn cancel(&mut self, kind: TimerKind) {
        self.0[kind as usize] = OFF;
    }

    /// Stops all timers.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Stops and returns the timer that was due first, of those due at `present`. One that has fired at
    /// this moment is put off.
    pub(crate) fn take_due(&mut self, present: Present, fired: &mut Fired) -> Option<TimerKind> {
        loop {
            let kind = self.first_of(|kind, deadline| deadline <= present.of(kind))?;
            if fired.insert(kind) {
                self.cancel(kind);
                return Some(kind);
            }
            fired.put_off += 1;
            self.arm(kind, present.now + PUT_OFF);
        }
    }

    /// Whether a timer is armed.
    pub(crate) fn is_armed(&self, kind: TimerKind) -> bool {
        self.0[kind as usize] != OFF
    }

    /// The deadline of a timer, if it is armed.
    pub(crate) fn get(&self, kind: TimerKind) -> Option<Instant> {
        self.is_armed(kind)
            .then(|| Instant::from_nanos(self.0[kind as usize]))
    }

    /// The earliest deadline, if any timer is armed.
    pub(crate) fn earliest(&self) -> Option<Instant> {
        // For every packet: a minimum of numbers, without a branch for each kind.
        let earliest = self
            .0
            .iter()
            .fold(OFF, |least, &deadline| least.min(deadline));
        (earliest != OFF).then(|| Instant::from_nanos(earliest))
    }

    /// The timer that fires first, of those that `filter` picks by their deadlines.
    fn first_of(&self, filter: impl Fn(TimerKind, Instant) -> bool) -> Option<TimerKind> {
        let running = TimerKind::ALL
            .into_iter()
            .filter_map(|kind| Some((kind, self.get(kind)?)));
        let picked = running.filter(|&(kind, deadline)| filter(kind, deadline));
        let (kind, _) = picked.min_by_key(|&(_, deadline)| deadline)?;
        Some(kind)
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

    fn all_heard(now: Instant) -> Present {
        Present { now, heard: now }
    }

    #[test]
    fn what_is_about_silence_waits_for_what_is_not_heard() {
        let mut deadlines = Deadlines::default();
        let mut fired = Fired::default();
        for kind in TimerKind::ALL {
            deadlines.arm(kind, Instant::from_millis(5 + kind as u64));
        }
        let mut present = all_heard(Instant::from_millis(20));
        present.heard = Instant::from_millis(6);
        let take = |deadlines: &mut Deadlines, fired: &mut Fired| {
            std::iter::from_fn(|| deadlines.take_due(present, fired)).collect::<Vec<_>>()
        };
        assert_eq!(
            take(&mut deadlines, &mut fired),
            [
                TimerKind::LossProbe,
                TimerKind::Retransmit,
                TimerKind::DelayedAck,
                TimerKind::Pacing
            ]
        );
        assert_eq!(fired.put_off(), 0);
        assert_eq!(deadlines.earliest(), Some(Instant::from_millis(7)));
        let taken = deadlines.take_due(all_heard(Instant::from_millis(7)), &mut fired);
        assert_eq!(taken, Some(TimerKind::Persist));
    }

    #[test]
    fn a_timer_fires_once_at_a_moment() {
        let now = Instant::from_millis(5);
        let mut deadlines = Deadlines::default();
        let mut fired = Fired::default();
        deadlines.arm(TimerKind::Keepalive, now);
        assert_eq!(
            deadlines.take_due(all_heard(now), &mut fired),
            Some(TimerKind::Keepalive)
        );
        deadlines.arm(TimerKind::Keepalive, now);
        deadlines.arm(TimerKind::Persist, now);
        assert_eq!(
            deadlines.take_due(all_heard(now), &mut fired),
            Some(TimerKind::Persist)
        );
        assert_eq!(deadlines.take_due(all_heard(now), &mut fired), None);
        assert_eq!(fired.put_off(), 1);
        assert_eq!(deadlines.earliest(), Some(now + PUT_OFF));
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
                        let now = Instant::from_nanos(now);
                        let taken = deadlines.take_due(all_heard(now), &mut Fired::default());
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

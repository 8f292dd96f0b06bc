//! Timers that are due while something waits to be read.
//!
//! A timer is about what has not come. When a process, or its executor, has stood still for a while, packets wait that
//! came in time: in the device, or with a task that has not run since (the other end of a link in memory, whoever feeds a
//! device of packets). They are read before the timers fire, or what has long been acknowledged would be sent again. Not
//! for ever: who floods the device would stop all timers.

use std::time::Duration;

/// Turns of the driver for which timers wait on a busy device.
const TURNS: u8 = 4;

/// The same after a standstill. A kernel keeps 500 packets for a TUN interface, of which a turn takes 16 or more.
const TURNS_HELD_UP: u8 = 32;

/// A driver's timer that comes so late was held up, and other tasks were, too. Otherwise it is late by a millisecond, in which
/// the runtime counts, and by a turn of the executor.
const HELD_UP: Duration = Duration::from_millis(5);

/// A driver's timer that comes so late tells of a standstill: how long what is read now has waited
/// is unknown. What is late by less makes a round trip longer by no more than a busy machine does,
/// and where the machine is busy for long, that belongs to the round trip.
const STANDSTILL: Duration = Duration::from_millis(100);

/// Whether who reads packets has stood still, when the driver's timer is so late.
pub(crate) fn is_standstill(late: Duration) -> bool {
    late > STANDSTILL
}

/// How long timers have waited.
#[derive(Debug, Default)]
pub(crate) struct Overdue {
    turns: u8,
    /// More were due together than the engine works off in one go: the rest is late for no other
    /// reason.
    working_off: bool,
}

impl Overdue {
    /// At the end of a turn, timers have been due for so long. Tells whether they wait for another turn; the device may have
    /// `more`, or other tasks get to run before it.
    pub(crate) fn waits(&mut self, late: Duration, more: bool) -> bool {
        let held_up = late > HELD_UP && !self.working_off;
        let most = match (more, held_up) {
            (true, true) => TURNS_HELD_UP,
            (true, false) | (false, true) => TURNS,
            (false, false) => 0,
        };
        let waits = self.turns < most;
        self.turns = if waits { self.turns + 1 } else { 0 };
        waits
    }

    /// Timers have fired, and some are still due if there are `more`.
    pub(crate) fn have_fired(&mut self, more: bool) {
        self.working_off = more;
    }

    /// At the end of a turn, no timer is due.
    pub(crate) fn none_is_due(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: Duration = Duration::from_millis(500);

    /// Turns for which timers wait when nothing changes.
    fn turns(late: Duration, more: bool) -> usize {
        let mut overdue = Overdue::default();
        (0..1000).take_while(|_| overdue.waits(late, more)).count()
    }

    #[test]
    fn timers_wait_for_what_is_there_and_not_for_ever() {
        assert_eq!(turns(Duration::ZERO, false), 0);
        assert_eq!(turns(Duration::ZERO, true), usize::from(TURNS));
        assert_eq!(turns(LATE, false), usize::from(TURNS));
        assert_eq!(turns(LATE, true), usize::from(TURNS_HELD_UP));
    }

    #[test]
    fn timers_that_are_worked_off_do_not_wait_for_other_tasks_and_let_packets_come_between() {
        let mut overdue = Overdue::default();
        for _ in 0..TURNS {
            assert!(overdue.waits(LATE, false));
        }
        assert!(!overdue.waits(LATE, false));
        overdue.have_fired(true);
        assert!(!overdue.waits(LATE, false));
        overdue.have_fired(true);
        let waited = (0..1000).take_while(|_| overdue.waits(LATE, true)).count();
        assert_eq!(waited, usize::from(TURNS));
        overdue.have_fired(false);
        assert!(overdue.waits(LATE, false), "a standstill again");
    }

    #[test]
    fn timers_that_have_fired_or_are_none_wait_anew() {
        let mut overdue = Overdue::default();
        for _ in 0..2 {
            for _ in 0..TURNS {
                assert!(overdue.waits(LATE, false));
            }
            assert!(!overdue.waits(LATE, false));
        }
        assert!(overdue.waits(LATE, false));
        overdue.none_is_due();
        for _ in 0..TURNS {
            assert!(overdue.waits(LATE, false));
        }
    }
}

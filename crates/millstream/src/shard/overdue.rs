//! How long a timer that is due waits for packets that may have arrived in time.
//!
//! A timer means that something has not arrived. If an executor has more work than it can do, or
//! has stood still, packets that arrived in time wait to be read. So do the tasks that would have
//! sent them: the other end of a link in memory, or the task that feeds a device of packets. If
//! timers fired then, data that was acknowledged long ago would be sent again. So the engine is
//! told the time up to which everything that arrived has been taken from the device
//! ([`Receiver::heard`](crate::io::receive::Receiver::heard)), less the time granted to other tasks
//! here. Timers that were due later do not fire. Timers that concern only the present, of delayed
//! acknowledgments and of pacing, do not wait.
//!
//! No timer is postponed for ever: packets that arrive after it was due do not postpone it, and the
//! time that is granted has a limit.

use std::time::Duration;

use millstream_engine::Instant;

/// A driver's timer that is later than this shows a standstill: it is unknown how long the packets
/// read now have waited. A shorter delay makes a round trip no longer than a busy machine does, and
/// if a machine is busy for long, the delay belongs to the round trip.
const STANDSTILL: Duration = Duration::from_millis(100);

/// The precision of the runtime's timers: a timer that is late by no more was not delayed.
const RUNTIME_TICK: Duration = Duration::from_millis(1);

/// Turns granted to other tasks: their driver reads what we sent, lets its applications run, and
/// sends, and it may have other work before that, as we had.
const GRANTED_TURNS: u32 = 4;

/// The maximum time granted to other tasks beyond our own lag.
const MAX_GRANTED: Duration = Duration::from_secs(1);

/// Whether the reading of packets has stood still, given how late the driver's timer is.
pub(crate) fn is_standstill(late: Duration) -> bool {
    late > STANDSTILL
}

/// The lag with which the driver runs, and with which, as far as it knows, other tasks run.
#[derive(Debug, Default)]
pub(crate) struct Lag {
    /// The longest recent lag.
    longest: Duration,
    /// The time at which it is forgotten.
    until: Instant,
}

impl Lag {
    /// Records how late a timer is in this turn, and how long the first packet read has waited.
    pub(crate) fn note(&mut self, now: Instant, late: Duration, waited: Duration) {
        let lag = late.saturating_sub(RUNTIME_TICK).max(waited);
        if lag >= self.longest || now >= self.until {
            self.longest = lag;
            self.until = now + (lag * GRANTED_TURNS).min(MAX_GRANTED);
        }
    }

    /// The time after which packets may still be missing because other tasks are as late as the
    /// driver.
    pub(crate) fn horizon(&self, now: Instant) -> Instant {
        let granted = (self.longest * GRANTED_TURNS).min(self.longest + MAX_GRANTED);
        Instant::ZERO + (now - Instant::ZERO).saturating_sub(granted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    const NOW: Instant = Instant::from_millis(100_000);

    fn granted(lag: &Lag, now: Instant) -> Duration {
        now - lag.horizon(now)
    }

    #[test]
    fn a_driver_that_runs_in_time_grants_nothing() {
        let mut lag = Lag::default();
        lag.note(NOW, RUNTIME_TICK, Duration::ZERO);
        assert_eq!(granted(&lag, NOW), Duration::ZERO);
    }

    #[test]
    fn a_late_driver_grants_other_tasks_a_few_turns() {
        for (late, waited) in [(11 * MS, Duration::ZERO), (RUNTIME_TICK, 10 * MS)] {
            let mut lag = Lag::default();
            lag.note(NOW, late, waited);
            assert_eq!(granted(&lag, NOW), 40 * MS);
            lag.note(NOW + 39 * MS, Duration::ZERO, MS);
            assert_eq!(granted(&lag, NOW), 40 * MS);
            lag.note(NOW + 40 * MS, Duration::ZERO, MS);
            assert_eq!(granted(&lag, NOW), 4 * MS);
        }
    }

    #[test]
    fn the_granted_time_has_a_limit() {
        let mut lag = Lag::default();
        lag.note(NOW, 20_000 * MS, 60_000 * MS);
        assert_eq!(granted(&lag, NOW), 60_000 * MS + MAX_GRANTED);
        assert_eq!(lag.horizon(Instant::from_millis(3)), Instant::ZERO);
        lag.note(NOW + MAX_GRANTED, Duration::ZERO, Duration::ZERO);
        assert_eq!(granted(&lag, NOW), Duration::ZERO);
    }
}

//! How long a timer that is due waits for what may have come in time.
//!
//! A timer is about what has not come. When an executor has more to do than it can, or has stood still, packets wait that
//! came in time, and so do tasks that would have sent them: the other end of a link in memory, or whoever feeds a device of
//! packets. If the timers fired, what has long been acknowledged would be sent again. So the engine is told up to when
//! all that arrived has been taken from the device ([`Receiver::heard`](crate::io::receive::Receiver::heard)), less what is
//! granted to others here, and has no timer fire that was due later. Timers that are about the present, of a delayed
//! acknowledgment or of pacing, do not wait.
//!
//! Nobody puts timers off for ever: what arrives after a timer was due is not waited for, and what is granted has a limit.

use std::time::Duration;

use millstream_engine::Instant;

/// A driver's timer that comes so late tells of a standstill: how long what is read now has waited
/// is unknown. What is late by less makes a round trip longer by no more than a busy machine does,
/// and where the machine is busy for long, that belongs to the round trip.
const STANDSTILL: Duration = Duration::from_millis(100);

/// Timers of the runtime count in milliseconds: one that comes so late was not held up.
const RUNTIME_TICK: Duration = Duration::from_millis(1);

/// Turns that others are granted: their driver reads what we sent, has its applications run, and
/// sends; and it may have other work before, as we had.
const GRANTED_TURNS: u32 = 4;

/// What others are granted at the most, beyond what we were late by ourselves.
const MAX_GRANTED: Duration = Duration::from_secs(1);

/// Whether who reads packets has stood still, when the driver's timer is so late.
pub(crate) fn is_standstill(late: Duration) -> bool {
    late > STANDSTILL
}

/// How late the driver gets to run, and so, as far as it can know, others.
#[derive(Debug, Default)]
pub(crate) struct Lag {
    /// The most of late.
    longest: Duration,
    /// It is forgotten then.
    until: Instant,
}

impl Lag {
    /// In this turn a timer comes so late, and the first packet to be read has waited for so long.
    pub(crate) fn note(&mut self, now: Instant, late: Duration, waited: Duration) {
        let lag = late.saturating_sub(RUNTIME_TICK).max(waited);
        if lag >= self.longest || now >= self.until {
            self.longest = lag;
            self.until = now + (lag * GRANTED_TURNS).min(MAX_GRANTED);
        }
    }

    /// What had not come by then may yet be on its way from others who are as late as we are.
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
    fn who_is_in_time_grants_nothing() {
        let mut lag = Lag::default();
        lag.note(NOW, RUNTIME_TICK, Duration::ZERO);
        assert_eq!(granted(&lag, NOW), Duration::ZERO);
    }

    #[test]
    fn who_is_late_grants_others_a_few_turns() {
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
    fn what_is_granted_has_a_limit() {
        let mut lag = Lag::default();
        lag.note(NOW, 20_000 * MS, 60_000 * MS);
        assert_eq!(granted(&lag, NOW), 60_000 * MS + MAX_GRANTED);
        assert_eq!(lag.horizon(Instant::from_millis(3)), Instant::ZERO);
        lag.note(NOW + MAX_GRANTED, Duration::ZERO, Duration::ZERO);
        assert_eq!(granted(&lag, NOW), Duration::ZERO);
    }
}

//! Timestamps of one connection (RFC 7323): the clock that its segments carry, the value to echo,
//! and the judgement of what is old by the peer's clock (PAWS).

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::time::Duration;

use crate::time::Instant;

/// More than this is not a round trip but an echo of a timestamp that this side never sent.
const LONGEST_ROUND_TRIP: Duration = Duration::from_secs(24 * 3600);

/// Idle time after which TS.Recent is invalid: the peer's clock may have wrapped (RFC 7323 5.5).
const VALIDITY: Duration = Duration::from_secs(24 * 24 * 3600);

/// Ticks of the peer's clock by which the timestamp of a connection's segment may be older than
/// TS.Recent. Such a segment was overtaken by a retransmission. If it were dropped, it would be
/// retransmitted next, and overtake the next one. An old duplicate would have to be as recent
/// although the sequence numbers have wrapped in the meantime. (Linux allows one tick.)
pub(crate) const OVERTAKEN: u32 = 16;

/// The same where no data is in flight that could have been overtaken: before a connection is
/// established, and after it has closed.
pub(crate) const NOTHING_OVERTAKEN: u32 = 0;

/// Whether a segment with the timestamp `value` is an old duplicate: more than `tolerance` ticks
/// older than TS.Recent (RFC 7323 5.2, 5.3 R1).
pub(crate) fn is_older(value: u32, recent: u32, tolerance: u32) -> bool {
    recent.wrapping_sub(tolerance).wrapping_sub(value) as i32 > 0
}

/// See the module. It has no meaning on a connection that does not use timestamps.
#[derive(Debug)]
pub(crate) struct TimestampState {
    /// Added to the clock, so that timestamps reveal nothing about the host.
    pub(crate) offset: u32,
    /// TS.Recent: the value to echo.
    pub(crate) recent: u32,
    /// Time at which TS.Recent was updated.
    pub(crate) recent_at: Instant,
}

impl TimestampState {
    /// The value to send at `now`.
    pub(crate) fn value(&self, now: Instant) -> u32 {
        value(now, self.offset)
    }

    /// Whether a segment with the timestamp `value` is an old duplicate.
    pub(crate) fn refuses(&self, value: u32, now: Instant) -> bool {
        is_older(value, self.recent, OVERTAKEN) && self.is_valid(now)
    }

    /// Takes TS.Recent from a segment, unless it is older.
    pub(crate) fn take(&mut self, value: u32, now: Instant) {
        if !is_older(value, self.recent, NOTHING_OVERTAKEN) || !self.is_valid(now) {
            self.recent = value;
            self.recent_at = now;
        }
    }

    fn is_valid(&self, now: Instant) -> bool {
        now - self.recent_at < VALIDITY
    }

    /// The time until `at` since this side sent the timestamp `echo`, if that is plausible.
    pub(crate) fn since(&self, echo: u32, at: Instant) -> Option<Duration> {
        let elapsed = Duration::from_millis(self.value(at).wrapping_sub(echo).into());
        let plausible = echo != 0 && elapsed < LONGEST_ROUND_TRIP;
        plausible.then(|| elapsed.max(Duration::from_millis(1)))
    }
}

/// The timestamp of a segment sent at `now`: a clock with a resolution of one millisecond.
pub(crate) fn value(now: Instant, offset: u32) -> u32 {
    (now.as_millis() as u32).wrapping_add(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_is_measured_on_the_circle_with_tolerance() {
        for recent in [0, 5, 1 << 31, u32::MAX] {
            let at = |age: u32| recent.wrapping_sub(age);
            assert!(!is_older(at(0), recent, NOTHING_OVERTAKEN));
            assert!(is_older(at(1), recent, NOTHING_OVERTAKEN));
            assert!(!is_older(at(OVERTAKEN), recent, OVERTAKEN));
            assert!(is_older(at(OVERTAKEN + 1), recent, OVERTAKEN));
            assert!(!is_older(recent.wrapping_add(1), recent, OVERTAKEN));
        }
    }

    #[test]
    fn after_weeks_of_silence_every_timestamp_is_new() {
        let mut state = TimestampState {
            offset: 0,
            recent: 1000,
            recent_at: Instant::ZERO,
        };
        assert!(state.refuses(900, Instant::ZERO));
        state.take(900, Instant::ZERO);
        assert_eq!(state.recent, 1000);
        let later = Instant::ZERO + VALIDITY;
        assert!(!state.refuses(900, later));
        state.take(900, later);
        assert_eq!(state.recent, 900);
    }
}

//! Timestamps of one connection (RFC 7323): the clock that its segments carry, and the value to
//! echo.

use std::time::Duration;

use crate::time::Instant;

/// More than this is not a round trip but an echo of a timestamp that this side never sent.
const LONGEST_ROUND_TRIP: Duration = Duration::from_secs(24 * 3600);

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

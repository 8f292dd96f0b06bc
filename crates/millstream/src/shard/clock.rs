//! Converts tokio's clock to the engine's: nanoseconds since the stack was created.
//!
//! Time is read from `tokio::time::Instant`, so that a runtime with a paused clock gives the whole
//! stack virtual time.

use std::time::Duration;

use millstream_engine::Instant;

/// Stands in for instants beyond the range of the runtime's clock.
const FAR_FUTURE: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// Converts between the runtime's instants and the engine's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: tokio::time::Instant,
}

impl Clock {
    /// Starts a clock whose origin is the present.
    pub(crate) fn start() -> Self {
        Self {
            origin: tokio::time::Instant::now(),
        }
    }

    /// The present in the engine's time.
    pub(crate) fn now(&self) -> Instant {
        Instant::ZERO + self.origin.elapsed()
    }

    /// Converts the runtime's instant to the engine's time. An instant before the clock's start
    /// becomes the origin.
    pub(crate) fn to_engine(self, instant: tokio::time::Instant) -> Instant {
        Instant::ZERO + instant.saturating_duration_since(self.origin)
    }

    /// Converts the engine's instant to the runtime's time.
    pub(crate) fn to_runtime(self, instant: Instant) -> tokio::time::Instant {
        self.origin
            .checked_add(instant - Instant::ZERO)
            .unwrap_or_else(|| self.origin + FAR_FUTURE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn follows_a_paused_clock_to_the_nanosecond() {
        let clock = Clock::start();
        assert_eq!(clock.now(), Instant::ZERO);
        tokio::time::advance(Duration::from_micros(1_500)).await;
        assert_eq!(clock.now(), Instant::from_micros(1_500));
        assert_eq!(clock.to_runtime(clock.now()), tokio::time::Instant::now());
        assert_eq!(clock.to_engine(tokio::time::Instant::now()), clock.now());
    }

    #[tokio::test(start_paused = true)]
    async fn an_instant_beyond_the_clock_is_far_but_finite() {
        let clock = Clock::start();
        let end = clock.to_runtime(Instant::from_nanos(u64::MAX));
        assert!(end > tokio::time::Instant::now() + Duration::from_secs(3600));
    }
}

//! The minimum round-trip time of the recent past. A limited window is necessary because a route
//! may become longer, and its old minimum would then never occur again.

/// Seconds in one period. The minimum of the current and the previous period is used, so that the
/// window covers between half and all of Linux's five minutes.
const PERIOD_SECONDS: u64 = 150;

/// A minimum over a window of time, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MinRtt {
    period: u32,
    current: u32,
    previous: u32,
}

impl Default for MinRtt {
    fn default() -> Self {
        Self {
            period: 0,
            current: u32::MAX,
            previous: u32::MAX,
        }
    }
}

impl MinRtt {
    /// Adds a measurement made `seconds` after the origin.
    pub(crate) fn sample(&mut self, seconds: u64, micros: u32) {
        let period = (seconds / PERIOD_SECONDS) as u32;
        if period != self.period {
            let follows = period == self.period.wrapping_add(1);
            self.previous = if follows { self.current } else { u32::MAX };
            self.current = u32::MAX;
            self.period = period;
        }
        self.current = self.current.min(micros);
    }

    /// The minimum; the largest `u32` before the first measurement.
    pub(crate) fn get(&self) -> u32 {
        self.current.min(self.previous)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_longer_route_is_believed_after_minutes() {
        let mut min = MinRtt::default();
        min.sample(10, 20_000);
        min.sample(140, 80_000);
        min.sample(160, 80_000);
        assert_eq!(min.get(), 20_000);
        min.sample(310, 80_000);
        assert_eq!(min.get(), 80_000);
    }

    proptest! {
        /// Measurements of the last 150 s count, and none older than 300 s do.
        #[test]
        fn the_window_is_between_one_period_and_two(samples in prop::collection::vec((0u64..200, 1u32..1000), 1..60)) {
            let mut min = MinRtt::default();
            let (mut now, mut all) = (0, Vec::new());
            for (pause, micros) in samples {
                now += pause;
                all.push((now, micros));
                min.sample(now, micros);
                let within = |age: u64| all.iter().filter(|&&(at, _)| at + age >= now).map(|&(_, us)| us).min();
                let (recent, most) = (within(PERIOD_SECONDS - 1), within(2 * PERIOD_SECONDS));
                prop_assert!(recent.is_none_or(|recent| min.get() <= recent));
                prop_assert!(most.is_some_and(|most| most <= min.get()));
            }
        }
    }
}

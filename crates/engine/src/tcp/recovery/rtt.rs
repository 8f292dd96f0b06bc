//! The round-trip time and the resulting retransmission timeout (RFC 6298).

use std::time::Duration;

use super::min_rtt::MinRtt;
use crate::time::Instant;

/// Minimum contribution of the variance to the timeout, in microseconds (RFC 6298's clock
/// granularity G): a tick of the timestamp clock.
const GRANULARITY: u32 = 1_000;

/// Maximum value of a measurement in microseconds (about nine minutes), so that eight times the
/// value fits into 32 bits.
const MAX_SAMPLE: u32 = u32::MAX / 8;

/// Bounds of the retransmission timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RttBounds {
    /// The timeout before the first measurement (RFC 6298 2.1).
    pub(crate) initial: Duration,
    /// Minimum that the variance adds to the smoothed round-trip time.
    pub(crate) min: Duration,
    /// The longest timeout, backed off or not (RFC 6298 2.5). Takes precedence over the other
    /// bounds.
    pub(crate) max: Duration,
}

/// Estimates the round-trip time of one connection. All values are in microseconds, in 32 bits
/// (RFC 9293 MUST-18).
#[derive(Clone, Debug)]
pub(crate) struct RttEstimator {
    initial: u32,
    min: u32,
    max: u32,
    /// Eight times the smoothed round-trip time; zero before the first measurement.
    srtt_x8: u32,
    /// Four times the mean deviation.
    rttvar_x4: u32,
    min_rtt: MinRtt,
    backoff: u8,
}

/// The timeout after a SYN that was retransmitted without a measurement.
const RETRANSMITTED_SYN_RTO: Duration = Duration::from_secs(3);

impl RttEstimator {
    /// Creates an estimator without measurements.
    pub(crate) fn new(bounds: RttBounds) -> Self {
        Self {
            initial: micros(bounds.initial),
            min: micros(bounds.min),
            max: micros(bounds.max),
            srtt_x8: 0,
            rttvar_x4: 0,
            min_rtt: MinRtt::default(),
            backoff: 0,
        }
    }

    /// Changes the bounds. The initial timeout no longer applies.
    pub(crate) fn set_bounds(&mut self, min: Duration, max: Duration) {
        self.min = micros(min);
        self.max = micros(max);
    }

    /// Adds a measurement, which ends the backoff. It must not come from a segment that was sent
    /// more than once, unless timestamps tell which transmission was acknowledged (Karn's
    /// algorithm, RFC 6298 section 3).
    pub(crate) fn sample(&mut self, now: Instant, rtt: Duration) {
        self.backoff = 0;
        let rtt = micros(rtt).clamp(1, MAX_SAMPLE);
        self.min_rtt.sample(now.as_millis() / 1000, rtt);
        if self.srtt_x8 == 0 {
            // RFC 6298 2.2: SRTT = R, RTTVAR = R / 2.
            self.srtt_x8 = rtt * 8;
            self.rttvar_x4 = rtt * 2;
        } else {
            // RFC 6298 2.3: RTTVAR first, with alpha = 1/8 and beta = 1/4.
            let deviation = (self.srtt_x8 / 8).abs_diff(rtt);
            self.rttvar_x4 = self.rttvar_x4 - self.rttvar_x4 / 4 + deviation;
            self.srtt_x8 = self.srtt_x8 - self.srtt_x8 / 8 + rtt;
        }
    }

    /// The handshake gave no measurement because its SYN was retransmitted: until there is one, the
    /// timeout is at least three seconds (RFC 6298 5.7).
    pub(crate) fn distrust_initial(&mut self) {
        self.initial = self.initial.max(micros(RETRANSMITTED_SYN_RTO));
    }

    /// The timer has expired: doubles the timeout, up to the bound (RFC 6298 5.5), until a
    /// measurement is made. On a path that has become longer than the timeout every segment would
    /// otherwise be sent twice, and none ever measured (RFC 9293 MUST-18, MUST-19).
    pub(crate) fn backoff(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }

    /// The handshake is complete: the timeouts of SYNs do not count for data.
    pub(crate) fn reset_backoff(&mut self) {
        self.backoff = 0;
    }

    /// The retransmission timeout, with backoff.
    ///
    /// RFC 6298 2.4 requires at least one second. Linux uses 200 ms, as the minimum of the variance
    /// term, not of the sum: a long path keeps a margin above its round-trip time. This
    /// implementation does the same.
    pub(crate) fn rto(&self) -> Duration {
        let base = if self.srtt_x8 == 0 {
            self.initial
        } else {
            let margin = self.rttvar_x4.max(self.min).max(GRANULARITY);
            (self.srtt_x8 / 8).saturating_add(margin)
        };
        // 32 bits doubled 31 times fit into 64, and every bound is reached by then.
        let backed_off = u64::from(base) << self.backoff.min(31);
        Duration::from_micros(backed_off.min(u64::from(self.max)))
    }

    /// The smoothed round-trip time (SRTT).
    pub(crate) fn srtt(&self) -> Option<Duration> {
        self.measured(self.srtt_x8 / 8)
    }

    /// The mean deviation of the round-trip time (RTTVAR); zero before the first measurement.
    pub(crate) fn rttvar(&self) -> Duration {
        Duration::from_micros((self.rttvar_x4 / 4).into())
    }

    /// The minimum measurement of the last minutes.
    pub(crate) fn min_rtt(&self) -> Option<Duration> {
        self.measured(self.min_rtt.get())
    }

    fn measured(&self, micros: u32) -> Option<Duration> {
        (self.srtt_x8 != 0).then(|| Duration::from_micros(micros.into()))
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn estimator() -> RttEstimator {
        RttEstimator::new(RttBounds {
            initial: Duration::from_secs(1),
            min: Duration::from_millis(200),
            max: Duration::from_secs(120),
        })
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn nothing_is_known_before_the_first_measurement() {
        let rtt = estimator();
        assert_eq!(rtt.rto(), millis(1000));
        assert_eq!([rtt.srtt(), rtt.min_rtt()], [None; 2]);
    }

    #[test]
    fn the_first_measurement_sets_everything() {
        let mut rtt = estimator();
        rtt.sample(Instant::ZERO, millis(100));
        assert_eq!((rtt.srtt(), rtt.rttvar()), (Some(millis(100)), millis(50)));
        assert_eq!(rtt.rto(), millis(300));
    }

    #[test]
    fn the_floor_is_under_the_variance_and_not_under_the_sum() {
        let mut rtt = estimator();
        for _ in 0..200 {
            rtt.sample(Instant::ZERO, millis(500));
        }
        assert_eq!(rtt.rto(), millis(700));
        // A jump: rttvar = 3/4 * 0 + 1/4 * 500 ms, srtt = 562.5 ms.
        rtt.sample(Instant::ZERO, millis(1000));
        let rto = rtt.rto();
        assert!(rto >= millis(1062) && rto <= millis(1064), "{rto:?}");
    }

    #[test]
    fn the_timeout_doubles_up_to_its_bound_and_comes_back() {
        let mut rtt = estimator();
        rtt.sample(Instant::ZERO, millis(100));
        let seen: Vec<_> = (0..11)
            .map(|_| {
                rtt.backoff();
                rtt.rto().as_millis()
            })
            .collect();
        let doubled = [
            600, 1200, 2400, 4800, 9600, 19_200, 38_400, 76_800, 120_000, 120_000, 120_000,
        ];
        assert_eq!(seen, doubled);
        for _ in 0..300 {
            rtt.backoff();
        }
        assert_eq!(rtt.rto(), Duration::from_secs(120));
        rtt.sample(Instant::ZERO, millis(100));
        assert_eq!(rtt.rto(), millis(300));
    }

    #[test]
    fn without_a_floor_the_clock_s_granularity_is_left() {
        let mut rtt = RttEstimator::new(RttBounds {
            initial: Duration::ZERO,
            min: Duration::ZERO,
            max: Duration::MAX,
        });
        for _ in 0..200 {
            rtt.sample(Instant::ZERO, Duration::from_micros(50));
        }
        assert_eq!(rtt.rto(), Duration::from_micros(1050));
    }

    proptest! {
        /// The integers follow RFC 6298 in floating point within their rounding error. RFC 9293
        /// MUST-18.
        #[test]
        fn the_integers_follow_the_reals(samples in prop::collection::vec(1u32..10_000_000, 1..200)) {
            let mut rtt = estimator();
            let (mut srtt, mut rttvar) = (0.0, 0.0);
            for (index, &sample) in samples.iter().enumerate() {
                rtt.sample(Instant::ZERO, Duration::from_micros(sample.into()));
                let sample = f64::from(sample);
                if index == 0 {
                    (srtt, rttvar) = (sample, sample / 2.0);
                } else {
                    rttvar = 0.75 * rttvar + 0.25 * f64::abs(srtt - sample);
                    srtt = 0.875 * srtt + 0.125 * sample;
                }
            }
            let micros = |d: Option<Duration>| d.map_or(f64::NAN, |d| d.as_secs_f64() * 1e6);
            prop_assert!((micros(rtt.srtt()) - srtt).abs() <= 3.0);
            prop_assert!((micros(Some(rtt.rttvar())) - rttvar).abs() <= 5.0);
            prop_assert!((micros(Some(rtt.rto())) - (srtt + (4.0 * rttvar).max(200_000.0))).abs() <= 20.0);
            let min = samples.iter().min().map(|&us| Duration::from_micros(us.into()));
            prop_assert_eq!(rtt.min_rtt(), min);
        }

        /// For all measurements and configurations, the timeout keeps its upper bound.
        #[test]
        fn no_input_breaks_the_bounds(
            bounds in [0u64.., 0u64.., 0u64..], samples in prop::collection::vec(0u64.., 0..20), backoffs in 0..300,
        ) {
            let [initial, min, max] = bounds.map(Duration::from_nanos);
            let mut rtt = RttEstimator::new(RttBounds { initial, min, max });
            for sample in samples {
                rtt.sample(Instant::ZERO, Duration::from_nanos(sample));
            }
            for _ in 0..backoffs {
                rtt.backoff();
            }
            prop_assert!(rtt.rto() <= max);
        }
    }
}

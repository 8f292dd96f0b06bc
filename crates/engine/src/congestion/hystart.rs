//! HyStart++ (RFC 9406): leaves slow start when the round-trip time rises, before the queue overflows.
//!
//! A rise leads to conservative slow start, which grows at a quarter of the pace. Five round trips of
//! that end slow start; if the round-trip time falls again the rise was spurious, and slow start resumes.
//!
//! The RFC compares the least round-trip time of a whole round trip, which a queue that builds up within it
//! shows only in the next one, when the window has doubled once more. It has to, because a burst makes
//! a queue of its own. What is paced makes none, so there each eight samples are compared by themselves.

use std::time::Duration;

use super::AckSample;

/// RFC 9406 4.3: bounds of the rise that counts.
const MIN_RTT_THRESH: Duration = Duration::from_millis(4);
const MAX_RTT_THRESH: Duration = Duration::from_millis(16);
/// The rise that counts, as a part of the round-trip time.
const MIN_RTT_DIVISOR: u32 = 8;
/// Samples a round trip must have before it is compared.
const N_RTT_SAMPLE: u8 = 8;
/// Growth in conservative slow start is divided by this.
const CSS_GROWTH_DIVISOR: u32 = 4;
/// Round trips of conservative slow start.
const CSS_ROUNDS: u8 = 5;
/// Segments one acknowledgment may add when what is sent is not paced.
const L: u32 = 8;

/// What an acknowledgment in slow start leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The window grows by so many bytes.
    Grow(u32),
    /// Slow start is over.
    Leave,
}

/// Conservative slow start, once entered.
#[derive(Clone, Copy, Debug)]
struct Css {
    /// The least round-trip time of the round trip that led to it.
    baseline: Duration,
    /// Round trips it has lasted.
    rounds: u8,
}

/// The state of HyStart++ during the first slow start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HyStart {
    /// The round trip ends when this position is acknowledged.
    round_end: u64,
    /// Least round-trip time of the last round trip.
    last_min: Option<Duration>,
    /// Least round-trip time of this round trip so far.
    round_min: Option<Duration>,
    /// Least round-trip time of the samples that are compared.
    current_min: Option<Duration>,
    /// How many these are, counted up to [`N_RTT_SAMPLE`].
    samples: u8,
    css: Option<Css>,
}

impl HyStart {
    /// Takes an acknowledgment in slow start. `mss` is the size of a full segment.
    pub(super) fn on_ack(&mut self, sample: &AckSample, mss: u32) -> Verdict {
        if sample.una >= self.round_end && self.begin_round(sample.nxt) {
            return Verdict::Leave;
        }
        if let Some(rtt) = sample.rtt {
            self.take(rtt, sample.paced);
        }
        self.judge();
        let step = if sample.paced {
            sample.acked
        } else {
            sample.acked.min(L.saturating_mul(mss))
        };
        Verdict::Grow(match self.css {
            Some(_) => step / CSS_GROWTH_DIVISOR,
            None => step,
        })
    }

    fn take(&mut self, rtt: Duration, paced: bool) {
        if paced && self.samples == N_RTT_SAMPLE {
            self.samples = 0;
            self.current_min = None;
        }
        let least = |min: Option<Duration>| Some(min.map_or(rtt, |min| min.min(rtt)));
        self.round_min = least(self.round_min);
        self.current_min = least(self.current_min);
        self.samples = (self.samples + 1).min(N_RTT_SAMPLE);
    }

    /// Begins a round trip that ends at `end`; returns whether conservative slow start is over.
    fn begin_round(&mut self, end: u64) -> bool {
        self.round_end = end;
        self.last_min = self.round_min.take();
        self.current_min = None;
        self.samples = 0;
        match &mut self.css {
            Some(css) => {
                css.rounds += 1;
                css.rounds >= CSS_ROUNDS
            }
            None => false,
        }
    }

    /// RFC 9406 4.2: enters conservative slow start when the round-trip time rose, leaves it when it fell.
    fn judge(&mut self) {
        let (Some(current), true) = (self.current_min, self.samples >= N_RTT_SAMPLE) else {
            return;
        };
        match (self.css, self.last_min) {
            (Some(css), _) => {
                if current < css.baseline {
                    self.css = None;
                }
            }
            (None, Some(last)) => {
                if current >= last + (last / MIN_RTT_DIVISOR).clamp(MIN_RTT_THRESH, MAX_RTT_THRESH)
                {
                    self.css = Some(Css {
                        baseline: current,
                        rounds: 0,
                    });
                }
            }
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1000;

    /// A round trip of ten acknowledgments that measured `millis`; returns the last verdict.
    fn round(hystart: &mut HyStart, number: u64, millis: u64) -> Verdict {
        let mut verdict = Verdict::Leave;
        for ack in 0..10 {
            verdict = hystart.on_ack(
                &AckSample {
                    acked: MSS,
                    rtt: Some(Duration::from_millis(millis)),
                    una: number * 10 + ack,
                    nxt: (number + 1) * 10,
                    ..AckSample::default()
                },
                MSS,
            );
            if verdict == Verdict::Leave {
                break;
            }
        }
        verdict
    }

    #[test]
    fn a_steady_round_trip_time_grows_by_what_was_acknowledged() {
        let mut hystart = HyStart::default();
        for number in 0..100 {
            assert_eq!(round(&mut hystart, number, 50), Verdict::Grow(MSS));
        }
    }

    /// RFC 9406 4.2.
    #[test]
    fn a_rise_slows_growth_and_five_round_trips_later_slow_start_is_over() {
        let mut hystart = HyStart::default();
        round(&mut hystart, 0, 40);
        assert_eq!(round(&mut hystart, 1, 45), Verdict::Grow(MSS / 4));
        for number in 2..6 {
            assert_eq!(round(&mut hystart, number, 45), Verdict::Grow(MSS / 4));
        }
        assert_eq!(round(&mut hystart, 6, 45), Verdict::Leave);
    }

    /// RFC 9406 4.3.
    #[test]
    fn a_rise_below_the_threshold_is_noise() {
        // (before, after, counts): an eighth, but within 4 to 16 ms.
        for (before, after, counts) in [
            (8, 11, false),
            (8, 12, true),
            (80, 89, false),
            (80, 90, true),
            (400, 415, false),
            (400, 416, true),
        ] {
            let mut hystart = HyStart::default();
            round(&mut hystart, 0, before);
            let expected = if counts { MSS / 4 } else { MSS };
            assert_eq!(
                round(&mut hystart, 1, after),
                Verdict::Grow(expected),
                "{before} ms to {after} ms"
            );
        }
    }

    #[test]
    fn slow_start_resumes_when_the_round_trip_time_falls_again() {
        let mut hystart = HyStart::default();
        round(&mut hystart, 0, 40);
        assert_eq!(round(&mut hystart, 1, 60), Verdict::Grow(MSS / 4));
        assert_eq!(round(&mut hystart, 2, 41), Verdict::Grow(MSS));
        // The next rise counts from what it fell to.
        assert_eq!(round(&mut hystart, 3, 42), Verdict::Grow(MSS));
        assert_eq!(round(&mut hystart, 4, 60), Verdict::Grow(MSS / 4));
    }

    #[test]
    fn seven_samples_are_too_few() {
        let mut hystart = HyStart::default();
        round(&mut hystart, 0, 40);
        for ack in 0..7 {
            let sample = AckSample {
                acked: MSS,
                rtt: Some(Duration::from_millis(90)),
                una: 10 + ack,
                nxt: 20,
                ..AckSample::default()
            };
            assert_eq!(hystart.on_ack(&sample, MSS), Verdict::Grow(MSS));
        }
    }

    #[test]
    fn without_pacing_an_acknowledgment_adds_eight_segments_at_the_most() {
        let sample = AckSample {
            acked: 20 * MSS,
            nxt: 40,
            ..AckSample::default()
        };
        assert_eq!(
            HyStart::default().on_ack(&sample, MSS),
            Verdict::Grow(8 * MSS)
        );
        let paced = AckSample {
            paced: true,
            ..sample
        };
        assert_eq!(
            HyStart::default().on_ack(&paced, MSS),
            Verdict::Grow(20 * MSS)
        );
    }

    #[test]
    fn what_is_paced_shows_a_rise_within_the_round_trip() {
        for (paced, expected) in [(true, MSS / 4), (false, MSS)] {
            let mut hystart = HyStart::default();
            round(&mut hystart, 0, 40);
            let mut verdicts = (0..16).map(|ack| {
                let sample = AckSample {
                    acked: MSS,
                    paced,
                    rtt: Some(Duration::from_millis(40 + ack)),
                    una: 10 + ack,
                    nxt: 100,
                    ..AckSample::default()
                };
                hystart.on_ack(&sample, MSS)
            });
            assert_eq!(verdicts.nth(14), Some(Verdict::Grow(MSS)));
            assert_eq!(verdicts.next(), Some(Verdict::Grow(expected)), "{paced}");
        }
    }
}

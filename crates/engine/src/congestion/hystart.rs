//! HyStart++ (RFC 9406): leaves slow start when the round-trip time rises, before the queue
//! overflows.
//!
//! A rise leads to conservative slow start, which grows a quarter as fast. Five round trips of it
//! end slow start; if the round-trip time falls again, the rise was spurious, and slow start
//! resumes.
//!
//! The RFC compares the minimum round-trip time of a whole round trip. A queue that builds up
//! within a round trip therefore appears only in the next one, when the window has doubled once
//! more. This is necessary because a burst creates a queue of its own. Paced segments create none,
//! so with pacing every eight samples are compared by themselves. Without pacing, acknowledgments
//! return as a train whose length is more informative: if it is as long as half of the round-trip
//! time, it will have filled the path when the window has doubled. The original HyStart (Ha and
//! Rhee) and Linux end slow start then, as does this implementation; the RFC omits this test. Nor
//! is an acknowledgment limited to eight segments (RFC 9406 4.2's L) without pacing: with few
//! acknowledgments, each for dozens of segments, slow start would make no progress.

use std::time::Duration;

use super::AckSample;
use crate::time::Instant;

/// RFC 9406 4.3: bounds of a significant rise.
const MIN_RTT_THRESH: Duration = Duration::from_millis(4);
const MAX_RTT_THRESH: Duration = Duration::from_millis(16);
/// The divisor of the round-trip time that gives a significant rise.
const MIN_RTT_DIVISOR: u32 = 8;
/// Number of samples that a round trip must have before it is compared.
const N_RTT_SAMPLE: u8 = 8;
/// Growth in conservative slow start is divided by this.
const CSS_GROWTH_DIVISOR: u32 = 4;
/// Round trips of conservative slow start.
const CSS_ROUNDS: u8 = 5;
/// Maximum distance between acknowledgments of a train (Linux's `hystart_ack_delta_us`), unless the
/// distance is less than this fraction of the round-trip time, as on a slow path that leaves time
/// between them.
const TRAIN_GAP: Duration = Duration::from_millis(2);
const TRAIN_GAP_DIVISOR: u32 = 8;
/// The smallest window whose train is significant, in segments (Linux's `hystart_low_window`).
const TRAIN_WINDOW: u32 = 16;

/// The consequence of an acknowledgment in slow start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The window grows by the given number of bytes.
    Grow(u32),
    /// Slow start is over.
    Leave,
}

/// Conservative slow start, once entered.
#[derive(Clone, Copy, Debug)]
struct Css {
    /// The minimum round-trip time of the round trip before it began.
    baseline: Duration,
    /// Number of round trips so far.
    rounds: u8,
}

/// The state of HyStart++ during the first slow start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HyStart {
    /// The round trip ends when this position is acknowledged.
    round_end: u64,
    /// Minimum round-trip time of the last round trip.
    last_min: Option<Duration>,
    /// Minimum round-trip time of the current round trip so far.
    round_min: Option<Duration>,
    /// Minimum round-trip time of the samples to be compared.
    current_min: Option<Duration>,
    /// Number of these samples, counted up to [`N_RTT_SAMPLE`].
    samples: u8,
    /// Arrival times in the current round trip of the first acknowledgment and of the last one in
    /// its train.
    train: (Instant, Instant),
    css: Option<Css>,
}

impl HyStart {
    /// Processes an acknowledgment in slow start, when the window is `segments` full segments.
    pub(crate) fn on_ack(&mut self, sample: &AckSample, segments: u32) -> Verdict {
        // The acknowledgment of the last segment belongs to its round trip, and so does the data
        // that it releases.
        if sample.una > self.round_end && self.begin_round(sample) {
            return Verdict::Leave;
        }
        if let Some(rtt) = sample.rtt {
            self.take(rtt, sample.paced);
        }
        self.judge();
        if !sample.paced && segments >= TRAIN_WINDOW && self.is_train_long(sample) {
            return Verdict::Leave;
        }
        Verdict::Grow(match self.css {
            Some(_) => sample.acked / CSS_GROWTH_DIVISOR,
            None => sample.acked,
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

    /// Begins a round trip; returns whether conservative slow start is over.
    fn begin_round(&mut self, sample: &AckSample) -> bool {
        self.round_end = sample.nxt;
        self.train = (sample.now, sample.now);
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

    /// Whether acknowledgments without a gap have arrived for half of the round-trip time. A
    /// duration within the noise of round-trip times is not significant.
    fn is_train_long(&mut self, sample: &AckSample) -> bool {
        let (Some(min_rtt), (began, last)) = (sample.min_rtt, self.train) else {
            return false;
        };
        if sample.now - last > TRAIN_GAP.max(min_rtt / TRAIN_GAP_DIVISOR) {
            return false;
        }
        self.train.1 = sample.now;
        sample.now - began > (min_rtt / 2).max(MIN_RTT_THRESH)
    }

    /// RFC 9406 4.2: enters conservative slow start when the round-trip time has risen, and leaves
    /// it when it has fallen.
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
    const WINDOW: u32 = 20;

    /// A round trip of ten acknowledgments that measured `millis`; returns the last verdict.
    fn round(hystart: &mut HyStart, number: u64, millis: u64) -> Verdict {
        let mut verdict = Verdict::Leave;
        for ack in 0..10 {
            verdict = hystart.on_ack(
                &AckSample {
                    acked: MSS,
                    rtt: Some(Duration::from_millis(millis)),
                    una: number * 10 + ack + 1,
                    nxt: (number + 1) * 10 + ack,
                    ..AckSample::default()
                },
                WINDOW,
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
        // The next rise is measured from the value to which it fell.
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
                una: 11 + ack,
                nxt: 20,
                ..AckSample::default()
            };
            assert_eq!(hystart.on_ack(&sample, WINDOW), Verdict::Grow(MSS));
        }
    }

    /// Such an acknowledgment results from merging, filtering or a receiver that acknowledges many
    /// segments at once.
    #[test]
    fn an_acknowledgment_for_many_segments_adds_them_all() {
        for paced in [false, true] {
            let sample = AckSample {
                acked: 44 * MSS,
                paced,
                nxt: 100,
                ..AckSample::default()
            };
            let verdict = HyStart::default().on_ack(&sample, WINDOW);
            assert_eq!(verdict, Verdict::Grow(44 * MSS));
        }
    }

    /// The millisecond in which slow start ends, if the first acknowledgments of a round trip
    /// arrive every `gap` microseconds.
    fn leaves_at(gap: u64, segments: u32, paced: bool) -> Option<u64> {
        let mut hystart = HyStart::default();
        let acks = (1..100_000 / gap).map(|ack| {
            (
                ack,
                Instant::from_millis(1000) + Duration::from_micros(ack * gap),
            )
        });
        let mut acks = acks.map(|(una, now)| AckSample {
            now,
            acked: MSS,
            paced,
            rtt: Some(Duration::from_millis(50)),
            min_rtt: Some(Duration::from_millis(50)),
            una,
            nxt: 1_000_000,
            ..AckSample::default()
        });
        let last = acks.find(|sample| hystart.on_ack(sample, segments) == Verdict::Leave)?;
        Some((last.now - Instant::from_millis(1000)).as_millis() as u64)
    }

    #[test]
    fn a_train_of_half_a_round_trip_ends_slow_start() {
        assert_eq!(leaves_at(100, 16, false), Some(25));
        assert_eq!(leaves_at(6250, 16, false), Some(37));
        assert_eq!(leaves_at(6251, 16, false), None, "that is no train");
        assert_eq!(leaves_at(100, 15, false), None, "too few to tell");
        assert_eq!(leaves_at(100, 16, true), None, "pacing made it");
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
                    una: 11 + ack,
                    nxt: 100,
                    ..AckSample::default()
                };
                hystart.on_ack(&sample, WINDOW)
            });
            assert_eq!(verdicts.nth(14), Some(Verdict::Grow(MSS)));
            assert_eq!(verdicts.next(), Some(Verdict::Grow(expected)), "{paced}");
        }
    }
}

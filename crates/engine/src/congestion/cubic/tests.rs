use std::time::Duration;

use super::*;
use crate::congestion::Cause;
use crate::congestion::simulated::Path;

const MSS: u32 = 1000;

/// A sender that always has data and receives an acknowledgment for each segment, one window per
/// round trip, evenly spread as if paced.
struct Clocked {
    cubic: Cubic,
    now: Instant,
    rtt: Duration,
    una: u64,
}

impl Clocked {
    fn new(segments: u32, rtt: Duration) -> Self {
        Self {
            cubic: Cubic::new(segments * MSS, MSS),
            now: Instant::from_millis(1),
            rtt,
            una: 0,
        }
    }

    /// In congestion avoidance after a loss at `segments`.
    fn after_loss(segments: u32, rtt: Duration) -> Self {
        let mut this = Self::new(segments, rtt);
        this.lose();
        this
    }

    fn lose(&mut self) {
        self.cubic.on_congestion(&CongestionEvent {
            now: self.now,
            flight: self.cubic.cwnd(),
            cause: Cause::Loss,
        });
    }

    fn sample(&self) -> AckSample {
        AckSample {
            now: self.now,
            acked: MSS,
            cwnd_limited: true,
            paced: true,
            rtt: Some(self.rtt),
            min_rtt: Some(self.rtt),
            srtt: Some(self.rtt),
            una: self.una,
            nxt: self.una + u64::from(self.cubic.cwnd()),
            ..AckSample::default()
        }
    }

    /// One round trip; returns the window after it in segments.
    fn round(&mut self) -> f64 {
        let segments = self.cubic.cwnd() / MSS;
        for _ in 0..segments {
            self.now += self.rtt / segments;
            self.una += u64::from(MSS);
            let sample = self.sample();
            self.cubic.on_ack(&sample);
        }
        self.segments()
    }

    fn run(&mut self, time: Duration) -> f64 {
        let end = self.now + time;
        while self.now < end {
            self.round();
        }
        self.segments()
    }

    fn segments(&self) -> f64 {
        f64::from(self.cubic.cwnd()) / f64::from(MSS)
    }
}

/// RFC 9438 4.6.
#[test]
fn a_loss_leaves_seven_tenths_of_the_window() {
    let clocked = Clocked::after_loss(100, Duration::from_millis(100));
    assert_eq!(clocked.cubic.cwnd(), 70 * MSS);
    assert_eq!(clocked.cubic.ssthresh(), 70 * MSS);
    let small = Clocked::after_loss(2, Duration::from_millis(100));
    assert_eq!(small.cubic.cwnd(), 2 * MSS, "no less than two segments");
}

/// RFC 9438 4.2, equations 1 and 2: concave up to the old window at K, convex beyond it.
#[test]
fn the_window_follows_the_cubic_function() {
    for (w_max, rtt_ms) in [
        (500_u32, 50_u64),
        (1000, 100),
        (2000, 20),
        (5000, 100),
        (10_000, 30),
    ] {
        let mut clocked = Clocked::after_loss(w_max, Duration::from_millis(rtt_ms));
        let start = clocked.now;
        let w_max = f64::from(w_max);
        let k = (w_max * 0.3 / 0.4).cbrt();
        loop {
            let found = clocked.round();
            let t = (clocked.now - start).as_secs_f64();
            let expected = w_max + 0.4 * (t - k).powi(3);
            assert!(
                (found - expected).abs() <= 0.02 * expected,
                "W_max {w_max}, {rtt_ms} ms: {found} instead of {expected} after {t} s, K {k}"
            );
            if t > 1.5 * k {
                break;
            }
        }
    }
}

/// RFC 9438 4.3: where Reno would be faster the window grows by alpha per round trip, and by a
/// whole segment once it has reached the old window.
#[test]
fn the_reno_friendly_region_is_as_fast_as_reno() {
    let alpha = 3.0 * (1.0 - 0.7) / (1.0 + 0.7);
    let mut clocked = Clocked::after_loss(100, Duration::from_millis(5));
    for round in 1..=50 {
        let expected = 70.0 + alpha * f64::from(round);
        let found = clocked.round();
        assert!(
            (found - expected).abs() <= 1.5,
            "{found} instead of {expected} after {round} round trips"
        );
    }
    while clocked.round() < 101.0 {}
    let before = clocked.segments();
    for _ in 0..20 {
        clocked.round();
    }
    let grown = clocked.segments() - before;
    assert!(
        (18.0..=22.0).contains(&grown),
        "{grown} segments in 20 round trips"
    );
}

#[test]
fn the_window_grows_by_half_per_round_trip_at_the_most() {
    let mut clocked = Clocked::after_loss(100, Duration::from_secs(3));
    let mut before = clocked.segments();
    for _ in 0..8 {
        let after = clocked.round();
        // With one acknowledgment at a time, growth compounds: e^(1/2).
        assert!(after <= before * 1.66 + 1.0, "{before} to {after}");
        before = after;
    }
    assert!(before > 400.0, "but it does grow: {before}");
}

/// RFC 9438 4.7.
#[test]
fn fast_convergence_remembers_less_when_the_window_shrinks() {
    let mut clocked = Clocked::after_loss(1000, Duration::from_millis(100));
    assert_eq!(clocked.cubic.w_max, 1000 * MSS);
    clocked.lose();
    assert_eq!(clocked.cubic.cwnd(), 490 * MSS);
    assert_eq!(clocked.cubic.w_max, 595 * MSS, "700 x (1 + 0.7) / 2");
    assert_eq!(clocked.cubic.cwnd_prior, 700 * MSS);
}

#[test]
fn two_flows_that_lose_together_come_to_equal_shares() {
    let rtt = Duration::from_millis(40);
    let mut flows = [Clocked::after_loss(900, rtt), Clocked::after_loss(100, rtt)];
    for _ in 0..5000 {
        let total: f64 = flows.iter_mut().map(Clocked::round).sum();
        if total > 1000.0 {
            flows.iter_mut().for_each(Clocked::lose);
        }
    }
    let [a, b] = [flows[0].segments(), flows[1].segments()];
    let jain = (a + b).powi(2) / (2.0 * (a * a + b * b));
    assert!(jain > 0.98, "{a} and {b}");
}

/// RFC 9438 4.8.
#[test]
fn a_timeout_starts_over_and_forgets_where_the_limit_was() {
    let mut clocked = Clocked::after_loss(100, Duration::from_millis(50));
    clocked.cubic.on_rto(clocked.now, 70 * MSS, true);
    assert_eq!(clocked.cubic.cwnd(), MSS);
    assert_eq!(clocked.cubic.ssthresh(), 49 * MSS);
    clocked.cubic.on_rto(clocked.now, MSS, false);
    assert_eq!(clocked.cubic.ssthresh(), 49 * MSS, "not lowered again");
    for _ in 0..6 {
        clocked.round();
    }
    assert!(
        clocked.segments() >= 49.0,
        "slow start is back at the threshold"
    );
    let before = clocked.segments();
    let after = clocked.run(Duration::from_secs(2));
    assert!(
        after > before * 1.5,
        "{before} to {after}: convex from there on"
    );
}

/// RFC 9438 4.9.
#[test]
fn an_undo_goes_on_as_if_nothing_had_happened() {
    let rtt = Duration::from_millis(100);
    let mut disturbed = Clocked::after_loss(1000, rtt);
    let mut calm = Clocked::after_loss(1000, rtt);
    disturbed.run(Duration::from_secs(2));
    calm.run(Duration::from_secs(2));
    disturbed.lose();
    disturbed.cubic.on_rto(disturbed.now, 1000, false);
    disturbed.cubic.undo(disturbed.now);
    assert_eq!(disturbed.cubic.cwnd(), calm.cubic.cwnd());
    assert_eq!(disturbed.cubic.ssthresh(), calm.cubic.ssthresh());
    let (found, expected) = (
        disturbed.run(Duration::from_secs(8)),
        calm.run(Duration::from_secs(8)),
    );
    assert!((found - expected).abs() <= 1.0, "{found}, {expected}");
    disturbed.cubic.undo(disturbed.now);
    assert!((disturbed.segments() - found).abs() < 0.1, "once is all");
}

/// RFC 9438 5.8: t does not include time in which the window could not grow.
#[test]
fn silence_does_not_move_the_curve() {
    let rtt = Duration::from_millis(100);
    let hour = Duration::from_secs(3600);
    let mut calm = Clocked::after_loss(1000, rtt);
    calm.run(Duration::from_secs(4));
    let expected = calm.run(Duration::from_secs(2));
    let mut silent = Clocked::after_loss(1000, rtt);
    silent.run(Duration::from_secs(4));
    silent.now += hour;
    silent.cubic.on_send_from_idle(silent.now, hour);
    let mut limited = Clocked::after_loss(1000, rtt);
    limited.run(Duration::from_secs(4));
    let sample = AckSample {
        cwnd_limited: false,
        ..limited.sample()
    };
    limited.cubic.on_ack(&sample);
    limited.now += hour;
    limited.cubic.on_send_from_idle(limited.now, hour);
    for clocked in [&mut silent, &mut limited] {
        let found = clocked.run(Duration::from_secs(2));
        assert!((found - expected).abs() <= 2.0, "{found}, {expected}");
    }
}

#[test]
fn the_window_does_not_grow_when_it_was_not_the_limit() {
    let mut clocked = Clocked::new(10, Duration::from_millis(100));
    let sample = AckSample {
        cwnd_limited: false,
        ..clocked.sample()
    };
    clocked.cubic.on_ack(&sample);
    assert_eq!(clocked.cubic.cwnd(), 10 * MSS);
}

#[test]
fn the_first_slow_start_ends_before_loss_when_the_round_trip_time_rises() {
    let base = Duration::from_millis(100);
    let mut clocked = Clocked::new(10, base);
    // A path of 200 segments: segments beyond them wait in the queue.
    for _ in 0..20 {
        let queued = (clocked.segments() - 200.0).max(0.0);
        clocked.rtt = base + base.mul_f64(queued / 200.0);
        clocked.round();
        if clocked.cubic.ssthresh() != u32::MAX {
            break;
        }
    }
    let left_at = f64::from(clocked.cubic.ssthresh()) / f64::from(MSS);
    assert!((200.0..1300.0).contains(&left_at), "{left_at}");
    let mut undisturbed = Clocked::new(10, base);
    for _ in 0..20 {
        undisturbed.round();
    }
    assert_eq!(undisturbed.cubic.ssthresh(), u32::MAX, "no rise, no end");
}

#[test]
fn after_a_long_silence_slow_start_returns_to_near_the_old_window() {
    let mut clocked = Clocked::new(10, Duration::from_millis(100));
    for _ in 0..4 {
        clocked.round();
    }
    assert_eq!(clocked.cubic.cwnd(), 160 * MSS);
    clocked.lose();
    clocked.cubic.on_idle_restart(clocked.now, 1);
    assert_eq!(clocked.cubic.cwnd(), 56 * MSS, "half for each timeout");
    assert_eq!(clocked.cubic.ssthresh(), 112 * MSS);
    clocked.cubic.on_idle_restart(clocked.now, 40);
    assert_eq!(clocked.cubic.cwnd(), 10 * MSS, "not less than at first");
    assert_eq!(clocked.cubic.ssthresh(), 112 * MSS);
}

#[test]
fn a_smaller_segment_keeps_the_count_of_segments() {
    let mut clocked = Clocked::new(20, Duration::from_millis(100));
    clocked.cubic.set_mss(500);
    assert_eq!(clocked.cubic.cwnd(), 20 * 500);
    clocked.cubic.set_mss(1000);
    assert_eq!(
        clocked.cubic.cwnd(),
        20 * 500,
        "a larger one changes nothing"
    );
    assert_eq!(clocked.cubic.ssthresh(), u32::MAX);
    assert_eq!(clocked.cubic.w_max, 0, "nothing is known of the path");
}

#[test]
fn a_smaller_segment_keeps_what_is_known_of_the_path() {
    let mut clocked = Clocked::after_loss(100, Duration::from_millis(100));
    clocked.cubic.set_mss(500);
    assert_eq!(clocked.cubic.ssthresh(), 70 * 500);
    assert_eq!(clocked.cubic.cwnd_prior, 100 * 500);
    clocked.cubic.undo(clocked.now);
    assert_eq!(clocked.cubic.cwnd(), 100 * 500);
}

#[test]
fn pacing_is_ahead_of_the_window() {
    let srtt = Some(Duration::from_millis(100));
    let mut clocked = Clocked::new(10, Duration::from_millis(100));
    assert_eq!(clocked.cubic.pacing_rate(None), None);
    assert_eq!(clocked.cubic.pacing_rate(srtt), Some(200_000));
    clocked.lose();
    assert_eq!(clocked.cubic.cwnd(), 7000);
    assert_eq!(clocked.cubic.pacing_rate(srtt), Some(84_000));
}

/// 1 Gbit/s over 100 ms with a queue of the same size: slow start loses at most six tenths of the
/// path's capacity, and the full rate is reached within seconds.
#[test]
fn a_long_fat_path_is_full_within_seconds() {
    let bandwidth = 125_000_000;
    let mut path = Path::new(Cubic::new(10 * MSS, MSS), bandwidth, 100, 12_500_000);
    path.run(4000);
    assert!(path.lost <= path.bdp() * 6 / 10, "{} lost", path.lost);
    let goodput = path.run(1000);
    assert!(goodput >= bandwidth * 9 / 10, "{goodput}");
}

/// RFC 9406: if the queue has room, slow start ends without a loss.
#[test]
fn a_queue_without_an_end_is_not_filled_by_slow_start() {
    let mut path = Path::new(Cubic::new(10 * MSS, MSS), 12_500_000, 40, u64::MAX / 4);
    path.run(2000);
    assert_eq!(path.lost, 0);
    let threshold = u64::from(path.congestion.ssthresh());
    assert!(threshold > path.bdp(), "the path is full: {threshold}");
    // Doubled twice, and increased by a quarter in each of five round trips.
    assert!(threshold < path.bdp() * 4 * 3125 / 1024, "{threshold}");
}

/// A queue of the capacity of the path, more than a decrease to seven tenths needs.
#[test]
fn a_deep_queue_keeps_the_bottleneck_busy() {
    for (bandwidth, delay, buffer) in [(1_250_000, 20, 25_000), (12_500_000, 50, 625_000)] {
        let mut path = Path::new(Cubic::new(10 * MSS, MSS), bandwidth, delay, buffer);
        path.run(5000);
        let lost = path.lost;
        let goodput = path.run(60_000);
        assert!(goodput >= bandwidth * 97 / 100, "{goodput} of {bandwidth}");
        assert!(path.lost > lost, "the queue was filled");
        assert!(
            path.lost - lost < goodput * 60 / 200,
            "{} lost",
            path.lost - lost
        );
    }
}

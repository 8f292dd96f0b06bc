//! The cubic function of one stage of congestion avoidance, and the window that Reno would have
//! reached (RFC 9438 4.2, 4.3).

use std::time::Duration;

use crate::time::Instant;

/// C: 0.4 segments per cubic second (RFC 9438 4.2), in 1/1024.
const C: u128 = 410;
/// Times are in units of 1/1024 s, and at most 1024 s.
const TICKS_PER_SECOND_LOG2: u32 = 10;
const MAX_TICKS: u64 = 1 << 20;

/// See the module. All windows are in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Curve {
    /// Time at which the stage began, moved later by time that does not count.
    epoch: Instant,
    /// Ticks after the epoch at which the curve reaches `origin`.
    k: u64,
    /// The window at which the curve is flat.
    origin: u32,
    /// The window that Reno would have, grown from the first window of the stage.
    w_est: u32,
    /// Bytes acknowledged since `w_est` last grew.
    credit: u64,
}

impl Curve {
    /// A stage that begins at `now` with `cwnd` bytes, after a congestion event at `w_max`.
    pub(crate) fn new(now: Instant, cwnd: u32, w_max: u32, mss: u32) -> Self {
        Self {
            epoch: now,
            k: ticks_to_grow(w_max.saturating_sub(cwnd), mss),
            origin: w_max.max(cwnd),
            w_est: cwnd,
            credit: 0,
        }
    }

    /// Moves the curve by time in which the window could not grow (RFC 9438 5.8).
    pub(crate) fn shift(&mut self, time: Duration) {
        self.epoch += time;
    }

    /// Passes `acked` bytes to Reno and returns its window. It grows more slowly than Reno itself,
    /// because the decrease was smaller (alpha is 3 (1 - beta) / (1 + beta), 9/17), until it has
    /// reached `prior` again, the window at the last congestion event (RFC 9438 4.3).
    pub(crate) fn reno(&mut self, acked: u32, cwnd: u32, prior: u32, mss: u32) -> u32 {
        let window = u64::from(cwnd.max(1));
        let per_segment = if self.w_est < prior {
            window * 17 / 9
        } else {
            window
        };
        self.credit += u64::from(acked);
        let segments = self.credit / per_segment;
        self.credit -= segments * per_segment;
        let grown = u64::from(self.w_est) + segments * u64::from(mss);
        self.w_est = u32::try_from(grown).unwrap_or(u32::MAX);
        self.w_est
    }

    /// The window of the curve at `time`: C (t - K)^3 + W_max.
    pub(crate) fn at(&self, time: Instant, mss: u32) -> u32 {
        let ticks = ticks(time - self.epoch);
        let delta = rise(ticks.abs_diff(self.k), mss);
        if ticks < self.k {
            self.origin.saturating_sub(delta)
        } else {
            self.origin.saturating_add(delta)
        }
    }
}

fn ticks(time: Duration) -> u64 {
    let ticks = (time.as_nanos() << TICKS_PER_SECOND_LOG2) / 1_000_000_000;
    u64::try_from(ticks).unwrap_or(u64::MAX).min(MAX_TICKS)
}

/// C t^3 segments in bytes.
fn rise(ticks: u64, mss: u32) -> u32 {
    let cube = u128::from(ticks.min(MAX_TICKS)).pow(3);
    let bytes = (C * cube * u128::from(mss)) >> (10 + 3 * TICKS_PER_SECOND_LOG2);
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// K: the inverse of [`rise`], the cube root of `bytes` / C.
fn ticks_to_grow(bytes: u32, mss: u32) -> u64 {
    let cube =
        (u128::from(bytes) << (10 + 3 * TICKS_PER_SECOND_LOG2)) / (C * u128::from(mss.max(1)));
    cube_root(cube).min(MAX_TICKS)
}

/// The largest integer whose cube is at most `value`, computed bit by bit, once per stage.
fn cube_root(value: u128) -> u64 {
    let mut root = 0_u64;
    for bit in (0..22).rev() {
        let next = root | 1 << bit;
        if u128::from(next).pow(3) <= value {
            root = next;
        }
    }
    root
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cube_root_is_exact(root in 0_u64..1 << 22, below in any::<u64>()) {
            let cube = u128::from(root).pow(3);
            let next = u128::from(root + 1).pow(3);
            let value = cube + u128::from(below) % (next - cube);
            prop_assert_eq!(cube_root(value), root);
        }

        #[test]
        fn the_curve_follows_the_equation(
            segments in 10_u32..50_000,
            cwnd_percent in 10_u32..100,
            millis in 0_u64..60_000,
        ) {
            let mss = 1460;
            let w_max = segments * mss;
            let cwnd = w_max / 100 * cwnd_percent;
            let curve = Curve::new(Instant::ZERO, cwnd, w_max, mss);
            let t = millis as f64 / 1000.0;
            let k = (f64::from(w_max - cwnd) / f64::from(mss) / 0.4).cbrt();
            let expected = (0.4 * (t - k).powi(3)).mul_add(f64::from(mss), f64::from(w_max));
            let found = f64::from(curve.at(Instant::from_millis(millis), mss));
            let error = (found - expected).abs();
            prop_assert!(
                error <= 0.02 * expected.abs().min(f64::from(u32::MAX)) + 2.0 * f64::from(mss)
                    || expected >= f64::from(u32::MAX),
                "{found} instead of {expected} at {t} s, K {k}"
            );
        }
    }
}

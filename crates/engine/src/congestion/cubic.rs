//! CUBIC (RFC 9438): the window follows a cubic function of the time since the last congestion
//! event, flat around the window of that event.
//!
//! All calculations use integers: bytes, and time in units of 1/1024 s, so that equal
//! acknowledgments always give equal windows. As on Linux, the target is the value of the function
//! one round trip from now. Two details follow the RFCs and not Linux: HyStart++ ends slow start,
//! and above the old window Reno's growth is a whole segment per round trip.

mod curve;

use std::time::Duration;

use self::curve::Curve;
use super::hystart::{HyStart, Verdict};
use super::{AckSample, Congestion, CongestionEvent, decayed, rescaled};
use crate::time::Instant;

/// Multiplicative decrease, beta: 0.7 (RFC 9438 4.6), in percent.
const BETA: u64 = 70;
/// Percentage of the window that fast convergence retains, (1 + beta) / 2 (RFC 9438 4.7).
const FAST_CONVERGENCE: u64 = 85;
/// Minimum growth while the limit is unknown: a twentieth per round trip (as on Linux).
const BLIND_GROWTH: u32 = 20;
/// Minimum growth while the curve is below the window: a hundredth of a segment per round trip (as
/// on Linux).
const LEAST_GROWTH: u64 = 100;

/// The values that an undo restores (RFC 9438 4.9).
#[derive(Clone, Copy, Debug)]
struct Before {
    cwnd: u32,
    ssthresh: u32,
    w_max: u32,
    curve: Option<Curve>,
}

/// The state of CUBIC.
#[derive(Debug)]
pub struct Cubic {
    cwnd: u32,
    ssthresh: u32,
    mss: u32,
    initial_window: u32,
    /// The window at the last congestion event, reduced by fast convergence; zero if there was
    /// none, or none since a timeout.
    w_max: u32,
    /// The window at the last congestion event.
    cwnd_prior: u32,
    /// The current stage of congestion avoidance, from its first acknowledgment on.
    curve: Option<Curve>,
    /// Time since which the window has not limited sending, which the curve must not count.
    unlimited_since: Option<Instant>,
    /// Accumulated growth of less than a segment, in 1/2^16 of a byte.
    earned: u64,
    hystart: HyStart,
    before: Option<Box<Before>>,
}

impl Cubic {
    /// Starts in slow start with `initial_window` bytes.
    #[must_use]
    pub fn new(initial_window: u32, mss: u32) -> Self {
        Self {
            cwnd: initial_window,
            ssthresh: u32::MAX,
            mss: mss.max(1),
            initial_window,
            w_max: 0,
            cwnd_prior: 0,
            curve: None,
            unlimited_since: None,
            earned: 0,
            hystart: HyStart::default(),
            before: None,
        }
    }

    /// Lets slow start use `acked` as far as it can; returns the rest, for congestion avoidance.
    fn slow_start(&mut self, sample: &AckSample) -> u32 {
        let mut step = sample.acked;
        // RFC 9406 4.3: only the first slow start has no threshold that ends it.
        if self.ssthresh == u32::MAX {
            match self.hystart.on_ack(sample, self.cwnd / self.mss) {
                Verdict::Grow(bytes) => step = bytes,
                Verdict::Leave => {
                    self.ssthresh = self.cwnd;
                    return sample.acked;
                }
            }
        }
        let grown = self.cwnd.saturating_add(step).min(self.ssthresh);
        let rest = step - (grown - self.cwnd);
        self.cwnd = grown;
        rest
    }

    /// RFC 9438 4.2, 4.3, 4.4, 4.5.
    fn avoid(&mut self, sample: &AckSample, acked: u32) {
        let (cwnd, mss) = (self.cwnd, self.mss);
        let curve = self
            .curve
            .get_or_insert_with(|| Curve::new(sample.now, cwnd, self.w_max, mss));
        let friendly = curve.reno(acked, cwnd, self.cwnd_prior, mss);
        let ahead = sample.min_rtt.or(sample.srtt).unwrap_or_default();
        let target = curve.at(sample.now + ahead, mss);

        self.earn(acked, target);
        if friendly > self.cwnd {
            // RFC 9438 4.3: use Reno's window where it is larger.
            self.cwnd = friendly;
        }
    }

    /// Grows towards `target` by the fraction that `acked` is of the window.
    fn earn(&mut self, acked: u32, target: u32) {
        // RFC 9438 4.2: at most one and a half times the window per round trip.
        let ahead = target.saturating_sub(self.cwnd).min(self.cwnd / 2);
        let least = if self.w_max == 0 {
            self.cwnd / BLIND_GROWTH
        } else {
            0
        };
        let wanted = u64::from(ahead.max(least)) << 16;
        let wanted = wanted.max((u64::from(self.mss) << 16) / LEAST_GROWTH);
        let part = u128::from(wanted) * u128::from(acked) / u128::from(self.cwnd.max(1));
        self.earned += part as u64;
        let segments = self.earned / (u64::from(self.mss) << 16);
        self.earned -= segments * (u64::from(self.mss) << 16);
        let grown = u64::from(self.cwnd) + segments * u64::from(self.mss);
        self.cwnd = u32::try_from(grown).unwrap_or(u32::MAX);
    }

    /// Lowers the threshold and saves the window of the event (RFC 9438 4.6, 4.7).
    fn reduce(&mut self) {
        self.before = Some(Box::new(Before {
            cwnd: self.cwnd,
            ssthresh: self.ssthresh,
            w_max: self.w_max,
            curve: self.curve,
        }));
        self.cwnd_prior = self.cwnd;
        self.w_max = if self.cwnd < self.w_max {
            // Less than at the last event: another flow needs a share, so release more of it.
            percent_of(self.cwnd, FAST_CONVERGENCE)
        } else {
            self.cwnd
        };
        self.ssthresh = percent_of(self.cwnd, BETA).max(2 * self.mss);
        self.hystart = HyStart::default();
        self.end_stage();
    }

    fn end_stage(&mut self) {
        self.curve = None;
        self.unlimited_since = None;
        self.earned = 0;
    }
}

impl Congestion for Cubic {
    fn name(&self) -> &'static str {
        "cubic"
    }

    fn cwnd(&self) -> u32 {
        self.cwnd
    }

    fn ssthresh(&self) -> u32 {
        self.ssthresh
    }

    fn on_ack(&mut self, sample: &AckSample) {
        if !sample.cwnd_limited {
            self.unlimited_since.get_or_insert(sample.now);
            return;
        }
        if let (Some(since), Some(curve)) = (self.unlimited_since.take(), &mut self.curve) {
            // RFC 9438 5.8: time in which the window could not grow does not count.
            curve.shift(sample.now - since);
        }
        let mut acked = sample.acked;
        if self.cwnd < self.ssthresh {
            acked = self.slow_start(sample);
        }
        if acked > 0 && self.cwnd >= self.ssthresh {
            self.avoid(sample, acked);
        }
    }

    fn on_congestion(&mut self, _event: &CongestionEvent) {
        // Based on the window and not on the flight size, as on Linux; RFC 9438 4.6 allows it
        // because an unused window does not grow.
        self.reduce();
        self.cwnd = self.ssthresh;
    }

    fn on_rto(&mut self, _now: Instant, _flight: u32, first: bool) {
        if first {
            self.reduce();
        }
        self.end_stage();
        // RFC 9438 4.8: the next stage starts its curve at its first window.
        self.w_max = 0;
        self.cwnd = self.mss;
    }

    fn undo(&mut self, _now: Instant) {
        if let Some(before) = self.before.take() {
            self.cwnd = self.cwnd.max(before.cwnd);
            self.ssthresh = self.ssthresh.max(before.ssthresh);
            self.w_max = before.w_max;
            self.curve = before.curve;
            self.earned = 0;
        }
    }

    fn on_send_from_idle(&mut self, _now: Instant, silence: Duration) {
        if let (None, Some(curve)) = (self.unlimited_since, &mut self.curve) {
            curve.shift(silence);
        }
    }

    fn on_idle_restart(&mut self, _now: Instant, timeouts: u32) {
        // Slow start returns close to the window that the path carried (as on Linux, in the spirit
        // of RFC 7661).
        self.ssthresh = self.ssthresh.max(self.cwnd / 4 * 3);
        self.cwnd = decayed(self.cwnd, self.initial_window, timeouts);
        self.hystart = HyStart::default();
        self.end_stage();
    }

    fn take_over(&mut self, cwnd: u32, ssthresh: u32) {
        self.cwnd = cwnd;
        self.ssthresh = ssthresh;
    }

    fn set_mss(&mut self, mss: u32) {
        let mss = mss.max(1);
        let rescale = |window: &mut u32| *window = rescaled(*window, self.mss, mss);
        rescale(&mut self.cwnd);
        rescale(&mut self.ssthresh);
        rescale(&mut self.w_max);
        rescale(&mut self.cwnd_prior);
        if let Some(before) = &mut self.before {
            rescale(&mut before.cwnd);
            rescale(&mut before.ssthresh);
            rescale(&mut before.w_max);
            // The curve was computed for the other size.
            before.curve = None;
        }
        self.mss = mss;
        self.end_stage();
    }
}

fn percent_of(window: u32, percent: u64) -> u32 {
    (u64::from(window) * percent / 100) as u32
}

#[cfg(test)]
mod tests;

//! NewReno: slow start and congestion avoidance with appropriate byte counting (RFC 5681,
//! RFC 3465).

use super::{AckSample, Congestion, CongestionEvent, decayed, rescaled};
use crate::time::Instant;

/// The state of NewReno (RFC 9293 MUST-19).
#[derive(Debug)]
pub struct NewReno {
    cwnd: u32,
    ssthresh: u32,
    mss: u32,
    initial_window: u32,
    /// Bytes acknowledged since congestion avoidance last raised the window.
    acked: u32,
    /// Window and threshold before the last episode, for an undo.
    before: Option<(u32, u32)>,
}

impl NewReno {
    /// Starts in slow start with `initial_window` bytes.
    #[must_use]
    pub fn new(initial_window: u32, mss: u32) -> Self {
        Self {
            cwnd: initial_window,
            ssthresh: u32::MAX,
            mss,
            initial_window,
            acked: 0,
            before: None,
        }
    }

    /// Lowers the threshold to half of the flight size, but to no less than two segments (RFC 5681
    /// equation 4).
    fn reduce(&mut self, flight: u32) {
        self.before = Some((self.cwnd, self.ssthresh));
        self.ssthresh = (flight / 2).max(2 * self.mss);
    }
}

impl Congestion for NewReno {
    fn name(&self) -> &'static str {
        "reno"
    }

    fn cwnd(&self) -> u32 {
        self.cwnd
    }

    fn ssthresh(&self) -> u32 {
        self.ssthresh
    }

    fn on_ack(&mut self, sample: &AckSample) {
        if !sample.cwnd_limited {
            return;
        }
        let mut acked = sample.acked;
        if self.cwnd < self.ssthresh {
            // Grow by the acknowledged amount, as on Linux; the part that exceeds the threshold
            // counts below.
            let grown = self.cwnd.saturating_add(acked).min(self.ssthresh);
            acked -= grown - self.cwnd;
            self.cwnd = grown;
        }
        if acked > 0 && self.cwnd >= self.ssthresh {
            self.acked = self.acked.saturating_add(acked);
            while self.acked >= self.cwnd {
                self.acked -= self.cwnd;
                self.cwnd = self.cwnd.saturating_add(self.mss);
            }
        }
    }

    fn on_congestion(&mut self, event: &CongestionEvent) {
        self.reduce(event.flight);
        self.cwnd = self.ssthresh;
        self.acked = 0;
    }

    fn on_rto(&mut self, _now: Instant, flight: u32, first: bool) {
        if first {
            self.reduce(flight);
        }
        self.cwnd = self.mss;
        self.acked = 0;
    }

    fn undo(&mut self, _now: Instant) {
        if let Some((cwnd, ssthresh)) = self.before.take() {
            self.cwnd = self.cwnd.max(cwnd);
            self.ssthresh = self.ssthresh.max(ssthresh);
        }
    }

    fn on_idle_restart(&mut self, _now: Instant, timeouts: u32) {
        // Slow start returns close to the window that the path carried (as on Linux, in the spirit
        // of RFC 7661).
        self.ssthresh = self.ssthresh.max(self.cwnd / 4 * 3);
        self.cwnd = decayed(self.cwnd, self.initial_window, timeouts);
        self.acked = 0;
    }

    fn take_over(&mut self, cwnd: u32, ssthresh: u32) {
        self.cwnd = cwnd;
        self.ssthresh = ssthresh;
    }

    fn set_mss(&mut self, mss: u32) {
        let rescale = |window: u32| rescaled(window, self.mss, mss);
        self.cwnd = rescale(self.cwnd);
        self.ssthresh = rescale(self.ssthresh);
        self.before = self
            .before
            .map(|(cwnd, ssthresh)| (rescale(cwnd), rescale(ssthresh)));
        self.mss = mss;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::congestion::Cause;

    const LOSS: CongestionEvent = CongestionEvent {
        now: Instant::ZERO,
        flight: 20_000,
        cause: Cause::Loss,
    };

    fn ack(acked: u32) -> AckSample {
        AckSample {
            acked,
            cwnd_limited: true,
            ..AckSample::default()
        }
    }

    #[test]
    fn slow_start_doubles_per_round_trip() {
        let mut reno = NewReno::new(10_000, 1000);
        for _ in 0..10 {
            reno.on_ack(&ack(1000));
        }
        assert_eq!(reno.cwnd(), 20_000);
    }

    #[test]
    fn congestion_avoidance_adds_a_segment_per_window() {
        let mut reno = NewReno::new(20_000, 1000);
        reno.on_congestion(&LOSS);
        assert_eq!(reno.cwnd(), 10_000);
        for _ in 0..10 {
            reno.on_ack(&ack(1000));
        }
        assert_eq!(reno.cwnd(), 11_000);
    }

    #[test]
    fn the_window_does_not_grow_when_it_was_not_the_limit() {
        let mut reno = NewReno::new(10_000, 1000);
        reno.on_ack(&AckSample {
            cwnd_limited: false,
            ..ack(5000)
        });
        assert_eq!(reno.cwnd(), 10_000);
    }

    #[test]
    fn a_timeout_leaves_one_segment_and_keeps_the_first_threshold() {
        let mut reno = NewReno::new(20_000, 1000);
        reno.on_rto(Instant::ZERO, 20_000, true);
        assert_eq!((reno.cwnd(), reno.ssthresh()), (1000, 10_000));
        reno.on_rto(Instant::ZERO, 1000, false);
        assert_eq!((reno.cwnd(), reno.ssthresh()), (1000, 10_000));
    }

    #[test]
    fn an_undo_restores_once() {
        let mut reno = NewReno::new(20_000, 1000);
        reno.on_congestion(&LOSS);
        reno.undo(Instant::ZERO);
        assert_eq!((reno.cwnd(), reno.ssthresh()), (20_000, u32::MAX));
        reno.on_congestion(&LOSS);
        reno.on_rto(Instant::ZERO, 10_000, false);
        reno.undo(Instant::ZERO);
        assert_eq!((reno.cwnd(), reno.ssthresh()), (20_000, u32::MAX));
        reno.undo(Instant::ZERO);
        assert_eq!((reno.cwnd(), reno.ssthresh()), (20_000, u32::MAX));
    }
}

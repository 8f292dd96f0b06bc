//! A congestion control from outside that gives arbitrary answers, which the engine must tolerate.

use std::time::Duration;

use millstream_engine::Instant;
use millstream_engine::congestion::{AckSample, Algorithm, Congestion, CongestionEvent};

pub static ODD: Algorithm =
    Algorithm::new("odd", |initial_window, _| Box::new(Odd(initial_window)));

/// A hash of everything that was reported to it, which determines all of its answers.
#[derive(Debug)]
struct Odd(u32);

impl Odd {
    fn mix(&mut self, by: u32) {
        self.0 = self.0.rotate_left(7) ^ by;
    }

    fn window(&self, shift: u32) -> u32 {
        match (self.0 >> shift) % 8 {
            0 => 0,
            1 => 1,
            2 => u32::MAX,
            3 => self.0,
            _ => 20_000,
        }
    }
}

impl Congestion for Odd {
    fn name(&self) -> &'static str {
        ODD.name
    }

    fn cwnd(&self) -> u32 {
        self.window(0)
    }

    fn ssthresh(&self) -> u32 {
        self.window(3)
    }

    fn on_ack(&mut self, sample: &AckSample) {
        self.mix(sample.acked);
    }

    fn on_congestion(&mut self, event: &CongestionEvent) {
        self.mix(event.flight);
    }

    fn on_rto(&mut self, _: Instant, flight: u32, first: bool) {
        self.mix(flight ^ u32::from(first));
    }

    fn undo(&mut self, _: Instant) {
        self.mix(1);
    }

    /// Does nothing: a segment is about to be sent at that time, and the window before the call
    /// limited it.
    fn on_idle_restart(&mut self, _: Instant, _: u32) {}

    fn set_mss(&mut self, mss: u32) {
        self.mix(mss);
    }

    fn pacing_rate(&self, _: Option<Duration>) -> Option<u64> {
        match (self.0 >> 6) % 4 {
            0 => None,
            1 => Some(0),
            2 => Some(u64::MAX),
            _ => Some(u64::from(self.0)),
        }
    }

    fn needs_pacing(&self) -> bool {
        self.0 & 1 << 8 != 0
    }

    fn needs_rate_samples(&self) -> bool {
        true
    }

    fn governs_recovery(&self) -> bool {
        self.0 & 1 << 9 != 0
    }
}

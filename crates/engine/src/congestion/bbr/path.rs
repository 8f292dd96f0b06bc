//! The measurements of the path: round trips, the greatest bandwidth, whether the pipe is full, and
//! the aggregation of acknowledgments (5.5.1 to 5.5.9, 5.3.1.2).

use crate::congestion::{AckSample, RateSample};
use crate::time::Instant;

/// Rounds without growth after which the pipe counts as full (5.3.1.2).
const FULL_PIPE_ROUNDS: u8 = 3;
/// Rounds covered by half of the aggregation filter: ten in all (BBR.ExtraAckedFilterLen).
const AGGREGATION_ROUNDS: u8 = 5;

/// Round trips counted by packets (5.5.1).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rounds {
    /// Bytes delivered when the current round trip began.
    next_delivered: u64,
    pub(crate) count: u64,
    /// Whether the current acknowledgment began a round trip.
    pub(crate) started: bool,
}

impl Rounds {
    pub(crate) fn on_sample(&mut self, rate: &RateSample) {
        self.started = rate.prior_delivered >= self.next_delivered;
        if self.started {
            self.count += 1;
            self.restart(rate.total_delivered);
        }
    }

    /// Begins a round trip with the next data sent.
    pub(crate) fn restart(&mut self, delivered: u64) {
        self.next_delivered = delivered;
    }
}

/// The greatest bandwidth of the current and the previous probing cycle (5.5.5, 5.5.6).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MaxBandwidth {
    previous: u64,
    current: u64,
}

impl MaxBandwidth {
    pub(crate) fn get(&self) -> u64 {
        self.previous.max(self.current)
    }

    pub(crate) fn on_sample(&mut self, rate: &RateSample) {
        let bw = rate.bytes_per_second();
        if bw >= self.get() || !rate.app_limited {
            self.current = self.current.max(bw);
        }
    }

    /// Ends a probing cycle; a cycle without measurements discards nothing.
    pub(crate) fn advance(&mut self) {
        if self.current > 0 {
            self.previous = self.current;
            self.current = 0;
        }
    }
}

/// Whether faster sending still increases delivery (5.3.1.2).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FullPipe {
    /// The bandwidth relative to which growth is measured.
    pub(crate) baseline: u64,
    count: u8,
    /// Whether delivery has stopped growing in the current phase.
    pub(crate) now: bool,
    /// Whether it has ever stopped growing.
    pub(crate) reached: bool,
}

impl FullPipe {
    /// A round trip measured `bw`, not limited by the application.
    pub(crate) fn on_round(&mut self, bw: u64) {
        if self.now {
            return;
        }
        if bw >= self.baseline.saturating_add(self.baseline / 4) {
            self.reset(bw);
            return;
        }
        self.count += 1;
        self.now = self.count >= FULL_PIPE_ROUNDS;
        self.reached |= self.now;
    }

    /// Restarts the measurement of growth, relative to `baseline`.
    pub(crate) fn reset(&mut self, baseline: u64) {
        self.baseline = baseline;
        self.count = 0;
        self.now = false;
    }
}

/// The excess of acknowledged data over the amount that the bandwidth explains (5.5.9).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Aggregation {
    started_at: Instant,
    acked: u64,
    /// The maximum in the current and in the previous half of the filter.
    most: [u32; 2],
    /// Round trips in the current half.
    rounds: u8,
}

impl Aggregation {
    pub(crate) fn on_ack(
        &mut self,
        sample: &AckSample,
        bw: u64,
        cwnd: u32,
        round_started: bool,
        full_bw_reached: bool,
    ) {
        if round_started {
            self.on_round(full_bw_reached);
        }
        let nanos = (sample.now - self.started_at).as_nanos();
        let mut expected = u128::from(bw) * nanos / 1_000_000_000;
        if u128::from(self.acked) <= expected {
            self.restart(sample.now);
            expected = 0;
        }
        self.acked += u64::from(sample.acked);
        let extra = u128::from(self.acked).saturating_sub(expected);
        let extra = u32::try_from(extra).unwrap_or(u32::MAX).min(cwnd);
        self.most[0] = self.most[0].max(extra);
    }

    /// Restarts the measurement: no delivery is expected for the time before `now`.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.started_at = now;
        self.acked = 0;
    }

    pub(crate) fn extra(&self) -> u32 {
        self.most[0].max(self.most[1])
    }

    fn on_round(&mut self, full_bw_reached: bool) {
        self.rounds += 1;
        let limit = if full_bw_reached {
            AGGREGATION_ROUNDS
        } else {
            1
        };
        if self.rounds >= limit {
            self.rounds = 0;
            self.most = [0, self.most[0]];
        }
    }
}

//! The bounds of the model under loss, and their restoration after a spurious loss (5.5.10,
//! 5.5.11).

use super::{Bbr, State};
use crate::congestion::{LostSegment, RateSample};
use crate::time::Instant;

/// Percentage of the data in flight above which loss is excessive (BBR.LossThresh).
const LOSS_THRESH: u64 = 2;
/// Percentage to which a bound may fall in one round trip (BBR.Beta).
const BETA: u64 = 70;

/// Bounds of the model.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    /// The largest volume in flight without excessive loss, found by probing.
    pub(crate) inflight_long: Option<u32>,
    /// The volume recently delivered despite loss, until the next probing.
    pub(crate) inflight_short: Option<u32>,
    bw_short: Option<u64>,
}

impl Bounds {
    /// `max_bw`, limited by the short-term bound.
    pub(crate) fn bandwidth(&self, max_bw: u64) -> u64 {
        self.bw_short.map_or(max_bw, |bound| bound.min(max_bw))
    }

    pub(crate) fn reset_short(&mut self) {
        self.inflight_short = None;
        self.bw_short = None;
    }

    /// The looser of each pair of bounds.
    fn widened(self, other: Self) -> Self {
        Self {
            inflight_long: self
                .inflight_long
                .zip(other.inflight_long)
                .map(|(a, b)| a.max(b)),
            inflight_short: self
                .inflight_short
                .zip(other.inflight_short)
                .map(|(a, b)| a.max(b)),
            bw_short: self.bw_short.zip(other.bw_short).map(|(a, b)| a.max(b)),
        }
    }
}

/// The round trip in which losses are counted, and the delivery in it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LossRound {
    /// Bytes delivered when it began.
    delivered: u64,
    /// Whether the current acknowledgment began it.
    pub(crate) started: bool,
    /// Whether data was lost in it.
    lost: bool,
    /// Number of acknowledgments in it that indicated loss.
    pub(crate) events: u8,
    /// The greatest bandwidth and volume delivered in it.
    bw: u64,
    inflight: u64,
}

impl LossRound {
    pub(crate) fn on_lost_bytes(&mut self, lost: u32) {
        if lost > 0 {
            self.events = self.events.saturating_add(1);
        }
    }

    pub(crate) fn on_sample(&mut self, rate: &RateSample) {
        self.bw = self.bw.max(rate.bytes_per_second());
        self.inflight = self.inflight.max(rate.delivered);
        self.started = rate.prior_delivered >= self.delivered;
        if self.started {
            self.delivered = rate.total_delivered;
        }
    }

    /// Starts a new round trip from the sample of an acknowledgment, at the end of its processing.
    pub(crate) fn advance(&mut self, rate: &RateSample) {
        if self.started {
            self.bw = rate.bytes_per_second();
            self.inflight = rate.delivered;
        }
    }

    pub(crate) fn reset(&mut self) {
        self.lost = false;
        self.bw = 0;
        self.inflight = 0;
    }

    /// The greatest volume recently delivered in one round trip.
    pub(crate) fn latest_inflight(&self) -> u32 {
        u32::try_from(self.inflight).unwrap_or(u32::MAX)
    }
}

/// The values that an undo restores (5.5.11.1).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Undo {
    /// The state that loss ended.
    pub(crate) state: Option<State>,
    bounds: Bounds,
}

impl Bbr {
    /// Whether `lost` of `in_flight` bytes exceeds the random loss of the path. The draft regards
    /// any loss without SACK as excessive, because little of it is visible then; here only the
    /// ratio counts.
    pub(crate) fn is_too_much(lost: u64, in_flight: u32) -> bool {
        lost * 100 > u64::from(in_flight) * LOSS_THRESH
    }

    /// Saves the values for an undo at the first loss of a round trip.
    pub(crate) fn note_loss(&mut self) {
        if !self.loss_round.lost {
            self.loss_round.delivered = self.delivered;
            self.save_cwnd();
            self.undo = Undo {
                state: None,
                bounds: self.bounds,
            };
        }
        self.loss_round.lost = true;
    }

    /// 5.5.10.2, per segment: the loss of data sent while probing determines the limit.
    pub(crate) fn judge_loss(&mut self, segment: &LostSegment) {
        self.note_loss();
        if !self.cycle.is_probe_sample {
            return;
        }
        if Self::is_too_much(segment.lost, segment.prior_in_flight) {
            let app_limited = segment.app_limited
                || self
                    .self_limited_until
                    .is_some_and(|until| segment.prior_delivered <= until);
            self.on_inflight_too_high(segment.now, inflight_at_loss(segment), app_limited);
        }
    }

    /// 5.5.10.2: `in_flight` was excessive.
    pub(crate) fn on_inflight_too_high(&mut self, now: Instant, in_flight: u32, app_limited: bool) {
        self.cycle.probe_too_high = true;
        self.cycle.is_probe_sample = false;
        if !app_limited {
            let least = u64::from(self.target_inflight()) * BETA / 100;
            self.bounds.inflight_long = Some(in_flight.max(least as u32));
        }
        if self.state == State::ProbeUp {
            self.undo.state = Some(State::ProbeUp);
            self.start_down(now);
        }
    }

    /// 5.5.10.3: when not probing, slows down towards the delivered volume, once per round trip
    /// with loss.
    pub(crate) fn respond_to_loss_round(&mut self) {
        if !self.loss_round.started {
            return;
        }
        if self.loss_round.lost && !self.state.is_accelerating() {
            let bw = self.bounds.bw_short.unwrap_or(self.max_bw.get());
            self.bounds.bw_short = Some(self.loss_round.bw.max(percent_of(bw, BETA)));
            let inflight = u64::from(self.bounds.inflight_short.unwrap_or(self.cwnd));
            let inflight = self.loss_round.inflight.max(inflight * BETA / 100);
            self.bounds.inflight_short = Some(u32::try_from(inflight).unwrap_or(u32::MAX));
        }
        self.loss_round.lost = false;
    }

    /// 5.5.11.2: the loss was spurious; probing that it ended continues.
    pub(crate) fn undo_loss(&mut self) {
        self.restore_cwnd();
        self.loss_round.lost = false;
        self.full_pipe.reset(0);
        self.bounds = self.bounds.widened(self.undo.bounds);
        match self.undo.state.take() {
            Some(State::Startup) if self.state != State::Startup => {
                self.full_pipe.reached = false;
                if self.state != State::ProbeRtt {
                    self.enter_startup();
                }
            }
            Some(State::ProbeUp) if !matches!(self.state, State::ProbeUp | State::ProbeRtt) => {
                self.start_refill();
            }
            _ => {}
        }
    }
}

/// The volume in flight when losses crossed the threshold, within the segment that crossed it,
/// which may be a whole burst.
fn inflight_at_loss(segment: &LostSegment) -> u32 {
    let in_flight = u64::from(segment.prior_in_flight.saturating_sub(segment.bytes));
    let lost = segment.lost.saturating_sub(u64::from(segment.bytes));
    let prefix = (in_flight * LOSS_THRESH).saturating_sub(lost * 100) / (100 - LOSS_THRESH);
    u32::try_from(in_flight + prefix).unwrap_or(u32::MAX)
}

pub(crate) fn percent_of(bw: u64, percent: u64) -> u64 {
    u64::try_from(u128::from(bw) * u128::from(percent) / 100).unwrap_or(u64::MAX)
}

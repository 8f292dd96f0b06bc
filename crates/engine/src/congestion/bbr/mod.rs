//! BBR, version 3 (draft-ietf-ccwg-bbr): a model of the path, its bandwidth and its round-trip
//! time, determines the sending rate and the volume in flight.
//!
//! This file holds the state and the order in which an acknowledgment is processed (5.2.3). `path`
//! measures bandwidth, round trips and aggregation; `startup` leaves startup and drains its queue;
//! `probe_bw` alternates between probing for bandwidth and leaving room; `probe_rtt` empties the
//! queue every five seconds; `loss` lowers the model's bounds and restores them; `control` turns
//! the model into a window and a pacing rate.
//!
//! Section numbers are those of the draft. Bandwidths are in bytes per second, volumes in bytes,
//! gains in percent; a bound that is `None` does not bind.

mod control;
mod loss;
mod path;
mod probe_bw;
mod probe_rtt;
mod startup;

use std::time::Duration;

use self::loss::{Bounds, LossRound, Undo};
use self::path::{Aggregation, FullPipe, MaxBandwidth, Rounds};
use self::probe_bw::Cycle;
use self::probe_rtt::RttProbe;
use super::{AckSample, Cause, Congestion, CongestionEvent, LostSegment, RateSample, rescaled};
use crate::time::Instant;

/// The states of the state machine (5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Doubling the rate to find the bandwidth.
    Startup,
    /// Draining the queue created by startup, since round trip number `since`.
    Drain { since: u64 },
    /// Sending slower than the path, to leave room.
    ProbeDown,
    /// Sending as fast as the path.
    ProbeCruise,
    /// Sending as fast as the path, without a short-term bound, before going up.
    ProbeRefill,
    /// Sending faster than the path, to test whether it has become faster.
    ProbeUp,
    /// Almost nothing in flight, to measure the round-trip time without a queue.
    ProbeRtt,
}

impl State {
    fn is_probe_bw(self) -> bool {
        matches!(
            self,
            Self::ProbeDown | Self::ProbeCruise | Self::ProbeRefill | Self::ProbeUp
        )
    }

    /// Whether more is sent than the path is known to carry.
    fn is_accelerating(self) -> bool {
        matches!(self, Self::Startup | Self::ProbeRefill | Self::ProbeUp)
    }
}

/// The state of BBR.
#[derive(Debug)]
pub struct Bbr {
    mss: u32,
    initial_window: u32,
    state: State,
    cwnd: u32,
    /// Bytes per second; zero before the first round-trip time.
    pacing: u64,
    /// The bandwidth to use: the maximum within its short-term bound.
    bw: u64,
    /// Bytes delivered so far.
    delivered: u64,
    /// Rate samples of data sent up to this count of delivered bytes reflect the sender and not the
    /// path.
    self_limited_until: Option<u64>,
    /// Whether the connection was idle and nothing has been acknowledged since.
    idle_restart: bool,
    /// Whether acknowledgments indicate loss that is not repaired yet.
    in_recovery: bool,
    /// The last good window from before loss recovery or a probe of the round-trip time.
    prior_cwnd: u32,
    max_bw: MaxBandwidth,
    rounds: Rounds,
    full_pipe: FullPipe,
    aggregation: Aggregation,
    bounds: Bounds,
    loss_round: LossRound,
    undo: Undo,
    cycle: Cycle,
    rtt: RttProbe,
}

impl Bbr {
    /// Starts with `initial_window` bytes, and with segments of `mss` bytes.
    #[must_use]
    pub fn new(initial_window: u32, mss: u32) -> Self {
        Self {
            mss: mss.max(1),
            initial_window,
            state: State::Startup,
            cwnd: initial_window,
            pacing: 0,
            bw: 0,
            delivered: 0,
            self_limited_until: None,
            idle_restart: false,
            in_recovery: false,
            prior_cwnd: 0,
            max_bw: MaxBandwidth::default(),
            rounds: Rounds::default(),
            full_pipe: FullPipe::default(),
            aggregation: Aggregation::default(),
            bounds: Bounds::default(),
            loss_round: LossRound::default(),
            undo: Undo::default(),
            cycle: Cycle::default(),
            rtt: RttProbe::default(),
        }
    }

    /// 5.2.3: the path first, then the state machine, in the order of the draft.
    fn update_model(&mut self, sample: &AckSample, rate: &RateSample) {
        self.loss_round.on_sample(rate);
        self.rounds.on_sample(rate);
        if self.rounds.started {
            self.cycle.rounds = self.cycle.rounds.saturating_add(1);
        }
        self.max_bw.on_sample(rate);
        self.respond_to_loss_round();
        self.aggregation.on_ack(
            sample,
            self.bw,
            self.cwnd,
            self.rounds.started,
            self.full_pipe.reached,
        );
        if self.rounds.started && !rate.app_limited {
            self.full_pipe.on_round(rate.bytes_per_second());
        }
        self.check_startup_done(rate);
        self.check_drain_done(sample);
        self.update_cycle(sample, rate);
    }

    /// The sample, marked as limited by the application if it reflects how little was sent and not
    /// the path.
    fn judged(&self, mut rate: RateSample) -> RateSample {
        rate.app_limited |= self
            .self_limited_until
            .is_some_and(|until| rate.prior_delivered <= until);
        rate
    }
}

impl Congestion for Bbr {
    fn name(&self) -> &'static str {
        "bbr"
    }

    fn cwnd(&self) -> u32 {
        self.cwnd
    }

    /// There is no threshold.
    fn ssthresh(&self) -> u32 {
        u32::MAX
    }

    fn on_ack(&mut self, sample: &AckSample) {
        let rate = sample.rate.map(|rate| self.judged(rate));
        self.delivered = match rate {
            Some(rate) => rate.total_delivered,
            None => self.delivered + u64::from(sample.acked),
        };
        self.rounds.started = false;
        self.loss_round.on_lost_bytes(sample.lost);
        if let Some(rate) = &rate {
            self.update_model(sample, rate);
        }
        self.update_min_rtt(sample);
        self.check_probe_rtt(sample);
        if let Some(rate) = &rate {
            self.loss_round.advance(rate);
        }
        self.bw = self.bounds.bandwidth(self.max_bw.get());
        self.set_pacing(sample.srtt);
        self.set_cwnd(sample.acked);
    }

    fn on_congestion(&mut self, event: &CongestionEvent) {
        self.save_cwnd();
        self.note_loss();
        // Only an episode ends, and releases the saved window.
        self.in_recovery |= event.cause == Cause::Loss;
        if event.cause == Cause::Ecn && self.cycle.is_probe_sample {
            // The draft does not specify ECN. A mark while probing has the same meaning as
            // excessive loss.
            self.on_inflight_too_high(event.now, event.flight, false);
        }
    }

    fn on_lost(&mut self, segment: &LostSegment) {
        self.judge_loss(segment);
    }

    /// 5.6.4.4: one segment, which then grows back as data is acknowledged.
    fn on_rto(&mut self, _now: Instant, _flight: u32, _first: bool) {
        self.save_cwnd();
        self.note_loss();
        self.in_recovery = true;
        self.cwnd = self.mss;
    }

    fn undo(&mut self, _now: Instant) {
        self.in_recovery = false;
        self.undo_loss();
    }

    fn on_recovered(&mut self, _now: Instant) {
        self.in_recovery = false;
        self.restore_cwnd();
    }

    /// 5.4.1: continues at the rate of the path and no faster.
    fn on_send_from_idle(&mut self, now: Instant, _silence: Duration) {
        self.idle_restart = true;
        self.aggregation.restart(now);
        if self.state.is_probe_bw() {
            self.set_pacing_with_gain(100);
        } else if self.state == State::ProbeRtt {
            self.check_probe_rtt_done(now);
        }
    }

    /// 5.4.2: the model knows the capacity of the path, and pacing spreads the window.
    fn on_idle_restart(&mut self, _now: Instant, _timeouts: u32) {}

    fn take_over(&mut self, cwnd: u32, _ssthresh: u32) {
        self.cwnd = cwnd;
    }

    fn set_mss(&mut self, mss: u32) {
        let mss = mss.max(1);
        self.cwnd = rescaled(self.cwnd, self.mss, mss);
        self.mss = mss;
    }

    fn pacing_rate(&self, srtt: Option<Duration>) -> Option<u64> {
        Some(if self.pacing == 0 {
            self.initial_pacing(srtt)
        } else {
            self.pacing
        })
    }

    fn needs_pacing(&self) -> bool {
        true
    }

    fn needs_rate_samples(&self) -> bool {
        true
    }

    fn governs_recovery(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;

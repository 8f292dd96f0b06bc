//! The cycle of probing for bandwidth: down, cruise, refill, up (5.3.3).

use std::time::Duration;

use super::{Bbr, State};
use crate::congestion::{AckSample, RateSample};
use crate::time::Instant;

/// Percentage of the long-term bound that is left to other flows while cruising (BBR.Headroom).
const HEADROOM: u64 = 15;
/// Maximum number of round trips between probes, for coexistence with Reno (5.3.3.5.1).
const RENO_ROUNDS: u32 = 63;

/// The relation of current acknowledgments to a probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum AckPhase {
    /// No relation.
    #[default]
    Init,
    /// Refilling: no relation yet.
    Refilling,
    /// Data sent before the probe is still being acknowledged.
    ProbeStarting,
    /// Data sent by the probe is being acknowledged.
    ProbeFeedback,
    /// The probe is over, and the last of its data is being acknowledged.
    ProbeStopping,
}

/// The state of the cycle.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cycle {
    /// Time at which it began.
    began_at: Instant,
    /// Time until the next probe.
    wait: Duration,
    /// Round trips since the last probe.
    pub(crate) rounds: u32,
    ack_phase: AckPhase,
    /// Rounds in which the probe has raised the long-term bound.
    up_rounds: u32,
    /// Bytes acknowledged since the bound was last raised.
    up_acked: u32,
    /// Bytes whose acknowledgment raises the bound by a segment; zero does not raise it.
    acked_per_raise: u32,
    /// Whether losses concern data sent by the probe.
    pub(crate) is_probe_sample: bool,
    /// Whether the last probe caused excessive loss.
    pub(crate) probe_too_high: bool,
    /// Whether the last probe stopped early because the one before caused excessive loss.
    was_cautious: bool,
}

impl Cycle {
    /// Ends a probe for bandwidth because a probe of the round-trip time begins.
    pub(crate) fn stop(&mut self) {
        self.ack_phase = AckPhase::ProbeStopping;
    }
}

impl Bbr {
    pub(crate) fn start_down(&mut self, now: Instant) {
        self.loss_round.reset();
        // 5.3.3.5.3: at a random time, so that flows mix.
        let random = mix(now.as_nanos() ^ self.delivered.rotate_left(32));
        self.cycle.acked_per_raise = 0;
        self.cycle.rounds = (random & 1) as u32;
        self.cycle.wait = Duration::from_secs(2) + Duration::from_nanos(random % 1_000_000_000);
        self.cycle.began_at = now;
        self.cycle.stop();
        self.rounds.restart(self.delivered);
        self.state = State::ProbeDown;
    }

    pub(crate) fn start_cruise(&mut self) {
        self.state = State::ProbeCruise;
    }

    pub(crate) fn start_refill(&mut self) {
        self.bounds.reset_short();
        self.cycle.up_rounds = 0;
        self.cycle.up_acked = 0;
        self.cycle.was_cautious = false;
        self.cycle.ack_phase = AckPhase::Refilling;
        self.rounds.restart(self.delivered);
        self.state = State::ProbeRefill;
    }

    fn start_up(&mut self, rate: &RateSample) {
        self.cycle.is_probe_sample = true;
        self.cycle.ack_phase = AckPhase::ProbeStarting;
        self.rounds.restart(self.delivered);
        self.full_pipe.reset(rate.bytes_per_second());
        self.state = State::ProbeUp;
        self.raise_slope();
    }

    /// 5.3.3.6, for each acknowledgment.
    pub(crate) fn update_cycle(&mut self, sample: &AckSample, rate: &RateSample) {
        if !self.full_pipe.reached || self.adapt_long_term(sample, rate) {
            return;
        }
        match self.state {
            State::ProbeDown | State::ProbeCruise if self.is_time_to_probe(sample.now) => {
                self.start_refill();
            }
            State::ProbeDown if self.is_time_to_cruise(sample) => self.start_cruise(),
            // After one round trip the pipe is full.
            State::ProbeRefill if self.rounds.started => self.start_up(rate),
            State::ProbeUp => self.check_up_done(sample, rate),
            _ => {}
        }
    }

    /// Volume that leaves room for other flows below the long-term bound.
    pub(crate) fn inflight_with_headroom(&self) -> u32 {
        self.bounds.inflight_long.map_or(u32::MAX, |bound| {
            let room = (u64::from(bound) * HEADROOM / 100) as u32;
            bound
                .saturating_sub(room.max(self.mss))
                .max(self.min_pipe())
        })
    }

    /// The target volume in flight: the bandwidth-delay product, unless congestion has reduced the
    /// window.
    pub(crate) fn target_inflight(&self) -> u32 {
        self.bdp(self.bw, 100).min(self.cwnd)
    }

    fn is_time_to_probe(&self, now: Instant) -> bool {
        let reno_rounds = (self.target_inflight() / self.mss).min(RENO_ROUNDS);
        now > self.cycle.began_at + self.cycle.wait || self.cycle.rounds >= reno_rounds
    }

    fn is_time_to_cruise(&self, sample: &AckSample) -> bool {
        sample.in_flight <= self.inflight_with_headroom()
            && sample.in_flight <= self.inflight_target(self.max_bw.get(), 100)
    }

    fn check_up_done(&mut self, sample: &AckSample, rate: &RateSample) {
        let bound = self.bounds.inflight_long.unwrap_or(u32::MAX);
        // 5.3.3.4.2: a volume that caused excessive loss the last time is reached but not held.
        let cautious = self.cycle.probe_too_high && sample.in_flight >= bound;
        self.cycle.was_cautious |= cautious;
        if !cautious && sample.cwnd_limited && self.cwnd >= bound {
            // The bound limits the bandwidth, and it is being raised.
            self.full_pipe.reset(rate.bytes_per_second());
        } else if cautious || self.full_pipe.now {
            self.cycle.probe_too_high = false;
            self.start_down(sample.now);
        }
    }

    /// Raises the long-term bound as loss permits. Returns whether the state has changed.
    fn adapt_long_term(&mut self, sample: &AckSample, rate: &RateSample) -> bool {
        if self.rounds.started && self.cycle.ack_phase == AckPhase::ProbeStarting {
            self.cycle.ack_phase = AckPhase::ProbeFeedback;
        } else if self.rounds.started
            && self.cycle.ack_phase == AckPhase::ProbeStopping
            && self.end_probe(rate)
        {
            return true;
        }
        if !Self::is_too_much(rate.lost, rate.prior_in_flight)
            && let Some(bound) = self.bounds.inflight_long
        {
            self.bounds.inflight_long = Some(bound.max(rate.prior_in_flight));
            if self.state == State::ProbeUp {
                self.raise_long_term(sample);
            }
        }
        false
    }

    /// Ends a probe whose last data has been acknowledged. Returns whether the next one begins at
    /// once.
    fn end_probe(&mut self, rate: &RateSample) -> bool {
        self.cycle.is_probe_sample = false;
        self.cycle.ack_phase = AckPhase::Init;
        if !self.state.is_probe_bw() {
            return false;
        }
        if !rate.app_limited {
            self.max_bw.advance();
        }
        let again = self.cycle.was_cautious && !self.cycle.probe_too_high;
        if again {
            self.start_refill();
        }
        again
    }

    /// Raises the long-term bound by 1, 2, 4, .. segments in successive round trips.
    fn raise_long_term(&mut self, sample: &AckSample) {
        let Some(bound) = self.bounds.inflight_long else {
            return;
        };
        if !sample.cwnd_limited || self.cwnd < bound {
            return;
        }
        self.cycle.up_acked = self.cycle.up_acked.saturating_add(sample.acked);
        let per_raise = self.cycle.acked_per_raise;
        if let Some(segments) = self.cycle.up_acked.checked_div(per_raise) {
            self.cycle.up_acked -= segments * per_raise;
            let raised = bound.saturating_add(segments.saturating_mul(self.mss));
            self.bounds.inflight_long = Some(raised);
        }
        if self.rounds.started {
            self.raise_slope();
        }
    }

    fn raise_slope(&mut self) {
        let per_round = 1_u32 << self.cycle.up_rounds;
        self.cycle.up_rounds = (self.cycle.up_rounds + 1).min(30);
        self.cycle.acked_per_raise = (self.cwnd / per_round).max(self.mss);
    }
}

/// A pseudo-random number (splitmix64): equal inputs still give equal packets.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

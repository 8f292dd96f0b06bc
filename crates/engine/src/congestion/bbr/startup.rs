//! Startup and the subsequent drain (5.3.1, 5.3.2).

use super::{Bbr, State};
use crate::congestion::{AckSample, RateSample};

/// Number of acknowledgments in a round trip that indicate loss, at which loss ends startup
/// (BBRStartupFullLossCnt).
const FULL_LOSS_COUNT: u8 = 6;
/// Maximum number of round trips for the drain.
const DRAIN_ROUNDS: u64 = 3;

impl Bbr {
    pub(crate) fn enter_startup(&mut self) {
        self.state = State::Startup;
    }

    pub(crate) fn check_startup_done(&mut self, rate: &RateSample) {
        self.check_startup_loss(rate);
        if self.state == State::Startup && self.full_pipe.reached {
            self.state = State::Drain {
                since: self.rounds.count,
            };
        }
    }

    pub(crate) fn check_drain_done(&mut self, sample: &AckSample) {
        if let State::Drain { since } = self.state
            && (sample.in_flight <= self.inflight_target(self.bw, 100)
                || self.rounds.count > since + DRAIN_ROUNDS)
        {
            self.start_down(sample.now);
        }
    }

    /// 5.3.1.3: excessive loss in a whole round trip of recovery means that the pipe is full.
    fn check_startup_loss(&mut self, rate: &RateSample) {
        if self.full_pipe.reached {
            return;
        }
        if self.loss_round.started
            && self.in_recovery
            && self.loss_round.events >= FULL_LOSS_COUNT
            && Self::is_too_much(rate.lost, rate.prior_in_flight)
        {
            self.undo.state = Some(State::Startup);
            self.full_pipe.reached = true;
            let safe = self
                .bdp(self.bw, 100)
                .max(self.loss_round.latest_inflight());
            self.bounds.inflight_long = Some(safe);
        }
        if self.loss_round.started {
            self.loss_round.events = 0;
        }
    }
}

//! The reports of acknowledgments and losses to congestion control.

use super::detection::saturated;
use super::episode::{Phase, Recovery};
use crate::congestion::{AckSample, Congestion};
use crate::tcp::recovery::ack_facts::AckFacts;
use crate::time::Instant;

impl Recovery {
    /// Reports each loss to an algorithm that samples rates.
    pub(crate) fn report_losses(&mut self, now: Instant, congestion: &mut dyn Congestion) {
        let Some(detection) = &mut self.detection else {
            return;
        };
        let Some(sampler) = &mut detection.sampler else {
            return;
        };
        for loss in self.board.take_losses() {
            if let Some(segment) = sampler.on_lost(now, &loss) {
                congestion.on_lost(&segment);
            }
        }
    }

    /// Reports to congestion control the amount that an acknowledgment delivered, and the `lost`
    /// bytes that it revealed.
    pub(crate) fn tell(&mut self, facts: &AckFacts, lost: u64, congestion: &mut dyn Congestion) {
        let min_rtt = facts.min_rtt;
        let sampler = self.detection().sampler.as_mut();
        let rate = sampler.and_then(|sampler| sampler.sample(min_rtt));
        // Data held out of order is not progress (RFC 5681), except for a model of the path and on
        // a path known to reorder: there it would never count (as on Linux).
        let progress = facts.advanced || self.detection().rack.reordering;
        let counts = congestion.governs_recovery()
            || progress && !matches!(self.phase, Phase::FastRecovery { .. });
        if facts.delivered.bytes > 0 && counts {
            congestion.on_ack(&AckSample {
                now: facts.now,
                acked: saturated(facts.delivered.bytes),
                cwnd_limited: facts.cwnd_limited && !matches!(self.phase, Phase::Reducing { .. }),
                paced: facts.paced,
                in_flight: saturated(self.pipe(facts.sack, facts.mss)),
                lost: saturated(lost),
                rtt: facts.rtt,
                min_rtt,
                srtt: facts.srtt,
                una: facts.una,
                nxt: facts.nxt,
                rate,
                ecn_echo: facts.ecn_echo,
            });
        }
    }
}

//! The reduction of the window, once per round trip, and of the amount that may be sent (RFC 5681,
//! RFC 3168, RFC 9937).

use super::detection::saturated;
use super::episode::{Phase, Recovery};
use super::prr::Prr;
use crate::congestion::{Cause, Congestion, CongestionEvent};
use crate::tcp::recovery::ack_facts::AckFacts;

impl Recovery {
    /// Begins a reduction because a router has marked a segment.
    pub(crate) fn begin_reducing(&mut self, facts: &AckFacts, congestion: &mut dyn Congestion) {
        self.reduce(facts, flight_before(facts), Cause::Ecn, congestion);
        if facts.una == facts.nxt {
            // No further acknowledgment is expected that would release data.
            return;
        }
        self.phase = Phase::Reducing { until: facts.nxt };
        self.meter(facts, congestion);
        // RFC 9937 6: based on the delivered amount. If nothing was delivered, no further
        // acknowledgment may follow.
        if facts.delivered.bytes > 0 {
            self.pace(facts, false);
        }
    }

    /// Whether the window has already been reduced for a mark on data still in flight: a loss in
    /// that data requires no further reduction (RFC 3168 6.1.2).
    pub(crate) fn has_reduced(&self, facts: &AckFacts) -> bool {
        matches!(self.phase, Phase::Reducing { until } if facts.una < until)
    }

    /// Lowers the window. Reports of duplicates about earlier retransmissions do not affect it.
    pub(crate) fn reduce(
        &mut self,
        facts: &AckFacts,
        flight: u32,
        cause: Cause,
        congestion: &mut dyn Congestion,
    ) {
        self.detection().undo.forget();
        let now = facts.now;
        congestion.on_congestion(&CongestionEvent { now, flight, cause });
    }

    /// Meters transmissions from the outstanding amount down to the threshold, unless the algorithm
    /// does so itself.
    pub(crate) fn meter(&mut self, facts: &AckFacts, congestion: &dyn Congestion) {
        // RFC 9937 6: without the data that the peer held before.
        let outstanding = self.board.in_flight() + self.board.lost() + facts.delivered.bytes;
        let ssthresh = u64::from(congestion.ssthresh());
        let metered = !congestion.governs_recovery();
        self.detection().prr = metered.then(|| Prr::new(outstanding, ssthresh));
    }

    /// The flight size from which the window is reduced. Data sent by limited transmit on the first
    /// two duplicates is not counted (RFC 5681 3.2 step 2).
    pub(crate) fn flight(&self, facts: &AckFacts) -> u32 {
        let flight = facts.nxt - facts.una;
        let limited = match &self.detection {
            Some(known) if self.duplicates > 0 => facts.nxt.saturating_sub(known.undisturbed),
            _ => 0,
        };
        saturated(flight.saturating_sub(limited.min(2 * u64::from(facts.mss))))
    }
}

/// The amount outstanding before the acknowledgment.
pub(crate) fn flight_before(facts: &AckFacts) -> u32 {
    saturated(facts.nxt - facts.una + facts.delivered.bytes)
}

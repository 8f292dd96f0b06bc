//! Tail loss probes: when the end of a flight stays unacknowledged, one more segment elicits an
//! acknowledgment before the retransmission timer fires (RFC 8985 7).

use std::time::Duration;

use crate::tcp::recovery::ack_facts::{AckFacts, Duplicated};

/// Time in which a peer may acknowledge a single segment (Linux's smallest timeout).
const DELAYED_ACK: Duration = Duration::from_millis(200);

/// Allowance for late timers (two of Linux's ticks).
const SLACK: Duration = Duration::from_millis(2);

/// Timeout before any measurement.
const INITIAL: Duration = Duration::from_secs(1);

/// The probe of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TailProbe {
    sent: Option<Sent>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    /// SND.NXT when it was sent.
    end: u64,
    /// Whether it was a retransmission.
    again: bool,
}

impl TailProbe {
    /// Time to wait for an acknowledgment (RFC 8985 7.2); `single` means that one segment is in
    /// flight.
    pub(crate) fn timeout(srtt: Option<Duration>, single: bool) -> Duration {
        match srtt {
            None => INITIAL,
            Some(srtt) if single => srtt * 2 + DELAYED_ACK,
            Some(srtt) => srtt * 2 + SLACK,
        }
    }

    /// A probe was sent, a retransmission if `again`.
    pub(crate) fn on_sent(&mut self, end: u64, again: bool) {
        self.sent = Some(Sent { end, again });
    }

    /// Whether a probe is in progress: there is one at a time.
    pub(crate) fn is_under_way(&self) -> bool {
        self.sent.is_some()
    }

    pub(crate) fn forget(&mut self) {
        self.sent = None;
    }

    /// Whether the peer reports the receipt of both the probe and the segment that it repeats.
    pub(crate) fn is_reported_by(&self, duplicated: Duplicated) -> bool {
        self.sent
            .is_some_and(|sent| duplicated.segments == 1 && duplicated.end == sent.end)
    }

    /// Processes an acknowledgment. Returns whether the probe repaired a loss that nothing else
    /// reveals (RFC 8985 7.4.2).
    pub(crate) fn on_ack(&mut self, facts: &AckFacts) -> bool {
        let Some(Sent { end, again }) = self.sent else {
            return false;
        };
        if facts.una < end {
            return false;
        }
        let reported = facts
            .duplicated
            .is_some_and(|duplicated| self.is_reported_by(duplicated));
        let needless = !again || reported;
        let repaired = !needless && facts.una > end;
        let plain = !facts.advanced && facts.delivered.bytes == 0;
        if needless || repaired || plain {
            self.sent = None;
        }
        repaired
    }
}

//! F-RTO: detects spurious timeouts (RFC 5682 3). After the first acknowledgments new data is sent
//! instead of retransmissions; the arrival of data that was sent only once shows that nothing was
//! lost.

use crate::tcp::recovery::ack_facts::AckFacts;

/// The state of the detection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Frto {
    /// No detection in progress.
    #[default]
    Off,
    /// Only the first lost segment was retransmitted.
    Waiting,
    /// New data was sent instead of further retransmissions.
    Probing,
}

impl Frto {
    /// Whether the acknowledgment shows that data has arrived that the timeout marked lost, which
    /// is all data before `lost_until` that was sent only once.
    pub(crate) fn is_refuted(self, facts: &AckFacts, lost_until: u64) -> bool {
        // Without SACK, data that arrived before the retransmission is acknowledged together with
        // it.
        let told_apart = facts.sack || !facts.delivered.retransmitted;
        let original = facts.delivered.original_before;
        self != Self::Off && told_apart && original.is_some_and(|end| end <= lost_until)
    }

    /// The state after an acknowledgment that does not decide; `until` is SND.NXT at the timeout.
    pub(crate) fn after(self, facts: &AckFacts, until: u64) -> Self {
        match self {
            // RFC 5682 2.1 step 2.
            Self::Waiting if facts.advanced && facts.has_new_data && facts.una < until => {
                Self::Probing
            }
            // Step 3 follows with the next acknowledgment.
            Self::Probing | Self::Waiting if !facts.advanced && !facts.duplicate => self,
            _ => Self::Off,
        }
    }
}

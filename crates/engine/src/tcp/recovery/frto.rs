//! F-RTO: whether a timeout was needed (RFC 5682 3). With the first acknowledgments new data goes out instead of
//! retransmissions, and what arrives that was sent once only tells that nothing was lost.

use crate::tcp::recovery::ack_facts::AckFacts;

/// Where the question stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Frto {
    /// Not in question.
    #[default]
    Off,
    /// The first lost segment was sent again, and nothing else.
    Waiting,
    /// New data was sent instead of more of it.
    Probing,
}

impl Frto {
    /// Whether the acknowledgment shows something to have arrived that the timeout took for lost, which is all before
    /// `lost_until` that was sent once.
    pub(crate) fn is_refuted(self, facts: &AckFacts, lost_until: u64) -> bool {
        // Without SACK, what arrived before the retransmission is acknowledged with it only.
        let told_apart = facts.sack || !facts.delivered.retransmitted;
        let original = facts.delivered.original_before;
        self != Self::Off && told_apart && original.is_some_and(|end| end <= lost_until)
    }

    /// An acknowledgment came that does not answer the question; `until` is SND.NXT of the timeout.
    pub(crate) fn after(self, facts: &AckFacts, until: u64) -> Self {
        match self {
            // RFC 5682 2.1 step 2.
            Self::Waiting if facts.advanced && facts.has_new_data && facts.una < until => {
                Self::Probing
            }
            // Step 3 comes with the next acknowledgment.
            Self::Probing | Self::Waiting if !facts.advanced && !facts.duplicate => self,
            _ => Self::Off,
        }
    }
}

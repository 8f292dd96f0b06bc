//! Explicit congestion notification (RFC 3168, RFC 9293 SHLD-8): congestion marks are echoed to the
//! peer, and the peer's echoes reduce the sending rate.

use millstream_wire::ip::Ecn;
use millstream_wire::tcp::Flags;

use super::{Context, Owed, Tcb};
use crate::config::EcnMode;
use crate::congestion::Cause;
use crate::stats::count;
use crate::tcp::segment::Segment;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct EcnState {
    /// Whether a packet with an ECN codepoint has arrived: the path from the peer preserves
    /// codepoints.
    pub(crate) seen: bool,
    /// Whether a mark is echoed in every segment, until the peer reports a reduction (6.1.3).
    echo: bool,
    /// Whether the next new data reports a reduction to the peer (6.1.2).
    reduced: bool,
    /// End of the data that was in flight at the last reduction. Marks on that data carry no new
    /// information, nor do those reported by its last acknowledgment: CWR comes after it.
    round_end: u64,
}

impl EcnState {
    /// Whether the window was reduced less than a round trip ago, so that a mark requires no
    /// further reduction.
    pub(crate) fn has_answered(&self, una: u64) -> bool {
        una <= self.round_end
    }

    /// Whether the next new data carries CWR: in one packet only, not in each packet that a device
    /// would make of it.
    pub(crate) fn has_reduced(&self) -> bool {
        self.reduced
    }

    /// The window was reduced, for whatever reason: the next new data reports it, and marks on the
    /// data in flight, which ends at `nxt`, require no further reduction.
    fn on_reduced(&mut self, nxt: u64) {
        self.reduced = true;
        self.round_end = nxt;
    }
}

impl Tcb {
    /// Whether a segment reports that a local packet was marked.
    pub(crate) fn is_ecn_echo(&self, segment: &Segment) -> bool {
        self.agreed.ecn && segment.has(Flags::ECE) && !segment.has(Flags::SYN)
    }

    /// Processes the codepoint and flags of an acceptable segment as its receiver (6.1.3).
    pub(crate) fn take_ecn_mark(&mut self, segment: &Segment) {
        if !self.agreed.ecn {
            return;
        }
        let carries_data = !segment.payload.is_empty();
        if segment.has(Flags::CWR) && carries_data {
            self.ecn.echo = false;
            // The peer may have little data in flight and wait for each acknowledgment (as on
            // Linux).
            self.owed |= Owed::ACK;
        }
        self.ecn.seen |= segment.ecn != Ecn::NotEct;
        // 6.1.4 and 6.1.6: only data is marked; marks on other packets are ignored.
        if segment.ecn == Ecn::Ce && carries_data && !self.ecn.echo {
            self.ecn.echo = true;
            self.owed |= Owed::ACK;
        }
    }

    /// The window was reduced, or the timer fired: the peer is told. At most one reduction per
    /// round trip (6.1.2).
    pub(crate) fn on_window_reduced(&mut self, cause: Cause, cx: &mut Context<'_>) {
        if !self.agreed.ecn {
            return;
        }
        self.ecn.on_reduced(self.sender.snd.nxt);
        if cause == Cause::Ecn {
            count(&mut cx.counters.ecn_reductions);
        }
    }

    /// The ECN flags of a segment: ECE for every segment that is neither SYN nor RST, CWR for
    /// `new_data` (6.1.2, 6.1.3).
    pub(crate) fn ecn_flags(&self, new_data: bool) -> Flags {
        let mut flags = Flags::empty();
        flags.set(Flags::ECE, self.ecn.echo);
        flags.set(Flags::CWR, new_data && self.ecn.reduced);
        flags
    }

    /// The codepoint of the packet: ECT(0) for new data only. Retransmissions, probes and
    /// acknowledgments have none, because the loss of a marked one would go unnoticed
    /// (RFC 3168 6.1.4, 6.1.5, RFC 3168 6.1.6).
    pub(crate) fn ecn_codepoint(&self, new_data: bool) -> Ecn {
        if new_data && self.agreed.ecn {
            Ecn::Ect0
        } else {
            Ecn::NotEct
        }
    }

    /// New data was sent.
    pub(crate) fn on_ecn_data_sent(&mut self) {
        self.ecn.reduced = false;
    }

    /// Whether the SYN requests ECN: the first one does, and retransmissions do not, in case the
    /// path drops packets with unknown bits (6.1.1.1).
    pub(crate) fn syn_asks_for_ecn(&self) -> bool {
        self.options.ecn == EcnMode::Active && self.sender.retries == 0
    }
}

//! Explicit congestion notification (RFC 3168, RFC 9293 SHLD-8): marks of the network echoed to the peer, and the
//! peer's echoes of them answered by sending less.

use millstream_wire::ip::Ecn;
use millstream_wire::tcp::Flags;

use super::{Context, Owed, Tcb};
use crate::config::EcnMode;
use crate::stats::count;
use crate::tcp::congestion::Cause;
use crate::tcp::segment::Segment;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct EcnState {
    /// Both ends take part.
    pub(crate) negotiated: bool,
    /// A packet of the peer's came with an ECN codepoint: its path, too, lets them through.
    pub(crate) seen: bool,
    /// A mark is echoed in every segment, until the peer says that it has slowed down (6.1.3).
    echo: bool,
    /// The next new data tells the peer that we have slowed down (6.1.2).
    reduced: bool,
    /// What was in flight at the last reduction ends here. Marks on it say nothing new, and those of its last acknowledgment
    /// neither: CWR comes after it.
    round_end: u64,
}

impl EcnState {
    /// For a connection whose SYNs agreed on ECN, or did not.
    pub(crate) fn new(negotiated: bool) -> Self {
        Self {
            negotiated,
            ..Self::default()
        }
    }

    /// Whether a segment says that one of ours was marked.
    pub(crate) fn is_echoed_by(&self, segment: &Segment) -> bool {
        self.negotiated && segment.has(Flags::ECE) && !segment.has(Flags::SYN)
    }

    /// Whether the window was reduced less than a round trip ago, so that a mark asks for nothing more.
    pub(crate) fn has_answered(&self, una: u64) -> bool {
        una <= self.round_end
    }

    /// Whether the next new data carries CWR: in one packet, not in each that a device would cut it into.
    pub(crate) fn has_reduced(&self) -> bool {
        self.reduced
    }

    /// The window was reduced, for whatever reason: the peer is told with the next new data, and marks on what is in
    /// flight, which ends at `nxt`, ask for nothing more.
    fn on_reduced(&mut self, nxt: u64) {
        self.reduced = true;
        self.round_end = nxt;
    }
}

impl Tcb {
    /// An acceptable segment's codepoint and flags, as its receiver (6.1.3).
    pub(crate) fn take_ecn_mark(&mut self, segment: &Segment) {
        if !self.ecn.negotiated {
            return;
        }
        let carries_data = !segment.payload.is_empty();
        if segment.has(Flags::CWR) && carries_data {
            self.ecn.echo = false;
            // The peer may have little in flight and wait for each acknowledgment (as Linux has it).
            self.owed |= Owed::ACK;
        }
        self.ecn.seen |= segment.ecn != Ecn::NotEct;
        // 6.1.4 and 6.1.6: only data is marked; what else says so is not believed.
        if segment.ecn == Ecn::Ce && carries_data && !self.ecn.echo {
            self.ecn.echo = true;
            self.owed |= Owed::ACK;
        }
    }

    /// The window was reduced, or the timer fired: the peer is told. At most one reduction in a round trip (6.1.2).
    pub(crate) fn on_window_reduced(&mut self, cause: Cause, cx: &mut Context<'_>) {
        if !self.ecn.negotiated {
            return;
        }
        self.ecn.on_reduced(self.snd.nxt);
        if cause == Cause::Ecn {
            count(&mut cx.counters.ecn_reductions);
        }
    }

    /// ECE for every segment that is neither SYN nor RST, CWR for `new_data` (6.1.2, 6.1.3).
    pub(crate) fn ecn_flags(&self, new_data: bool) -> Flags {
        let mut flags = Flags::empty();
        flags.set(Flags::ECE, self.ecn.echo);
        flags.set(Flags::CWR, new_data && self.ecn.reduced);
        flags
    }

    /// The codepoint of the packet: ECT(0) for new data alone. Retransmissions, probes and acknowledgments
    /// have none, because nobody would notice that one with a mark was lost (RFC 3168 6.1.4, 6.1.5, RFC 3168 6.1.6).
    pub(crate) fn ecn_codepoint(&self, new_data: bool) -> Ecn {
        if new_data && self.ecn.negotiated {
            Ecn::Ect0
        } else {
            Ecn::NotEct
        }
    }

    /// New data went out.
    pub(crate) fn on_ecn_data_sent(&mut self) {
        self.ecn.reduced = false;
    }

    /// Whether our SYN asks for ECN: the first one does, and those after it do not, in case that the path drops what it
    /// does not know (6.1.1.1).
    pub(crate) fn syn_asks_for_ecn(&self) -> bool {
        self.options.ecn == EcnMode::Active && self.retries == 0
    }
}

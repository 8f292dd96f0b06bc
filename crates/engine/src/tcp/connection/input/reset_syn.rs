//! Second and fourth steps: RST and SYN where neither is expected (RFC 9293 3.10.7.4, RFC 5961 3 and 4).

use super::super::space::after;
use super::super::{Context, Outcome, Tcb};
use super::Arrival;
use crate::error::{ConnectionError, DropReason};
use crate::stats::count;
use crate::tcp::segment::Segment;
use crate::tcp::state::State;
use millstream_wire::tcp::Flags;

impl Tcb {
    /// An RST within the window. Only one exactly at RCV.NXT is believed (RFC 9293 SHLD-2).
    pub(crate) fn process_reset(&mut self, arrival: &Arrival, cx: &mut Context<'_>) -> Outcome {
        let position = self.rcv.position(arrival.segment.seq);
        if position != self.rcv.nxt && !self.is_just_before_fin(position) {
            self.challenge(cx);
            return self.drop_segment(DropReason::InexactReset, cx);
        }
        count(&mut cx.counters.resets_received);
        match self.state {
            // An active open that the peer refused after all (simultaneous open).
            State::SynReceived => self.fail(ConnectionError::Refused, cx),
            State::CloseWait => self.fail(ConnectionError::BrokenPipe, cx),
            State::Closing | State::LastAck => {
                if self.is_flushed() {
                    self.end(cx)
                } else {
                    self.fail(ConnectionError::Reset, cx)
                }
            }
            _ => self.fail(ConnectionError::Reset, cx),
        }
    }

    /// A peer that dies after its FIN resets with the FIN's own sequence number, or answers what we sent before we
    /// knew of the FIN; Linux believes that reset as well.
    pub(crate) fn is_just_before_fin(&self, position: u64) -> bool {
        matches!(
            self.state,
            State::CloseWait | State::Closing | State::LastAck
        ) && after(position, 1) == self.rcv.nxt
    }

    /// In a simultaneous open each side's SYN comes a second time, now with the ACK: that one
    /// completes the handshake. Every other SYN is answered with a challenge.
    pub(crate) fn is_crossing_syn_ack(&self, arrival: &Arrival) -> bool {
        !self.syn_acked()
            && arrival.segment.has(Flags::ACK)
            && arrival.segment.seq == self.rcv.irs
            && arrival.ack == self.snd.nxt
    }

    /// Whether `segment` acknowledges exactly what a SYN-SENT or SYN-RECEIVED connection has sent.
    pub(crate) fn acknowledges_syn(&self, segment: &Segment) -> bool {
        let ack = self.snd.position(segment.ack);
        ack > super::super::space::SYN && ack <= self.snd.nxt
    }
}

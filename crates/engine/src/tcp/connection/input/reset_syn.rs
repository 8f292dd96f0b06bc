//! Second and fourth steps: unexpected RST and SYN (RFC 9293 3.10.7.4, RFC 5961 3 and 4).

use super::super::space::after;
use super::super::{Context, Outcome, Tcb};
use super::Arrival;
use crate::error::{ConnectionError, DropReason};
use crate::stats::count;
use crate::tcp::state::State;
use millstream_wire::tcp::Flags;

impl Tcb {
    /// Processes an RST within the window. Only one with exactly RCV.NXT is accepted (RFC 9293
    /// SHLD-2).
    pub(crate) fn process_reset(&mut self, arrival: &Arrival, cx: &mut Context<'_>) -> Outcome {
        let position = self.receiver.rcv.position(arrival.segment.seq);
        if position != self.receiver.rcv.nxt && !self.is_just_before_fin(position) {
            self.challenge(cx);
            return self.drop_segment(DropReason::InexactReset, cx);
        }
        count(&mut cx.counters.resets_received);
        match *self.state {
            // An active open that the peer refused in the end (simultaneous open).
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

    /// Whether `position` is that of the peer's FIN. A peer that dies after its FIN resets with the
    /// FIN's own sequence number, or answers a segment that was sent before its FIN was known;
    /// Linux accepts that reset as well.
    pub(crate) fn is_just_before_fin(&self, position: u64) -> bool {
        matches!(
            *self.state,
            State::CloseWait | State::Closing | State::LastAck
        ) && after(position, 1) == self.receiver.rcv.nxt
    }

    /// In a simultaneous open each side repeats its SYN with the ACK, which completes the
    /// handshake. Every other SYN is answered with a challenge.
    pub(crate) fn is_crossing_syn_ack(&self, arrival: &Arrival) -> bool {
        !self.sender.syn_acked()
            && arrival.segment.has(Flags::ACK)
            && arrival.segment.seq == self.receiver.rcv.irs
            && arrival.ack == self.sender.snd.nxt
    }
}

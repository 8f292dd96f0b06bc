//! The processing of an arriving segment: RFC 9293 3.10.7, one file per step.
//!
//! Input never sends. It changes the connection and notes what is owed; output sends it.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod ack;
mod fin;
mod reset_syn;
mod sequence;
mod syn_sent;
mod text;
mod urgent;

use millstream_wire::tcp::Flags;

use self::ack::AckVerdict;
use self::sequence::SequenceVerdict;
use super::space::after;
use super::{Context, Outcome, Owed, Tcb};
use crate::error::DropReason;
use crate::tcp::segment::Segment;
use crate::tcp::state::{State, Stimulus};

/// A segment in positions, trimmed step by step to the window.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// Position of the first byte of `segment.payload`.
    pub(crate) start: u64,
    /// Position of the acknowledgment number.
    pub(crate) ack: u64,
    /// The segment's FIN, unless it was trimmed off.
    pub(crate) fin: bool,
    /// Whether part of the segment was trimmed off, which requires an answer.
    pub(crate) cut: bool,
    /// The part that had been received before, from and to; equal if there is none.
    pub(crate) duplicate: (u64, u64),
    pub(crate) segment: Segment,
}

impl Arrival {
    /// Position after the payload.
    pub(crate) fn end(&self) -> u64 {
        after(self.start, self.segment.payload.len())
    }
}

impl Tcb {
    /// Processes a segment for this connection.
    pub(crate) fn on_segment(&mut self, segment: Segment, cx: &mut Context<'_>) -> Outcome {
        self.tally.note_received(!segment.payload.is_empty());
        match *self.state {
            State::Closed | State::Listen | State::TimeWait => {
                self.drop_segment(DropReason::NoConnection, cx)
            }
            State::SynSent => self.on_segment_in_syn_sent(&segment, cx),
            _ => self.on_segment_otherwise(segment, cx),
        }
    }

    /// RFC 9293 3.10.7.4: all states from SYN-RECEIVED on.
    fn on_segment_otherwise(&mut self, segment: Segment, cx: &mut Context<'_>) -> Outcome {
        // First, the sequence number, preceded by timestamps (RFC 7323 5.3).
        let arrival = match self.check_sequence(segment, cx) {
            SequenceVerdict::Drop(outcome) => return outcome,
            SequenceVerdict::Take(arrival) => arrival,
        };
        // Second, RST; (third, security, is not implemented;) fourth, SYN.
        if arrival.segment.has(Flags::RST) {
            return self.process_reset(&arrival, cx);
        }
        if arrival.segment.has(Flags::SYN) && !self.is_crossing_syn_ack(&arrival) {
            self.challenge(cx);
            return self.drop_segment(DropReason::UnexpectedSyn, cx);
        }
        // Fifth, ACK.
        if !arrival.segment.has(Flags::ACK) {
            return self.drop_segment(DropReason::MissingAck, cx);
        }
        self.last_received = cx.now;
        self.probes = 0;
        let fin_was_acked = self.sender.fin_acked();
        match self.process_ack(&arrival, cx) {
            AckVerdict::Drop(outcome) => return outcome,
            AckVerdict::Go => {}
        }
        if arrival.ack >= self.sender.snd.una {
            self.take_timestamp(&arrival.segment, cx);
        }
        let (from, to) = arrival.duplicate;
        self.note_duplicate(from, to);
        if arrival.cut {
            self.owed |= Owed::ACK;
        }
        let fin_acked_now = !fin_was_acked && self.sender.fin_acked();
        if fin_acked_now && self.state != State::FinWait1 {
            // CLOSING and LAST-ACK end here; neither expects text.
            return self.on_fin_acked(cx);
        }
        self.take_ecn_mark(&arrival.segment);
        // Sixth, URG; seventh, text; eighth, FIN.
        self.process_urgent(&arrival);
        if self.is_data_after_close(&arrival) {
            return self.reset_after_close(&arrival, cx);
        }
        let fin_now = self.process_text(arrival, cx);
        self.advance_close(fin_acked_now, fin_now, cx)
    }

    /// The local FIN was acknowledged in CLOSING or LAST-ACK.
    fn on_fin_acked(&mut self, cx: &mut Context<'_>) -> Outcome {
        self.transition(Stimulus::AckOfFin, cx);
        match *self.state {
            State::TimeWait => {
                self.stop();
                Outcome::Record
            }
            State::Closed => {
                self.stop();
                Outcome::Closed
            }
            _ => Outcome::Alive,
        }
    }

    /// RFC 9293 3.9.1 SHLD-3 and Linux: data without a reader, after the application has closed.
    fn is_data_after_close(&self, arrival: &Arrival) -> bool {
        let closed =
            matches!(*self.state, State::FinWait1 | State::FinWait2) && self.app.read_shutdown;
        closed && !arrival.segment.payload.is_empty() && arrival.end() > self.receiver.rcv.nxt
    }

    fn reset_after_close(&mut self, arrival: &Arrival, cx: &mut Context<'_>) -> Outcome {
        cx.counters.count_drop(DropReason::UnexpectedData);
        cx.replies.reset(&arrival.segment, cx.config, cx.counters);
        self.end(cx)
    }
}

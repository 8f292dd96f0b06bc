//! First step: the check that the segment lies in the window and is not an old duplicate by its
//! timestamp.

use bytes::Buf as _;

use millstream_wire::tcp::Flags;

use super::super::receiver::Receiver;
use super::super::space::after;
use super::super::{Context, Outcome, Owed, Tcb};
use super::Arrival;
use crate::error::DropReason;
use crate::tcp::segment::Segment;

pub(crate) enum SequenceVerdict {
    Take(Arrival),
    Drop(Outcome),
}

impl Tcb {
    pub(crate) fn check_sequence(
        &mut self,
        segment: Segment,
        cx: &mut Context<'_>,
    ) -> SequenceVerdict {
        let start = self.receiver.rcv.position(segment.seq);
        let end = start.saturating_add(segment.len());
        if !segment.has(Flags::RST) && self.is_older_by_timestamp(&segment, cx) {
            self.answer_unacceptable(&segment, start, end, cx);
            return SequenceVerdict::Drop(self.drop_segment(DropReason::Paws, cx));
        }
        // Linux's reading of 3.10.7.4: from the last acknowledgment sent, so that a pure ACK that
        // was overtaken still counts and is not answered; and up to the right edge, so that ACK,
        // RST and URG are processed at a zero window (MUST-66).
        let reset_at_fin = segment.has(Flags::RST) && self.is_just_before_fin(start);
        let edge = self.receiver.rcv.edge.max(self.receiver.rcv.nxt);
        let at_edge = start == edge && end > start && edge > self.receiver.rcv.nxt;
        let outside = end < self.receiver.rcv.acked || start > edge || at_edge;
        if outside && !reset_at_fin {
            if !segment.has(Flags::RST) {
                self.answer_unacceptable(&segment, start, end, cx);
            }
            return SequenceVerdict::Drop(self.drop_segment(DropReason::OutsideWindow, cx));
        }
        let ack = self.sender.snd.position(segment.ack);
        SequenceVerdict::Take(self.receiver.trim(segment, start, ack))
    }

    /// RFC 7323 5.3 R1.
    fn is_older_by_timestamp(&self, segment: &Segment, cx: &Context<'_>) -> bool {
        let theirs = segment.options.timestamps;
        self.agreed.timestamps
            && theirs.is_some_and(|theirs| self.timestamps.refuses(theirs.value, cx.now))
    }

    /// RFC 7323 4.3: TS.Recent is taken from the segment that spans Last.ACK.sent, and only if its
    /// acknowledgment number is neither unacceptable nor old: a forged segment would otherwise make
    /// the peer's own segments look old.
    pub(crate) fn take_timestamp(&mut self, segment: &Segment, cx: &Context<'_>) {
        let start = self.receiver.rcv.position(segment.seq);
        if self.agreed.timestamps
            && let Some(theirs) = segment.options.timestamps
            && start <= self.receiver.rcv.acked
        {
            self.timestamps.take(theirs.value, cx.now);
        }
    }

    /// "If an incoming segment is not acceptable, an acknowledgment should be sent in reply."
    /// Segments without payload are answered at a limited rate, so that two ends with inconsistent
    /// states do not answer each other for ever.
    fn answer_unacceptable(
        &mut self,
        segment: &Segment,
        start: u64,
        end: u64,
        cx: &mut Context<'_>,
    ) {
        if segment.payload.is_empty() || segment.has(Flags::SYN) {
            self.challenge(cx);
            return;
        }
        if end <= self.receiver.rcv.nxt {
            self.note_duplicate(start, end);
            self.receiver.ack.on_retransmission();
        }
        self.owed |= Owed::ACK;
    }
}

impl Receiver {
    /// Trims the segment to the window: removes data that was received before and data beyond the
    /// right edge.
    fn trim(&mut self, mut segment: Segment, start: u64, ack: u64) -> Arrival {
        // The payload starts after the SYN, if present.
        let mut start = after(start, segment.has(Flags::SYN).into());
        let mut fin = segment.has(Flags::FIN);
        let mut cut = false;
        let mut duplicate = (start, start);
        let length = segment.payload.len();
        let old = self.rcv.nxt.saturating_sub(start);
        if old > 0 {
            let end = after(after(start, length), fin.into());
            duplicate = (start, end.min(self.rcv.nxt));
        }
        if old > 0 && length > 0 {
            let old = length.min(old as usize);
            segment.payload.advance(old);
            start = after(start, old);
            cut = true;
        }
        let room = self.rcv.edge.saturating_sub(start);
        if segment.payload.len() as u64 > room {
            segment.payload.truncate(room as usize);
            fin = false;
            cut = true;
        }
        let end = after(start, segment.payload.len());
        // A FIN that was received before is acknowledged again. A FIN past the right edge is
        // ignored unless it is next: it needs no room, and the peer may be waiting for its
        // acknowledgment (as on Linux).
        if fin && (end < self.rcv.nxt || (end >= self.rcv.edge && end != self.rcv.nxt)) {
            fin = false;
            cut = true;
        }
        Arrival {
            start,
            ack,
            fin,
            cut,
            duplicate,
            segment,
        }
    }
}

//! Seventh step: the segment's text, in order or out of order.

use bytes::Bytes;
use millstream_wire::tcp::Flags;

use super::super::space::after;
use super::super::{Context, Owed, Tcb};
use super::Arrival;
use crate::error::DropReason;
use crate::event::Readiness;
use crate::tcp::buffer::assembler::Inserted;
use crate::timer::TimerKind;

impl Tcb {
    /// Processes the text. Returns whether the peer's FIN has been reached.
    pub(crate) fn process_text(&mut self, arrival: Arrival, cx: &mut Context<'_>) -> bool {
        if !self.state.may_receive() {
            // RFC 9293 3.10.7.4, seventh: text after the peer's FIN should not occur; it is
            // ignored.
            if !arrival.segment.payload.is_empty() {
                cx.counters.count_drop(DropReason::UnexpectedData);
            }
            return false;
        }
        if arrival.fin {
            self.note_fin(arrival.end());
        }
        let length = arrival.segment.payload.len();
        if length > 0 && self.receiver.rcv.fin.is_some_and(|fin| arrival.end() > fin) {
            self.owed |= Owed::ACK;
            cx.counters.count_drop(DropReason::UnexpectedData);
            return false;
        }
        if arrival.start == self.receiver.rcv.nxt {
            if length > 0 {
                self.take_in_order(arrival, cx);
            }
        } else if length > 0 || arrival.fin {
            self.take_out_of_order(arrival, cx);
        }
        self.consume_fin()
    }

    fn take_in_order(&mut self, arrival: Arrival, cx: &mut Context<'_>) {
        let (start, end) = (arrival.start, arrival.end());
        if let Some((from, to)) = self.receiver.assembler.first_held(start, end)
            && arrival.duplicate.0 == arrival.duplicate.1
        {
            self.note_duplicate(from, to);
        }
        self.measure_receive_rtt(&arrival);
        let pushed = arrival.segment.has(Flags::PSH);
        let mut payload = arrival.segment.payload;
        let room = self.buffers.room_in_order(self.receiver.buf.memory());
        if payload.len() > room {
            // The right edge stays in place (SHLD-14); unacknowledged data is retransmitted.
            payload.truncate(room);
            cx.counters.count_drop(DropReason::OutOfMemory);
            self.owed |= Owed::ACK;
        }
        let length = payload.len();
        if length == 0 {
            self.tell_reader();
            return;
        }
        self.receiver.rcv.nxt = after(self.receiver.rcv.nxt, length);
        self.receiver.buf.push(payload, cx.config.receive_block);
        let filled_gap = !self.receiver.assembler.is_empty();
        while let Some((piece, pinned)) = self
            .receiver
            .assembler
            .take_contiguous(self.receiver.rcv.nxt)
        {
            self.receiver.rcv.nxt = after(self.receiver.rcv.nxt, piece.len());
            self.receiver.buf.push_pinning(piece, pinned);
        }
        if filled_gap {
            // RFC 5681 4.2: at once when a segment fills a gap.
            self.owed |= Owed::ACK;
            self.receiver.ack.on_retransmission();
        }
        let full = self.full_segment_of_peer();
        self.receiver
            .ack
            .on_data(length as u32, full, pushed, cx.now);
        if self.receiver.ack.is_due() {
            self.owed |= Owed::ACK;
        } else if !self.timers.is_armed(TimerKind::DelayedAck) {
            self.timers
                .arm(TimerKind::DelayedAck, cx.now + self.options.delayed_ack);
        }
        self.tell_reader();
    }

    fn tell_reader(&mut self) {
        if self.is_readable() {
            self.app.readiness |= Readiness::READABLE;
        }
    }

    /// Payload of the peer's full segments, which is assumed not to exceed the local segment size:
    /// a device may have merged several segments, which must not pass for a larger one.
    fn full_segment_of_peer(&self) -> u32 {
        u32::from(self.agreed.advertised_mss).min(self.sender.snd.mss)
    }

    /// RFC 9293 SHLD-31.
    fn take_out_of_order(&mut self, arrival: Arrival, cx: &mut Context<'_>) {
        // RFC 5681 4.2, MAY-13: at once, so that the sender learns of the gap.
        self.owed |= Owed::ACK;
        // One acknowledgment per batch would hide the number of arrivals from a peer that counts
        // duplicates (RFC 5681 3.2). Even a peer that has agreed to SACK may count, up to three,
        // and the first acknowledgment is no duplicate.
        let most = if self.agreed.sack { 4 } else { u8::MAX };
        self.receiver.ack.on_out_of_order(most);
        let fin = arrival.fin.then(|| arrival.end());
        let held = self.hold(arrival.start, arrival.segment.payload, cx);
        let mut duplicate = held.duplicate;
        // If the segment is not kept whole, its FIN must be retransmitted with the rest.
        if let Some(fin) = fin.filter(|_| fin == self.receiver.rcv.fin && held.dropped == 0)
            && self.receiver.assembler.insert_fin(fin)
        {
            let (from, _) = duplicate.filter(|&(_, to)| to == fin).unwrap_or((fin, fin));
            duplicate = Some((from, after(fin, 1)));
        }
        if let Some((from, to)) = duplicate {
            self.note_duplicate(from, to);
        }
    }

    /// Keeps out-of-order text until the data before it has arrived.
    fn hold(&mut self, start: u64, payload: Bytes, cx: &mut Context<'_>) -> Inserted {
        if payload.is_empty() {
            return Inserted::default();
        }
        // Data within the offered window is kept while there is memory, even if the buffer limit
        // has been reduced since.
        let offered = self
            .buffers
            .receive_limit()
            .max(self.receiver.rcv.wnd() as usize);
        let (limit, reason) = match self.buffers.out_of_order_limit() {
            Some(limit) if limit < offered => (limit, DropReason::OutOfMemory),
            _ => (offered, DropReason::AssemblerFull),
        };
        let inserted =
            self.receiver
                .assembler
                .insert(start, payload, limit, cx.config.receive_block);
        if inserted.dropped > 0 {
            cx.counters.count_drop(reason);
        }
        inserted
    }
}

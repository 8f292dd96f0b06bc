//! RFC 9293 3.10.7.3: the processing of segments in SYN-SENT.

use millstream_wire::tcp::Flags;

use super::super::negotiate::{Negotiated, Offer};
use super::super::space::{FIRST_BYTE, SYN};
use super::super::{Context, Outcome, Owed, Tcb};
use crate::error::{ConnectionError, DropReason};
use crate::event::Readiness;
use crate::stats::count;
use crate::tcp::segment::Segment;
use crate::tcp::state::Stimulus;

impl Tcb {
    pub(crate) fn on_segment_in_syn_sent(
        &mut self,
        segment: &Segment,
        cx: &mut Context<'_>,
    ) -> Outcome {
        let has_ack = segment.has(Flags::ACK);
        // First, the ACK.
        if has_ack && !self.sender.acknowledges_syn(segment) {
            if !segment.has(Flags::RST) {
                cx.replies.reset(segment, cx.config, cx.counters);
            }
            return self.drop_segment(DropReason::UnacceptableAck, cx);
        }
        // Second, the RST: accepted only with an acceptable ACK.
        if segment.has(Flags::RST) {
            if !has_ack {
                return self.drop_segment(DropReason::InexactReset, cx);
            }
            count(&mut cx.counters.resets_received);
            return self.fail(ConnectionError::Refused, cx);
        }
        // Fourth, the SYN.
        if !segment.has(Flags::SYN) {
            return self.drop_segment(DropReason::MissingAck, cx);
        }
        self.take_syn(segment, cx);
        if has_ack {
            self.establish_by_syn_ack(segment, cx);
        } else {
            self.cross_syn(cx);
        }
        Outcome::Alive
    }

    fn take_syn(&mut self, segment: &Segment, cx: &mut Context<'_>) {
        let ours = Offer {
            mss: self.agreed.advertised_mss,
            ecn: self.syn_asks_for_ecn(),
            ..Offer::ours(cx.config, &self.options, self.tuple.local_ip)
        };
        let theirs = Offer::theirs(segment);
        let agreed = Negotiated::between(&ours, &theirs);
        self.on_peer_syn(segment.seq, segment.window, agreed, cx.now);
        if let Some(theirs) = segment.options.timestamps {
            self.timestamps.recent = theirs.value;
            self.timestamps.recent_at = cx.now;
        }
        self.offer_initial_window();
    }

    /// Payload on a SYN-ACK is not accepted; the peer retransmits it after the ACK.
    fn establish_by_syn_ack(&mut self, segment: &Segment, cx: &mut Context<'_>) {
        let delivered = self
            .sender
            .recovery
            .board
            .on_ack(FIRST_BYTE, self.sender.snd.mss);
        self.sender.snd.una = FIRST_BYTE;
        self.measure_rtt(&delivered, segment);
        self.after_handshake(Stimulus::SynAck, cx);
    }

    /// The peer's SYN crossed the local one: simultaneous open (MUST-10). The local SYN is sent
    /// again, now with the ACK.
    fn cross_syn(&mut self, cx: &mut Context<'_>) {
        self.transition(Stimulus::Syn, cx);
        self.sender.recovery.resend_all();
    }

    /// The handshake is complete, whichever side began it.
    pub(crate) fn after_handshake(&mut self, stimulus: Stimulus, cx: &mut Context<'_>) {
        debug_assert!(self.sender.snd.una > SYN);
        self.transition(stimulus, cx);
        self.sender.recovery.board.release();
        self.tally.delivered = 1;
        self.sender.retries = 0;
        self.sender.rtt.reset_backoff();
        self.rearm_retransmission(cx.now);
        self.note_stall(false, cx.now);
        self.start_keepalive(cx.now);
        self.app.readiness |= Readiness::CONNECTED | Readiness::WRITABLE;
        if self.receiver.rcv.acked < self.receiver.rcv.nxt {
            // The peer's SYN has not been acknowledged, except perhaps by a local SYN-ACK in a
            // simultaneous open.
            self.owed |= Owed::ACK;
        }
        if self.sender.fin_queued {
            // The application closed before the handshake was complete.
            self.transition(Stimulus::Close, cx);
        }
    }
}

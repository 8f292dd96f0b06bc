//! Fifth step: the acknowledgment, the window and selective acknowledgments.

use std::time::Duration;

use arrayvec::ArrayVec;
use millstream_wire::tcp::{Flags, SackBlocks};

use super::super::sender::Sender;
use super::super::space::SYN;
use super::super::{Context, Outcome, Tcb};
use super::Arrival;
use crate::error::DropReason;
use crate::event::Readiness;
use crate::tcp::recovery::ack_facts::{AckFacts, Duplicated};
use crate::tcp::recovery::heard::Heard;
use crate::tcp::recovery::scoreboard::{Delivered, segments};
use crate::tcp::segment::Segment;
use crate::tcp::state::Stimulus;
use crate::tcp::timestamps::TimestampState;
use crate::time::Instant;
use crate::timer::{Deadlines, TimerKind};

/// Minimum time in which a peer may acknowledge data that it has reported by SACK.
const RENEGING_DELAY: Duration = Duration::from_millis(10);

pub(crate) enum AckVerdict {
    /// Continue with the segment's urgent pointer, text and FIN.
    Go,
    Drop(Outcome),
}

impl Tcb {
    /// RFC 9293 MAY-12.
    pub(crate) fn process_ack(&mut self, arrival: &Arrival, cx: &mut Context<'_>) -> AckVerdict {
        if !self.sender.syn_acked() && !self.sender.acknowledges_syn(&arrival.segment) {
            // SYN-RECEIVED: a wrong acknowledgment number is answered by a reset and changes
            // nothing.
            cx.replies.reset(&arrival.segment, cx.config, cx.counters);
            return AckVerdict::Drop(self.drop_segment(DropReason::UnacceptableAck, cx));
        }
        // RFC 5961 5: acknowledges data that was not sent, or is older than any window or than the
        // connection.
        let too_new = arrival.ack > self.sender.snd.nxt;
        let acked = self.sender.snd.una.saturating_sub(SYN + 1);
        let tolerated = acked.min(self.sender.snd.max_wnd.into());
        let too_old = arrival.ack < self.sender.snd.una.saturating_sub(tolerated);
        if too_new || too_old {
            self.challenge(cx);
            return AckVerdict::Drop(self.drop_segment(DropReason::UnacceptableAck, cx));
        }
        let was_syn = !self.sender.syn_acked();
        let window_changed = self.update_window(arrival, was_syn);
        self.take_ack(arrival, window_changed, was_syn, cx);
        if was_syn {
            self.after_handshake(Stimulus::AckOfSyn, cx);
        }
        AckVerdict::Go
    }

    /// Updates SND.WND, SND.WL1 and SND.WL2 (RFC 9293 3.10.7.4). As on Linux, a segment that
    /// acknowledges more is newer too, whatever its sequence number: the acknowledgment of a
    /// retransmission would otherwise move SND.UNA below a window that was measured from the old
    /// SND.UNA. Returns whether the window has changed.
    fn update_window(&mut self, arrival: &Arrival, first: bool) -> bool {
        let seq = self.receiver.rcv.position(arrival.segment.seq);
        let newer = self.sender.snd.wl1 < seq
            || (self.sender.snd.wl1 == seq && self.sender.snd.wl2 <= arrival.ack);
        let advances = arrival.ack > self.sender.snd.una;
        if !(newer || advances || first) || arrival.ack < self.sender.snd.una {
            return false;
        }
        let raw = arrival.segment.window;
        // The window of a segment with SYN is never scaled (RFC 7323 2.2).
        let wnd = if arrival.segment.has(Flags::SYN) {
            u32::from(raw)
        } else {
            self.agreed.snd_scale.widen(raw)
        };
        let changed = wnd != self.sender.snd.wnd;
        if first {
            // The window of the SYN does not bind the peer yet.
            self.sender.snd.max_wnd = 0;
        }
        self.sender.snd.set_window(wnd, seq, arrival.ack);
        if wnd > 0 && changed {
            self.timers.cancel(TimerKind::Persist);
            self.sender.probe_backoff = 0;
        }
        changed
    }

    fn take_ack(
        &mut self,
        arrival: &Arrival,
        window_changed: bool,
        was_syn: bool,
        cx: &mut Context<'_>,
    ) {
        let advanced = arrival.ack > self.sender.snd.una;
        let had_flight = !self.sender.recovery.board.is_empty();
        // With nothing in flight the segment may still report a duplicate.
        if !had_flight && !advanced && arrival.segment.options.sack.is_empty() {
            return;
        }
        let mut delivered = Delivered::default();
        if advanced {
            delivered = self
                .sender
                .recovery
                .board
                .on_ack(arrival.ack, self.sender.snd.mss);
            self.sender.snd.una = arrival.ack;
            let had_room = self.has_room_to_write();
            self.sender
                .buf
                .release(arrival.ack.min(self.sender.buf.end()));
            if !had_room && self.has_room_to_write() {
                self.app.readiness |= Readiness::WRITABLE;
            }
        }
        let (sacked, duplicated) = if self.agreed.sack {
            self.sender.take_sacks(arrival, &mut delivered)
        } else {
            (false, None)
        };
        let rtt = self.measure_rtt(&delivered, &arrival.segment);
        if was_syn {
            return;
        }
        let segment = &arrival.segment;
        let plain = segment.payload.is_empty() && !segment.has(Flags::FIN) && !window_changed;
        let ecn_echo = self.is_ecn_echo(segment);
        self.tally.note_delivered(delivered.segments, ecn_echo);
        let facts = AckFacts {
            advanced,
            duplicate: had_flight && arrival.ack == self.sender.snd.una && (plain || sacked),
            cwnd_limited: self.sender.cwnd_usage.limited(
                self.sender.congestion.cwnd(),
                self.sender.congestion.ssthresh(),
            ),
            delivered,
            duplicated,
            rtt,
            echo: segment.options.timestamps.map(|stamps| stamps.echo),
            ecn_echo,
            // With nothing in flight nothing can have been marked (as on Linux).
            marked: ecn_echo && had_flight && !self.ecn.has_answered(self.sender.snd.una),
            ..self.facts(segment.heard)
        };
        if let Some(cause) = self
            .sender
            .recovery
            .on_ack(&facts, self.sender.congestion.as_mut())
        {
            self.on_window_reduced(cause, cx);
        }
        self.sender
            .congestion
            .set_pace(cx.now, self.options.pacing_wish(), facts.srtt);
        self.tune_send_buffer(facts.cwnd_limited);
        if advanced {
            self.on_progress(cx.now);
        } else if self.sender.snd.wnd == 0 {
            // SHLD-17: a peer that answers with a closed window is alive.
            self.sender.retries = 0;
        }
        if advanced || sacked {
            self.schedule_loss_probe(cx.now);
        }
    }

    /// The peer acknowledged new data.
    fn on_progress(&mut self, now: Instant) {
        self.sender.retries = 0;
        self.app.soft_error = None;
        self.on_path_acked();
        self.rearm_retransmission(now);
        self.sender.distrust_sacks(&mut self.timers, now);
        if self.sender.recovery.board.is_empty() && !self.sender.has_unsent() {
            self.note_stall(false, now);
        } else {
            self.restart_stall(now);
        }
        if self
            .sender
            .snd
            .up
            .is_some_and(|up| up <= self.sender.snd.una)
        {
            self.sender.snd.up = None;
        }
        if self.is_flushed() {
            self.app.readiness |= Readiness::FLUSHED;
        }
        debug_assert!(self.sender.recovery.is_open() || !self.sender.recovery.board.is_empty());
    }
}

impl Tcb {
    /// The facts for loss recovery when nothing was acknowledged.
    pub(in crate::tcp::connection) fn facts(&self, heard: Heard) -> AckFacts {
        self.sender
            .facts(heard, self.agreed.sack, self.options.rack)
    }

    /// Measures a round-trip time from newly acknowledged data.
    pub(crate) fn measure_rtt(
        &mut self,
        delivered: &Delivered,
        segment: &Segment,
    ) -> Option<Duration> {
        let stamps = self.agreed.timestamps.then_some(&self.timestamps);
        self.sender.measure_rtt(delivered, segment, stamps)
    }
}

impl Sender {
    /// The facts for loss recovery when nothing was acknowledged. `sack` is whether the SYNs agreed
    /// on SACK, `rack` whether losses are detected by time.
    pub(in crate::tcp::connection) fn facts(
        &self,
        heard: Heard,
        sack: bool,
        rack: bool,
    ) -> AckFacts {
        AckFacts {
            heard,
            now: heard.at,
            una: self.snd.una,
            nxt: self.snd.nxt,
            mss: self.snd.mss,
            advanced: false,
            duplicate: false,
            sack,
            cwnd_limited: false,
            delivered: Delivered::default(),
            rack,
            min_rtt: self.rtt.min_rtt(),
            srtt: self.rtt.srtt(),
            rtt: None,
            echo: None,
            duplicated: None,
            ecn_echo: false,
            marked: false,
            paced: self.congestion.pacer().is_some(),
            mtu_probe: self.path.probe_under_way(),
            has_new_data: self.has_unsent() && self.snd.right_edge() > self.snd.nxt,
        }
    }

    /// Takes the SACK blocks that lie within the flight; other blocks are old or report duplicates.
    /// Returns whether they carried new information, and the duplicate.
    fn take_sacks(
        &mut self,
        arrival: &Arrival,
        delivered: &mut Delivered,
    ) -> (bool, Option<Duplicated>) {
        let before = delivered.bytes;
        let blocks = arrival.segment.options.sack.as_slice();
        let mut ranges = blocks
            .iter()
            .map(|block| {
                (
                    self.snd.position(block.left),
                    self.snd.position(block.right),
                )
            })
            .collect::<ArrayVec<_, { SackBlocks::MAX }>>();
        let duplicated = self.duplicated(arrival.ack, &ranges);
        if duplicated.is_some() {
            ranges.remove(0);
        }
        for (left, right) in ranges {
            if left >= self.snd.una && left < right && right <= self.snd.nxt {
                let mss = self.snd.mss;
                delivered.merge(self.recovery.board.on_sack(left, right, mss));
            }
        }
        (delivered.bytes > before, duplicated)
    }

    /// The first block reports a duplicate if it lies below the acknowledgment that it came with,
    /// which a later acknowledgment may have overtaken, or inside the second block (RFC 2883 4).
    fn duplicated(&self, ack: u64, ranges: &[(u64, u64)]) -> Option<Duplicated> {
        let &(left, right) = ranges.first()?;
        let inside = ranges
            .get(1)
            .is_some_and(|&(from, to)| from <= left && right <= to);
        let length = right.checked_sub(left).filter(|length| *length > 0)?;
        let plausible = right <= self.snd.nxt && length <= self.snd.max_wnd.into();
        (plausible && (right <= ack || inside)).then(|| Duplicated {
            end: right,
            segments: segments(length, self.snd.mss),
        })
    }

    /// Measures a round-trip time from newly acknowledged data: by its send time, or by the echoed
    /// timestamp where a retransmission makes the send time ambiguous (RFC 6298 3, RFC 7323 4.1)
    /// (RFC 9293 MUST-18). No measurement is made if the acknowledgment may have waited to be read.
    pub(crate) fn measure_rtt(
        &mut self,
        delivered: &Delivered,
        segment: &Segment,
        stamps: Option<&TimestampState>,
    ) -> Option<Duration> {
        if delivered.bytes == 0 {
            return None;
        }
        let heard = segment.heard;
        let mut measured = None;
        if let Some(sent_at) = delivered.sent_at.filter(|_| !delivered.retransmitted) {
            measured = heard.since(sent_at);
        } else if let (Some(stamps), Some(theirs)) = (stamps, segment.options.timestamps)
            && let Some(elapsed) = stamps.since(theirs.echo, heard.at)
        {
            measured = heard.measured(elapsed);
        }
        if let Some(rtt) = measured {
            self.rtt.sample(heard.at, rtt);
        }
        if delivered.retransmitted && self.rtt.srtt().is_none() {
            self.rtt.distrust_initial();
        }
        measured
    }

    /// A peer that does not acknowledge data that it has reported by SACK has most likely discarded
    /// it (RFC 2018 8). The retransmission timer, which handles this case, is advanced to half a
    /// round trip from now, instead of more than a whole one. It does not fire at once, because a
    /// later acknowledgment may have overtaken this one (as on Linux).
    #[expect(clippy::arithmetic_side_effects, reason = "half of a time")]
    fn distrust_sacks(&self, timers: &mut Deadlines, now: Instant) {
        if self.recovery.board.is_reneged() {
            let half = self.rtt.srtt().unwrap_or_default() / 2;
            timers.arm(TimerKind::Retransmit, now + half.max(RENEGING_DELAY));
        }
    }
}

//! Records what was sent.

use super::super::sender::Sender;
use super::super::space::FIRST_BYTE;
use super::super::{Context, Owed, Tcb};
use super::decide::Action;
use crate::config::SocketOptions;
use crate::stats::count;
use crate::tcp::recovery::scoreboard::segments;
use crate::tcp::state::State;
use crate::time::Instant;
use crate::timer::TimerKind;

impl Tcb {
    pub(crate) fn account(&mut self, action: &Action, cx: &mut Context<'_>) {
        let segments = self.segments_of(action);
        self.tally.note_sent(segments, action.has_payload());
        match *action {
            Action::Syn => self.account_syn(cx),
            Action::Data {
                start,
                end,
                fin,
                retransmission,
                ..
            } => {
                let length = end - start - u64::from(fin);
                self.sender.before_data(length, &self.options, cx.now);
                // One segment is always allowed: the first of an episode (RFC 5681 3.2), and a
                // probe of the tail (RFC 8985 7.3).
                let freed =
                    self.sender.recovery.is_forced() || self.owed.contains(Owed::TAIL_PROBE);
                if retransmission {
                    self.account_retransmission(start, end, length, cx);
                } else {
                    self.account_new(start, end, length, cx.now);
                    if action.is_new_data() {
                        self.on_ecn_data_sent();
                    }
                }
                debug_assert!(
                    freed || length == 0 || self.sender.is_within_cwnd(self.agreed.sack),
                    "more in flight than the congestion window allows: {action:?}, {self:?}"
                );
                // The timer restarts for a retransmission of the oldest segment (as on Linux;
                // RFC 6675 5 allows it).
                let oldest_again = retransmission && start == self.sender.snd.una;
                if oldest_again || !self.timers.is_armed(TimerKind::Retransmit) {
                    self.rearm_retransmission(cx.now);
                }
                if self.owed.contains(Owed::TAIL_PROBE) {
                    self.owed -= Owed::TAIL_PROBE;
                    let end = self.sender.snd.nxt;
                    self.sender.recovery.probe().on_sent(end, retransmission);
                }
                self.schedule_loss_probe(cx.now);
                self.note_stall(true, cx.now);
            }
            Action::Ack => {}
            Action::Probe => self.owed -= Owed::PROBE,
        }
        if self.state != State::SynSent {
            self.account_ack();
        }
    }

    /// Number of segments of an action on the wire: one, unless the device segments it.
    fn segments_of(&self, action: &Action) -> u32 {
        match *action {
            Action::Data {
                start, end, fin, ..
            } if !self.is_path_probe(end - start) => {
                segments(end - start - u64::from(fin), self.segment_len())
            }
            _ => 1,
        }
    }

    /// Everything except the first SYN carries an acknowledgment.
    fn account_ack(&mut self) {
        if !self.receiver.on_ack_sent() {
            self.owed -= Owed::ACK;
        }
        self.timers.cancel(TimerKind::DelayedAck);
    }

    fn account_syn(&mut self, cx: &mut Context<'_>) {
        if self.sender.snd.nxt < FIRST_BYTE {
            self.sender
                .recovery
                .board
                .on_sent(self.sender.snd.nxt, FIRST_BYTE, cx.now);
            self.sender.snd.nxt = FIRST_BYTE;
        } else {
            self.sender
                .recovery
                .on_retransmitted(self.sender.snd.una, FIRST_BYTE, cx.now, None);
            self.tally.retrans += 1;
            count(&mut cx.counters.segments_retransmitted);
        }
        if !self.timers.is_armed(TimerKind::Retransmit) {
            self.rearm_retransmission(cx.now);
        }
        self.note_stall(true, cx.now);
    }

    fn account_retransmission(&mut self, start: u64, end: u64, length: u64, cx: &mut Context<'_>) {
        let stamp = self.stamp(cx.now);
        self.sender
            .recovery
            .on_retransmitted(start, end, cx.now, stamp);
        // RFC 5681 4.1: a connection is idle if it has sent nothing, whether new or retransmitted.
        self.sender.last_sent = cx.now;
        self.on_path_probe_lost(start);
        self.tally.bytes_retrans += length;
        self.tally.retrans += 1;
        count(&mut cx.counters.segments_retransmitted);
    }

    fn account_new(&mut self, start: u64, end: u64, length: u64, now: Instant) {
        let probe = self.is_path_probe(length);
        if probe {
            self.on_path_probe_sent(start, end);
        }
        self.sender.path.on_sent(start, length, self.sender.snd.mss);
        self.sender.recovery.on_sent(start, end, now);
        self.sender.snd.nxt = end;
        self.sender.last_sent = now;
        self.owed -= Owed::HELD_DATA;
        if !probe && !length.is_multiple_of(u64::from(self.segment_len())) {
            self.sender.snd.small_end = end;
        }
        self.timers.cancel(TimerKind::Persist);
        self.receiver.ack.on_data_sent(now);
        self.sender.note_cwnd_usage(false);
    }
}

impl Sender {
    /// Whether the data in flight is within the limit of the congestion window, or of loss recovery
    /// in its place. The FIN sent with the last data does not count.
    fn is_within_cwnd(&self, sack: bool) -> bool {
        let pipe = self.pipe(sack);
        pipe <= self.cwnd() + u64::from(self.fin_queued)
    }

    /// Prepares for data or a FIN that is about to be in flight.
    fn before_data(&mut self, length: u64, options: &SocketOptions, now: Instant) {
        if self.recovery.board.is_empty() {
            self.congestion.on_send_from_idle(now, now - self.last_sent);
        }
        self.congestion
            .on_sent(now, length, options.pacing_wish(), self.rtt.srtt());
        self.recovery.sample_rates(self.congestion.samples_rates());
    }

    /// RFC 5681 4.1: after an idle period the window says little about the path.
    pub(crate) fn restart_after_idle(&mut self, now: Instant) {
        if self.recovery.board.is_empty()
            && self.unsent() > 0
            && let silence = now - self.last_sent
            && let timeout = self.rtt.rto()
            && silence > timeout
        {
            let timeouts = (silence.as_nanos() - 1) / timeout.as_nanos().max(1);
            let timeouts = u32::try_from(timeouts).unwrap_or(u32::MAX);
            self.congestion.as_mut().on_idle_restart(now, timeouts);
            self.last_sent = now;
        }
    }
    /// Sending stopped because of the congestion window if `limited`, or data was sent.
    pub(crate) fn note_cwnd_usage(&mut self, limited: bool) {
        let flight = self.recovery.board.in_flight();
        let (una, nxt) = (self.snd.una, self.snd.nxt);
        self.cwnd_usage.note(limited, flight, una, nxt);
    }
}

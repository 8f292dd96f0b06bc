//! The actions of the timers.

use super::{Context, Outcome, Owed, Tcb};
use crate::config::SocketOptions;
use crate::congestion::Cause;
use crate::error::ConnectionError;
use crate::tcp::recovery::heard::Heard;
use crate::tcp::state::State;
use crate::time::Instant;
use crate::timer::TimerKind;

/// Retransmissions of an orphan that the peer does not answer (Linux's `tcp_orphan_retries`).
const ORPHAN_RETRIES: u8 = 8;

impl Tcb {
    pub(crate) fn on_timeout(&mut self, kind: TimerKind, cx: &mut Context<'_>) -> Outcome {
        match kind {
            // The next poll for output sends the data.
            TimerKind::Pacing => Outcome::Alive,
            TimerKind::LossProbe => self.on_loss_probe(cx),
            TimerKind::Retransmit => self.on_rto(cx),
            TimerKind::Persist => self.on_persist(cx),
            TimerKind::DelayedAck => {
                self.receiver.ack.on_delay_expired();
                self.owed |= Owed::ACK;
                Outcome::Alive
            }
            TimerKind::Keepalive => self.on_keepalive(cx),
            TimerKind::UserTimeout => self.give_up(cx),
        }
    }

    /// RFC 6298 5.4 to 5.6 and RFC 9293 3.8.3, MUST-20.
    fn on_rto(&mut self, cx: &mut Context<'_>) -> Outcome {
        if self.sender.recovery.board.is_empty() {
            return Outcome::Alive;
        }
        if spent(self.sender.retries, self.retry_limit()) {
            return self.give_up(cx);
        }
        self.sender.retries = self.sender.retries.saturating_add(1);
        if self.sender.retries > self.options.retries1 {
            // SHLD-9: an error, but not the end.
            self.app.soft_error = Some(ConnectionError::TimedOut);
        }
        self.sender.rtt.backoff();
        self.timers.cancel(TimerKind::LossProbe);
        self.owed -= Owed::TAIL_PROBE;
        if self.sender.syn_acked() {
            let first = self.sender.retries == 1;
            self.sender.recovery.on_rto(
                &self.facts(Heard::at(cx.now)),
                first,
                self.options.frto && self.agreed.sack,
                self.sender.congestion.as_mut(),
            );
            self.on_window_reduced(Cause::Loss, cx);
            self.sender.congestion.set_pace(
                cx.now,
                self.options.pacing_wish(),
                self.sender.rtt.srtt(),
            );
            self.believe_claim(cx);
            self.suspect_black_hole(cx);
        } else {
            self.sender.recovery.resend_all();
        }
        self.rearm_retransmission(cx.now);
        Outcome::Alive
    }

    /// R2 in retransmissions: different for a SYN, and for an orphan (RFC 9293 MUST-22).
    fn retry_limit(&self) -> u8 {
        match *self.state {
            State::SynSent => self.options.syn_retries,
            State::SynReceived => self.options.syn_ack_retries,
            _ if self.app.orphan => self.options.retries2.min(ORPHAN_RETRIES),
            _ => self.options.retries2,
        }
    }

    /// Gives up because the peer has not answered for too long. No reset is sent (RFC 9293 3.10.8):
    /// a peer that is reachable again learns of the end when it sends.
    fn give_up(&mut self, cx: &mut Context<'_>) -> Outcome {
        let error = match self.app.soft_error {
            // An ICMP error is more specific than a timeout (as reported by Linux).
            Some(error) if error != ConnectionError::TimedOut => error,
            _ => ConnectionError::TimedOut,
        };
        self.fail(error, cx)
    }

    /// Gives up a connection without progress whose resources others need. A reset tells the peer,
    /// which may be reachable.
    pub(crate) fn give_way(&mut self, cx: &mut Context<'_>) -> Outcome {
        self.send_reset(cx);
        self.give_up(cx)
    }

    /// RFC 9293 3.8.6.1: the window is closed, or too small for a reasonable segment, and nothing
    /// is in flight whose acknowledgment would open it (RFC 9293 MUST-35, MUST-36).
    fn on_persist(&mut self, cx: &mut Context<'_>) -> Outcome {
        if !self.sender.has_unsent() {
            return Outcome::Alive;
        }
        if self.options.cork || self.sender.snd.right_edge() > self.sender.snd.nxt {
            // Silly-window avoidance or a cork held the data back long enough.
            self.owed |= Owed::HELD_DATA;
            return Outcome::Alive;
        }
        // MUST-37: a peer that answers may keep its window closed for ever; one that does not
        // answer may not. Nor may it without an application: an orphan ends when the probe interval
        // has reached its maximum (Linux).
        let hopeless = self.app.orphan
            && self.sender.probe_timeout(self.options.max_rto) >= self.options.max_rto;
        let limit = if self.app.orphan {
            ORPHAN_RETRIES
        } else {
            self.options.retries2
        };
        if hopeless || spent(self.probes, limit) {
            return self.give_up(cx);
        }
        self.probes = self.probes.saturating_add(1);
        self.sender.probe_backoff = self.sender.probe_backoff.saturating_add(1);
        self.owed |= Owed::PROBE;
        let timeout = self.sender.probe_timeout(self.options.max_rto);
        self.timers.arm(TimerKind::Persist, cx.now + timeout);
        Outcome::Alive
    }

    /// Arms or stops the keepalive timer according to the options.
    pub(crate) fn start_keepalive(&mut self, now: Instant) {
        match self.options.keepalive {
            Some(keepalive) if self.state.is_synchronized() => {
                let since = self.last_received.max(self.sender.last_sent);
                self.timers
                    .arm(TimerKind::Keepalive, (since + keepalive.idle).max(now));
            }
            _ => self.timers.cancel(TimerKind::Keepalive),
        }
    }

    /// RFC 9293 3.8.4. Received segments do not restart the timer: it checks for them when it
    /// fires.
    fn on_keepalive(&mut self, cx: &mut Context<'_>) -> Outcome {
        let Some(keepalive) = self.options.keepalive else {
            return Outcome::Alive;
        };
        let busy = !self.sender.recovery.board.is_empty() || self.sender.has_unsent();
        let silence = cx.now - self.last_received;
        if busy {
            // MUST-26: retransmission detects a dead peer by itself.
            self.timers
                .arm(TimerKind::Keepalive, cx.now + keepalive.idle);
            return Outcome::Alive;
        }
        if silence < keepalive.idle {
            self.timers
                .arm(TimerKind::Keepalive, self.last_received + keepalive.idle);
            return Outcome::Alive;
        }
        let dead = match self.options.user_timeout {
            Some(limit) => silence >= limit && self.probes > 0,
            // MUST-29: one probe without an answer proves nothing.
            None => self.probes >= keepalive.count.max(2),
        };
        if dead {
            // An idle peer would not send and therefore not learn of the end; Linux sends a reset
            // too.
            self.send_reset(cx);
            return self.give_up(cx);
        }
        self.probes = self.probes.saturating_add(1);
        self.owed |= Owed::PROBE;
        self.timers
            .arm(TimerKind::Keepalive, cx.now + keepalive.interval);
        Outcome::Alive
    }
}

/// Whether all tries are used. [`SocketOptions::FOR_EVER`] allows tries without end (RFC 9293
/// MUST-21).
fn spent(tries: u8, limit: u8) -> bool {
    limit != SocketOptions::FOR_EVER && tries >= limit
}

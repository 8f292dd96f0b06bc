//! The timer that precedes the retransmission timer (RFC 8985): it fires when overtaken segments
//! are due to be marked lost, and otherwise to probe the tail.

use std::time::Duration;

use super::{Context, Outcome, Owed, Tcb};
use crate::tcp::recovery::heard::Heard;
use crate::tcp::recovery::tail_probe::TailProbe;
use crate::time::Instant;
use crate::timer::TimerKind;

/// Minimum distance between two timers, one of which must fire second.
const MARGIN: Duration = Duration::from_millis(1);

impl Tcb {
    /// Arms the timer according to the data in flight.
    pub(in crate::tcp::connection) fn schedule_loss_probe(&mut self, now: Instant) {
        let deadline = match self.recovery.due() {
            Some(due) => Some(due),
            None if self.may_probe_tail() => Some(self.probe_deadline(now)),
            None => None,
        };
        self.put_timeout_behind(self.recovery.due());
        match deadline {
            Some(deadline) => self.timers.arm(TimerKind::LossProbe, deadline.max(now)),
            None => self.timers.cancel(TimerKind::LossProbe),
        }
    }

    /// Defers the retransmission timer behind `due`: data that is about to be retransmitted does
    /// not need a timeout, which marks everything lost (as on Linux, which has one timer for both).
    fn put_timeout_behind(&mut self, due: Option<Instant>) {
        if let (Some(due), Some(timeout)) = (due, self.timers.get(TimerKind::Retransmit))
            && timeout <= due
        {
            self.timers.arm(TimerKind::Retransmit, due + MARGIN);
        }
    }

    /// RFC 8985 7.2: only while no loss is known, and one probe per flight.
    fn may_probe_tail(&self) -> bool {
        let board = &self.recovery.board;
        self.options.tail_loss_probe
            && self.agreed.sack
            && self.syn_acked()
            && !board.is_empty()
            && board.sacked() == 0
            && self.recovery.is_open()
            && !self.recovery.is_probing_tail()
    }

    /// At most the deadline of the retransmission timer.
    fn probe_deadline(&self, now: Instant) -> Instant {
        let single = self.recovery.board.is_single(self.snd.mss);
        let deadline = now + TailProbe::timeout(self.rtt.srtt(), single);
        match self.timers.get(TimerKind::Retransmit) {
            Some(timeout) => deadline.min(timeout),
            None => deadline,
        }
    }

    pub(in crate::tcp::connection) fn on_loss_probe(&mut self, cx: &mut Context<'_>) -> Outcome {
        if self.recovery.due().is_some() {
            let facts = self.facts(Heard::at(cx.now));
            if let Some(cause) = self.recovery.on_due(&facts, self.congestion.as_mut()) {
                self.on_window_reduced(cause, cx);
            }
            self.schedule_loss_probe(cx.now);
        } else if self.may_probe_tail() {
            self.owed |= Owed::TAIL_PROBE;
            self.rearm_retransmission(cx.now);
        }
        Outcome::Alive
    }
}

//! The timer that precedes the retransmission timer (RFC 8985): it fires when overtaken segments
//! are due to be marked lost, and otherwise to probe the tail.

use std::time::Duration;

use super::sender::Sender;
use super::{Context, Outcome, Owed, Tcb};
use crate::tcp::recovery::heard::Heard;
use crate::tcp::recovery::tail_probe::TailProbe;
use crate::time::Instant;
use crate::timer::{Deadlines, TimerKind};

/// Minimum distance between two timers, one of which must fire second.
const MARGIN: Duration = Duration::from_millis(1);

impl Tcb {
    /// Arms the timer according to the data in flight.
    pub(in crate::tcp::connection) fn schedule_loss_probe(&mut self, now: Instant) {
        let deadline = match self.sender.recovery.due() {
            Some(due) => Some(due),
            None if self.may_probe_tail() => Some(self.sender.probe_deadline(&self.timers, now)),
            None => None,
        };
        put_timeout_behind(self.sender.recovery.due(), &mut self.timers);
        match deadline {
            Some(deadline) => self.timers.arm(TimerKind::LossProbe, deadline.max(now)),
            None => self.timers.cancel(TimerKind::LossProbe),
        }
    }

    pub(in crate::tcp::connection) fn on_loss_probe(&mut self, cx: &mut Context<'_>) -> Outcome {
        if self.sender.recovery.due().is_some() {
            let facts = self.facts(Heard::at(cx.now));
            if let Some(cause) = self
                .sender
                .recovery
                .on_due(&facts, self.sender.congestion.as_mut())
            {
                self.on_window_reduced(cause, cx);
            }
            self.schedule_loss_probe(cx.now);
        } else if self.may_probe_tail() {
            self.owed |= Owed::TAIL_PROBE;
            self.rearm_retransmission(cx.now);
        }
        Outcome::Alive
    }
    fn may_probe_tail(&self) -> bool {
        self.options.tail_loss_probe && self.agreed.sack && self.sender.may_probe_tail()
    }
}

impl Sender {
    /// RFC 8985 7.2: only while no loss is known, and one probe per flight.
    fn may_probe_tail(&self) -> bool {
        let board = &self.recovery.board;
        self.syn_acked()
            && !board.is_empty()
            && board.sacked() == 0
            && self.recovery.is_open()
            && !self.recovery.is_probing_tail()
    }

    /// At most the deadline of the retransmission timer.
    fn probe_deadline(&self, timers: &Deadlines, now: Instant) -> Instant {
        let single = self.recovery.board.is_single(self.snd.mss);
        let deadline = now + TailProbe::timeout(self.rtt.srtt(), single);
        match timers.get(TimerKind::Retransmit) {
            Some(timeout) => deadline.min(timeout),
            None => deadline,
        }
    }
}

/// Defers the retransmission timer behind `due`: data that is about to be retransmitted does
/// not need a timeout, which marks everything lost (as on Linux, which has one timer for both).
fn put_timeout_behind(due: Option<Instant>, timers: &mut Deadlines) {
    if let (Some(due), Some(timeout)) = (due, timers.get(TimerKind::Retransmit))
        && timeout <= due
    {
        timers.arm(TimerKind::Retransmit, due + MARGIN);
    }
}

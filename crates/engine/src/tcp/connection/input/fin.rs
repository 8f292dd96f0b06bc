//! Eighth step: the peer's FIN, and the state changes of closing.

use super::super::{Context, Outcome, Owed, Tcb};
use crate::event::Readiness;
use crate::tcp::state::{State, Stimulus};
use crate::timer::TimerKind;

impl Tcb {
    /// Notes a FIN at `position`, which is answered in any case.
    pub(crate) fn note_fin(&mut self, position: u64) {
        self.receiver.note_fin(position);
        self.owed |= Owed::ACK;
    }

    /// Advances over the FIN when it is next. Returns whether it was.
    pub(crate) fn consume_fin(&mut self) -> bool {
        let taken = self.receiver.take_fin();
        if taken {
            self.owed |= Owed::ACK;
            self.app.readiness |= Readiness::READABLE;
        }
        taken
    }

    /// Changes the state by the acknowledgment of the local FIN and by the peer's FIN, if either
    /// has just arrived.
    pub(crate) fn advance_close(
        &mut self,
        fin_acked_now: bool,
        fin_now: bool,
        cx: &mut Context<'_>,
    ) -> Outcome {
        if fin_acked_now && fin_now && self.state == State::FinWait1 {
            self.transition(Stimulus::FinAndAckOfFin, cx);
        } else {
            if fin_acked_now {
                self.transition(Stimulus::AckOfFin, cx);
            }
            if fin_now {
                self.transition(Stimulus::Fin, cx);
            }
        }
        match *self.state {
            State::TimeWait => self.leave_record(),
            State::FinWait2 if self.app.orphan => self.leave_record(),
            _ => Outcome::Alive,
        }
    }

    /// Nothing is left to deliver in either direction: a record replaces the connection. The record
    /// sends any outstanding acknowledgment, with the window that the connection would have sent.
    pub(in crate::tcp::connection) fn leave_record(&mut self) -> Outcome {
        if self.timers.is_armed(TimerKind::DelayedAck) {
            self.owed |= Owed::ACK;
        }
        if self.owed.contains(Owed::ACK) {
            self.advertise_window();
        }
        self.stop();
        Outcome::Record
    }
}

//! The end of a connection by the application (RFC 9293 3.10.4, 3.10.5).

use std::time::Duration;

use super::{Context, Outcome, Tcb};
use crate::error::WriteError;
use crate::tcp::state::{State, Stimulus};

impl Tcb {
    /// The application will write no more: a FIN follows the queued data (half-close).
    pub(crate) fn shutdown_write(&mut self, cx: &mut Context<'_>) -> Result<(), WriteError> {
        if self.sender.fin_queued {
            return Ok(());
        }
        if self.state == State::Closed {
            return Err(WriteError::NotConnected);
        }
        self.sender.fin_queued = true;
        if self.state == State::SynReceived && !self.sender.buf.is_empty() {
            // The written data is sent first; the state changes when the handshake is complete.
            return Ok(());
        }
        self.transition(Stimulus::Close, cx);
        Ok(())
    }

    /// The application releases the connection. The linger option and unread data decide between an
    /// orderly FIN and a reset; afterwards the connection finishes by itself (RFC 9293 MAY-1).
    pub(crate) fn close(&mut self, orphans_full: bool, cx: &mut Context<'_>) -> Outcome {
        match *self.state {
            State::Closed | State::TimeWait => return Outcome::Closed,
            // Nothing has arrived from the peer, so there is nothing to tell it (RFC 9293 3.10.4).
            State::SynSent => return self.end(cx),
            _ => {}
        }
        // RFC 9293 SHLD-3: the peer believes the unread data delivered: reset, whatever the state.
        if !self.receiver.buf.is_empty() {
            self.send_reset(cx);
            return self.end(cx);
        }
        if self.options.linger == Some(Duration::ZERO) || orphans_full {
            return self.abort(cx);
        }
        self.app.orphan = true;
        self.app.read_shutdown = true;
        // Only CLOSED refuses, and that state was handled above.
        let _ = self.shutdown_write(cx);
        if self.state == State::FinWait2 {
            return self.leave_record();
        }
        Outcome::Alive
    }

    /// Resets the connection (RFC 9293 3.10.5): queued data of both directions is discarded. No
    /// reset is sent where both sides have already closed.
    pub(crate) fn abort(&mut self, cx: &mut Context<'_>) -> Outcome {
        let both_closed = matches!(*self.state, State::Closing | State::LastAck);
        if !(both_closed && self.sender.fin_sent()) {
            self.send_reset(cx);
        }
        self.end(cx)
    }
}

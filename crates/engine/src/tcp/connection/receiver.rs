//! The receiving half of a connection: what has arrived, in order and out of order, and what the
//! next acknowledgment has to say.
//!
//! The steps that work on it alone stand here or, as `impl Receiver`, in the file of their
//! mechanism.

use super::output::ack_policy::AckPolicy;
use super::output::sack_report::SackReport;
use super::space::{FIRST_BYTE, ReceiveSpace, after};
use crate::tcp::buffer::assembler::Assembler;
use crate::tcp::buffer::recv::RecvBuffer;

/// See the module.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) rcv: ReceiveSpace,
    pub(crate) buf: RecvBuffer,
    pub(crate) assembler: Assembler,
    pub(crate) ack: AckPolicy,
    pub(crate) sack_report: SackReport,
}

impl Receiver {
    pub(crate) fn new(rcv: ReceiveSpace) -> Self {
        Self {
            rcv,
            buf: RecvBuffer::new(FIRST_BYTE),
            assembler: Assembler::default(),
            ack: AckPolicy::default(),
            sack_report: SackReport::default(),
        }
    }

    /// Notes a FIN at `position`. It takes effect once everything before it has arrived. A second
    /// FIN at another position is ignored.
    pub(crate) fn note_fin(&mut self, position: u64) {
        if self.rcv.fin.is_none() && position >= self.rcv.nxt {
            self.rcv.fin = Some(position);
        }
    }

    /// Advances over the FIN when it is next. Returns whether it was.
    pub(crate) fn take_fin(&mut self) -> bool {
        if self.rcv.fin != Some(self.rcv.nxt) {
            return false;
        }
        self.rcv.nxt = after(self.rcv.nxt, 1);
        self.rcv.edge = self.rcv.edge.max(self.rcv.nxt);
        self.assembler.clear();
        true
    }

    /// An acknowledgment was sent, alone or with data. Returns whether another is owed.
    pub(crate) fn on_ack_sent(&mut self) -> bool {
        self.rcv.acked = self.rcv.nxt;
        self.sack_report.on_sent();
        self.ack.on_ack_sent()
    }

    /// The application has read: forgets an urgent mark that it has passed.
    pub(crate) fn pass_urgent_mark(&mut self) {
        if self.rcv.up.is_some_and(|up| up <= self.read_position()) {
            self.rcv.up = None;
        }
    }

    /// Number of readable bytes before the urgent mark, while there is one ahead (RFC 6093,
    /// MUST-33).
    pub(crate) fn urgent_mark(&self) -> Option<u64> {
        let read = self.read_position();
        self.rcv.up.map(|up| up.saturating_sub(read))
    }

    /// Position of the next byte that the application reads.
    pub(crate) fn read_position(&self) -> u64 {
        let fin = u64::from(self.rcv.fin_received());
        self.rcv.nxt - fin - self.buf.len() as u64
    }
}

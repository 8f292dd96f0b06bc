//! The offered window (RFC 9293 3.8.6).

use super::super::space::FIRST_BYTE;
use super::super::{Owed, Tcb};
use crate::config::SocketOptions;
use crate::tcp::autotune::first_receive_buffer;
use crate::tcp::state::State;

/// The initial window in bytes, however large the buffer may become.
const FIRST_WINDOW: usize = 1 << 16;

/// The window field of a SYN or SYN-ACK that offers segments of `mss` bytes: whole segments, as on
/// Linux, and never scaled (RFC 7323 2.2).
pub(crate) fn initial_offer(options: &SocketOptions, mss: u16) -> u16 {
    let space = first_receive_buffer(options).min(FIRST_WINDOW);
    let part = space % usize::from(mss.max(1));
    let whole = if part < space { space - part } else { space };
    whole.min(usize::from(u16::MAX)) as u16
}

impl Tcb {
    /// The window field of the next segment. Moves the right edge accordingly.
    pub(in crate::tcp::connection) fn advertise_window(&mut self) -> u16 {
        let unit = 1u64 << self.agreed.rcv_scale.shift();
        let wnd = self.next_edge() - self.receiver.rcv.nxt;
        // Rounded up: rounding down would move the right edge left (SHLD-14).
        let raw = wnd.div_ceil(unit).min(u64::from(u16::MAX));
        self.receiver.rcv.edge = self
            .receiver
            .rcv
            .edge
            .max(self.receiver.rcv.nxt + raw * unit);
        raw as u16
    }

    /// The window offered by the SYN counts from the start.
    pub(in crate::tcp::connection) fn offer_initial_window(&mut self) {
        self.receiver.rcv.edge =
            FIRST_BYTE + u64::from(initial_offer(&self.options, self.agreed.advertised_mss));
    }

    /// The reader took data: sends a window update when the window has at least doubled (RFC 9293
    /// MUST-39).
    pub(in crate::tcp::connection) fn update_window_after_read(&mut self) {
        if !self.state.may_receive() || self.state == State::SynReceived {
            return;
        }
        let (now, next) = (
            self.receiver.rcv.wnd(),
            self.next_edge() - self.receiver.rcv.nxt,
        );
        if next > now && next >= 2 * now {
            self.owed |= Owed::ACK;
        }
    }

    /// The new position of the right edge. Receiver's silly-window avoidance (RFC 9293 3.8.6.2.2):
    /// it stays in place until it can move by a full segment or half of the buffer (RFC 9293
    /// MAY-8).
    fn next_edge(&self) -> u64 {
        let edge = self.receiver.rcv.edge.max(self.receiver.rcv.nxt);
        let buffers = &self.buffers;
        let limit =
            (buffers.receive).window_limit(buffers.receive_limit(), self.sender.rtt.min_rtt());
        let limit = limit as u64;
        // A peer may count duplicates, and an acknowledgment with another window is not a duplicate
        // (RFC 5681 2): while there is a gap the edge stays in place, as long as half of the window
        // is left.
        if !self.receiver.assembler.is_empty() && self.receiver.rcv.wnd() > limit / 2 {
            return edge;
        }
        let room = limit.saturating_sub(self.receiver.buf.len() as u64);
        let largest = u64::from(u16::MAX) << self.agreed.rcv_scale.shift();
        let wanted = self.receiver.rcv.nxt + room.min(largest);
        // More than half of what can be offered would never be free behind what is offered already.
        let most = limit.min(largest) / 2;
        let step = self
            .options
            .window_step
            .map_or(self.usual_step(), |step| u64::from(step).min(most));
        if wanted >= edge + step { wanted } else { edge }
    }

    /// Smallest movement of the right edge, in bytes.
    fn usual_step(&self) -> u64 {
        let limit = self.buffers.receive_limit() as u64;
        (limit / 2).min(u64::from(self.agreed.advertised_mss))
    }

    /// Whether the peer's next segment may have no room, and the right edge stays in place unless
    /// more data is read.
    pub(in crate::tcp::connection) fn is_window_used_up(&self) -> bool {
        self.next_edge().saturating_sub(self.receiver.rcv.nxt) < self.usual_step().max(1)
    }
}

//! The capacity of the buffers: passes the events of a connection to the tuners.

use std::time::Duration;

use super::Tcb;
use super::input::Arrival;
use crate::event::Readiness;
use crate::host::memory::Pressure;
use crate::time::Instant;

impl Tcb {
    /// Bytes of memory that the connection's payload keeps alive.
    pub(crate) fn memory_held(&self) -> usize {
        self.send_buf.memory() + self.recv_buf.memory() + self.assembler.memory()
    }

    /// Sets the memory pressure. When it ends, a writer that waited for room may get it.
    pub(crate) fn set_pressure(&mut self, pressure: Pressure) {
        let had_room = self.has_room_to_write();
        self.buffers.set_pressure(pressure);
        self.buffers.hold_back(self.is_blocked());
        self.tell_room(had_room);
    }

    /// Whether data written now will probably stay in the buffer for a while: the peer's window is
    /// closed and nothing is in flight that could open it, or retransmissions have no success.
    pub(crate) fn is_blocked(&self) -> bool {
        let is_closed = self.snd.right_edge() <= self.snd.nxt;
        (is_closed && self.recovery.board.is_empty()) || self.retries > 1
    }

    /// Measures the round-trip time as a receiver, when data has arrived in order or is about to
    /// be.
    pub(crate) fn measure_receive_rtt(&mut self, arrival: &Arrival) {
        let heard = arrival.segment.heard;
        let full = arrival.segment.payload.len() >= usize::from(self.advertised_mss) / 2;
        match (&self.timestamps, arrival.segment.options.timestamps) {
            (Some(state), Some(theirs)) if full && theirs.echo != 0 => {
                let millis = state.value(heard.at).wrapping_sub(theirs.echo);
                // A value of a day or more is not a round trip but an echo of a timestamp that this
                // side never sent.
                if millis < 24 * 3600 * 1000 {
                    let elapsed = Duration::from_millis(u64::from(millis.max(1)));
                    if let Some(elapsed) = heard.measured(elapsed) {
                        self.buffers.receive.on_echo(theirs.echo, elapsed);
                    }
                }
            }
            (None, _) => self
                .buffers
                .receive
                .on_data(self.rcv.nxt, self.rcv.edge, heard.at),
            _ => {}
        }
    }

    /// Tunes the receive buffer after a read by the application.
    pub(crate) fn tune_receive_buffer(&mut self, now: Instant) {
        let max = self.options.receive_buffer_max;
        let max = self.buffers.may_grow().then_some(max);
        let mss = usize::from(self.advertised_mss);
        let position = self.read_position();
        self.buffers.receive.on_read(position, mss, max, now);
    }

    /// Tunes the send buffer after an acknowledgment that may have opened the congestion window.
    pub(crate) fn tune_send_buffer(&mut self, cwnd_limited: bool) {
        if cwnd_limited {
            let had_room = self.has_room_to_write();
            let max = self.options.send_buffer_max;
            self.buffers.on_cwnd_limited(self.congestion.cwnd(), max);
            self.tell_room(had_room);
        }
    }

    fn tell_room(&mut self, had_room: bool) {
        if !had_room && self.has_room_to_write() {
            self.readiness |= Readiness::WRITABLE;
        }
    }
}

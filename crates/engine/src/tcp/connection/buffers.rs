//! The capacity of the buffers: passes the events of a connection to the tuners.

use super::Tcb;
use super::input::Arrival;
use crate::event::Readiness;
use crate::memory::Pressure;
use crate::time::Instant;

impl Tcb {
    /// Bytes of memory that the connection's payload keeps alive.
    pub(crate) fn memory_held(&self) -> usize {
        self.sender.buf.memory() + self.receiver.buf.memory() + self.receiver.assembler.memory()
    }

    /// Sets the memory pressure. When it ends, a writer that waited for room may get it.
    pub(crate) fn set_pressure(&mut self, pressure: Pressure) {
        let had_room = self.has_room_to_write();
        self.buffers.set_pressure(pressure);
        self.buffers.hold_back(self.sender.is_blocked());
        self.tell_room(had_room);
    }

    /// Measures the round-trip time as a receiver, when data has arrived in order or is about to
    /// be.
    pub(crate) fn measure_receive_rtt(&mut self, arrival: &Arrival) {
        let heard = arrival.segment.heard;
        let full = arrival.segment.payload.len() >= usize::from(self.agreed.advertised_mss) / 2;
        if !self.agreed.timestamps {
            let (nxt, edge) = (self.receiver.rcv.nxt, self.receiver.rcv.edge);
            self.buffers.receive.on_data(nxt, edge, heard.at);
        } else if full
            && let Some(theirs) = arrival.segment.options.timestamps
            && let Some(elapsed) = self.timestamps.since(theirs.echo, heard.at)
            && let Some(elapsed) = heard.measured(elapsed)
        {
            self.buffers.receive.on_echo(theirs.echo, elapsed);
        }
    }

    /// Tunes the receive buffer after a read by the application.
    pub(crate) fn tune_receive_buffer(&mut self, now: Instant) {
        let max = self.options.receive_buffer_max;
        let max = self.buffers.may_grow().then_some(max);
        let mss = usize::from(self.agreed.advertised_mss);
        let position = self.receiver.read_position();
        self.buffers.receive.on_read(position, mss, max, now);
    }

    /// Tunes the send buffer after an acknowledgment that may have opened the congestion window.
    pub(crate) fn tune_send_buffer(&mut self, cwnd_limited: bool) {
        if cwnd_limited {
            let had_room = self.has_room_to_write();
            let max = self.options.send_buffer_max;
            self.buffers
                .on_cwnd_limited(self.sender.congestion.cwnd(), max);
            self.tell_room(had_room);
        }
    }

    fn tell_room(&mut self, had_room: bool) {
        if !had_room && self.has_room_to_write() {
            self.app.readiness |= Readiness::WRITABLE;
        }
    }
}

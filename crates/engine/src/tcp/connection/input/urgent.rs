//! Sixth step: the urgent pointer (RFC 9293 3.8.5, RFC 6093).

use millstream_wire::tcp::Flags;

use super::super::Tcb;
use super::super::space::after;
use super::Arrival;
use crate::event::Readiness;

impl Tcb {
    /// Notes the end of the urgent data. The data itself stays in the stream, as RFC 6093 requires;
    /// the application is told of it and can query its length (MUST-32, MUST-33).
    pub(crate) fn process_urgent(&mut self, arrival: &Arrival) {
        if !arrival.segment.has(Flags::URG) || !self.state.may_receive() {
            return;
        }
        // MUST-62: the pointer refers to the octet after the urgent data.
        let start = self.receiver.rcv.position(arrival.segment.seq);
        let up = after(start, arrival.segment.urgent.into());
        if up > self.receiver.rcv.nxt && self.receiver.rcv.up.is_none_or(|old| up > old) {
            self.receiver.rcv.up = Some(up);
            self.app.readiness |= Readiness::URGENT | Readiness::READABLE;
        }
    }
}

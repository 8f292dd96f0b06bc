//! The consequences of an input: changes of state, calls that return, outgoing packets.

use bytes::Bytes;
use millstream_engine::{ConnectionId, Event, Instant, ListenerId, Read, Readiness, Transmit};

use super::Lab;
use crate::errors;
use crate::link::Verdict;
use crate::trace::{Call, Change, Fate, What};

/// The maximum length of received text that is shown.
const SHOWN: usize = 40;

impl Lab {
    /// Records changes of state, lets the applications read and accept, and puts packets on the
    /// link.
    pub(super) fn settle(&mut self, host: usize) {
        self.note_transitions(host);
        while let Some(event) = self.machines[host].stack.poll_event() {
            match event {
                Event::Incoming(listener) => self.accept(host, listener),
                Event::Connection(id, readiness) => self.wake(host, id, readiness),
                // No host of the lab has a wildcard listener.
                Event::Attempt(_) | Event::Udp(..) => {}
            }
        }
        self.note_transitions(host);
        let mut out = Transmit::new();
        let now = self.instant();
        while self.machines[host].stack.poll_transmit(now, &mut out) {
            let mut packet = Vec::with_capacity(out.len());
            out.write_to(&mut packet);
            self.note_transitions(host);
            self.send(host, &packet);
        }
    }

    fn send(&mut self, host: usize, packet: &[u8]) {
        let Some(segment) = self.decoder.decode(packet) else {
            return;
        };
        let to = self.trace.host_of(segment.to.ip()).unwrap_or(1 - host);
        let cwnd = self.machines[host].cwnd(&segment);
        let (verdict, packet) = self.link.send((host, to), self.now, &segment);
        let (at, fate, arrives) = match verdict {
            Verdict::Carry { seen, arrives, .. } => (seen, Fate::Passed, Some(arrives)),
            Verdict::Lose => (self.now, Fate::Lost, None),
        };
        self.trace.push_packet(at, &packet, |segment| {
            segment.fate = fate;
            segment.arrives = arrives;
            segment.cwnd = cwnd;
        });
    }

    fn accept(&mut self, host: usize, listener: ListenerId) {
        while let Some(accepted) = self.machines[host].stack.accept(listener) {
            let machine = &mut self.machines[host];
            machine.accepted.push(accepted.id);
            machine.reading.push(accepted.id);
            let peer = self.trace.end(accepted.peer);
            self.told(host, "accept()".to_owned(), Ok(peer));
        }
    }

    fn wake(&mut self, host: usize, id: ConnectionId, readiness: Readiness) {
        let machine = &mut self.machines[host];
        if readiness.contains(Readiness::CONNECTED)
            && let Some(call) = machine.connecting.remove(&id)
        {
            match machine.stack.finish_connect(id) {
                Ok(false) => {
                    machine.connecting.insert(id, call);
                }
                Ok(true) => {
                    machine.reading.push(id);
                    self.told(host, call, Ok("ok".to_owned()));
                }
                Err(error) => self.told(host, call, Err(errors::of_connection(error))),
            }
        }
        if readiness.contains(Readiness::READABLE) {
            self.read(host, id);
        }
    }

    /// Reads all available data; at the end of the stream the connection is not read any more.
    fn read(&mut self, host: usize, id: ConnectionId) {
        let now = self.instant();
        while self.machines[host].reading.contains(&id) {
            let mut pieces: Vec<Bytes> = Vec::new();
            let machine = &mut self.machines[host];
            let read = machine.stack.read(now, id, usize::MAX, &mut pieces);
            let answer = match read {
                Ok(Read::WouldBlock) => return,
                Ok(Read::Data(length)) => Ok(shown(&pieces.concat(), length)),
                Ok(Read::Eof) => Ok("0, the end".to_owned()),
                Err(error) => Err(errors::of_connection(error)),
            };
            if !matches!(read, Ok(Read::Data(_))) {
                machine.reading.retain(|other| *other != id);
            }
            self.told(host, "read()".to_owned(), answer);
        }
    }

    pub(super) fn told(&mut self, host: usize, call: String, answer: Result<String, String>) {
        self.note_transitions(host);
        let call = Call { host, call, answer };
        self.trace.push(self.now, What::Call(call));
    }

    fn note_transitions(&mut self, host: usize) {
        for change in self.machines[host].take_transitions() {
            let what = What::State(Change {
                host,
                local: change.local,
                peer: change.peer,
                from: change.from,
                to: change.to,
                stimulus: Some(change.stimulus),
            });
            self.trace.push(change.at - Instant::ZERO, what);
        }
    }
}

/// Describes received data: its length, and its text if that is short.
fn shown(data: &[u8], length: usize) -> String {
    match std::str::from_utf8(data) {
        Ok(text) if length <= SHOWN => format!("{length} {text:?}"),
        _ => length.to_string(),
    }
}

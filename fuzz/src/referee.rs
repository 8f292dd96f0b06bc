//! Checks the packets of two ends in the order in which they are sent: no end sends beyond a window
//! or shrinks one.

use bytes::Bytes;
use millstream_wire::pretty::Trace;
use millstream_wire::tcp::{Flags, Options, View};
use millstream_wire::{SeqNum, WindowScale, ip};

/// The state of one end.
#[derive(Clone, Copy, Debug, Default)]
struct End {
    /// The window scale that its SYN offered, once it has sent one.
    offered: Option<Option<u8>>,
    /// The right edge of the window that it offered last, in the other end's sequence numbers.
    edge: Option<SeqNum>,
    /// The sequence number after its FIN, once it has sent one.
    over: Option<SeqNum>,
}

/// The referee of one connection. After a reset it checks nothing more.
#[derive(Debug, Default)]
pub struct Referee {
    ends: [End; 2],
    over: bool,
    seen: Vec<Bytes>,
}

impl Referee {
    /// Checks a packet that the end numbered `from` has sent.
    pub fn see(&mut self, from: usize, bytes: &Bytes) {
        self.seen.push(bytes.clone());
        let packet = ip::Packet::parse(bytes).expect("a packet of a stack's parses");
        let Ok(view) = View::parse(packet.payload()) else {
            return;
        };
        let flags = view.flags();
        self.over |= flags.contains(Flags::RST);
        if self.over {
            return;
        }
        if flags.contains(Flags::SYN) {
            let options = Options::parse(view.options_bytes());
            self.ends[from].offered = Some(options.window_scale);
        }
        let scales = self.ends.iter().all(|end| end.offered.flatten().is_some());
        if flags.contains(Flags::ACK) {
            let shift = match self.ends[from].offered.flatten() {
                Some(shift) if scales && !flags.contains(Flags::SYN) => shift,
                _ => 0,
            };
            let edge = view.ack() + WindowScale::new(shift).widen(view.window());
            let last = self.ends[from].edge.replace(edge).unwrap_or(edge);
            let by = last.distance_from(edge);
            // After a FIN, the window has no purpose.
            let over = self.ends[1 - from].over == Some(view.ack());
            assert!(
                by <= 0 || over,
                "a window shrinks by {by}:\n{}",
                self.trace()
            );
        }
        let length = view.payload().len() as u32 + u32::from(flags.contains(Flags::FIN));
        if length > 0 && !flags.contains(Flags::SYN) {
            let edge = self.ends[1 - from]
                .edge
                .expect("nothing is sent before there is a window");
            let end = view.seq() + length;
            if flags.contains(Flags::FIN) {
                self.ends[from].over = Some(end);
            }
            let by = end.distance_from(edge);
            assert!(by <= 0, "sent {by} beyond the window:\n{}", self.trace());
        }
    }

    /// A trace of all packets.
    #[must_use]
    pub fn trace(&self) -> String {
        let mut trace = Trace::new();
        let lines = self.seen.iter().map(|bytes| trace.line(bytes));
        lines.collect::<Vec<_>>().join("\n")
    }
}

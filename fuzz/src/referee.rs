//! What two ends say on the wire, in the order in which they say it: nobody sends beyond a window, or takes one back.

use bytes::Bytes;
use millstream_wire::pretty::Trace;
use millstream_wire::tcp::{Flags, Options, View};
use millstream_wire::{SeqNum, WindowScale, ip};

/// What is known of one end.
#[derive(Clone, Copy, Debug, Default)]
struct End {
    /// The shift that its SYN offered, once one has been sent.
    offered: Option<Option<u8>>,
    /// The right edge of the window that it offered last, in the other's numbers.
    edge: Option<SeqNum>,
    /// What follows its FIN, once that has been sent.
    over: Option<SeqNum>,
}

/// Of one connection. It knows of nobody's window after the connection was reset.
#[derive(Debug, Default)]
pub struct Referee {
    ends: [End; 2],
    over: bool,
    seen: Vec<Bytes>,
}

impl Referee {
    /// The end of that number has sent a packet.
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
            // Behind a FIN there is nothing that a window could be for.
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

    /// All that was said.
    #[must_use]
    pub fn trace(&self) -> String {
        let mut trace = Trace::new();
        let lines = self.seen.iter().map(|bytes| trace.line(bytes));
        lines.collect::<Vec<_>>().join("\n")
    }
}

//! Watches what two ends say on the wire.

use std::collections::HashMap;

use millstream_netsim::{NodeId, Passing};
use millstream_wire::tcp::{Flags, Options, View};
use millstream_wire::{SeqNum, WindowScale, ip};

/// Of one connection, in the order in which segments are sent: nobody takes a window back (RFC 9293 3.8.6, SHLD-14), and
/// nobody sends beyond one.
#[derive(Debug, Default)]
pub(crate) struct Referee {
    ends: HashMap<NodeId, End>,
}

/// What one end has offered.
#[derive(Clone, Copy, Debug)]
struct End {
    scale: WindowScale,
    edge: SeqNum,
}

impl Referee {
    /// Looks at a packet.
    pub(crate) fn see(&mut self, passing: Passing<'_>) {
        if passing.arrives {
            return;
        }
        let packet = ip::Packet::parse(passing.packet).expect("what is sent is right");
        if packet.protocol() != ip::TCP {
            return;
        }
        let view = View::parse(packet.payload()).expect("what is sent is right");
        self.check_data(&passing, &view);
        self.check_window(&passing, &view);
    }

    fn check_data(&self, passing: &Passing<'_>, view: &View<'_>) {
        let Some(limit) = self.ends.get(&passing.to).map(|end| end.edge) else {
            return;
        };
        let fin = u32::from(view.flags().contains(Flags::FIN));
        let length = view.payload().len() as u32 + fin;
        if length > 0 && !view.flags().contains(Flags::SYN) {
            let end = view.seq() + length;
            let beyond = end.distance_from(limit);
            assert!(beyond <= 0, "{beyond} beyond the window: {view:?}");
        }
    }

    fn check_window(&mut self, passing: &Passing<'_>, view: &View<'_>) {
        let flags = view.flags();
        if !flags.contains(Flags::ACK) || flags.contains(Flags::RST) {
            return;
        }
        // The window of a SYN is not scaled (RFC 7323 2.2).
        let (now, later) = if flags.contains(Flags::SYN) {
            let shift = Options::parse(view.options_bytes()).window_scale;
            (
                WindowScale::new(0),
                Some(WindowScale::new(shift.unwrap_or(0))),
            )
        } else {
            let scale = self.ends.get(&passing.from).map(|end| end.scale);
            (scale.unwrap_or(WindowScale::new(0)), scale)
        };
        let edge = view.ack() + now.widen(view.window());
        let Some(scale) = later else {
            return;
        };
        if let Some(before) = self.ends.insert(passing.from, End { scale, edge }) {
            let taken = before.edge.distance_from(edge);
            assert!(taken <= 0, "a window taken back by {taken}: {view:?}");
        }
    }
}

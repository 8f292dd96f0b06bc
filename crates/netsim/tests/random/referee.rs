//! Checks the segments that the ends of connections send.

use std::collections::HashMap;
use std::net::SocketAddr;

use millstream_netsim::{NodeId, Passing};
use millstream_wire::tcp::{Flags, Options, View};
use millstream_wire::{SeqNum, WindowScale, ip};

/// Source and destination: one direction of a connection.
type Direction = (SocketAddr, SocketAddr);

/// Checks each connection, in the order in which segments are sent: no end shrinks its window
/// (RFC 9293 3.8.6, SHLD-14), and no end sends beyond the peer's.
#[derive(Debug, Default)]
pub(crate) struct Referee {
    /// The nodes whose own segments are checked; others only forward.
    hosts: Vec<NodeId>,
    /// The state of the direction's sender. `None` after a second SYN with another number: it
    /// answers a duplicate from an earlier connection, and the peer may not know that yet.
    ends: HashMap<Direction, Option<End>>,
}

/// The statements of one end so far.
#[derive(Clone, Copy, Debug)]
struct End {
    iss: SeqNum,
    scale: WindowScale,
    /// The right edge of the window that it has offered.
    edge: Option<SeqNum>,
}

impl Referee {
    /// A referee for the segments of these hosts.
    pub(crate) fn of(hosts: impl IntoIterator<Item = NodeId>) -> Self {
        Self {
            hosts: hosts.into_iter().collect(),
            ends: HashMap::new(),
        }
    }

    /// Checks a packet.
    pub(crate) fn see(&mut self, passing: Passing<'_>) {
        if passing.arrives || !self.hosts.contains(&passing.from) {
            return;
        }
        let packet = ip::Packet::parse(passing.packet).expect("sent packets are valid");
        if packet.protocol() != ip::TCP {
            return;
        }
        let view = View::parse(packet.payload()).expect("sent segments are valid");
        let src = SocketAddr::new(packet.src(), view.src_port());
        let dst = SocketAddr::new(packet.dst(), view.dst_port());
        if view.flags().contains(Flags::SYN) {
            self.begin((src, dst), &view);
        }
        self.check_data((src, dst), &view);
        self.check_window((src, dst), &view);
    }

    fn begin(&mut self, (src, dst): Direction, view: &View<'_>) {
        let shift = Options::parse(view.options_bytes()).window_scale;
        match self.ends.get(&(src, dst)) {
            None => {
                let end = End {
                    iss: view.seq(),
                    scale: WindowScale::new(shift.unwrap_or(0)),
                    edge: None,
                };
                self.ends.insert((src, dst), Some(end));
            }
            Some(Some(end)) if end.iss != view.seq() => {
                self.ends.insert((src, dst), None);
                self.ends.insert((dst, src), None);
            }
            Some(_) => {}
        }
        // RFC 7323 2.2: windows are scaled if both SYNs carry the option.
        if let (true, None, Some(Some(peer))) = (
            view.flags().contains(Flags::ACK),
            shift,
            self.ends.get_mut(&(dst, src)),
        ) {
            peer.scale = WindowScale::new(0);
        }
    }

    fn check_data(&self, (src, dst): Direction, view: &View<'_>) {
        let peer = self.ends.get(&(dst, src)).copied().flatten();
        let Some(edge) = peer.and_then(|end| end.edge) else {
            return;
        };
        let fin = u32::from(view.flags().contains(Flags::FIN));
        let length = view.payload().len() as u32 + fin;
        if length > 0 && !view.flags().contains(Flags::SYN) {
            let end = view.seq() + length;
            let beyond = end.distance_from(edge);
            assert!(beyond <= 0, "{beyond} bytes beyond the window: {view:?}");
        }
    }

    fn check_window(&mut self, direction: Direction, view: &View<'_>) {
        let flags = view.flags();
        if !flags.contains(Flags::ACK) || flags.contains(Flags::RST) {
            return;
        }
        let Some(Some(end)) = self.ends.get_mut(&direction) else {
            return;
        };
        // The window of a SYN is not scaled (RFC 7323 2.2).
        let scale = if flags.contains(Flags::SYN) {
            WindowScale::new(0)
        } else {
            end.scale
        };
        let edge = view.ack() + scale.widen(view.window());
        if let Some(before) = end.edge.replace(edge) {
            let taken = before.distance_from(edge);
            assert!(taken <= 0, "a window shrunk by {taken} bytes: {view:?}");
        }
    }
}

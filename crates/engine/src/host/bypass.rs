//! Payload that does not pass through the stack: where a reader waits, a device may put the next bytes of a
//! stream to where the reader wants them, and the engine sees their headers alone.
//!
//! This is for the ordinary case: the next segment of a stream of which nothing waits to be read and nothing
//! is missing (the header prediction of old). Whatever else comes is taken as always, payload included.
//!
//! These methods are for the crate `millstream` alone. They are public, but hidden, because it is a
//! crate of its own; no promise of compatibility covers them.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use bytes::Bytes;
use millstream_wire::ip;
use millstream_wire::tcp::{self, Flags, View};

use super::demux::Place;
use super::{RxChecksum, Stack};
use crate::event::Readiness;
use crate::id::ConnectionId;
use crate::read::Read;
use crate::tcp::buffer::SMALL_PAYLOAD;
use crate::tcp::connection::Tcb;
use crate::tcp::connection::space::after;
use crate::time::Instant;
use crate::tuple::FourTuple;

/// Timestamps as everybody pads them (RFC 7323 appendix A).
const TIMESTAMPS_LEN: usize = 12;

impl Stack {
    /// Bytes of the IP and TCP headers that the next packet of the connection probably has, if its payload could go
    /// straight to the reader: nothing else waits to be read, and nothing is missing.
    #[doc(hidden)]
    #[must_use]
    pub fn direct_header_len(&self, id: ConnectionId) -> Option<usize> {
        let tcb = &self.demux.held(id)?.tcb;
        let ip_len = ip::Header::new(tcb.tuple.local_ip, tcb.tuple.remote_ip, ip::TCP).len();
        let options_len = if tcb.timestamps.is_some() {
            TIMESTAMPS_LEN
        } else {
            0
        };
        let header_len = [ip_len, tcp::MIN_HEADER_LEN, options_len].iter().sum();
        tcb.takes_directly().then_some(header_len)
    }

    /// Whether the packet, of whose `header_len` bytes of headers alone anything is known, is the next segment of a
    /// connection whose payload could go straight to the reader.
    #[doc(hidden)]
    #[must_use]
    pub fn is_next_of(&mut self, id: ConnectionId, packet: &[u8], header_len: usize) -> bool {
        let Ok(ip) = ip::Packet::parse(packet) else {
            return false;
        };
        let Ok(view) = View::parse(ip.payload()) else {
            return false;
        };
        let tuple = FourTuple {
            local_ip: ip.dst(),
            remote_ip: ip.src(),
            local_port: view.dst_port(),
            remote_port: view.src_port(),
        };
        let connection = self.demux.find(&tuple) == Some(Place::Connection(id.index));
        ip.protocol() == ip::TCP
            && ip.fragment().is_none()
            && ip.header_len().saturating_add(view.header_len()) == header_len
            && connection
            && self.demux.held(id).is_some_and(|c| c.tcb.is_next(&view))
    }

    /// As [`handle_late_packet`](Self::handle_late_packet) for a packet that [is next](Self::is_next_of) and whose payload the
    /// caller keeps. `packet` is as long as the whole, whatever stands in the payload's place, and the checksum has
    /// been verified.
    ///
    /// Returns how many bytes from the payload's beginning are the next of the stream. They count as read, and are
    /// the caller's to hand to the reader.
    #[doc(hidden)]
    #[must_use]
    pub fn handle_direct(
        &mut self,
        now: Instant,
        arrived: Instant,
        id: ConnectionId,
        packet: Bytes,
    ) -> usize {
        self.handle_late_packet(now, arrived, packet, RxChecksum::Trusted);
        let taken = self.readable_bytes(id);
        if taken == 0 {
            return 0;
        }
        let read = self.read(now, id, taken, &mut Discard);
        debug_assert_eq!(read, Ok(Read::Data(taken)));
        if let Some(connection) = self.demux.held_mut(id)
            && !connection.tcb.is_readable()
        {
            connection.tcb.readiness.remove(Readiness::READABLE);
        }
        taken
    }
}

impl Tcb {
    fn takes_directly(&self) -> bool {
        self.state.may_receive()
            && !self.read_shutdown
            && self.recv_buf.is_empty()
            && self.assembler.is_empty()
            && self.rcv.up.is_none()
    }

    /// Whether all of the segment is what comes next, and no more than there is room for.
    fn is_next(&self, view: &View<'_>) -> bool {
        let payload = view.payload().len();
        let start = self.rcv.position(view.seq());
        self.takes_directly()
            && view.flags() | Flags::PSH == Flags::ACK | Flags::PSH
            && payload >= SMALL_PAYLOAD
            && start == self.rcv.nxt
            && after(start, payload) <= self.rcv.edge
    }
}

/// Takes nothing of what is read.
struct Discard;

impl Extend<Bytes> for Discard {
    fn extend<I: IntoIterator<Item = Bytes>>(&mut self, pieces: I) {
        pieces.into_iter().for_each(drop);
    }
}

//! Payload that bypasses the stack. While a reader waits, a device may place the next bytes of a
//! stream directly in the reader's buffer; the engine then sees only their headers.
//!
//! This path serves the ordinary case (header prediction): the next segment of a stream on which no
//! data is missing and no data waits to be read. Every other packet, payload included, takes the
//! regular path.
//!
//! These methods are for the crate `millstream` only. They are public but hidden because that is a
//! separate crate; no promise of compatibility covers them.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use bytes::Bytes;
use millstream_wire::ip;
use millstream_wire::tcp::{self, Flags, View};

use super::{RxChecksum, Stack};
use crate::event::Readiness;
use crate::id::ConnectionId;
use crate::read::Read;
use crate::table::place::Place;
use crate::tcp::buffer::SMALL_PAYLOAD;
use crate::tcp::connection::Tcb;
use crate::tcp::connection::space::after;
use crate::time::Instant;
use crate::tuple::FourTuple;

impl Stack {
    /// Length in bytes of the IP and TCP headers that the next packet of the connection probably
    /// has; `None` if its payload cannot go straight to the reader because other data waits to be
    /// read or is missing.
    #[doc(hidden)]
    #[must_use]
    pub fn direct_header_len(&self, id: ConnectionId) -> Option<usize> {
        let tcb = &self.demux.held(id)?.tcb;
        let ip_len = ip::Header::new(tcb.tuple.local_ip, tcb.tuple.remote_ip, ip::TCP).len();
        let options_len = tcb.agreed.options_len();
        let header_len = [ip_len, tcp::MIN_HEADER_LEN, options_len].iter().sum();
        tcb.takes_directly().then_some(header_len)
    }

    /// Whether the packet, of which only the first `header_len` bytes (its headers) are known, is
    /// the next segment of a connection whose payload could go straight to the reader.
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

    /// Handles a packet as [`handle_late_packet`](Self::handle_late_packet) does, for a packet that
    /// [is next](Self::is_next_of) and whose payload the caller keeps. `packet` has the length of
    /// the whole packet, with any content in place of the payload. The checksum must have been
    /// verified.
    ///
    /// Returns how many bytes from the payload's beginning are the next of the stream. They count
    /// as read; the caller must hand them to the reader.
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
            connection.tcb.app.readiness.remove(Readiness::READABLE);
        }
        taken
    }
}

impl Tcb {
    fn takes_directly(&self) -> bool {
        self.state.may_receive()
            && !self.app.read_shutdown
            && self.receiver.buf.is_empty()
            && self.receiver.assembler.is_empty()
            && self.receiver.rcv.up.is_none()
    }

    /// Whether the whole segment is the next part of the stream and fits into the window.
    fn is_next(&self, view: &View<'_>) -> bool {
        let payload = view.payload().len();
        let start = self.receiver.rcv.position(view.seq());
        self.takes_directly()
            && view.flags() | Flags::PSH == Flags::ACK | Flags::PSH
            && payload >= SMALL_PAYLOAD
            && start == self.receiver.rcv.nxt
            && after(start, payload) <= self.receiver.rcv.edge
    }
}

/// A sink that discards what is read.
struct Discard;

impl Extend<Bytes> for Discard {
    fn extend<I: IntoIterator<Item = Bytes>>(&mut self, pieces: I) {
        pieces.into_iter().for_each(drop);
    }
}

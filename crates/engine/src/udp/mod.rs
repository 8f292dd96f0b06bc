//! UDP (RFC 768): sockets, and the datagrams that wait in them.
//!
//! - `socket`: the record of a socket;
//! - `table`: the sockets to which a datagram may lead;
//! - `receive`: datagrams that wait to be read; `send`: datagrams that wait to be sent;
//! - `build`: from a datagram to packets, whole, cut into segments, or fragmented;
//! - `message`: what an application sends;
//! - `idents`: the identification of fragments.
//!
//! All of this is data that knows no host. `host::udp` decides which socket a datagram belongs to,
//! and changes the sockets.

pub(crate) mod build;
pub(crate) mod idents;
pub(crate) mod message;
pub(crate) mod receive;
pub(crate) mod send;
pub(crate) mod socket;
pub(crate) mod table;

/// Bytes that a waiting datagram counts besides its payload: its record, and the part of a queue
/// that is allocated and not in use.
pub(crate) const DATAGRAM_OVERHEAD: usize = 256;

/// Largest payload of a datagram: the length fields of UDP and IPv4 have 16 bits (RFC 768). IPv6's
/// does not count the IP header.
pub(crate) const MAX_PAYLOAD_V4: usize = 65_535 - 20 - 8;
/// See [`MAX_PAYLOAD_V4`].
pub(crate) const MAX_PAYLOAD_V6: usize = 65_535 - 8;

//! The events that the engine reports to its driver.

use bitflags::bitflags;

use crate::id::{AttemptId, ConnectionId, ListenerId, UdpId};

/// An event for which an application may be waiting. Events are latched: several changes of one
/// connection before the driver asks are one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A listener has a connection to accept or, if it listens on every address, an attempt to
    /// decide on.
    Incoming(ListenerId),
    /// An attempt has become a connection or has ended without one.
    Attempt(AttemptId),
    /// A connection became ready for something.
    Connection(ConnectionId, Readiness),
    /// A UDP socket became ready for something: `READABLE` means a datagram or a failure, `WRITABLE`
    /// room in the send buffer or a failure.
    Udp(UdpId, Readiness),
}

bitflags! {
    /// The operations for which a connection may have become ready. This is a hint: the following
    /// call gives the result.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Readiness: u8 {
        /// Reading makes progress: data, end of stream or an error.
        const READABLE = 1;
        /// Writing makes progress: room in the send buffer or an error.
        const WRITABLE = 2;
        /// The three-way handshake has ended, successfully or not.
        const CONNECTED = 4;
        /// Everything written was acknowledged, including the FIN if there was one, or the
        /// connection failed.
        const FLUSHED = 8;
        /// The peer moved its urgent pointer (RFC 9293 MUST-32).
        const URGENT = 16;
    }
}

//! What the engine tells its driver.

use bitflags::bitflags;

use crate::id::{AttemptId, ConnectionId, ListenerId};

/// Something happened that an application may be waiting for. Events are latched: several changes
/// of one connection before the driver asks are one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A listener has a connection to accept or, if it is one of every address, an attempt to decide on.
    Incoming(ListenerId),
    /// An attempt has become a connection, or nothing.
    Attempt(AttemptId),
    /// A connection became ready for something.
    Connection(ConnectionId, Readiness),
}

bitflags! {
    /// What a connection may have become ready for. A hint: the call that follows tells.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Readiness: u8 {
        /// Reading makes progress: data, end of stream or an error.
        const READABLE = 1;
        /// Writing makes progress: room in the send buffer or an error.
        const WRITABLE = 2;
        /// The three-way handshake ended, one way or the other.
        const CONNECTED = 4;
        /// Everything written was acknowledged, FIN included if there was one, or the connection failed.
        const FLUSHED = 8;
        /// The peer moved its urgent pointer (RFC 9293 MUST-32).
        const URGENT = 16;
    }
}

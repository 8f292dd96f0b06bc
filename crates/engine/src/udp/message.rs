//! A datagram that an application sends, and what it may decide for that datagram alone.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

/// A datagram to be sent by [`Stack::udp_send`](crate::Stack::udp_send). What it does not state is
/// as the socket's options say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UdpSend {
    /// The payload.
    pub payload: Bytes,
    /// Bytes of memory that the payload keeps alive, if they are more than its length.
    pub pinned: usize,
    /// The destination; `None` for the peer of a connected socket.
    pub to: Option<SocketAddr>,
    /// The source address, one of the stack's own (`IP_PKTINFO`).
    pub from: Option<IpAddr>,
    /// The type-of-service byte or traffic class: DSCP and ECN.
    pub tos: Option<u8>,
    /// The time to live or hop limit, at least 1.
    pub hop_limit: Option<u8>,
    /// Cuts the payload into datagrams of this many bytes, of which the last may be shorter
    /// (`UDP_SEGMENT`). They are not fragmented.
    pub segment_size: Option<u16>,
}

impl UdpSend {
    /// A datagram to the peer of a connected socket.
    #[must_use]
    pub fn new(payload: Bytes) -> Self {
        Self {
            payload,
            ..Self::default()
        }
    }

    setters! {
        pinned: usize,
        to: Option<SocketAddr>,
        from: Option<IpAddr>,
        tos: Option<u8>,
        hop_limit: Option<u8>,
        segment_size: Option<u16>,
    }
}

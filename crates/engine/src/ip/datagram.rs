//! Datagrams: the payload of an IP packet, or of all fragments of one.

use std::net::IpAddr;
use std::ops::Range;

use bytes::Bytes;
use millstream_wire::ip;

use crate::time::Instant;

/// The datagram carried by an IP packet or by all fragments of one.
#[derive(Debug)]
pub(crate) struct Datagram {
    /// Arrival time of the packet, or of its last fragment.
    pub(crate) arrived: Instant,
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) protocol: u8,
    pub(crate) ecn: ip::Ecn,
    /// The packet with its IP header; after reassembly, the payload alone.
    pub(crate) packet: Bytes,
    /// The range of the payload in `packet`.
    pub(crate) body: Range<usize>,
}

impl Datagram {
    pub(crate) fn payload(&self) -> &[u8] {
        self.packet.get(self.body.clone()).unwrap_or_default()
    }
}

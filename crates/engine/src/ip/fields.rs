//! The fields of the IP header of an outgoing packet.

use std::net::IpAddr;

use millstream_wire::ip;

/// The fields of the IP header that depend on the socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IpFields {
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) tos: u8,
    pub(crate) hop_limit: u8,
    pub(crate) ident: u16,
}

impl IpFields {
    pub(crate) fn header(&self, protocol: u8, payload_len: usize) -> ip::Header {
        ip::Header {
            src: self.src,
            dst: self.dst,
            protocol,
            tos: self.tos,
            hop_limit: self.hop_limit,
            ident: self.ident,
            dont_fragment: true,
            payload_len,
        }
    }
}

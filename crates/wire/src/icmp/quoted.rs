//! The packet quoted in an ICMP error.

use std::net::IpAddr;

use crate::field::Fields;
use crate::{ParseError, SeqNum, ip};

/// The part of a local packet that an ICMP error quotes, sufficient to find the connection.
///
/// RFC 792 guarantees 8 bytes after the IP header, which contain the ports and the sequence number,
/// and no more is required. Before acting on it, the caller must check that `seq` is in flight
/// (RFC 5927 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quoted {
    /// The source of the packet: this host.
    pub src: IpAddr,
    /// The destination of the packet.
    pub dst: IpAddr,
    /// The protocol of its payload.
    pub protocol: u8,
    /// The source port, for protocols that begin with ports.
    pub src_port: u16,
    /// The destination port.
    pub dst_port: u16,
    /// The sequence number, if the protocol is TCP and the quote contains it.
    pub seq: Option<SeqNum>,
}

impl Quoted {
    /// Reads the quote of an [`icmp::Error`](super::Error), which may be truncated.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) when the IP header or the ports are incomplete,
    /// [`Fragment`](ParseError::Fragment) when the quoted packet is a fragment without ports, and
    /// the errors of the IP header.
    pub fn parse(quoted: &[u8]) -> Result<Self, ParseError> {
        let packet = ip::Packet::parse_truncated(quoted)?;
        if packet
            .fragment()
            .is_some_and(|fragment| fragment.offset != 0)
        {
            return Err(ParseError::Fragment);
        }
        let payload = packet.payload();
        let ports = payload.first_chunk::<4>().ok_or(ParseError::Truncated)?;
        let seq = payload
            .first_chunk::<8>()
            .filter(|_| packet.protocol() == ip::TCP)
            .map(|header| SeqNum::new(header.be32::<4>()));
        Ok(Self {
            src: packet.src(),
            dst: packet.dst(),
            protocol: packet.protocol(),
            src_port: ports.be16::<0>(),
            dst_port: ports.be16::<2>(),
            seq,
        })
    }
}

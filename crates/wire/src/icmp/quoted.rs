//! The packet an ICMP error is about.

use std::net::IpAddr;

use crate::field::Fields;
use crate::{ParseError, SeqNum, ip};

/// What an ICMP error quotes of a packet of ours, enough to find the connection.
///
/// RFC 792 promises 8 bytes behind the IP header, which is ports and sequence number, and no more is
/// asked for. Whoever acts on it checks `seq` against what is in flight (RFC 5927 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quoted {
    /// Where the packet came from: we.
    pub src: IpAddr,
    /// Where it should have gone.
    pub dst: IpAddr,
    /// The protocol it carried.
    pub protocol: u8,
    /// The source port, in protocols that begin with ports.
    pub src_port: u16,
    /// The destination port.
    pub dst_port: u16,
    /// The sequence number, if it was TCP and the quote goes so far.
    pub seq: Option<SeqNum>,
}

impl Quoted {
    /// Reads the quote of an [`icmp::Error`](super::Error), which may end early.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) when IP header and ports are not whole,
    /// [`Fragment`](ParseError::Fragment) when it is about a fragment that has no ports, and whatever is
    /// wrong with the IP header.
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

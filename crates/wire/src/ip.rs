//! IP packets of both families: [`Packet`] to read, [`Header`] to emit.

use std::net::IpAddr;
use std::ops::Range;

use crate::{Ipv4View, Ipv6View, ParseError, ipv4, ipv6};

#[cfg(test)]
mod tests;

/// Protocol number of ICMP (RFC 792).
pub const ICMP: u8 = 1;
/// Protocol number of TCP (RFC 9293).
pub const TCP: u8 = 6;
/// Protocol number of UDP (RFC 768).
pub const UDP: u8 = 17;
/// Protocol number of ICMPv6 (RFC 4443).
pub const ICMPV6: u8 = 58;

/// A checked IP packet of either family.
#[derive(Clone, Copy, Debug)]
pub enum Packet<'a> {
    /// An IPv4 packet.
    V4(Ipv4View<'a>),
    /// An IPv6 packet.
    V6(Ipv6View<'a>),
}

impl<'a> Packet<'a> {
    /// Checks the IP header and all extension headers of `bytes`; the version determines the
    /// family.
    ///
    /// Bytes beyond the length in the header are padding of the link and are dropped.
    ///
    /// # Errors
    /// The reason why it is not an IP packet that a host may process: see [`Ipv4View::parse`] and
    /// [`Ipv6View::parse`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        match version(bytes)? {
            4 => Ipv4View::parse(bytes).map(Self::V4),
            6 => Ipv6View::parse(bytes).map(Self::V6),
            _ => Err(ParseError::Version),
        }
    }

    /// Reads a packet that may be truncated, as in ICMP quotes and capture files: the payload may
    /// be incomplete, and an IPv4 header checksum is not verified, because routers on the path may
    /// have changed the header.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), when the headers are incomplete.
    pub fn parse_truncated(bytes: &'a [u8]) -> Result<Self, ParseError> {
        match version(bytes)? {
            4 => Ipv4View::parse_truncated(bytes).map(Self::V4),
            6 => Ipv6View::parse_truncated(bytes).map(Self::V6),
            _ => Err(ParseError::Version),
        }
    }

    /// The source address.
    #[must_use]
    pub fn src(&self) -> IpAddr {
        match self {
            Self::V4(view) => view.src().into(),
            Self::V6(view) => view.src().into(),
        }
    }

    /// The destination address.
    #[must_use]
    pub fn dst(&self) -> IpAddr {
        match self {
            Self::V4(view) => view.dst().into(),
            Self::V6(view) => view.dst().into(),
        }
    }

    /// The protocol of the payload: the one after the last extension header, or, if the packet is a
    /// fragment, the one after the fragment header.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        match self {
            Self::V4(view) => view.protocol(),
            Self::V6(view) => view.protocol(),
        }
    }

    /// The type-of-service byte or traffic class: DSCP in the upper six bits, [`Ecn`] in the lower
    /// two.
    #[must_use]
    pub fn tos(&self) -> u8 {
        match self {
            Self::V4(view) => view.tos(),
            Self::V6(view) => view.traffic_class(),
        }
    }

    /// The ECN codepoint (RFC 3168).
    #[must_use]
    pub fn ecn(&self) -> Ecn {
        Ecn::from_tos(self.tos())
    }

    /// The number of further routers that may forward it: time to live or hop limit.
    #[must_use]
    pub fn hop_limit(&self) -> u8 {
        match self {
            Self::V4(view) => view.ttl(),
            Self::V6(view) => view.hop_limit(),
        }
    }

    /// The payload: upper-layer header and data, or a part of them if the packet is a fragment.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        match self {
            Self::V4(view) => view.payload(),
            Self::V6(view) => view.payload(),
        }
    }

    /// The range of the payload in the parsed bytes.
    #[must_use]
    pub fn payload_range(&self) -> Range<usize> {
        let start = self.header_len();
        start..start.saturating_add(self.payload().len())
    }

    /// Length of the payload in bytes according to the header; more than `payload().len()` if the
    /// packet was truncated.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        match self {
            Self::V4(view) => view.payload_len(),
            Self::V6(view) => view.payload_len(),
        }
    }

    /// Bytes before the payload: the fixed header with options or extension headers.
    #[must_use]
    pub fn header_len(&self) -> usize {
        match self {
            Self::V4(view) => view.header_len(),
            Self::V6(view) => view.header_len(),
        }
    }

    /// Bytes of IPv4 options or of IPv6 extension headers.
    #[must_use]
    pub fn options_len(&self) -> usize {
        match self {
            Self::V4(view) => view.header_len().saturating_sub(ipv4::HEADER_LEN),
            Self::V6(view) => view.header_len().saturating_sub(ipv6::HEADER_LEN),
        }
    }

    /// The place of this fragment in a larger packet; `None` for a whole packet.
    #[must_use]
    pub fn fragment(&self) -> Option<Fragment> {
        match self {
            Self::V4(view) => view.fragment(),
            Self::V6(view) => view.fragment(),
        }
    }
}

fn version(bytes: &[u8]) -> Result<u8, ParseError> {
    bytes
        .first()
        .map(|first| first >> 4)
        .ok_or(ParseError::Truncated)
}

/// The place of a fragment in the packet to which it belongs (RFC 791 3.2, RFC 8200 4.5).
///
/// The payload of every fragment begins immediately after its header, so a reassembler joins
/// payloads by `offset` and places them after a header that names [`Packet::protocol`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fragment {
    /// The identification that the fragments of one packet share: 16 bits in IPv4, 32 in IPv6.
    pub id: u32,
    /// Offset of this payload in the whole payload, in bytes; a multiple of 8.
    pub offset: u16,
    /// Whether further fragments follow this one.
    pub more: bool,
}

impl Fragment {
    /// Refuses fragments that cannot belong to a valid packet (RFC 8200 4.5): `payload_len` bytes
    /// that end beyond the largest packet, and a fragment other than the last whose length is not a
    /// multiple of 8 bytes.
    pub(crate) fn check(self, payload_len: usize) -> Result<(), ParseError> {
        let end = usize::from(self.offset).saturating_add(payload_len);
        if end > usize::from(u16::MAX) || (self.more && !payload_len.is_multiple_of(8)) {
            return Err(ParseError::Fragment);
        }
        Ok(())
    }
}

/// The ECN codepoint of an IP header (RFC 3168 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Ecn {
    /// The transport does not support ECN.
    #[default]
    NotEct = 0b00,
    /// ECN-capable transport, codepoint 01.
    Ect1 = 0b01,
    /// ECN-capable transport, codepoint 10, which RFC 3168 senders use.
    Ect0 = 0b10,
    /// Congestion experienced, set by a router.
    Ce = 0b11,
}

impl Ecn {
    /// The codepoint in the lower two bits of a type-of-service byte or traffic class.
    #[must_use]
    pub const fn from_tos(tos: u8) -> Self {
        match tos & 0b11 {
            0b00 => Self::NotEct,
            0b01 => Self::Ect1,
            0b10 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// `tos` with this codepoint in its lower two bits.
    #[must_use]
    pub const fn apply(self, tos: u8) -> u8 {
        tos & !0b11 | self as u8
    }
}

/// An IP header to emit; the family is that of the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// The source address.
    pub src: IpAddr,
    /// The destination address, of the same family.
    pub dst: IpAddr,
    /// The protocol of the payload.
    pub protocol: u8,
    /// Type of service or traffic class: DSCP and ECN.
    pub tos: u8,
    /// Time to live or hop limit.
    pub hop_limit: u8,
    /// IPv4 identification; unused in IPv6.
    pub ident: u16,
    /// IPv4 "don't fragment"; in IPv6 no router fragments.
    pub dont_fragment: bool,
    /// Number of bytes that follow the header.
    pub payload_len: usize,
}

impl Header {
    /// A header with a hop limit of 64, "don't fragment" set, and zero in all other fields.
    #[must_use]
    pub const fn new(src: IpAddr, dst: IpAddr, protocol: u8) -> Self {
        Self {
            src,
            dst,
            protocol,
            tos: 0,
            hop_limit: 64,
            ident: 0,
            dont_fragment: true,
            payload_len: 0,
        }
    }

    /// Length of the header in bytes: 20 or 40.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(&self) -> usize {
        match self.src {
            IpAddr::V4(_) => ipv4::HEADER_LEN,
            IpAddr::V6(_) => ipv6::HEADER_LEN,
        }
    }

    /// Writes the header to the first [`len`](Self::len) bytes of `buf`, with its checksum in IPv4.
    ///
    /// # Panics
    /// If the addresses are of two families, `buf` is shorter than the header, or the packet would
    /// exceed the 65535 bytes that the length field can express.
    #[expect(
        clippy::panic,
        reason = "the caller's mistake, which no packet has a say in"
    )]
    pub fn emit(&self, buf: &mut [u8]) {
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let total_len = length_field(self.payload_len.saturating_add(ipv4::HEADER_LEN));
                ipv4::emit(self, total_len, src, dst, buf);
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                ipv6::emit(self, length_field(self.payload_len), src, dst, buf);
            }
            _ => panic!("{} and {} are of two families", self.src, self.dst),
        }
    }

    /// Length in bytes of the header of a fragment: in IPv6 a fragment header follows the fixed
    /// header.
    #[must_use]
    pub const fn fragment_len(&self) -> usize {
        match self.src {
            IpAddr::V4(_) => ipv4::HEADER_LEN,
            IpAddr::V6(_) => ipv6::HEADER_LEN.saturating_add(ipv6::FRAGMENT_HEADER_LEN),
        }
    }

    /// Writes the header of a fragment to the first [`fragment_len`](Self::fragment_len) bytes of
    /// `buf`. `payload_len` is the length of this fragment's payload; the identification is that of
    /// `fragment`, and its offset must be a multiple of 8.
    ///
    /// # Panics
    /// As [`emit`](Self::emit).
    pub fn emit_fragment(&self, fragment: Fragment, buf: &mut [u8]) {
        match self.src {
            IpAddr::V4(_) => {
                let header = Self {
                    ident: fragment.id as u16,
                    dont_fragment: false,
                    ..*self
                };
                header.emit(buf);
                ipv4::make_fragment(fragment, buf);
            }
            IpAddr::V6(_) => {
                let header = Self {
                    protocol: ipv6::FRAGMENT,
                    payload_len: self.payload_len.saturating_add(ipv6::FRAGMENT_HEADER_LEN),
                    ..*self
                };
                header.emit(buf);
                let (_, rest) = buf.split_at_mut(ipv6::HEADER_LEN);
                ipv6::emit_fragment_header(self.protocol, fragment, rest);
            }
        }
    }
}

#[expect(
    clippy::expect_used,
    reason = "the caller's mistake, which no packet has a say in"
)]
fn length_field(len: usize) -> u16 {
    u16::try_from(len).expect("a length field says nothing beyond 65535 bytes")
}

//! The IPv6 header and its extension headers (RFC 8200).

use std::net::Ipv6Addr;

use crate::ParseError;
use crate::field::{be16, be32, put};
use crate::ip::{Fragment, Header};

/// Length of the fixed header.
pub const HEADER_LEN: usize = 40;

/// Extension headers walked before the packet is refused: more than any honest one has, and a bound on
/// the work that a packet can make.
pub const MAX_EXTENSION_HEADERS: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// A checked IPv6 packet.
#[derive(Clone, Copy, Debug)]
pub struct Ipv6View<'a> {
    header: &'a [u8; HEADER_LEN],
    /// The packet without what follows its payload length.
    packet: &'a [u8],
    upper: Upper,
}

/// Where the walk over the extension headers ended.
#[derive(Clone, Copy, Debug)]
struct Upper {
    protocol: u8,
    /// Bytes before the payload; at most the length of the packet.
    header_len: usize,
    fragment: Option<Fragment>,
}

impl<'a> Ipv6View<'a> {
    /// Checks the fixed header of `bytes` and walks hop-by-hop, destination options, routing and fragment
    /// headers, [`MAX_EXTENSION_HEADERS`] at most. Any other next header is the upper layer's. A packet
    /// that says it is one whole fragment counts as no fragment (RFC 6946).
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated), [`Version`](ParseError::Version),
    /// [`TotalLength`](ParseError::TotalLength) when the packet is longer than `bytes`, and what an extension
    /// header can have wrong: [`ExtensionHeaders`](ParseError::ExtensionHeaders),
    /// [`RoutingHeader`](ParseError::RoutingHeader), [`UnknownOption`](ParseError::UnknownOption),
    /// [`OptionLength`](ParseError::OptionLength), [`Fragment`](ParseError::Fragment).
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let view = Self::parse_truncated(bytes)?;
        if view.packet.len() < HEADER_LEN + usize::from(view.total_payload_len()) {
            return Err(ParseError::TotalLength);
        }
        if let Some(fragment) = view.upper.fragment {
            fragment.check(view.payload_len())?;
        }
        Ok(view)
    }

    /// Reads a packet of which only the headers need be there.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), but for fragments and what is missing of the payload.
    pub fn parse_truncated(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let header = bytes
            .first_chunk::<HEADER_LEN>()
            .ok_or(ParseError::Truncated)?;
        if header[0] >> 4 != 6 {
            return Err(ParseError::Version);
        }
        let total_len = HEADER_LEN + usize::from(be16(header, 4));
        let packet = &bytes[..total_len.min(bytes.len())];
        let upper = walk(header[6], packet)?;
        Ok(Self {
            header,
            packet,
            upper,
        })
    }

    /// The source address.
    #[must_use]
    pub fn src(&self) -> Ipv6Addr {
        address(self.header, 8)
    }

    /// The destination address.
    #[must_use]
    pub fn dst(&self) -> Ipv6Addr {
        address(self.header, 24)
    }

    /// The protocol behind the last extension header, or behind the fragment header of a fragment.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.upper.protocol
    }

    /// The traffic class: DSCP and ECN.
    #[must_use]
    pub fn traffic_class(&self) -> u8 {
        self.header[0] << 4 | self.header[1] >> 4
    }

    /// The flow label, 20 bits (RFC 6437).
    #[must_use]
    pub fn flow_label(&self) -> u32 {
        be32(self.header, 0) & 0x000F_FFFF
    }

    /// The hop limit.
    #[must_use]
    pub fn hop_limit(&self) -> u8 {
        self.header[7]
    }

    /// Bytes before the payload: the fixed header and the extension headers.
    #[must_use]
    pub fn header_len(&self) -> usize {
        self.upper.header_len
    }

    /// Length of the payload in bytes, without the extension headers, as the header gives it.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        HEADER_LEN + usize::from(self.total_payload_len()) - self.upper.header_len
    }

    /// What follows the last extension header.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.packet[self.upper.header_len..]
    }

    /// Which piece of a larger packet this is; `None` for a whole one.
    #[must_use]
    pub fn fragment(&self) -> Option<Fragment> {
        self.upper.fragment
    }

    /// The length field: extension headers and payload.
    fn total_payload_len(&self) -> u16 {
        be16(self.header, 4)
    }
}

fn address(header: &[u8; HEADER_LEN], at: usize) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&header[at..at + 16]);
    octets.into()
}

/// Walks the extension headers of `packet`, the first of which `next` names.
fn walk(mut next: u8, packet: &[u8]) -> Result<Upper, ParseError> {
    let mut at = HEADER_LEN;
    for _ in 0..=MAX_EXTENSION_HEADERS {
        let rest = &packet[at..];
        match next {
            // RFC 8200 4.1: the hop-by-hop header stands right behind the fixed one or not at all.
            HOP_BY_HOP if at == HEADER_LEN => check_options(extension(rest)?)?,
            HOP_BY_HOP => return Err(ParseError::ExtensionHeaders),
            DESTINATION_OPTIONS => check_options(extension(rest)?)?,
            ROUTING => {
                // RFC 8200 4.4: without segments left it is passed over, whatever its type; a host
                // never forwards (RFC 5095 3).
                if extension(rest)?[3] != 0 {
                    return Err(ParseError::RoutingHeader);
                }
            }
            FRAGMENT => {
                let header = rest.first_chunk::<8>().ok_or(ParseError::Truncated)?;
                let field = be16(header, 2);
                let fragment = Fragment {
                    id: be32(header, 4),
                    offset: field & !0b111,
                    more: field & 1 != 0,
                };
                if fragment.more || fragment.offset != 0 {
                    return Ok(Upper {
                        protocol: header[0],
                        header_len: at + header.len(),
                        fragment: Some(fragment),
                    });
                }
            }
            protocol => {
                return Ok(Upper {
                    protocol,
                    header_len: at,
                    fragment: None,
                });
            }
        }
        at += if next == FRAGMENT {
            8
        } else {
            extension(rest)?.len()
        };
        next = rest[0];
    }
    Err(ParseError::ExtensionHeaders)
}

/// The extension header that `rest` begins with, in the layout that all but the fragment header share.
fn extension(rest: &[u8]) -> Result<&[u8], ParseError> {
    let len = rest.get(1).ok_or(ParseError::Truncated)?;
    rest.get(..(usize::from(*len) + 1) * 8)
        .ok_or(ParseError::Truncated)
}

/// Passes over the options of a hop-by-hop or destination header, none of which concerns a host that
/// runs TCP, unless one forbids that (RFC 8200 4.2).
fn check_options(extension: &[u8]) -> Result<(), ParseError> {
    let mut options = &extension[2..];
    while let [kind, rest @ ..] = options {
        options = match (*kind, rest) {
            (0, rest) => rest,
            // The upper two bits say what to do with a kind that is not known: 00 is to skip it.
            (kind, _) if kind >> 6 != 0 => return Err(ParseError::UnknownOption),
            (_, [len, data @ ..]) => data
                .get(usize::from(*len)..)
                .ok_or(ParseError::OptionLength)?,
            (_, []) => return Err(ParseError::OptionLength),
        };
    }
    Ok(())
}

/// Writes `header` to the first bytes of `buf`.
pub(crate) fn emit(
    header: &Header,
    payload_len: u16,
    src: Ipv6Addr,
    dst: Ipv6Addr,
    buf: &mut [u8],
) {
    let buf = &mut buf[..HEADER_LEN];
    put(
        buf,
        0,
        (6 << 28 | u32::from(header.tos) << 20).to_be_bytes(),
    );
    put(buf, 4, payload_len.to_be_bytes());
    buf[6] = header.protocol;
    buf[7] = header.hop_limit;
    put(buf, 8, src.octets());
    put(buf, 24, dst.octets());
}

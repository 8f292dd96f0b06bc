//! The IPv4 header (RFC 791).

use std::net::Ipv4Addr;

use crate::ParseError;
use crate::checksum::{self, Sum};
use crate::field::{Fields, room};
use crate::ip::{Fragment, Header};

/// Length of the header without options.
pub const HEADER_LEN: usize = 20;

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET_MASK: u16 = 0x1FFF;

/// A checked IPv4 packet (RFC 9293 MUST-50).
#[derive(Clone, Copy, Debug)]
pub struct Ipv4View<'a> {
    header: &'a [u8; HEADER_LEN],
    /// Length of the header in bytes, including options.
    header_len: usize,
    /// The available part of the payload, without bytes after the packet.
    payload: &'a [u8],
    /// Length of the payload in bytes, according to the header.
    payload_len: usize,
}

impl<'a> Ipv4View<'a> {
    /// Checks the header of `bytes`; options are skipped.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated), [`Version`](ParseError::Version),
    /// [`HeaderLength`](ParseError::HeaderLength), [`TotalLength`](ParseError::TotalLength) when
    /// the packet is longer than `bytes` or shorter than its header,
    /// [`Checksum`](ParseError::Checksum) and [`Fragment`](ParseError::Fragment).
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let view = Self::parse_truncated(bytes)?;
        if view.payload.len() < view.payload_len {
            return Err(ParseError::TotalLength);
        }
        let mut sum = Sum::new();
        sum.add(bytes.get(..view.header_len).unwrap_or(bytes));
        if !checksum::is_valid(sum) {
            return Err(ParseError::Checksum);
        }
        if let Some(fragment) = view.fragment() {
            fragment.check(view.payload_len)?;
        }
        Ok(view)
    }

    /// Reads a packet of which only the header must be present, whatever its checksum.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), except for the checksum, fragments and missing payload.
    pub fn parse_truncated(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let header = bytes
            .first_chunk::<HEADER_LEN>()
            .ok_or(ParseError::Truncated)?;
        if header[0] >> 4 != 4 {
            return Err(ParseError::Version);
        }
        let header_len = usize::from(header[0] & 0xF) * 4;
        let rest = bytes
            .get(header_len..)
            .filter(|_| header_len >= HEADER_LEN)
            .ok_or(ParseError::HeaderLength)?;
        let payload_len = usize::from(header.be16::<2>())
            .checked_sub(header_len)
            .ok_or(ParseError::TotalLength)?;
        Ok(Self {
            header,
            header_len,
            payload: rest.get(..payload_len).unwrap_or(rest),
            payload_len,
        })
    }

    /// The source address.
    #[must_use]
    pub fn src(&self) -> Ipv4Addr {
        let h = self.header;
        Ipv4Addr::new(h[12], h[13], h[14], h[15])
    }

    /// The destination address.
    #[must_use]
    pub fn dst(&self) -> Ipv4Addr {
        let h = self.header;
        Ipv4Addr::new(h[16], h[17], h[18], h[19])
    }

    /// The protocol of the payload.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.header[9]
    }

    /// The type-of-service byte: DSCP and ECN.
    #[must_use]
    pub fn tos(&self) -> u8 {
        self.header[1]
    }

    /// The time to live.
    #[must_use]
    pub fn ttl(&self) -> u8 {
        self.header[8]
    }

    /// The identification that the fragments of one packet share.
    #[must_use]
    pub fn ident(&self) -> u16 {
        self.header.be16::<4>()
    }

    /// Whether routers must not fragment it.
    #[must_use]
    pub fn dont_fragment(&self) -> bool {
        self.header.be16::<6>() & DONT_FRAGMENT != 0
    }

    /// Length of header and payload in bytes, according to the header.
    #[must_use]
    pub fn total_len(&self) -> u16 {
        self.header.be16::<2>()
    }

    /// Length of the header in bytes, including options.
    #[must_use]
    pub fn header_len(&self) -> usize {
        self.header_len
    }

    /// Length of the payload in bytes, according to the header.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        self.payload_len
    }

    /// The payload of the packet.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The place of this fragment in a larger packet; `None` for a whole packet.
    #[must_use]
    pub fn fragment(&self) -> Option<Fragment> {
        let field = self.header.be16::<6>();
        (field & (MORE_FRAGMENTS | OFFSET_MASK) != 0).then(|| Fragment {
            id: u32::from(self.ident()),
            offset: field << 3,
            more: field & MORE_FRAGMENTS != 0,
        })
    }
}

/// Writes `header` and its checksum to the first bytes of `buf`.
pub(crate) fn emit(header: &Header, total_len: u16, src: Ipv4Addr, dst: Ipv4Addr, buf: &mut [u8]) {
    let (out, _) = room::<HEADER_LEN>(buf);
    out[0] = 0x45;
    out[1] = header.tos;
    out.put::<2, 2>(total_len.to_be_bytes());
    out.put::<4, 2>(header.ident.to_be_bytes());
    let flags = if header.dont_fragment {
        DONT_FRAGMENT
    } else {
        0
    };
    out.put::<6, 2>(flags.to_be_bytes());
    out[8] = header.hop_limit;
    out[9] = header.protocol;
    out.put::<12, 4>(src.octets());
    out.put::<16, 4>(dst.octets());
    fill_checksum(out);
}

/// Makes the header in the first bytes of `buf` that of a fragment.
pub(crate) fn make_fragment(fragment: Fragment, buf: &mut [u8]) {
    let (out, _) = room::<HEADER_LEN>(buf);
    let more = if fragment.more { MORE_FRAGMENTS } else { 0 };
    let field = more | (fragment.offset >> 3 & OFFSET_MASK);
    out.put::<6, 2>(field.to_be_bytes());
    fill_checksum(out);
}

/// Makes `packet`, a header and the options behind it, one header with options, of at most 60 bytes.
pub(crate) fn with_options(packet: &mut [u8]) {
    let words = packet.len().checked_div(4).unwrap_or_default();
    if let Some(first) = packet.first_mut() {
        *first = 0x40 | (words as u8 & 0xF);
    }
    let (fixed, options) = room::<HEADER_LEN>(packet);
    fixed.put::<10, 2>([0; 2]);
    let mut sum = Sum::new();
    sum.add(fixed);
    sum.add(options);
    fixed.put::<10, 2>(sum.finish().to_be_bytes());
}

/// Writes a header's checksum.
pub(crate) fn fill_checksum(header: &mut [u8; HEADER_LEN]) {
    header.put::<10, 2>([0; 2]);
    let mut sum = Sum::new();
    sum.add(header);
    header.put::<10, 2>(sum.finish().to_be_bytes());
}

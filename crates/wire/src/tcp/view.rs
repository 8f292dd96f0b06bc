//! The checked view of a segment.

use std::net::IpAddr;

use super::{CHECKSUM_OFFSET, Flags, MIN_HEADER_LEN, OptionIter};
use crate::field::Fields;
use crate::{ParseError, SeqNum, checksum, ip};

/// A TCP segment whose lengths have been checked.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    header: &'a [u8; MIN_HEADER_LEN],
    options: &'a [u8],
    payload: &'a [u8],
    /// Header, options and payload.
    segment: &'a [u8],
    /// Length of the header in bytes, including options: 20 to 60.
    header_len: usize,
}

impl<'a> View<'a> {
    /// Checks that `segment`, the payload of an IP packet, holds the header that it announces. The
    /// checksum is verified separately by [`checksum_ok`](Self::checksum_ok), because a device may
    /// have verified it.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) below 20 bytes,
    /// [`HeaderLength`](ParseError::HeaderLength) when the data offset points into the fixed header
    /// or beyond the segment.
    #[inline]
    pub fn parse(segment: &'a [u8]) -> Result<Self, ParseError> {
        let header = segment
            .first_chunk::<MIN_HEADER_LEN>()
            .ok_or(ParseError::Truncated)?;
        let header_len = usize::from(header[12] >> 4) * 4;
        let options = segment
            .get(MIN_HEADER_LEN..header_len)
            .ok_or(ParseError::HeaderLength)?;
        let payload = segment.get(header_len..).ok_or(ParseError::HeaderLength)?;
        Ok(Self {
            header,
            options,
            payload,
            segment,
            header_len,
        })
    }

    /// The source port.
    #[must_use]
    pub fn src_port(&self) -> u16 {
        self.header.be16::<0>()
    }

    /// The destination port.
    #[must_use]
    pub fn dst_port(&self) -> u16 {
        self.header.be16::<2>()
    }

    /// SEG.SEQ: the number of the first byte, or of the SYN.
    #[must_use]
    pub fn seq(&self) -> SeqNum {
        SeqNum::new(self.header.be32::<4>())
    }

    /// SEG.ACK: the next byte expected; valid only with [`Flags::ACK`].
    #[must_use]
    pub fn ack(&self) -> SeqNum {
        SeqNum::new(self.header.be32::<8>())
    }

    /// Length of the header in bytes, including options: 20 to 60.
    #[must_use]
    pub fn header_len(&self) -> usize {
        self.header_len
    }

    /// The four reserved bits, which receivers ignore.
    #[must_use]
    pub fn reserved(&self) -> u8 {
        self.header[12] & 0xF
    }

    /// The control bits.
    #[must_use]
    pub fn flags(&self) -> Flags {
        Flags::from_bits_retain(self.header[13])
    }

    /// The window field, unscaled.
    #[must_use]
    pub fn window(&self) -> u16 {
        self.header.be16::<14>()
    }

    /// The checksum field.
    #[must_use]
    pub fn checksum(&self) -> u16 {
        self.header.be16::<CHECKSUM_OFFSET>()
    }

    /// The urgent pointer: offset from SEG.SEQ, valid only with [`Flags::URG`].
    #[must_use]
    pub fn urgent(&self) -> u16 {
        self.header.be16::<18>()
    }

    /// The options, including padding (RFC 9293 MUST-5).
    #[must_use]
    pub fn options_bytes(&self) -> &'a [u8] {
        self.options
    }

    /// The options one by one.
    pub fn options(&self) -> OptionIter<'a> {
        OptionIter::new(self.options_bytes())
    }

    /// The data.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Whether the checksum over pseudo-header and segment is correct (RFC 9293 3.1, MUST-3), by
    /// the sum that includes the field; see [`checksum::is_valid`].
    #[must_use]
    pub fn checksum_ok(&self, src: IpAddr, dst: IpAddr) -> bool {
        let mut sum = checksum::pseudo_header(src, dst, ip::TCP, self.segment.len() as u32);
        sum.add(self.segment);
        checksum::is_valid(sum)
    }
}

//! The header to emit.

use super::{CHECKSUM_OFFSET, Flags, MIN_HEADER_LEN, Options, View};
use crate::SeqNum;
use crate::checksum::Sum;
use crate::field::{Fields, room};

/// A TCP header to emit; every value can be emitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The source port.
    pub src_port: u16,
    /// The destination port.
    pub dst_port: u16,
    /// SEG.SEQ: the number of the first byte, or of the SYN.
    pub seq: SeqNum,
    /// SEG.ACK: the next byte expected; zero without [`Flags::ACK`].
    pub ack: SeqNum,
    /// The control bits.
    pub flags: Flags,
    /// The window field, scaled by [`WindowScale::narrow`](crate::WindowScale::narrow).
    pub window: u16,
    /// The urgent pointer: offset from `seq`, valid only with [`Flags::URG`].
    pub urgent: u16,
    /// The options.
    pub options: Options,
}

impl Header {
    /// Length of the header in bytes: 20 to 60, a multiple of 4.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a header is never empty")]
    #[expect(clippy::arithmetic_side_effects, reason = "60 bytes at the most")]
    pub fn len(&self) -> usize {
        MIN_HEADER_LEN + self.options.len()
    }

    /// Writes the header to the first [`len`](Self::len) bytes of `buf`, with zero in the checksum
    /// field, which [`fill_checksum`](Self::fill_checksum) or the device completes afterwards.
    /// Options are in Linux's order; SACK blocks that do not fit in 40 bytes are omitted.
    ///
    /// # Panics
    /// If `buf` is shorter than the header.
    pub fn emit(&self, buf: &mut [u8]) {
        let (fixed, rest) = room::<MIN_HEADER_LEN>(buf);
        fixed.put::<0, 2>(self.src_port.to_be_bytes());
        fixed.put::<2, 2>(self.dst_port.to_be_bytes());
        fixed.put::<4, 4>(self.seq.raw().to_be_bytes());
        fixed.put::<8, 4>(self.ack.raw().to_be_bytes());
        fixed[12] = (self.len() as u8 / 4) << 4;
        fixed[13] = self.flags.bits();
        fixed.put::<14, 2>(self.window.to_be_bytes());
        fixed.put::<CHECKSUM_OFFSET, 2>([0; 2]);
        fixed.put::<18, 2>(self.urgent.to_be_bytes());
        self.options.emit(rest);
    }

    /// Completes the checksum field of `header`, which must be exactly one emitted header; `rest`
    /// is the sum over the pseudo-header and the payload (RFC 9293 MUST-2).
    ///
    /// # Panics
    /// If `header` is shorter than 20 bytes.
    #[inline]
    pub fn fill_checksum(header: &mut [u8], rest: Sum) {
        // A separate sum, because `rest` may end at an odd byte.
        let mut sum = Sum::new();
        sum.add(header);
        sum.add_u16(rest.fold());
        let (fixed, _) = room::<MIN_HEADER_LEN>(header);
        fixed.put::<CHECKSUM_OFFSET, 2>(sum.finish().to_be_bytes());
    }

    /// Puts the sum over the pseudo-header into the checksum field of an emitted header, for a
    /// device that adds the header and the payload and completes it.
    ///
    /// # Panics
    /// If `header` is shorter than 20 bytes.
    pub fn begin_checksum(header: &mut [u8], pseudo_header: Sum) {
        let (fixed, _) = room::<MIN_HEADER_LEN>(header);
        fixed.put::<CHECKSUM_OFFSET, 2>(pseudo_header.fold().to_be_bytes());
    }
}

impl From<&View<'_>> for Header {
    /// The fields of a parsed segment, to be emitted again, without reserved bits and unknown
    /// options.
    fn from(view: &View<'_>) -> Self {
        Self {
            src_port: view.src_port(),
            dst_port: view.dst_port(),
            seq: view.seq(),
            ack: view.ack(),
            flags: view.flags(),
            window: view.window(),
            urgent: view.urgent(),
            options: Options::parse(view.options_bytes()),
        }
    }
}

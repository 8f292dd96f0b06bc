//! The virtio-net header that a device with offloads puts before each packet (virtio 1.2, 5.1.6).

use crate::ParseError;
use crate::field::{Fields, room};

bitflags::bitflags! {
    /// The state of the packet's checksum.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Flags: u8 {
        /// The checksum field holds only the sum of the pseudo-header, and the forwarder of the
        /// packet completes it from `csum_start`. A stack that receives it need not verify it.
        const NEEDS_CSUM = 1;
        /// The checksum has been verified.
        const DATA_VALID = 2;
    }
}

/// Whether the packet is a super-segment, and how to split it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum GsoType {
    /// An ordinary packet.
    #[default]
    None = 0,
    /// A TCP segment in IPv4.
    TcpV4 = 1,
    /// A TCP segment in IPv6.
    TcpV6 = 4,
    /// Equal UDP datagrams, of either family. To emit only: a device delivers them only when asked,
    /// and [`Header::parse`] refuses them.
    Udp = 5,
}

/// Bit of the type byte: the segment carries CWR, which belongs in its first piece only.
const ECN: u8 = 0x80;

/// The header, of 10 bytes, or of 12 if the device counts merged buffers.
///
/// Its words are in the machine's byte order, the default of a TUN device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Header {
    /// The state of the checksum.
    pub flags: Flags,
    /// How to split the packet.
    pub gso_type: GsoType,
    /// Whether the CWR of the super-segment belongs in its first piece only.
    pub ecn: bool,
    /// Length in bytes of all headers of a super-segment; a hint.
    pub hdr_len: u16,
    /// Maximum number of payload bytes in a piece.
    pub gso_size: u16,
    /// Start of the bytes that the checksum covers, counted from the IP header.
    pub csum_start: u16,
    /// Offset of the checksum field, counted from `csum_start`.
    pub csum_offset: u16,
    /// Number of buffers that the packet spans, if the header has 12 bytes.
    pub num_buffers: Option<u16>,
}

impl Header {
    /// Length in bytes without the count of buffers.
    pub const LEN: usize = 10;
    /// Length in bytes with the count of buffers.
    pub const LEN_WITH_BUFFERS: usize = 12;

    /// Reads `bytes`, exactly the header, whose length tells which of the two forms it has. Unknown
    /// flags are dropped.
    ///
    /// # Errors
    /// [`HeaderLength`](ParseError::HeaderLength) when `bytes` are neither 10 nor 12,
    /// [`GsoType`](ParseError::GsoType) for a kind of segmentation that was not requested.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let (header, num_buffers) = match bytes.split_first_chunk::<{ Self::LEN }>() {
            Some((header, [])) => (header, None),
            Some((header, [a, b])) => (header, Some(u16::from_ne_bytes([*a, *b]))),
            _ => return Err(ParseError::HeaderLength),
        };
        Ok(Self {
            flags: Flags::from_bits_truncate(header[0]),
            gso_type: match header[1] & !ECN {
                0 => GsoType::None,
                1 => GsoType::TcpV4,
                4 => GsoType::TcpV6,
                _ => return Err(ParseError::GsoType),
            },
            ecn: header[1] & ECN != 0,
            hdr_len: u16::from_ne_bytes(header.field::<2, 2>()),
            gso_size: u16::from_ne_bytes(header.field::<4, 2>()),
            csum_start: u16::from_ne_bytes(header.field::<6, 2>()),
            csum_offset: u16::from_ne_bytes(header.field::<8, 2>()),
            num_buffers,
        })
    }

    /// Length in bytes: 10, or 12 with [`num_buffers`](Self::num_buffers).
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(&self) -> usize {
        if self.num_buffers.is_some() {
            Self::LEN_WITH_BUFFERS
        } else {
            Self::LEN
        }
    }

    /// Writes the header to the first [`len`](Self::len) bytes of `buf`.
    ///
    /// # Panics
    /// If `buf` is shorter than that.
    pub fn emit(&self, buf: &mut [u8]) {
        let (header, rest) = room::<{ Self::LEN }>(buf);
        header[0] = self.flags.bits();
        header[1] = self.gso_type as u8 | if self.ecn { ECN } else { 0 };
        header.put::<2, 2>(self.hdr_len.to_ne_bytes());
        header.put::<4, 2>(self.gso_size.to_ne_bytes());
        header.put::<6, 2>(self.csum_start.to_ne_bytes());
        header.put::<8, 2>(self.csum_offset.to_ne_bytes());
        if let Some(buffers) = self.num_buffers {
            *room(rest).0 = buffers.to_ne_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_super_segment_of_linux() {
        let mut bytes = vec![1, 0x81];
        bytes.extend(
            [54_u16, 1448, 20, 16]
                .iter()
                .flat_map(|word| word.to_ne_bytes()),
        );
        let header = Header::parse(&bytes).unwrap();
        let expected = Header {
            flags: Flags::NEEDS_CSUM,
            gso_type: GsoType::TcpV4,
            ecn: true,
            hdr_len: 54,
            gso_size: 1448,
            csum_start: 20,
            csum_offset: 16,
            num_buffers: None,
        };
        assert_eq!(header, expected);
    }

    #[test]
    fn other_lengths_and_segmentations_are_refused() {
        assert_eq!(Header::parse(&[0; 9]), Err(ParseError::HeaderLength));
        assert_eq!(Header::parse(&[0; 11]), Err(ParseError::HeaderLength));
        let mut udp = [0; 10];
        for kind in [3, GsoType::Udp as u8] {
            udp[1] = kind;
            assert_eq!(Header::parse(&udp), Err(ParseError::GsoType));
        }
    }

    proptest! {
        #[test]
        fn emit_then_parse(
            flags in (0_u8..4).prop_map(Flags::from_bits_truncate),
            gso_type in prop::sample::select(vec![GsoType::None, GsoType::TcpV4, GsoType::TcpV6]),
            words: [u16; 4],
            ecn: bool,
            num_buffers: Option<u16>,
        ) {
            let [hdr_len, gso_size, csum_start, csum_offset] = words;
            let header =
                Header { flags, gso_type, ecn, hdr_len, gso_size, csum_start, csum_offset, num_buffers };
            let mut bytes = vec![0xAA; header.len()];
            header.emit(&mut bytes);
            prop_assert_eq!(Header::parse(&bytes), Ok(header));
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..16)) {
            let _ = Header::parse(&bytes);
        }
    }
}

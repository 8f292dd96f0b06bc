//! The UDP header (RFC 768): [`View`] to read, [`Header`] to emit.

use std::net::IpAddr;

use crate::checksum::{self, Sum};
use crate::field::{Fields, room};
use crate::{ParseError, ip};

/// Length of the header, in bytes.
pub const HEADER_LEN: usize = 8;

/// Offset of the checksum in the header.
pub const CHECKSUM_OFFSET: usize = 6;

/// A checked UDP datagram.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    header: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
    /// Header and payload, without bytes after the datagram's length.
    datagram: &'a [u8],
}

impl<'a> View<'a> {
    /// Checks the length of the datagram at the beginning of `bytes`, the payload of an IP packet.
    /// Bytes after the datagram are dropped.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) below 8 bytes, and
    /// [`TotalLength`](ParseError::TotalLength) when the length field is less than 8, or more than
    /// the available bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let header = bytes
            .first_chunk::<HEADER_LEN>()
            .ok_or(ParseError::Truncated)?;
        let length = usize::from(header.be16::<4>());
        let datagram = bytes.get(..length).ok_or(ParseError::TotalLength)?;
        let payload = datagram.get(HEADER_LEN..).ok_or(ParseError::TotalLength)?;
        Ok(Self {
            header,
            payload,
            datagram,
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

    /// The payload of the datagram.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Whether the checksum is correct for a datagram from `src` to `dst`. Over IPv4 a sender may
    /// omit it (RFC 768); over IPv6 it must not (RFC 8200 8.1).
    #[must_use]
    pub fn checksum_ok(&self, src: IpAddr, dst: IpAddr) -> bool {
        if self.header.be16::<6>() == 0 {
            return src.is_ipv4();
        }
        let length = self.datagram.len() as u32;
        let mut sum = checksum::pseudo_header(src, dst, ip::UDP, length);
        sum.add(self.datagram);
        checksum::is_valid(sum)
    }
}

/// A UDP header to emit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// The source port.
    pub src_port: u16,
    /// The destination port.
    pub dst_port: u16,
    /// Length of the datagram in bytes: of the header and the payload.
    pub length: u16,
}

impl Header {
    /// Writes the header to the first [`HEADER_LEN`] bytes of `buf`, with zero in the checksum
    /// field, which [`fill_checksum`](Self::fill_checksum) or the device completes afterwards.
    ///
    /// # Panics
    /// If `buf` is shorter than the header.
    pub fn emit(&self, buf: &mut [u8]) {
        let (header, _) = room::<HEADER_LEN>(buf);
        header.put::<0, 2>(self.src_port.to_be_bytes());
        header.put::<2, 2>(self.dst_port.to_be_bytes());
        header.put::<4, 2>(self.length.to_be_bytes());
        header.put::<CHECKSUM_OFFSET, 2>([0; 2]);
    }

    /// Completes the checksum field of an emitted header; `rest` is the sum over the pseudo-header
    /// and the payload. A checksum of zero is sent as 0xFFFF, because zero means that there is none
    /// (RFC 768).
    ///
    /// # Panics
    /// If `header` is shorter than 8 bytes.
    pub fn fill_checksum(header: &mut [u8], rest: Sum) {
        let (header, _) = room::<HEADER_LEN>(header);
        // A separate sum, because `rest` may end at an odd byte.
        let mut sum = Sum::new();
        sum.add(header);
        sum.add_u16(rest.fold());
        let checksum = match sum.finish() {
            0 => 0xFFFF,
            checksum => checksum,
        };
        header.put::<CHECKSUM_OFFSET, 2>(checksum.to_be_bytes());
    }

    /// Puts the sum over the pseudo-header into the checksum field of an emitted header, for a
    /// device that adds the header and the payload and completes it.
    ///
    /// # Panics
    /// If `header` is shorter than 8 bytes.
    pub fn begin_checksum(header: &mut [u8], pseudo_header: Sum) {
        let (header, _) = room::<HEADER_LEN>(header);
        header.put::<CHECKSUM_OFFSET, 2>(pseudo_header.fold().to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From 10.0.0.2:1111 to 10.0.0.1:53, four bytes.
    const DATAGRAM: [u8; 12] = [0x04, 0x57, 0, 53, 0, 12, 0x0E, 0x85, b'd', b'a', b't', b'a'];

    fn ends() -> (IpAddr, IpAddr) {
        ([10, 0, 0, 2].into(), [10, 0, 0, 1].into())
    }

    #[test]
    fn the_length_field_decides_what_is_read() {
        let padded = [&DATAGRAM[..], &[0; 6]].concat();
        let view = View::parse(&padded).unwrap();
        assert_eq!((view.src_port(), view.dst_port()), (1111, 53));
        assert_eq!(view.payload(), b"data");
        for (length, error) in [(7, ParseError::Truncated), (11, ParseError::TotalLength)] {
            assert_eq!(View::parse(&DATAGRAM[..length]).err(), Some(error));
        }
        let mut short = DATAGRAM;
        short[5] = 7;
        assert_eq!(View::parse(&short).err(), Some(ParseError::TotalLength));
    }

    #[test]
    fn a_checksum_holds_or_is_left_out_over_ipv4() {
        let (src, dst) = ends();
        let view = |bytes: &[u8; 12]| View::parse(bytes).map(|view| view.checksum_ok(src, dst));
        assert_eq!(view(&DATAGRAM), Ok(true));
        let mut wrong = DATAGRAM;
        wrong[11] ^= 1;
        assert_eq!(view(&wrong), Ok(false));
        wrong[6..8].fill(0);
        assert_eq!(view(&wrong), Ok(true));
        let v6 = ("fd00::2".parse().unwrap(), "fd00::1".parse().unwrap());
        assert!(!View::parse(&wrong).unwrap().checksum_ok(v6.0, v6.1));
    }

    #[test]
    fn an_emitted_datagram_is_the_parsed_one() {
        let (src, dst) = ends();
        let mut bytes = DATAGRAM;
        bytes[..HEADER_LEN].fill(0xFF);
        let header = Header {
            src_port: 1111,
            dst_port: 53,
            length: 12,
        };
        header.emit(&mut bytes);
        let mut sum = checksum::pseudo_header(src, dst, ip::UDP, 12);
        sum.add(b"data");
        Header::fill_checksum(&mut bytes, sum);
        assert_eq!(bytes, DATAGRAM);
    }

    /// RFC 768: zero means that there is no checksum.
    #[test]
    fn a_checksum_of_zero_is_sent_as_its_other_form() {
        let (src, dst) = ends();
        let header = Header {
            src_port: 1,
            dst_port: 2,
            length: 10,
        };
        let mut seen = false;
        for word in 0..=u16::MAX {
            let payload = word.to_be_bytes();
            let mut bytes = [0; HEADER_LEN + 2];
            header.emit(&mut bytes);
            bytes[HEADER_LEN..].copy_from_slice(&payload);
            let mut sum = checksum::pseudo_header(src, dst, ip::UDP, 10);
            sum.add(&payload);
            Header::fill_checksum(&mut bytes, sum);
            assert_ne!(bytes[CHECKSUM_OFFSET..HEADER_LEN], [0, 0]);
            seen |= bytes[CHECKSUM_OFFSET..HEADER_LEN] == [0xFF, 0xFF];
            assert!(View::parse(&bytes).unwrap().checksum_ok(src, dst));
        }
        assert!(seen);
    }
}

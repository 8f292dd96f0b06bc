//! The UDP header (RFC 768): enough to recognise a valid datagram.

use std::net::IpAddr;

use crate::field::Fields;
use crate::{ParseError, checksum, ip};

/// Length of the header, in bytes.
pub const HEADER_LEN: usize = 8;

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
}

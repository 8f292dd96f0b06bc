//! Packets whose IP header has only its fixed part: those that are merged and split.

use crate::field::Fields;
use crate::{ipv4, ipv6};

/// An IP header without options or extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PlainIp<'a> {
    V4(&'a [u8; ipv4::HEADER_LEN]),
    V6(&'a [u8; ipv6::HEADER_LEN]),
}

impl<'a> PlainIp<'a> {
    /// Splits the header off `packet`; `None` if it has options or extensions, or is truncated.
    pub(crate) fn split(packet: &'a [u8]) -> Option<(Self, &'a [u8])> {
        match packet.first()? {
            0x45 => {
                let (header, rest) = packet.split_first_chunk()?;
                Some((Self::V4(header), rest))
            }
            byte if byte >> 4 == 6 => {
                let (header, rest) = packet.split_first_chunk()?;
                Some((Self::V6(header), rest))
            }
            _ => None,
        }
    }

    pub(crate) fn len(self) -> usize {
        match self {
            Self::V4(header) => header.len(),
            Self::V6(header) => header.len(),
        }
    }

    /// Both addresses, as the checksum of TCP covers them.
    pub(crate) fn addresses(self) -> &'a [u8] {
        match self {
            Self::V4(header) => &header[12..],
            Self::V6(header) => &header[8..],
        }
    }
}

/// A mutable IP header without options or extensions.
#[derive(Debug)]
pub(crate) enum PlainIpMut<'a> {
    V4(&'a mut [u8; ipv4::HEADER_LEN]),
    V6(&'a mut [u8; ipv6::HEADER_LEN]),
}

impl<'a> PlainIpMut<'a> {
    /// As [`PlainIp::split`].
    pub(crate) fn split(packet: &'a mut [u8]) -> Option<(Self, &'a mut [u8])> {
        match packet.first()? {
            0x45 => {
                let (header, rest) = packet.split_first_chunk_mut()?;
                Some((Self::V4(header), rest))
            }
            byte if byte >> 4 == 6 => {
                let (header, rest) = packet.split_first_chunk_mut()?;
                Some((Self::V6(header), rest))
            }
            _ => None,
        }
    }

    /// Turns it into the header for `len` bytes of payload, as packet number `index` of those that
    /// share its identification, and completes its checksum, if the family has these fields.
    pub(crate) fn renew(&mut self, len: usize, index: u16) {
        match self {
            Self::V4(header) => {
                let ident = header.be16::<4>().wrapping_add(index);
                let total_len = len.saturating_add(header.len()) as u16;
                header.put::<2, 2>(total_len.to_be_bytes());
                header.put::<4, 2>(ident.to_be_bytes());
                ipv4::fill_checksum(header);
            }
            Self::V6(header) => header.put::<4, 2>((len as u16).to_be_bytes()),
        }
    }

    pub(crate) fn as_ref(&self) -> PlainIp<'_> {
        match self {
            Self::V4(header) => PlainIp::V4(header),
            Self::V6(header) => PlainIp::V6(header),
        }
    }
}

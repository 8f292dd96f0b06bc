//! Transmit offload in software: a TCP super-segment is split into packets (as by Linux's GSO).

use std::ops::Range;

use crate::field::{Fields, room};
use crate::plain::{PlainIp, PlainIpMut};
use crate::tcp::Flags;
use crate::{SeqNum, checksum, ip, tcp};

/// Offsets of the fields in a TCP header.
const SEQ: usize = 4;
const FLAGS: usize = 13;

/// A super-segment that is being split: [`next_range`](Self::next_range) returns the next part of
/// the payload, [`write_header`](Self::write_header) writes the headers for it.
#[derive(Clone, Debug)]
pub struct Cut {
    header: [u8; Self::MAX_HEADER],
    header_len: usize,
    payload_len: usize,
    size: usize,
    /// The current piece.
    piece: Range<usize>,
    count: u16,
}

impl Cut {
    /// Length in bytes of the longest IP and TCP headers.
    pub const MAX_HEADER: usize = 40 + 60;

    /// Splits a segment with `payload_len` bytes of payload into packets with `size` bytes of
    /// payload each; a segment without payload is one packet. `None` if `header` is not an IP
    /// header without options or extensions followed by the TCP header that belongs to it.
    #[must_use]
    pub fn new(header: &[u8], payload_len: usize, size: usize) -> Option<Self> {
        let (_, tcp) = PlainIp::split(header)?;
        if tcp::View::parse(tcp).ok()?.header_len() != tcp.len() {
            return None;
        }
        let mut template = [0; Self::MAX_HEADER];
        template.get_mut(..header.len())?.copy_from_slice(header);
        Some(Self {
            header: template,
            header_len: header.len(),
            payload_len,
            size: size.max(1),
            piece: 0..0,
            count: 0,
        })
    }

    /// The part of the payload for the next packet; `None` after the last.
    pub fn next_range(&mut self) -> Option<Range<usize>> {
        let start = self.piece.end;
        if start >= self.payload_len && self.count > 0 {
            return None;
        }
        self.piece = start..start.saturating_add(self.size).min(self.payload_len);
        self.count = self.count.saturating_add(1);
        Some(self.piece.clone())
    }

    /// Writes the headers of the packet with the current piece, and returns their length in bytes.
    /// `payload` is the sum over that piece. FIN and PSH are set in the last packet, CWR in the
    /// first (RFC 3168 6.1.2); the IPv4 identification is incremented.
    ///
    /// # Panics
    /// If `out` is shorter than [`MAX_HEADER`](Self::MAX_HEADER).
    pub fn write_header(&self, out: &mut [u8], payload: checksum::Sum) -> usize {
        let (out, _) = room::<{ Self::MAX_HEADER }>(out);
        *out = self.header;
        let header = out.get_mut(..self.header_len).unwrap_or_default();
        let Some((mut ip, tcp)) = PlainIpMut::split(header) else {
            return 0;
        };
        let segment_len = tcp.len().saturating_add(self.piece.len());
        ip.renew(segment_len, self.count.saturating_sub(1));
        if let Some(fixed) = tcp.first_chunk_mut() {
            self.renew_tcp(fixed);
        }
        let mut sum = checksum::Sum::new();
        sum.add(ip.as_ref().addresses());
        sum.add_u16(u16::from(ip::TCP));
        sum.add_u32(segment_len as u32);
        sum.add_u16(payload.fold());
        tcp::Header::fill_checksum(tcp, sum);
        self.header_len
    }

    /// Turns a copy of the first packet's TCP header into that of the current piece, except for its
    /// checksum.
    fn renew_tcp(&self, header: &mut [u8; tcp::MIN_HEADER_LEN]) {
        let seq = SeqNum::new(header.be32::<SEQ>()) + self.piece.start as u32;
        header.put::<SEQ, 4>(seq.raw().to_be_bytes());
        if self.piece.end < self.payload_len {
            header[FLAGS] &= !(Flags::FIN | Flags::PSH).bits();
        }
        if self.piece.start > 0 {
            header[FLAGS] &= !Flags::CWR.bits();
        }
        header.put::<{ tcp::CHECKSUM_OFFSET }, 2>([0; 2]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{tcp_packet, v4};

    fn flags(cut: &Cut) -> Flags {
        let mut header = [0; Cut::MAX_HEADER];
        cut.write_header(&mut header, checksum::Sum::new());
        Flags::from_bits_retain(header[crate::ipv4::HEADER_LEN + FLAGS])
    }

    #[test]
    fn flags_go_where_they_belong() {
        let header = tcp::Header {
            flags: Flags::ACK | Flags::PSH | Flags::FIN | Flags::CWR,
            ..tcp::Header::default()
        };
        let packet = tcp_packet(v4(1), v4(2), &header, &[]);
        let mut cut = Cut::new(&packet, 2500, 1000).expect("a TCP packet");
        assert_eq!(cut.next_range(), Some(0..1000));
        assert_eq!(flags(&cut), Flags::ACK | Flags::CWR);
        assert_eq!(cut.next_range(), Some(1000..2000));
        assert_eq!(flags(&cut), Flags::ACK);
        assert_eq!(cut.next_range(), Some(2000..2500));
        assert_eq!(flags(&cut), Flags::ACK | Flags::PSH | Flags::FIN);
        assert_eq!(cut.next_range(), None);
    }

    #[test]
    fn a_segment_without_payload_is_one_packet() {
        let packet = tcp_packet(v4(1), v4(2), &tcp::Header::default(), &[]);
        let mut cut = Cut::new(&packet, 0, 1000).expect("a TCP packet");
        assert_eq!(cut.next_range(), Some(0..0));
        let mut header = [0; Cut::MAX_HEADER];
        let len = cut.write_header(&mut header, checksum::Sum::new());
        assert_eq!(header[..len], packet[..]);
        assert_eq!(cut.next_range(), None);
    }
}

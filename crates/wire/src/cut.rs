//! Transmit offload in software: a TCP super-segment cut into packets (as Linux's GSO does).

use std::ops::Range;

use crate::coalesce::{ip_header_len, set_v4_len};
use crate::field::{be16, be32, put};
use crate::tcp::Flags;
use crate::{checksum, ip, tcp};

const V4_LEN: usize = 20;
/// Where the fields are in a TCP header.
const SEQ: usize = 4;
const FLAGS: usize = 13;
const CHECKSUM: usize = 16;

/// A super-segment that is being cut: [`next_range`](Self::next_range) says which part of the payload comes next,
/// [`write_header`](Self::write_header) writes what goes before it.
#[derive(Clone, Debug)]
pub struct Cut {
    ip_len: usize,
    header: [u8; Self::MAX_HEADER],
    header_len: usize,
    payload_len: usize,
    size: usize,
    /// The piece at hand.
    piece: Range<usize>,
    count: u16,
}

impl Cut {
    /// Bytes of the longest IP and TCP headers.
    pub const MAX_HEADER: usize = 40 + 60;

    /// Cuts a segment with `payload_len` bytes of payload into packets of `size` bytes of it each; a segment
    /// without payload is one packet. `None` if `header` is not an IP header without options or
    /// extensions and the TCP header that belongs to it.
    #[must_use]
    pub fn new(header: &[u8], payload_len: usize, size: usize) -> Option<Self> {
        let ip_len = ip_header_len(header)?;
        let segment = tcp::View::parse(&header[ip_len..]).ok()?;
        if ip_len + segment.header_len() != header.len() {
            return None;
        }
        let mut template = [0; Self::MAX_HEADER];
        template.get_mut(..header.len())?.copy_from_slice(header);
        Some(Self {
            ip_len,
            header: template,
            header_len: header.len(),
            payload_len,
            size: size.max(1),
            piece: 0..0,
            count: 0,
        })
    }

    /// The part of the payload that the next packet carries; `None` when all has been cut.
    pub fn next_range(&mut self) -> Option<Range<usize>> {
        let start = self.piece.end;
        if start >= self.payload_len && self.count > 0 {
            return None;
        }
        self.piece = start..(start + self.size).min(self.payload_len);
        self.count += 1;
        Some(self.piece.clone())
    }

    /// Writes the headers of the packet that carries the piece at hand, and returns their length in bytes.
    /// `payload` is the sum over that piece. FIN and PSH go with the last packet, CWR with the first
    /// (RFC 3168 6.1.2); IPv4's identification counts up.
    ///
    /// # Panics
    /// If `out` is shorter than [`MAX_HEADER`](Self::MAX_HEADER).
    pub fn write_header(&self, out: &mut [u8], payload: checksum::Sum) -> usize {
        let out = &mut out[..self.header_len];
        out.copy_from_slice(&self.header[..self.header_len]);
        let (ip, tcp) = out.split_at_mut(self.ip_len);
        let segment_len = tcp.len() + self.piece.len();
        let seq = be32(tcp, SEQ).wrapping_add(self.piece.start as u32);
        put(tcp, SEQ, seq.to_be_bytes());
        if self.piece.end < self.payload_len {
            tcp[FLAGS] &= !(Flags::FIN | Flags::PSH).bits();
        }
        if self.piece.start > 0 {
            tcp[FLAGS] &= !Flags::CWR.bits();
        }
        let addresses = if self.ip_len == V4_LEN {
            let ident = be16(ip, 4).wrapping_add(self.count - 1);
            put(ip, 4, ident.to_be_bytes());
            set_v4_len(ip, (self.ip_len + segment_len) as u16);
            12..20
        } else {
            put(ip, 4, (segment_len as u16).to_be_bytes());
            8..40
        };
        put(tcp, CHECKSUM, [0; 2]);
        let mut sum = checksum::Sum::new();
        sum.add(&ip[addresses]);
        sum.add_u16(u16::from(ip::TCP));
        sum.add_u32(segment_len as u32);
        sum.add(tcp);
        sum.add_u16(payload.fold());
        put(tcp, CHECKSUM, sum.finish().to_be_bytes());
        self.header_len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{tcp_packet, v4};

    fn flags(cut: &Cut) -> Flags {
        let mut header = [0; Cut::MAX_HEADER];
        cut.write_header(&mut header, checksum::Sum::new());
        Flags::from_bits_retain(header[V4_LEN + FLAGS])
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

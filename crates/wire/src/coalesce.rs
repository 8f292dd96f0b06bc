//! Receive offload: consecutive TCP packets are merged into one (as by Linux's GRO).
//!
//! Packets are merged only without loss of information: all headers are equal except for lengths,
//! checksums, identification, sequence number and PSH, and the payloads are contiguous. The result
//! could have arrived in this form from a device that merges packets itself.

use crate::field::Fields;
use crate::plain::{PlainIp, PlainIpMut};
use crate::tcp::Flags;
use crate::{SeqNum, checksum, ip, ipv4, ipv6, tcp};

/// The first packet of a train, to which others may be appended.
#[derive(Clone, Copy, Debug)]
pub struct Train {
    ip_len: usize,
    header_len: usize,
    /// Length in bytes of the packet as merged so far.
    len: usize,
    next: SeqNum,
    push: bool,
    packets: u32,
}

impl Train {
    /// Maximum length of a merged packet in bytes: the limit of an IP header.
    pub const MAX_LEN: usize = 65_535;

    /// Begins a train with one packet, if others may continue it: a whole TCP segment with data,
    /// without IP options, fragmentation, or any flag other than ACK and PSH. Its TCP checksum is
    /// not verified.
    #[must_use]
    pub fn begin(packet: &[u8]) -> Option<Self> {
        let ip_len = PlainIp::split(packet)?.0.len();
        let view = ip::Packet::parse(packet).ok()?;
        if view.header_len() != ip_len || view.fragment().is_some() || view.protocol() != ip::TCP {
            return None;
        }
        let segment = tcp::View::parse(view.payload()).ok()?;
        let payload = segment.payload().len();
        let header_len = ip_len.saturating_add(segment.header_len());
        let plain = segment.flags() | Flags::PSH == Flags::ACK | Flags::PSH;
        if !plain || payload == 0 || header_len.saturating_add(payload) != packet.len() {
            return None;
        }
        Some(Self {
            ip_len,
            header_len,
            len: packet.len(),
            next: segment.seq() + payload as u32,
            push: segment.flags().contains(Flags::PSH),
            packets: 1,
        })
    }

    /// Length in bytes of the IP and TCP headers, equal for all packets of the train.
    #[must_use]
    pub fn header_len(&self) -> usize {
        self.header_len
    }

    /// Length in bytes of the packet if the train ended here.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a train is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Number of packets in the train.
    #[must_use]
    pub fn packets(&self) -> u32 {
        self.packets
    }

    /// Whether the packet made up of `header`, of [`header_len`](Self::header_len) bytes, and
    /// `payload` continues the train whose first header is `first`. The IPv4 header checksum is
    /// verified, the TCP checksum is not.
    #[must_use]
    pub fn is_continued_by(&self, first: &[u8], header: &[u8], payload: &[u8]) -> bool {
        if header.len() != self.header_len || payload.is_empty() {
            return false;
        }
        let first = first.get(..self.header_len).and_then(PlainIp::split);
        let (Some((first_ip, first_tcp)), Some((ip, tcp))) = (first, PlainIp::split(header)) else {
            return false;
        };
        let same_ip = match (first_ip, ip) {
            (PlainIp::V4(first), PlainIp::V4(ip)) => {
                same_v4(first, ip, header.len().saturating_add(payload.len()))
            }
            (PlainIp::V6(first), PlainIp::V6(ip)) => {
                same_v6(first, ip, tcp.len().saturating_add(payload.len()))
            }
            _ => false,
        };
        same_ip
            && self.len.saturating_add(payload.len()) <= Self::MAX_LEN
            && self.is_next_segment(first_tcp, tcp)
    }

    /// Compares all fields except PSH, the checksum and the urgent pointer, which has no meaning
    /// without URG.
    fn is_next_segment(&self, first: &[u8], segment: &[u8]) -> bool {
        let push = Flags::PSH.bits();
        let (Some((first, first_options)), Some((header, options))) =
            (fixed_part(first), fixed_part(segment))
        else {
            return false;
        };
        header[..4] == first[..4]
            && SeqNum::new(header.be32::<4>()) == self.next
            && header[8..13] == first[8..13]
            && header[13] | push == first[13] | push
            && header[14..16] == first[14..16]
            && options == first_options
    }

    /// Adds a packet that [continues](Self::is_continued_by) the train; the caller appends its
    /// payload to the payload of the train.
    pub fn append(&mut self, header: &[u8], payload_len: usize) {
        self.len = self.len.saturating_add(payload_len);
        self.next += payload_len as u32;
        self.packets = self.packets.saturating_add(1);
        let tcp = PlainIp::split(header).and_then(|(_, tcp)| fixed_part(tcp));
        self.push |= tcp.is_some_and(|(tcp, _)| tcp[13] & Flags::PSH.bits() != 0);
    }

    /// Turns the first packet, to which the payloads of the others have been appended, into the
    /// packet of the whole train: updates its length, PSH if any packet had it, and the IPv4
    /// checksum. The TCP checksum is not recomputed. A packet shorter than its headers is left
    /// unchanged.
    pub fn finish(&self, packet: &mut [u8]) {
        let Some((mut ip, tcp)) = PlainIpMut::split(packet) else {
            return;
        };
        ip.renew(self.len.saturating_sub(self.ip_len), 0);
        if self.push
            && let Some(tcp) = tcp.first_chunk_mut::<{ tcp::MIN_HEADER_LEN }>()
        {
            tcp[13] |= Flags::PSH.bits();
        }
    }
}

/// Whether the TCP checksum of the packet made up of `header` and `payload` is correct, where
/// `header` is an IP header without options or extensions and the TCP header (RFC 9293 MUST-3).
#[must_use]
pub fn checksum_ok(header: &[u8], payload: &[u8]) -> bool {
    let Some((ip, tcp)) = PlainIp::split(header) else {
        return false;
    };
    let mut sum = checksum::Sum::new();
    sum.add(ip.addresses());
    sum.add_u16(u16::from(ip::TCP));
    sum.add_u32(tcp.len().saturating_add(payload.len()) as u32);
    sum.add(tcp);
    sum.add(payload);
    checksum::is_valid(sum)
}

fn same_v4(first: &[u8; ipv4::HEADER_LEN], header: &[u8; ipv4::HEADER_LEN], total: usize) -> bool {
    let mut sum = checksum::Sum::new();
    sum.add(header);
    // Version, length of the header, type of service; fragmentation; TTL and protocol; addresses.
    header[..2] == first[..2]
        && usize::from(header.be16::<2>()) == total
        && header[6..10] == first[6..10]
        && header[12..] == first[12..]
        && checksum::is_valid(sum)
}

fn same_v6(
    first: &[u8; ipv6::HEADER_LEN],
    header: &[u8; ipv6::HEADER_LEN],
    payload: usize,
) -> bool {
    // Version, traffic class, flow label; next header and hop limit; addresses.
    header[..4] == first[..4]
        && usize::from(header.be16::<4>()) == payload
        && header[6..] == first[6..]
}

/// The fixed part of a TCP header, and the bytes after it.
fn fixed_part(segment: &[u8]) -> Option<(&[u8; tcp::MIN_HEADER_LEN], &[u8])> {
    segment.split_first_chunk()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cut::Cut;
    use crate::testing::{addresses, damaged_packet, tcp_header, tcp_packet};

    /// Splits a segment into packets, as a device would.
    fn pieces(packet: &[u8], header_len: usize, size: usize) -> Vec<Vec<u8>> {
        let mut cut =
            Cut::new(&packet[..header_len], packet.len() - header_len, size).expect("a TCP packet");
        let mut pieces = Vec::new();
        let payload = &packet[header_len..];
        let mut header = [0; 128];
        while let Some(range) = cut.next_range() {
            let mut sum = checksum::Sum::new();
            sum.add(&payload[range.clone()]);
            let len = cut.write_header(&mut header, sum);
            pieces.push([&header[..len], &payload[range]].concat());
        }
        pieces
    }

    proptest! {
        /// A split segment is merged into the original, and every piece is a valid packet by
        /// itself.
        #[test]
        fn merging_undoes_cutting(
            (src, dst) in addresses(),
            header in tcp_header(),
            push in any::<bool>(),
            payload in prop::collection::vec(any::<u8>(), 1..5000),
            size in 1_usize..1500,
        ) {
            let mut flags = Flags::ACK;
            flags.set(Flags::PSH, push);
            let header = tcp::Header { flags, urgent: 0, ..header };
            let packet = tcp_packet(src, dst, &header, &payload);
            let header_len = packet.len() - payload.len();
            let pieces = pieces(&packet, header_len, size);
            prop_assert_eq!(pieces.len(), payload.len().div_ceil(size));

            let mut train: Option<Train> = None;
            let mut merged = Vec::new();
            for piece in &pieces {
                let view = ip::Packet::parse(piece).expect("valid IP");
                let segment = tcp::View::parse(view.payload()).expect("valid TCP");
                prop_assert!(segment.checksum_ok(src, dst));
                let (head, rest) = piece.split_at(header_len);
                prop_assert!(checksum_ok(head, rest));
                match &mut train {
                    None => {
                        train = Train::begin(piece);
                        merged.clone_from(piece);
                    }
                    Some(train) => {
                        prop_assert!(train.is_continued_by(&merged, head, rest));
                        train.append(head, rest.len());
                        merged.extend(rest);
                    }
                }
            }
            let train = train.expect("a train");
            prop_assert_eq!((train.len(), train.packets() as usize), (packet.len(), pieces.len()));
            train.finish(&mut merged);
            // The TCP checksum is left unchanged.
            let field = header_len - header.len() + 16;
            merged[field..field + 2].copy_from_slice(&packet[field..field + 2]);
            prop_assert_eq!(merged, packet);
        }

        /// A packet with a difference in any significant bit does not continue the train.
        #[test]
        fn another_header_does_not_continue(
            (src, dst) in addresses(),
            header in tcp_header(),
            index in any::<prop::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let header = tcp::Header { flags: Flags::ACK, urgent: 0, ..header };
            let first = tcp_packet(src, dst, &header, b"some");
            let header_len = first.len() - 4;
            let train = Train::begin(&first).expect("a train");
            let second = tcp_packet(src, dst, &tcp::Header { seq: header.seq + 4, ..header }, b"more");
            let (head, rest) = second.split_at(header_len);
            prop_assert!(train.is_continued_by(&first, head, rest));

            let mut changed = head.to_vec();
            let at = index.index(header_len);
            changed[at] ^= 1 << bit;
            let tcp_at = at.checked_sub(header_len - header.len());
            // PSH; the TCP checksum, which is verified separately; the urgent pointer.
            let free = tcp_at == Some(13) && bit == 3 || tcp_at.is_some_and(|at| (16..20).contains(&at));
            prop_assert_eq!(train.is_continued_by(&first, &changed, rest), free);
            if tcp_at.is_some() {
                prop_assert!(!checksum_ok(&changed, rest));
            }
        }

        #[test]
        fn any_bytes_are_survived(packet in damaged_packet(), other in damaged_packet()) {
            if let Some(train) = Train::begin(&packet) {
                let (head, rest) = other.split_at(train.header_len().min(other.len()));
                let _ = train.is_continued_by(&packet, head, rest);
            }
            let _ = checksum_ok(&packet, &other);
        }
    }

    #[test]
    fn a_gap_and_too_much_end_a_train() {
        let (src, dst) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let header = tcp::Header {
            flags: Flags::ACK,
            ..tcp::Header::default()
        };
        let first = tcp_packet(src, dst, &header, &[0; 60_000]);
        let train = Train::begin(&first).expect("a train");
        let at = |seq: u32, len: usize| {
            let seq = SeqNum::new(seq);
            let second = tcp_packet(src, dst, &tcp::Header { seq, ..header }, &vec![0; len]);
            let (head, rest) = second.split_at(train.header_len());
            train.is_continued_by(&first, head, rest)
        };
        assert!(at(60_000, 5000));
        assert!(
            !at(59_999, 5000) && !at(60_001, 5000),
            "a gap or an overlap"
        );
        assert!(!at(60_000, 6000), "longer than an IP packet");
    }
}

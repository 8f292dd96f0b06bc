//! Packets for the tests of all modules.

use std::net::IpAddr;

use proptest::prelude::*;

use crate::tcp::{Flags, Options, SackBlock, SackBlocks, Timestamps};
use crate::{SeqNum, checksum, ip, tcp};

/// A whole packet of `header` and `payload`, including checksums.
pub(crate) fn tcp_packet(
    src: IpAddr,
    dst: IpAddr,
    header: &tcp::Header,
    payload: &[u8],
) -> Vec<u8> {
    let mut segment = vec![0; header.len()];
    header.emit(&mut segment);
    let len = (header.len() + payload.len()) as u32;
    let mut sum = checksum::pseudo_header(src, dst, ip::TCP, len);
    sum.add(payload);
    tcp::Header::fill_checksum(&mut segment, sum);
    segment.extend(payload);
    ip_packet(&ip::Header::new(src, dst, ip::TCP), &segment)
}

/// A whole packet of `header` and `payload`; the header's length is set.
pub(crate) fn ip_packet(header: &ip::Header, payload: &[u8]) -> Vec<u8> {
    let header = ip::Header {
        payload_len: payload.len(),
        ..*header
    };
    let mut packet = vec![0; header.len()];
    header.emit(&mut packet);
    packet.extend(payload);
    packet
}

pub(crate) fn v4(last: u8) -> IpAddr {
    [10, 0, 0, last].into()
}

pub(crate) fn v6(last: u16) -> IpAddr {
    [0xfd00, 0, 0, 0, 0, 0, 0, last].into()
}

/// Two addresses of one family.
pub(crate) fn addresses() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    prop_oneof![
        any::<([u8; 4], [u8; 4])>().prop_map(|(src, dst)| (src.into(), dst.into())),
        any::<([u8; 16], [u8; 16])>().prop_map(|(src, dst)| (src.into(), dst.into())),
    ]
}

pub(crate) fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..=max)
}

/// A header whose protocol is not an IPv6 extension header.
pub(crate) fn ip_header() -> impl Strategy<Value = ip::Header> {
    let protocol = prop_oneof![
        prop::sample::select(vec![ip::ICMP, ip::TCP, ip::UDP, ip::ICMPV6]),
        61..=132_u8,
    ];
    let rest = any::<(u8, u8, u16, bool)>();
    (addresses(), protocol, rest).prop_map(
        |((src, dst), protocol, (tos, hop_limit, ident, dont_fragment))| ip::Header {
            src,
            dst,
            protocol,
            tos,
            hop_limit,
            ident,
            dont_fragment,
            payload_len: 0,
        },
    )
}

pub(crate) fn tcp_header() -> impl Strategy<Value = tcp::Header> {
    let options = any::<(Option<u16>, Option<u8>, bool, Option<(u32, u32)>)>();
    let blocks = prop::collection::vec(any::<(u32, u32)>(), 0..=SackBlocks::MAX);
    (
        any::<(u16, u16, u32, u32)>(),
        any::<(u8, u16, u16)>(),
        options,
        blocks,
    )
        .prop_map(
            |((src_port, dst_port, seq, ack), (flags, window, urgent), options, blocks)| {
                let (mss, window_scale, sack_permitted, timestamps) = options;
                tcp::Header {
                    src_port,
                    dst_port,
                    seq: SeqNum::new(seq),
                    ack: SeqNum::new(ack),
                    flags: Flags::from_bits_retain(flags),
                    window,
                    urgent,
                    options: Options {
                        mss,
                        window_scale,
                        sack_permitted,
                        timestamps: timestamps.map(|(value, echo)| Timestamps { value, echo }),
                        sack: sack_blocks(blocks),
                        malformed: false,
                    },
                }
            },
        )
}

pub(crate) fn sack_blocks(blocks: impl IntoIterator<Item = (u32, u32)>) -> SackBlocks {
    let mut sack = SackBlocks::default();
    for (left, right) in blocks {
        let block = SackBlock {
            left: SeqNum::new(left),
            right: SeqNum::new(right),
        };
        assert!(sack.push(block), "more than four blocks");
    }
    sack
}

/// A packet of TCP, ICMP or another protocol, with some of its bytes changed and possibly
/// truncated: it reaches deeper into the parsers than random bytes.
pub(crate) fn damaged_packet() -> impl Strategy<Value = Vec<u8>> {
    let tcp = (addresses(), tcp_header(), bytes(40))
        .prop_map(|((src, dst), header, payload)| tcp_packet(src, dst, &header, &payload));
    let protocols = vec![0, ip::ICMP, ip::TCP, ip::UDP, 43, 44, ip::ICMPV6, 60];
    let other = (ip_header(), prop::sample::select(protocols), bytes(120)).prop_map(
        |(header, protocol, payload)| ip_packet(&ip::Header { protocol, ..header }, &payload),
    );
    let changes = prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..6);
    (
        prop_oneof![tcp, other],
        changes,
        any::<Option<prop::sample::Index>>(),
    )
        .prop_map(|(mut packet, changes, cut)| {
            for (index, byte) in changes {
                let index = index.index(packet.len());
                packet[index] = byte;
            }
            if let Some(cut) = cut {
                packet.truncate(cut.index(packet.len() + 1));
            }
            packet
        })
}

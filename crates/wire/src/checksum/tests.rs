use proptest::prelude::*;

use super::*;
use crate::tcp;
use crate::testing::{addresses, bytes, tcp_packet, v4, v6};

/// The definition, word by word (RFC 1071 1).
fn naive(bytes: &[u8]) -> u16 {
    let mut sum = 0_u64;
    for pair in bytes.chunks(2) {
        let low = pair.get(1).copied().unwrap_or(0);
        sum += u64::from(u16::from_be_bytes([pair[0], low]));
    }
    while sum > 0xFFFF {
        sum = (sum >> 16) + (sum & 0xFFFF);
    }
    sum as u16
}

fn sum_of(bytes: &[u8]) -> Sum {
    let mut sum = Sum::new();
    sum.add(bytes);
    sum
}

/// RFC 1071 3.
#[test]
fn example_of_rfc_1071() {
    let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(sum_of(&bytes).fold(), 0xddf2);
    assert_eq!(sum_of(&bytes).finish(), 0x220d);
}

#[test]
fn example_of_rfc_1624() {
    // Section 4: the old equation gave 0xFFFF here.
    assert_eq!(update(0xDD2F, 0x5555, 0x3285), 0x0000);
}

#[test]
fn an_ipv4_header_from_the_books() {
    let mut header = [
        0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0x00, 0x01,
        0xc0, 0xa8, 0x00, 0xc7,
    ];
    assert_eq!(sum_of(&header).finish(), 0xb861);
    header[10..12].copy_from_slice(&0xb861_u16.to_be_bytes());
    assert!(is_valid(sum_of(&header)));
}

/// RFC 9293 MUST-2.
#[test]
fn every_length_agrees_with_the_definition() {
    let bytes: Vec<u8> = (0..400_u32).map(|i| (i * 151 + 77) as u8).collect();
    for len in 0..bytes.len() {
        assert_eq!(
            sum_of(&bytes[..len]).fold(),
            naive(&bytes[..len]),
            "{len} bytes"
        );
    }
}

#[test]
fn the_largest_sums_do_not_overflow() {
    let bytes = vec![0xFF; 1 << 20];
    assert_eq!(sum_of(&bytes).fold(), 0xFFFF);
    let mut sum = Sum::new();
    for _ in 0..100 {
        sum.add(&bytes[..65_535]);
        sum.add_u32(u32::MAX);
    }
    assert_eq!(sum.fold(), 0xFFFF);
    assert_eq!(Sum::new().fold(), 0);
}

/// A peer that recomputes and compares refuses this segment for ever.
#[test]
fn a_checksum_of_ffff_is_accepted_where_the_sum_leaves_0000() {
    for (src, dst) in [(v4(1), v4(2)), (v6(1), v6(2))] {
        let header = tcp::Header {
            window: 1000,
            ..tcp::Header::default()
        };
        let packet = tcp_packet(src, dst, &header, b"0123");
        let mut segment = crate::ip::Packet::parse(&packet)
            .unwrap()
            .payload()
            .to_vec();
        // The urgent pointer takes the value that compensates for the checksum.
        let checksum = [segment[16], segment[17]];
        segment[18..20].copy_from_slice(&checksum);
        let accepted = |segment: &[u8], field: u16| {
            let mut segment = segment.to_vec();
            segment[16..18].copy_from_slice(&field.to_be_bytes());
            tcp::View::parse(&segment).unwrap().checksum_ok(src, dst)
        };
        assert!(accepted(&segment, 0x0000));
        assert!(accepted(&segment, 0xFFFF));
        assert!(!accepted(&segment, 0x0001));
        assert!(!accepted(&segment, 0xFFFE));
    }
}

proptest! {
    #[test]
    fn any_bytes_agree_with_the_definition(bytes in bytes(3000)) {
        prop_assert_eq!(sum_of(&bytes).fold(), naive(&bytes));
    }

    /// RFC 1071 2.
    #[test]
    fn slices_may_break_anywhere(slices in prop::collection::vec(bytes(200), 0..8), words: [u16; 3]) {
        let mut sum = Sum::new();
        for slice in &slices {
            sum.add(slice);
            // Words of a header may be added in between.
            sum.add_u16(words[0]);
            sum.add_u32(u32::from(words[1]) << 16 | u32::from(words[2]));
        }
        let mut whole = slices.concat();
        if whole.len() % 2 == 1 {
            whole.push(0);
        }
        for _ in &slices {
            whole.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        }
        prop_assert_eq!(sum.fold(), naive(&whole));
    }

    #[test]
    fn the_pseudo_header_agrees_with_the_definition(
        (src, dst) in addresses(),
        protocol: u8,
        len: u32,
        payload in bytes(50),
    ) {
        // RFC 8200 8.1. For IPv4 the length has 16 bits, and the protocol with a zero byte another
        // 16, which gives the same sum.
        let mut whole = match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => [src.octets(), dst.octets()].concat(),
            (IpAddr::V6(src), IpAddr::V6(dst)) => [src.octets(), dst.octets()].concat(),
            _ => unreachable!("addresses of two families"),
        };
        whole.extend(len.to_be_bytes());
        whole.extend([0, 0, 0, protocol]);
        whole.extend(&payload);
        let mut sum = pseudo_header(src, dst, protocol, len);
        sum.add(&payload);
        prop_assert_eq!(sum.fold(), naive(&whole));
    }

    #[test]
    fn an_update_is_as_good_as_a_new_sum(
        mut bytes in prop::collection::vec(any::<u8>(), 60),
        word in 0..30_usize,
        new: u16,
    ) {
        let field = word * 2..word * 2 + 2;
        let old = u16::from_be_bytes([bytes[word * 2], bytes[word * 2 + 1]]);
        let updated = update(sum_of(&bytes).finish(), old, new);
        bytes[field].copy_from_slice(&new.to_be_bytes());
        let mut sum = sum_of(&bytes);
        sum.add_u16(updated);
        prop_assert!(is_valid(sum));
    }

    #[test]
    fn a_changed_byte_is_noticed(mut bytes in prop::collection::vec(any::<u8>(), 1..300), index: prop::sample::Index, flip in 1_u8..) {
        let mut sum = sum_of(&bytes);
        let checksum = sum.finish();
        sum.add_u16(checksum);
        prop_assert!(is_valid(sum));
        let index = index.index(bytes.len());
        bytes[index] ^= flip;
        let mut damaged = sum_of(&bytes);
        damaged.add_u16(checksum);
        prop_assert!(!is_valid(damaged));
    }
}

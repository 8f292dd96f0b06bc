use etherparse::{IpSlice, LaxIpSlice};
use proptest::prelude::*;

use super::*;
use crate::checksum::Sum;
use crate::testing::{bytes, damaged_packet, ip_header, ip_packet, v4, v6};

/// An IPv4 packet with `header`, of at least 20 bytes, whose length fields and checksum are filled
/// in.
fn v4_packet(mut header: Vec<u8>, payload: &[u8]) -> Vec<u8> {
    header[0] = 0x40 | (header.len() / 4) as u8;
    let total = (header.len() + payload.len()) as u16;
    header[2..4].copy_from_slice(&total.to_be_bytes());
    header[10..12].copy_from_slice(&[0; 2]);
    let mut sum = Sum::new();
    sum.add(&header);
    header[10..12].copy_from_slice(&sum.finish().to_be_bytes());
    header.extend(payload);
    header
}

/// An IPv6 packet whose fixed header names `next`, followed by `rest`.
fn v6_packet(next: u8, rest: &[u8]) -> Vec<u8> {
    ip_packet(&Header::new(v6(1), v6(2), next), rest)
}

fn error_of(packet: &[u8]) -> ParseError {
    Packet::parse(packet).expect_err("a packet that should be refused")
}

/// RFC 9293 MUST-50.
#[test]
fn options_are_skipped_and_trailing_bytes_dropped() {
    let mut header = vec![0; 28];
    header[8] = 9;
    header[9] = TCP;
    header[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    header[20..28].copy_from_slice(&[0x94, 4, 0, 0, 1, 1, 1, 0]);
    let mut bytes = v4_packet(header, b"payload");
    bytes.extend(b"padding of the link");
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!((packet.src(), packet.dst()), (v4(1), v4(2)));
    assert_eq!((packet.header_len(), packet.options_len()), (28, 8));
    assert_eq!((packet.protocol(), packet.hop_limit()), (TCP, 9));
    assert_eq!(packet.payload(), b"payload");
    assert_eq!(packet.payload_range(), 28..35);
}

/// RFC 791 3.1.
#[test]
fn lengths_and_checksum_of_ipv4_are_checked() {
    let good = ip_packet(&Header::new(v4(1), v4(2), TCP), b"data");
    assert!(Packet::parse(&good).is_ok());
    for len in 1..20 {
        assert_eq!(error_of(&good[..len]), ParseError::Truncated);
    }
    for len in 20..good.len() {
        assert_eq!(error_of(&good[..len]), ParseError::TotalLength);
    }
    assert_eq!(error_of(&[]), ParseError::Truncated);
    let changed = |at: usize, byte: u8| {
        let mut packet = good.clone();
        packet[at] = byte;
        error_of(&packet)
    };
    assert_eq!(changed(0, 0x44), ParseError::HeaderLength);
    assert_eq!(changed(0, 0x4F), ParseError::HeaderLength);
    assert_eq!(changed(0, 0x55), ParseError::Version);
    assert_eq!(changed(3, 19), ParseError::TotalLength);
    assert_eq!(changed(8, 63), ParseError::Checksum);
}

#[test]
fn fragments_of_ipv4_are_recognised() {
    let fragment = |field: u16, payload: &[u8]| {
        let mut header = vec![0; 20];
        header[4..6].copy_from_slice(&0xBEEF_u16.to_be_bytes());
        header[6..8].copy_from_slice(&field.to_be_bytes());
        header[9] = UDP;
        let packet = v4_packet(header, payload);
        Packet::parse(&packet).map(|packet| packet.fragment())
    };
    let expected = |offset, more| {
        Ok(Some(Fragment {
            id: 0xBEEF,
            offset,
            more,
        }))
    };
    assert_eq!(fragment(0x4000, &[0; 8]), Ok(None));
    assert_eq!(fragment(0x2000, &[0; 8]), expected(0, true));
    assert_eq!(fragment(0x2001, &[0; 16]), expected(8, true));
    assert_eq!(fragment(0x0001, &[0; 3]), expected(8, false));
    assert_eq!(fragment(0x2000, &[0; 7]), Err(ParseError::Fragment));
    assert_eq!(fragment(0x1FFF, &[0; 7]), expected(65_528, false));
    assert_eq!(
        fragment(0x1FFF, &[0; 8]),
        Err(ParseError::Fragment),
        "the ping of death"
    );
}

#[test]
fn super_segments_fill_the_length_field() {
    for (src, dst, header_len) in [(v4(1), v4(2), 20), (v6(1), v6(2), 40)] {
        let payload = vec![7; 65_535 - if src.is_ipv4() { 20 } else { 0 }];
        let bytes = ip_packet(&Header::new(src, dst, TCP), &payload);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.payload_range(), header_len..bytes.len());
        assert_eq!(packet.payload_len(), payload.len());
    }
}

#[test]
#[should_panic(expected = "beyond 65535 bytes")]
fn a_header_cannot_say_more_than_65535_bytes() {
    let header = Header {
        payload_len: 65_516,
        ..Header::new(v4(1), v4(2), TCP)
    };
    header.emit(&mut [0; 20]);
}

#[test]
fn extension_headers_are_walked() {
    let mut rest = vec![60, 0, 5, 2, 0, 0, 1, 0]; // hop-by-hop: router alert, PadN
    rest.extend([43, 1, 1, 4, 0, 0, 0, 0, 1, 6, 0, 0, 0, 0, 0, 0]); // destination: PadN twice
    rest.extend([44, 0, 0, 0, 0, 0, 0, 0]); // routing, no segments left
    rest.extend([TCP, 0, 0, 0, 0, 0, 0, 9]); // one whole fragment
    rest.extend(b"payload");
    let bytes = v6_packet(0, &rest);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.protocol(), TCP);
    assert_eq!(packet.payload(), b"payload");
    assert_eq!((packet.header_len(), packet.options_len()), (80, 40));
    assert_eq!(packet.fragment(), None, "RFC 6946");
    for len in 40..80 {
        assert_eq!(error_of(&bytes[..len]), ParseError::Truncated);
    }
    for len in 80..bytes.len() {
        assert_eq!(error_of(&bytes[..len]), ParseError::TotalLength);
    }
}

#[test]
fn fragments_of_ipv6_are_recognised() {
    let mut rest = vec![44, 0, 1, 4, 0, 0, 0, 0]; // destination options before the fragment header
    rest.extend([60, 0, 0x05, 0xA9, 1, 2, 3, 4]); // offset 0x5A8, more; the rest is payload
    rest.extend([0xFF; 16]);
    let bytes = v6_packet(60, &rest);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(
        packet.fragment(),
        Some(Fragment {
            id: 0x0102_0304,
            offset: 0x5A8,
            more: true
        })
    );
    assert_eq!(packet.protocol(), 60);
    assert_eq!(packet.payload(), [0xFF; 16]);
    let odd = v6_packet(60, &rest[..31]);
    assert_eq!(error_of(&odd), ParseError::Fragment);
}

#[test]
fn the_walk_over_extension_headers_is_bounded() {
    let chain = |headers: usize| {
        let mut rest = [60, 0, 1, 4, 0, 0, 0, 0].repeat(headers);
        rest[(headers - 1) * 8] = TCP;
        v6_packet(60, &rest)
    };
    assert_eq!(Packet::parse(&chain(8)).unwrap().protocol(), TCP);
    assert_eq!(error_of(&chain(9)), ParseError::ExtensionHeaders);
    assert_eq!(error_of(&chain(1000)), ParseError::ExtensionHeaders);
}

/// RFC 5095 3, RFC 8200 4.2 and 4.4.
#[test]
fn what_forbids_processing_is_refused() {
    let hop_by_hop_second = [0, 0, 1, 4, 0, 0, 0, 0, TCP, 0, 1, 4, 0, 0, 0, 0];
    assert_eq!(
        error_of(&v6_packet(60, &hop_by_hop_second)),
        ParseError::ExtensionHeaders
    );
    let segments_left = [TCP, 0, 0, 1, 0, 0, 0, 0];
    assert_eq!(
        error_of(&v6_packet(43, &segments_left)),
        ParseError::RoutingHeader
    );
    let jumbo = [TCP, 0, 0xC2, 4, 0, 1, 0, 0];
    assert_eq!(error_of(&v6_packet(0, &jumbo)), ParseError::UnknownOption);
    let skipped = [TCP, 0, 0x1E, 4, 0, 1, 0, 0];
    assert!(Packet::parse(&v6_packet(0, &skipped)).is_ok());
    let too_long = [TCP, 0, 1, 5, 0, 0, 0, 0];
    assert_eq!(
        error_of(&v6_packet(60, &too_long)),
        ParseError::OptionLength
    );
    let no_length = [TCP, 0, 1, 3, 0, 0, 0, 1];
    assert_eq!(
        error_of(&v6_packet(60, &no_length)),
        ParseError::OptionLength
    );
}

#[test]
fn other_next_headers_are_the_upper_layers() {
    for protocol in [TCP, ICMPV6, 50, 51, 59] {
        let bytes = v6_packet(protocol, b"12345678");
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(
            (packet.protocol(), packet.payload()),
            (protocol, b"12345678".as_slice())
        );
    }
}

#[test]
fn the_ecn_field_is_read_and_set() {
    let cases = [
        (0, Ecn::NotEct),
        (1, Ecn::Ect1),
        (2, Ecn::Ect0),
        (3, Ecn::Ce),
    ];
    for (bits, ecn) in cases {
        assert_eq!(Ecn::from_tos(0xB8 | bits), ecn);
        assert_eq!(ecn.apply(0xBB), 0xB8 | bits);
        let header = Header {
            tos: ecn.apply(0xB8),
            ..Header::new(v6(1), v6(2), TCP)
        };
        assert_eq!(Packet::parse(&ip_packet(&header, &[])).unwrap().ecn(), ecn);
    }
}

proptest! {
    #[test]
    fn emit_then_parse(header in ip_header(), payload in bytes(100)) {
        let bytes = ip_packet(&header, &payload);
        let packet = Packet::parse(&bytes).unwrap();
        prop_assert_eq!((packet.src(), packet.dst()), (header.src, header.dst));
        prop_assert_eq!(packet.protocol(), header.protocol);
        prop_assert_eq!((packet.tos(), packet.hop_limit()), (header.tos, header.hop_limit));
        prop_assert_eq!(packet.header_len(), header.len());
        prop_assert_eq!(packet.payload(), &payload);
        prop_assert_eq!(packet.payload_range(), header.len()..bytes.len());
        prop_assert_eq!((packet.options_len(), packet.fragment()), (0, None));
        if let Packet::V4(view) = packet {
            prop_assert_eq!((view.ident(), view.dont_fragment()), (header.ident, header.dont_fragment));
        }
    }

    /// Another implementation reads what is emitted.
    #[test]
    fn etherparse_agrees(header in ip_header(), payload in bytes(100)) {
        let bytes = ip_packet(&header, &payload);
        let theirs = IpSlice::from_slice(&bytes).unwrap();
        prop_assert_eq!(theirs.source_addr(), header.src);
        prop_assert_eq!(theirs.destination_addr(), header.dst);
        prop_assert_eq!(theirs.payload_ip_number().0, header.protocol);
        prop_assert_eq!(theirs.payload().payload, &payload);
        if let IpSlice::Ipv4(slice) = theirs {
            let theirs = slice.header().to_header();
            prop_assert_eq!(theirs.calc_header_checksum(), theirs.header_checksum);
            prop_assert_eq!(theirs.dont_fragment, header.dont_fragment);
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in bytes(200)) {
        read(&bytes);
    }

    #[test]
    fn damage_is_survived(packet in damaged_packet()) {
        read(&packet);
        // A lenient parser of another implementation accepts every packet that is accepted here.
        if Packet::parse(&packet).is_ok() {
            prop_assert!(LaxIpSlice::from_slice(&packet).is_ok());
        }
    }
}

/// Calls every getter; the returned slices must lie within the bytes.
fn read(bytes: &[u8]) {
    for parsed in [Packet::parse(bytes), Packet::parse_truncated(bytes)] {
        let Ok(packet) = parsed else { continue };
        assert_eq!(&bytes[packet.payload_range()], packet.payload());
        assert!(packet.payload_len() >= packet.payload().len());
        assert!(packet.options_len() < packet.header_len());
        let _ = (
            packet.src(),
            packet.dst(),
            packet.protocol(),
            packet.ecn(),
            packet.fragment(),
        );
    }
}

/// RFC 791 3.2, RFC 8200 4.5.
#[test]
fn an_emitted_fragment_is_the_parsed_one() {
    for (src, dst) in [(v4(1), v4(2)), (v6(1), v6(2))] {
        for (offset, more) in [(0, true), (1480, true), (64_800, false)] {
            let wide = if src.is_ipv4() { 0xBEEF } else { 0xDEAD_BEEF };
            let fragment = Fragment {
                id: wide,
                offset,
                more,
            };
            let header = Header {
                payload_len: 16,
                tos: 3,
                ..Header::new(src, dst, UDP)
            };
            let mut packet = vec![0; header.fragment_len()];
            header.emit_fragment(fragment, &mut packet);
            packet.extend([7; 16]);
            let parsed = Packet::parse(&packet).expect("a valid fragment");
            assert_eq!(parsed.fragment(), Some(fragment));
            assert_eq!((parsed.protocol(), parsed.tos()), (UDP, 3));
            assert_eq!(parsed.payload(), [7; 16]);
        }
    }
}

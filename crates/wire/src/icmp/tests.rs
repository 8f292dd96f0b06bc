use proptest::prelude::*;

use super::*;
use crate::SeqNum;
use crate::testing::{addresses, bytes, damaged_packet, ip_packet, tcp_header, tcp_packet, v4, v6};

const UNREACHABLE: [Unreachable; 18] = [
    Unreachable::Network,
    Unreachable::Host,
    Unreachable::Protocol,
    Unreachable::Port,
    Unreachable::SourceRouteFailed,
    Unreachable::NetworkUnknown,
    Unreachable::HostUnknown,
    Unreachable::SourceIsolated,
    Unreachable::NetworkProhibited,
    Unreachable::HostProhibited,
    Unreachable::NetworkForTos,
    Unreachable::HostForTos,
    Unreachable::Prohibited,
    Unreachable::PrecedenceViolation,
    Unreachable::PrecedenceCutoff,
    Unreachable::BeyondScope,
    Unreachable::SourcePolicy,
    Unreachable::RejectRoute,
];

/// A packet made of an emitted header and its body.
fn packet(src: IpAddr, dst: IpAddr, header: [u8; HEADER_LEN], body: &[u8]) -> Vec<u8> {
    let protocol = if src.is_ipv4() { ip::ICMP } else { ip::ICMPV6 };
    ip_packet(
        &ip::Header::new(src, dst, protocol),
        &[&header, body].concat(),
    )
}

/// Emits an error and reads it again; `None` if the family has no such message.
fn through_the_wire(src: IpAddr, dst: IpAddr, kind: ErrorKind, quoted: &[u8]) -> Option<ErrorKind> {
    let mut header = [0xEE; HEADER_LEN];
    if !emit_error(&mut header, src, dst, kind, quoted) {
        assert_eq!(header, [0xEE; HEADER_LEN]);
        return None;
    }
    let bytes = packet(src, dst, header, quoted);
    match Message::parse(&ip::Packet::parse(&bytes).unwrap()) {
        Ok(Message::Error(error)) => {
            assert_eq!(error.quoted, quoted);
            Some(error.kind)
        }
        other => panic!("{kind:?} came out as {other:?}"),
    }
}

/// A message of `kind` and `code` with a correct checksum.
fn parse_v4(kind: u8, code: u8, word: u32) -> ErrorKind {
    let mut bytes = vec![kind, code, 0, 0];
    bytes.extend(word.to_be_bytes());
    let mut sum = Sum::new();
    sum.add(&bytes);
    bytes[2..4].copy_from_slice(&sum.finish().to_be_bytes());
    match Message::parse_v4(&bytes) {
        Ok(Message::Error(error)) => error.kind,
        other => panic!("{kind} {code} is {other:?}"),
    }
}

#[test]
fn every_unreachable_code_has_one_meaning() {
    let mut v4_codes = 0;
    let mut v6_codes = 0;
    for reason in UNREACHABLE {
        let kind = ErrorKind::Unreachable(reason);
        let in_v4 = through_the_wire(v4(1), v4(2), kind, b"quoted");
        let in_v6 = through_the_wire(v6(1), v6(2), kind, b"quoted");
        assert!(in_v4.is_none_or(|read| read == kind));
        assert!(in_v6.is_none_or(|read| read == kind));
        assert!(in_v4.or(in_v6).is_some(), "{reason:?} has no number");
        v4_codes += u32::from(in_v4.is_some());
        v6_codes += u32::from(in_v6.is_some());
    }
    // 0 to 15 without "too big", and 0 to 6.
    assert_eq!((v4_codes, v6_codes), (15, 7));
}

#[test]
fn the_codes_an_application_notices() {
    let codes = [
        (0, Unreachable::Network),
        (1, Unreachable::Host),
        (2, Unreachable::Protocol),
        (3, Unreachable::Port),
        (10, Unreachable::HostProhibited),
        (13, Unreachable::Prohibited),
    ];
    for (code, reason) in codes {
        assert_eq!(parse_v4(3, code, 0), ErrorKind::Unreachable(reason));
    }
    assert_eq!(
        parse_v4(3, 4, 0xFFFF_0578),
        ErrorKind::PacketTooBig { mtu: 1400 }
    );
    assert_eq!(parse_v4(4, 0, 0), ErrorKind::SourceQuench);
    assert_eq!(parse_v4(5, 1, 0x0A00_0001), ErrorKind::Redirect);
    assert_eq!(parse_v4(11, 1, 0), ErrorKind::TimeExceeded { code: 1 });
    let problem = ErrorKind::ParameterProblem {
        code: 0,
        pointer: 20,
    };
    assert_eq!(parse_v4(12, 0, 20 << 24), problem);
}

#[test]
fn a_family_without_the_message_writes_nothing() {
    for (src, dst, kind) in [
        (v6(1), v6(2), ErrorKind::SourceQuench),
        (v6(1), v6(2), ErrorKind::Unreachable(Unreachable::Protocol)),
        (
            v4(1),
            v4(2),
            ErrorKind::Unreachable(Unreachable::RejectRoute),
        ),
        (v4(1), v4(2), ErrorKind::PacketTooBig { mtu: 65_536 }),
        (
            v4(1),
            v4(2),
            ErrorKind::ParameterProblem {
                code: 0,
                pointer: 256,
            },
        ),
        (v4(1), v4(2), ErrorKind::Redirect),
    ] {
        assert_eq!(through_the_wire(src, dst, kind, b""), None);
    }
}

#[test]
fn unknown_types_and_codes_are_told() {
    let mut header = [13, 0, 0, 0, 0, 0, 0, 0];
    header[2..4].copy_from_slice(&(!0x0D00_u16).to_be_bytes());
    assert_eq!(
        Message::parse_v4(&header),
        Ok(Message::Other { kind: 13, code: 0 })
    );
    let mut header = [3, 16, 0, 0, 0, 0, 0, 0];
    header[2..4].copy_from_slice(&(!0x0310_u16).to_be_bytes());
    assert_eq!(
        Message::parse_v4(&header),
        Ok(Message::Other { kind: 3, code: 16 })
    );
}

#[test]
fn short_or_damaged_messages_are_refused() {
    assert_eq!(Message::parse_v4(&[0; 7]), Err(ParseError::Truncated));
    assert_eq!(Message::parse_v4(&[0; 8]), Err(ParseError::Checksum));
    let mut header = [0; HEADER_LEN];
    emit_echo_request(&mut header, v6(1), v6(2), 1, 2, b"data");
    let bytes = packet(v6(1), v6(2), header, b"dada");
    let damaged = ip::Packet::parse(&bytes).unwrap();
    assert_eq!(Message::parse(&damaged), Err(ParseError::Checksum));
}

#[test]
fn a_quote_of_eight_bytes_names_the_connection() {
    let segment = crate::tcp::Header {
        src_port: 40_000,
        dst_port: 80,
        seq: SeqNum::new(0xCAFE_F00D),
        ..Default::default()
    };
    for (src, dst, ip_len) in [(v4(1), v4(2), 20), (v6(1), v6(2), 40)] {
        let mut packet = tcp_packet(src, dst, &segment, b"data");
        // A router on the path has changed the hop limit but not the checksum.
        packet[8 - usize::from(src.is_ipv6())] -= 1;
        let quoted = Quoted {
            src,
            dst,
            protocol: ip::TCP,
            src_port: 40_000,
            dst_port: 80,
            seq: Some(SeqNum::new(0xCAFE_F00D)),
        };
        assert_eq!(Quoted::parse(&packet), Ok(quoted));
        assert_eq!(Quoted::parse(&packet[..ip_len + 8]), Ok(quoted));
        assert_eq!(
            Quoted::parse(&packet[..ip_len + 7]),
            Ok(Quoted {
                seq: None,
                ..quoted
            })
        );
        assert_eq!(
            Quoted::parse(&packet[..ip_len + 3]),
            Err(ParseError::Truncated)
        );
        assert_eq!(
            Quoted::parse(&packet[..ip_len - 1]),
            Err(ParseError::Truncated)
        );
    }
}

#[test]
fn a_quote_of_a_later_fragment_has_no_ports() {
    let mut packet = ip_packet(&ip::Header::new(v4(1), v4(2), ip::UDP), &[0; 16]);
    packet[7] = 1;
    assert_eq!(Quoted::parse(&packet), Err(ParseError::Fragment));
}

proptest! {
    #[test]
    fn echo_goes_there_and_back((src, dst) in addresses(), ident: u16, seq: u16, data in bytes(100)) {
        let mut header = [0; HEADER_LEN];
        emit_echo_request(&mut header, src, dst, ident, seq, &data);
        let bytes = packet(src, dst, header, &data);
        let request = Message::parse(&ip::Packet::parse(&bytes).unwrap());
        prop_assert_eq!(request, Ok(Message::EchoRequest { ident, seq, data: &data }));
        emit_echo_reply(&mut header, dst, src, ident, seq, &data);
        let bytes = packet(dst, src, header, &data);
        let reply = Message::parse(&ip::Packet::parse(&bytes).unwrap());
        prop_assert_eq!(reply, Ok(Message::EchoReply { ident, seq, data: &data }));
    }

    #[test]
    fn errors_that_both_families_have(
        (src, dst) in addresses(),
        kind in prop_oneof![
            (0..=65_535_u32).prop_map(|mtu| ErrorKind::PacketTooBig { mtu }),
            any::<u8>().prop_map(|code| ErrorKind::TimeExceeded { code }),
            (any::<u8>(), 0..256_u32)
                .prop_map(|(code, pointer)| ErrorKind::ParameterProblem { code, pointer }),
        ],
        segment in tcp_header(),
    ) {
        let quoted = tcp_packet(dst, src, &segment, b"data");
        prop_assert_eq!(through_the_wire(src, dst, kind, &quoted), Some(kind));
        let read = Quoted::parse(&quoted).unwrap();
        prop_assert_eq!((read.src, read.dst), (dst, src));
        prop_assert_eq!((read.src_port, read.dst_port), (segment.src_port, segment.dst_port));
        prop_assert_eq!(read.seq, Some(segment.seq));
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop_oneof![bytes(100), damaged_packet()]) {
        let _ = Message::parse_v4(&bytes);
        let _ = Message::parse_v6(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST, &bytes);
        let _ = Quoted::parse(&bytes);
        let _ = ip::Packet::parse(&bytes).map(|packet| Message::parse(&packet));
    }
}

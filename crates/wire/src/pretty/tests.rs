use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::icmp::{ErrorKind, Unreachable, emit_echo_reply, emit_echo_request, emit_error};
use crate::tcp::{Flags, Header, Options, Timestamps};
use crate::testing::{bytes, damaged_packet, ip_packet, sack_blocks, tcp_packet, v4, v6};

fn syn() -> Header {
    Header {
        src_port: 34_120,
        dst_port: 7,
        seq: SeqNum::new(1),
        flags: Flags::SYN,
        window: 64_240,
        options: Options {
            mss: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamps: Some(Timestamps { value: 1, echo: 0 }),
            ..Options::default()
        },
        ..Header::default()
    }
}

fn shown(packet: &[u8]) -> String {
    ip::Packet::parse(packet).unwrap().to_string()
}

fn icmp_packet(src: IpAddr, dst: IpAddr, header: [u8; 8], body: &[u8]) -> Vec<u8> {
    let protocol = if src.is_ipv4() { ip::ICMP } else { ip::ICMPV6 };
    ip_packet(
        &ip::Header::new(src, dst, protocol),
        &[&header, body].concat(),
    )
}

fn error(src: IpAddr, dst: IpAddr, kind: ErrorKind, quoted: &[u8]) -> String {
    let mut header = [0; 8];
    assert!(emit_error(&mut header, src, dst, kind, quoted));
    shown(&icmp_packet(src, dst, header, quoted))
}

#[test]
fn a_syn() {
    assert_eq!(
        shown(&tcp_packet(v4(1), v4(2), &syn(), b"")),
        "IP 10.0.0.1.34120 > 10.0.0.2.7: Flags [S], seq 1, win 64240, \
         options [mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7], length 0"
    );
    assert_eq!(
        shown(&tcp_packet(
            v6(1),
            v6(2),
            &Header {
                options: Options::default(),
                ..syn()
            },
            b""
        )),
        "IP6 fd00::1.34120 > fd00::2.7: Flags [S], seq 1, win 64240, length 0"
    );
}

#[test]
fn flags_data_and_urgent_pointer() {
    let all = Header {
        flags: Flags::all(),
        ack: SeqNum::new(9),
        urgent: 5,
        options: Options::default(),
        ..syn()
    };
    assert_eq!(
        shown(&tcp_packet(v4(1), v4(2), &all, b"data")),
        "IP 10.0.0.1.34120 > 10.0.0.2.7: Flags [FSRP.UEW], seq 1:5, ack 9, win 64240, urg 5, length 4"
    );
    let none = Header {
        flags: Flags::empty(),
        ..all
    };
    assert_eq!(
        shown(&tcp_packet(v4(1), v4(2), &none, b"")),
        "IP 10.0.0.1.34120 > 10.0.0.2.7: Flags [none], win 64240, length 0"
    );
}

#[test]
fn options_of_every_kind() {
    let mut segment = vec![0; 20];
    let options = [
        6, 6, 0, 0, 0, 1, 7, 6, 0, 0, 0, 2, 5, 10, 0, 0, 0, 3, 0, 0, 0, 4, 30, 4, 0xAB, 0xCD, 254,
        2, 99, 1, 0, 0,
    ];
    segment.extend(options);
    segment[12] = ((segment.len() / 4) as u8) << 4;
    let header = ip::Header::new(v4(1), v4(2), ip::TCP);
    assert_eq!(
        shown(&ip_packet(&header, &segment)),
        "IP 10.0.0.1.0 > 10.0.0.2.0: Flags [none], win 0, \
         options [echo 1,echoreply 2,sack 1 {3:4},unknown-30 0xabcd,unknown-254,[bad opt]], length 0"
    );
    segment[48] = 0;
    assert!(shown(&ip_packet(&header, &segment)).contains("unknown-254,eol], length 0"));
}

/// A handshake, data, a hole reported by SACK and a close, as `tcpdump -n -t` shows them.
#[test]
fn a_trace_counts_from_the_syn() {
    let (client, server) = (v4(1), v4(2));
    let bare = |seq: u32, ack: u32, flags: Flags| Header {
        src_port: 34_120,
        dst_port: 7,
        seq: SeqNum::new(seq),
        ack: SeqNum::new(ack),
        flags,
        window: 502,
        ..Header::default()
    };
    let back = |header: Header| Header {
        src_port: header.dst_port,
        dst_port: header.src_port,
        ..header
    };
    // The sequence numbers of both sides wrap on their first bytes.
    let (iss, irs) = (u32::MAX - 1, u32::MAX);
    let sack = Options {
        sack: sack_blocks([(iss.wrapping_add(14), iss.wrapping_add(27))]),
        ..Options::default()
    };
    let segments = [
        (client, server, bare(iss, 0, Flags::SYN), &b""[..]),
        (
            server,
            client,
            back(bare(irs, iss.wrapping_add(1), Flags::SYN | Flags::ACK)),
            b"",
        ),
        (
            client,
            server,
            bare(iss.wrapping_add(1), 0, Flags::ACK),
            b"",
        ),
        (
            client,
            server,
            bare(iss.wrapping_add(1), 0, Flags::PSH | Flags::ACK),
            b"hello, world\n",
        ),
        (
            server,
            client,
            back(Header {
                options: sack,
                ..bare(0, iss.wrapping_add(1), Flags::ACK)
            }),
            b"",
        ),
        (
            server,
            client,
            back(bare(0, iss.wrapping_add(14), Flags::FIN | Flags::ACK)),
            b"",
        ),
        (
            client,
            server,
            bare(iss.wrapping_add(14), 0, Flags::RST),
            b"",
        ),
    ];
    let mut trace = Trace::new();
    let lines =
        segments.map(|(src, dst, header, data)| trace.line(&tcp_packet(src, dst, &header, data)));
    let expected = [
        "IP 10.0.0.1.34120 > 10.0.0.2.7: Flags [S], seq 4294967294, win 502, length 0",
        "IP 10.0.0.2.7 > 10.0.0.1.34120: Flags [S.], seq 4294967295, ack 4294967295, win 502, length 0",
        "IP 10.0.0.1.34120 > 10.0.0.2.7: Flags [.], ack 1, win 502, length 0",
        "IP 10.0.0.1.34120 > 10.0.0.2.7: Flags [P.], seq 1:14, ack 1, win 502, length 13",
        "IP 10.0.0.2.7 > 10.0.0.1.34120: Flags [.], ack 1, win 502, \
         options [nop,nop,sack 1 {14:27}], length 0",
        "IP 10.0.0.2.7 > 10.0.0.1.34120: Flags [F.], seq 1, ack 14, win 502, length 0",
        "IP 10.0.0.1.34120 > 10.0.0.2.7: Flags [R], seq 12, win 502, length 0",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_trace_that_begins_in_the_middle() {
    let header = Header {
        src_port: 1,
        dst_port: 2,
        seq: SeqNum::new(1000),
        ack: SeqNum::new(2000),
        flags: Flags::ACK,
        ..Header::default()
    };
    let mut trace = Trace::new();
    let mut line = |header: &Header| trace.line(&tcp_packet(v4(1), v4(2), header, b"x"));
    assert!(line(&header).contains("seq 1000:1001, ack 2000,"));
    let next = Header {
        seq: SeqNum::new(1001),
        ..header
    };
    assert!(line(&next).contains("seq 1:2, ack 1,"));
    // The same ports are used by another connection.
    let syn = Header {
        flags: Flags::SYN | Flags::ACK,
        seq: SeqNum::new(5000),
        ..header
    };
    assert!(line(&syn).contains("seq 5000:5001, ack 2000,"));
    let next = Header {
        seq: SeqNum::new(5001),
        ..header
    };
    assert!(line(&next).contains("seq 1:2, ack 1,"));
}

#[test]
fn a_trace_reads_packets_that_were_cut_short() {
    let packet = tcp_packet(v4(1), v4(2), &syn(), &[0; 1000]);
    let mut trace = Trace::new();
    assert_eq!(trace.line(&packet[..60]), trace.line(&packet));
    assert_eq!(trace.line(&packet[..30]), "IP 10.0.0.1 > 10.0.0.2: [|tcp]");
    assert_eq!(
        trace.line(&[]),
        "malformed packet (header truncated), length 0"
    );
    assert_eq!(
        trace.line(&[0x50; 20]),
        "malformed packet (unexpected IP version), length 20"
    );
}

#[test]
fn echo() {
    let mut header = [0; 8];
    emit_echo_request(&mut header, v4(1), v4(2), 7, 1, &[0; 56]);
    assert_eq!(
        shown(&icmp_packet(v4(1), v4(2), header, &[0; 56])),
        "IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 7, seq 1, length 64"
    );
    emit_echo_reply(&mut header, v6(2), v6(1), 7, 1, &[0; 56]);
    assert_eq!(
        shown(&icmp_packet(v6(2), v6(1), header, &[0; 56])),
        "IP6 fd00::2 > fd00::1: ICMP6, echo reply, id 7, seq 1, length 64"
    );
}

#[test]
fn icmp_errors() {
    let udp = ip_packet(
        &ip::Header::new(v4(1), v4(2), ip::UDP),
        &[0x9C, 0x40, 0, 53, 0, 8, 0, 0],
    );
    let port = ErrorKind::Unreachable(Unreachable::Port);
    let cases = [
        (port, "10.0.0.2 udp port 53 unreachable"),
        (
            ErrorKind::Unreachable(Unreachable::Host),
            "host 10.0.0.2 unreachable",
        ),
        (
            ErrorKind::Unreachable(Unreachable::Network),
            "net 10.0.0.2 unreachable",
        ),
        (
            ErrorKind::Unreachable(Unreachable::Protocol),
            "10.0.0.2 protocol 17 unreachable",
        ),
        (
            ErrorKind::PacketTooBig { mtu: 1400 },
            "10.0.0.2 unreachable - need to frag (mtu 1400)",
        ),
        (
            ErrorKind::TimeExceeded { code: 0 },
            "time exceeded in-transit",
        ),
        (
            ErrorKind::ParameterProblem {
                code: 0,
                pointer: 20,
            },
            "parameter problem - octet 20",
        ),
        (ErrorKind::SourceQuench, "source quench"),
    ];
    for (kind, text) in cases {
        let expected = format!("IP 10.0.0.2 > 10.0.0.1: ICMP {text}, length 36");
        assert_eq!(error(v4(2), v4(1), kind, &udp), expected);
    }
    let tcp = tcp_packet(
        v6(1),
        v6(2),
        &Header {
            options: Options::default(),
            ..syn()
        },
        b"",
    );
    let cases = [
        (
            port,
            "destination unreachable, unreachable port, fd00::2 tcp port 7",
        ),
        (
            ErrorKind::Unreachable(Unreachable::Network),
            "destination unreachable, unreachable route fd00::2",
        ),
        (
            ErrorKind::PacketTooBig { mtu: 1280 },
            "packet too big, mtu 1280",
        ),
        (
            ErrorKind::TimeExceeded { code: 0 },
            "time exceeded in-transit for fd00::2",
        ),
    ];
    for (kind, text) in cases {
        let expected = format!("IP6 fd00::9 > fd00::1: ICMP6, {text}, length 68");
        assert_eq!(error(v6(9), v6(1), kind, &tcp), expected);
    }
}

#[test]
fn udp_fragments_and_the_rest() {
    let udp = ip_packet(
        &ip::Header::new(v6(1), v6(2), ip::UDP),
        &[0, 1, 0, 2, 0, 10, 0, 0, 1, 2],
    );
    assert_eq!(shown(&udp), "IP6 fd00::1.1 > fd00::2.2: UDP, length 2");
    let gre = ip_packet(&ip::Header::new(v4(1), v4(2), 47), &[0; 9]);
    assert_eq!(shown(&gre), "IP 10.0.0.1 > 10.0.0.2: ip-proto-47 9");
    let mut fragment = gre;
    fragment[7] = 2;
    assert_eq!(
        Trace::new().line(&fragment),
        "IP 10.0.0.1 > 10.0.0.2: frag (0x0:16|9) ip-proto-47 length 9"
    );
}

proptest! {
    #[test]
    fn any_packets_are_survived(packets in prop::collection::vec(prop_oneof![bytes(80), damaged_packet()], 1..5)) {
        let mut trace = Trace::new();
        for packet in &packets {
            let line = trace.line(packet);
            prop_assert!(line.starts_with("IP") || line.starts_with("malformed"), "{}", line);
            prop_assert!(!line.contains('\n'));
        }
    }
}

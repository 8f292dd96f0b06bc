//! ICMP (RFC 792, RFC 4443, RFC 5927, RFC 5461, RFC 1191, RFC 8201) and related answers at the IP
//! level.

mod support;

use std::net::IpAddr;

use bytes::Bytes;
use millstream_engine::{
    ConnectionError, DropReason, Instant, RxChecksum, SocketOptions, Stack, State, Transmit,
};
use millstream_testbed::packet;
use millstream_wire::icmp::{self, ErrorKind, Unreachable};
use millstream_wire::{SeqNum, ip};
use support::{ADDR_A, ADDR_B, config};

fn stack() -> Stack {
    Stack::new(config(ADDR_A), [1; 32])
}

fn sent(stack: &mut Stack, now: Instant) -> Vec<Vec<u8>> {
    let mut out = Transmit::new();
    let mut all = Vec::new();
    while stack.poll_transmit(now, &mut out) {
        let mut bytes = Vec::new();
        out.write_to(&mut bytes);
        all.push(bytes);
    }
    all
}

/// An ICMP error from B about `packet`, which A sent.
fn error_about(packet: &[u8], kind: ErrorKind) -> Bytes {
    let quoted = &packet[..packet.len().min(28)];
    let error = packet::icmp_error(ADDR_B.into(), ADDR_A.into(), kind, quoted);
    error.unwrap().into()
}

/// RFC 9293 MUST-54, SHLD-26.
#[test]
fn unreachable_fails_a_connection_that_is_opening() {
    for (code, error) in [
        (Unreachable::Port, ConnectionError::Refused),
        (Unreachable::Host, ConnectionError::HostUnreachable),
        (Unreachable::Network, ConnectionError::NetworkUnreachable),
    ] {
        let mut stack = stack();
        let now = Instant::ZERO;
        let options = SocketOptions::default();
        let id = stack
            .connect(now, None, (ADDR_B, 80).into(), options)
            .unwrap();
        let syn = sent(&mut stack, now).pop().unwrap();
        let packet = error_about(&syn, ErrorKind::Unreachable(code));
        stack.handle_packet(now, packet, RxChecksum::Unverified);
        assert_eq!(stack.finish_connect(id), Err(error));
        assert_eq!(stack.poll_timeout(), None);
    }
}

#[test]
fn an_error_about_a_sequence_number_not_in_flight_is_ignored() {
    let mut stack = stack();
    let now = Instant::ZERO;
    let options = SocketOptions::default();
    let id = stack
        .connect(now, None, (ADDR_B, 80).into(), options)
        .unwrap();
    let mut syn = sent(&mut stack, now).pop().unwrap();
    let seq = u32::from_be_bytes(syn[24..28].try_into().unwrap());
    for wrong in [SeqNum::new(seq) + 1, SeqNum::new(seq) + u32::MAX] {
        syn[24..28].copy_from_slice(&wrong.raw().to_be_bytes());
        let packet = error_about(&syn, ErrorKind::Unreachable(Unreachable::Port));
        stack.handle_packet(now, packet, RxChecksum::Unverified);
    }
    assert_eq!(stack.state(id), Some(State::SynSent));
    assert_eq!(stack.counters().dropped(DropReason::IcmpUnrelated), 2);
}

/// RFC 9293 MUST-54, MUST-56, SHLD-25.
#[test]
fn in_an_established_connection_it_is_a_soft_error() {
    let mut pair = support::Pair::new();
    let (a, _) = pair.established();
    pair.write(support::Side::A, a, b"data");
    let segment = pair.seen.last().unwrap().bytes.clone();
    let now = pair.now;
    let packet = error_about(&segment, ErrorKind::Unreachable(Unreachable::Host));
    pair.a.handle_packet(now, packet, RxChecksum::Unverified);
    assert_eq!(pair.a.state(a), Some(State::Established));
    assert_eq!(pair.a.soft_error(a), Some(ConnectionError::HostUnreachable));
    // Progress clears the error.
    pair.run_for(std::time::Duration::from_secs(1));
    assert_eq!(pair.a.soft_error(a), None);
}

#[test]
fn too_big_lowers_the_segment_size_and_sends_again_without_blaming_congestion() {
    let mut pair = support::Pair::new();
    let (a, _) = pair.established();
    let before = pair.a.info(a).unwrap().ssthresh;
    pair.judge(|_, bytes, _| match bytes.len() {
        0..=1000 => support::Fate::Deliver,
        _ => support::Fate::Drop,
    });
    pair.write(support::Side::A, a, &[0; 3000]);
    let too_big = |seen: &&support::Seen| seen.bytes.len() > 1000;
    let segment = pair.seen.iter().find(too_big).unwrap().bytes.clone();
    let now = pair.now;
    let packet = error_about(&segment, ErrorKind::PacketTooBig { mtu: 1000 });
    pair.a.handle_packet(now, packet, RxChecksum::Unverified);
    pair.run_for(std::time::Duration::from_millis(150));
    let info = pair.a.info(a).unwrap();
    assert_eq!((info.snd_mss, info.ssthresh), (1000 - 40 - 12, before));
    assert_eq!(info.bytes_in_flight, 0, "{}", pair.trace());
}

#[test]
fn too_big_below_the_floor_is_taken_as_the_floor() {
    let mut pair = support::Pair::new();
    let (a, _) = pair.established();
    pair.write(support::Side::A, a, &[0; 3000]);
    let segment = pair.seen.last().unwrap().bytes.clone();
    let now = pair.now;
    let packet = error_about(&segment, ErrorKind::PacketTooBig { mtu: 1 });
    pair.a.handle_packet(now, packet, RxChecksum::Unverified);
    assert_eq!(pair.a.info(a).unwrap().snd_mss, 552 - 40 - 12);
}

#[test]
fn source_quench_is_discarded() {
    let mut pair = support::Pair::new();
    let (a, _) = pair.established();
    pair.write(support::Side::A, a, b"data");
    let segment = pair.seen.last().unwrap().bytes.clone();
    let now = pair.now;
    let packet = error_about(&segment, ErrorKind::SourceQuench);
    pair.a.handle_packet(now, packet, RxChecksum::Unverified);
    assert_eq!(pair.a.soft_error(a), None);
}

/// RFC 1812 4.3.2.8.
#[test]
fn echo_is_answered_over_both_families_at_a_limited_rate() {
    for (src, dst) in [v4(), v6()] {
        let mut stack = stack();
        let request = Bytes::from(packet::echo_request(src, dst, 77, 3, b"are you there"));
        stack.handle_packet(Instant::ZERO, request.clone(), RxChecksum::Unverified);
        let replies = sent(&mut stack, Instant::ZERO);
        let packet = ip::Packet::parse(&replies[0]).unwrap();
        assert_eq!((packet.src(), packet.dst()), (dst, src));
        match icmp::Message::parse(&packet).unwrap() {
            icmp::Message::EchoReply { ident, seq, data } => {
                assert_eq!((ident, seq, data), (77, 3, &b"are you there"[..]));
            }
            other => panic!("{other:?}"),
        }
        for _ in 0..2000 {
            stack.handle_packet(Instant::ZERO, request.clone(), RxChecksum::Unverified);
        }
        assert_eq!(sent(&mut stack, Instant::ZERO).len(), 999);
        assert_eq!(stack.counters().dropped(DropReason::IcmpRateLimited), 1001);
    }
}

/// A UDP datagram from `src` to `dst`: from port 1111 to port 53, four bytes.
fn datagram(src: IpAddr, dst: IpAddr) -> Bytes {
    packet::udp((src, 1111).into(), (dst, 53).into(), b"data").into()
}

/// RFC 1122 4.1.3.1.
#[test]
fn udp_is_refused_over_both_families() {
    for (src, dst) in [
        (ADDR_B.into(), ADDR_A.into()),
        ("fd00::2".parse().unwrap(), "fd00::1".parse().unwrap()),
    ] {
        let mut stack = stack();
        let request = datagram(src, dst);
        stack.handle_packet(Instant::ZERO, request.clone(), RxChecksum::Unverified);
        let replies = sent(&mut stack, Instant::ZERO);
        assert_eq!(replies.len(), 1);
        let packet = ip::Packet::parse(&replies[0]).unwrap();
        assert_eq!((packet.src(), packet.dst()), (dst, src));
        match icmp::Message::parse(&packet).unwrap() {
            icmp::Message::Error(error) => {
                assert_eq!(error.kind, ErrorKind::Unreachable(Unreachable::Port));
                // RFC 1812 4.3.2.3, RFC 4443 3.1: as much of the datagram as fits.
                assert_eq!(error.quoted, &request[..]);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// RFC 1122 3.2.2, RFC 4443 2.4 (e).
#[test]
fn no_error_is_sent_about_what_was_not_meant_for_one_host_or_was_an_error() {
    for (src, dst) in [
        ("10.0.0.2", "10.0.0.255"),
        ("10.0.0.2", "255.255.255.255"),
        ("10.0.0.2", "224.0.0.251"),
        ("10.0.0.255", "10.0.0.1"),
        ("0.0.0.0", "10.0.0.1"),
        ("127.0.0.1", "10.0.0.1"),
        ("fd00::2", "ff02::fb"),
        ("::", "fd00::1"),
    ] {
        let mut stack = stack();
        let packet = datagram(src.parse().unwrap(), dst.parse().unwrap());
        stack.handle_packet(Instant::ZERO, packet, RxChecksum::Unverified);
        assert!(sent(&mut stack, Instant::ZERO).is_empty(), "{src} to {dst}");
    }
    // An error about a UDP datagram that this stack never sent.
    let mut stack = stack();
    let stray = datagram(ADDR_A.into(), ADDR_B.into());
    let error = error_about(&stray, ErrorKind::Unreachable(Unreachable::Port));
    stack.handle_packet(Instant::ZERO, error, RxChecksum::Unverified);
    assert!(sent(&mut stack, Instant::ZERO).is_empty());
    assert_eq!(stack.counters().dropped(DropReason::IcmpUnrelated), 1);
}

/// A packet from `src` to `dst` whose header names `protocol`.
fn ip_packet(src: IpAddr, dst: IpAddr, protocol: u8, payload: &[u8]) -> Bytes {
    packet::ip(ip::Header::new(src, dst, protocol), payload).into()
}

fn v4() -> (IpAddr, IpAddr) {
    (ADDR_B.into(), ADDR_A.into())
}

fn v6() -> (IpAddr, IpAddr) {
    ("fd00::2".parse().unwrap(), "fd00::1".parse().unwrap())
}

/// The stack's ICMP error about a packet, whose beginning it must quote.
fn verdict(packet: &Bytes) -> Option<ErrorKind> {
    let mut stack = stack();
    stack.handle_packet(Instant::ZERO, packet.clone(), RxChecksum::Unverified);
    let replies = sent(&mut stack, Instant::ZERO);
    let reply = replies.first()?;
    assert_eq!(replies.len(), 1);
    let reply = ip::Packet::parse(reply).unwrap();
    match icmp::Message::parse(&reply).unwrap() {
        icmp::Message::Error(error) => {
            assert!(packet.starts_with(error.quoted), "the quote");
            let most = if reply.src().is_ipv4() { 576 } else { 1280 };
            assert!(reply.header_len() + reply.payload().len() <= most);
            Some(error.kind)
        }
        other => panic!("{other:?}"),
    }
}

fn parameter_problem(code: u8, pointer: u32) -> Option<ErrorKind> {
    Some(ErrorKind::ParameterProblem { code, pointer })
}

/// RFC 1122 3.2.2.1, RFC 8200 4 and 4.7. As Linux.
#[test]
fn a_protocol_that_is_not_known_is_refused() {
    let (src, dst) = v4();
    let unknown = Some(ErrorKind::Unreachable(Unreachable::Protocol));
    for (protocol, length) in [(132, 0), (132, 1400), (41, 40), (ip::ICMPV6, 8), (255, 20)] {
        let packet = ip_packet(src, dst, protocol, &vec![0; length]);
        assert_eq!(verdict(&packet), unknown, "{protocol}");
    }
    let (src, dst) = v6();
    for (protocol, expected) in [
        (132, parameter_problem(1, 6)),
        (ip::ICMP, parameter_problem(1, 6)),
        (59, None),
    ] {
        let packet = ip_packet(src, dst, protocol, &[0; 40]);
        assert_eq!(verdict(&packet), expected, "{protocol}");
    }
    // Behind destination options, which name the protocol.
    let packet = ip_packet(src, dst, 60, &[132, 0, 1, 4, 0, 0, 0, 0, 9, 9]);
    assert_eq!(verdict(&packet), parameter_problem(1, 40));
}

/// RFC 8200 4, 4.2, 4.4 and 4.5. As Linux.
#[test]
fn what_ipv6_headers_ask_for_and_is_not_known_is_refused() {
    let (src, dst) = v6();
    let options = |kind: u8| [ip::TCP, 0, 1, 0, kind, 0, 0, 0];
    let nested = [60, 0, 1, 4, 0, 0, 0, 0, ip::TCP, 0, 0x9E, 0, 0, 0, 0, 0];
    for (what, first, headers, expected) in [
        ("skip", 60, &options(0x1E)[..], None),
        ("drop", 60, &options(0x5E), None),
        (
            "drop and tell",
            60,
            &options(0x9E),
            parameter_problem(2, 44),
        ),
        (
            "tell unless multicast",
            60,
            &options(0xDE),
            parameter_problem(2, 44),
        ),
        ("hop by hop", 0, &options(0x9E), parameter_problem(2, 44)),
        (
            "in the second header",
            60,
            &nested,
            parameter_problem(2, 50),
        ),
        (
            "routing",
            43,
            &[ip::TCP, 0, 77, 1, 0, 0, 0, 0],
            parameter_problem(0, 42),
        ),
        (
            "routing type 0",
            43,
            &[ip::TCP, 0, 0, 1, 0, 0, 0, 0],
            parameter_problem(0, 42),
        ),
        (
            "hop by hop, second",
            60,
            &[0, 0, 1, 4, 0, 0, 0, 0],
            parameter_problem(1, 40),
        ),
        (
            "an odd fragment",
            44,
            &[ip::UDP, 0, 0, 9, 0, 0, 0, 1, 5, 5],
            parameter_problem(0, 4),
        ),
        (
            "a fragment too far out",
            44,
            &[ip::UDP, 0, 0xFF, 0xF8, 0, 0, 0, 1, 5, 5, 5, 5, 5, 5, 5, 5],
            parameter_problem(0, 42),
        ),
    ] {
        let packet = ip_packet(src, dst, first, headers);
        assert_eq!(verdict(&packet), expected, "{what}");
    }
    // RFC 4443 2.4 (e.1): an error behind the option; a ping is not an error.
    for (kind, expected) in [(1, None), (127, None), (128, parameter_problem(2, 42))] {
        let headers = [
            ip::ICMPV6,
            0,
            0x9E,
            4,
            0,
            0,
            0,
            0,
            kind,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        ];
        assert_eq!(
            verdict(&ip_packet(src, dst, 60, &headers)),
            expected,
            "{kind}"
        );
    }
    // A truncated packet.
    let whole = ip_packet(src, dst, 60, &options(0x9E));
    assert_eq!(verdict(&whole.slice(..whole.len() - 1)), None);
}

/// RFC 1122 3.2.2, RFC 4443 2.4 (e): no error goes to an address that is not a single host, or is
/// about a packet to several hosts or to another host.
#[test]
fn no_host_that_is_not_one_is_told_what_is_not_known() {
    for (src, dst) in [
        ("10.0.0.2", "10.0.0.255"),
        ("10.0.0.2", "224.0.0.1"),
        ("10.0.0.2", "10.0.0.3"),
        ("10.0.0.255", "10.0.0.1"),
        ("224.0.0.1", "10.0.0.1"),
        ("0.0.0.0", "10.0.0.1"),
        ("fd00::2", "ff02::1"),
        ("fd00::2", "fd00::3"),
        ("::", "fd00::1"),
        ("ff02::1", "fd00::1"),
        ("::ffff:10.0.0.2", "fd00::1"),
    ] {
        let (from, to): (IpAddr, IpAddr) = (src.parse().unwrap(), dst.parse().unwrap());
        assert_eq!(
            verdict(&ip_packet(from, to, 132, &[0; 8])),
            None,
            "{src} {dst}"
        );
        if from.is_ipv6() {
            let option = [ip::TCP, 0, 0x9E, 4, 0, 0, 0, 0];
            assert_eq!(
                verdict(&ip_packet(from, to, 60, &option)),
                None,
                "{src} {dst}"
            );
        }
        // The same holds if the stack accepts TCP for every address.
        let mut stack = stack();
        let _ = stack.listen_any(millstream_engine::ListenOptions::default());
        let packet = ip_packet(from, to, 132, &[0; 8]);
        stack.handle_packet(Instant::ZERO, packet, RxChecksum::Unverified);
        assert!(sent(&mut stack, Instant::ZERO).is_empty(), "{src} {dst}");
    }
}

/// As Linux: six at once and one a second to each host (RFC 1812 4.3.2.8, RFC 4443 2.4 (f)).
#[test]
fn errors_to_one_host_are_limited() {
    let (src, dst) = v4();
    let mut stack = stack();
    let mut answers = |now, src| {
        for _ in 0..100 {
            let packet = ip_packet(src, dst, 132, &[0; 8]);
            stack.handle_packet(now, packet, RxChecksum::Unverified);
        }
        sent(&mut stack, now).len()
    };
    let later = Instant::from_millis(2_000);
    assert_eq!(answers(Instant::ZERO, src), 6);
    assert_eq!(answers(Instant::ZERO, [10, 0, 0, 77].into()), 6);
    assert_eq!(answers(later, src), 2);
    assert_eq!(stack.counters().dropped(DropReason::IcmpRateLimited), 286);
}

/// RFC 768, RFC 1122 4.1.3.4, RFC 8200 8.1.
#[test]
fn what_is_no_udp_datagram_is_dropped() {
    for (src, dst) in [v4(), v6()] {
        let good = datagram(src, dst);
        let ip_len = good.len() - 12;
        let changed = |change: &dyn Fn(&mut [u8])| {
            let mut payload = good[ip_len..].to_vec();
            change(&mut payload);
            ip_packet(src, dst, ip::UDP, &payload)
        };
        for (packet, reason) in [
            (changed(&|udp| udp[11] ^= 1), DropReason::Checksum),
            (changed(&|udp| udp[5] = 7), DropReason::MalformedUdp),
            (changed(&|udp| udp[5] = 13), DropReason::MalformedUdp),
            (
                ip_packet(src, dst, ip::UDP, &[0; 7]),
                DropReason::MalformedUdp,
            ),
            (ip_packet(src, dst, ip::UDP, &[]), DropReason::MalformedUdp),
        ] {
            let mut stack = stack();
            stack.handle_packet(Instant::ZERO, packet, RxChecksum::Unverified);
            assert!(sent(&mut stack, Instant::ZERO).is_empty(), "{reason:?}");
            assert_eq!(stack.counters().dropped(reason), 1, "{reason:?}");
        }
        let without = changed(&|udp| udp[6..8].fill(0));
        assert_eq!(verdict(&without).is_some(), src.is_ipv4(), "no checksum");
        // If a device vouches for the checksum, the stack does not verify it.
        let mut stack = stack();
        let wrong = changed(&|udp| udp[7] ^= 1);
        stack.handle_packet(Instant::ZERO, wrong, RxChecksum::Trusted);
        assert_eq!(sent(&mut stack, Instant::ZERO).len(), 1);
    }
}

/// RFC 9293 MUST-54.
#[test]
fn an_error_about_a_connection_that_is_not_ours_changes_nothing() {
    let mut pair = support::Pair::new();
    let (a, _) = pair.established();
    pair.write(support::Side::A, a, b"data");
    let mut segment = pair.seen.last().unwrap().bytes.to_vec();
    // Another source port in the quoted segment.
    segment[20] ^= 0x10;
    let now = pair.now;
    let packet = error_about(&segment, ErrorKind::Unreachable(Unreachable::Host));
    pair.a.handle_packet(now, packet, RxChecksum::Unverified);
    assert_eq!(pair.a.soft_error(a), None);
    assert_eq!(pair.a.counters().dropped(DropReason::IcmpUnrelated), 1);
}

#[test]
fn a_forged_too_big_for_what_was_acknowledged_is_ignored() {
    let mut pair = support::Pair::new();
    let (a, _) = pair.established();
    pair.write(support::Side::A, a, &[0; 1400]);
    let segment = pair.seen.last().unwrap().bytes.clone();
    pair.run_for(std::time::Duration::from_secs(1));
    let before = pair.a.info(a).unwrap().snd_mss;
    let now = pair.now;
    let packet = error_about(&segment, ErrorKind::PacketTooBig { mtu: 600 });
    pair.a.handle_packet(now, packet, RxChecksum::Unverified);
    // RFC 5927 7.2: no segment of that size is in flight any more.
    assert_eq!(pair.a.info(a).unwrap().snd_mss, before);
}

#[test]
fn too_big_with_a_larger_size_than_ours_is_ignored() {
    let mut pair = support::Pair::new();
    let (a, _) = pair.established();
    pair.write(support::Side::A, a, &[0; 3000]);
    let before = pair.a.info(a).unwrap();
    let segment = pair.seen.last().unwrap().bytes.clone();
    let now = pair.now;
    let packet = error_about(&segment, ErrorKind::PacketTooBig { mtu: 9000 });
    pair.a.handle_packet(now, packet, RxChecksum::Unverified);
    pair.flush();
    let after = pair.a.info(a).unwrap();
    assert_eq!((after.snd_mss, after.total_retrans), (before.snd_mss, 0));
}

/// RFC 9293 SHLD-9, SHLD-25, MUST-47.
#[test]
fn soft_errors_explain_a_timeout() {
    let mut pair = support::Pair::new();
    let (a, _) = pair.established();
    pair.judge(|_, _, _| support::Fate::Drop);
    pair.write(support::Side::A, a, b"data");
    let segment = pair.seen.last().unwrap().bytes.clone();
    let mut found = None;
    // RFC 5461 2: the last error received, when R2 is reached.
    pair.run_until(std::time::Duration::from_secs(2000), |p| {
        let packet = error_about(&segment, ErrorKind::Unreachable(Unreachable::Host));
        let now = p.now;
        p.a.handle_packet(now, packet, RxChecksum::Unverified);
        found = p.a.take_error(a);
        found.is_some()
    });
    assert_eq!(found, Some(ConnectionError::HostUnreachable));
}

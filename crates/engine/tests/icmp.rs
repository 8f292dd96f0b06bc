//! ICMP (RFC 792, RFC 4443, RFC 5927, RFC 5461, RFC 1191, RFC 8201) and keepalive's neighbours on the IP level.

mod support;

use std::net::IpAddr;

use bytes::Bytes;
use millstream_engine::{
    ConnectionError, DropReason, Instant, RxChecksum, SocketOptions, Stack, State, Transmit,
};
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
    let mut message = [0; 8];
    assert!(icmp::emit_error(
        &mut message,
        ADDR_B.into(),
        ADDR_A.into(),
        kind,
        quoted
    ));
    let header = ip::Header {
        payload_len: 8 + quoted.len(),
        ..ip::Header::new(ADDR_B.into(), ADDR_A.into(), ip::ICMP)
    };
    let mut bytes = vec![0; header.len()];
    header.emit(&mut bytes);
    bytes.extend_from_slice(&message);
    bytes.extend_from_slice(quoted);
    bytes.into()
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
        assert_eq!(stack.is_connected(id), Err(error));
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
    // Progress clears it.
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
    for (src, dst, protocol) in [
        (ADDR_B.into(), ADDR_A.into(), ip::ICMP),
        (
            "fd00::2".parse().unwrap(),
            "fd00::1".parse().unwrap(),
            ip::ICMPV6,
        ),
    ] {
        let mut stack = stack();
        let data = b"are you there";
        let mut message = [0; 8];
        icmp::emit_echo_request(&mut message, src, dst, 77, 3, data);
        let header = ip::Header {
            payload_len: 8 + data.len(),
            ..ip::Header::new(src, dst, protocol)
        };
        let mut bytes = vec![0; header.len()];
        header.emit(&mut bytes);
        bytes.extend_from_slice(&message);
        bytes.extend_from_slice(data);
        let request = Bytes::from(bytes);
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

/// A UDP datagram from `src` to `dst`.
fn datagram(src: IpAddr, dst: IpAddr) -> Bytes {
    let header = ip::Header {
        payload_len: 8 + 4,
        ..ip::Header::new(src, dst, ip::UDP)
    };
    let mut bytes = vec![0; header.len()];
    header.emit(&mut bytes);
    // Ports 1111 and 53, a length, no checksum (the stack has no use for it), four bytes.
    bytes.extend_from_slice(&[0x04, 0x57, 0, 53, 0, 12, 0, 0, b'd', b'a', b't', b'a']);
    bytes.into()
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
    // An error about a UDP datagram that we never sent.
    let mut stack = stack();
    let stray = datagram(ADDR_A.into(), ADDR_B.into());
    let error = error_about(&stray, ErrorKind::Unreachable(Unreachable::Port));
    stack.handle_packet(Instant::ZERO, error, RxChecksum::Unverified);
    assert!(sent(&mut stack, Instant::ZERO).is_empty());
    assert_eq!(stack.counters().dropped(DropReason::IcmpUnrelated), 1);
}

#[test]
fn other_protocols_are_counted_and_not_answered() {
    let mut stack = stack();
    let header = ip::Header {
        payload_len: 0,
        ..ip::Header::new(ADDR_B.into(), ADDR_A.into(), 132)
    };
    let mut bytes = vec![0; header.len()];
    header.emit(&mut bytes);
    stack.handle_packet(Instant::ZERO, bytes.into(), RxChecksum::Unverified);
    assert!(sent(&mut stack, Instant::ZERO).is_empty());
    assert_eq!(stack.counters().dropped(DropReason::UnknownProtocol), 1);
}

/// RFC 9293 MUST-54.
#[test]
fn an_error_about_a_connection_that_is_not_ours_changes_nothing() {
    let mut pair = support::Pair::new();
    let (a, _) = pair.established();
    pair.write(support::Side::A, a, b"data");
    let mut segment = pair.seen.last().unwrap().bytes.to_vec();
    // Another source port in what is quoted.
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
    // RFC 5927 7.2: nothing of that size is in flight any more.
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
    // RFC 5461 2: the last thing heard, when R2 is reached.
    pair.run_until(std::time::Duration::from_secs(2000), |p| {
        let packet = error_about(&segment, ErrorKind::Unreachable(Unreachable::Host));
        let now = p.now;
        p.a.handle_packet(now, packet, RxChecksum::Unverified);
        found = p.a.take_error(a);
        found.is_some()
    });
    assert_eq!(found, Some(ConnectionError::HostUnreachable));
}

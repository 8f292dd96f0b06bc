//! ICMP (RFC 792, RFC 4443, RFC 5927, RFC 5461, RFC 1191, RFC 8201) and keepalive's neighbours on the IP level.

mod support;

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

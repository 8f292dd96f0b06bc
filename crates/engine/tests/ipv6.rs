//! TCP over IPv6 (RFC 8200, RFC 9293 MUST-15 and MUST-16, RFC 8201), and sockets of both families.

mod support;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use millstream_engine::{
    ConnectError, ConnectionError, ConnectionId, DropReason, ListenOptions, RxChecksum,
    SocketOptions,
};
use millstream_testbed::packet;
use millstream_wire::icmp::{ErrorKind, Unreachable};
use millstream_wire::tcp::{Flags, Header, Options, View};
use millstream_wire::{SeqNum, ip};
use support::{Fate, Pair, Side, packet};

const A: &str = "fd00::1";
const B: &str = "fd00::2";
const SOON: Duration = Duration::from_secs(2);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn addr(host: &str, port: u16) -> SocketAddr {
    (ip(host), port).into()
}

fn connect(pair: &mut Pair, remote: SocketAddr) -> ConnectionId {
    let now = pair.now;
    let options = SocketOptions::default();
    pair.a.connect(now, None, remote, options).unwrap()
}

/// A connection from A to B over IPv6.
fn established() -> (Pair, ConnectionId, ConnectionId) {
    let mut pair = Pair::new();
    let binding = pair.b.bind(addr(B, 80), true).unwrap();
    let listener = pair.b.listen(binding, ListenOptions::default()).unwrap();
    let a = connect(&mut pair, addr(B, 80));
    let mut accepted = None;
    pair.run_until(SOON, |p| {
        accepted = accepted.or_else(|| p.b.accept(listener));
        accepted.is_some() && p.a.finish_connect(a) == Ok(true)
    });
    (pair, a, accepted.unwrap().id)
}

fn options_of(bytes: &[u8]) -> Options {
    let packet = ip::Packet::parse(bytes).unwrap();
    let view = View::parse(packet.payload()).unwrap();
    Options::parse(view.options_bytes())
}

/// An ICMPv6 error from B about a packet of A.
fn error_about(packet: &[u8], kind: ErrorKind) -> Bytes {
    let error = packet::icmp_error(ip(B), ip(A), kind, packet);
    error.unwrap().into()
}

#[test]
fn a_connection_lives_from_syn_to_time_wait() {
    let (mut pair, a, b) = established();
    assert_eq!(pair.a.peer_addr(a), Some(addr(B, 80)));
    assert_eq!(pair.b.local_addr(b), Some(addr(B, 80)));
    let data = vec![42; 100_000];
    pair.write(Side::A, a, &data);
    let mut received = Vec::new();
    pair.run_until(SOON, |p| {
        received.extend(p.read(Side::B, b));
        received.len() == data.len()
    });
    assert!(received == data);
    let now = pair.now;
    pair.a.close(now, a);
    pair.run_for(SOON);
    let now = pair.now;
    pair.b.close(now, b);
    pair.run_for(SOON);
    assert_eq!(
        (pair.a.time_wait_count(), pair.b.connection_count()),
        (1, 0)
    );
    for seen in &pair.seen {
        let packet = ip::Packet::parse(&seen.bytes).unwrap();
        assert!(matches!(packet, ip::Packet::V6(_)));
        assert_eq!(packet.hop_limit(), 64);
        assert!(seen.bytes.len() <= 1500);
    }
}

#[test]
fn the_segment_size_leaves_room_for_the_longer_header() {
    let (pair, a, _) = established();
    assert_eq!(options_of(&pair.seen[0].bytes).mss, Some(1440));
    assert_eq!(pair.a.info(a).unwrap().snd_mss, 1440 - 12);
}

#[test]
fn a_peer_without_mss_option_gets_1220() {
    let mut pair = Pair::new();
    let a = connect(&mut pair, addr(B, 80));
    pair.flush();
    let syn = pair.seen[0].bytes.clone();
    let parsed = ip::Packet::parse(&syn).unwrap();
    let view = View::parse(parsed.payload()).unwrap();
    let header = Header {
        src_port: 80,
        dst_port: view.src_port(),
        seq: SeqNum::new(1000),
        ack: view.seq() + 1,
        flags: Flags::SYN | Flags::ACK,
        window: 10_000,
        ..Header::default()
    };
    let now = pair.now;
    let answer = packet(ip(B), ip(A), &header, &[]);
    pair.a.handle_packet(now, answer, RxChecksum::Unverified);
    // RFC 9293 MUST-15.
    assert_eq!(pair.a.info(a).unwrap().snd_mss, 1220);
}

/// RFC 9293 MUST-3.
#[test]
fn a_wrong_checksum_is_not_taken() {
    let mut pair = Pair::new();
    let binding = pair.b.bind(addr(B, 80), true).unwrap();
    let _ = pair.b.listen(binding, ListenOptions::default()).unwrap();
    connect(&mut pair, addr(B, 80));
    // A bit of the destination address, which only the pseudo-header covers, and a bit of the
    // segment.
    pair.judge(|_, _, count| match count {
        0 => Fate::Corrupt(8 * 53),
        _ => Fate::Drop,
    });
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.b.counters().dropped(DropReason::Checksum), 1);
    assert_eq!(pair.seen.len(), 1, "not answered");
}

#[test]
fn a_port_without_listener_refuses() {
    let mut pair = Pair::new();
    let a = connect(&mut pair, addr(B, 9));
    pair.run_for(SOON);
    assert_eq!(pair.a.finish_connect(a), Err(ConnectionError::Refused));
}

/// RFC 8200 4.1.
#[test]
fn extension_headers_are_walked() {
    let mut pair = Pair::new();
    let binding = pair.b.bind(addr(B, 80), true).unwrap();
    let _ = pair.b.listen(binding, ListenOptions::default()).unwrap();
    connect(&mut pair, addr(B, 80));
    pair.judge(|_, _, _| Fate::Drop);
    pair.flush();
    let syn = pair.seen[0].bytes.clone();
    // Hop-by-hop options and destination options, each with eight bytes of padding.
    for chain in [&[0u8][..], &[60], &[0, 60]] {
        let mut bytes = syn[..40].to_vec();
        let length = (syn.len() - 40 + 8 * chain.len()) as u16;
        bytes[4..6].copy_from_slice(&length.to_be_bytes());
        bytes[6] = chain[0];
        for index in 0..chain.len() {
            let next = chain.get(index + 1).copied().unwrap_or(ip::TCP);
            bytes.extend_from_slice(&[next, 0, 1, 4, 0, 0, 0, 0]);
        }
        bytes.extend_from_slice(&syn[40..]);
        let (now, before) = (pair.now, pair.seen.len());
        pair.b
            .handle_packet(now, bytes.into(), RxChecksum::Unverified);
        pair.flush();
        assert_eq!(pair.seen.len(), before + 1, "{chain:?} is not answered");
        // A retransmitted SYN is answered twice a second.
        pair.now += Duration::from_millis(500);
    }
}

#[test]
fn too_big_lowers_the_segment_size_to_1280_at_the_least() {
    for (mtu, expected) in [(1400, 1400), (1280, 1280)] {
        let (mut pair, a, b) = established();
        let limit = expected as usize;
        pair.judge(move |_, bytes, _| {
            if bytes.len() > limit {
                Fate::Drop
            } else {
                Fate::Deliver
            }
        });
        let before = pair.a.info(a).unwrap().ssthresh;
        pair.write(Side::A, a, &[1; 5000]);
        let large = pair.seen.iter().find(|seen| seen.bytes.len() > limit);
        let error = error_about(
            &large.unwrap().bytes.clone(),
            ErrorKind::PacketTooBig { mtu },
        );
        let now = pair.now;
        pair.a.handle_packet(now, error, RxChecksum::Unverified);
        pair.run_for(Duration::from_millis(190));
        let info = pair.a.info(a).unwrap();
        assert_eq!(info.snd_mss, expected - 60 - 12, "MTU {mtu}");
        assert_eq!(info.ssthresh, before, "no congestion");
        assert_eq!(pair.read(Side::B, b).len(), 5000, "MTU {mtu}");
    }
}

#[test]
fn too_big_below_1280_is_discarded() {
    // RFC 8201 4: every link carries 1280.
    let (mut pair, a, _) = established();
    let mss = pair.a.info(a).unwrap().snd_mss;
    pair.judge(|_, _, _| Fate::Drop);
    pair.write(Side::A, a, &[1; 1000]);
    let sent = pair.seen.last().unwrap().bytes.clone();
    let now = pair.now;
    let error = error_about(&sent, ErrorKind::PacketTooBig { mtu: 600 });
    pair.a.handle_packet(now, error, RxChecksum::Unverified);
    assert_eq!(pair.a.info(a).unwrap().snd_mss, mss);
    assert_eq!(pair.a.info(a).unwrap().total_retrans, 0);
}

#[test]
fn unreachable_fails_a_connection_that_is_opening() {
    for (code, expected) in [
        (Unreachable::Port, ConnectionError::Refused),
        (Unreachable::Host, ConnectionError::HostUnreachable),
        (Unreachable::Network, ConnectionError::NetworkUnreachable),
    ] {
        let mut pair = Pair::new();
        let a = connect(&mut pair, addr(B, 80));
        pair.judge(|_, _, _| Fate::Drop);
        pair.flush();
        let error = error_about(&pair.seen[0].bytes.clone(), ErrorKind::Unreachable(code));
        let now = pair.now;
        pair.a.handle_packet(now, error, RxChecksum::Unverified);
        assert_eq!(pair.a.finish_connect(a), Err(expected));
    }
}

/// The listener's address, the client's address, and whether they connect.
#[test]
fn listeners_of_both_families() {
    for (listening, v6_only, calling, expected) in [
        ("::", false, B, true),
        ("::", false, "10.0.0.2", true),
        ("::", true, B, true),
        ("::", true, "10.0.0.2", false),
        ("0.0.0.0", false, "10.0.0.2", true),
        ("0.0.0.0", false, B, false),
        (B, false, B, true),
        (B, false, "10.0.0.2", false),
        ("10.0.0.2", false, "10.0.0.2", true),
        ("10.0.0.2", false, B, false),
    ] {
        let mut pair = Pair::new();
        let binding = pair.b.bind(addr(listening, 80), true).unwrap();
        let options = ListenOptions::default().v6_only(v6_only);
        let listener = pair.b.listen(binding, options).unwrap();
        let a = connect(&mut pair, addr(calling, 80));
        pair.run_for(SOON);
        let expected_result = if expected {
            Ok(true)
        } else {
            Err(ConnectionError::Refused)
        };
        let case = format!("{listening} v6_only {v6_only} called at {calling}");
        assert_eq!(pair.a.finish_connect(a), expected_result, "{case}");
        let accepted = pair.b.accept(listener);
        assert_eq!(accepted.is_some(), expected, "{case}");
        if let Some(accepted) = accepted {
            // The listener's family, and the client's address.
            assert_eq!(accepted.local.is_ipv6(), ip(listening).is_ipv6(), "{case}");
            assert_eq!(accepted.local.ip().to_canonical(), ip(calling), "{case}");
        }
    }
}

/// As `IPV6_V6ONLY` is used by servers that want one socket per family.
#[test]
fn a_v6_only_listener_leaves_the_port_to_ipv4() {
    let mut pair = Pair::new();
    let binding = pair.b.bind(addr("::", 80), true).unwrap();
    let options = ListenOptions::default().v6_only(true);
    let six = pair.b.listen(binding, options).unwrap();
    let binding = pair.b.bind(addr("0.0.0.0", 80), true).unwrap();
    let four = pair.b.listen(binding, ListenOptions::default()).unwrap();
    connect(&mut pair, addr("10.0.0.2", 80));
    pair.run_for(SOON);
    assert!(pair.b.accept(four).is_some());
    assert!(pair.b.accept(six).is_none());
    connect(&mut pair, addr(B, 80));
    pair.run_for(SOON);
    assert!(pair.b.accept(four).is_none());
    assert!(pair.b.accept(six).is_some());
}

#[test]
fn a_mapped_destination_is_an_ipv4_one() {
    let mut pair = Pair::new();
    let listener = pair.listen(Side::B, 80);
    let a = connect(&mut pair, addr("::ffff:10.0.0.2", 80));
    pair.run_for(SOON);
    assert_eq!(pair.a.finish_connect(a), Ok(true));
    assert!(pair.b.accept(listener).is_some());
    assert!(matches!(
        ip::Packet::parse(&pair.seen[0].bytes),
        Ok(ip::Packet::V4(_))
    ));
}

#[test]
fn families_do_not_mix() {
    let mut pair = Pair::new();
    let now = pair.now;
    for (local, remote) in [("10.0.0.1", B), (A, "10.0.0.2")] {
        let binding = pair.a.bind(addr(local, 5000), false).unwrap();
        let options = SocketOptions::default();
        let result = pair
            .a
            .connect(now, Some(&binding), addr(remote, 80), options);
        assert!(
            matches!(result, Err(ConnectError::FamilyMismatch { .. })),
            "{local} {remote}: {result:?}"
        );
        pair.a.unbind(binding);
    }
}

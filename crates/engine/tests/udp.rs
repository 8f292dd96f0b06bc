//! UDP between two stacks: addresses, queues, errors and options.

mod support;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use millstream_engine::{
    BindError, Cidr, ConnectError, DropReason, Event, Fragmentation, Instant, Readiness,
    RxChecksum, Stack, Transmit, UdpDatagram, UdpError, UdpId, UdpOptions, UdpSend, UdpSendError,
};
use millstream_testbed::packet;
use millstream_wire::icmp::{ErrorKind, Unreachable};
use millstream_wire::ip;
use support::{ADDR_A, ADDR_B, Pair, Side, config};

const A4: &str = "10.0.0.1";
const B4: &str = "10.0.0.2";
const A6: &str = "fd00::1";
const B6: &str = "fd00::2";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ip_of(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip_of(ip), port)
}

fn bind(stack: &mut Stack, text: &str) -> UdpId {
    stack.udp_bind(addr(text), UdpOptions::default()).unwrap()
}

fn message(data: impl AsRef<[u8]>, to: SocketAddr) -> UdpSend {
    UdpSend::new(Bytes::copy_from_slice(data.as_ref())).to(Some(to))
}

fn send(pair: &mut Pair, from: Side, id: UdpId, data: impl AsRef<[u8]>, to: SocketAddr) {
    let now = pair.now;
    let sent = pair.stack(from).udp_send(now, id, &message(data, to));
    assert_eq!(sent, Ok(true));
    pair.run_for(Duration::from_millis(100));
}

fn received(stack: &mut Stack, id: UdpId) -> Vec<UdpDatagram> {
    std::iter::from_fn(|| stack.udp_recv(id).unwrap()).collect()
}

fn payloads(stack: &mut Stack, id: UdpId) -> Vec<Vec<u8>> {
    let datagrams = received(stack, id);
    datagrams.iter().map(|d| d.payload.to_vec()).collect()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}

/// All packets that the stack has to send.
fn sent(stack: &mut Stack, now: Instant) -> Vec<Bytes> {
    let mut out = Transmit::new();
    let mut packets = Vec::new();
    while stack.poll_transmit(now, &mut out) {
        let mut packet = Vec::new();
        out.write_to(&mut packet);
        packets.push(packet.into());
    }
    packets
}

#[test]
fn datagrams_come_back_over_both_families() {
    for (a, b) in [(A4, B4), (A6, B6)] {
        let mut pair = Pair::new();
        let client = pair.a.udp_bind(at(a, 0), UdpOptions::default()).unwrap();
        let server = pair.b.udp_bind(at(b, 7), UdpOptions::default()).unwrap();
        let own = pair.a.udp_local_addr(client).unwrap();
        send(&mut pair, Side::A, client, b"grist", at(b, 7));
        let datagrams = received(&mut pair.b, server);
        assert_eq!(datagrams.len(), 1);
        assert_eq!((datagrams[0].from, datagrams[0].to), (own, ip_of(b)));
        assert_eq!(datagrams[0].hop_limit, Some(64));
        send(&mut pair, Side::B, server, &datagrams[0].payload, own);
        assert_eq!(payloads(&mut pair.a, client), [b"grist"]);
        assert!(
            pair.events
                .contains(&(Side::A, Event::Udp(client, Readiness::READABLE)))
        );
    }
}

#[test]
fn a_datagram_may_be_empty() {
    let mut pair = Pair::new();
    let client = bind(&mut pair.a, "10.0.0.1:0");
    let server = bind(&mut pair.b, "10.0.0.2:7");
    send(&mut pair, Side::A, client, b"", addr("10.0.0.2:7"));
    send(&mut pair, Side::A, client, b"x", addr("10.0.0.2:7"));
    assert_eq!(payloads(&mut pair.b, server), [b"".to_vec(), b"x".to_vec()]);
}

/// Linux's rules, checked by `integration-tests` against the kernel's.
#[test]
fn an_address_is_shared_only_if_both_sockets_agree() {
    let reuse = |on| UdpOptions::default().reuse_addr(on);
    for (first, second, shared) in [
        ("10.0.0.1:53", "10.0.0.1:53", false),
        ("0.0.0.0:53", "10.0.0.1:53", false),
        ("[::]:53", "10.0.0.1:53", false),
        ("[::]:53", "0.0.0.0:53", false),
        ("10.0.0.1:53", "[fd00::1]:53", true),
        ("10.0.0.1:53", "127.0.0.1:53", true),
        ("10.0.0.1:53", "10.0.0.1:54", true),
    ] {
        for (one, other) in [(false, false), (true, false), (true, true)] {
            let mut stack = Stack::new(config(ADDR_A), [1; 32]);
            stack.udp_bind(addr(first), reuse(one)).unwrap();
            let result = stack.udp_bind(addr(second), reuse(other));
            let expected = shared || (one && other);
            assert_eq!(result.is_ok(), expected, "{first} {second} {one} {other}");
            if !expected {
                assert_eq!(result, Err(BindError::AddrInUse(addr(second))));
            }
        }
    }
}

#[test]
fn udp_and_tcp_have_ports_of_their_own() {
    let mut stack = Stack::new(config(ADDR_A), [1; 32]);
    let binding = stack.bind(addr("10.0.0.1:53"), false).unwrap();
    bind(&mut stack, "10.0.0.1:53");
    stack.unbind(binding);
}

#[test]
fn only_addresses_that_can_receive_are_bound() {
    let mut stack = Stack::new(config(ADDR_A), [1; 32]);
    for (text, works) in [
        ("10.0.0.1:1", true),
        ("127.1.2.3:1", true),
        ("10.0.0.255:1", true),
        ("255.255.255.255:1", true),
        ("239.1.2.3:1", true),
        ("[ff15::1]:1", true),
        ("10.0.0.9:1", false),
        ("[fd00::9]:1", false),
    ] {
        let result = stack.udp_bind(addr(text), UdpOptions::default());
        assert_eq!(result.is_ok(), works, "{text}: {result:?}");
    }
}

#[test]
fn ephemeral_ports_are_all_used_and_free_again() {
    let mut config = config(ADDR_A);
    config.ephemeral_ports = 40_000..=40_009;
    let mut stack = Stack::new(config, [1; 32]);
    let bind = |stack: &mut Stack| stack.udp_bind(addr("10.0.0.1:0"), UdpOptions::default());
    let ids: Vec<_> = (0..10).map(|_| bind(&mut stack).unwrap()).collect();
    let mut ports: Vec<_> = ids
        .iter()
        .map(|id| stack.udp_local_addr(*id).unwrap().port())
        .collect();
    ports.sort_unstable();
    assert_eq!(ports, (40_000..=40_009).collect::<Vec<_>>());
    assert_eq!(bind(&mut stack), Err(BindError::NoPortFree));
    stack.udp_close(Instant::ZERO, ids[3]);
    assert!(bind(&mut stack).is_ok());
    assert_eq!(stack.udp_count(), 10);
}

#[test]
fn a_connected_socket_hears_its_peer_alone() {
    let mut pair = Pair::new();
    let server = bind(&mut pair.b, "0.0.0.0:7");
    let (one, other) = (
        bind(&mut pair.a, "10.0.0.1:1"),
        bind(&mut pair.a, "10.0.0.1:2"),
    );
    pair.b.udp_connect(server, addr("10.0.0.1:1")).unwrap();
    assert_eq!(pair.b.udp_local_addr(server), Some(addr("10.0.0.2:7")));
    assert_eq!(pair.b.udp_peer_addr(server), Some(addr("10.0.0.1:1")));
    send(&mut pair, Side::A, other, b"no", addr("10.0.0.2:7"));
    send(&mut pair, Side::A, one, b"yes", addr("10.0.0.2:7"));
    assert_eq!(payloads(&mut pair.b, server), [b"yes"]);
    pair.b.udp_connect(server, addr("10.0.0.1:2")).unwrap();
    send(&mut pair, Side::A, one, b"no", addr("10.0.0.2:7"));
    send(&mut pair, Side::A, other, b"yes", addr("10.0.0.2:7"));
    assert_eq!(payloads(&mut pair.b, server), [b"yes"]);
    assert_eq!(
        pair.b
            .udp_send(pair.now, server, &UdpSend::new("to it".into())),
        Ok(true)
    );
    pair.run_for(Duration::from_millis(100));
    assert_eq!(payloads(&mut pair.a, other), [b"to it"]);
}

#[test]
fn of_sockets_that_share_an_address_the_last_one_receives() {
    let mut pair = Pair::new();
    let client = bind(&mut pair.a, "10.0.0.1:1");
    let shared = UdpOptions::default().reuse_addr(true);
    let [first, second] =
        [(); 2].map(|()| pair.b.udp_bind(addr("0.0.0.0:7"), shared.clone()).unwrap());
    let specific = pair
        .b
        .udp_bind(addr("127.0.0.1:7"), shared.clone())
        .unwrap();
    send(&mut pair, Side::A, client, b"x", addr("10.0.0.2:7"));
    assert_eq!(payloads(&mut pair.b, second).len(), 1);
    pair.b.udp_close(pair.now, second);
    send(&mut pair, Side::A, client, b"x", addr("10.0.0.2:7"));
    assert_eq!(payloads(&mut pair.b, first).len(), 1);
    assert!(payloads(&mut pair.b, specific).is_empty());
}

#[test]
fn an_ipv6_socket_sees_ipv4_as_mapped_addresses() {
    let mut pair = Pair::new();
    let client = bind(&mut pair.a, "10.0.0.1:1");
    let dual = bind(&mut pair.b, "[::]:7");
    send(&mut pair, Side::A, client, b"x", addr("10.0.0.2:7"));
    let datagrams = received(&mut pair.b, dual);
    assert_eq!(datagrams[0].from, addr("[::ffff:10.0.0.1]:1"));
    assert_eq!(datagrams[0].to, ip_of("::ffff:10.0.0.2"));
    send(&mut pair, Side::B, dual, b"y", datagrams[0].from);
    assert_eq!(payloads(&mut pair.a, client), [b"y"]);
    let six = UdpOptions::default().v6_only(true);
    let only = pair.b.udp_bind(addr("[::]:8"), six).unwrap();
    send(&mut pair, Side::A, client, b"x", addr("10.0.0.2:8"));
    assert!(received(&mut pair.b, only).is_empty());
    let to_v4 = message(b"x", addr("[::ffff:10.0.0.1]:1"));
    assert_eq!(
        pair.b.udp_send(pair.now, only, &to_v4),
        Err(UdpSendError::NetworkUnreachable(ip_of(A4)))
    );
    assert!(
        pair.b
            .udp_bind(addr("0.0.0.0:8"), UdpOptions::default())
            .is_ok()
    );
}

#[test]
fn the_stack_talks_to_itself() {
    for (own, to) in [
        ("0.0.0.0:7", "10.0.0.1:7"),
        ("127.0.0.1:7", "127.0.0.1:7"),
        ("[::]:7", "[::1]:7"),
        ("[fd00::1]:7", "[fd00::1]:7"),
        ("0.0.0.0:7", "0.0.0.0:7"),
    ] {
        let mut stack = Stack::new(config(ADDR_A), [1; 32]);
        let (server, client) = (bind(&mut stack, own), bind(&mut stack, "[::]:1"));
        for data in [b"small".to_vec(), pattern(65_507)] {
            let now = Instant::ZERO;
            assert_eq!(
                stack.udp_send(now, client, &message(&data, addr(to))),
                Ok(true)
            );
            assert!(sent(&mut stack, now).is_empty(), "nothing leaves: {to}");
            assert_eq!(payloads(&mut stack, server), [data], "{own} {to}");
        }
    }
}

fn refused(pair: &mut Pair, peer: &str, own: &str, connected: bool) -> Option<UdpError> {
    let client = bind(&mut pair.a, own);
    let send = UdpSend::new("x".into());
    if connected {
        pair.a.udp_connect(client, addr(peer)).unwrap();
        assert_eq!(pair.a.udp_send(pair.now, client, &send), Ok(true));
    } else {
        let send = send.to(Some(addr(peer)));
        assert_eq!(pair.a.udp_send(pair.now, client, &send), Ok(true));
    }
    pair.run_for(Duration::from_secs(1));
    let error = pair.a.udp_take_error(client);
    assert_eq!(pair.a.udp_take_error(client), None, "reported once");
    error
}

/// RFC 1122 4.1.3.3.
#[test]
fn a_port_without_socket_refuses_and_a_connected_socket_hears_of_it() {
    for (peer, own) in [("10.0.0.2:9", "10.0.0.1:0"), ("[fd00::2]:9", "[::]:0")] {
        let mut pair = Pair::new();
        assert_eq!(refused(&mut pair, peer, own, true), Some(UdpError::Refused));
        assert_eq!(refused(&mut pair, peer, own, false), None);
    }
    let mut pair = Pair::new();
    let itself = refused(&mut pair, "127.0.0.1:9", "0.0.0.0:0", true);
    assert_eq!(itself, Some(UdpError::Refused));
}

#[test]
fn a_failure_is_reported_by_reading_and_writing_once() {
    let mut pair = Pair::new();
    let client = bind(&mut pair.a, "10.0.0.1:1");
    pair.a.udp_connect(client, addr("10.0.0.2:9")).unwrap();
    let send = UdpSend::new("x".into());
    for reads in [true, false] {
        assert_eq!(pair.a.udp_send(pair.now, client, &send), Ok(true));
        pair.run_for(Duration::from_secs(3));
        assert!(pair.a.udp_is_readable(client) && pair.a.udp_has_failed(client));
        if reads {
            assert_eq!(pair.a.udp_recv(client), Err(UdpError::Refused));
        } else {
            let failed = pair.a.udp_send(pair.now, client, &send);
            assert_eq!(failed, Err(UdpSendError::Network(UdpError::Refused)));
        }
        assert_eq!(pair.a.udp_recv(client), Ok(None));
    }
    let told = Event::Udp(client, Readiness::READABLE | Readiness::WRITABLE);
    assert!(pair.events.contains(&(Side::A, told)));
}

#[test]
fn transient_and_foreign_errors_are_not_reported() {
    let mut stack = Stack::new(config(ADDR_A), [1; 32]);
    let client = bind(&mut stack, "10.0.0.1:1");
    stack.udp_connect(client, addr("10.0.0.2:9")).unwrap();
    let mut told = |kind, to: &str| {
        let quoted = packet::udp(addr("10.0.0.1:1"), addr(to), b"x");
        let error = packet::icmp_error(ADDR_B.into(), ADDR_A.into(), kind, &quoted).unwrap();
        stack.handle_packet(Instant::ZERO, error.into(), RxChecksum::Unverified);
        stack.udp_take_error(client)
    };
    let unreachable = ErrorKind::Unreachable;
    assert_eq!(told(unreachable(Unreachable::Network), "10.0.0.2:9"), None);
    assert_eq!(
        told(ErrorKind::TimeExceeded { code: 0 }, "10.0.0.2:9"),
        None
    );
    assert_eq!(told(unreachable(Unreachable::Port), "10.0.0.2:8"), None);
    for (reason, error) in [
        (Unreachable::Port, UdpError::Refused),
        (Unreachable::Protocol, UdpError::ProtocolUnavailable),
        (Unreachable::HostProhibited, UdpError::HostUnreachable),
        (Unreachable::NetworkUnknown, UdpError::NetworkUnreachable),
    ] {
        assert_eq!(told(unreachable(reason), "10.0.0.2:9"), Some(error));
    }
    assert_eq!(stack.counters().dropped(DropReason::IcmpUnrelated), 1);
}

#[test]
fn destinations_that_cannot_be_are_refused() {
    let mut stack = Stack::new(config(ADDR_A), [1; 32]);
    let v4 = bind(&mut stack, "0.0.0.0:1");
    let local = bind(&mut stack, "127.0.0.1:2");
    let mut told = |id, to: &str| stack.udp_send(Instant::ZERO, id, &message(b"x", addr(to)));
    let invalid = |to| Err(UdpSendError::InvalidDestination(addr(to)));
    assert_eq!(told(v4, "10.0.0.2:0"), invalid("10.0.0.2:0"));
    let six = addr("[fd00::2]:1");
    assert_eq!(
        told(v4, "[fd00::2]:1"),
        Err(UdpSendError::FamilyMismatch(six))
    );
    assert_eq!(told(v4, "240.0.0.1:1"), invalid("240.0.0.1:1"));
    assert_eq!(told(local, "10.0.0.2:1"), invalid("10.0.0.2:1"));
    for text in ["255.255.255.255", "10.0.0.255"] {
        let broadcast = ip_of(text);
        assert_eq!(
            told(v4, &format!("{text}:1")),
            Err(UdpSendError::BroadcastNotPermitted(broadcast))
        );
    }
    let nowhere = stack.udp_send(Instant::ZERO, v4, &UdpSend::new("x".into()));
    assert_eq!(nowhere, Err(UdpSendError::NoDestination));
    assert_eq!(
        stack.udp_connect(v4, addr("10.0.0.255:1")),
        Err(ConnectError::BroadcastNotPermitted(ip_of("10.0.0.255")))
    );
    let from = message(b"x", addr("10.0.0.2:1")).from(Some(ip_of("10.0.0.9")));
    assert_eq!(
        stack.udp_send(Instant::ZERO, v4, &from),
        Err(UdpSendError::InvalidSource(ip_of("10.0.0.9")))
    );
}

#[test]
fn broadcasts_reach_every_socket_of_the_port() {
    let mut pair = Pair::new();
    let options = UdpOptions::default().broadcast(true).reuse_addr(true);
    let sender = pair.a.udp_bind(addr("0.0.0.0:7"), options.clone()).unwrap();
    let hears: Vec<_> = ["0.0.0.0:7", "[::]:7", "10.0.0.255:7"]
        .map(|text| pair.b.udp_bind(addr(text), options.clone()).unwrap())
        .into();
    let deaf = pair.b.udp_bind(addr("10.0.0.2:7"), options).unwrap();
    send(&mut pair, Side::A, sender, b"all", addr("10.0.0.255:7"));
    for id in hears {
        let datagrams = received(&mut pair.b, id);
        assert_eq!(datagrams.len(), 1);
        assert_eq!(datagrams[0].to.to_canonical(), ip_of("10.0.0.255"));
    }
    assert!(received(&mut pair.b, deaf).is_empty());
    assert_eq!(
        payloads(&mut pair.a, sender),
        [b"all"],
        "as Linux loops it back"
    );
}

#[test]
fn header_fields_are_set_and_read_for_each_datagram() {
    let mut config_a = config(ADDR_A);
    config_a.addresses.push(Cidr::new(ip_of("10.0.0.7"), 24));
    let mut stack = Stack::new(config_a, [1; 32]);
    let options = UdpOptions::default().tos(0xB9).hop_limit(9);
    let socket = stack.udp_bind(addr("0.0.0.0:1"), options).unwrap();
    let mut emitted = |send: UdpSend| {
        assert_eq!(stack.udp_send(Instant::ZERO, socket, &send), Ok(true));
        let packets = sent(&mut stack, Instant::ZERO);
        let parsed = ip::Packet::parse(&packets[0]).unwrap();
        (parsed.src(), parsed.tos(), parsed.hop_limit())
    };
    let usual = message(b"x", addr("10.0.0.2:7"));
    assert_eq!(emitted(usual.clone()), (ip_of(A4), 0xB9, 9));
    let other = usual
        .from(Some(ip_of("10.0.0.7")))
        .tos(Some(2))
        .hop_limit(Some(3));
    assert_eq!(emitted(other), (ip_of("10.0.0.7"), 2, 3));

    let mut pair = Pair::new();
    let (client, server) = (bind(&mut pair.a, "[::]:1"), bind(&mut pair.b, "[::]:7"));
    for to in ["10.0.0.2:7", "[fd00::2]:7"] {
        let marked = message(b"x", addr(to)).tos(Some(0x2B)).hop_limit(Some(77));
        assert_eq!(pair.a.udp_send(pair.now, client, &marked), Ok(true));
        pair.run_for(Duration::from_millis(100));
        let datagrams = received(&mut pair.b, server);
        assert_eq!((datagrams[0].tos, datagrams[0].hop_limit), (0x2B, Some(77)));
    }
}

#[test]
fn a_checksum_may_be_left_out_over_ipv4_only() {
    let mut stack = Stack::new(config(ADDR_A), [1; 32]);
    let socket = bind(&mut stack, "[::]:7");
    for (from, to, accepted) in [
        ("10.0.0.2:1", "10.0.0.1:7", true),
        ("[fd00::2]:1", "[fd00::1]:7", false),
    ] {
        let mut bytes = packet::udp(addr(from), addr(to), b"data");
        let at = bytes.len() - 4 - 2;
        bytes[at..at + 2].fill(0);
        stack.handle_packet(Instant::ZERO, bytes.into(), RxChecksum::Unverified);
        assert_eq!(
            received(&mut stack, socket).len(),
            usize::from(accepted),
            "{from}"
        );
        let mut bytes = packet::udp(addr(from), addr(to), b"data");
        *bytes.last_mut().unwrap() ^= 1;
        stack.handle_packet(Instant::ZERO, bytes.into(), RxChecksum::Unverified);
        assert!(received(&mut stack, socket).is_empty());
    }
    assert_eq!(stack.counters().dropped(DropReason::Checksum), 3);
}

/// A flood that nobody reads.
#[test]
fn what_is_not_read_is_bounded_and_counted() {
    for len in [0, 1, 100, 1472] {
        let mut config = config(ADDR_A);
        config.receive_block = 128 << 10;
        let mut stack = Stack::new(config, [1; 32]);
        let socket = bind(&mut stack, "10.0.0.1:7");
        let limit = UdpOptions::default().receive_buffer;
        for i in 0..20_000u32 {
            let bytes = packet::udp(addr("10.0.0.2:1"), addr("10.0.0.1:7"), &pattern(len));
            stack.compact();
            let now = Instant::from_millis(i.into());
            stack.handle_packet(now, bytes.into(), RxChecksum::Unverified);
            assert!(
                stack.memory_used() <= limit + 2048,
                "{}",
                stack.memory_used()
            );
        }
        let dropped = stack.counters().dropped(DropReason::UdpQueueFull);
        let kept = received(&mut stack, socket);
        assert_eq!(dropped + kept.len() as u64, 20_000);
        assert!(kept.len() >= limit / (len + 512), "{}", kept.len());
        assert!(kept.iter().all(|datagram| datagram.payload == pattern(len)));
        assert_eq!(stack.memory_used(), 0);
    }
}

/// Many sockets together stay within the stack's memory.
#[test]
fn unread_datagrams_of_all_sockets_stay_within_the_budget() {
    let mut config = config(ADDR_A);
    config.memory = 1 << 20;
    let mut stack = Stack::new(config, [1; 32]);
    let sockets: Vec<_> = (1..=100)
        .map(|port| stack.udp_bind(at(A4, port), UdpOptions::default()).unwrap())
        .collect();
    for _ in 0..100 {
        for port in 1..=100 {
            let bytes = packet::udp(addr("10.0.0.2:1"), at(A4, port), &[0; 1400]);
            stack.handle_packet(Instant::ZERO, bytes.into(), RxChecksum::Unverified);
        }
    }
    assert!(
        stack.memory_used() <= (1 << 20) / 4 * 5 + 2048,
        "{}",
        stack.memory_used()
    );
    assert!(stack.counters().dropped(DropReason::OutOfMemory) > 0);
    for id in sockets {
        stack.udp_close(Instant::ZERO, id);
    }
    assert_eq!((stack.memory_used(), stack.udp_count()), (0, 0));
}

#[test]
fn a_full_send_buffer_tells_when_there_is_room() {
    let mut stack = Stack::new(config(ADDR_A), [1; 32]);
    let options = UdpOptions::default().send_buffer(10_000);
    let socket = stack.udp_bind(addr("10.0.0.1:1"), options).unwrap();
    let datagram = message([0; 1000], addr("10.0.0.2:7"));
    let mut count = 0;
    while stack.udp_send(Instant::ZERO, socket, &datagram).unwrap() {
        count += 1;
        assert!(count < 100);
    }
    assert!((8..=10).contains(&count), "{count}");
    assert!(!stack.udp_is_writable(socket));
    assert!(stack.memory_used() >= 1000 * count);
    let mut events = Vec::new();
    let mut out = Transmit::new();
    let mut packets = 0;
    while stack.poll_transmit(Instant::ZERO, &mut out) {
        packets += 1;
        let early = events.is_empty();
        events.extend(std::iter::from_fn(|| stack.poll_event()));
        assert!(early || packets > count / 2, "not before half is free");
    }
    assert_eq!(packets, count);
    assert_eq!(events, [Event::Udp(socket, Readiness::WRITABLE)]);
    assert_eq!(stack.memory_used(), 0);
}

#[test]
fn a_closed_socket_sends_what_waits_and_frees_its_port_at_once() {
    let mut stack = Stack::new(config(ADDR_A), [1; 32]);
    let socket = bind(&mut stack, "10.0.0.1:1");
    let datagram = message(b"last", addr("10.0.0.2:7"));
    assert_eq!(stack.udp_send(Instant::ZERO, socket, &datagram), Ok(true));
    stack.udp_close(Instant::ZERO, socket);
    assert_eq!(
        stack.udp_send(Instant::ZERO, socket, &datagram),
        Err(UdpSendError::Closed)
    );
    bind(&mut stack, "10.0.0.1:1");
    assert_eq!(sent(&mut stack, Instant::ZERO).len(), 1);
    assert_eq!((stack.udp_count(), stack.memory_used()), (1, 0));
}

#[test]
fn the_end_of_the_stack_closes_sockets_but_keeps_what_arrived() {
    for keeps in [false, true] {
        let mut stack = Stack::new(config(ADDR_A), [1; 32]);
        let (with, without) = (
            bind(&mut stack, "10.0.0.1:7"),
            bind(&mut stack, "10.0.0.1:8"),
        );
        let bytes = packet::udp(addr("10.0.0.2:1"), addr("10.0.0.1:7"), b"x");
        stack.handle_packet(Instant::ZERO, bytes.into(), RxChecksum::Unverified);
        if keeps {
            stack.disconnect_all(Instant::ZERO);
        } else {
            stack.abort_all(Instant::ZERO);
        }
        assert!(!stack.udp_has_unread(without));
        assert_eq!(stack.udp_has_unread(with), keeps);
        assert_eq!(received(&mut stack, with).len(), usize::from(keeps));
        stack.udp_close(Instant::ZERO, with);
        assert_eq!((stack.udp_count(), stack.memory_used()), (0, 0));
    }
}

/// A million flows, each opened, used and forgotten, leave nothing.
#[test]
fn flows_that_are_forgotten_leave_no_memory() {
    let mut stack = Stack::new(config(ADDR_A), [1; 32]);
    for flow in 0..1_000_000u32 {
        let socket = bind(&mut stack, "10.0.0.1:0");
        let peer = SocketAddr::new(
            IpAddr::from((0xC633_0000 + flow % 60_000).to_be_bytes()),
            53,
        );
        stack.udp_connect(socket, peer).unwrap();
        if flow % 1000 == 0 {
            assert_eq!(
                stack.udp_send(Instant::ZERO, socket, &UdpSend::new("?".into())),
                Ok(true)
            );
            assert_eq!(sent(&mut stack, Instant::ZERO).len(), 1);
        }
        stack.udp_close(Instant::ZERO, socket);
    }
    assert_eq!((stack.udp_count(), stack.memory_used()), (0, 0));
    assert!(!stack.has_output() && stack.poll_timeout().is_none());
}

#[test]
fn equal_datagrams_are_cut_from_one_payload() {
    let mut pair = Pair::new();
    let (client, server) = (bind(&mut pair.a, "[::]:1"), bind(&mut pair.b, "[::]:7"));
    for to in ["10.0.0.2:7", "[fd00::2]:7"] {
        let data = pattern(3500);
        let send = message(&data, addr(to)).segment_size(Some(1000));
        assert_eq!(pair.a.udp_send(pair.now, client, &send), Ok(true));
        pair.run_for(Duration::from_millis(100));
        let got = payloads(&mut pair.b, server);
        assert_eq!(
            got.iter().map(Vec::len).collect::<Vec<_>>(),
            [1000, 1000, 1000, 500]
        );
        assert_eq!(got.concat(), data);
        let large = message(&data, addr(to)).segment_size(Some(1473));
        assert_eq!(
            pair.a.udp_send(pair.now, client, &large),
            Err(UdpSendError::TooLarge(3500)),
            "segments are not fragmented"
        );
    }
}

#[test]
fn a_device_that_can_gets_checksums_and_sequences_to_complete() {
    let mut config = config(ADDR_A);
    config.offload.datagram_checksum = true;
    config.offload.max_datagrams = 8000;
    let mut stack = Stack::new(config, [1; 32]);
    let socket = bind(&mut stack, "0.0.0.0:1");
    let send = message(pattern(20_000), addr("10.0.0.2:7")).segment_size(Some(1000));
    assert_eq!(stack.udp_send(Instant::ZERO, socket, &send), Ok(true));
    let mut out = Transmit::new();
    let mut lengths = Vec::new();
    while stack.poll_transmit(Instant::ZERO, &mut out) {
        assert_eq!(out.segment_size(), Some(1000).filter(|_| out.len() > 1028));
        let partial = out.partial_checksum().unwrap();
        assert_eq!((partial.start, partial.offset), (20, 6));
        lengths.push(out.len() - 28);
    }
    assert_eq!(lengths, [8000, 8000, 4000]);
    // Fragments cannot be completed by a device.
    let send = message(pattern(5000), addr("10.0.0.2:7"));
    assert_eq!(stack.udp_send(Instant::ZERO, socket, &send), Ok(true));
    while stack.poll_transmit(Instant::ZERO, &mut out) {
        assert_eq!(out.partial_checksum(), None);
    }
}

/// A datagram socket that always has something to send takes no more than its turn.
#[test]
fn connections_and_sockets_take_turns() {
    let mut pair = Pair::new();
    let (a, _) = pair.established();
    let options = UdpOptions::default().send_buffer(1 << 20);
    let flood = pair.a.udp_bind(addr("10.0.0.1:1"), options).unwrap();
    let datagram = message([0; 1400], addr("10.0.0.2:9"));
    while pair.a.udp_send(pair.now, flood, &datagram).unwrap() {}
    let now = pair.now;
    let _ = pair.a.write(now, a, &[7; 5000]).unwrap();
    let mut out = Transmit::new();
    let mut before = 0;
    while pair.a.poll_transmit(now, &mut out) {
        let mut bytes = Vec::new();
        out.write_to(&mut bytes);
        if ip::Packet::parse(&bytes).unwrap().protocol() == ip::TCP {
            break;
        }
        before += bytes.len();
    }
    assert!(
        before <= 2 * (65_536 + 1428),
        "{before} bytes were sent first"
    );
}

#[test]
fn fragmentation_is_the_sockets_choice() {
    let mut config = config(ADDR_A);
    config.mtu = 1400;
    let mut stack = Stack::new(config, [1; 32]);
    let too_big = |stack: &mut Stack, mtu| {
        let quoted = packet::udp(addr("10.0.0.1:1"), addr("10.0.0.2:7"), b"x");
        let kind = ErrorKind::PacketTooBig { mtu };
        let error = packet::icmp_error(ADDR_B.into(), ADDR_A.into(), kind, &quoted).unwrap();
        stack.handle_packet(Instant::ZERO, error.into(), RxChecksum::Unverified);
    };
    let socket = bind(&mut stack, "10.0.0.1:1");
    // Packets as (length, may be fragmented, is a fragment).
    let lengths = |stack: &mut Stack, mode, len| {
        stack
            .udp_set_options(socket, |options| options.fragmentation = mode)
            .unwrap();
        let send = message(pattern(len), addr("10.0.0.2:7"));
        match stack.udp_send(Instant::ZERO, socket, &send) {
            Ok(_) => Ok(sent(stack, Instant::ZERO)
                .iter()
                .map(|bytes| match ip::Packet::parse(bytes).unwrap() {
                    ip::Packet::V4(view) => (
                        bytes.len(),
                        !view.dont_fragment(),
                        view.fragment().is_some(),
                    ),
                    ip::Packet::V6(_) => unreachable!(),
                })
                .collect::<Vec<_>>()),
            Err(error) => Err(error),
        }
    };
    let (path, routers) = (Fragmentation::Path, Fragmentation::Routers);
    let (refused, probe) = (Fragmentation::Refused, Fragmentation::Probe);
    let whole = |len, may| Ok(vec![(len, may, false)]);
    assert_eq!(lengths(&mut stack, path, 1372), whole(1400, false));
    assert_eq!(lengths(&mut stack, routers, 1372), whole(1400, true));
    let two = Ok(vec![(1396, true, true), (33, true, true)]);
    assert_eq!(lengths(&mut stack, path, 1381), two);
    assert_eq!(lengths(&mut stack, routers, 1381), two);
    let too_large = Err(UdpSendError::TooLarge(1373));
    assert_eq!(lengths(&mut stack, refused, 1373), too_large);
    assert_eq!(lengths(&mut stack, probe, 1373), too_large);
    too_big(&mut stack, 1000);
    assert_eq!(
        lengths(&mut stack, refused, 973),
        Err(UdpSendError::TooLarge(973))
    );
    assert_eq!(lengths(&mut stack, refused, 972), whole(1000, false));
    assert_eq!(lengths(&mut stack, probe, 1372), whole(1400, false));
    assert_eq!(lengths(&mut stack, routers, 1372), whole(1400, true));
    let two = Ok(vec![(996, true, true), (425, true, true)]);
    assert_eq!(lengths(&mut stack, path, 1373), two);
    too_big(&mut stack, 68);
    let least = lengths(&mut stack, path, 1000).unwrap();
    assert_eq!(least[0].0, 548, "no report goes below 552 bytes");
}

#[test]
fn a_connected_socket_hears_that_the_path_is_smaller() {
    let mut stack = Stack::new(config(ADDR_A), [1; 32]);
    let socket = bind(&mut stack, "10.0.0.1:1");
    stack.udp_connect(socket, addr("10.0.0.2:7")).unwrap();
    assert_eq!(stack.udp_max_payload(Instant::ZERO, socket), Some(1472));
    let quoted = packet::udp(addr("10.0.0.1:1"), addr("10.0.0.2:7"), b"x");
    let kind = ErrorKind::PacketTooBig { mtu: 1300 };
    let error = packet::icmp_error(ADDR_B.into(), ADDR_A.into(), kind, &quoted).unwrap();
    stack.handle_packet(Instant::ZERO, error.into(), RxChecksum::Unverified);
    assert_eq!(stack.udp_recv(socket), Err(UdpError::TooLarge));
    assert_eq!(stack.udp_max_payload(Instant::ZERO, socket), Some(1272));
    let later = Instant::from_millis(600_000);
    assert_eq!(stack.udp_max_payload(later, socket), Some(1472));
}

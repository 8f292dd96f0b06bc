//! Addresses: which ones a packet from the wire may have, which mean the stack itself, and which
//! can be bound or connected to (RFC 1122 3.2.1.3, RFC 1812 5.3.7, RFC 4291, RFC 6890).

#[path = "support/special.rs"]
mod special;
mod support;

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use millstream_engine::{
    BindError, ConnectError, ConnectionError, DropReason, Instant, ListenOptions, RxChecksum,
    SocketOptions, Stack, Transmit,
};
use millstream_testbed::packet;
use millstream_wire::tcp::{Flags, Header};
use millstream_wire::{SeqNum, ip};
use special::SPECIAL;
use support::{ADDR_A, config};

const NOW: Instant = Instant::from_millis(1000);

fn syn(src: IpAddr, dst: IpAddr) -> Bytes {
    let header = Header {
        src_port: 4000,
        dst_port: 80,
        seq: SeqNum::new(1),
        flags: Flags::SYN,
        window: 1000,
        ..Header::default()
    };
    support::packet(src, dst, &header, &[])
}

fn stack() -> Stack {
    Stack::new(config(ADDR_A), [1; 32])
}

/// The packets that the stack sends to the device.
fn sent(stack: &mut Stack) -> Vec<Vec<u8>> {
    let mut out = Transmit::new();
    let mut all = Vec::new();
    while stack.poll_transmit(NOW, &mut out) {
        let mut bytes = Vec::new();
        out.write_to(&mut bytes);
        all.push(bytes);
    }
    all
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn listen(stack: &mut Stack, local: &str) -> millstream_engine::ListenerId {
    let binding = stack.bind(addr(local), true).unwrap();
    stack.listen(binding, ListenOptions::default()).unwrap()
}

/// An address of this host and one of another host, of the family of `of`.
fn ours_and_theirs(of: IpAddr) -> (IpAddr, IpAddr) {
    if of.is_ipv4() {
        (ADDR_A.into(), [198, 51, 100, 1].into())
    } else {
        ("fd00::1".parse().unwrap(), "2607::1".parse().unwrap())
    }
}

/// RFC 9293 MUST-63.
#[test]
fn packets_from_the_wire_come_from_single_hosts() {
    for row in SPECIAL {
        let src: IpAddr = row.address.parse().unwrap();
        let mut stack = stack();
        listen(&mut stack, "[::]:80");
        stack.handle_packet(
            NOW,
            syn(src, ours_and_theirs(src).0),
            RxChecksum::Unverified,
        );
        let answered = !sent(&mut stack).is_empty();
        assert_eq!(answered, row.source, "from {} ({})", row.address, row.range);
        let dropped = stack.counters().dropped(DropReason::InvalidAddress);
        assert_eq!(dropped, u64::from(!row.source), "{}", row.address);
    }
}

/// RFC 9293 MUST-57: a listener on every address receives only addresses that a wire can carry.
#[test]
fn packets_from_the_wire_go_to_single_hosts() {
    for row in SPECIAL {
        let dst: IpAddr = row.address.parse().unwrap();
        let mut stack = stack();
        let listener = stack.listen_any(ListenOptions::default()).unwrap();
        stack.handle_packet(
            NOW,
            syn(ours_and_theirs(dst).1, dst),
            RxChecksum::Unverified,
        );
        let offered = stack
            .next_attempt(listener)
            .map(|attempt| attempt.local.ip());
        let expected = row.destination.then_some(dst);
        assert_eq!(offered, expected, "to {} ({})", row.address, row.range);
        assert!(sent(&mut stack).is_empty());
        let dropped = stack.counters().dropped(DropReason::InvalidAddress);
        assert_eq!(dropped, u64::from(!row.destination), "{}", row.address);
    }
}

/// Ranges in which Linux accepts packets that RFC 1122 3.2.1.3, RFC 1812 5.3.7 and RFC 4291 2.5.2
/// require a host to drop. The test against the kernel checks Linux with the same table.
#[test]
fn linux_takes_more_in_four_ranges() {
    let differ = |row: &&special::Special| (row.source, row.destination) != row.linux;
    let found: Vec<_> = SPECIAL
        .iter()
        .filter(differ)
        .map(|row| row.address)
        .collect();
    assert_eq!(found, ["0.1.2.3", "10.0.0.255", "240.1.2.3", "::"]);
}

/// RFC 1122 3.2.1.3 (g): also if the application has given the stack a loopback address of its own.
#[test]
fn a_loopback_address_of_ours_is_not_reached_from_the_wire() {
    let mut config = config(ADDR_A);
    config
        .addresses
        .push(millstream_engine::Cidr::new([127, 0, 0, 1].into(), 8));
    let mut stack = Stack::new(config, [1; 32]);
    listen(&mut stack, "127.0.0.1:80");
    let packet = syn([10, 0, 0, 2].into(), [127, 0, 0, 1].into());
    stack.handle_packet(NOW, packet, RxChecksum::Unverified);
    assert!(sent(&mut stack).is_empty());
    assert_eq!(stack.counters().dropped(DropReason::InvalidAddress), 1);
}

/// RFC 1122 3.2.1.7: a host must not discard a datagram just because its time to live is less than
/// 2; RFC 8200 3: nor one with a hop limit of zero. As Linux.
#[test]
fn the_destination_does_not_look_at_the_hop_limit() {
    for of in [IpAddr::from(ADDR_A), "fd00::1".parse().unwrap()] {
        let (ours, theirs) = ours_and_theirs(of);
        let mut stack = stack();
        listen(&mut stack, "[::]:80");
        let header = ip::Header {
            hop_limit: 0,
            ..ip::Header::new(theirs, ours, ip::TCP)
        };
        let packet = packet::ip(header, &syn(theirs, ours)[header.len()..]);
        stack.handle_packet(NOW, packet.into(), RxChecksum::Unverified);
        assert_eq!(sent(&mut stack).len(), 1, "{of}");
    }
}

/// Connects to `remote` and returns both addresses, or the error.
fn connect(stack: &mut Stack, remote: &str) -> Result<(String, String), ConnectionError> {
    let options = SocketOptions::default();
    let id = stack.connect(NOW, None, addr(remote), options).unwrap();
    assert_eq!(sent(stack), Vec::<Vec<u8>>::new(), "on the wire: {remote}");
    let ends = (stack.local_addr(id), stack.peer_addr(id));
    let name = |end: Option<SocketAddr>| end.map_or(String::new(), |end| end.ip().to_string());
    stack
        .finish_connect(id)
        .map(|connected| assert!(connected, "{remote}"))
        .map(|()| (name(ends.0), name(ends.1)))
}

/// RFC 1122 3.2.1.3 (g), RFC 4291 2.5.3; unspecified addresses as on Linux.
#[test]
fn loopback_and_unspecified_addresses_are_the_stack_itself() {
    for (remote, from, to) in [
        ("127.0.0.1:80", "127.0.0.1", "127.0.0.1"),
        ("127.9.9.9:80", "127.0.0.1", "127.9.9.9"),
        ("[::ffff:127.0.0.1]:80", "127.0.0.1", "127.0.0.1"),
        ("0.0.0.0:80", "127.0.0.1", "127.0.0.1"),
        ("[::ffff:0.0.0.0]:80", "127.0.0.1", "127.0.0.1"),
        ("[::1]:80", "::1", "::1"),
        ("[::]:80", "::1", "::1"),
        ("10.0.0.1:80", "10.0.0.1", "10.0.0.1"),
    ] {
        let mut stack = stack();
        assert_eq!(connect(&mut stack, remote), Err(ConnectionError::Refused));
        let listener = listen(&mut stack, "[::]:80");
        let ends = (from.to_owned(), to.to_owned());
        assert_eq!(connect(&mut stack, remote), Ok(ends), "{remote}");
        assert!(stack.accept(listener).is_some());
    }
}

/// The listener of a gateway serves only addresses that a wire can carry.
#[test]
fn a_listener_of_every_address_takes_no_loopback_connections() {
    let mut stack = stack();
    let listener = stack.listen_any(ListenOptions::default()).unwrap();
    for remote in ["127.0.0.1:80", "[::1]:80", "0.0.0.0:80"] {
        assert_eq!(connect(&mut stack, remote), Err(ConnectionError::Refused));
    }
    assert_eq!(stack.next_attempt(listener), None);
}

#[test]
fn from_a_bound_address_an_unspecified_one_is_that() {
    let mut stack = stack();
    let listener = listen(&mut stack, "10.0.0.1:80");
    let binding = stack.bind(addr("10.0.0.1:0"), false).unwrap();
    let options = SocketOptions::default();
    let id = stack.connect(NOW, Some(&binding), addr("0.0.0.0:80"), options);
    assert_eq!(stack.peer_addr(id.unwrap()), Some(addr("10.0.0.1:80")));
    assert!(sent(&mut stack).is_empty());
    assert!(stack.accept(listener).is_some());
}

/// As Linux: EINVAL.
#[test]
fn from_a_loopback_address_no_other_host_can_be_reached() {
    for (local, remote) in [("127.0.0.1:0", "10.0.0.2:80"), ("[::1]:0", "[fd00::2]:80")] {
        let mut stack = stack();
        let binding = stack.bind(addr(local), false).unwrap();
        let options = SocketOptions::default();
        let result = stack.connect(NOW, Some(&binding), addr(remote), options);
        assert_eq!(result, Err(ConnectError::InvalidDestination(addr(remote))));
    }
}

/// RFC 9293 MUST-46, with Linux's errors.
#[test]
fn what_cannot_be_connected_to() {
    let mut stack = stack();
    for (remote, expected) in [
        ("10.0.0.2:0", ConnectError::Refused(addr("10.0.0.2:0"))),
        ("127.0.0.1:0", ConnectError::Refused(addr("127.0.0.1:0"))),
        (
            "0.1.2.3:80",
            ConnectError::InvalidDestination(addr("0.1.2.3:80")),
        ),
        (
            "240.0.0.1:80",
            ConnectError::InvalidDestination(addr("240.0.0.1:80")),
        ),
        ("224.0.0.1:0", unreachable("224.0.0.1")),
        ("224.0.0.1:80", unreachable("224.0.0.1")),
        ("10.0.0.255:80", unreachable("10.0.0.255")),
        ("255.255.255.255:80", unreachable("255.255.255.255")),
        ("[ff02::1]:80", unreachable("ff02::1")),
    ] {
        let result = stack.connect(NOW, None, addr(remote), SocketOptions::default());
        assert_eq!(result, Err(expected), "{remote}");
    }
    assert!(!stack.has_output());
}

fn unreachable(ip: &str) -> ConnectError {
    ConnectError::NetworkUnreachable(ip.parse().unwrap())
}

/// As Linux: multicast and broadcast addresses can be bound over IPv4; a connection uses another
/// address.
#[test]
fn bind_accepts_the_addresses_that_linux_accepts() {
    for (local, expected) in [
        ("10.0.0.1:1", Ok(())),
        ("0.0.0.0:1", Ok(())),
        ("[::]:1", Ok(())),
        ("127.0.0.1:1", Ok(())),
        ("127.9.9.9:1", Ok(())),
        ("[::1]:1", Ok(())),
        ("224.0.0.1:1", Ok(())),
        ("10.0.0.255:1", Ok(())),
        ("255.255.255.255:1", Ok(())),
        (
            "[ff02::1]:1",
            Err(BindError::InvalidAddress("ff02::1".parse().unwrap())),
        ),
        (
            "10.0.0.9:1",
            Err(BindError::AddrNotAvailable([10, 0, 0, 9].into())),
        ),
        (
            "0.1.2.3:1",
            Err(BindError::AddrNotAvailable([0, 1, 2, 3].into())),
        ),
        (
            "240.0.0.1:1",
            Err(BindError::AddrNotAvailable([240, 0, 0, 1].into())),
        ),
        (
            "[fd00::9]:1",
            Err(BindError::AddrNotAvailable("fd00::9".parse().unwrap())),
        ),
    ] {
        let result = stack().bind(addr(local), true).map(|_| ());
        assert_eq!(result, expected, "{local}");
    }
    let mut stack = stack();
    let binding = stack.bind(addr("224.0.0.1:7000"), false).unwrap();
    let options = SocketOptions::default();
    let id = stack.connect(NOW, Some(&binding), addr("10.0.0.2:80"), options);
    assert_eq!(stack.local_addr(id.unwrap()), Some(addr("10.0.0.1:7000")));
}

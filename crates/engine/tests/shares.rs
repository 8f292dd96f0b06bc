//! Several stacks as one host: packets arrive at any of them, and each connection stays with its
//! owner.

mod support;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use bytes::Bytes;
use millstream_engine::{
    Accepted, ConnectError, ConnectionId, DropReason, Instant, ListenOptions, ListenerId,
    RxChecksum, Share, SocketOptions, Stack, State, Transmit,
};
use millstream_testbed::packet;
use millstream_wire::icmp::{ErrorKind, Unreachable};
use support::{ADDR_A, ADDR_B, config};

const SERVER: &str = "10.0.0.1:80";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn shares(count: u16) -> impl Iterator<Item = Share> {
    Share::split(NonZeroU16::new(count).unwrap())
}

/// Stacks that form one host, any of which may receive a packet.
struct Host {
    stacks: Vec<Stack>,
    random: u32,
    handed_on: usize,
}

impl Host {
    fn new(count: u16, address: [u8; 4]) -> Self {
        let stack = |share| {
            let config = config(address).share(share);
            Stack::new(config, [7; 32])
        };
        Self {
            stacks: shares(count).map(stack).collect(),
            random: 1,
            handed_on: 0,
        }
    }

    fn listen(&mut self, port: u16) -> Vec<ListenerId> {
        let addr = SocketAddr::new(ADDR_A.into(), port);
        let on = |stack: &mut Stack| {
            let binding = stack.bind(addr, true).unwrap();
            stack.listen(binding, ListenOptions::default()).unwrap()
        };
        self.stacks.iter_mut().map(on).collect()
    }

    /// Passes the packet to any of the stacks, whichever owns it.
    fn handle(&mut self, now: Instant, packet: Bytes) {
        self.random = self
            .random
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        let at = (self.random >> 16) as usize % self.stacks.len();
        self.stacks[at].handle_packet(now, packet, RxChecksum::Unverified);
        self.hand_on(now, at);
    }

    fn hand_on(&mut self, now: Instant, from: usize) {
        while let Some(packet) = self.stacks[from].poll_misdirected() {
            let owner = usize::from(packet.owner());
            assert_ne!(owner, from);
            self.stacks[owner].handle_misdirected(now, packet);
            let again = self.stacks[owner].poll_misdirected();
            assert!(again.is_none(), "the owner keeps it");
            self.handed_on += 1;
        }
    }

    fn sent(&mut self, now: Instant) -> VecDeque<Bytes> {
        let mut packets = VecDeque::new();
        for at in 0..self.stacks.len() {
            packets.extend(sent(&mut self.stacks[at], now));
            self.hand_on(now, at);
        }
        packets
    }
}

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

/// Passes packets until there are none.
fn exchange(a: &mut Host, b: &mut Host, now: &mut Instant) {
    loop {
        *now += Duration::from_millis(1);
        let (from_a, from_b) = (a.sent(*now), b.sent(*now));
        if from_a.is_empty() && from_b.is_empty() {
            return;
        }
        from_a.into_iter().for_each(|packet| b.handle(*now, packet));
        from_b.into_iter().for_each(|packet| a.handle(*now, packet));
    }
}

fn connect(host: &mut Host, at: usize, now: Instant) -> ConnectionId {
    let (server, options) = (addr(SERVER), SocketOptions::default());
    host.stacks[at].connect(now, None, server, options).unwrap()
}

/// The four-tuples of a stack's connections, as pairs of addresses.
fn tuples(stack: &Stack) -> BTreeSet<(SocketAddr, SocketAddr)> {
    let connections = stack.sockets().filter_map(|s| Some((s.local, s.peer?)));
    connections.collect()
}

#[test]
fn misdirected_packets_reach_the_owner() {
    let (mut server, mut client) = (Host::new(3, ADDR_A), Host::new(2, ADDR_B));
    let mut now = Instant::from_millis(1000);
    let listeners = server.listen(80);
    let mut texts = BTreeMap::new();
    for number in 0..64usize {
        let at = number % 2;
        let id = connect(&mut client, at, now);
        exchange(&mut server, &mut client, &mut now);
        assert_eq!(client.stacks[at].finish_connect(id), Ok(true), "{number}");
        let text = format!("from connection {number}").repeat(1000);
        let written = client.stacks[at].write(now, id, text.as_bytes());
        assert_eq!(written, Ok(text.len()));
        let local = client.stacks[at].local_addr(id).unwrap();
        texts.insert(local, text);
        exchange(&mut server, &mut client, &mut now);
    }
    assert!(server.handed_on > 64 && client.handed_on > 64);

    let mut seen = BTreeSet::new();
    for (stack, &listener) in server.stacks.iter_mut().zip(&listeners) {
        let mut accepted = 0;
        while let Some(Accepted { id, peer, .. }) = stack.accept(listener) {
            let mut chunks: Vec<Bytes> = Vec::new();
            stack.read(now, id, usize::MAX, &mut chunks).unwrap();
            assert_eq!(chunks.concat(), texts[&peer].as_bytes());
            accepted += 1;
        }
        assert!(accepted > 0, "every share has some");
        let own = tuples(stack);
        assert!(own.is_disjoint(&seen), "a four-tuple is of one share");
        seen.extend(own);
    }
    assert_eq!(seen.len(), 64);
    for stack in server.stacks.iter().chain(&client.stacks) {
        assert_eq!(stack.counters().resets_sent, 0);
    }
}

#[test]
fn nobody_but_the_owner_answers_for_a_closed_port() {
    let (mut server, mut client) = (Host::new(4, ADDR_A), Host::new(1, ADDR_B));
    let mut now = Instant::from_millis(1000);
    for _ in 0..16 {
        let id = connect(&mut client, 0, now);
        exchange(&mut server, &mut client, &mut now);
        assert!(client.stacks[0].finish_connect(id).is_err());
    }
    let resets = server.stacks.iter().map(|s| s.counters().resets_sent);
    assert_eq!(resets.sum::<u64>(), 16);
}

#[test]
fn ephemeral_ports_are_those_of_the_share() {
    let mut host = Host::new(4, ADDR_B);
    let now = Instant::from_millis(1000);
    let mut seen = BTreeSet::new();
    for number in 0..400 {
        connect(&mut host, number % 4, now);
    }
    // A port that was chosen for a connection cannot be bound, so that an equal host is asked.
    let mut equal = Host::new(4, ADDR_B);
    for (at, stack) in host.stacks.iter().enumerate() {
        for (local, peer) in tuples(stack) {
            let asked = &mut equal.stacks[0];
            let binding = asked.bind(local, true).unwrap();
            assert_eq!(asked.share_of(&binding, peer), Some(at as u16));
            asked.unbind(binding);
            assert!(seen.insert((local, peer)));
        }
    }
    assert_eq!(seen.len(), 400);
}

#[test]
fn a_share_uses_all_its_ports_and_no_others() {
    let ports = 40_000..=40_063;
    let mut taken = BTreeSet::new();
    for share in shares(3) {
        let config = config(ADDR_B).share(share).ephemeral_ports(ports.clone());
        let mut stack = Stack::new(config, [7; 32]);
        let now = Instant::from_millis(1000);
        let mut connect = || stack.connect(now, None, addr(SERVER), SocketOptions::default());
        let error = loop {
            if let Err(error) = connect() {
                break error;
            }
        };
        assert_eq!(error, ConnectError::AddrNotAvailable(addr(SERVER)));
        for (local, _) in tuples(&stack) {
            assert!(taken.insert(local.port()));
        }
    }
    assert!(taken.into_iter().eq(ports));
}

#[test]
fn a_connection_of_another_share_is_refused_with_its_owner() {
    let mut host = Host::new(2, ADDR_B);
    let now = Instant::from_millis(1000);
    for port in 5000..5032 {
        let local = SocketAddr::new(ADDR_B.into(), port);
        let mut owners = Vec::new();
        for (at, stack) in host.stacks.iter_mut().enumerate() {
            let binding = stack.bind(local, false).unwrap();
            let owner = stack.share_of(&binding, addr(SERVER)).unwrap();
            let options = SocketOptions::default();
            let result = stack.connect(now, Some(&binding), addr(SERVER), options);
            if usize::from(owner) == at {
                assert!(result.is_ok());
            } else {
                let remote = addr(SERVER);
                let expected = ConnectError::OtherShare {
                    local,
                    remote,
                    owner,
                };
                assert_eq!(result, Err(expected));
            }
            owners.push(owner);
        }
        assert_eq!(owners[0], owners[1], "all agree");
    }
}

#[test]
fn icmp_errors_reach_the_connection_they_are_about() {
    let mut host = Host::new(4, ADDR_B);
    let now = Instant::from_millis(1000);
    for _ in 0..4 {
        for at in 0..4 {
            let id = connect(&mut host, at, now);
            let syn = host.sent(now).pop_front().unwrap();
            host.handle(now, unreachable(&syn));
            let error = host.stacks[at].finish_connect(id).unwrap_err();
            assert_eq!(error, millstream_engine::ConnectionError::Refused);
        }
    }
    assert!(host.handed_on > 0);
}

/// The ICMP error of a host that refuses `packet`.
fn unreachable(packet: &Bytes) -> Bytes {
    let (src, dst) = (ADDR_A.into(), ADDR_B.into());
    let kind = ErrorKind::Unreachable(Unreachable::Port);
    let error = packet::icmp_error(src, dst, kind, packet);
    error.expect("IPv4 has that error").into()
}

#[test]
fn a_connection_of_the_host_to_itself_stays_in_one_share() {
    let mut host = Host::new(4, ADDR_A);
    let now = Instant::from_millis(1000);
    host.listen(80);
    for at in 0..4 {
        let id = connect(&mut host, at, now);
        assert!(host.sent(now).is_empty(), "nothing reaches the device");
        assert_eq!(host.stacks[at].state(id), Some(State::Established));
    }
    assert_eq!(host.handed_on, 0);
}

#[test]
fn the_queue_of_misdirected_packets_is_bounded() {
    let (mut server, mut client) = (Host::new(2, ADDR_A), Host::new(1, ADDR_B));
    let now = Instant::from_millis(1000);
    for _ in 0..4000 {
        connect(&mut client, 0, now);
    }
    let stack = &mut server.stacks[0];
    for packet in client.sent(now) {
        stack.handle_packet(now, packet, RxChecksum::Unverified);
    }
    let kept = std::iter::from_fn(|| stack.poll_misdirected()).count();
    let dropped = stack.counters().dropped(DropReason::MisdirectedQueueFull);
    assert_eq!(kept, 1024);
    assert!(dropped > 0);
    let own = stack.counters().dropped(DropReason::NoConnection);
    assert_eq!(kept as u64 + dropped + own, 4000);
}

/// A UDP socket is in the share that owns its port, wherever its datagrams arrive.
#[test]
fn a_udp_port_belongs_to_one_share() {
    let (mut a, mut b) = (Host::new(3, ADDR_A), Host::new(1, ADDR_B));
    let mut now = Instant::from_millis(1000);
    let options = millstream_engine::UdpOptions::default;
    let client = b.stacks[0].udp_bind(addr("10.0.0.2:9"), options()).unwrap();
    let mut echoed = 0;
    for port in 1..=30 {
        let owner = usize::from(a.stacks[0].udp_share_of(port));
        let at = SocketAddr::new(ADDR_A.into(), port);
        for (index, stack) in a.stacks.iter_mut().enumerate() {
            let bound = stack.udp_bind(at, options());
            assert_eq!(bound.is_ok(), index == owner, "{bound:?}");
        }
        let id = a.stacks[owner].udp_bind(SocketAddr::new([127, 0, 0, 1].into(), port), options());
        a.stacks[owner].udp_close(now, id.unwrap());
        let send = millstream_engine::UdpSend::new("x".into()).to(Some(at));
        for _ in 0..4 {
            assert_eq!(b.stacks[0].udp_send(now, client, &send), Ok(true));
        }
        exchange(&mut a, &mut b, &mut now);
    }
    for stack in &mut a.stacks {
        // The names are the engine's own: those of the first sockets of each stack.
        echoed += stack.memory_used() / 257;
    }
    assert_eq!(echoed, 120);
    assert!(a.handed_on > 0, "some arrived elsewhere");
    let free = a.stacks[1].udp_bind(addr("10.0.0.1:0"), options()).unwrap();
    let port = a.stacks[1].udp_local_addr(free).unwrap().port();
    assert_eq!(
        a.stacks[1].udp_share_of(port),
        1,
        "an ephemeral port is its own"
    );
    // An error about a datagram finds its socket, too.
    let nobody = addr("10.0.0.2:77");
    a.stacks[1].udp_connect(free, nobody).unwrap();
    for _ in 0..4 {
        let send = millstream_engine::UdpSend::new("x".into());
        assert_eq!(a.stacks[1].udp_send(now, free, &send), Ok(true));
        now += Duration::from_secs(2);
        exchange(&mut a, &mut b, &mut now);
        let error = a.stacks[1].udp_take_error(free);
        assert_eq!(error, Some(millstream_engine::UdpError::Refused));
    }
}

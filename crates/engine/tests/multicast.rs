//! Multicast: membership, its reports and queries, and who receives what is sent to a group.

mod support;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use bytes::Bytes;
use millstream_engine::{
    Cidr, DropReason, Instant, MembershipError, RxChecksum, Share, Stack, Transmit, UdpId,
    UdpOptions, UdpSend,
};
use millstream_testbed::packet;
use millstream_wire::checksum::{self, Sum};
use millstream_wire::membership::{IGMP, REPORTS_V4, REPORTS_V6};
use millstream_wire::{icmp, ip};
use support::{ADDR_A, ADDR_B, Pair, config};

const GROUP: &str = "239.1.2.3";
const GROUP_V6: &str = "ff15::1:2";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn group(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn shared() -> UdpOptions {
    UdpOptions::default().reuse_addr(true)
}

fn bind(stack: &mut Stack, text: &str) -> UdpId {
    stack.udp_bind(addr(text), shared()).unwrap()
}

fn payloads(stack: &mut Stack, id: UdpId) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| stack.udp_recv(id).unwrap())
        .map(|datagram| datagram.payload.to_vec())
        .collect()
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

/// The records of a report, as (type, group).
fn records(packet: &Bytes) -> Vec<(u8, IpAddr)> {
    let parsed = ip::Packet::parse(packet).unwrap();
    assert_eq!(parsed.hop_limit(), 1);
    let payload = parsed.payload();
    let (len, base) = match parsed.dst() {
        IpAddr::V4(dst) => {
            assert_eq!(
                (dst, parsed.protocol(), payload[0]),
                (REPORTS_V4, IGMP, 0x22)
            );
            let mut sum = Sum::new();
            sum.add(payload);
            assert!(checksum::is_valid(sum));
            (8, 4)
        }
        IpAddr::V6(dst) => {
            assert_eq!((dst, payload[0]), (REPORTS_V6, 143));
            icmp::Message::parse(&parsed).unwrap();
            (20, 16)
        }
    };
    let records = payload[8..].chunks(len).map(|record| {
        let group = match base {
            4 => IpAddr::from(<[u8; 4]>::try_from(&record[4..]).unwrap()),
            _ => IpAddr::from(<[u8; 16]>::try_from(&record[4..]).unwrap()),
        };
        (record[0], group)
    });
    records.collect()
}

/// All reports until no timer is left.
fn reports(stack: &mut Stack, now: &mut Instant) -> Vec<(u8, IpAddr)> {
    let mut all = Vec::new();
    loop {
        all.extend(sent(stack, *now).iter().flat_map(records));
        let Some(due) = stack.poll_timeout() else {
            return all;
        };
        *now = due;
        stack.handle_timeout(due);
    }
}

fn igmp_query(group: Ipv4Addr) -> Bytes {
    let mut message = vec![0x11, 10, 0, 0];
    message.extend(group.octets());
    message.extend([2, 125, 0, 0]);
    let mut sum = Sum::new();
    sum.add(&message);
    message[2..4].copy_from_slice(&sum.finish().to_be_bytes());
    let header = ip::Header {
        hop_limit: 1,
        ..ip::Header::new(ADDR_B.into(), [224, 0, 0, 1].into(), IGMP)
    };
    packet::ip(header, &message).into()
}

fn mld_query(src: &str, group: Ipv6Addr) -> Bytes {
    let (src, dst): (IpAddr, IpAddr) = (src.parse().unwrap(), "ff02::1".parse().unwrap());
    let mut message = vec![130, 0, 0, 0, 3, 0xE8, 0, 0];
    message.extend(group.octets());
    message.extend([2, 125, 0, 0]);
    let mut sum = checksum::pseudo_header(src, dst, ip::ICMPV6, message.len() as u32);
    sum.add(&message);
    message[2..4].copy_from_slice(&sum.finish().to_be_bytes());
    let header = ip::Header {
        hop_limit: 1,
        ..ip::Header::new(src, dst, ip::ICMPV6)
    };
    packet::ip(header, &message).into()
}

#[test]
fn members_receive_and_others_do_not() {
    for (text, from) in [(GROUP, "0.0.0.0:1"), (GROUP_V6, "[::]:1")] {
        let to = SocketAddr::new(group(text), 7);
        let mut pair = Pair::new();
        let sender = bind(&mut pair.a, from);
        let any = if to.is_ipv4() { "0.0.0.0:7" } else { "[::]:7" };
        let member = bind(&mut pair.b, any);
        let all = bind(&mut pair.b, any);
        let own = pair
            .b
            .udp_bind(addr(any), shared().multicast_all(false))
            .unwrap();
        let bound = pair.b.udp_bind(to, shared()).unwrap();
        let told = |pair: &mut Pair, data: &str| {
            let send = UdpSend::new(Bytes::copy_from_slice(data.as_bytes())).to(Some(to));
            assert_eq!(pair.a.udp_send(pair.now, sender, &send), Ok(true));
            pair.run_for(Duration::from_millis(50));
            [member, all, own, bound].map(|id| payloads(&mut pair.b, id).len())
        };
        assert_eq!(told(&mut pair, "nobody"), [0; 4]);
        assert_eq!(pair.b.counters().dropped(DropReason::NoMember), 1);
        let now = pair.now;
        pair.b.udp_join(now, member, group(text)).unwrap();
        assert_eq!(told(&mut pair, "all"), [1, 1, 0, 1], "{text}");
        pair.b.udp_join(now, own, group(text)).unwrap();
        pair.b.udp_leave(now, member, group(text)).unwrap();
        assert_eq!(told(&mut pair, "still"), [1, 1, 1, 1]);
        pair.b.udp_close(now, own);
        assert_eq!(told(&mut pair, "nobody")[..2], [0, 0]);
    }
}

#[test]
fn joining_and_leaving_are_reported_and_queries_answered() {
    let mut config = config(ADDR_A);
    config
        .addresses
        .push(Cidr::new("fe80::1".parse().unwrap(), 64));
    let mut stack = Stack::new(config, [1; 32]);
    let mut now = Instant::from_millis(1000);
    let socket = bind(&mut stack, "[::]:7");
    for text in [GROUP, GROUP_V6] {
        stack.udp_join(now, socket, group(text)).unwrap();
        let told = reports(&mut stack, &mut now);
        assert_eq!(told, [(4, group(text)); 2], "joined, twice");
    }
    let query = |stack: &mut Stack, packet: Bytes, now: Instant| {
        stack.handle_packet(now, packet, RxChecksum::Unverified);
    };
    let asked = now;
    query(&mut stack, igmp_query(Ipv4Addr::UNSPECIFIED), now);
    assert_eq!(reports(&mut stack, &mut now), [(2, group(GROUP))]);
    assert!(now <= asked + Duration::from_secs(1));
    query(&mut stack, igmp_query([239, 9, 9, 9].into()), now);
    assert!(reports(&mut stack, &mut now).is_empty(), "not our group");
    let IpAddr::V6(six) = group(GROUP_V6) else {
        unreachable!()
    };
    for (src, answers) in [("fe80::2", 1), ("fd00::2", 0)] {
        query(&mut stack, mld_query(src, six), now);
        assert_eq!(reports(&mut stack, &mut now).len(), answers, "{src}");
        query(&mut stack, mld_query(src, Ipv6Addr::UNSPECIFIED), now);
        assert_eq!(reports(&mut stack, &mut now).len(), answers, "{src}");
    }
    stack.udp_close(now, socket);
    let mut told = reports(&mut stack, &mut now);
    told.sort_unstable();
    let left = [group(GROUP), group(GROUP), group(GROUP_V6), group(GROUP_V6)];
    assert_eq!(told, left.map(|group| (3, group)));
}

#[test]
fn the_end_of_the_stack_leaves_groups_and_no_timer() {
    let mut stack = Stack::new(config(ADDR_A), [1; 32]);
    let now = Instant::from_millis(1000);
    let socket = bind(&mut stack, "0.0.0.0:7");
    stack.udp_join(now, socket, group(GROUP)).unwrap();
    sent(&mut stack, now);
    stack.abort_all(now);
    let told: Vec<_> = sent(&mut stack, now).iter().flat_map(records).collect();
    assert_eq!(told, [(3, group(GROUP))]);
    assert_eq!((stack.poll_timeout(), stack.udp_count()), (None, 0));
}

/// A flood of queries causes few answers.
#[test]
fn answers_to_queries_are_bounded() {
    let mut stack = Stack::new(config(ADDR_A), [1; 32]);
    let socket = bind(&mut stack, "0.0.0.0:7");
    let mut now = Instant::from_millis(1000);
    for number in 0..200 {
        let group = IpAddr::from([239, 0, 0, number]);
        stack.udp_join(now, socket, group).unwrap();
    }
    reports(&mut stack, &mut now);
    let mut count = 0;
    for _ in 0..10_000 {
        now += Duration::from_micros(100);
        stack.handle_packet(
            now,
            igmp_query(Ipv4Addr::UNSPECIFIED),
            RxChecksum::Unverified,
        );
        stack.handle_timeout(now);
        count += sent(&mut stack, now).len();
    }
    assert!((1..=20).contains(&count), "{count} packets in a second");
}

#[test]
fn memberships_are_checked() {
    let mut stack = Stack::new(config(ADDR_A), [1; 32]);
    let now = Instant::ZERO;
    let socket = bind(&mut stack, "0.0.0.0:7");
    let no = group("10.0.0.2");
    let join = |stack: &mut Stack, group| stack.udp_join(now, socket, group);
    assert_eq!(join(&mut stack, no), Err(MembershipError::NotMulticast(no)));
    let six = group(GROUP_V6);
    assert_eq!(
        join(&mut stack, six),
        Err(MembershipError::NotMulticast(six))
    );
    let ours = group(GROUP);
    let left = stack.udp_leave(now, socket, ours);
    assert_eq!(left, Err(MembershipError::NotMember(ours)));
    assert_eq!(join(&mut stack, ours), Ok(()));
    assert_eq!(
        join(&mut stack, ours),
        Err(MembershipError::AlreadyMember(ours))
    );
    let many = (0..1000u16).map(|i| IpAddr::from([239, 2, (i >> 8) as u8, i as u8]));
    let joined = many
        .filter(|group| join(&mut stack, *group).is_ok())
        .count();
    assert_eq!(joined, 255);
}

#[test]
fn what_is_sent_to_a_group_comes_back_to_its_members_here() {
    let mut stack = Stack::new(config(ADDR_A), [1; 32]);
    let mut now = Instant::ZERO;
    let (sender, member) = (bind(&mut stack, "0.0.0.0:1"), bind(&mut stack, "0.0.0.0:7"));
    stack.udp_join(now, member, group(GROUP)).unwrap();
    reports(&mut stack, &mut now);
    // (loop, time to live) -> (received here, packets on the link, time to live there)
    for (loops, ttl, here, there) in [
        (true, 1, 1, 1),
        (false, 1, 0, 1),
        (true, 0, 1, 0),
        (false, 0, 0, 0),
        (true, 9, 1, 1),
    ] {
        stack
            .udp_set_options(sender, |options| {
                options.multicast_loop = loops;
                options.multicast_hop_limit = ttl;
            })
            .unwrap();
        let send = UdpSend::new("x".into()).to(Some(SocketAddr::new(group(GROUP), 7)));
        assert_eq!(stack.udp_send(now, sender, &send), Ok(true));
        let packets = sent(&mut stack, now);
        assert_eq!(packets.len(), there);
        for bytes in packets {
            assert_eq!(ip::Packet::parse(&bytes).unwrap().hop_limit(), ttl);
        }
        assert_eq!(payloads(&mut stack, member).len(), here, "{loops} {ttl}");
    }
}

#[test]
fn other_packets_to_groups_are_dropped() {
    let mut stack = Stack::new(config(ADDR_A), [1; 32]);
    let now = Instant::ZERO;
    let socket = bind(&mut stack, "0.0.0.0:7");
    stack.udp_join(now, socket, group(GROUP)).unwrap();
    sent(&mut stack, now);
    let to = group(GROUP);
    let before = stack.counters().dropped(DropReason::InvalidAddress);
    let header = millstream_wire::tcp::Header::default();
    let segment = packet::tcp(ADDR_B.into(), to, &header, b"");
    let echo = packet::echo_request(ADDR_B.into(), to, 1, 1, b"x");
    let from_group = packet::udp(SocketAddr::new(to, 1), SocketAddr::new(to, 7), b"x");
    let from_us = packet::udp(addr("10.0.0.1:1"), SocketAddr::new(to, 7), b"x");
    for bytes in [segment, echo, from_group, from_us] {
        stack.handle_packet(now, bytes.into(), RxChecksum::Unverified);
    }
    assert!(sent(&mut stack, now).is_empty(), "no answer");
    let dropped = stack.counters().dropped(DropReason::InvalidAddress);
    assert_eq!(dropped - before, 4);
    assert!(payloads(&mut stack, socket).is_empty());
}

/// A query reaches every share, and each reports the groups of its own sockets.
#[test]
fn every_share_answers_for_its_groups() {
    let shares = Share::split(NonZeroU16::new(3).unwrap());
    let mut stacks: Vec<_> = shares
        .map(|share| Stack::new(config(ADDR_A).share(share), [1; 32]))
        .collect();
    let mut now = Instant::from_millis(1000);
    for number in 0..3u8 {
        let port = (1..)
            .find(|port| stacks[0].udp_share_of(*port) == u16::from(number))
            .unwrap();
        let stack = &mut stacks[usize::from(number)];
        let socket = stack
            .udp_bind(SocketAddr::from(([0; 4], port)), shared())
            .unwrap();
        stack
            .udp_join(now, socket, IpAddr::from([239, 0, 0, number]))
            .unwrap();
        reports(stack, &mut now);
    }
    stacks[1].handle_packet(
        now,
        igmp_query(Ipv4Addr::UNSPECIFIED),
        RxChecksum::Unverified,
    );
    while let Some(packet) = stacks[1].poll_misdirected() {
        let owner = usize::from(packet.owner());
        stacks[owner].handle_misdirected(now, packet);
        assert!(stacks[owner].poll_misdirected().is_none());
    }
    for (number, stack) in stacks.iter_mut().enumerate() {
        let mut now = now;
        let told = reports(stack, &mut now);
        assert_eq!(told, [(2, IpAddr::from([239, 0, 0, number as u8]))]);
    }
}

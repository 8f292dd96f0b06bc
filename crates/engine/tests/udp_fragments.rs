//! Large datagrams: fragmented by one stack and put together by another.

mod support;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use millstream_engine::{Instant, Stack, Transmit, UdpOptions, UdpSend, UdpSendError};
use millstream_wire::ip;
use proptest::prelude::*;
use support::{ADDR_A, Fate, Pair, config};

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}

fn fragments(stack: &mut Stack) -> Vec<ip::Fragment> {
    let mut out = Transmit::new();
    let mut all = Vec::new();
    while stack.poll_transmit(Instant::ZERO, &mut out) {
        let mut bytes = Vec::new();
        out.write_to(&mut bytes);
        all.extend(ip::Packet::parse(&bytes).unwrap().fragment());
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_length_arrives_whole_in_any_order(
        len in prop_oneof![0..4000usize, 60_000..=65_507usize],
        mtu in 1280..1600usize,
        v6: bool,
        shuffle in prop::collection::vec(0..50u64, 64),
    ) {
        let mut pair = Pair::with(|config| config.mtu = mtu);
        pair.judge(move |_, bytes, number| {
            assert!(bytes.len() <= mtu);
            Fate::Delay(Duration::from_micros(shuffle[number % shuffle.len()]))
        });
        let to = addr(if v6 { "[fd00::2]:7" } else { "10.0.0.2:7" });
        let client = pair.a.udp_bind(addr("[::]:1"), UdpOptions::default()).unwrap();
        let server = pair.b.udp_bind(addr("[::]:7"), UdpOptions::default()).unwrap();
        let data = Bytes::from(pattern(len));
        let send = UdpSend::new(data.clone()).to(Some(to)).tos(Some(2));
        prop_assert_eq!(pair.a.udp_send(pair.now, client, &send), Ok(true));
        pair.run_for(Duration::from_secs(1));
        let got = pair.b.udp_recv(server).unwrap().expect("it arrives");
        prop_assert_eq!(&got.payload, &data);
        prop_assert_eq!(got.tos & 0b11, 2);
        prop_assert!(got.hop_limit.is_none_or(|limit| limit == 64));
        prop_assert_eq!(pair.b.udp_recv(server), Ok(None));
    }
}

#[test]
fn the_largest_datagrams_of_both_families() {
    for (to, most) in [("10.0.0.2:7", 65_507), ("[fd00::2]:7", 65_527)] {
        let mut pair = Pair::new();
        let client = pair
            .a
            .udp_bind(addr("[::]:1"), UdpOptions::default())
            .unwrap();
        let server = pair
            .b
            .udp_bind(addr("[::]:7"), UdpOptions::default())
            .unwrap();
        let send = |len| UdpSend::new(pattern(len).into()).to(Some(addr(to)));
        let refused = pair.a.udp_send(pair.now, client, &send(most + 1));
        assert_eq!(refused, Err(UdpSendError::TooLarge(most + 1)));
        assert_eq!(pair.a.udp_send(pair.now, client, &send(most)), Ok(true));
        pair.run_for(Duration::from_secs(1));
        let got = pair.b.udp_recv(server).unwrap().expect("it arrives");
        assert_eq!(got.payload, pattern(most));
    }
}

/// RFC 6864 4.3, RFC 7739: identifications do not repeat, nor can they be predicted.
#[test]
fn identifications_are_distinct_and_unknown() {
    for to in ["10.0.0.2:7", "[fd00::2]:7"] {
        let first = |seed: u8| {
            let mut stack = Stack::new(config(ADDR_A), [seed; 32]);
            let socket = stack
                .udp_bind(addr("[::]:1"), UdpOptions::default())
                .unwrap();
            let mut ids = Vec::new();
            for _ in 0..100 {
                let send = UdpSend::new(pattern(3000).into()).to(Some(addr(to)));
                assert_eq!(stack.udp_send(Instant::ZERO, socket, &send), Ok(true));
                let pieces = fragments(&mut stack);
                assert_eq!(pieces.len(), 3);
                assert!(pieces.iter().all(|piece| piece.id == pieces[0].id));
                ids.push(pieces[0].id);
            }
            let distinct: HashSet<_> = ids.iter().collect();
            assert_eq!(distinct.len(), 100);
            ids[0]
        };
        let starts: HashSet<_> = (0..20).map(first).collect();
        assert!(starts.len() >= 19, "{starts:?}");
    }
}

/// One fragment that is missing loses the datagram, and nothing of it stays.
#[test]
fn a_lost_fragment_loses_the_datagram() {
    let mut pair = Pair::new();
    pair.judge(|_, _, number| {
        if number == 1 {
            Fate::Drop
        } else {
            Fate::Deliver
        }
    });
    let client = pair
        .a
        .udp_bind(addr("[::]:1"), UdpOptions::default())
        .unwrap();
    let server = pair
        .b
        .udp_bind(addr("[::]:7"), UdpOptions::default())
        .unwrap();
    let send = UdpSend::new(pattern(5000).into()).to(Some(addr("10.0.0.2:7")));
    assert_eq!(pair.a.udp_send(pair.now, client, &send), Ok(true));
    pair.run_for(Duration::from_secs(60));
    assert_eq!(pair.b.udp_recv(server), Ok(None));
    assert_eq!(pair.b.poll_timeout(), None);
}

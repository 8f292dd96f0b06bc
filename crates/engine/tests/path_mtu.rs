//! Paths with a smaller MTU than the device: with routers that report it, and without.

mod support;

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use millstream_engine::{ConnectionId, DropReason, MtuProbing, RxChecksum, SocketOptions};
use millstream_testbed::packet;
use millstream_wire::icmp::ErrorKind;
use support::{ADDR_A, ADDR_B, Fate, Pair, Side};

/// Drops packets larger than `mtu` from A to B.
fn narrow(pair: &mut Pair, mtu: usize) {
    pair.judge(move |from, bytes, _| {
        if from == Side::A && bytes.len() > mtu {
            Fate::Drop
        } else {
            Fate::Deliver
        }
    });
}

/// A writes `bytes` as there is room, and B reads them. Returns the time taken.
fn transfer(pair: &mut Pair, ids: (ConnectionId, ConnectionId), bytes: usize) -> Duration {
    let start = pair.now;
    let (mut written, mut read) = (0, 0);
    while read < bytes {
        let now = pair.now;
        let room = pair.a.write_capacity(ids.0).min(bytes - written);
        written += pair.a.write(now, ids.0, &vec![3; room]).unwrap();
        pair.flush();
        pair.run_for(Duration::from_millis(10));
        read += pair.read(Side::B, ids.1).len();
        assert!(pair.now - start < Duration::from_secs(600), "it hangs");
    }
    pair.now - start
}

fn mss(pair: &Pair, id: ConnectionId) -> u32 {
    pair.a.info(id).unwrap().snd_mss
}

/// The error of a router between the two that forwards at most `mtu` bytes.
fn too_big(quoted: &[u8], mtu: u32) -> Bytes {
    let (router, a): (IpAddr, IpAddr) = ([10, 0, 0, 9].into(), ADDR_A.into());
    let kind = ErrorKind::PacketTooBig { mtu };
    packet::icmp_error(router, a, kind, quoted).unwrap().into()
}

/// The last full segment that A sent.
fn last_large(pair: &Pair) -> Bytes {
    let mut sent = pair.seen.iter().rev();
    let large = sent.find(|seen| seen.from == Side::A && seen.bytes.len() > 600);
    large.unwrap().bytes.clone()
}

/// RFC 4821 7 and 7.2, RFC 8899 4.
#[test]
fn a_black_hole_is_found_and_its_size_searched_for() {
    let mut pair = Pair::new();
    let ids = pair.established();
    narrow(&mut pair, 1300);
    let took = transfer(&mut pair, ids, 1_000_000);
    assert!(took < Duration::from_secs(20), "{took:?}");
    // 1300 less the headers and timestamps, to the resolution of the search.
    let found = mss(&pair, ids.0);
    assert!((1240..=1248).contains(&found), "{found}");
}

/// RFC 4821 7.2 and 7.4: no segment that is larger than the path MTU has to time out.
#[test]
fn a_search_from_the_beginning_loses_probes_only() {
    let mut pair = Pair::with(|config| config.mtu_probing = MtuProbing::Always);
    let ids = pair.established();
    assert_eq!(mss(&pair, ids.0), 1024);
    narrow(&mut pair, 1300);
    let took = transfer(&mut pair, ids, 1_000_000);
    assert!(took < Duration::from_secs(5), "{took:?}");
    let found = mss(&pair, ids.0);
    assert!((1240..=1248).contains(&found), "{found}");
    let info = pair.a.info(ids.0).unwrap();
    assert_eq!(info.ssthresh, u32::MAX, "no loss was a congestion's");
}

/// RFC 8899 5.1.1.
#[test]
fn ten_minutes_later_a_path_that_has_become_wider_is_found() {
    let mut pair = Pair::new();
    let ids = pair.established();
    narrow(&mut pair, 1300);
    transfer(&mut pair, ids, 1_000_000);
    pair.judge(|_, _, _| Fate::Deliver);
    pair.run_for(Duration::from_secs(300));
    transfer(&mut pair, ids, 200_000);
    assert!(
        mss(&pair, ids.0) <= 1248,
        "nothing is tried before its time"
    );
    pair.run_for(Duration::from_secs(300));
    transfer(&mut pair, ids, 1_000_000);
    assert!(mss(&pair, ids.0) > 1440, "{}", mss(&pair, ids.0));
}

#[test]
fn probes_are_found_again_where_they_vanish() {
    let mut pair = Pair::new();
    let ids = pair.established();
    narrow(&mut pair, 1100);
    transfer(&mut pair, ids, 500_000);
    let found = mss(&pair, ids.0);
    assert!((1040..=1048).contains(&found), "{found}");
    let largest = pair.seen.iter().filter(|seen| !seen.dropped);
    assert!(largest.map(|seen| seen.bytes.len()).max().unwrap() <= 1500);
}

/// RFC 4821 7.6.2.
#[test]
fn a_probe_that_is_lost_says_nothing_about_congestion() {
    let mut pair = Pair::new();
    let ids = pair.established();
    narrow(&mut pair, 1300);
    transfer(&mut pair, ids, 2000);
    let before = pair.a.info(ids.0).unwrap();
    transfer(&mut pair, ids, 1_000_000);
    let after = pair.a.info(ids.0).unwrap();
    assert!(after.snd_mss > before.snd_mss, "the search went on");
    assert!(after.total_retrans > before.total_retrans, "and missed");
    assert_eq!(after.ssthresh, before.ssthresh);
}

#[test]
fn without_detection_the_connection_is_given_up() {
    let mut pair = Pair::with(|config| config.mtu_probing = MtuProbing::Off);
    let options = SocketOptions::default().retries2(8);
    let (a, _) = pair.established_with(options);
    narrow(&mut pair, 1300);
    pair.write(Side::A, a, &[1; 3000]);
    pair.run_for(Duration::from_secs(600));
    assert!(pair.a.take_error(a).is_some());
}

/// RFC 8201 5.2 and 5.3.
#[test]
fn what_a_router_said_is_known_to_every_connection_for_ten_minutes() {
    let mut pair = Pair::new();
    let listener = pair.listen(Side::B, 81);
    let ids = pair.established();
    pair.write(Side::A, ids.0, &[1; 1448]);
    let large = pair.seen.last().unwrap().bytes.clone();
    let now = pair.now;
    pair.a
        .handle_packet(now, too_big(&large, 1400), RxChecksum::Unverified);
    pair.run_for(Duration::from_millis(100));
    let cwnd = pair.a.info(ids.0).unwrap().cwnd;
    assert!(cwnd >= 10 * 1348, "it is no sign of congestion: {cwnd}");
    assert_eq!(pair.a.info(ids.0).unwrap().pmtu, 1400);

    let other = pair.connect(Side::A, 81);
    pair.run_for(Duration::from_millis(100));
    let taken = pair.b.accept(listener).unwrap().id;
    transfer(&mut pair, (other, taken), 10_000);
    assert_eq!((mss(&pair, ids.0), mss(&pair, other)), (1348, 1348));

    pair.run_for(Duration::from_secs(600));
    for (from, to) in [ids, (other, taken)] {
        transfer(&mut pair, (from, to), 10_000);
        assert_eq!(mss(&pair, from), 1448);
    }
    assert_eq!(IpAddr::from(ADDR_B), pair.a.peer_addr(other).unwrap().ip());
}

#[test]
fn a_segment_that_is_not_full_may_be_too_large_too() {
    let mut pair = Pair::new();
    let ids = pair.established();
    narrow(&mut pair, 1200);
    let took = transfer(&mut pair, ids, 1199);
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_segment_smaller_than_the_first_try_may_be_too_large_too() {
    for bytes in [800, 1024] {
        let mut pair = Pair::new();
        let ids = pair.established();
        narrow(&mut pair, 700);
        let took = transfer(&mut pair, ids, bytes);
        assert!(took < Duration::from_secs(10), "{bytes} bytes: {took:?}");
    }
}

#[test]
fn segments_that_the_peer_wants_small_may_be_too_large_too() {
    let mut pair = Pair::new();
    let ids = pair.established_with(SocketOptions::default().max_segment_size(Some(900)));
    narrow(&mut pair, 700);
    let took = transfer(&mut pair, ids, 100_000);
    assert!(took < Duration::from_secs(20), "{took:?}");
}

/// A probe has exactly the size that is tested, including options: while there are SACK blocks to
/// send, no probe is sent.
#[test]
fn no_probe_carries_reports_of_a_gap() {
    let mut pair = Pair::with(|config| config.mtu_probing = MtuProbing::Always);
    let ids = pair.established();
    let mut missing = None;
    pair.judge(move |from, bytes, _| {
        let sequence = bytes[24..28].to_vec();
        let is_data = from == Side::B && bytes.len() > 500;
        if is_data && *missing.get_or_insert(sequence.clone()) == sequence {
            Fate::Drop
        } else {
            Fate::Deliver
        }
    });
    pair.write(Side::B, ids.1, &[5; 10_000]);
    transfer(&mut pair, ids, 1_000_000);
    let longest = pair.seen.iter().map(|seen| seen.bytes.len()).max();
    assert!(longest <= Some(1500), "{longest:?}");
}

/// RFC 5927 7.2: a guessed sequence number is no evidence against segments that arrive.
#[test]
fn a_forged_too_big_does_nothing_where_larger_segments_have_got_through() {
    for mtu in [68, 552, 1000, 1499] {
        let mut pair = Pair::new();
        let ids = pair.established();
        transfer(&mut pair, ids, 100_000);
        pair.write(Side::A, ids.0, &[1; 20_000]);
        for _ in 0..100 {
            let now = pair.now;
            let packet = too_big(&last_large(&pair), mtu);
            pair.a.handle_packet(now, packet, RxChecksum::Unverified);
        }
        let dropped = pair.a.counters().dropped(DropReason::IcmpImplausible);
        assert_eq!((mss(&pair, ids.0), dropped), (1448, 100), "{mtu}");
        pair.run_for(Duration::from_secs(1));
        pair.read(Side::B, ids.1);

        // Nor does the error take effect at a later timeout of another segment.
        let mut lost = 1;
        pair.judge(move |from, bytes, _| {
            if from == Side::A && bytes.len() > 1000 && lost > 0 {
                lost -= 1;
                return Fate::Drop;
            }
            Fate::Deliver
        });
        pair.write(Side::A, ids.0, &[1; 1448]);
        pair.run_for(Duration::from_secs(2));
        let info = pair.a.info(ids.0).unwrap();
        assert_eq!((info.snd_mss, info.total_retrans), (1448, 1), "{mtu}");
        assert_eq!(info.pmtu, 1500);
    }
}

/// RFC 5927 7.2: a path that has become narrower is believed when the segment that did not fit has
/// timed out.
#[test]
fn a_path_that_becomes_narrower_is_believed_after_a_timeout() {
    let mut pair = Pair::new();
    let ids = pair.established();
    transfer(&mut pair, ids, 100_000);
    narrow(&mut pair, 1200);
    pair.write(Side::A, ids.0, &[1; 20_000]);
    pair.run_for(Duration::from_millis(15));
    let (now, packet) = (pair.now, too_big(&last_large(&pair), 1200));
    pair.a.handle_packet(now, packet, RxChecksum::Unverified);
    assert_eq!(mss(&pair, ids.0), 1448, "not yet");
    pair.run_for(Duration::from_millis(600));
    assert_eq!(
        (mss(&pair, ids.0), pair.a.info(ids.0).unwrap().pmtu),
        (1148, 1200)
    );
    let read = pair.read(Side::B, ids.1).len();
    assert_eq!(read, 20_000, "{}", pair.trace());
}

/// RFC 5927 7.2: a router's error that arrives after the quoted segment has timed out is believed
/// at once.
#[test]
fn what_has_timed_out_has_been_dropped() {
    let mut pair = Pair::new();
    let ids = pair.established();
    transfer(&mut pair, ids, 100_000);
    narrow(&mut pair, 1200);
    pair.write(Side::A, ids.0, &[1; 20_000]);
    let resent = |pair: &Pair| pair.a.info(ids.0).unwrap().retransmits > 0;
    pair.run_until(Duration::from_secs(1), |pair| resent(pair));
    let (now, packet) = (pair.now, too_big(&last_large(&pair), 1200));
    pair.a.handle_packet(now, packet, RxChecksum::Unverified);
    pair.flush();
    assert_eq!(mss(&pair, ids.0), 1148);
    pair.run_for(Duration::from_millis(300));
    assert_eq!(pair.read(Side::B, ids.1).len(), 20_000);
}

/// An accepted smaller size then counts as the size that arrives, and a still smaller one is
/// accepted at once.
#[test]
fn a_path_that_is_not_known_yet_is_believed_at_once() {
    let mut pair = Pair::new();
    let ids = pair.established();
    narrow(&mut pair, 700);
    pair.write(Side::A, ids.0, &[1; 3000]);
    for mtu in [1400, 1300, 700] {
        let (now, packet) = (pair.now, too_big(&last_large(&pair), mtu));
        pair.a.handle_packet(now, packet, RxChecksum::Unverified);
        pair.flush();
        assert_eq!(mss(&pair, ids.0), mtu - 52);
    }
    assert_eq!(pair.a.counters().dropped(DropReason::IcmpImplausible), 0);
}

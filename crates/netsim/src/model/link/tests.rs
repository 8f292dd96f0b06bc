//! A link compared with simple statements of its behaviour.

use std::time::Duration;

use millstream_wire::ip::{Ecn, Packet};
use proptest::prelude::*;

use super::super::testing::{V4, packet_with_tos};
use super::super::{Corruption, Displacement, GilbertElliott, Jitter, MtuLimit};
use super::*;

const MS: Duration = Duration::from_millis(1);

/// A packet that carries its number.
fn numbered(number: u32) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

fn number(packet: &Bytes) -> u32 {
    u32::from_be_bytes(packet[..4].try_into().expect("four bytes"))
}

/// Sends packets one `interval` after the other and returns all arrivals.
fn run(link: &mut Link, count: u32, interval: Duration) -> Vec<(Instant, u32)> {
    let mut arrivals = Vec::new();
    let mut now = Instant::ZERO;
    for i in 0..count {
        drain(link, now, &mut arrivals);
        link.send(now, numbered(i));
        now += interval;
    }
    drain(link, Instant::from_nanos(u64::MAX), &mut arrivals);
    arrivals
}

/// Takes the packets that arrive until `end`, at the times that the link announces.
fn drain(link: &mut Link, end: Instant, arrivals: &mut Vec<(Instant, u32)>) {
    while let Some(at) = link.next_at().filter(|&at| at <= end) {
        while let Some(packet) = link.poll(at) {
            arrivals.push((at, number(&packet)));
        }
    }
}

fn numbers(arrivals: &[(Instant, u32)]) -> Vec<u32> {
    arrivals.iter().map(|(_, number)| *number).collect()
}

/// A link with all impairments.
fn bad_link() -> Schedule {
    let config = LinkConfig::new()
        .rate(1_000_000)
        .queue(300)
        .loss(0.05)
        .burst_loss(GilbertElliott::new(0.02, 0.4))
        .corruption(Corruption::new(0.05))
        .duplication(0.05)
        .displacement(Displacement::new(0.05, 3).hold_at_most(5 * MS))
        .delay(10 * MS)
        .jitter(Jitter {
            most: 2 * MS,
            reorders: true,
        });
    Schedule::new(config)
        .at(20 * MS, |link| link.rate(400_000))
        .at(25 * MS, LinkConfig::cut)
        .at(30 * MS, |link| link.mended().delay(MS))
}

fn check_conservation(link: &Link) {
    let stats = link.stats();
    let gone = stats.lost
        + stats.dropped_at_queue
        + stats.dropped_in_flight
        + stats.too_big
        + stats.thinned
        + stats.cut
        + stats.delivered;
    assert_eq!(
        stats.sent + stats.duplicated,
        gone + link.in_flight() as u64,
        "{stats:?}"
    );
}

#[test]
fn a_perfect_link_delivers_at_once() {
    let mut link = Link::new(LinkConfig::new(), 1);
    let arrivals = run(&mut link, 5, MS);
    let expected: Vec<_> = (0..5).map(|i| (Instant::ZERO + i * MS, i)).collect();
    assert_eq!(arrivals, expected);
    assert_eq!(link.next_at(), None);
}

#[test]
fn delay_is_exact() {
    let mut link = Link::new(LinkConfig::new().delay(30 * MS), 1);
    for (i, (at, number)) in run(&mut link, 100, MS).into_iter().enumerate() {
        assert_eq!(
            (at, number),
            (Instant::ZERO + (30 + i as u32) * MS, i as u32)
        );
    }
}

#[test]
fn equal_seeds_give_equal_results_and_different_seeds_do_not() {
    let run = |seed| {
        let mut link = Link::new(bad_link(), seed);
        let arrivals = run(&mut link, 2000, MS / 20);
        (arrivals, *link.stats())
    };
    let (first, stats) = run(7);
    assert!(
        stats.reordered > 0 && stats.corrupted > 0 && stats.cut > 0,
        "{stats:?}"
    );
    assert_eq!((first.clone(), stats), run(7));
    assert_ne!(first, run(8).0);
}

#[test]
fn jitter_is_uniform_and_reorders_only_if_configured() {
    let config = |reorders| {
        let most = 10 * MS;
        LinkConfig::new().jitter(Jitter { most, reorders })
    };
    let mut link = Link::new(config(true), 3);
    let mut extra: Vec<Duration> = run(&mut link, 20_000, MS)
        .iter()
        .map(|&(at, number)| at - (Instant::ZERO + number * MS))
        .collect();
    extra.sort();
    assert!(extra[19_999] <= 10 * MS);
    for (share, expected) in [(2_000, MS), (10_000, 5 * MS), (18_000, 9 * MS)] {
        let off = extra[share].abs_diff(expected);
        assert!(off < MS / 5, "{share} of 20000 below {:?}", extra[share]);
    }
    assert!(link.stats().reordered > 5_000, "{:?}", link.stats());

    let mut link = Link::new(config(false), 3);
    assert!(run(&mut link, 20_000, MS).is_sorted());
    assert_eq!(link.stats().reordered, 0);
}

#[test]
fn a_displaced_packet_is_overtaken_by_exactly_the_configured_number() {
    let displacement = Displacement::new(0.02, 5);
    let config = LinkConfig::new().delay(10 * MS).displacement(displacement);
    let mut link = Link::new(config, 4);
    let order = numbers(&run(&mut link, 10_000, MS));
    assert_eq!(order.len(), 10_000);
    let mut displaced = 0;
    for (place, &number) in order.iter().enumerate() {
        let before = &order[..place];
        let overtakers = before.iter().filter(|&&other| other > number).count();
        displaced += u64::from(overtakers > 0);
        // Too few packets follow the last ones to release them by count.
        let expected = [0, 5].contains(&overtakers) || number >= 9_990;
        assert!(expected, "{number} was overtaken by {overtakers}");
    }
    assert!((120..280).contains(&displaced), "{displaced} of 10000");
    assert_eq!(displaced, link.stats().reordered);
}

#[test]
fn a_displaced_packet_is_released_after_its_maximum_time() {
    let displacement = Displacement::new(1.0, 3).hold_at_most(40 * MS);
    let config = LinkConfig::new().delay(10 * MS).displacement(displacement);
    let mut link = Link::new(config, 4);
    assert_eq!(run(&mut link, 1, MS), [(Instant::ZERO + 50 * MS, 0)]);
    assert_eq!((link.stats().displaced, link.stats().reordered), (1, 0));
}

#[test]
fn copies_follow_their_originals() {
    let mut link = Link::new(LinkConfig::new().duplication(0.1), 5);
    let order = numbers(&run(&mut link, 20_000, MS));
    let copies = order.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert!(order.is_sorted());
    assert_eq!(
        (order.len(), copies),
        (20_000 + copies, link.stats().duplicated as usize)
    );
    assert!((1800..2200).contains(&copies), "{copies} of 20000");
}

#[test]
fn corruption_changes_bytes_and_nothing_else() {
    let mut link = Link::new(LinkConfig::new().corruption(Corruption::new(0.1)), 6);
    let sent = packet_with_tos(V4, 60, 0);
    let mut wrong = 0;
    for _ in 0..10_000 {
        link.send(Instant::ZERO, sent.clone());
        let packet = link.poll(Instant::ZERO).expect("arrives");
        assert_eq!(packet.len(), sent.len());
        wrong += u64::from(packet != sent);
    }
    assert!((900..1100).contains(&wrong), "{wrong} of 10000");
    assert_eq!(wrong, link.stats().corrupted);
}

#[test]
fn a_cut_loses_new_packets_but_not_those_in_flight() {
    let schedule = Schedule::new(LinkConfig::new().delay(10 * MS))
        .at(50 * MS, LinkConfig::cut)
        .at(80 * MS, LinkConfig::mended);
    let mut link = Link::new(schedule, 1);
    let expected: Vec<u32> = (0..50).chain(80..100).collect();
    assert_eq!(numbers(&run(&mut link, 100, MS)), expected);
    assert_eq!(link.stats().cut, 30);
}

#[test]
fn scheduled_changes_happen_on_time_whenever_the_link_is_polled() {
    // Four bytes a millisecond, so that packets are waiting when the changes happen.
    let schedule = Schedule::new(LinkConfig::new().rate(32_000))
        .at(Duration::from_micros(2500), |link| link.rate(64_000))
        .at(Duration::from_micros(3700), |link| link.delay(MS));
    let mut link = Link::new(schedule, 1);
    for i in 0..5 {
        link.send(Instant::ZERO, numbered(i));
    }
    let mut arrivals = Vec::new();
    drain(&mut link, Instant::from_millis(100), &mut arrivals);
    // Transmitted at 1, 2, 3 (already in transmission), 3.5 and 4 ms.
    let at = [1000, 2000, 3000, 3500, 5000].map(Instant::from_micros);
    assert_eq!(arrivals, [0, 1, 2, 3, 4].map(|i| (at[i as usize], i)));
}

#[test]
fn a_live_change_replaces_the_settings() {
    let mut link = Link::new(LinkConfig::new(), 1);
    link.send(Instant::ZERO, numbered(0));
    link.configure(Instant::ZERO, |link| link.loss(1.0));
    link.send(Instant::ZERO, numbered(1));
    assert_eq!(link.poll(Instant::ZERO), Some(numbered(0)));
    assert_eq!(link.poll(Instant::ZERO), None);
    assert_eq!(link.stats().lost, 1);
}

#[test]
fn a_standing_queue_marks_ecn_capable_packets() {
    let config = LinkConfig::new()
        .rate(8_000_000)
        .queue(3000)
        .ecn_threshold(1000);
    for (ecn, marked) in [(Ecn::Ect0, 4), (Ecn::NotEct, 0)] {
        let mut link = Link::new(config.clone(), 1);
        // One is transmitted, six of 500 bytes wait, two do not fit. The third waiting packet finds
        // a thousand bytes ahead of it.
        for _ in 0..9 {
            link.send(Instant::ZERO, packet_with_tos(V4, 500, ecn as u8));
        }
        let mut arrived = 0;
        while let Some(packet) = link.poll(Instant::from_millis(100)) {
            let view = Packet::parse(&packet).expect("valid, checksum included");
            arrived += u64::from(view.ecn() == Ecn::Ce);
        }
        assert_eq!((arrived, link.stats().marked), (marked, marked));
        assert_eq!(link.stats().dropped_at_queue, 2);
    }
}

#[test]
fn packets_above_the_mtu_are_dropped() {
    for (limit, told) in [(MtuLimit::BlackHole(1400), 0), (MtuLimit::Icmp(1400), 1)] {
        let mut link = Link::new(LinkConfig::new().mtu(limit), 1);
        link.send(Instant::ZERO, packet_with_tos(V4, 1401, 0));
        link.send(Instant::ZERO, packet_with_tos(V4, 1400, 0));
        let arrived = link.poll(Instant::ZERO).expect("fits");
        assert_eq!(arrived.len(), 1400);
        assert_eq!(link.poll(Instant::ZERO), None);
        assert_eq!(std::iter::from_fn(|| link.poll_reply()).count(), told);
        assert_eq!(link.stats().too_big, 1);
    }
}

#[test]
fn a_saturated_link_delivers_its_full_rate() {
    let config = LinkConfig::new()
        .rate(10_000_000)
        .queue(100_000)
        .delay(20 * MS);
    let mut link = Link::new(config, 1);
    let mut now = Instant::ZERO;
    let mut bytes = 0;
    while now < Instant::from_millis(10_000) {
        link.send(now, Bytes::from_static(&[0; 1500]));
        while let Some(packet) = link.poll(now) {
            bytes += packet.len();
        }
        now += MS;
    }
    // 10 Mbit/s during the 9.98 s since the first packet could arrive, less the packet in
    // transmission.
    let possible = 10_000_000 / 8 * 998 / 100;
    assert!(
        (possible - 3000..=possible).contains(&bytes),
        "{bytes} of {possible}"
    );
}

fn step() -> impl Strategy<Value = (u64, usize)> {
    (0_u64..2_000, 20_usize..1500)
}

proptest! {
    /// Every packet is counted exactly once; the queue never exceeds its size in bytes.
    #[test]
    fn packets_are_conserved(seed: u64, steps in prop::collection::vec(step(), 1..300)) {
        let mut link = Link::new(bad_link(), seed);
        let mut now = Instant::ZERO;
        for (micros, len) in steps {
            now += Duration::from_micros(micros);
            link.send(now, Bytes::from(vec![0; len]));
            check_conservation(&link);
            prop_assert!(link.queued_bytes() <= 300);
            while link.poll(now).is_some() {}
            check_conservation(&link);
        }
        while link.poll(now + Duration::from_secs(100)).is_some() {}
        check_conservation(&link);
        prop_assert_eq!(link.in_flight(), 0);
        prop_assert_eq!(link.next_at(), None);
    }

    /// The bytes that arrive in any span of time do not exceed the rate by more than one packet.
    #[test]
    fn the_rate_is_never_exceeded(steps in prop::collection::vec(step(), 1..100), rate in 10_000_u64..1_000_000_000) {
        let mut link = Link::new(LinkConfig::new().rate(rate).delay(MS), 1);
        let mut now = Instant::ZERO;
        for (micros, len) in steps {
            now += Duration::from_micros(micros);
            link.send(now, Bytes::from(vec![0; len]));
        }
        let mut arrivals = Vec::new();
        while let Some(at) = link.next_at() {
            arrivals.extend(link.poll(at).map(|packet| (at, packet.len() as u128)));
        }
        for (i, first) in arrivals.iter().enumerate() {
            let mut bits = 0;
            for (at, len) in &arrivals[i + 1..] {
                bits += 8 * len;
                let nanos = (*at - first.0).as_nanos();
                // One nanosecond more, because the end of the first transmission was rounded down.
                prop_assert!(bits * 1_000_000_000 <= (nanos + 1) * u128::from(rate));
            }
        }
    }

    /// The result does not depend on how often the link is polled.
    #[test]
    fn polling_does_not_change_the_result(seed: u64, asked in prop::collection::vec(0_u64..50_000, 0..200)) {
        let mut seldom = Link::new(bad_link(), seed);
        let expected = run(&mut seldom, 800, MS / 20);

        let mut often = Link::new(bad_link(), seed);
        let mut questions: Vec<Instant> = asked.into_iter().map(Instant::from_micros).collect();
        questions.sort();
        let mut questions = questions.into_iter().peekable();
        let mut found = Vec::new();
        for i in 0..800 {
            let now = Instant::ZERO + i * (MS / 20);
            while let Some(at) = questions.next_if(|&at| at <= now) {
                found.extend(often.poll(at).map(|packet| number(&packet)));
            }
            often.send(now, numbered(i));
        }
        while let Some(packet) = often.poll(Instant::from_nanos(u64::MAX)) {
            found.push(number(&packet));
        }
        prop_assert_eq!(found, numbers(&expected));
        prop_assert_eq!(often.stats(), seldom.stats());
    }
}

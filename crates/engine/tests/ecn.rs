//! Explicit congestion notification between two engines, on a link that marks instead of dropping.

mod support;

use std::time::Duration;

use bytes::Bytes;
use millstream_engine::{EcnMode, ListenOptions, Offload, RxChecksum, SocketOptions, Transmit};
use millstream_wire::checksum::Sum;
use millstream_wire::ip::{self, Ecn};
use millstream_wire::tcp::{Flags, View};
use support::{Fate, Pair, Seen, Side};

fn options(ecn: EcnMode) -> SocketOptions {
    SocketOptions::default().ecn(ecn)
}

/// The codepoint, the flags and the payload length of a packet.
fn parts(seen: &Seen) -> (Ecn, Flags, usize) {
    let packet = ip::Packet::parse(&seen.bytes).unwrap();
    let view = View::parse(packet.payload()).unwrap();
    (packet.ecn(), view.flags(), view.payload().len())
}

/// Marks a packet, as a congested router does.
fn mark(packet: &mut [u8]) {
    packet[1] |= Ecn::Ce as u8;
    packet[10..12].fill(0);
    let mut sum = Sum::new();
    sum.add(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.finish().to_be_bytes());
}

fn negotiated(asks: EcnMode, answers: EcnMode) -> bool {
    let mut pair = Pair::with(|config| config.socket.ecn = answers);
    let listener = pair.listen_with(
        Side::B,
        80,
        ListenOptions::default().socket(options(answers)),
    );
    let a = pair.connect_with(Side::A, 80, options(asks));
    pair.run_for(Duration::from_millis(100));
    let b = pair.b.accept(listener).unwrap().id;
    let both = (pair.a.info(a).unwrap().ecn, pair.b.info(b).unwrap().ecn);
    assert_eq!(both.0, both.1, "the two disagree");
    both.0
}

#[test]
fn it_takes_one_that_asks_and_one_that_does_not_refuse() {
    use EcnMode::{Active, Off, Passive};
    for (asks, answers, expected) in [
        (Off, Active, false),
        (Passive, Passive, false),
        (Passive, Active, false),
        (Active, Off, false),
        (Active, Passive, true),
        (Active, Active, true),
    ] {
        let found = negotiated(asks, answers);
        assert_eq!(found, expected, "{asks:?} asks, {answers:?} answers");
    }
}

#[test]
fn both_ask_at_once() {
    let mut pair = Pair::with(|config| config.socket.ecn = EcnMode::Active);
    let bind = |pair: &mut Pair, side, port| {
        let addr = Pair::addr(side, port);
        pair.stack(side).bind(addr, true).unwrap()
    };
    let (at_a, at_b) = (
        bind(&mut pair, Side::A, 1000),
        bind(&mut pair, Side::B, 2000),
    );
    let now = pair.now;
    let a = pair
        .a
        .connect(
            now,
            Some(&at_a),
            Pair::addr(Side::B, 2000),
            options(EcnMode::Active),
        )
        .unwrap();
    let b = pair
        .b
        .connect(
            now,
            Some(&at_b),
            Pair::addr(Side::A, 1000),
            options(EcnMode::Active),
        )
        .unwrap();
    pair.run_for(Duration::from_millis(100));
    assert!(pair.a.info(a).unwrap().ecn && pair.b.info(b).unwrap().ecn);
}

/// Sends a megabyte over a path that marks every twentieth ECN-capable packet.
#[test]
fn marks_slow_the_sender_down_and_nothing_is_sent_again() {
    let mut pair = Pair::new();
    let (a, b) = pair.established_with(options(EcnMode::Active));
    let mut capable = 0;
    for _ in 0..400 {
        let room = pair.a.write_capacity(a).min(20_000);
        let now = pair.now;
        pair.a.write(now, a, &vec![7; room]).unwrap();
        let mut out = Transmit::new();
        while pair.a.poll_transmit(now, &mut out) {
            let mut packet = Vec::new();
            out.write_to(&mut packet);
            if Ecn::from_tos(packet[1]) == Ecn::Ect0 {
                capable += 1;
                if capable % 20 == 0 {
                    mark(&mut packet);
                }
            }
            pair.put(Side::A, Bytes::from(packet));
        }
        pair.run_for(Duration::from_millis(20));
        pair.read(Side::B, b);
    }
    let info = pair.a.info(a).unwrap();
    assert!(capable > 500, "only {capable} packets");
    assert_eq!(info.total_retrans, 0);
    assert!(info.ssthresh < 100_000, "{}", info.ssthresh);
    let reductions = pair.a.counters().ecn_reductions;
    assert!((5..=capable / 20).contains(&reductions), "{reductions}");
    let told = pair.seen.iter().filter(|seen| {
        let (ecn, flags, len) = parts(seen);
        flags.contains(Flags::CWR) && !flags.contains(Flags::SYN) && ecn != Ecn::NotEct && len > 0
    });
    assert_eq!(
        told.count() as u64,
        reductions,
        "each reduction is told once"
    );
    assert!(pair.b.info(b).unwrap().ecn_seen);
}

#[test]
fn a_path_that_drops_what_asks_for_it_costs_one_timeout() {
    let mut pair = Pair::new();
    pair.judge(|_, bytes, _| {
        let packet = ip::Packet::parse(bytes).unwrap();
        let flags = View::parse(packet.payload()).unwrap().flags();
        if flags.contains(Flags::SYN | Flags::ECE) {
            Fate::Drop
        } else {
            Fate::Deliver
        }
    });
    let start = pair.now;
    let (a, _) = pair.established_with(options(EcnMode::Active));
    assert!(pair.now - start < Duration::from_millis(1100));
    assert!(!pair.a.info(a).unwrap().ecn);
}

#[test]
fn one_packet_and_not_a_whole_super_segment_says_that_the_window_was_reduced() {
    let mut pair = Pair::with(|config| {
        config.offload = Offload::default()
            .max_segment(65_000)
            .transmit_checksum(false);
    });
    let (a, b) = pair.established_with(options(EcnMode::Active));
    pair.write(Side::A, a, &[1; 14_480]);
    // The link marks it once more.
    let mut marked = pair.seen.last().unwrap().bytes.to_vec();
    mark(&mut marked);
    let now = pair.now;
    pair.b
        .handle_packet(now, Bytes::from(marked), RxChecksum::Unverified);
    pair.run_for(Duration::from_millis(100));
    pair.seen.clear();
    pair.write(Side::A, a, &[1; 10_000]);
    let sent: Vec<_> = pair.seen.iter().map(parts).collect();
    assert!(sent[0].1.contains(Flags::CWR) && sent[0].2 == 1448);
    assert!(!sent[1].1.contains(Flags::CWR) && sent[1].2 > 1448);
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.read(Side::B, b).len(), 24_480);
}

/// An application may set all eight bits, but the two of ECN are the protocol's, in the
/// acknowledgments of TIME-WAIT as in every segment (RFC 9293 SHLD-21).
#[test]
fn the_type_of_service_has_no_ecn_bits() {
    let mut pair = Pair::new();
    let (a, b) = pair.established_with(SocketOptions::default().tos(0x7F));
    pair.write(Side::A, a, b"hello");
    let now = pair.now;
    pair.a.close(now, a);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.read(Side::B, b), b"hello");
    let now = pair.now;
    pair.b.close(now, b);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.a.time_wait_count(), 1);
    let tos = |seen: &Seen| ip::Packet::parse(&seen.bytes).unwrap().tos();
    assert!(pair.seen.len() >= 8);
    assert!(pair.seen.iter().all(|seen| tos(seen) == 0x7C));
}

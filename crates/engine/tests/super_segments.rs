//! Segments larger than the path MTU, which the device cuts.

mod support;

use std::time::Duration;

use millstream_engine::congestion::{Algorithm, NewReno};
use millstream_engine::{CongestionControl, SocketOptions, Transmit};
use millstream_wire::tcp::View;
use millstream_wire::{checksum, ip};
use support::wire::{Wire, seg};
use support::{Pair, Side};

/// With the checksum computed by the stack or left to the device.
#[test]
fn a_stream_in_super_segments_both_ways_at_once() {
    for transmit_checksum in [false, true] {
        stream_both_ways(transmit_checksum);
    }
}

fn stream_both_ways(transmit_checksum: bool) {
    let mut pair = Pair::with(|config| {
        config.offload.max_segment = 60_000;
        config.offload.transmit_checksum = transmit_checksum;
    });
    pair.trust_checksums = transmit_checksum;
    pair.latency = Duration::from_micros(10);
    let (a, b) = pair.established();
    let data: Vec<u8> = (0..4_000_000u32)
        .map(|i| (i * 31 + 7) as u8 ^ (i >> 8) as u8)
        .collect();
    let mut written = [0; 2];
    let mut received = [Vec::new(), Vec::new()];
    pair.run_until(Duration::from_secs(2), |p| {
        let now = p.now;
        for (i, (side, id)) in [(Side::A, a), (Side::B, b)].into_iter().enumerate() {
            written[i] += p.stack(side).write(now, id, &data[written[i]..]).unwrap();
            received[1 - i].extend(p.read(side, id));
        }
        received.iter().all(|r| r.len() >= data.len())
    });
    assert!(received[0] == data && received[1] == data);
    assert_eq!(pair.a.counters().segments_retransmitted, 0);
    let largest = pair.seen.iter().map(|seen| seen.bytes.len()).max();
    assert!(largest > Some(50_000), "{largest:?}");
}

/// The packet that a fully offloading device receives for ten segments' worth of data.
#[test]
fn a_super_segment_says_how_to_cut_it_and_where_its_checksum_goes() {
    let mut pair = Pair::with(|config| {
        config.offload.max_segment = 60_000;
        config.offload.transmit_checksum = true;
    });
    pair.trust_checksums = true;
    let (a, _) = pair.established();
    let now = pair.now;
    assert_eq!(pair.a.write(now, a, &[7; 10_000]), Ok(10_000));
    let mut out = Transmit::new();
    assert!(pair.a.poll_transmit(now, &mut out));
    let mss = pair.a.info(a).unwrap().snd_mss;
    assert_eq!(out.segment_size().map(u32::from), Some(mss));
    let mut bytes = Vec::new();
    out.write_to(&mut bytes);
    assert_eq!(bytes.len(), out.len());
    let packet = ip::Packet::parse(&bytes).unwrap();
    let view = View::parse(packet.payload()).unwrap();
    // Six segments and a tail, which Nagle's algorithm sends with them.
    assert_eq!(view.payload().len(), 10_000);
    // The checksum field holds the sum of the pseudo-header; the checksum starts at the TCP header.
    let partial = out.partial_checksum().unwrap();
    assert_eq!((partial.start, partial.offset), (20, 16));
    let length = packet.payload().len() as u32;
    let sum = checksum::pseudo_header(packet.src(), packet.dst(), ip::TCP, length);
    assert_eq!(view.checksum(), sum.fold());
    assert!(!pair.a.poll_transmit(now, &mut out), "one packet for all");
}

#[test]
fn a_segment_that_fits_one_packet_is_not_marked_for_cutting() {
    let mut pair = Pair::with(|config| config.offload.max_segment = 60_000);
    let (a, _) = pair.established();
    let now = pair.now;
    assert_eq!(pair.a.write(now, a, &[7; 100]), Ok(100));
    let mut out = Transmit::new();
    assert!(pair.a.poll_transmit(now, &mut out));
    assert_eq!((out.segment_size(), out.partial_checksum()), (None, None));
}

/// Part of a super-segment is lost: only that part is retransmitted.
#[test]
fn a_hole_in_a_super_segment_is_filled_by_what_it_lacks() {
    let mut wire = Wire::established_with(
        |config| config.offload.max_segment = 60_000,
        SocketOptions::default(),
        seg("S", 0, 0).mss(1000).sack_ok(),
    );
    wire.write(10_000);
    wire.expect(["P. 1:10001 ack 1"]);
    for right in [4001, 6001, 10_001] {
        let report = wire.sack(seg(".", 1, 0).ack(1), &[(2001, right)]);
        wire.inject(report);
    }
    let sent = wire.sent();
    let resent: Vec<_> = sent.iter().map(String::as_str).collect();
    assert!(
        resent == [". 1:1001 ack 1", ". 1001:2001 ack 1"] || resent == [". 1:2001 ack 1"],
        "{resent:?}"
    );
    wire.inject(seg(".", 1, 0).ack(10_001));
    assert_eq!(wire.stack.info(wire.id()).unwrap().bytes_in_flight, 0);
}

#[test]
fn the_peer_s_window_bounds_a_super_segment() {
    let mut wire = Wire::established_with(
        |config| config.offload.max_segment = 60_000,
        SocketOptions::default(),
        seg("S", 0, 0).mss(1000).win(3500),
    );
    wire.write(10_000);
    // Whole segments only; the rest of the window is not a sensible segment.
    wire.expect(["P. 1:3001 ack 1"]);
}

/// Where the device cuts segments, all of the first flight may be one.
#[test]
fn an_algorithm_from_outside_bounds_the_first_flight() {
    static CAUTIOUS: Algorithm = Algorithm::new("cautious", |initial_window, mss| {
        Box::new(NewReno::new(initial_window.min(2 * mss), mss))
    });
    let mut pair = Pair::with(|config| config.offload.max_segment = 60_000);
    let (a, _) = pair.established_with(
        SocketOptions::default().congestion(CongestionControl::Custom(&CAUTIOUS)),
    );
    pair.write(Side::A, a, &[1; 20_000]);
    let info = pair.a.info(a).unwrap();
    assert_eq!(info.bytes_in_flight, 2 * u64::from(info.snd_mss));
}

//! Peers that send false or unusual acknowledgments: the benefit to them, and the packets sent.

mod support;

use std::time::Duration;

use millstream_engine::{ListenOptions, Offload, SocketOptions};
use support::wire::{Seg, Wire, seg};

const MSS: i64 = 1000;

fn ack(position: i64) -> Seg {
    seg(".", 1, 0).ack(position)
}

/// An established connection with a round trip of 10 ms.
fn wire() -> Wire {
    let mut wire = Wire::listening(|_| {}, ListenOptions::default());
    wire.inject(seg("S", 0, 0).mss(1000).sack_ok());
    wire.sent();
    wire.wait_ms(10);
    wire.inject(ack(1));
    wire.accept();
    wire
}

fn buffered(bytes: usize) -> SocketOptions {
    let mut options = SocketOptions::default();
    options.fix_send_buffer(bytes);
    options
}

fn cwnd(wire: &Wire) -> u32 {
    wire.stack.info(wire.id()).unwrap().cwnd
}

/// The beginning and the end of each sent segment.
fn ranges(sent: &[String]) -> Vec<(i64, i64)> {
    let range = |text: &String| {
        let (start, end) = text.split(' ').nth(1)?.split_once(':')?;
        Some((start.parse().ok()?, end.parse().ok()?))
    };
    sent.iter().filter_map(range).collect()
}

/// RFC 5681 3.2: the window is inflated once for each segment that was outstanding.
#[test]
fn duplicates_stand_for_what_was_in_flight() {
    let syn = seg("S", 0, 0).mss(1000);
    let mut wire = Wire::established_with(|_| {}, buffered(2_000_000), syn);
    wire.write(1_500_000);
    assert_eq!(wire.sent().len(), 10);
    wire.wait_ms(100);
    let mut sent = 0;
    for _ in 0..1000 {
        wire.inject(ack(1));
        sent += wire.sent().len();
    }
    // One segment is retransmitted, and the others are new.
    assert!((3..=10).contains(&sent), "{sent} segments went out");
}

/// The honest case for comparison: each duplicate releases one segment as soon as half of the
/// flight has left.
#[test]
fn duplicates_of_a_flight_let_new_segments_out() {
    let syn = seg("S", 0, 0).mss(1000);
    let mut wire = Wire::established_with(|_| {}, buffered(2_000_000), syn);
    wire.write(1_500_000);
    wire.sent();
    wire.wait_ms(100);
    for _ in 0..9 {
        wire.inject(ack(1));
    }
    let sent = ranges(&wire.sent());
    assert_eq!(sent.iter().filter(|range| range.0 == 1).count(), 1);
    assert_eq!(
        sent.len(),
        7,
        "seven tenths of the window, and two by limited transmit: {sent:?}"
    );
}

/// A peer reports every retransmission as received twice (RFC 2883), and acknowledges nothing.
#[test]
fn reports_of_duplicates_do_not_raise_the_window() {
    const FLIGHT: i64 = 640;
    let syn = seg("S", 0, 0).mss(1000).sack_ok().wscale(8);
    let mut wire = Wire::established_with(
        |_| {},
        buffered(8_000_000).initial_window(FLIGHT.min(255) as u8),
        syn,
    );
    wire.write(3_000_000);
    let flight = wire.sent().len() as i64;
    wire.wait_ms(100);
    let before = cwnd(&wire);
    let end = 1 + flight * MSS;
    let mut again = Vec::new();
    for n in 1..flight {
        let mut blocks = Vec::new();
        if let Some((left, right)) = again.pop() {
            // Inside the next block: a duplicate of a segment that is still missing.
            blocks.push((left, right));
            blocks.push((left, right));
        }
        blocks.push((end - n * MSS, end));
        wire.inject(wire.sack(ack(1), &blocks));
        again.extend(
            ranges(&wire.sent())
                .into_iter()
                .filter(|range| range.1 <= end),
        );
        wire.wait_ms(1);
        again.extend(
            ranges(&wire.sent())
                .into_iter()
                .filter(|range| range.1 <= end),
        );
        assert!(
            cwnd(&wire) <= before,
            "{} of {before} after {n}",
            cwnd(&wire)
        );
    }
}

/// A peer that acknowledges data that it has not received is as fast as it claims, unless a limit
/// is set.
#[test]
fn a_limit_holds_whatever_is_acknowledged() {
    const LIMIT: u64 = 1_000_000;
    let syn = seg("S", 0, 0).mss(1000).sack_ok().wscale(14);
    let options = buffered(16_000_000).max_pacing_rate(Some(LIMIT));
    let mut wire = Wire::established_with(|_| {}, options, syn);
    wire.write(10_000_000);
    let mut end = 1;
    for _ in 0..2000 {
        let sent = ranges(&wire.sent());
        end = sent.into_iter().map(|range| range.1).fold(end, i64::max);
        wire.inject(ack(end));
        wire.wait_ms(1);
    }
    let allowed = LIMIT as i64 * 2 + 20 * MSS;
    assert!(
        (allowed / 2..allowed).contains(&end),
        "{end} bytes in two seconds"
    );
}

/// Data that was not sent cannot be acknowledged (RFC 5961 5.2).
#[test]
fn what_was_not_sent_is_not_acknowledged() {
    let mut wire = wire();
    wire.write(3000);
    wire.sent();
    wire.wait_ms(10);
    wire.inject(ack(4001));
    wire.expect([". 3001:3001 ack 1"]);
    assert_eq!(wire.stack.info(wire.id()).unwrap().bytes_in_flight, 3000);
}

/// RFC 2018 8: a peer that has discarded data after reporting it receives all of it again, whatever
/// it reports then.
#[test]
fn a_peer_that_reneged_gets_all_of_it_again() {
    let mut wire = wire();
    wire.write(10_000);
    assert_eq!(wire.sent().len(), 10);
    wire.wait_ms(10);
    wire.inject(wire.sack(ack(1), &[(1001, 10_001)]));
    assert_eq!(ranges(&wire.sent()), [(1, 1001)]);
    wire.wait_ms(10);
    wire.inject(wire.sack(ack(1001), &[(2001, 10_001)]));
    wire.wait_ms(100);
    assert_eq!(ranges(&wire.sent())[0], (1001, 2001));
    wire.inject(wire.sack(ack(1001), &[(3001, 10_001)]));
    wire.inject(ack(2001));
    wire.wait_ms(1);
    assert_eq!(ranges(&wire.sent())[0], (2001, 3001));
    let mut acked = 2001;
    while acked < 10_001 {
        wire.wait_ms(10);
        acked += MSS;
        wire.inject(ack(acked));
    }
    assert_eq!(wire.stack.info(wire.id()).unwrap().bytes_in_flight, 0);
}

/// RFC 8985 6.2 step 2: of the segments that an acknowledgment covers, the most recently sent
/// counts, even if it lies before others. Segments sent with it are therefore not due yet, and a
/// partial acknowledgment releases one more (RFC 9937 5).
#[test]
fn a_partial_acknowledgment_of_what_was_late_is_safe() {
    let mut wire = wire();
    wire.write(10_000);
    assert_eq!(wire.sent().len(), 10);
    wire.wait_ms(10);
    wire.inject(wire.sack(ack(1), &[(1001, 2001)]));
    wire.inject(wire.sack(ack(1), &[(1001, 3001)]));
    wire.inject(wire.sack(ack(1), &[(1001, 3001), (8001, 9001)]));
    assert_eq!(ranges(&wire.sent()), [(1, 1001)]);
    wire.wait_ms(12);
    wire.inject(wire.sack(ack(4001), &[(8001, 9001)]));
    let sent = ranges(&wire.sent());
    assert_eq!(sent, [(4001, 5001), (5001, 6001), (6001, 7001)]);
}

/// A super-segment ends with PSH, as on Linux; other packets carry it where the send buffer ends
/// (RFC 9293 SHLD-27).
#[test]
fn what_is_to_be_cut_is_pushed() {
    let offload = Offload::default().max_segment(4_000);
    let syn = seg("S", 0, 0).mss(1000).sack_ok();
    let mut wire =
        Wire::established_with(|config| config.offload = offload, buffered(100_000), syn);
    wire.write(30_000);
    let sent = wire.sent();
    assert_eq!(sent[..2], ["P. 1:4001 ack 1", "P. 4001:8001 ack 1"]);
    wire.wait(Duration::from_millis(10));
    wire.inject(ack(1001));
    let sent = wire.sent();
    assert!(!sent.is_empty());
    for (text, (start, end)) in sent.iter().zip(ranges(&sent)) {
        assert_eq!(text.starts_with("P."), end - start > MSS, "{text}");
    }
}

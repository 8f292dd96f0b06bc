//! IP fragments: reassembled in any order, within limits, never when they overlap (RFC 791,
//! RFC 5722).

mod support;

use std::time::Duration;

use bytes::Bytes;
use millstream_engine::{DropReason, Instant, RxChecksum, Stack, Transmit};
use millstream_testbed::packet;
use millstream_wire::{icmp, ip};
use support::{ADDR_A, ADDR_B, config};

/// An echo request from B to A with `len` bytes of data, as the payload of an IP packet.
fn echo_request(len: usize) -> Vec<u8> {
    let data: Vec<u8> = (0..len).map(|i| i as u8).collect();
    let mut header = [0; 8];
    icmp::emit_echo_request(&mut header, ADDR_B.into(), ADDR_A.into(), 7, 1, &data);
    [&header[..], &data].concat()
}

/// The fragment `range` of `payload`, of datagram `id`.
fn fragment(payload: &[u8], id: u16, range: std::ops::Range<usize>) -> Bytes {
    let more = range.end < payload.len();
    raw_fragment(&payload[range.clone()], id, range.start, more)
}

fn raw_fragment(piece: &[u8], id: u16, offset: usize, more: bool) -> Bytes {
    raw_fragment_from(ADDR_B, piece, id, offset, more)
}

fn raw_fragment_from(src: [u8; 4], piece: &[u8], id: u16, offset: usize, more: bool) -> Bytes {
    let header = ip::Header {
        ident: id,
        ..ip::Header::new(src.into(), ADDR_A.into(), ip::ICMP)
    };
    packet::fragment(header, offset, more, piece).into()
}

fn stack() -> Stack {
    Stack::new(config(ADDR_A), [1; 32])
}

fn replies(stack: &mut Stack, now: Instant, packets: &[Bytes]) -> Vec<Vec<u8>> {
    for packet in packets {
        stack.handle_packet(now, packet.clone(), RxChecksum::Unverified);
    }
    let mut out = Transmit::new();
    let mut all = Vec::new();
    while stack.poll_transmit(now, &mut out) {
        let mut bytes = Vec::new();
        out.write_to(&mut bytes);
        all.push(bytes);
    }
    all
}

/// RFC 791 3.2.
#[test]
fn fragments_in_any_order_make_the_datagram() {
    let payload = echo_request(1000);
    let pieces = [0..400, 400..800, 800..payload.len()].map(|range| fragment(&payload, 9, range));
    for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0], [2, 1, 0]] {
        let mut stack = stack();
        let packets = order.map(|i| pieces[i].clone());
        let replies = replies(&mut stack, Instant::ZERO, &packets);
        assert_eq!(replies.len(), 1, "{order:?}");
        assert_eq!(replies[0][28..], payload[8..], "{order:?}");
        assert_eq!(
            stack.poll_timeout(),
            None,
            "the timer is gone with the datagram"
        );
    }
}

#[test]
fn a_duplicate_fragment_does_no_harm() {
    let payload = echo_request(1000);
    let [first, second] = [0..400, 400..payload.len()].map(|range| fragment(&payload, 9, range));
    let replies = replies(&mut stack(), Instant::ZERO, &[first.clone(), first, second]);
    assert_eq!(replies.len(), 1);
}

/// RFC 8200 4.5.
#[test]
fn overlapping_fragments_drop_the_datagram() {
    let payload = echo_request(1000);
    let mut stack = stack();
    let packets = [0..400, 392..800, 400..payload.len()].map(|range| fragment(&payload, 9, range));
    assert!(replies(&mut stack, Instant::ZERO, &packets).is_empty());
    assert!(stack.counters().dropped(DropReason::Fragment) > 0);
}

#[test]
fn two_different_ends_drop_the_datagram() {
    let mut stack = stack();
    let packets = [
        raw_fragment(&[0; 16], 1, 64, false),
        raw_fragment(&[0; 8], 1, 128, true),
    ];
    assert!(replies(&mut stack, Instant::ZERO, &packets).is_empty());
    assert_eq!(stack.counters().dropped(DropReason::Fragment), 1);
}

#[test]
fn an_incomplete_datagram_is_forgotten_after_30_seconds() {
    let payload = echo_request(1000);
    let [first, second] = [0..400, 400..payload.len()].map(|range| fragment(&payload, 9, range));
    let mut stack = stack();
    replies(&mut stack, Instant::ZERO, &[first]);
    let deadline = stack.poll_timeout().unwrap();
    assert_eq!(deadline, Instant::ZERO + Duration::from_secs(30));
    stack.handle_timeout(deadline);
    assert_eq!(stack.counters().dropped(DropReason::Fragment), 1);
    assert!(replies(&mut stack, deadline, &[second]).is_empty());
}

/// A first fragment from `src`, of datagram `id`, that no other fragment follows.
fn never_ending(src: [u8; 4], id: u16) -> Bytes {
    raw_fragment_from(src, &[0; 1400], id, 0, true)
}

fn take(stack: &mut Stack, now: Instant, packet: Bytes) {
    stack.handle_packet(now, packet, RxChecksum::Unverified);
}

/// As Linux's `ipfrag_high_thresh`: four megabytes in all.
#[test]
fn a_flood_of_fragments_is_bounded() {
    let mut stack = stack();
    for id in 0..10_000u16 {
        take(&mut stack, Instant::ZERO, never_ending(ADDR_B, id));
    }
    let held = 10_000 - stack.counters().dropped(DropReason::Fragment);
    assert!((1000..=(4 << 20) / 1400).contains(&held), "{held}");
}

/// A fragment is charged for the memory that it takes, its payload and its table entries, not for
/// the datagram of which it may be a part.
#[test]
fn small_fragments_far_out_take_no_more_than_they_are() {
    let mut stack = stack();
    for id in 0..3000u16 {
        take(
            &mut stack,
            Instant::ZERO,
            raw_fragment(&[0; 8], id, 65_504, true),
        );
    }
    assert_eq!(stack.counters().dropped(DropReason::Fragment), 0);
}

/// Whether a datagram of B in two pieces is answered, although other fragments flood the stack in
/// between.
fn is_answered(stack: &mut Stack, now: Instant, id: u16, between: impl Fn(&mut Stack)) -> bool {
    let payload = echo_request(1000);
    let [first, second] = [0..400, 400..payload.len()].map(|range| fragment(&payload, id, range));
    take(stack, now, first);
    between(stack);
    take(stack, now, second);
    !replies(stack, now, &[]).is_empty()
}

#[test]
fn fragments_that_never_end_keep_no_honest_datagram_out() {
    let mut stack = stack();
    let mut answered = 0;
    let mut now = Instant::ZERO;
    let mut id = 0;
    for second in 0..120u16 {
        if second % 29 == 0 {
            for _ in 0..64 {
                id += 1;
                take(&mut stack, now, never_ending([10, 0, 0, 9], id));
            }
        }
        answered += u32::from(is_answered(&mut stack, now, second, |_| {}));
        now += Duration::from_secs(1);
        while stack.poll_timeout().is_some_and(|due| due <= now) {
            stack.handle_timeout(now);
        }
    }
    assert_eq!(answered, 120);
}

#[test]
fn a_source_that_floods_displaces_its_own_datagrams() {
    let flooders = [[10, 0, 0, 9], [10, 0, 0, 10]];
    let mut stack = stack();
    let flood = |stack: &mut Stack| {
        for id in 0..10_000 {
            take(
                stack,
                Instant::ZERO,
                never_ending(flooders[usize::from(id % 2)], id),
            );
        }
    };
    flood(&mut stack);
    assert!(is_answered(&mut stack, Instant::ZERO, 7, flood));
}

/// Against very many sources only age decides: the oldest datagram is dropped first.
#[test]
fn a_datagram_outlives_as_many_strangers_as_there_is_room_for() {
    let mut stack = stack();
    let strangers = |from: u32, stack: &mut Stack| {
        for number in from..from + 1000 {
            let [_, b, c, d] = number.to_be_bytes();
            take(stack, Instant::ZERO, never_ending([11, b, c, d], 1));
        }
    };
    for round in 0..10 {
        strangers(1000 * round, &mut stack);
    }
    let flood = |stack: &mut Stack| strangers(100_000, stack);
    assert!(is_answered(&mut stack, Instant::ZERO, 7, flood));
}

#[test]
fn repeated_data_may_come_in_other_pieces() {
    let payload = echo_request(1000);
    let end = payload.len();
    let pieces =
        [0..400, 400..800, 8..408, 200..792, 800..end].map(|range| fragment(&payload, 9, range));
    assert_eq!(replies(&mut stack(), Instant::ZERO, &pieces).len(), 1);
    let mut other = payload.clone();
    other[500] ^= 1;
    let [first, again, last] = [(&payload, 0..800), (&other, 400..800), (&payload, 800..end)]
        .map(|(payload, range)| fragment(payload, 9, range));
    assert!(replies(&mut stack(), Instant::ZERO, &[first, again, last]).is_empty());
}

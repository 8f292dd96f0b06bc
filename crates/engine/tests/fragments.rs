//! IP fragments: put together in any order, within limits, never when they overlap (RFC 791, RFC 5722).

mod support;

use std::time::Duration;

use bytes::Bytes;
use millstream_engine::{DropReason, Instant, RxChecksum, Stack, Transmit};
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
    let header = ip::Header {
        ident: id,
        dont_fragment: false,
        payload_len: piece.len(),
        ..ip::Header::new(ADDR_B.into(), ADDR_A.into(), ip::ICMP)
    };
    let mut packet = vec![0; header.len()];
    header.emit(&mut packet);
    let field = (offset / 8) as u16 | u16::from(more) << 13;
    packet[6..8].copy_from_slice(&field.to_be_bytes());
    packet[10..12].fill(0);
    let mut sum = millstream_wire::checksum::Sum::new();
    sum.add(&packet);
    packet[10..12].copy_from_slice(&sum.finish().to_be_bytes());
    packet.extend_from_slice(piece);
    packet.into()
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

#[test]
fn a_flood_of_fragments_is_bounded() {
    let mut stack = stack();
    for id in 0..10_000u16 {
        let packet = raw_fragment(&[0; 1400], id, 0, true);
        stack.handle_packet(Instant::ZERO, packet, RxChecksum::Unverified);
    }
    assert_eq!(stack.counters().dropped(DropReason::Fragment), 10_000 - 64);
}

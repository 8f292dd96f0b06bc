//! The treatment of received segments by a connection (RFC 9293 3.10.7.4, RFC 5681 4.2, RFC 2018,
//! RFC 2883, RFC 7323, RFC 5961).

mod support;

use std::time::Duration;

use millstream_engine::{ConnectionError, DropReason, SocketOptions, State};
use support::wire::{Wire, seg};
use support::{Pair, Side};

fn data(seq: i64, len: usize) -> support::wire::Seg {
    seg("P.", seq, len).ack(1)
}

/// A connection that has used up its quick acknowledgments, with 16,000 bytes read.
fn settled() -> Wire {
    let mut wire = Wire::established();
    for i in 0..16 {
        wire.inject(data(1 + i * 1000, 1000));
    }
    assert_eq!(wire.sent().len(), 16, "quick acknowledgments at the start");
    assert_eq!(wire.read(), 16_000);
    wire.sent();
    wire
}

const NEXT: i64 = 16_001;

/// RFC 9293 MUST-40, SHLD-18.
#[test]
fn a_single_segment_is_acknowledged_after_the_delay() {
    let mut wire = settled();
    wire.inject(data(NEXT, 1000));
    wire.expect([]);
    wire.wait_ms(39);
    wire.expect([]);
    wire.wait_ms(1);
    wire.expect([". 1:1 ack 17001"]);
}

/// RFC 9293 SHLD-19.
#[test]
fn every_second_full_segment_is_acknowledged_at_once() {
    let mut wire = settled();
    wire.inject(data(NEXT, 1000));
    wire.inject(data(NEXT + 1000, 1000));
    wire.expect([". 1:1 ack 18001"]);
}

/// Two segments that a device merged count as two (RFC 9293 SHLD-19): a segment that is longer than
/// the peer's segments must not raise the size of a full segment.
#[test]
fn merged_segments_are_no_larger_segment() {
    let mut wire = settled();
    wire.inject(data(NEXT, 2000));
    wire.expect([". 1:1 ack 18001"]);
    wire.inject(data(NEXT + 2000, 1000));
    wire.expect([]);
    wire.inject(data(NEXT + 3000, 1000));
    wire.expect([". 1:1 ack 20001"]);
}

/// RFC 9293 MUST-58, MUST-59.
#[test]
fn a_batch_is_answered_by_one_acknowledgment() {
    let mut wire = settled();
    wire.inject_batch((0..10).map(|i| data(NEXT + i * 1000, 1000)));
    wire.expect([". 1:1 ack 26001"]);
}

/// RFC 5681 4.2: a peer without SACK counts duplicates, so that a batch must not be answered by one
/// acknowledgment.
#[test]
fn each_segment_out_of_order_is_acknowledged_to_a_peer_without_sack() {
    let mut wire =
        Wire::established_with(|_| {}, SocketOptions::default(), seg("S", 0, 0).mss(1000));
    wire.inject_batch((1..=4).map(|i| seg(".", 1 + i * 1000, 1000).ack(1)));
    wire.expect([". 1:1 ack 1"; 4]);
    wire.inject(seg(".", 1, 1000).ack(1));
    wire.expect([". 1:1 ack 5001"]);
}

/// RFC 5681 2: an acknowledgment with another window is not a duplicate.
#[test]
fn the_window_of_duplicates_stays() {
    let mut wire = Wire::established_with(
        |_| {},
        SocketOptions::default().receive_buffer(20_000),
        seg("S", 0, 0).mss(1000),
    );
    let windows = |wire: &mut Wire| {
        let headers = wire.headers();
        headers
            .iter()
            .map(|(window, _)| *window)
            .collect::<Vec<_>>()
    };
    wire.inject_batch((0..8).map(|i| seg(".", 1 + i * 1000, 1000).ack(1)));
    let first = windows(&mut wire);
    wire.inject(seg(".", 9001, 1000).ack(1));
    assert_eq!(wire.read(), 8000);
    wire.inject(seg(".", 10_001, 1000).ack(1));
    assert_eq!(windows(&mut wire), [first[0]; 2]);
    // Once the gap is filled, all of the room is available again.
    wire.inject(seg(".", 8001, 1000).ack(1));
    assert!(windows(&mut wire)[0] > first[0]);
}

#[test]
fn an_acknowledgment_rides_on_data() {
    let mut wire = settled();
    wire.inject(data(NEXT, 100));
    wire.write(10);
    wire.expect(["P. 1:11 ack 16101"]);
    wire.wait_ms(100);
    wire.expect([]);
}

/// RFC 9293 SHLD-31, MAY-13.
#[test]
fn out_of_order_data_is_acknowledged_at_once_and_reported() {
    let mut wire = settled();
    wire.inject(data(NEXT + 1000, 500));
    wire.expect([". 1:1 ack 16001 sack 17001:17501"]);
    wire.inject(data(NEXT + 3000, 500));
    wire.expect([". 1:1 ack 16001 sack 19001:19501 sack 17001:17501"]);
    wire.inject(data(NEXT + 1500, 500));
    wire.expect([". 1:1 ack 16001 sack 17001:18001 sack 19001:19501"]);
    // The gap closes: acknowledged at once, and the filled range is no longer reported.
    wire.inject(data(NEXT, 1000));
    wire.expect([". 1:1 ack 18001 sack 19001:19501"]);
    assert_eq!(wire.read(), 2000);
    wire.inject(data(NEXT + 2000, 1000));
    wire.expect([". 1:1 ack 19501"]);
    assert_eq!(wire.read(), 1500);
}

#[test]
fn duplicates_are_reported_by_d_sack() {
    let mut wire = settled();
    wire.inject(data(NEXT - 1000, 1000));
    wire.expect([". 1:1 ack 16001 sack 15001:16001"]);
    // Half of it is new.
    wire.inject(data(NEXT - 500, 1000));
    wire.expect([". 1:1 ack 16501 sack 15501:16001"]);
    assert_eq!(wire.read(), 500);
    // A duplicate of data held out of order.
    wire.inject(data(NEXT + 1500, 100));
    wire.expect([". 1:1 ack 16501 sack 17501:17601"]);
    wire.inject(data(NEXT + 1500, 100));
    wire.expect([". 1:1 ack 16501 sack 17501:17601 sack 17501:17601"]);
}

#[test]
fn nothing_is_reported_to_a_peer_without_sack() {
    let mut wire =
        Wire::established_with(|_| {}, SocketOptions::default(), seg("S", 0, 0).mss(1000));
    wire.inject(data(2001, 500));
    wire.expect([". 1:1 ack 1"]);
}

#[test]
fn overlaps_on_either_side_are_trimmed() {
    let mut wire = settled();
    wire.inject(data(NEXT + 100, 100));
    wire.inject(data(NEXT + 50, 300));
    wire.inject(data(NEXT - 10, 70));
    wire.sent();
    let id = wire.id();
    assert_eq!(wire.stack.readable_bytes(id), 350);
    let mut chunks: Vec<bytes::Bytes> = Vec::new();
    let _ = wire.stack.read(wire.now, id, 1000, &mut chunks).unwrap();
    let expected: Vec<u8> = (0..350).map(|i| (NEXT + i) as u8).collect();
    assert_eq!(chunks.concat(), expected);
}

#[test]
fn a_fin_in_the_gap_counts_when_the_gap_closes() {
    let mut wire = settled();
    wire.inject(seg("F.", NEXT + 100, 0).ack(1));
    wire.expect([". 1:1 ack 16001 sack 16101:16102"]);
    assert_eq!(wire.stack.state(wire.id()), Some(State::Established));
    wire.inject(data(NEXT, 100));
    wire.expect([". 1:1 ack 16102"]);
    assert_eq!(wire.stack.state(wire.id()), Some(State::CloseWait));
}

#[test]
fn data_beyond_the_window_is_cut_off() {
    // The smallest possible buffer; the window of a SYN consists of whole segments.
    let options = SocketOptions::default()
        .receive_buffer(2304)
        .max_segment_size(Some(1000));
    let mut wire = Wire::established_with(|_| {}, options, seg("S", 0, 0).mss(1000));
    wire.inject(data(1, 1000));
    wire.inject(data(1001, 1500));
    assert_eq!(wire.stack.readable_bytes(wire.id()), 2000);
    let last = wire.sent().pop();
    assert_eq!(last.as_deref(), Some(". 1:1 ack 2001"));
}

#[test]
fn a_closed_window_opens_when_half_of_the_buffer_is_read() {
    let options = SocketOptions::default()
        .receive_buffer(4000)
        .max_segment_size(Some(1000));
    let mut wire = Wire::established_with(|_| {}, options, seg("S", 0, 0).mss(1000));
    for i in 0..4 {
        wire.inject(data(1 + i * 1000, 1000));
    }
    assert_eq!(wire.headers().pop().unwrap().0, 0);
    let id = wire.id();
    let mut chunks: Vec<bytes::Bytes> = Vec::new();
    let _ = wire.stack.read(wire.now, id, 500, &mut chunks).unwrap();
    wire.collect();
    // RFC 9293 3.8.6.2.2: a window growth of 500 bytes is not advertised.
    wire.expect([]);
    // A probe is answered with the current window (RFC 9293 3.8.6.1).
    wire.inject(seg(".", 4000, 0).ack(1));
    let (window, _) = wire.headers().pop().unwrap();
    assert_eq!(window, 0);
    assert_eq!(wire.read(), 3500);
    let (window, _) = wire.headers().pop().unwrap();
    assert_eq!(window, 4000);
}

/// RFC 9293 SHLD-14.
#[test]
fn the_right_edge_never_moves_left() {
    let options = SocketOptions::default()
        .receive_buffer(10_000)
        .max_segment_size(Some(1000));
    let mut wire = Wire::established_with(|_| {}, options, seg("S", 0, 0).mss(1000).wscale(7));
    let mut edge = 0;
    for i in 0..40 {
        wire.inject(data(1 + i * 333, 333));
        if i % 7 == 6 {
            wire.read();
        }
        for (window, _) in wire.headers() {
            let now = 1 + (i + 1) * 333 + i64::from(window);
            assert!(now >= edge, "{now} after {edge}");
            edge = now;
        }
    }
}

#[test]
fn a_reset_must_be_exact() {
    let mut wire = settled();
    // In the window: a challenge (RFC 5961 3).
    wire.inject(seg("R", NEXT + 1, 0));
    wire.expect([". 1:1 ack 16001"]);
    // Outside: no answer.
    wire.inject(seg("R", NEXT - 1, 0));
    wire.inject(seg("R", NEXT + 2_000_000, 0));
    wire.expect([]);
    assert_eq!(wire.stack.state(wire.id()), Some(State::Established));
    wire.inject(seg("R", NEXT, 0));
    wire.expect([]);
    let id = wire.id();
    assert_eq!(wire.stack.take_error(id), Some(ConnectionError::Reset));
    assert_eq!(wire.stack.take_error(id), None);
}

#[test]
fn a_syn_in_a_synchronised_state_is_challenged_at_a_limited_rate() {
    let mut wire = settled();
    wire.inject(seg("S", NEXT, 0));
    wire.expect([". 1:1 ack 16001"]);
    wire.inject(seg("S", NEXT + 5, 0));
    wire.expect([]);
    wire.wait_ms(500);
    wire.inject(seg("S.", NEXT + 5, 0).ack(1));
    wire.expect([". 1:1 ack 16001"]);
    assert_eq!(wire.stack.counters().dropped(DropReason::UnexpectedSyn), 3);
}

#[test]
fn an_acknowledgment_of_what_was_not_sent_is_challenged_and_its_data_dropped() {
    let mut wire = settled();
    wire.inject(seg("P.", NEXT, 10).ack(2));
    wire.expect([". 1:1 ack 16001"]);
    assert_eq!(wire.stack.readable_bytes(wire.id()), 0);
    assert_eq!(
        wire.stack.counters().dropped(DropReason::UnacceptableAck),
        1
    );
}

/// RFC 9293 MAY-12.
#[test]
fn an_acknowledgment_older_than_any_window_is_challenged() {
    let mut wire = settled();
    wire.inject(seg("P.", NEXT, 10).ack(1 - 70_000));
    wire.expect([". 1:1 ack 16001"]);
    assert_eq!(wire.stack.readable_bytes(wire.id()), 0);
}

#[test]
fn a_segment_without_ack_is_dropped() {
    let mut wire = settled();
    wire.inject(seg("P", NEXT, 10));
    wire.expect([]);
    assert_eq!(wire.stack.counters().dropped(DropReason::MissingAck), 1);
}

#[test]
fn older_timestamps_are_answered_and_dropped() {
    let syn = seg("S", 0, 0).mss(1000).ts(1000, 0);
    let mut wire = Wire::established_with(|_| {}, SocketOptions::default(), syn);
    wire.inject(data(1, 10).ts(1005, 0));
    assert_eq!(
        wire.headers().pop().unwrap().1.timestamps.unwrap().echo,
        1005
    );
    wire.inject(data(11, 10).ts(988, 0));
    wire.expect([". 1:1 ack 11"]);
    assert_eq!(wire.stack.counters().dropped(DropReason::Paws), 1);
    // Not applied to a reset (RFC 7323 5.2).
    wire.inject(seg("R", 11, 0).ts(900, 0));
    assert_eq!(wire.stack.state(wire.id()), Some(State::Closed));
}

#[test]
fn the_timestamp_echoed_is_that_of_the_oldest_segment_not_acknowledged() {
    let syn = seg("S", 0, 0).mss(1000).sack_ok().ts(1000, 0);
    let mut wire = Wire::established_with(|_| {}, SocketOptions::default(), syn);
    wire.inject_batch([data(1, 10).ts(1005, 0), data(11, 10).ts(1009, 0)]);
    assert_eq!(
        wire.headers().pop().unwrap().1.timestamps.unwrap().echo,
        1005
    );
    // Out of order: the echoed timestamp stays (RFC 7323 4.3 B).
    wire.inject(data(31, 10).ts(1020, 0));
    assert_eq!(
        wire.headers().pop().unwrap().1.timestamps.unwrap().echo,
        1005
    );
}

#[test]
fn segments_without_timestamps_are_tolerated() {
    let syn = seg("S", 0, 0).mss(1000).ts(1000, 0);
    let mut wire = Wire::established_with(|_| {}, SocketOptions::default(), syn);
    wire.inject(data(1, 10));
    assert_eq!(wire.read(), 10);
}

/// RFC 9293 MUST-31, MUST-32, MUST-33.
#[test]
fn the_urgent_pointer_is_told_and_the_data_stays_in_line() {
    let mut wire = settled();
    wire.inject(seg("PU.", NEXT, 10).ack(1).urgent(4));
    let id = wire.id();
    assert_eq!(wire.stack.urgent_mark(id), Some(4));
    assert_eq!(wire.read(), 10);
    assert_eq!(wire.stack.urgent_mark(id), None);
}

/// RFC 9293 MUST-50.
#[test]
fn options_of_the_ip_header_are_ignored() {
    let mut wire = Wire::established();
    wire.inject_with_ip_options(seg("P.", 1, 100).ack(1));
    assert_eq!(wire.read(), 100);
}

/// RFC 9293 MUST-3.
#[test]
fn a_corrupted_segment_is_dropped() {
    let mut wire = settled();
    let before = wire.stack.counters().dropped(DropReason::Checksum);
    wire.inject_corrupted(data(NEXT, 100));
    wire.expect([]);
    assert_eq!(
        wire.stack.counters().dropped(DropReason::Checksum),
        before + 1
    );
}

#[test]
fn an_overtaken_pure_acknowledgment_still_counts() {
    let mut wire = settled();
    wire.write(100);
    wire.sent();
    wire.inject(data(NEXT, 1000).ack(1));
    // Sent before that segment, arrived after it.
    wire.inject(seg(".", NEXT, 0).ack(101));
    assert_eq!(wire.stack.info(wire.id()).unwrap().bytes_in_flight, 0);
}

#[test]
fn four_blocks_fit_alone_and_three_beside_timestamps() {
    let mut wire = settled();
    for i in 1..=6 {
        wire.inject(data(NEXT + i * 2000, 100));
    }
    let last = wire.sent().pop().unwrap();
    assert_eq!(
        last,
        ". 1:1 ack 16001 sack 28001:28101 sack 26001:26101 sack 24001:24101 sack 22001:22101"
    );
    let syn = seg("S", 0, 0).mss(1000).sack_ok().ts(1, 0);
    let mut wire = Wire::established_with(|_| {}, SocketOptions::default(), syn);
    for i in 1..=6 {
        wire.inject(data(i * 2000, 100).ts(2, 0));
    }
    let last = wire.sent().pop().unwrap();
    assert_eq!(
        last,
        ". 1:1 ack 1 sack 12000:12100 sack 10000:10100 sack 8000:8100"
    );
}

#[test]
fn blocks_ride_on_data_and_are_repeated_until_filled() {
    let mut wire = settled();
    wire.inject(data(NEXT + 1000, 100));
    wire.sent();
    wire.write(10);
    wire.expect(["P. 1:11 ack 16001 sack 17001:17101"]);
    // RFC 2018 4: repeated in every segment that is sent.
    wire.inject(data(NEXT + 3000, 100));
    wire.inject(data(NEXT + 3000, 100).ack(11));
    let last = wire.sent().pop().unwrap();
    assert!(last.ends_with("sack 17001:17101"), "{last}");
}

/// A connection with a full buffer of 2000 bytes.
fn full() -> Wire {
    // The smallest possible buffer; the window of a SYN consists of whole segments.
    let options = SocketOptions::default()
        .receive_buffer(2304)
        .max_segment_size(Some(1000));
    let mut wire = Wire::established_with(|_| {}, options, seg("S", 0, 0).mss(1000));
    wire.inject_batch([data(1, 1000), data(1001, 1000)]);
    assert_eq!(wire.headers().pop().unwrap().0, 0, "the window is closed");
    wire
}

#[test]
fn at_a_closed_window_data_is_refused_and_the_rest_of_the_segment_counts() {
    let mut wire = full();
    wire.write(50);
    wire.expect(["P. 1:51 ack 2001"]);
    // MUST-66: the acknowledgment and the urgent pointer are processed, the data is not.
    wire.inject(seg("PU.", 2001, 10).ack(51).urgent(10));
    wire.expect([". 51:51 ack 2001"]);
    let id = wire.id();
    assert_eq!(wire.stack.info(id).unwrap().bytes_in_flight, 0);
    assert_eq!(wire.stack.urgent_mark(id), Some(2010));
    assert_eq!(wire.stack.readable_bytes(id), 2000);
    wire.inject(seg("R", 2001, 0));
    assert_eq!(wire.stack.take_error(id), Some(ConnectionError::Reset));
}

#[test]
fn a_reopened_window_takes_the_data_that_was_refused() {
    let mut wire = full();
    wire.inject(data(2001, 500));
    wire.sent();
    assert_eq!(wire.read(), 2000);
    assert_eq!(wire.headers().pop().unwrap().0, 2304);
    wire.inject(data(2001, 500));
    assert_eq!(wire.read(), 500);
}

#[test]
fn an_old_segment_does_not_set_the_window() {
    let mut wire = settled();
    wire.inject(data(NEXT, 10).win(5000));
    wire.inject(data(NEXT + 10, 10).win(7000));
    let id = wire.id();
    assert_eq!(wire.stack.info(id).unwrap().snd_wnd, 7000);
    // Sent before the preceding segment (SND.WL1); and one with the same position in both
    // sequences.
    wire.inject(seg(".", NEXT, 0).ack(1).win(5000));
    assert_eq!(wire.stack.info(id).unwrap().snd_wnd, 7000);
    wire.inject(seg(".", NEXT + 10, 0).ack(1).win(6000));
    assert_eq!(wire.stack.info(id).unwrap().snd_wnd, 6000);
}

#[test]
fn the_data_of_a_segment_with_an_old_acknowledgment_is_taken() {
    let mut wire = settled();
    wire.write(5000);
    wire.inject(seg(".", NEXT, 0).ack(5001));
    wire.sent();
    wire.inject(data(NEXT, 100));
    assert_eq!(wire.read(), 100);
    assert_eq!(wire.stack.info(wire.id()).unwrap().bytes_in_flight, 0);
}

/// A retransmission has overtaken the segment; the newest timestamp is still echoed.
#[test]
fn a_little_older_timestamps_are_taken() {
    let syn = seg("S", 0, 0).mss(1000).ts(1000, 0);
    let mut wire = Wire::established_with(|_| {}, SocketOptions::default(), syn);
    wire.inject(data(1, 10).ts(1005, 0));
    wire.sent();
    wire.inject(data(11, 10).ts(989, 0));
    assert_eq!(
        wire.headers().pop().unwrap().1.timestamps.unwrap().echo,
        1005
    );
    assert_eq!(wire.read(), 20);
}

#[test]
fn timestamps_are_not_believed_to_be_older_after_24_days_of_silence() {
    let syn = seg("S", 0, 0).mss(1000).ts(1_000_000, 0);
    let mut wire = Wire::established_with(|_| {}, SocketOptions::default(), syn);
    wire.wait(Duration::from_secs(23 * 24 * 3600));
    wire.inject(data(1, 10).ts(999_000, 0));
    wire.expect([". 1:1 ack 1"]);
    // RFC 7323 5.5.
    wire.wait(Duration::from_secs(2 * 24 * 3600));
    wire.inject(data(1, 10).ts(999_000, 0));
    assert_eq!(wire.read(), 10);
}

#[test]
fn an_unacceptable_acknowledgment_does_not_set_the_timestamp_to_echo() {
    let syn = seg("S", 0, 0).mss(1000).ts(1000, 0);
    let mut wire = Wire::established_with(|_| {}, SocketOptions::default(), syn);
    wire.inject(data(1, 10).ack(9).ts(5000, 0));
    wire.sent();
    wire.inject(data(1, 10).ts(1001, 0));
    assert_eq!(wire.read(), 10, "1001 is not older than anything believed");
}

#[test]
fn a_fin_that_comes_again_is_acknowledged_again() {
    let mut wire = settled();
    wire.inject(seg("F.", NEXT, 0).ack(1));
    wire.expect([". 1:1 ack 16002"]);
    wire.inject(seg("F.", NEXT, 0).ack(1));
    wire.expect([". 1:1 ack 16002 sack 16001:16002"]);
    assert_eq!(wire.stack.state(wire.id()), Some(State::CloseWait));
}

#[test]
fn the_acknowledgment_of_a_fin_is_not_delayed() {
    let mut wire = settled();
    wire.inject(seg("FP.", NEXT, 10).ack(1));
    wire.expect([". 1:1 ack 16012"]);
}

#[test]
fn small_segments_wait_for_the_delay_however_many() {
    let mut wire = settled();
    // RFC 9293 SHLD-19 concerns full segments.
    wire.inject(data(NEXT, 10));
    wire.inject(data(NEXT + 10, 10));
    wire.inject(data(NEXT + 20, 10));
    wire.expect([]);
    wire.wait_ms(40);
    wire.expect([". 1:1 ack 16031"]);
}

#[test]
fn the_first_segments_after_a_silence_are_acknowledged_at_once() {
    let mut wire = settled();
    wire.wait(Duration::from_secs(5));
    wire.inject(data(NEXT, 1000));
    wire.expect([". 1:1 ack 17001"]);
}

#[test]
fn challenges_are_limited_per_connection_and_not_for_data() {
    let mut wire = settled();
    for _ in 0..100 {
        wire.inject(seg("R", NEXT + 1, 0));
        wire.inject(seg("S", NEXT, 0));
        wire.inject(seg(".", NEXT, 0).ack(100));
    }
    wire.expect([". 1:1 ack 16001"]);
    assert_eq!(wire.stack.counters().challenge_acks, 1);
    // A retransmission is not suspicious: its sender may wait for this acknowledgment.
    for _ in 0..3 {
        wire.inject(data(NEXT - 1000, 1000));
        assert_eq!(wire.sent().len(), 1);
    }
}

#[test]
fn out_of_order_data_is_bounded_by_the_window() {
    let options = SocketOptions::default()
        .receive_buffer(10_000)
        .max_segment_size(Some(1000));
    let mut wire = Wire::established_with(|_| {}, options, seg("S", 0, 0).mss(1000));
    for i in 1..100 {
        wire.inject(data(1 + i * 500, 400));
    }
    // The window ends at 10001; the gap at the beginning closes, and only the data inside follows.
    wire.inject(data(1, 500));
    wire.inject(data(901, 100));
    assert_eq!(wire.read(), 1400);
    for i in 2..20 {
        wire.inject(data(1 + i * 500 - 100, 100));
    }
    assert_eq!(wire.read(), 8500);
}

/// A window that moves by more than the buffer has, or than a header can say, would stay closed for good.
#[test]
fn a_window_opens_again_whatever_step_it_moves_by() {
    for (window_scaling, buffer) in [(true, 20_000), (false, 1 << 20)] {
        let mut options = SocketOptions::default()
            .window_step(Some(u32::MAX))
            .window_scaling(window_scaling);
        options.fix_receive_buffer(buffer);
        let mut pair = Pair::new();
        let (a, b) = pair.established_with(options);
        pair.write(Side::A, a, &[1; 300_000]);
        let mut read = 0;
        pair.run_until(Duration::from_secs(60), |pair| {
            read += pair.read(Side::B, b).len();
            read == 300_000
        });
    }
}

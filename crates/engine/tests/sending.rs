//! The segments that a connection sends, and their times (RFC 9293 3.7 and 3.8, RFC 5681, RFC 6298,
//! RFC 6582, RFC 6675, RFC 6928).

mod support;

use std::time::Duration;

use millstream_engine::{CongestionControl, ConnectionError, SocketOptions, State, WriteError};
use support::wire::{Seg, Wire, seg};

/// The algorithms of RFC 5681, RFC 6298 and RFC 6675, and no newer ones.
fn reno() -> SocketOptions {
    SocketOptions::default()
        .congestion(CongestionControl::NewReno)
        .rack(false)
        .tail_loss_probe(false)
        .frto(false)
}

/// Established by the peer's SYN, with a segment size of 1000 and SACK.
fn wire() -> Wire {
    with(reno())
}

fn with(options: SocketOptions) -> Wire {
    Wire::established_with(|_| {}, options, seg("S", 0, 0).mss(1000).sack_ok())
}

fn ack(position: i64) -> Seg {
    seg(".", 1, 0).ack(position)
}

/// RFC 9293 MUST-61, SHLD-28.
#[test]
fn the_initial_window_is_ten_segments_and_psh_is_on_the_last() {
    let mut wire = wire();
    wire.write(10_500);
    let sent = wire.sent();
    assert_eq!(sent.len(), 10, "{sent:?}");
    assert_eq!(sent[0], ". 1:1001 ack 1");
    assert_eq!(sent[9], ". 9001:10001 ack 1");
    wire.inject(ack(10_001));
    wire.expect(["P. 10001:10501 ack 1"]);
}

/// RFC 9293 MUST-19.
#[test]
fn slow_start_grows_by_what_was_acknowledged() {
    let mut wire = wire();
    wire.write(100_000);
    assert_eq!(wire.sent().len(), 10);
    wire.inject(ack(2001));
    // Two segments acknowledged: two that left and two more.
    assert_eq!(wire.sent().len(), 4);
    wire.inject(ack(10_001));
    assert_eq!(wire.sent().len(), 16);
}

#[test]
fn a_small_segment_waits_for_an_earlier_small_one() {
    let mut wire = wire();
    wire.write(10);
    wire.expect(["P. 1:11 ack 1"]);
    wire.write(10);
    wire.write(10);
    wire.expect([]);
    wire.inject(ack(11));
    wire.expect(["P. 11:31 ack 1"]);
    // A full segment in flight does not delay the small one after it (Minshall).
    wire.inject(ack(31));
    wire.write(1010);
    wire.expect([". 31:1031 ack 1", "P. 1031:1041 ack 1"]);
}

#[test]
fn nodelay_sends_at_once() {
    let mut wire = with(SocketOptions::default().nodelay(true));
    wire.write(10);
    wire.write(10);
    wire.expect(["P. 1:11 ack 1", "P. 11:21 ack 1"]);
}

/// RFC 9293 MUST-60.
#[test]
fn a_cork_holds_small_segments_for_200_milliseconds() {
    let mut wire = with(SocketOptions::default().cork(true));
    wire.write(1010);
    wire.expect([". 1:1001 ack 1"]);
    wire.inject(ack(1001));
    wire.wait_ms(199);
    wire.expect([]);
    wire.wait_ms(1);
    wire.expect(["P. 1001:1011 ack 1"]);
    wire.inject(ack(1011));
    wire.write(5);
    wire.expect([]);
    let id = wire.id();
    wire.stack
        .set_options(wire.now, id, |options| options.cork = false)
        .unwrap();
    wire.collect();
    wire.expect(["P. 1011:1016 ack 1"]);
}

#[test]
fn the_peer_s_window_bounds_what_is_sent() {
    let mut wire = wire();
    wire.inject(ack(1).win(2500));
    wire.write(10_000);
    // 500 bytes are not a sensible segment (RFC 9293 3.8.6.2.1).
    wire.expect([". 1:1001 ack 1", ". 1001:2001 ack 1"]);
    wire.inject(ack(2001).win(2500));
    wire.expect([". 2001:3001 ack 1", ". 3001:4001 ack 1"]);
}

#[test]
fn the_window_of_a_retransmission_counts_when_it_acknowledges_more() {
    let mut wire = wire();
    // The peer's second segment arrives before its first, which is retransmitted later.
    wire.inject(seg("P.", 101, 100).ack(1).win(3000));
    wire.sent();
    wire.write(10_000);
    assert_eq!(wire.sent().len(), 3);
    wire.inject(seg("P.", 1, 100).ack(2001).win(1000));
    // 3000 bytes from 2001 on would exceed the peer's window. (2964 bytes have been sent: three
    // segments beside a SACK block.)
    wire.expect([". 2965:2965 ack 201"]);
}

/// RFC 9293 MUST-35, MUST-36, MUST-37, SHLD-29, SHLD-30.
#[test]
fn a_closed_window_is_probed_with_back_off_for_as_long_as_probes_are_answered() {
    let mut wire = wire();
    wire.inject(ack(1).win(0));
    wire.write(100);
    wire.expect([]);
    let mut gaps = Vec::new();
    let mut last = wire.now;
    for _ in 0..20 {
        while wire.sent().is_empty() {
            wire.wait_ms(10);
        }
        gaps.push((wire.now - last).as_millis());
        last = wire.now;
        wire.inject(ack(1).win(0));
        assert_eq!(wire.sent().len(), 0);
    }
    assert!(
        gaps.windows(2)
            .take(7)
            .all(|pair| pair[1] >= pair[0] * 19 / 10),
        "{gaps:?}"
    );
    assert!(gaps[19] <= 120_010, "{gaps:?}");
    wire.inject(ack(1).win(1000));
    wire.expect(["P. 1:101 ack 1"]);
}

#[test]
fn probes_that_nobody_answers_end_the_connection() {
    let mut wire = wire();
    wire.inject(ack(1).win(0));
    wire.write(100);
    wire.wait(Duration::from_secs(3600));
    let sent = wire.sent();
    assert_eq!(
        sent.iter().filter(|line| *line == ". 0:0 ack 1").count(),
        15,
        "{sent:?}"
    );
    let id = wire.id();
    assert_eq!(wire.stack.take_error(id), Some(ConnectionError::TimedOut));
}

/// RFC 9293 SHLD-15, SHLD-16.
#[test]
fn a_window_that_shrank_stops_new_data_and_is_robust() {
    let mut wire = wire();
    wire.write(5000);
    assert_eq!(wire.sent().len(), 5);
    // SND.UNA + SND.WND is left of SND.NXT (MUST-34).
    wire.inject(ack(1001).win(1000));
    wire.write(1000);
    wire.expect([]);
    wire.inject(ack(5001).win(1000));
    wire.expect(["P. 5001:6001 ack 1"]);
}

/// RFC 9293 MUST-19, MUST-20, SHLD-11.
#[test]
fn the_retransmission_timer_backs_off_and_gives_up() {
    let mut wire = wire();
    wire.write(100);
    wire.expect(["P. 1:101 ack 1"]);
    let start = wire.now;
    let mut times = Vec::new();
    for _ in 0..15 {
        loop {
            let next = wire.stack.poll_timeout().unwrap();
            wire.wait(next - wire.now);
            if !wire.sent().is_empty() {
                break;
            }
        }
        times.push((wire.now - start).as_millis());
    }
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        gaps[..9]
            .windows(2)
            .all(|pair| pair[1].abs_diff(pair[0] * 2) <= 1),
        "{gaps:?}"
    );
    assert!(gaps[13] == 120_000, "capped: {gaps:?}");
    wire.wait(Duration::from_secs(121));
    wire.expect([]); // The peer is not notified: it does not answer.
    let id = wire.id();
    assert_eq!(
        wire.stack.write(wire.now, id, b"x"),
        Err(WriteError::Connection(ConnectionError::TimedOut))
    );
    assert_eq!(
        wire.stack.write(wire.now, id, b"x"),
        Err(WriteError::BrokenPipe)
    );
}

/// RFC 9293 SHLD-10: R1 is three.
#[test]
fn trouble_is_known_after_three_retransmissions() {
    let mut wire = wire();
    wire.write(100);
    wire.expect(["P. 1:101 ack 1"]);
    let id = wire.id();
    for retransmission in 1..=4 {
        while wire.sent().is_empty() {
            let next = wire.stack.poll_timeout().unwrap();
            wire.wait(next - wire.now);
        }
        let known = (retransmission > 3).then_some(ConnectionError::TimedOut);
        assert_eq!(wire.stack.soft_error(id), known, "{retransmission}");
    }
}

/// RFC 9293 MUST-21: R2 may be infinite.
#[test]
fn retransmissions_may_go_on_for_ever() {
    let mut wire = with(SocketOptions::default().retries2(SocketOptions::FOR_EVER));
    wire.write(100);
    wire.sent();
    // A day with a retransmission every two minutes: far more than the counter holds.
    wire.wait(Duration::from_secs(24 * 3600));
    assert!(wire.sent().len() > 700);
    wire.inject(ack(101));
    let id = wire.id();
    assert_eq!(wire.stack.state(id), Some(State::Established));
}

#[test]
fn the_user_timeout_ends_it_earlier() {
    let mut wire = with(SocketOptions::default().user_timeout(Some(Duration::from_secs(5))));
    wire.write(100);
    wire.wait_ms(4999);
    let id = wire.id();
    assert_eq!(wire.stack.take_error(id), None);
    wire.wait_ms(1);
    assert_eq!(wire.stack.take_error(id), Some(ConnectionError::TimedOut));
}

#[test]
fn three_duplicates_without_sack_retransmit_the_first_and_partial_acks_the_next() {
    let syn = seg("S", 0, 0).mss(1000);
    let mut wire = Wire::established_with(|_| {}, reno(), syn);
    wire.write(8000);
    assert_eq!(wire.sent().len(), 8);
    wire.inject(ack(1));
    wire.inject(ack(1));
    wire.expect([]);
    wire.inject(ack(1));
    wire.expect([". 1:1001 ack 1"]);
    // Two were lost: the second hole is filled on the partial acknowledgment (RFC 6582).
    wire.inject(ack(3001));
    wire.expect([". 3001:4001 ack 1"]);
    wire.inject(ack(8001));
    wire.expect([]);
    let info = wire.stack.info(wire.id()).unwrap();
    assert_eq!((info.total_retrans, info.ssthresh), (2, 4000));
}

#[test]
fn sack_fills_the_holes_and_nothing_else() {
    let mut wire = wire();
    wire.write(10_000);
    assert_eq!(wire.sent().len(), 10);
    // Segments 1, 3 and 5 are lost.
    for blocks in [
        &[(1001, 2001)][..],
        &[(3001, 4001), (1001, 2001)],
        &[(5001, 6001), (3001, 4001), (1001, 2001)],
        &[(5001, 7001), (3001, 4001), (1001, 2001)],
        &[(5001, 8001), (3001, 4001), (1001, 2001)],
        &[(5001, 9001), (3001, 4001), (1001, 2001)],
        &[(5001, 10_001), (3001, 4001), (1001, 2001)],
    ] {
        let segment = wire.sack(ack(1), blocks);
        wire.inject(segment);
    }
    wire.expect([". 1:1001 ack 1", ". 2001:3001 ack 1", ". 4001:5001 ack 1"]);
    wire.inject(ack(10_001));
    assert_eq!(wire.stack.info(wire.id()).unwrap().bytes_in_flight, 0);
}

/// Acknowledgments of one batch report a loss and revoke the report before any retransmission:
/// there was no loss.
#[test]
fn a_segment_overtaken_within_a_batch_is_not_lost() {
    let mut wire = wire();
    wire.write(10_000);
    assert_eq!(wire.sent().len(), 10);
    let lost = wire.sack(ack(1), &[(1001, 4001)]);
    wire.inject_batch([lost, ack(4001)]);
    wire.expect([]);
    let info = wire.stack.info(wire.id()).unwrap();
    assert_eq!((info.total_retrans, info.ssthresh), (0, u32::MAX));
    assert!(info.cwnd >= 10_000, "{}", info.cwnd);
}

#[test]
fn limited_transmit_sends_new_data_on_the_first_duplicates() {
    let mut wire = wire();
    wire.write(20_000);
    assert_eq!(wire.sent().len(), 10);
    let first = wire.sack(ack(1), &[(1001, 2001)]);
    wire.inject(first);
    let sent = wire.sent();
    assert_eq!(sent[0], ". 10001:11001 ack 1", "RFC 3042");
}

#[test]
fn a_timeout_resends_the_first_and_continues_as_acknowledgments_come() {
    let mut wire = wire();
    wire.write(5000);
    wire.sent();
    let rto = wire.stack.info(wire.id()).unwrap().rto;
    wire.wait(rto);
    wire.expect([". 1:1001 ack 1"]);
    wire.inject(ack(1001));
    // Slow start from one segment: now two.
    wire.expect([". 1001:2001 ack 1", ". 2001:3001 ack 1"]);
    wire.inject(ack(5001));
    wire.expect([]);
}

#[test]
fn idle_longer_than_a_timeout_starts_from_the_initial_window() {
    let mut wire = wire();
    wire.write(40_000);
    let mut position = 1;
    for _ in 0..3 {
        position += 10_000;
        wire.inject(ack(position));
    }
    wire.inject(ack(40_001));
    assert!(wire.stack.info(wire.id()).unwrap().cwnd > 20_000);
    wire.sent();
    wire.wait(Duration::from_secs(5));
    wire.write(40_000);
    assert_eq!(wire.sent().len(), 10);
}

#[test]
fn an_application_limited_window_does_not_grow_beyond_twice_the_flight() {
    let mut wire = wire();
    let mut position = 1;
    for _ in 0..50 {
        wire.write(1000);
        position += 1000;
        wire.inject(ack(position));
    }
    assert_eq!(wire.stack.info(wire.id()).unwrap().cwnd, 10_000);
}

/// RFC 9293 MUST-18.
#[test]
fn a_retransmitted_segment_gives_no_round_trip_time() {
    let syn = seg("S", 0, 0).mss(1000);
    let mut wire = Wire::established_with(|_| {}, SocketOptions::default(), syn);
    wire.write(100);
    wire.sent();
    let before = wire.stack.info(wire.id()).unwrap().rtt;
    while wire.sent().is_empty() {
        wire.wait_ms(50);
    }
    wire.wait_ms(7000);
    wire.inject(ack(101));
    assert_eq!(wire.stack.info(wire.id()).unwrap().rtt, before, "Karn");
}

#[test]
fn segments_leave_room_for_timestamps() {
    let syn = seg("S", 0, 0).mss(1000).sack_ok().ts(5, 0);
    let mut wire = Wire::established_with(|_| {}, SocketOptions::default(), syn);
    wire.write(2000);
    wire.expect([". 1:989 ack 1", ". 989:1977 ack 1", "P. 1977:2001 ack 1"]);
}

/// RFC 9293 MUST-62, MUST-31.
#[test]
fn urgent_data_points_behind_its_last_byte() {
    let mut wire = wire();
    let id = wire.id();
    assert_eq!(wire.stack.write_urgent(wire.now, id, b"now"), Ok(3));
    wire.collect();
    wire.expect(["PU. 1:4 ack 1"]);
}

#[test]
fn a_handshake_that_was_not_measured_leaves_three_seconds() {
    let mut wire = Wire::listening(|_| {}, millstream_engine::ListenOptions::default());
    wire.inject(seg("S", 0, 0).mss(1000));
    wire.sent();
    wire.wait_ms(1000);
    wire.expect(["S. 0:1 ack 1"]);
    wire.inject(seg(".", 1, 0).ack(1));
    wire.accept();
    wire.write(100);
    wire.expect(["P. 1:101 ack 1"]);
    wire.wait_ms(2999);
    wire.expect([]);
    wire.wait_ms(1);
    wire.expect(["P. 1:101 ack 1"]);
}

#[test]
fn data_written_before_the_handshake_is_over_follows_it() {
    let mut wire = Wire::connecting(|_| {}, SocketOptions::default());
    wire.expect(["S 0:1"]);
    wire.write(1500);
    wire.shutdown();
    wire.expect([]);
    wire.inject(seg("S.", 0, 0).ack(1).mss(1000));
    wire.expect([". 1:1001 ack 1", "FP. 1001:1502 ack 1"]);
}

#[test]
fn the_handshake_measures_the_round_trip_time() {
    let mut wire = Wire::connecting(|_| {}, SocketOptions::default());
    wire.sent();
    wire.wait_ms(100);
    wire.inject(seg("S.", 0, 0).ack(1).mss(1000));
    let info = wire.stack.info(wire.id()).unwrap();
    // RFC 6298 2.2: SRTT = R, RTTVAR = R/2, RTO = R + max(G, 4 RTTVAR).
    assert_eq!(info.rtt, Some(Duration::from_millis(100)));
    assert_eq!(info.rtt_var, Duration::from_millis(50));
    assert_eq!(info.rto, Duration::from_millis(300));
}

#[test]
fn a_handshake_with_a_retransmission_measures_only_by_timestamps() {
    let mut wire = Wire::connecting(|_| {}, SocketOptions::default());
    wire.sent();
    wire.wait_ms(1100);
    wire.expect(["S 0:1"]);
    wire.inject(seg("S.", 0, 0).ack(1).mss(1000));
    let info = wire.stack.info(wire.id()).unwrap();
    assert_eq!(info.rtt, None, "Karn");

    let mut wire = Wire::connecting(|_| {}, SocketOptions::default());
    wire.sent();
    wire.wait_ms(1100);
    let (_, options) = wire.headers().pop().unwrap();
    let echo = options.timestamps.unwrap().value;
    wire.inject(seg("S.", 0, 0).ack(1).mss(1000).ts(7, echo));
    let info = wire.stack.info(wire.id()).unwrap();
    assert_eq!(info.rtt, Some(Duration::from_millis(100)));
}

#[test]
fn the_timeout_has_a_floor_of_200_milliseconds_above_the_round_trip() {
    let mut wire = wire();
    for i in 0..50 {
        wire.write(10);
        wire.wait_ms(10);
        wire.inject(ack(11 + 10 * i));
    }
    wire.sent();
    let info = wire.stack.info(wire.id()).unwrap();
    let srtt = info.rtt.unwrap();
    assert!(srtt.abs_diff(Duration::from_millis(10)) <= Duration::from_millis(1));
    assert_eq!(info.rto, srtt + Duration::from_millis(200));
}

#[test]
fn a_new_acknowledgment_restarts_the_timer() {
    let mut wire = wire();
    wire.write(3000);
    wire.sent();
    let rto = wire.stack.info(wire.id()).unwrap().rto;
    wire.wait(rto - Duration::from_millis(1));
    // RFC 6298 5.3.
    wire.inject(ack(1001));
    let rto = wire.stack.info(wire.id()).unwrap().rto;
    wire.wait(rto - Duration::from_millis(1));
    wire.expect([]);
    wire.wait_ms(1);
    wire.expect([". 1001:2001 ack 1"]);
}

#[test]
fn a_duplicate_acknowledgment_does_not_restart_the_timer() {
    let mut wire = wire();
    wire.write(1000);
    wire.sent();
    let rto = wire.stack.info(wire.id()).unwrap().rto;
    wire.wait(rto - Duration::from_millis(1));
    wire.inject(ack(1));
    wire.wait_ms(1);
    wire.expect(["P. 1:1001 ack 1"]);
}

#[test]
fn no_timer_runs_when_everything_is_acknowledged() {
    let mut wire = wire();
    wire.write(1000);
    assert!(wire.stack.poll_timeout().is_some());
    wire.inject(ack(1001));
    // RFC 6298 5.2.
    assert_eq!(wire.stack.poll_timeout(), None);
}

/// RFC 9293 MUST-60.
#[test]
fn a_window_too_small_for_a_segment_is_used_after_a_while() {
    let mut wire = wire();
    wire.inject(ack(1).win(300));
    wire.write(1000);
    // Less than a segment and less than half of the largest window seen; RFC 9293 3.8.6.2.1, the
    // override.
    wire.expect([]);
    let rto = wire.stack.info(wire.id()).unwrap().rto;
    wire.wait(rto);
    wire.expect([". 1:301 ack 1"]);
}

#[test]
fn a_peer_whose_window_was_never_large_gets_half_of_it_at_once() {
    let syn = seg("S", 0, 0).mss(1000).win(500);
    let mut wire = Wire::established_with(|_| {}, SocketOptions::default(), syn);
    wire.write(1000);
    wire.expect([". 1:501 ack 1"]);
    wire.inject(ack(501).win(249));
    wire.expect([]);
    wire.inject(ack(501).win(250));
    wire.expect([". 501:751 ack 1"]);
}

#[test]
fn a_closed_window_with_nothing_to_send_is_not_probed() {
    let mut wire = wire();
    wire.inject(ack(1).win(0));
    assert_eq!(wire.stack.poll_timeout(), None);
}

#[test]
fn the_user_timeout_bounds_a_closed_window_too() {
    let mut wire = with(SocketOptions::default().user_timeout(Some(Duration::from_secs(5))));
    wire.inject(ack(1).win(0));
    wire.write(100);
    wire.wait_ms(4900);
    let id = wire.id();
    assert_eq!(wire.stack.take_error(id), None);
    wire.wait_ms(200);
    assert_eq!(wire.stack.take_error(id), Some(ConnectionError::TimedOut));
}

#[test]
fn after_recovery_the_window_is_the_threshold_and_grows_linearly() {
    let mut wire = wire();
    wire.write(10_000);
    wire.sent();
    for right in [4001, 5001, 6001, 7001, 8001, 9001, 10_001] {
        let segment = wire.sack(ack(1), &[(1001, right)]);
        wire.inject(segment);
    }
    wire.expect([". 1:1001 ack 1"]);
    wire.inject(ack(10_001));
    let info = wire.stack.info(wire.id()).unwrap();
    assert_eq!((info.cwnd, info.ssthresh), (5000, 5000));
    // RFC 5681 3.1: one segment for each window of acknowledgments.
    wire.write(100_000);
    assert_eq!(wire.sent().len(), 5);
    for i in 1..=5 {
        wire.inject(ack(10_001 + i * 1000));
    }
    assert_eq!(wire.stack.info(wire.id()).unwrap().cwnd, 6000);
}

#[test]
fn a_second_timeout_does_not_lower_the_threshold_again() {
    let mut wire = wire();
    wire.write(10_000);
    let rto = wire.stack.info(wire.id()).unwrap().rto;
    wire.wait(rto);
    let first = wire.stack.info(wire.id()).unwrap();
    assert_eq!((first.cwnd, first.ssthresh), (1000, 5000));
    wire.wait(first.rto);
    let second = wire.stack.info(wire.id()).unwrap();
    // RFC 5681 3.1, the end of equation 4's paragraph.
    assert_eq!((second.cwnd, second.ssthresh), (1000, 5000));
    assert_eq!(second.retransmits, 2);
}

#[test]
fn a_lost_retransmission_is_left_to_the_timeout_and_only_holes_are_sent() {
    let mut wire = wire();
    wire.write(10_000);
    wire.sent();
    for right in [4001, 6001, 8001, 10_001] {
        let segment = wire.sack(ack(1), &[(2001, right)]);
        wire.inject(segment);
    }
    wire.expect([". 1:1001 ack 1", ". 1001:2001 ack 1"]);
    let rto = wire.stack.info(wire.id()).unwrap().rto;
    wire.wait(rto);
    wire.expect([". 1:1001 ack 1"]);
    wire.inject(ack(1001));
    wire.expect([". 1001:2001 ack 1"]);
    // Data that the peer reported is not retransmitted.
    wire.inject(ack(10_001));
    wire.expect([]);
}

#[test]
fn two_duplicates_retransmit_nothing() {
    let syn = seg("S", 0, 0).mss(1000);
    let mut wire = Wire::established_with(|_| {}, SocketOptions::default(), syn);
    wire.write(3000);
    wire.sent();
    // Reordering: two duplicates, then everything.
    wire.inject(ack(1));
    wire.inject(ack(1));
    wire.inject(ack(3001));
    wire.expect([]);
    let info = wire.stack.info(wire.id()).unwrap();
    assert_eq!((info.total_retrans, info.ssthresh), (0, u32::MAX));
}

#[test]
fn what_is_no_duplicate_does_not_count_as_one() {
    let syn = seg("S", 0, 0).mss(1000);
    let mut wire = Wire::established_with(|_| {}, SocketOptions::default(), syn);
    wire.write(5000);
    wire.sent();
    // RFC 5681 2: an acknowledgment with a changed window, data, or a FIN is not a duplicate.
    for i in 0..5 {
        wire.inject(ack(1).win(60_000 + i));
    }
    for i in 0..5 {
        wire.inject(seg("P.", 1 + i * 10, 10).ack(1).win(60_004));
    }
    let sent = wire.sent();
    assert!(
        sent.iter().all(|line| line.starts_with(". 5001:5001")),
        "{sent:?}"
    );
}

#[test]
fn a_send_buffer_takes_only_so_much() {
    let mut wire = with(SocketOptions::default().send_buffer(5000));
    let id = wire.id();
    assert_eq!(wire.stack.write(wire.now, id, &[1; 9000]), Ok(5000));
    assert_eq!(wire.stack.write(wire.now, id, &[1; 10]), Ok(0));
    wire.collect();
    wire.inject(ack(2001));
    assert_eq!(wire.stack.write(wire.now, id, &[1; 9000]), Ok(2000));
}

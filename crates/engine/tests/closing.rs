//! Closing (RFC 9293 3.6, 3.10.4, 3.10.7.4; RFC 6191; RFC 1337; scenario S2).

mod support;

use std::time::Duration;

use millstream_engine::{Config, ConnectionError, Read, SocketOptions, State, WriteError};
use support::wire::{Seg, Wire, seg};
use support::{Fate, Pair, Side};

fn ack(seq: i64, position: i64) -> Seg {
    seg(".", seq, 0).ack(position)
}

fn fin(seq: i64, position: i64) -> Seg {
    seg("F.", seq, 0).ack(position)
}

/// A connection in TIME-WAIT, where the peer's next byte is 2 and ours is 2.
fn time_wait(change: impl FnOnce(&mut Config), syn: Seg) -> Wire {
    let mut wire = Wire::established_with(change, SocketOptions::default(), syn);
    wire.shutdown();
    wire.sent();
    wire.inject(fin(1, 2));
    wire.expect([". 2:2 ack 2"]);
    assert_eq!(wire.stack.time_wait_count(), 1);
    wire
}

#[test]
fn a_fin_rides_on_the_last_data() {
    let mut wire = Wire::established();
    wire.inject(ack(1, 1).win(0));
    wire.write(100);
    wire.shutdown();
    wire.expect([]);
    wire.inject(ack(1, 1).win(65_535));
    wire.expect(["FP. 1:102 ack 1"]);
}

#[test]
fn a_fin_is_retransmitted_until_acknowledged() {
    let mut wire = Wire::established();
    wire.shutdown();
    wire.expect(["F. 1:2 ack 1"]);
    let rto = wire.stack.info(wire.id()).unwrap().rto;
    wire.wait(rto);
    wire.expect(["F. 1:2 ack 1"]);
    wire.inject(ack(1, 2));
    wire.wait(Duration::from_secs(1));
    wire.expect([]);
    assert_eq!(wire.stack.state(wire.id()), Some(State::FinWait2));
}

#[test]
fn data_acknowledged_without_the_fin_leaves_the_fin() {
    let mut wire = Wire::established();
    wire.write(100);
    wire.shutdown();
    wire.sent();
    wire.inject(ack(1, 101));
    assert_eq!(wire.stack.state(wire.id()), Some(State::FinWait1));
    let rto = wire.stack.info(wire.id()).unwrap().rto;
    wire.wait(rto);
    wire.expect(["F. 101:102 ack 1"]);
}

#[test]
fn unread_data_at_close_resets() {
    let mut wire = Wire::established();
    wire.inject(seg("P.", 1, 10).ack(1));
    wire.sent();
    wire.close();
    wire.expect(["R. 1:1 ack 11"]);
    assert_eq!(wire.stack.connection_count(), 0);
}

#[test]
fn linger_zero_resets_and_discards() {
    let options = SocketOptions::default().linger(Some(Duration::ZERO));
    let mut wire = Wire::established_with(|_| {}, options, seg("S", 0, 0).mss(1000));
    wire.inject(ack(1, 1).win(0));
    wire.write(100);
    wire.close();
    wire.expect(["R. 1:1 ack 1"]);
    wire.wait(Duration::from_secs(300));
    wire.expect([]);
}

#[test]
fn data_after_close_is_answered_with_a_reset() {
    let mut wire = Wire::established();
    wire.close();
    wire.expect(["F. 1:2 ack 1"]);
    wire.inject(seg("P.", 1, 10).ack(2));
    wire.expect(["R 2:2"]);
    assert_eq!(wire.stack.connection_count(), 0);
}

#[test]
fn data_after_shutdown_of_writing_is_still_read() {
    let mut wire = Wire::established();
    wire.shutdown();
    wire.sent();
    wire.inject(seg("P.", 1, 10).ack(2));
    assert_eq!(wire.read(), 10);
    let id = wire.id();
    assert_eq!(
        wire.stack.write(wire.now, id, b"x"),
        Err(WriteError::BrokenPipe)
    );
}

#[test]
fn an_orphan_leaves_fin_wait_2_after_60_seconds_and_resets_what_comes_later() {
    let mut wire = Wire::established();
    wire.close();
    wire.sent();
    wire.inject(ack(1, 2));
    wire.wait(Duration::from_secs(59));
    assert_eq!(wire.stack.connection_count(), 1);
    wire.wait(Duration::from_secs(1));
    assert_eq!(wire.stack.connection_count(), 0);
    assert_eq!(wire.stack.poll_timeout(), None);
    wire.inject(fin(1, 2));
    wire.expect(["R 2:2"]);
}

#[test]
fn a_fin_again_in_time_wait_is_acknowledged_again_and_restarts_2msl() {
    let mut wire = time_wait(|_| {}, seg("S", 0, 0).mss(1000));
    wire.wait(Duration::from_secs(50));
    wire.inject(fin(1, 2));
    wire.expect([". 2:2 ack 2"]);
    wire.wait(Duration::from_secs(59));
    assert_eq!(wire.stack.time_wait_count(), 1);
    wire.wait(Duration::from_secs(1));
    assert_eq!(wire.stack.time_wait_count(), 0);
}

#[test]
fn old_data_in_time_wait_is_acknowledged_at_a_limited_rate() {
    let mut wire = time_wait(|_| {}, seg("S", 0, 0).mss(1000));
    wire.wait(Duration::from_secs(1));
    for _ in 0..10 {
        wire.inject(seg("P.", -50, 20).ack(2));
    }
    wire.expect([". 2:2 ack 2"]);
}

#[test]
fn a_newer_syn_reopens_a_connection_in_time_wait() {
    let mut wire = time_wait(|_| {}, seg("S", 0, 0).mss(1000));
    wire.inject(seg("S", 1000, 0).mss(1000));
    let sent = wire.sent();
    assert_eq!(sent, ["S. 0:1 ack 1001"]);
    assert_eq!(wire.stack.time_wait_count(), 0);
}

#[test]
fn an_old_syn_in_time_wait_is_acknowledged_and_a_newer_timestamp_makes_it_new() {
    let mut wire = time_wait(|_| {}, seg("S", 0, 0).mss(1000).ts(100, 0));
    wire.wait(Duration::from_secs(1));
    wire.inject(seg("S", -1000, 0).mss(1000).ts(100, 0));
    wire.expect([". 2:2 ack 2"]);
    // RFC 6191.
    wire.inject(seg("S", -1000, 0).mss(1000).ts(101, 0));
    wire.expect(["S. 0:1 ack -999"]);
}

#[test]
fn an_exact_reset_ends_time_wait_unless_rfc_1337_is_chosen() {
    let mut wire = time_wait(|_| {}, seg("S", 0, 0).mss(1000));
    wire.inject(seg("R", 3, 0));
    assert_eq!(wire.stack.time_wait_count(), 1);
    wire.inject(seg("R", 2, 0));
    assert_eq!(wire.stack.time_wait_count(), 0);
    let mut wire = time_wait(
        |config| config.time_wait_reset = false,
        seg("S", 0, 0).mss(1000),
    );
    wire.inject(seg("R", 2, 0));
    assert_eq!(wire.stack.time_wait_count(), 1);
}

#[test]
fn received_data_can_be_read_in_time_wait_and_after() {
    let mut wire = Wire::established();
    wire.shutdown();
    wire.inject(seg("FP.", 1, 10).ack(2));
    assert_eq!(wire.stack.time_wait_count(), 1);
    wire.wait(Duration::from_secs(100));
    assert_eq!(wire.stack.time_wait_count(), 0);
    assert_eq!(wire.read(), 10);
    let id = wire.id();
    let mut none: Vec<bytes::Bytes> = Vec::new();
    assert_eq!(wire.stack.read(wire.now, id, 10, &mut none), Ok(Read::Eof));
    wire.close();
    assert_eq!(wire.stack.connection_count(), 0);
}

#[test]
fn a_reset_is_told_once_and_then_it_is_the_end() {
    let mut wire = Wire::established();
    wire.inject(seg("P.", 1, 10).ack(1));
    wire.inject(seg("R", 11, 0));
    let id = wire.id();
    let mut none: Vec<bytes::Bytes> = Vec::new();
    let now = wire.now;
    // Acknowledged data belongs to the application.
    assert!(wire.stack.has_unread(id));
    assert_eq!(wire.read(), 10);
    assert_eq!(
        wire.stack.read(now, id, 10, &mut none),
        Err(ConnectionError::Reset)
    );
    assert!(!wire.stack.has_unread(id) && wire.stack.has_failed(id));
    assert_eq!(wire.stack.read(now, id, 10, &mut none), Ok(Read::Eof));
    assert_eq!(wire.stack.write(now, id, b"x"), Err(WriteError::BrokenPipe));
    assert!(none.is_empty());
}

#[test]
fn a_reset_with_the_sequence_number_of_the_fin_is_believed() {
    let mut wire = Wire::established();
    wire.inject(fin(1, 1));
    wire.sent();
    wire.inject(seg("R", 1, 0));
    let id = wire.id();
    assert_eq!(wire.stack.take_error(id), Some(ConnectionError::BrokenPipe));
}

#[test]
fn closing_and_last_ack_end_with_the_ack_of_the_fin() {
    let mut wire = Wire::established();
    wire.inject(fin(1, 1));
    wire.shutdown();
    wire.sent();
    assert_eq!(wire.stack.state(wire.id()), Some(State::LastAck));
    wire.inject(ack(2, 2));
    assert_eq!(wire.stack.state(wire.id()), Some(State::Closed));
    let mut wire = Wire::established();
    wire.shutdown();
    wire.inject(fin(1, 1));
    assert_eq!(wire.stack.state(wire.id()), Some(State::Closing));
    wire.inject(ack(2, 2));
    assert_eq!(wire.stack.time_wait_count(), 1);
}

#[test]
fn orphans_that_nobody_answers_end() {
    let mut pair = Pair::new();
    let (a, _) = pair.established();
    pair.run_for(Duration::from_secs(1));
    pair.judge(|_, _, _| Fate::Drop);
    pair.write(Side::A, a, b"into the void");
    let now = pair.now;
    pair.a.close(now, a);
    pair.run_for(Duration::from_secs(300));
    assert_eq!(pair.a.connection_count(), 0);
    assert_eq!(pair.a.poll_timeout(), None);
}

#[test]
fn orphans_are_bounded_in_number() {
    let mut pair = Pair::with(|config| config.max_orphans = 0);
    let (a, b) = pair.established();
    pair.run_for(Duration::from_secs(1));
    let now = pair.now;
    pair.a.close(now, a);
    assert_eq!(pair.a.connection_count(), 0);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.b.take_error(b), Some(ConnectionError::Reset));
}

#[test]
fn a_port_in_time_wait_is_in_use() {
    let mut pair = Pair::new();
    let now = pair.now;
    let local = Pair::addr(Side::A, 1098);
    pair.listen(Side::B, 80);
    let binding = pair.a.bind(local, true).unwrap();
    let options = SocketOptions::default();
    let remote = Pair::addr(Side::B, 80);
    let a = pair
        .a
        .connect(now, Some(&binding), remote, options.clone())
        .unwrap();
    pair.a.unbind(binding);
    pair.run_until(Duration::from_secs(1), |p| {
        p.a.finish_connect(a) == Ok(true)
    });
    let now = pair.now;
    pair.a.close(now, a);
    pair.run_for(Duration::from_millis(100));
    let listener = pair
        .b
        .sockets()
        .find(|s| s.id.is_some())
        .and_then(|s| s.id)
        .unwrap();
    let now = pair.now;
    pair.b.close(now, listener);
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.a.time_wait_count(), 1);
    assert!(pair.a.bind(local, false).is_err());
    let binding = pair.a.bind(local, true).unwrap();
    let now = pair.now;
    assert!(
        pair.a
            .connect(now, Some(&binding), remote, options.clone())
            .is_err()
    );
    let other = Pair::addr(Side::B, 81);
    assert!(
        pair.a
            .connect(now, Some(&binding), other, options.clone())
            .is_ok()
    );
    pair.run_for(Duration::from_secs(61));
    let now = pair.now;
    assert!(pair.a.connect(now, Some(&binding), remote, options).is_ok());
}

/// A connection in `state`, with the peer's next position.
fn in_state(state: State) -> (Wire, i64) {
    let mut wire = Wire::established();
    let mut next = 1;
    if matches!(state, State::CloseWait | State::LastAck) {
        wire.inject(fin(1, 1));
        next = 2;
    }
    if !matches!(state, State::Established | State::CloseWait) {
        wire.shutdown();
    }
    match state {
        State::FinWait2 => wire.inject(ack(1, 2)),
        State::Closing => {
            wire.inject(fin(1, 1));
            next = 2;
        }
        _ => {}
    }
    wire.sent();
    assert_eq!(wire.stack.state(wire.id()), Some(state));
    (wire, next)
}

#[test]
fn a_reset_in_each_state_is_told_to_the_application() {
    for state in [
        State::Established,
        State::FinWait1,
        State::FinWait2,
        State::CloseWait,
        State::Closing,
        State::LastAck,
    ] {
        let (mut wire, next) = in_state(state);
        let id = wire.id();
        wire.inject(seg("R", next, 0));
        wire.expect([]);
        assert_eq!(wire.stack.state(id), Some(State::Closed), "{state}");
        // A connection that the peer closed before can only be aborted.
        let expected = match state {
            State::CloseWait => ConnectionError::BrokenPipe,
            _ => ConnectionError::Reset,
        };
        assert_eq!(wire.stack.take_error(id), Some(expected), "{state}");
        assert_eq!(wire.stack.take_error(id), None, "{state}: told twice");
        assert_eq!(wire.stack.poll_timeout(), None, "{state}: a timer is left");
        wire.close();
        assert_eq!(wire.stack.connection_count(), 0, "{state}");
    }
}

#[test]
fn aborting_resets_the_peer_in_each_state() {
    for state in [
        State::Established,
        State::FinWait1,
        State::FinWait2,
        State::CloseWait,
        State::Closing,
        State::LastAck,
    ] {
        let (mut wire, next) = in_state(state);
        let id = wire.id();
        wire.stack.abort(wire.now, id);
        wire.collect();
        let sent = wire.sent();
        // RFC 9293 3.10.5: <SEQ=SND.NXT><CTL=RST>.
        let reset = |at: u32| vec![format!("R. {at}:{at} ack {next}")];
        let expected = match state {
            State::Established | State::CloseWait => reset(1),
            State::FinWait1 | State::FinWait2 => reset(2),
            _ => Vec::new(),
        };
        assert_eq!(sent, expected, "{state}");
        assert_eq!(wire.stack.connection_count(), 0);
        assert_eq!(wire.stack.poll_timeout(), None);
    }
}

#[test]
fn aborting_while_opening_tells_nobody() {
    let mut wire = Wire::connecting(|_| {}, SocketOptions::default());
    wire.expect(["S 0:1"]);
    let id = wire.id();
    wire.stack.abort(wire.now, id);
    wire.collect();
    wire.expect([]);
    assert_eq!(
        (wire.stack.connection_count(), wire.stack.poll_timeout()),
        (0, None)
    );
    // Later segments are answered as in CLOSED.
    wire.inject(seg("S.", 0, 0).ack(1));
    wire.expect(["R 1:1"]);
}

#[test]
fn a_fin_behind_a_closed_window_waits_and_is_probed_for() {
    let mut wire = Wire::established();
    wire.inject(ack(1, 1).win(0));
    wire.shutdown();
    wire.expect([]);
    assert_eq!(wire.stack.state(wire.id()), Some(State::FinWait1));
    let rto = wire.stack.info(wire.id()).unwrap().rto;
    wire.wait(rto);
    wire.expect([". 0:0 ack 1"]);
    wire.inject(ack(1, 1).win(1000));
    wire.expect(["F. 1:2 ack 1"]);
}

#[test]
fn last_ack_retransmits_its_fin_and_ends_by_itself() {
    let (mut wire, _) = in_state(State::CloseWait);
    wire.close();
    wire.expect(["F. 1:2 ack 2"]);
    wire.wait(Duration::from_secs(1200));
    let sent = wire.sent();
    assert!((5..=15).contains(&sent.len()), "{sent:?}");
    assert!(
        sent[..5].iter().all(|line| line == "F. 1:2 ack 2"),
        "{sent:?}"
    );
    assert_eq!(
        (wire.stack.connection_count(), wire.stack.poll_timeout()),
        (0, None)
    );
}

#[test]
fn closing_retransmits_its_fin() {
    let (mut wire, _) = in_state(State::Closing);
    let rto = wire.stack.info(wire.id()).unwrap().rto;
    wire.wait(rto);
    wire.expect(["F. 1:2 ack 2"]);
    wire.inject(ack(2, 2));
    assert_eq!(wire.stack.time_wait_count(), 1);
}

#[test]
fn writing_goes_on_after_the_peer_s_fin() {
    let (mut wire, _) = in_state(State::CloseWait);
    wire.write(5000);
    assert_eq!(wire.sent().len(), 5);
    wire.inject(ack(2, 5001));
    wire.shutdown();
    wire.expect(["F. 5001:5002 ack 2"]);
    assert_eq!(wire.stack.state(wire.id()), Some(State::LastAck));
}

#[test]
fn data_queued_when_closing_goes_out_before_the_fin() {
    let mut wire = Wire::established();
    wire.write(15_000);
    assert_eq!(wire.sent().len(), 10);
    wire.close();
    wire.expect([]);
    wire.inject(ack(1, 10_001));
    let sent = wire.sent();
    assert_eq!(
        sent.last().map(String::as_str),
        Some("FP. 14001:15002 ack 1")
    );
    wire.inject(fin(1, 15_002));
    wire.expect([". 15002:15002 ack 2"]);
    assert_eq!(wire.stack.time_wait_count(), 1);
}

#[test]
fn data_before_the_fin_is_read_after_it() {
    let mut wire = Wire::established();
    wire.inject(seg("FP.", 1, 500).ack(1));
    wire.sent();
    let id = wire.id();
    assert_eq!(wire.stack.readable_bytes(id), 500, "the FIN is no byte");
    assert_eq!(wire.read(), 500);
    let mut none: Vec<bytes::Bytes> = Vec::new();
    assert_eq!(wire.stack.read(wire.now, id, 10, &mut none), Ok(Read::Eof));
    assert_eq!(wire.stack.read(wire.now, id, 10, &mut none), Ok(Read::Eof));
}

#[test]
fn a_syn_in_time_wait_without_a_listener_leaves_it_in_peace() {
    let mut wire = time_wait(|_| {}, seg("S", 0, 0).mss(1000));
    let listener = wire.listener.unwrap();
    wire.stack.close_listener(wire.now, listener);
    wire.wait(Duration::from_secs(1));
    // RFC 9293 3.10.7.4 (MAY-2 requires a listener); Linux acknowledges it like any other old
    // segment.
    wire.inject(seg("S", 1000, 0).mss(1000));
    wire.expect([". 2:2 ack 2"]);
    assert_eq!(wire.stack.time_wait_count(), 1);
}

#[test]
fn the_initial_sequence_number_of_a_reopened_connection_lies_beyond_the_old_one() {
    let mut wire = Wire::established();
    wire.write(9000);
    wire.inject(ack(1, 9001));
    wire.shutdown();
    wire.sent();
    wire.inject(fin(1, 9002));
    wire.sent();
    let before = wire.isn();
    wire.inject(seg("S", 1000, 0).mss(1000));
    wire.expect(["S. 0:1 ack 1001"]);
    // RFC 9293 3.6.1 (MAY-2).
    assert!(wire.isn().gt(before + 9002));
}

#[test]
fn time_wait_is_bounded_in_number() {
    let mut wire = Wire::established_with(
        |config| config.max_time_wait = 0,
        SocketOptions::default(),
        seg("S", 0, 0).mss(1000),
    );
    wire.shutdown();
    wire.sent();
    wire.inject(fin(1, 2));
    wire.expect([". 2:2 ack 2"]);
    assert_eq!(
        (wire.stack.time_wait_count(), wire.stack.poll_timeout()),
        (0, None)
    );
    wire.inject(fin(1, 2));
    wire.expect(["R 2:2"]);
}

#[test]
fn a_fin_in_time_wait_with_an_old_timestamp_does_not_restart_2msl() {
    let mut wire = time_wait_stamped();
    wire.wait(Duration::from_secs(50));
    wire.inject(fin(1, 2).ts(99, 0));
    wire.expect([". 2:2 ack 2"]);
    wire.wait(Duration::from_secs(10));
    assert_eq!(wire.stack.time_wait_count(), 0);
}

/// In TIME-WAIT with timestamps, where the peer's last is 100.
fn time_wait_stamped() -> Wire {
    let syn = seg("S", 0, 0).mss(1000).ts(100, 0);
    let mut wire = Wire::established_with(|_| {}, SocketOptions::default(), syn);
    wire.shutdown();
    wire.sent();
    wire.inject(fin(1, 2).ts(100, 0));
    wire.expect([". 2:2 ack 2"]);
    wire
}

/// Scenario S4: B's host loses all memory; A learns of it when it sends.
#[test]
fn a_half_open_connection_ends_when_the_survivor_sends() {
    let mut pair = Pair::new();
    let (a, _) = pair.established();
    pair.run_for(Duration::from_secs(1));
    pair.b = millstream_engine::Stack::new(support::config(support::ADDR_B), [77; 32]);
    let quiet = pair.seen.len();
    pair.run_for(Duration::from_secs(510));
    assert_eq!(pair.a.state(a), Some(State::Established));
    assert_eq!(pair.seen.len(), quiet, "nobody notices");
    pair.write(Side::A, a, &[0; 44]);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.read_status(Side::A, a), Err(ConnectionError::Reset));
    assert_eq!(pair.seen.len(), quiet + 2, "{}", pair.trace());
    pair.established();
}

/// Scenario S3 (b).
/// RFC 9293 MUST-12.
#[test]
fn an_abortive_release_is_told_apart_from_an_orderly_one() {
    let mut pair = Pair::new();
    let (a, b) = pair.established();
    pair.write(Side::A, a, b"hello, world\n");
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.read(Side::B, b).len(), 13);
    let now = pair.now;
    pair.a
        .set_options(now, a, |options| options.linger = Some(Duration::ZERO))
        .unwrap();
    pair.a.close(now, a);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.read_status(Side::B, b), Err(ConnectionError::Reset));
    assert_eq!(pair.read_status(Side::B, b), Ok(Read::Eof));
    assert_eq!((pair.a.time_wait_count(), pair.b.time_wait_count()), (0, 0));
}

/// Scenario S2: the last acknowledgment is lost, the FIN is retransmitted and restarts 2MSL.
#[test]
fn a_lost_last_acknowledgment_is_sent_again_from_time_wait() {
    let mut pair = Pair::new();
    let (a, b) = pair.established();
    pair.run_for(Duration::from_secs(1));
    let now = pair.now;
    pair.a.close(now, a);
    pair.run_for(Duration::from_secs(1));
    let mut lost = false;
    pair.judge(move |from, _, _| match from {
        Side::A if !std::mem::replace(&mut lost, true) => Fate::Drop,
        _ => Fate::Deliver,
    });
    let now = pair.now;
    pair.b.close(now, b);
    pair.run_for(Duration::from_millis(100));
    assert_eq!(
        (pair.a.time_wait_count(), pair.b.connection_count()),
        (1, 1)
    );
    pair.run_for(Duration::from_secs(2));
    assert_eq!(pair.b.connection_count(), 0);
    let again = pair.seen.iter().rev().find(|seen| seen.from == Side::B);
    let restarted = again.unwrap().at + pair.latency;
    pair.run_until(Duration::from_secs(100), |p| p.a.time_wait_count() == 0);
    assert_eq!(pair.now, restarted + Duration::from_secs(60));
}

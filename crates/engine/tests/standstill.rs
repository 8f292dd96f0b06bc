//! Packets that were handed over long after they arrived: what is measured goes by the time of arrival (RFC 6298 3,
//! RFC 8985 6.2), and timers run from the present.

mod support;

use std::time::Duration;

use millstream_engine::{Instant, ListenOptions};
use support::wire::{Seg, Wire, seg};

const MS: Duration = Duration::from_millis(1);

/// Established, with a round trip of 40 ms measured by the handshake.
fn wire() -> Wire {
    let mut wire = Wire::listening(|_| {}, ListenOptions::default());
    wire.inject(seg("S", 0, 0).mss(1000).sack_ok());
    wire.sent();
    wire.wait(40 * MS);
    wire.inject(ack(1));
    wire.accept();
    assert_eq!(rtt(&wire), Some(40 * MS));
    wire
}

fn rtt(wire: &Wire) -> Option<Duration> {
    wire.stack.info(wire.id()).unwrap().rtt
}

fn ack(position: i64) -> Seg {
    seg(".", 1, 0).ack(position)
}

/// Time passes, and nobody calls the stack.
fn stand_still(wire: &mut Wire, time: Duration) -> Instant {
    let before = wire.now;
    wire.now += time;
    before
}

#[test]
fn a_round_trip_ends_with_the_arrival() {
    let mut wire = wire();
    wire.write(3000);
    wire.sent();
    let sent = stand_still(&mut wire, 540 * MS);
    wire.inject_late([(sent + 40 * MS, ack(3001))]);
    assert_eq!(rtt(&wire), Some(40 * MS));
    wire.wait(10_000 * MS);
    wire.expect([]);
}

/// The application ran before the packets were handed over: time has gone on for the stack.
#[test]
fn what_was_sent_meanwhile_changes_nothing() {
    let mut wire = wire();
    wire.write(3000);
    wire.sent();
    let sent = stand_still(&mut wire, 540 * MS);
    wire.write(1000);
    wire.expect(["P. 3001:4001 ack 1"]);
    wire.inject_late([(sent + 40 * MS, ack(3001))]);
    assert_eq!(rtt(&wire), Some(40 * MS));
    // The timer of what is left runs from now: one round trip and its four deviations, 200 ms at the least.
    wire.wait(230 * MS);
    wire.expect([]);
    wire.wait(20 * MS);
    wire.expect(["P. 3001:4001 ack 1"]);
}

/// RFC 8985 6.2: what was overtaken was not overdue when that became known, though it is now.
#[test]
fn what_was_overtaken_is_judged_by_the_arrival() {
    let mut wire = wire();
    wire.write(3000);
    wire.sent();
    let sent = stand_still(&mut wire, 540 * MS);
    let overtaking = wire.sack(ack(1), &[(1001, 3001)]);
    wire.inject_late([(sent + 40 * MS, overtaking), (sent + 43 * MS, ack(3001))]);
    wire.expect([]);
    wire.wait(10_000 * MS);
    wire.expect([]);
    assert_eq!(wire.stack.info(wire.id()).unwrap().lost, 0);
}

/// What is still missing when all has been handed over is due, and its timer fires.
#[test]
fn what_is_still_missing_afterwards_is_sent_again_at_once() {
    let mut wire = wire();
    wire.write(3000);
    wire.sent();
    let sent = stand_still(&mut wire, 540 * MS);
    let overtaking = wire.sack(ack(1), &[(1001, 3001)]);
    wire.inject_late([(sent + 40 * MS, overtaking)]);
    wire.expect([]);
    wire.wait(Duration::ZERO);
    wire.expect([". 1:1001 ack 1"]);
}

#[test]
fn an_arrival_in_the_future_is_one_now() {
    let mut wire = wire();
    wire.write(3000);
    wire.sent();
    wire.wait(40 * MS);
    wire.inject_late([(wire.now + 1000 * MS, ack(3001))]);
    assert_eq!(rtt(&wire), Some(40 * MS));
}

/// RFC 6298 3: how long the acknowledgment has waited is unknown.
#[test]
fn a_round_trip_across_a_standstill_is_no_sample() {
    for late in [20_000, 60_000] {
        let mut wire = wire();
        wire.write(3000);
        wire.sent();
        let rto = wire.stack.info(wire.id()).unwrap().rto;
        stand_still(&mut wire, late * MS);
        wire.stack.handle_standstill(wire.now);
        wire.inject(ack(3001));
        let info = wire.stack.info(wire.id()).unwrap();
        assert_eq!((info.rtt, info.rto), (Some(40 * MS), rto));
        // What is sent afterwards is measured again.
        wire.write(1000);
        wire.sent();
        wire.wait(40 * MS);
        wire.inject(ack(4001));
        assert_eq!(rtt(&wire), Some(40 * MS));
    }
}

/// RFC 7323 4.1: nor does a timestamp tell, which says when something was sent and not when it
/// came.
#[test]
fn an_echo_across_a_standstill_is_no_sample() {
    let mut wire = Wire::listening(|_| {}, ListenOptions::default());
    wire.inject(seg("S", 0, 0).mss(1000).sack_ok().ts(1, 0));
    let (_, options) = wire.headers()[0];
    let echo = options.timestamps.unwrap().value;
    wire.wait(40 * MS);
    wire.inject(ack(1).ts(2, echo));
    wire.accept();
    wire.write(3000);
    let stamp = wire.headers()[0].1.timestamps.unwrap().value;
    let rto = wire.stack.info(wire.id()).unwrap().rto;
    // Sent again, so that only the timestamp could tell.
    wire.wait(300 * MS);
    wire.sent();
    stand_still(&mut wire, 20_000 * MS);
    wire.stack.handle_standstill(wire.now);
    wire.inject(ack(3001).ts(3, stamp));
    let info = wire.stack.info(wire.id()).unwrap();
    assert_eq!(info.rtt, Some(40 * MS));
    assert!(info.rto <= 4 * rto, "{:?} of {rto:?}", info.rto);
}

/// RFC 8985 6.2: what was overtaken is given its window from the end of the standstill on, because
/// its acknowledgment may be the next to be read.
#[test]
fn what_was_overtaken_is_not_overdue_by_a_standstill() {
    let mut wire = wire();
    wire.write(3000);
    wire.sent();
    stand_still(&mut wire, 20_000 * MS);
    wire.stack.handle_standstill(wire.now);
    let overtaking = wire.sack(ack(1), &[(1001, 3001)]);
    wire.inject_batch([overtaking, ack(3001)]);
    wire.expect([]);
    wire.wait(10_000 * MS);
    wire.expect([]);
    assert_eq!(wire.stack.info(wire.id()).unwrap().lost, 0);
}

/// A timer waits for what arrived before it was due, and not for what arrived later. Meanwhile it asks for little: not to
/// be called again at once, whatever the application does.
#[test]
fn what_is_not_heard_keeps_a_timer_waiting_until_it_is() {
    let mut wire = wire();
    wire.write(3000);
    wire.sent();
    let sent = stand_still(&mut wire, 600 * MS);
    for heard in [0, 40, 70] {
        wire.stack.handle_timeout_heard(wire.now, sent + heard * MS);
        wire.expect([]);
        wire.read();
        assert!(wire.stack.poll_timeout() > Some(wire.now));
        wire.now += MS;
    }
    // RFC 8985 7.2: the probe of the tail is due after two round trips.
    wire.stack.handle_timeout_heard(wire.now, sent + 100 * MS);
    wire.read();
    assert_eq!(wire.sent().len(), 1);
}

#[test]
fn an_answer_to_a_syn_waits_likewise() {
    let mut wire = Wire::listening(|_| {}, ListenOptions::default());
    wire.inject(seg("S", 0, 0).mss(1000));
    wire.sent();
    let sent = stand_still(&mut wire, 1500 * MS);
    wire.stack.handle_timeout_heard(wire.now, sent + 900 * MS);
    wire.now += 2 * MS;
    wire.stack.handle_timeout_heard(wire.now, sent + 999 * MS);
    assert_eq!(wire.stack.counters().segments_retransmitted, 0);
    wire.now += 2 * MS;
    wire.stack.handle_timeout_heard(wire.now, sent + 1000 * MS);
    assert_eq!(wire.stack.counters().segments_retransmitted, 1);
}

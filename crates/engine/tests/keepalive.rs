//! Keepalive (RFC 9293 3.8.4; scenario S4).

mod support;

use std::time::Duration;

use millstream_engine::{ConnectionError, Keepalive, SocketOptions, State};
use support::wire::{Wire, seg};

fn wire() -> Wire {
    let options = SocketOptions::default().keepalive(Some(
        Keepalive::default()
            .idle(Duration::from_secs(60))
            .interval(Duration::from_secs(10))
            .count(3),
    ));
    Wire::established_with(|_| {}, options, seg("S", 0, 0).mss(1000))
}

/// RFC 9293 MUST-25.
#[test]
fn it_is_off_by_default() {
    let mut wire = Wire::established();
    assert_eq!(wire.stack.poll_timeout(), None);
    wire.wait(Duration::from_secs(100_000));
    wire.expect([]);
}

#[test]
fn an_idle_connection_is_probed_and_an_answer_resets_it() {
    let mut wire = wire();
    wire.wait(Duration::from_secs(59));
    wire.expect([]);
    wire.wait(Duration::from_secs(1));
    wire.expect([". 0:0 ack 1"]);
    wire.inject(seg(".", 1, 0).ack(1));
    wire.wait(Duration::from_secs(59));
    wire.expect([]);
    wire.wait(Duration::from_secs(2));
    wire.expect([". 0:0 ack 1"]);
}

#[test]
fn traffic_postpones_it() {
    let mut wire = wire();
    for i in 0..10 {
        wire.wait(Duration::from_secs(50));
        wire.inject(seg("P.", 1 + i, 1).ack(1));
        wire.sent();
    }
    wire.read();
    wire.wait(Duration::from_secs(59));
    wire.expect([]);
}

#[test]
fn a_peer_that_is_gone_is_found_out() {
    let mut wire = wire();
    let id = wire.id();
    wire.wait(Duration::from_secs(60 + 29));
    wire.expect([". 0:0 ack 1", ". 0:0 ack 1", ". 0:0 ack 1"]);
    assert_eq!(wire.stack.take_error(id), None);
    wire.wait(Duration::from_secs(1));
    wire.expect(["R. 1:1 ack 1"]);
    assert_eq!(wire.stack.take_error(id), Some(ConnectionError::TimedOut));
}

#[test]
fn a_peer_that_came_back_without_memory_resets() {
    let mut wire = wire();
    let id = wire.id();
    wire.wait(Duration::from_secs(60));
    wire.expect([". 0:0 ack 1"]);
    wire.inject(seg("R", 1, 0));
    assert_eq!(wire.stack.take_error(id), Some(ConnectionError::Reset));
}

#[test]
fn our_answer_to_a_probe_is_an_acknowledgment() {
    let mut wire = Wire::established();
    wire.inject(seg(".", 0, 0).ack(1));
    wire.expect([". 1:1 ack 1"]);
    wire.wait(Duration::from_secs(1));
    // With the one garbage octet of old implementations (RFC 1122 4.2.3.6).
    wire.inject(seg(".", 0, 1).ack(1));
    wire.expect([". 1:1 ack 1 sack 0:1"]);
}

#[test]
fn the_user_timeout_overrides_the_count() {
    let mut wire = wire();
    let id = wire.id();
    wire.stack
        .set_options(wire.now, id, |options| {
            options.user_timeout = Some(Duration::from_secs(75));
        })
        .unwrap();
    wire.wait(Duration::from_secs(79));
    assert_eq!(wire.sent().len(), 2);
    assert_eq!(wire.stack.take_error(id), None);
    // At 80 seconds the next probe would be sent, but the silence is then longer than 75 seconds.
    wire.wait(Duration::from_secs(1));
    assert_eq!(wire.stack.take_error(id), Some(ConnectionError::TimedOut));
    let mut wire = self::wire();
    let id = wire.id();
    wire.stack
        .set_options(wire.now, id, |options| {
            options.user_timeout = Some(Duration::from_secs(1000));
        })
        .unwrap();
    wire.wait(Duration::from_secs(999));
    assert_eq!(wire.stack.take_error(id), None, "more than three probes");
    wire.wait(Duration::from_secs(11));
    assert_eq!(wire.stack.take_error(id), Some(ConnectionError::TimedOut));
}

/// RFC 9293 MUST-24, MAY-5.
#[test]
fn it_can_be_switched_on_and_off_on_an_open_connection() {
    let mut wire = Wire::established();
    let id = wire.id();
    wire.wait(Duration::from_secs(100));
    wire.stack
        .set_options(wire.now, id, |options| {
            options.keepalive = Some(Keepalive::default().idle(Duration::from_secs(60)));
        })
        .unwrap();
    wire.wait(Duration::from_secs(61));
    assert!(!wire.sent().is_empty(), "idle for longer than 60 seconds");
    wire.stack
        .set_options(wire.now, id, |options| options.keepalive = None)
        .unwrap();
    wire.collect();
    assert_eq!(wire.stack.poll_timeout(), None);
    wire.wait(Duration::from_secs(10_000));
    wire.expect([]);
}

/// A connection in TIME-WAIT stays with its application until it is closed, but no timer runs for
/// it: Linux has replaced it by a record, and its socket is closed.
#[test]
fn options_of_a_connection_that_is_over_start_no_timer() {
    let mut wire = Wire::established();
    let id = wire.id();
    wire.stack.shutdown_write(wire.now, id).unwrap();
    wire.collect();
    wire.inject(seg("F.", 1, 0).ack(2));
    wire.sent();
    assert_eq!(wire.stack.state(id), Some(State::TimeWait));
    let end = wire.stack.poll_timeout();
    wire.stack
        .set_options(wire.now, id, |options| {
            options.keepalive = Some(Keepalive::default().idle(Duration::from_secs(1)));
            options.user_timeout = Some(Duration::from_secs(1));
        })
        .unwrap();
    assert_eq!(wire.stack.poll_timeout(), end, "the end of TIME-WAIT");
    wire.wait(Duration::from_secs(1000));
    wire.expect([]);
    assert_eq!(wire.stack.take_error(id), None);
    wire.stack.close(wire.now, id);
    assert_eq!(wire.stack.poll_timeout(), None);
}

/// RFC 9293 MUST-26.
#[test]
fn data_in_flight_is_retransmitted_and_not_probed_for() {
    let mut wire = wire();
    wire.wait(Duration::from_secs(59));
    wire.write(10);
    wire.wait(Duration::from_secs(60));
    let sent = wire.sent();
    assert!(sent.len() > 3);
    // RFC 9293 MUST-26.
    assert!(sent.iter().all(|line| line == "P. 1:11 ack 1"), "{sent:?}");
}

/// RFC 9293 MUST-28.
#[test]
fn the_defaults_are_two_hours_and_nine_probes() {
    let options = SocketOptions::default().keepalive(Some(Keepalive::default()));
    let mut wire = Wire::established_with(|_| {}, options, seg("S", 0, 0).mss(1000));
    wire.wait(Duration::from_secs(7199));
    wire.expect([]);
    wire.wait(Duration::from_secs(1 + 9 * 75 - 1));
    assert_eq!(wire.sent().len(), 9);
    let id = wire.id();
    assert_eq!(wire.stack.take_error(id), None);
    wire.wait(Duration::from_secs(1));
    assert_eq!(wire.stack.take_error(id), Some(ConnectionError::TimedOut));
}

#[test]
fn it_works_in_a_half_closed_connection() {
    let mut wire = wire();
    wire.inject(seg("F.", 1, 0).ack(1));
    wire.sent();
    wire.wait(Duration::from_secs(60));
    wire.expect([". 0:0 ack 2"]);
}

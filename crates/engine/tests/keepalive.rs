//! Keepalive (RFC 9293 3.8.4; scenario S4).

mod support;

use std::time::Duration;

use millstream_engine::{ConnectionError, Keepalive, SocketOptions};
use support::wire::{Wire, seg};

fn wire() -> Wire {
    let options = SocketOptions {
        keepalive: Some(Keepalive {
            idle: Duration::from_secs(60),
            interval: Duration::from_secs(10),
            count: 3,
        }),
        ..SocketOptions::default()
    };
    Wire::established_with(|_| {}, options, seg("S", 0, 0).mss(1000))
}

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
    // With the one garbage octet of old implementations (RFC 9293 MAY-6).
    wire.inject(seg(".", 0, 1).ack(1));
    wire.expect([". 1:1 ack 1 sack 0:1"]);
}

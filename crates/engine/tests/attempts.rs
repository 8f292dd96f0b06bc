//! The listener on every address: a client waits until the application has decided.

mod support;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use millstream_engine::{
    Admission, Attempt, AttemptId, ConnectionError, DropReason, Event, ListenError, ListenOptions,
    RxChecksum, Transmit,
};
use millstream_testbed::packet;
use millstream_wire::icmp::ErrorKind;
use support::wire::{Seg, Wire, seg};
use support::{ADDR_A, ADDR_B};

fn listening() -> Wire {
    Wire::listening_any(ListenOptions::default())
}

fn syn() -> Seg {
    seg("S", 0, 0).mss(1000).sack_ok()
}

fn attempt(wire: &mut Wire) -> Attempt {
    let listener = wire.listener.unwrap();
    wire.stack.next_attempt(listener).expect("somebody asks")
}

/// An attempt whose SYN has been answered.
fn admitted(wire: &mut Wire) -> AttemptId {
    wire.inject(syn());
    let id = attempt(wire).id;
    wire.stack.admit(wire.now, id);
    wire.collect();
    id
}

fn is_quiet(wire: &mut Wire) -> bool {
    let listener = wire.listener.unwrap();
    wire.stack.next_attempt(listener).is_none()
}

#[test]
fn nothing_is_answered_until_the_attempt_is_admitted() {
    let mut wire = listening();
    let destination: SocketAddr = ([198, 51, 100, 7], 443).into();
    wire.inject(syn());
    wire.expect([]);
    let Attempt {
        id, local, peer, ..
    } = attempt(&mut wire);
    assert_eq!((local, peer), (destination, (ADDR_B, 5000).into()));
    wire.wait_ms(5000);
    wire.expect([]);
    wire.stack.admit(wire.now, id);
    wire.collect();
    wire.expect(["S. 0:1 ack 1"]);
    assert_eq!(wire.stack.admission(id), Admission::Pending);
    wire.inject(seg(".", 1, 0).ack(1));
    let Admission::Established(accepted) = wire.stack.admission(id) else {
        panic!("the handshake is complete");
    };
    assert_eq!((accepted.local, accepted.peer), (local, peer));
    assert_eq!(
        wire.stack.admission(id),
        Admission::Gone,
        "it is given out once"
    );
    wire.id = Some(accepted.id);
    wire.inject(seg("P.", 1, 100).ack(1));
    wire.write(50);
    wire.expect([". 1:1 ack 101", "P. 1:51 ack 101"]);
    assert_eq!(wire.read(), 100);
}

#[test]
fn the_listener_tells_of_attempts_and_of_what_becomes_of_them() {
    let mut wire = listening();
    let listener = wire.listener.unwrap();
    let mut events = Vec::new();
    let mut inject = |wire: &mut Wire, seg: Seg| {
        let bytes = wire.packet(&seg);
        let checksum = RxChecksum::Unverified;
        wire.stack.handle_packet(wire.now, bytes, checksum);
        events.extend(std::iter::from_fn(|| wire.stack.poll_event()));
        std::mem::take(&mut events)
    };
    assert_eq!(inject(&mut wire, syn()), [Event::Incoming(listener)]);
    assert_eq!(inject(&mut wire, syn()), [], "it is the same attempt");
    let first = attempt(&mut wire);
    assert!(is_quiet(&mut wire));
    let gone = inject(&mut wire, seg("R", 1, 0));
    assert_eq!(gone, [Event::Attempt(first.id)]);
    assert_eq!(wire.stack.admission(first.id), Admission::Gone);
    assert_eq!(inject(&mut wire, syn()), [Event::Incoming(listener)]);
    let second = attempt(&mut wire);
    wire.stack.admit(wire.now, second.id);
    wire.collect();
    wire.sent();
    let last = seg(".", 1, 0).ack(1);
    assert!(inject(&mut wire, last).contains(&Event::Attempt(second.id)));
}

#[test]
fn refused_is_what_a_closed_port_answers() {
    let mut wire = listening();
    wire.inject(syn());
    let id = attempt(&mut wire).id;
    wire.stack.refuse(wire.now, id);
    wire.collect();
    wire.expect(["R. 0:0 ack 1"]);
    assert_eq!(wire.stack.admission(id), Admission::Gone);
    wire.stack.admit(wire.now, id);
    wire.collect();
    wire.expect([]);
}

#[test]
fn an_ignored_client_may_try_again() {
    let mut wire = listening();
    wire.inject(syn());
    let id = attempt(&mut wire).id;
    wire.stack.ignore(wire.now, id);
    wire.inject(syn());
    wire.expect([]);
    assert_ne!(attempt(&mut wire).id, id);
}

#[test]
fn a_syn_that_comes_again_is_the_same_attempt_and_another_one_is_not() {
    let mut wire = listening();
    wire.inject(syn());
    let id = attempt(&mut wire).id;
    wire.inject(syn());
    assert!(is_quiet(&mut wire));
    wire.inject(seg("S", 5000, 0));
    assert_eq!(wire.stack.admission(id), Admission::Gone);
    let anew = attempt(&mut wire).id;
    wire.stack.admit(wire.now, anew);
    wire.collect();
    wire.expect(["S. 0:1 ack 5001"]);
}

#[test]
fn before_the_decision_segments_are_answered_as_by_a_listener() {
    let mut wire = listening();
    wire.inject(syn());
    wire.inject(seg(".", 1, 0).ack(1));
    assert_eq!(
        wire.sent().len(),
        1,
        "a reset, for nothing was sent to acknowledge"
    );
    wire.inject(seg("F", 1, 0));
    wire.inject(seg("R", 7, 0));
    wire.expect([]);
    let drops = wire.stack.counters().dropped(DropReason::ListenUnexpected);
    assert_eq!(drops, 3);
    attempt(&mut wire);
}

#[test]
fn whose_client_has_given_up_is_forgotten() {
    let mut wire = listening();
    wire.inject(syn());
    let id = attempt(&mut wire).id;
    wire.wait(Duration::from_secs(60));
    wire.inject(syn());
    wire.wait(Duration::from_secs(60));
    assert_eq!(
        wire.stack.admission(id),
        Admission::Pending,
        "it came again"
    );
    wire.wait(Duration::from_secs(20));
    assert_eq!(wire.stack.admission(id), Admission::Gone);
    wire.expect([]);
    assert_eq!(wire.stack.poll_timeout(), None);
}

/// However often its client retransmits.
#[test]
fn nobody_decides_after_three_minutes() {
    let mut wire = listening();
    wire.inject(syn());
    let id = attempt(&mut wire).id;
    for _ in 0..17 {
        wire.wait(Duration::from_secs(10));
        wire.inject(syn());
        assert_eq!(wire.stack.admission(id), Admission::Pending);
    }
    wire.wait(Duration::from_secs(10));
    assert_eq!(wire.stack.admission(id), Admission::Gone);
    wire.expect([]);
}

#[test]
fn there_is_room_for_those_that_come_after_a_second() {
    let mut wire = Wire::listening_any(ListenOptions::default().backlog(2));
    wire.inject_from_port(syn(), 1);
    let first = attempt(&mut wire).id;
    wire.wait_ms(600);
    wire.inject_from_port(syn(), 2);
    wire.wait_ms(399);
    wire.inject_from_port(syn(), 3);
    assert_eq!(wire.stack.admission(first), Admission::Pending);
    wire.wait_ms(1);
    wire.inject_from_port(syn(), 3);
    assert_eq!(wire.stack.admission(first), Admission::Gone);
    let ports = [
        attempt(&mut wire).peer.port(),
        attempt(&mut wire).peer.port(),
    ];
    assert_eq!(ports, [2, 3]);
    let counters = wire.stack.counters();
    assert_eq!(counters.dropped(DropReason::SynQueueFull), 1);
    assert_eq!(counters.attempts_replaced, 1);
}

/// A listener with room for two attempts, one of which is decided; the next is therefore answered
/// with a cookie.
fn crowded() -> Wire {
    let mut wire = Wire::listening_any(ListenOptions::default().backlog(2));
    wire.inject_from_port(syn(), 1);
    let first = attempt(&mut wire).id;
    wire.stack.admit(wire.now, first);
    wire.collect();
    assert_eq!(wire.stack.counters().syn_cookies_sent, 1);
    wire
}

#[test]
fn an_attempt_restored_from_a_cookie_is_answered() {
    for n in 0..4 {
        let mut wire = crowded();
        wire.inject(syn());
        let id = attempt(&mut wire).id;
        wire.stack.admit(wire.now, id);
        wire.collect();
        let isn = wire.isn();
        // There is no room for the attempt any more.
        wire.inject_from_port(syn(), 2);
        wire.inject_from_port(syn(), 3);
        assert_eq!(wire.stack.admission(id), Admission::Gone);
        let ack = i64::from(isn.distance_from(wire.isn())) + 1;
        wire.inject(seg("P.", 1, 10).ack(ack));
        let back = attempt(&mut wire);
        assert!(back.answered && back.id != id);
        assert_eq!(back.local, ([198, 51, 100, 7], 443).into());
        assert_eq!(attempt(&mut wire).peer.port(), 2);
        let back = back.id;
        match n {
            0 => {
                wire.stack.admit(wire.now, back);
                let Admission::Established(accepted) = wire.stack.admission(back) else {
                    panic!("it is a connection");
                };
                wire.id = Some(accepted.id);
                assert_eq!(wire.read(), 10);
                wire.stack.abort(wire.now, accepted.id);
            }
            1 => wire.stack.refuse(wire.now, back),
            2 => wire.stack.ignore(wire.now, back),
            _ => {
                let listener = wire.listener.unwrap();
                wire.stack.close_listener(wire.now, listener);
                // The attempt has been reported, and the application that received it decides.
                assert_eq!(wire.stack.connection_count(), 1);
                wire.stack.refuse(wire.now, back);
            }
        }
        wire.collect();
        assert_eq!(wire.stack.connection_count(), 0);
        assert_eq!(wire.stack.admission(back), Admission::Gone);
    }
}

#[test]
fn answered_attempts_that_nobody_took_are_reset_with_the_listener() {
    let mut wire = crowded();
    wire.inject(syn());
    let id = attempt(&mut wire).id;
    wire.stack.admit(wire.now, id);
    wire.collect();
    let isn = wire.isn();
    wire.stack.ignore(wire.now, id);
    let ack = i64::from(isn.distance_from(wire.isn())) + 1;
    wire.inject(seg(".", 1, 0).ack(ack));
    assert_eq!(wire.stack.connection_count(), 1);
    let listener = wire.listener.unwrap();
    wire.stack.close_listener(wire.now, listener);
    wire.collect();
    assert_eq!(wire.stack.connection_count(), 0);
}

#[test]
fn the_backlog_bounds_those_that_are_connected_and_not_taken() {
    let mut wire = Wire::listening_any(ListenOptions::default().backlog(1));
    let id = admitted(&mut wire);
    wire.inject(seg(".", 1, 0).ack(1));
    wire.inject_from_port(syn(), 2);
    assert!(is_quiet(&mut wire));
    let full = wire.stack.counters().dropped(DropReason::AcceptQueueFull);
    assert_eq!(full, 1);
    assert!(matches!(
        wire.stack.admission(id),
        Admission::Established(_)
    ));
    wire.inject_from_port(syn(), 2);
    assert!(!is_quiet(&mut wire));
}

#[test]
fn the_backlog_bounds_those_that_wait() {
    let mut wire = Wire::listening_any(ListenOptions::default().backlog(2));
    for port in 1..=4 {
        wire.inject_from_port(syn(), port);
    }
    let dropped = wire.stack.counters().dropped(DropReason::SynQueueFull);
    assert_eq!(dropped, 2);
    // A client that begins again repeatedly has one attempt at a time.
    for n in 1..1000 {
        wire.inject_from_port(seg("S", n * 10, 0), 1);
    }
    let ports = [
        attempt(&mut wire).peer.port(),
        attempt(&mut wire).peer.port(),
    ];
    assert_eq!(ports, [2, 1]);
    assert!(is_quiet(&mut wire));
}

#[test]
fn a_listener_of_an_address_comes_first() {
    let mut wire = listening();
    let binding = wire.stack.bind((ADDR_A, 80).into(), true).unwrap();
    let options = ListenOptions::default();
    let own = wire.stack.listen(binding, options).unwrap();
    wire.aim_at(ADDR_A.into());
    wire.aim_at_port(81);
    wire.inject(syn());
    assert_eq!(attempt(&mut wire).local, (ADDR_A, 81).into());
    wire.aim_at_port(80);
    wire.inject(syn());
    wire.expect(["S. 0:1 ack 1"]);
    assert!(is_quiet(&mut wire));
    wire.inject(seg(".", 1, 0).ack(1));
    assert!(wire.stack.accept(own).is_some());
}

#[test]
fn there_is_one_at_most_and_a_closed_one_leaves_its_connections() {
    let mut wire = listening();
    let listener = wire.listener.unwrap();
    let options = ListenOptions::default;
    let again = wire.stack.listen_any(options());
    assert!(matches!(again, Err(ListenError::AddrInUse(_))));
    let id = admitted(&mut wire);
    wire.inject(seg(".", 1, 0).ack(1));
    wire.inject_from_port(syn(), 5001);
    wire.sent();

    wire.stack.close_listener(wire.now, listener);
    wire.collect();
    wire.expect(["R. 0:0 ack 1"]);
    let Admission::Established(accepted) = wire.stack.admission(id) else {
        panic!("it was established before");
    };
    wire.id = Some(accepted.id);
    wire.inject(seg("P.", 1, 10).ack(1));
    assert_eq!(wire.read(), 10);
    wire.sent();
    let strangers = wire.stack.counters().dropped(DropReason::NotForUs);
    wire.inject_from_port(syn(), 5002);
    wire.expect([]);
    let not_for_us = wire.stack.counters().dropped(DropReason::NotForUs);
    assert_eq!(not_for_us, strangers + 1);
    wire.stack.listen_any(options()).expect("free again");
}

#[test]
fn refused_after_the_handshake_is_a_reset_connection() {
    let mut wire = listening();
    let id = admitted(&mut wire);
    wire.inject(seg(".", 1, 0).ack(1));
    wire.sent();
    wire.stack.refuse(wire.now, id);
    wire.collect();
    wire.expect(["R. 1:1 ack 1"]);
    assert_eq!(wire.stack.connection_count(), 0);
}

#[test]
fn a_connection_that_fails_before_it_is_given_out_tells_why() {
    let mut wire = listening();
    let id = admitted(&mut wire);
    wire.inject(seg(".", 1, 0).ack(1));
    wire.inject(seg("R", 1, 0));
    let Admission::Established(accepted) = wire.stack.admission(id) else {
        panic!("there was a connection");
    };
    let mut data: Vec<Bytes> = Vec::new();
    let read = wire.stack.read(wire.now, accepted.id, 10, &mut data);
    assert_eq!(read, Err(ConnectionError::Reset));
}

#[test]
fn the_handshake_of_an_admitted_attempt_is_repeated_and_given_up() {
    let mut wire = listening();
    let id = admitted(&mut wire);
    wire.wait(Duration::from_secs(200));
    let sent = wire.sent();
    assert_eq!(sent.len(), 6, "{sent:?}");
    assert_eq!(wire.stack.admission(id), Admission::Gone);
}

#[test]
fn nothing_but_tcp_is_taken_for_addresses_that_are_not_ours() {
    let mut wire = listening();
    let udp = |dst: [u8; 4]| {
        let to = (IpAddr::from(dst), 53);
        Bytes::from(packet::udp((ADDR_B, 5000).into(), to.into(), &[]))
    };
    for (dst, reason) in [
        ([198, 51, 100, 7], DropReason::NotForUs),
        ([127, 0, 0, 1], DropReason::InvalidAddress),
    ] {
        let before = wire.stack.counters().dropped(reason);
        let checksum = RxChecksum::Unverified;
        wire.stack.handle_packet(wire.now, udp(dst), checksum);
        wire.collect();
        wire.expect([]);
        assert_eq!(wire.stack.counters().dropped(reason), before + 1);
    }
    for dst in [[224, 0, 0, 1], [255, 255, 255, 255], [0, 0, 0, 0]] {
        wire.aim_at(dst.into());
        wire.inject(syn());
        assert!(is_quiet(&mut wire), "{dst:?} is no host");
    }
}

#[test]
fn a_router_s_word_about_a_connection_for_an_address_that_is_not_ours_counts() {
    let mut wire = listening();
    let id = admitted(&mut wire);
    wire.inject(seg(".", 1, 0).ack(1));
    let Admission::Established(accepted) = wire.stack.admission(id) else {
        panic!("the handshake is complete");
    };
    let mss = |wire: &Wire| wire.stack.info(accepted.id).unwrap().snd_mss;
    assert_eq!(mss(&wire), 1000);
    wire.stack.write(wire.now, accepted.id, &[7; 1000]).unwrap();
    let mut out = Transmit::new();
    assert!(wire.stack.poll_transmit(wire.now, &mut out));
    let mut sent = Vec::new();
    out.write_to(&mut sent);

    let (router, ours): (IpAddr, IpAddr) = ([10, 0, 0, 9].into(), [198, 51, 100, 7].into());
    let kind = ErrorKind::PacketTooBig { mtu: 800 };
    let packet = packet::icmp_error(router, ours, kind, &sent[..28]).unwrap();
    let checksum = RxChecksum::Unverified;
    wire.stack.handle_packet(wire.now, packet.into(), checksum);
    assert_eq!(mss(&wire), 760);
}

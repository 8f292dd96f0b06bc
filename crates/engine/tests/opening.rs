//! Opening (RFC 9293 3.5, 3.10.7.2, 3.10.7.3; RFC 5961; RFC 7323 2; RFC 4987).

mod support;

use std::time::Duration;

use millstream_engine::{
    ConnectionError, DropReason, ListenOptions, RxChecksum, SocketOptions, State, SynCookies,
};
use millstream_wire::{ip, tcp};
use support::wire::{Seg, Wire, seg};
use support::{ADDR_A, Pair, Side, packet};

fn connecting() -> Wire {
    let mut wire = Wire::connecting(|_| {}, SocketOptions::default());
    wire.expect(["S 0:1"]);
    wire
}

fn listening() -> Wire {
    Wire::listening(|_| {}, ListenOptions::default())
}

fn syn() -> Seg {
    seg("S", 0, 0).mss(1000).sack_ok()
}

#[test]
fn a_syn_is_retransmitted_with_doubling_gaps_and_its_options_are_linux_s() {
    let mut wire = Wire::connecting(|_| {}, SocketOptions::default());
    let (window, options) = wire.headers()[0];
    assert_eq!(window, 64_240, "whole segments of 64 KiB");
    assert_eq!(options.mss, Some(1460));
    assert!(
        options.sack_permitted && options.timestamps.is_some() && options.window_scale.is_some()
    );
    let mut at = Vec::new();
    let start = wire.now;
    while let Some(next) = wire.stack.poll_timeout() {
        wire.wait(next - wire.now);
        if !wire.sent().is_empty() {
            at.push((wire.now - start).as_secs());
        }
    }
    assert_eq!(at, [1, 3, 7, 15, 31, 63]);
    assert_eq!((wire.now - start).as_secs(), 127);
    let id = wire.id();
    assert_eq!(
        wire.stack.finish_connect(id),
        Err(ConnectionError::TimedOut)
    );
}

#[test]
fn the_handshake_completes_with_one_ack() {
    let mut wire = connecting();
    wire.inject(seg("S.", 0, 0).ack(1).mss(1400));
    wire.expect([". 1:1 ack 1"]);
    let id = wire.id();
    assert_eq!(wire.stack.finish_connect(id), Ok(true));
    let info = wire.stack.info(id).unwrap();
    assert_eq!(
        (info.timestamps, info.sack, info.snd_wscale, info.snd_mss),
        (false, false, 0, 1400)
    );
}

#[test]
fn a_reset_refuses_only_with_an_acceptable_ack() {
    let mut wire = connecting();
    let id = wire.id();
    wire.inject(seg("R", 0, 0));
    wire.inject(seg("R.", 0, 0).ack(0));
    wire.inject(seg("R.", 0, 0).ack(2));
    wire.expect([]);
    assert_eq!(wire.stack.state(id), Some(State::SynSent));
    wire.inject(seg("R.", 0, 0).ack(1));
    assert_eq!(wire.stack.finish_connect(id), Err(ConnectionError::Refused));
}

#[test]
fn an_unacceptable_ack_is_answered_with_a_reset_in_its_place() {
    let mut wire = connecting();
    wire.inject(seg("S.", 0, 0).ack(2));
    wire.expect(["R 2:2"]);
    wire.inject(seg(".", 0, 0).ack(0));
    wire.expect(["R 0:0"]);
    assert_eq!(wire.stack.state(wire.id()), Some(State::SynSent));
}

#[test]
fn a_crossing_syn_is_answered_with_syn_ack() {
    let mut wire = connecting();
    wire.inject(syn());
    wire.expect(["S. 0:1 ack 1"]);
    wire.inject(seg("S.", 0, 0).ack(1).mss(1000).sack_ok());
    wire.expect([]);
    assert_eq!(wire.stack.state(wire.id()), Some(State::Established));
}

#[test]
fn a_crossing_syn_and_its_syn_ack_in_one_batch_are_acknowledged() {
    let mut wire = connecting();
    wire.inject_batch([syn(), seg("S.", 0, 0).ack(1).mss(1000).sack_ok()]);
    assert_eq!(wire.stack.state(wire.id()), Some(State::Established));
    wire.expect([". 1:1 ack 1"]);
}

#[test]
fn a_reset_after_a_crossing_syn_reports_the_refusal() {
    let mut wire = connecting();
    wire.inject(syn());
    wire.sent();
    wire.inject(seg("R", 1, 0));
    let id = wire.id();
    assert_eq!(wire.stack.finish_connect(id), Err(ConnectionError::Refused));
}

#[test]
fn closing_after_a_crossing_syn_sends_the_fin_once_the_handshake_is_over() {
    let mut wire = connecting();
    wire.inject(syn());
    wire.expect(["S. 0:1 ack 1"]);
    wire.shutdown();
    wire.expect([]);
    assert_eq!(wire.stack.state(wire.id()), Some(State::FinWait1));
    wire.inject(seg(".", 1, 0).ack(1));
    wire.expect(["F. 1:2 ack 1"]);
}

#[test]
fn a_listener_answers_a_syn_and_mirrors_only_what_was_offered() {
    let mut wire = listening();
    wire.inject(seg("S", 0, 0));
    let (window, options) = wire.headers()[0];
    assert_eq!(window, 64_240, "whole segments of 64 KiB");
    assert_eq!(options.mss, Some(1460));
    assert!(
        !options.sack_permitted && options.timestamps.is_none() && options.window_scale.is_none()
    );
}

#[test]
fn a_peer_without_mss_gets_536_and_one_with_a_tiny_one_a_floor() {
    for (offer, expected) in [
        (None, 536),
        (Some(0), 536),
        (Some(1), 48),
        (Some(40), 48),
        (Some(9000), 1460),
    ] {
        let mut first = seg("S", 0, 0);
        first.options.mss = offer;
        let wire = Wire::established_with(|_| {}, SocketOptions::default(), first);
        assert_eq!(
            wire.stack.info(wire.id()).unwrap().snd_mss,
            expected,
            "{offer:?}"
        );
    }
}

#[test]
fn a_window_scale_above_14_is_taken_as_14() {
    let first = syn().wscale(200);
    let wire = Wire::established_with(|_| {}, SocketOptions::default(), first);
    assert_eq!(wire.stack.info(wire.id()).unwrap().snd_wscale, 14);
    // The ACK's window was scaled, the SYN's was not.
    assert_eq!(wire.stack.info(wire.id()).unwrap().snd_wnd, 65_535 << 14);
}

#[test]
fn a_listener_ignores_resets_and_fins_and_resets_strays() {
    let mut wire = listening();
    wire.inject(seg("R", 0, 0));
    wire.inject(seg("F", 0, 0));
    wire.inject(seg("SR", 0, 0));
    wire.inject(seg("P", 0, 10));
    wire.expect([]);
    wire.inject(seg(".", 7, 0).ack(99));
    assert_eq!(wire.sent().len(), 1);
    assert_eq!(wire.stack.counters().resets_sent, 1);
}

#[test]
fn the_same_syn_again_gets_the_same_syn_ack() {
    let mut wire = listening();
    wire.inject(syn());
    wire.expect(["S. 0:1 ack 1"]);
    wire.inject(syn());
    wire.expect(["S. 0:1 ack 1"]);
}

#[test]
fn a_syn_ack_is_retransmitted_five_times_and_forgotten() {
    let mut wire = listening();
    wire.inject(syn());
    wire.sent();
    let start = wire.now;
    let mut at = Vec::new();
    while let Some(next) = wire.stack.poll_timeout() {
        wire.wait(next - wire.now);
        if !wire.sent().is_empty() {
            at.push((wire.now - start).as_secs());
        }
    }
    assert_eq!(at, [1, 3, 7, 15, 31]);
    assert_eq!(wire.stack.sockets().count(), 1, "the listener alone");
}

#[test]
fn a_wrong_ack_in_syn_received_is_reset_and_the_right_one_still_counts() {
    let mut wire = listening();
    wire.inject(syn());
    wire.sent();
    wire.inject(seg(".", 1, 0).ack(0));
    wire.expect(["R 0:0"]);
    wire.inject(seg(".", 1, 0).ack(2));
    wire.expect(["R 2:2"]);
    wire.inject(seg(".", 1, 0).ack(1));
    wire.accept();
    assert_eq!(wire.stack.state(wire.id()), Some(State::Established));
}

#[test]
fn a_reset_in_syn_received_is_silent_for_a_listener() {
    let mut wire = listening();
    wire.inject(syn());
    wire.sent();
    wire.inject(seg("R", 1, 0));
    wire.expect([]);
    assert_eq!(wire.stack.sockets().count(), 1);
    assert_eq!(wire.stack.accept(wire.listener.unwrap()), None);
}

#[test]
fn data_and_fin_on_the_last_ack_of_the_handshake_are_taken() {
    let mut wire = listening();
    wire.inject(syn());
    wire.sent();
    wire.inject(seg("FP.", 1, 10).ack(1));
    wire.accept();
    wire.expect([". 1:1 ack 12"]);
    assert_eq!(wire.stack.state(wire.id()), Some(State::CloseWait));
    assert_eq!(wire.read(), 10);
}

#[test]
fn data_on_a_syn_is_not_acknowledged_and_so_not_lost() {
    let mut wire = listening();
    wire.inject(seg("S", 0, 10).mss(1000));
    wire.expect(["S. 0:1 ack 1"]);
    wire.inject(seg("P.", 1, 10).ack(1));
    wire.accept();
    assert_eq!(wire.read(), 10);
}

#[test]
fn when_the_accept_queue_is_full_the_last_ack_is_dropped_and_a_later_segment_succeeds() {
    let options = ListenOptions::default().backlog(2);
    let mut pair = Pair::new();
    let listener = pair.listen_with(Side::B, 80, options);
    // The third SYN arrives between the last ACKs of the first two handshakes, its own last ACK
    // after both.
    pair.connect(Side::A, 80);
    pair.run_for(Duration::from_millis(5));
    pair.connect(Side::A, 80);
    pair.run_for(Duration::from_millis(17));
    let third = pair.connect(Side::A, 80);
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.a.finish_connect(third), Ok(true));
    assert_eq!(pair.b.counters().dropped(DropReason::AcceptQueueFull), 1);
    let first_two = [pair.b.accept(listener), pair.b.accept(listener)];
    assert!(first_two.iter().all(Option::is_some));
    assert_eq!(pair.b.accept(listener), None);
    pair.run_until(Duration::from_secs(10), |p| p.b.accept(listener).is_some());
}

fn short_queue(syn_cookies: SynCookies) -> Wire {
    let options = ListenOptions::default().backlog(4);
    Wire::listening(|config| config.syn_cookies = syn_cookies, options)
}

/// RFC 4987 3.5.
#[test]
fn the_queue_of_half_open_connections_is_bounded() {
    let mut wire = short_queue(SynCookies::Off);
    for port in 0..100 {
        wire.inject_from_port(syn(), 6000 + port);
    }
    assert_eq!(wire.sent().len(), 4);
    assert_eq!(wire.stack.counters().dropped(DropReason::SynQueueFull), 96);
}

#[test]
fn a_syn_that_comes_a_thousand_times_is_answered_twice_a_second() {
    let mut wire = short_queue(SynCookies::InFlood);
    wire.inject(syn());
    for _ in 0..1000 {
        wire.wait_ms(1);
        wire.inject(syn());
    }
    assert_eq!(wire.sent().len(), 1 + 2);
    let limited = wire.stack.counters().dropped(DropReason::AnswerRateLimited);
    assert_eq!(limited, 998);
    wire.inject(seg(".", 1, 0).ack(1));
    wire.accept();
}

/// Six answers to one forged SYN, three if there are many (as Linux).
#[test]
fn a_forged_syn_is_answered_less_often_where_there_are_many() {
    let answers = |many: u16| {
        let options = ListenOptions::default().backlog(20);
        let mut wire = Wire::listening(|_| {}, options);
        for port in 0..many {
            wire.inject_from_port(syn(), 6000 + port);
        }
        wire.wait(Duration::from_secs(200));
        assert_eq!(wire.stack.sockets().count(), 1);
        wire.sent().len()
    };
    assert_eq!(answers(1), 6);
    assert_eq!(answers(10), 6 * 10);
    assert_eq!(
        answers(20),
        3 * 10 + 6 * 10,
        "until half of the room is free"
    );
}

#[test]
fn a_listener_that_closes_forgets_its_own_half_open_connections() {
    let mut wire = short_queue(SynCookies::Off);
    let other = wire.stack.bind((ADDR_A, 81).into(), true).unwrap();
    let options = ListenOptions::default();
    let other = wire.stack.listen(other, options).unwrap();
    for port in 6000..6003 {
        wire.inject_from_port(syn(), port);
    }
    wire.aim_at_port(81);
    wire.inject_from_port(syn(), 7000);
    wire.sent();
    wire.stack.close_listener(wire.now, other);
    wire.collect();
    assert_eq!(wire.sent().len(), 1, "a reset");
    assert_eq!(wire.stack.sockets().count(), 1 + 3);
    let first = wire.listener.unwrap();
    wire.stack.close_listener(wire.now, first);
    wire.collect();
    assert_eq!(wire.sent().len(), 3, "resets");
    assert_eq!(wire.stack.sockets().count(), 0);
}

/// Four half-open connections, the maximum.
fn flooded() -> Wire {
    let mut wire = short_queue(SynCookies::InFlood);
    for port in 6000..6004 {
        wire.inject_from_port(syn(), port);
    }
    assert_eq!(wire.sent().len(), 4);
    assert_eq!(wire.stack.counters().syn_cookies_sent, 0);
    wire
}

/// RFC 4987 3.6.
#[test]
fn a_flood_of_syns_keeps_nobody_out() {
    let mut wire = flooded();
    for port in 0..96 {
        wire.inject_from_port(syn(), 6100 + port);
    }
    assert_eq!(wire.sent().len(), 96, "each is answered");
    assert_eq!(wire.stack.counters().syn_cookies_sent, 96);
    wire.inject_from_port(syn().ts(5, 0).wscale(3), 7000);
    let (_, options) = wire.headers()[0];
    assert!(options.sack_permitted && options.window_scale.is_some());
    let echo = options.timestamps.unwrap().value;
    // It is not retransmitted, and no state was kept.
    assert_eq!(wire.stack.sockets().count(), 1 + 4);
    let data = seg("P.", 1, 100).ack(1).ts(6, echo);
    wire.inject_from_port(data, 7000);
    wire.accept();
    assert_eq!(wire.read(), 100);
    let info = wire.stack.info(wire.id()).unwrap();
    assert!(info.timestamps && info.sack);
    assert_eq!(
        (info.snd_wscale, info.snd_mss, info.cwnd),
        (3, 536 - 12, 10 * (536 - 12))
    );
    assert_eq!(wire.stack.counters().syn_cookies_received, 1);
    assert_eq!(wire.stack.counters().passive_opens, 1);
}

#[test]
fn a_cookie_is_good_for_a_while_and_where_one_was_sent() {
    let mut wire = short_queue(SynCookies::Always);
    wire.inject(syn());
    wire.expect(["S. 0:1 ack 1"]);
    let mut other = short_queue(SynCookies::Always);
    other.inject(seg(".", 1, 0).ack(1));
    assert_eq!(other.stack.counters().syn_cookies_received, 0);
    wire.wait(Duration::from_secs(129));
    wire.inject(seg(".", 1, 0).ack(1));
    wire.expect(["R 1:1"]);
    assert_eq!(wire.stack.counters().syn_cookies_received, 0);
}

#[test]
fn a_cookie_counts_that_comes_back_after_the_syn_found_room() {
    let mut wire = flooded();
    wire.inject(syn());
    wire.expect(["S. 0:1 ack 1"]);
    let first = wire.isn();
    wire.inject_from_port(seg("R", 1, 0), 6000);
    wire.inject(syn());
    wire.expect(["S. 0:1 ack 1"]);
    let second = wire.isn();
    assert_ne!(first, second, "it is half-open now");
    let ack = i64::from(first.distance_from(second)) + 1;
    wire.inject(seg(".", 1, 0).ack(ack));
    wire.expect([]);
    wire.accept();
    assert_eq!(wire.stack.counters().syn_cookies_received, 1);
    assert_eq!(wire.stack.sockets().count(), 1 + 3 + 1);
}

#[test]
fn a_cookie_that_finds_the_accept_queue_full_may_come_again() {
    let options = ListenOptions::default().backlog(1);
    let mut wire = Wire::listening(|config| config.syn_cookies = SynCookies::Always, options);
    wire.inject(syn());
    wire.sent();
    let first = wire.isn();
    wire.inject_from_port(syn(), 6000);
    wire.sent();
    wire.inject_from_port(seg(".", 1, 0).ack(1), 6000);
    let second = wire.isn();
    let ack = i64::from(first.distance_from(second)) + 1;
    wire.inject(seg(".", 1, 0).ack(ack));
    wire.expect([]);
    assert_eq!(
        wire.stack.counters().dropped(DropReason::AcceptQueueFull),
        1
    );
    wire.accept();
    wire.inject(seg(".", 1, 0).ack(ack));
    wire.accept();
}

/// The client regards itself as connected, and may wait for the server's first bytes.
#[test]
fn a_silent_client_whose_cookie_found_the_accept_queue_full_is_asked_again() {
    let options = ListenOptions::default().backlog(1);
    let mut wire = Wire::listening(|config| config.syn_cookies = SynCookies::Always, options);
    wire.inject(syn());
    wire.sent();
    let first = wire.isn();
    wire.inject_from_port(syn(), 6000);
    wire.sent();
    wire.inject_from_port(seg(".", 1, 0).ack(1), 6000);
    let ack = i64::from(first.distance_from(wire.isn())) + 1;
    wire.inject(seg(".", 1, 0).ack(ack));
    wire.expect([]);
    wire.accept();
    assert_eq!(wire.stack.accept(wire.listener.unwrap()), None);
    wire.wait_ms(1_100);
    wire.expect(["S. 0:1 ack 1"]);
    assert_eq!(wire.isn(), first);
    wire.inject(seg(".", 1, 0).ack(1));
    wire.accept();
}

#[test]
fn closing_a_listener_resets_what_was_not_accepted() {
    let mut wire = listening();
    wire.inject(syn());
    wire.sent();
    wire.inject(seg(".", 1, 0).ack(1));
    let listener = wire.listener.unwrap();
    wire.stack.close_listener(wire.now, listener);
    wire.collect();
    wire.expect(["R. 1:1 ack 1"]);
    assert_eq!(wire.stack.sockets().count(), 0);
    assert_eq!(wire.stack.poll_timeout(), None);
}

#[test]
fn a_packet_from_ourselves_off_the_device_is_dropped() {
    let mut pair = Pair::new();
    pair.listen(Side::A, 80);
    let now = pair.now;
    let options = SocketOptions::default();
    // A connection of A to B whose packets are returned to A unchanged: they are not for A.
    let _ = pair
        .a
        .connect(now, None, Pair::addr(Side::B, 80), options)
        .unwrap();
    pair.flush();
    let syn = pair.seen[0].bytes.clone();
    pair.a.handle_packet(now, syn, RxChecksum::Unverified);
    assert_eq!(pair.a.counters().dropped(DropReason::NotForUs), 1);
}

#[test]
fn a_stack_can_talk_to_itself() {
    let mut pair = Pair::new();
    let listener = pair.listen(Side::A, 80);
    let now = pair.now;
    let options = SocketOptions::default();
    let id = pair
        .a
        .connect(now, None, Pair::addr(Side::A, 80), options)
        .unwrap();
    pair.flush();
    assert_eq!(pair.a.finish_connect(id), Ok(true));
    let there = pair.a.accept(listener).unwrap().id;
    pair.write(Side::A, id, b"myself");
    assert_eq!(pair.read(Side::A, there), b"myself");
    assert!(pair.seen.is_empty(), "nothing of it reaches the device");
}

#[test]
fn a_port_can_connect_to_itself() {
    let mut pair = Pair::new();
    let now = pair.now;
    let addr = Pair::addr(Side::A, 7000);
    let binding = pair.a.bind(addr, false).unwrap();
    let options = SocketOptions::default();
    let id = pair.a.connect(now, Some(&binding), addr, options).unwrap();
    pair.flush();
    assert_eq!(pair.a.finish_connect(id), Ok(true));
    pair.write(Side::A, id, b"echo");
    assert_eq!(pair.read(Side::A, id), b"echo");
}

#[test]
fn an_ipv6_listener_takes_ipv4_connections_with_mapped_addresses() {
    let mut pair = Pair::new();
    let binding = pair.b.bind("[::]:80".parse().unwrap(), true).unwrap();
    let listener = pair.b.listen(binding, ListenOptions::default()).unwrap();
    let id = pair.connect(Side::A, 80);
    let mut accepted = None;
    pair.run_until(Duration::from_secs(5), |p| {
        accepted = accepted.or_else(|| p.b.accept(listener));
        accepted.is_some()
    });
    let local = pair.a.local_addr(id).unwrap();
    assert_eq!(
        accepted.unwrap().peer.to_string(),
        format!("[::ffff:10.0.0.1]:{}", local.port())
    );
}

/// The kinds of the options in a packet's TCP header, in order.
fn option_kinds(bytes: &[u8]) -> Vec<u8> {
    let packet = ip::Packet::parse(bytes).unwrap();
    let view = tcp::View::parse(packet.payload()).unwrap();
    let mut rest = view.options_bytes();
    let mut kinds = Vec::new();
    while let Some(&kind) = rest.first() {
        kinds.push(kind);
        let length = if kind <= 1 { 1 } else { usize::from(rest[1]) };
        rest = &rest[length..];
    }
    kinds
}

/// RFC 9293 MUST-14, SHLD-5, MAY-3.
#[test]
fn the_options_of_syn_and_syn_ack_come_in_linux_s_order() {
    let mut pair = Pair::new();
    pair.established();
    // MSS, SACK-permitted, timestamps, NOP, window scale.
    assert_eq!(option_kinds(&pair.seen[0].bytes), [2, 4, 8, 1, 3]);
    assert_eq!(option_kinds(&pair.seen[1].bytes), [2, 4, 8, 1, 3]);
    assert_eq!(option_kinds(&pair.seen[2].bytes), [1, 1, 8]);
}

#[test]
fn each_option_is_answered_only_if_offered() {
    for bits in 0..8 {
        let mut first = seg("S", 0, 0).mss(1000);
        if bits & 1 != 0 {
            first = first.sack_ok();
        }
        if bits & 2 != 0 {
            first = first.ts(9, 0);
        }
        if bits & 4 != 0 {
            first = first.wscale(3);
        }
        let mut wire = listening();
        wire.inject(first);
        let (_, options) = wire.headers().pop().unwrap();
        let found = (
            options.sack_permitted,
            options.timestamps.map(|stamp| stamp.echo),
            options.window_scale.is_some(),
        );
        let expected = (bits & 1 != 0, (bits & 2 != 0).then_some(9), bits & 4 != 0);
        assert_eq!(found, expected);
    }
}

/// RFC 9293 MUST-1, REC-1.
#[test]
fn windows_are_scaled_after_the_handshake_only() {
    let mut wire = Wire::connecting(|_| {}, SocketOptions::default());
    let (window, options) = wire.headers().pop().unwrap();
    let shift = options.window_scale.unwrap();
    assert_eq!(window, 64_240, "whole segments of 64 KiB");
    wire.inject(seg("S.", 0, 0).ack(1).mss(1000).wscale(2).win(1000));
    let id = wire.id();
    assert_eq!(wire.stack.info(id).unwrap().snd_wnd, 1000, "RFC 7323 2.2");
    let (window, _) = wire.headers().pop().unwrap();
    let offered = u32::from(window) << shift;
    assert!((64_240..=1 << 19).contains(&offered), "{offered}");
    wire.inject(seg(".", 1, 0).ack(1).win(1000));
    assert_eq!(wire.stack.info(id).unwrap().snd_wnd, 4000);
}

#[test]
fn without_scaling_offered_by_both_no_window_exceeds_16_bits() {
    let mut wire = Wire::established();
    for i in 0..100 {
        wire.inject(seg("P.", 1 + i * 1000, 1000).ack(1));
        wire.read();
        wire.sent();
    }
    assert_eq!(wire.stack.info(wire.id()).unwrap().rcv_wscale, 0);
    assert!(wire.stack.info(wire.id()).unwrap().rcv_wnd <= 65_535);
}

/// A SYN from any address to any other.
fn raw_syn(src: &str, dst: &str) -> bytes::Bytes {
    let header = tcp::Header {
        src_port: 80,
        dst_port: 80,
        flags: tcp::Flags::SYN,
        window: 1000,
        ..tcp::Header::default()
    };
    packet(src.parse().unwrap(), dst.parse().unwrap(), &header, &[])
}

#[test]
fn a_syn_with_impossible_addresses_is_dropped_silently() {
    for (src, dst, reason) in [
        // The LAND attack.
        ("10.0.0.1", "10.0.0.1", DropReason::Land),
        ("fd00::1", "fd00::1", DropReason::Land),
        // RFC 9293 MUST-57: to broadcast and multicast.
        ("10.0.0.2", "10.0.0.255", DropReason::InvalidAddress),
        ("10.0.0.2", "255.255.255.255", DropReason::InvalidAddress),
        ("10.0.0.2", "224.0.0.1", DropReason::InvalidAddress),
        ("fd00::2", "ff02::1", DropReason::InvalidAddress),
        // MUST-63: from an address that is not a single host.
        ("255.255.255.255", "10.0.0.1", DropReason::InvalidAddress),
        ("10.0.0.255", "10.0.0.1", DropReason::InvalidAddress),
        ("224.0.0.1", "10.0.0.1", DropReason::InvalidAddress),
        ("0.0.0.0", "10.0.0.1", DropReason::InvalidAddress),
        ("127.0.0.1", "10.0.0.1", DropReason::InvalidAddress),
        ("ff02::1", "fd00::1", DropReason::InvalidAddress),
        ("::", "fd00::1", DropReason::InvalidAddress),
        ("10.0.0.2", "10.0.0.3", DropReason::NotForUs),
    ] {
        let mut pair = Pair::new();
        let binding = pair.a.bind("[::]:80".parse().unwrap(), true).unwrap();
        let _ = pair.a.listen(binding, ListenOptions::default()).unwrap();
        let now = pair.now;
        pair.a
            .handle_packet(now, raw_syn(src, dst), RxChecksum::Unverified);
        pair.flush();
        assert!(pair.seen.is_empty(), "{src} to {dst} is answered");
        assert_eq!(pair.a.counters().dropped(reason), 1, "{src} to {dst}");
        assert_eq!(pair.a.sockets().count(), 1, "{src} to {dst}");
    }
}

#[test]
fn closing_while_opening_is_silent() {
    let mut wire = connecting();
    wire.close();
    wire.expect([]);
    assert_eq!(
        (wire.stack.connection_count(), wire.stack.poll_timeout()),
        (0, None)
    );
}

#[test]
fn a_half_open_connection_is_reset_when_its_listener_closes() {
    let mut wire = listening();
    wire.inject(syn());
    wire.sent();
    let listener = wire.listener.unwrap();
    wire.stack.close_listener(wire.now, listener);
    wire.collect();
    wire.expect(["R. 1:1 ack 1"]);
    assert_eq!(
        (wire.stack.sockets().count(), wire.stack.poll_timeout()),
        (0, None)
    );
}

#[test]
fn a_forged_syn_does_not_undo_a_half_open_connection() {
    let mut wire = listening();
    wire.inject(syn());
    wire.sent();
    // Another sequence number, inside and outside the window (RFC 5961 4): a challenge, at a
    // limited rate.
    wire.inject(seg("S", 500, 0).mss(1000));
    wire.expect([". 1:1 ack 1"]);
    wire.inject(seg("S", -500, 0).mss(1000));
    wire.expect([]);
    wire.inject(seg("R", 2, 0));
    wire.inject(seg("R", -2, 0));
    wire.expect([]);
    wire.inject(seg(".", 1, 0).ack(1));
    wire.accept();
    assert_eq!(wire.stack.state(wire.id()), Some(State::Established));
}

#[test]
fn a_window_offered_by_a_challenge_in_syn_received_does_not_shrink() {
    let mut wire = listening();
    wire.inject(syn().wscale(0));
    let [(first, options)] = wire.headers()[..] else {
        panic!("one SYN-ACK");
    };
    let unit = 1 << options.window_scale.expect("is answered");
    assert_ne!(first % unit, 0, "or there is nothing to round");
    wire.inject(seg(".", -1000, 0).ack(1));
    let challenge = wire.headers()[0].0 * unit;
    assert!((first..first + unit).contains(&challenge));
    // The window of a SYN-ACK is not scaled, and not less than the advertised window.
    wire.wait_ms(500);
    wire.inject(syn().wscale(0));
    assert_eq!(wire.headers()[0].0, challenge);
    wire.inject(seg(".", 1, 0).ack(1));
    wire.accept();
    let last = i64::from(challenge);
    wire.inject(seg(".", last, 1).ack(1));
    let (_, options) = wire.headers()[0];
    assert_eq!(options.sack.len(), 1, "the last byte offered is taken");
}

#[test]
fn an_older_timestamp_does_not_complete_the_handshake() {
    let mut wire = listening();
    wire.inject(syn().ts(1000, 0));
    wire.sent();
    // RFC 7323 5.3 R1.
    wire.inject(seg(".", 1, 0).ack(1).ts(999, 0));
    wire.expect([". 1:1 ack 1"]);
    assert_eq!(wire.stack.accept(wire.listener.unwrap()), None);
    wire.inject(seg(".", 1, 0).ack(1).ts(1000, 0));
    wire.accept();
}

#[test]
fn data_that_arrives_while_the_accept_queue_is_full_is_not_lost() {
    let options = ListenOptions::default().backlog(1);
    let mut pair = Pair::new();
    let listener = pair.listen_with(Side::B, 80, options);
    let first = pair.connect(Side::A, 80);
    pair.run_for(Duration::from_millis(5));
    let second = pair.connect(Side::A, 80);
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.a.finish_connect(first), Ok(true));
    assert!(pair.b.accept(listener).is_some());
    pair.run_until(Duration::from_secs(10), |p| {
        p.a.finish_connect(second) == Ok(true)
    });
    pair.write(Side::A, second, b"early");
    let mut server = None;
    pair.run_until(Duration::from_secs(10), |p| {
        server = server.or_else(|| p.b.accept(listener));
        server.is_some_and(|accepted| p.b.readable_bytes(accepted.id) > 0)
    });
    assert_eq!(pair.read(Side::B, server.unwrap().id), b"early");
}

#[test]
fn a_half_open_connection_that_is_given_up_frees_its_place() {
    let options = ListenOptions::default().backlog(1);
    let mut wire = Wire::listening(|config| config.syn_cookies = SynCookies::Off, options);
    wire.inject_from_port(syn(), 6000);
    assert_eq!(wire.sent().len(), 1);
    wire.inject_from_port(syn(), 6001);
    wire.expect([]);
    wire.wait(Duration::from_secs(63));
    assert_eq!(wire.sent().len(), 5);
    wire.inject_from_port(syn(), 6001);
    wire.expect(["S. 0:1 ack 1"]);
}

#[test]
fn a_connection_reset_before_it_was_accepted_is_still_accepted_and_tells() {
    let mut wire = listening();
    wire.inject(syn());
    wire.sent();
    wire.inject(seg("P.", 1, 10).ack(1));
    wire.inject(seg("R", 11, 0));
    wire.sent();
    // As Linux: the application learns of it by its first read.
    wire.accept();
    let id = wire.id();
    assert_eq!(wire.stack.take_error(id), Some(ConnectionError::Reset));
    wire.close();
    assert_eq!(wire.stack.connection_count(), 0);
}

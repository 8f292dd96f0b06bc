//! Buffers that grow with the capacity of the path.

mod support;

use std::time::Duration;

use millstream_engine::{ConnectionId, ListenOptions, SocketOptions};
use support::wire::{Wire, seg};
use support::{Pair, Side};

const ROUND_TRIP: Duration = Duration::from_millis(20);

fn buffers(receive: usize, send: usize) -> SocketOptions {
    SocketOptions::default()
        .receive_buffer(receive)
        .send_buffer(send)
}

/// For `rounds` round trips A writes as much as it may, and B reads the data if it `reads`.
fn transfer(pair: &mut Pair, ids: (ConnectionId, ConnectionId), rounds: usize, reads: bool) {
    for _ in 0..rounds {
        let room = pair.a.write_capacity(ids.0);
        pair.write(Side::A, ids.0, &vec![1; room]);
        pair.run_for(ROUND_TRIP);
        if reads {
            pair.read(Side::B, ids.1);
        }
    }
}

/// The sizes of the sender's and the receiver's buffers after a transfer.
fn tuned(options: SocketOptions, reads: bool) -> (usize, usize) {
    let mut pair = Pair::new();
    let ids = pair.established_with(options);
    transfer(&mut pair, ids, 14, reads);
    let sender = pair.a.info(ids.0).unwrap();
    let receiver = pair.b.info(ids.1).unwrap();
    (sender.snd_space, receiver.rcv_space)
}

#[test]
fn a_reader_that_keeps_up_gets_a_larger_window() {
    let (_, receive) = tuned(buffers(1 << 16, 4 << 20), true);
    assert!(receive >= 4 << 16, "only {receive}");
}

#[test]
fn without_timestamps_too() {
    let options = buffers(1 << 16, 4 << 20).timestamps(false);
    let (_, receive) = tuned(options, true);
    assert!(receive >= 4 << 16, "only {receive}");
}

#[test]
fn a_reader_that_does_not_read_does_not() {
    assert_eq!(tuned(buffers(1 << 16, 4 << 20), false).1, 1 << 16);
}

#[test]
fn a_size_that_was_set_stays() {
    let mut options = buffers(1 << 16, 4 << 20);
    options.fix_receive_buffer(1 << 16);
    options.fix_send_buffer(1 << 17);
    assert_eq!(tuned(options, true), (1 << 17, 1 << 16));
}

#[test]
fn a_size_set_on_a_connection_takes_the_place_of_the_tuned_one() {
    let mut pair = Pair::new();
    let ids = pair.established_with(buffers(1 << 16, 4 << 20));
    transfer(&mut pair, ids, 14, true);
    let now = pair.now;
    pair.b
        .set_options(now, ids.1, |options| options.fix_receive_buffer(1 << 15))
        .unwrap();
    transfer(&mut pair, ids, 14, true);
    assert_eq!(pair.b.info(ids.1).unwrap().rcv_space, 1 << 15);
}

#[test]
fn the_window_never_grows_beyond_the_largest() {
    let options = buffers(1 << 16, 4 << 20).receive_buffer_max(100_000);
    assert_eq!(tuned(options, true).1, 100_000);
}

#[test]
fn the_send_buffer_follows_the_congestion_window() {
    let mut pair = Pair::new();
    let ids = pair.established_with(buffers(8 << 20, 1 << 16));
    transfer(&mut pair, ids, 14, true);
    let info = pair.a.info(ids.0).unwrap();
    assert!(info.snd_space > 1 << 17, "only {}", info.snd_space);
    assert!(info.snd_space <= 2 * info.cwnd as usize);
}

/// A peer acknowledges all that was sent, unseen, every 10 ms, while the application writes what it may. Returns how much
/// was written for each acknowledgment, and the congestion window then.
fn acknowledged_unseen(memory: usize, most: usize) -> Vec<(usize, usize)> {
    let mut options = ListenOptions::default();
    options.socket.send_buffer_max = most;
    let mut wire = Wire::listening(|config| config.memory = memory, options);
    wire.inject(seg("S", 0, 0).mss(1460).sack_ok().wscale(14));
    wire.inject(seg(".", 1, 0).ack(1));
    wire.accept();
    let (mut rounds, mut end) = (Vec::new(), 1);
    for _ in 0..40 {
        let room = wire.stack.write_capacity(wire.id());
        wire.write(room);
        let info = wire.stack.info(wire.id()).unwrap();
        end += room as i64;
        wire.now += Duration::from_millis(10);
        let unsent = info.notsent_bytes as i64;
        wire.inject(seg(".", 1, 0).ack(end - unsent));
        rounds.push((room, info.cwnd as usize));
        wire.headers();
    }
    rounds
}

/// It gets for each acknowledgment what the congestion window can use, twice as much as that at the most and never more
/// than the largest buffer, as on Linux (`tcp_sndbuf_expand`).
#[test]
fn who_acknowledges_unseen_gets_one_buffer_for_each() {
    const MOST: usize = 1 << 20;
    let rounds = acknowledged_unseen(1 << 30, MOST);
    let first = SocketOptions::default().send_buffer;
    for &(written, cwnd) in &rounds {
        assert!(
            written <= MOST.min(first.max(2 * cwnd)),
            "{written}, {cwnd}"
        );
    }
    let largest = rounds.iter().map(|&(written, _)| written).max();
    assert!(largest > Some(MOST / 4), "{largest:?}");
}

/// Memory bounds it before that: from three quarters of it on nothing grows.
#[test]
fn memory_bounds_what_it_gets() {
    const MEMORY: usize = 1 << 20;
    let rounds = acknowledged_unseen(MEMORY, 32 << 20);
    assert!(rounds.iter().all(|&(written, _)| written <= MEMORY));
}

/// What was not sent cannot be acknowledged (RFC 9293 3.10.7.4, RFC 5961 5): nothing grows, and one challenge goes out.
#[test]
fn what_was_not_sent_cannot_be_acknowledged() {
    let mut wire = Wire::established();
    let cwnd = wire.stack.info(wire.id()).unwrap().cwnd;
    let room = wire.stack.write_capacity(wire.id());
    wire.write(1000);
    wire.sent();
    wire.inject(seg(".", 1, 0).ack(100_000));
    wire.expect([". 1001:1001 ack 1"]);
    let info = wire.stack.info(wire.id()).unwrap();
    assert_eq!((info.cwnd, info.bytes_in_flight), (cwnd, 1000));
    assert_eq!(wire.stack.write_capacity(wire.id()), room - 1000);
}

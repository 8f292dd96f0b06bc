//! Buffers that grow with the capacity of the path.

mod support;

use std::time::Duration;

use millstream_engine::{ConnectionId, SocketOptions};
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

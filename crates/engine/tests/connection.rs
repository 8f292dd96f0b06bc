//! The life of a connection between two stacks: every path through the state diagram (scenario S1).

mod support;

use std::time::Duration;

use millstream_engine::{ConnectionError, Read, State};
use support::{Fate, Pair, Side};

const SOON: Duration = Duration::from_secs(5);

/// RFC 9293 MUST-44, MUST-45.
#[test]
fn client_and_server_take_the_classic_paths() {
    let mut pair = Pair::new();
    let (a, b) = pair.established();
    pair.write(Side::A, a, b"hello");
    pair.run_for(SOON);
    assert_eq!(pair.read(Side::B, b), b"hello");
    let now = pair.now;
    pair.a.shutdown_write(now, a).unwrap();
    pair.run_for(SOON);
    assert_eq!(pair.read_status(Side::B, b), Ok(Read::Eof));
    assert_eq!(pair.a.state(a), Some(State::FinWait2));
    // The half-close: B still sends.
    pair.write(Side::B, b, b"bye");
    pair.run_for(SOON);
    assert_eq!(pair.read(Side::A, a), b"bye");
    let now = pair.now;
    pair.b.close(now, b);
    pair.run_for(SOON);
    assert_eq!(pair.read_status(Side::A, a), Ok(Read::Eof));
    assert_eq!(pair.a.time_wait_count(), 1);
    pair.run_for(Duration::from_secs(60));
    assert_eq!(
        pair.states(Side::A),
        [
            State::SynSent,
            State::Established,
            State::FinWait1,
            State::FinWait2,
            State::TimeWait,
            State::Closed
        ]
    );
    assert_eq!(
        pair.states(Side::B),
        [
            State::SynReceived,
            State::Established,
            State::CloseWait,
            State::LastAck,
            State::Closed
        ]
    );
    assert_eq!(pair.a.time_wait_count(), 0);
    assert_eq!(pair.b.connection_count(), 0);
    assert_eq!(pair.b.poll_timeout(), None);
}

#[test]
fn simultaneous_close_goes_through_closing_on_both_sides() {
    let mut pair = Pair::new();
    let (a, b) = pair.established();
    pair.run_for(SOON);
    let now = pair.now;
    pair.a.close(now, a);
    pair.b.close(now, b);
    pair.run_for(SOON);
    for side in [Side::A, Side::B] {
        let states = pair.states(side);
        assert_eq!(
            states[states.len() - 3..],
            [State::FinWait1, State::Closing, State::TimeWait]
        );
    }
    assert_eq!((pair.a.time_wait_count(), pair.b.time_wait_count()), (1, 1));
}

#[test]
fn simultaneous_open_makes_one_connection_with_four_segments() {
    let mut pair = Pair::new();
    let now = pair.now;
    let bind_a = pair.a.bind(Pair::addr(Side::A, 7777), false).unwrap();
    let bind_b = pair.b.bind(Pair::addr(Side::B, 8888), false).unwrap();
    let options = pair.a.config().socket.clone();
    let a = pair
        .a
        .connect(
            now,
            Some(&bind_a),
            Pair::addr(Side::B, 8888),
            options.clone(),
        )
        .unwrap();
    let b = pair
        .b
        .connect(now, Some(&bind_b), Pair::addr(Side::A, 7777), options)
        .unwrap();
    pair.run_until(SOON, |p| {
        p.a.finish_connect(a) == Ok(true) && p.b.finish_connect(b) == Ok(true)
    });
    pair.run_for(SOON);
    assert_eq!(pair.seen.len(), 4, "{}", pair.trace());
    for side in [Side::A, Side::B] {
        assert_eq!(
            pair.states(side),
            [State::SynSent, State::SynReceived, State::Established]
        );
    }
    pair.write(Side::A, a, b"over");
    pair.write(Side::B, b, b"here");
    pair.run_for(SOON);
    assert_eq!(pair.read(Side::A, a), b"here");
    assert_eq!(pair.read(Side::B, b), b"over");
}

#[test]
fn a_port_without_listener_refuses_at_once() {
    let mut pair = Pair::new();
    let a = pair.connect(Side::A, 5001);
    pair.run_for(SOON);
    assert_eq!(pair.a.finish_connect(a), Err(ConnectionError::Refused));
    assert_eq!(pair.seen.len(), 2, "{}", pair.trace());
}

#[test]
fn a_syn_that_is_never_answered_times_out_after_127_seconds() {
    let mut pair = Pair::new();
    pair.judge(|_, _, _| Fate::Drop);
    let a = pair.connect(Side::A, 80);
    let start = pair.now;
    let mut result = Ok(false);
    pair.run_until(Duration::from_secs(200), |p| {
        result = p.a.finish_connect(a);
        result.is_err()
    });
    assert_eq!(result, Err(ConnectionError::TimedOut));
    assert_eq!(pair.now - start, Duration::from_secs(127));
    assert_eq!(pair.seen.len(), 7);
}

#[test]
fn a_megabyte_arrives_through_loss_duplication_and_reordering() {
    for seed in 0..40u64 {
        let mut pair = Pair::new();
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        pair.judge(move |_, _, _| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            match state % 100 {
                0..5 => Fate::Drop,
                5..8 => Fate::Duplicate,
                8..15 => Fate::Delay(Duration::from_millis(state >> 8 & 31)),
                _ => Fate::Deliver,
            }
        });
        let (a, b) = pair.established();
        let data: Vec<u8> = (0..1_000_000u32)
            .map(|i| (i * 31 + 7) as u8 ^ (i >> 8) as u8)
            .collect();
        let (mut written, mut received) = (0, Vec::new());
        pair.run_until(Duration::from_secs(600), |p| {
            let now = p.now;
            if written < data.len() {
                written += p.a.write(now, a, &data[written..]).unwrap();
                if written == data.len() {
                    p.a.shutdown_write(now, a).unwrap();
                }
            }
            received.extend(p.read(Side::B, b));
            received.len() >= data.len()
        });
        assert!(received == data, "seed {seed}");
        let now = pair.now;
        pair.b.close(now, b);
        pair.a.close(now, a);
        pair.run_for(Duration::from_secs(400));
        assert_eq!(
            pair.a.sockets().count(),
            0,
            "seed {seed}\n{:?}",
            pair.a.sockets().collect::<Vec<_>>()
        );
        assert_eq!(pair.a.poll_timeout(), None, "seed {seed}");
        assert_eq!(pair.b.connection_count(), 0, "seed {seed}");
    }
}

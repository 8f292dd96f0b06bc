//! Information for the application: events, peeking, shutting down, and identifiers that have
//! become invalid (RFC 9293 3.9.1).

mod support;

use std::time::Duration;

use bytes::Bytes;
use millstream_engine::{
    ConnectionError, ConnectionId, Event, Read, Readiness, SocketOptions, State, WriteError,
};
use support::{Fate, Pair, Side};

const SOON: Duration = Duration::from_secs(1);

/// All readiness of `id` that was reported to `side` since the last call.
fn told(pair: &mut Pair, side: Side, id: ConnectionId) -> Readiness {
    let mut all = Readiness::empty();
    pair.events.retain(|&(s, event)| match event {
        Event::Connection(i, readiness) if s == side && i == id => {
            all |= readiness;
            false
        }
        _ => true,
    });
    all
}

fn open() -> (Pair, ConnectionId, ConnectionId) {
    let mut pair = Pair::new();
    let (a, b) = pair.established();
    pair.run_for(SOON);
    pair.events.clear();
    (pair, a, b)
}

/// How often listeners have been announced.
fn incoming(pair: &Pair) -> usize {
    let is = |event: &&(Side, Event)| matches!(event.1, Event::Incoming(_));
    pair.events.iter().filter(is).count()
}

#[test]
fn opening_is_told_to_both() {
    let mut pair = Pair::new();
    let listener = pair.listen(Side::B, 80);
    let a = pair.connect(Side::A, 80);
    pair.run_for(SOON);
    assert!(told(&mut pair, Side::A, a).contains(Readiness::CONNECTED | Readiness::WRITABLE));
    assert_eq!(incoming(&pair), 1);
    // Reported once until the application has seen the queue empty.
    pair.connect(Side::A, 80);
    pair.run_for(SOON);
    assert_eq!(incoming(&pair), 1);
    while pair.b.accept(listener).is_some() {}
    pair.connect(Side::A, 80);
    pair.run_for(SOON);
    assert_eq!(incoming(&pair), 2);
}

#[test]
fn a_refusal_is_told_as_connected() {
    let mut pair = Pair::new();
    let a = pair.connect(Side::A, 9);
    pair.run_for(SOON);
    assert!(told(&mut pair, Side::A, a).contains(Readiness::CONNECTED));
    assert_eq!(pair.a.finish_connect(a), Err(ConnectionError::Refused));
}

#[test]
fn data_its_acknowledgment_and_the_end_are_told() {
    let (mut pair, a, b) = open();
    pair.write(Side::A, a, b"hello");
    pair.run_for(SOON);
    assert!(told(&mut pair, Side::B, b).contains(Readiness::READABLE));
    assert!(told(&mut pair, Side::A, a).contains(Readiness::FLUSHED));
    assert!(pair.a.is_flushed(a));
    pair.read(Side::B, b);
    assert!(!told(&mut pair, Side::B, b).contains(Readiness::READABLE));
    let now = pair.now;
    pair.a.shutdown_write(now, a).unwrap();
    assert!(!pair.a.is_flushed(a), "the FIN is on its way");
    pair.run_for(SOON);
    assert!(told(&mut pair, Side::B, b).contains(Readiness::READABLE));
    assert!(told(&mut pair, Side::A, a).contains(Readiness::FLUSHED));
}

/// RFC 9293 MUST-32, MUST-33.
#[test]
fn urgent_data_is_told() {
    let (mut pair, a, b) = open();
    let now = pair.now;
    assert_eq!(pair.a.write_urgent(now, a, b"now"), Ok(3));
    pair.run_for(SOON);
    assert!(told(&mut pair, Side::B, b).contains(Readiness::URGENT | Readiness::READABLE));
    assert_eq!(pair.b.urgent_mark(b), Some(3));
}

#[test]
fn room_in_the_send_buffer_is_told_when_there_is_enough_of_it() {
    let mut pair = Pair::new();
    let options = SocketOptions::default().send_buffer(9000);
    let (a, _) = pair.established_with(options);
    pair.run_for(SOON);
    pair.write(Side::A, a, &[0; 9000]);
    assert!(!pair.a.is_writable(a));
    pair.events.clear();
    pair.run_for(SOON);
    assert!(told(&mut pair, Side::A, a).contains(Readiness::WRITABLE));
    assert!(pair.a.is_writable(a));
}

/// A path that holds all of a large buffer would stay idle until a third of the buffer is free.
#[test]
fn a_megabyte_of_a_large_send_buffer_is_enough_room() {
    let mut pair = Pair::new();
    let options = SocketOptions::default()
        .send_buffer(16 << 20)
        .receive_buffer(4 << 20);
    let (a, _) = pair.established_with(options);
    pair.run_for(SOON);
    pair.write(Side::A, a, &vec![0; 16 << 20]);
    pair.run_until(Duration::from_secs(10), |pair| pair.a.is_writable(a));
    let info = pair.a.info(a).unwrap();
    let held = info.notsent_bytes + info.bytes_in_flight;
    assert!(held > 14 << 20, "{held} bytes are held");
}

#[test]
fn a_reset_wakes_everybody() {
    let (mut pair, a, b) = open();
    let now = pair.now;
    pair.a.abort(now, a);
    pair.run_for(SOON);
    let all = Readiness::READABLE | Readiness::WRITABLE | Readiness::FLUSHED;
    assert!(told(&mut pair, Side::B, b).contains(all));
    assert!(pair.b.is_readable(b) && pair.b.is_writable(b));
    let now = pair.now;
    assert_eq!(
        pair.b.write(now, b, b"x"),
        Err(WriteError::Connection(ConnectionError::Reset))
    );
    assert_eq!(pair.b.write(now, b, b"x"), Err(WriteError::BrokenPipe));
    assert_eq!(pair.read_status(Side::B, b), Ok(Read::Eof));
}

#[test]
fn peeking_leaves_the_bytes_and_the_window() {
    let (mut pair, a, b) = open();
    pair.write(Side::A, a, b"abcdef");
    pair.run_for(SOON);
    for _ in 0..2 {
        let mut chunks: Vec<Bytes> = Vec::new();
        assert_eq!(pair.b.peek(b, 4, &mut chunks), Ok(Read::Data(4)));
        assert_eq!(chunks.concat(), b"abcd");
    }
    assert_eq!(pair.b.readable_bytes(b), 6);
    assert_eq!(pair.read(Side::B, b), b"abcdef");
    let mut none: Vec<Bytes> = Vec::new();
    assert_eq!(pair.b.peek(b, 4, &mut none), Ok(Read::WouldBlock));
}

#[test]
fn bytes_are_written_without_a_copy_as_far_as_they_fit() {
    let mut pair = Pair::new();
    let options = SocketOptions::default().send_buffer(5000);
    let (a, b) = pair.established_with(options);
    let now = pair.now;
    let data: Vec<u8> = (0..8000u32).map(|i| i as u8).collect();
    let mut rest = Bytes::from(data.clone());
    assert_eq!(pair.a.write_bytes(now, a, &mut rest), Ok(5000));
    assert_eq!(rest.len(), 3000);
    pair.run_for(SOON);
    let now = pair.now;
    assert_eq!(pair.a.write_bytes(now, a, &mut rest), Ok(3000));
    pair.run_for(SOON);
    assert!(pair.read(Side::B, b) == data);
}

#[test]
fn after_shutting_down_reading_there_is_the_end_and_writing_goes_on() {
    let (mut pair, a, b) = open();
    let now = pair.now;
    pair.b.shutdown_read(now, b);
    assert_eq!(pair.read_status(Side::B, b), Ok(Read::Eof));
    pair.write(Side::B, b, b"still");
    pair.run_for(SOON);
    assert_eq!(pair.read(Side::A, a), b"still");
    assert_eq!(pair.a.state(a), Some(State::Established));
}

#[test]
fn names_mean_nothing_after_closing() {
    let (mut pair, a, _) = open();
    let now = pair.now;
    pair.a.close(now, a);
    assert_eq!(pair.a.state(a), None);
    assert_eq!(pair.a.info(a), None);
    assert_eq!(pair.a.write(now, a, b"x"), Err(WriteError::NotConnected));
    assert_eq!(pair.a.shutdown_write(now, a), Err(WriteError::NotConnected));
    assert_eq!(pair.read_status(Side::A, a), Ok(Read::Eof));
    // A repeated close does not count, and the next holder of the slot does not answer to the old
    // identifier.
    pair.a.close(now, a);
    assert_eq!(pair.a.orphan_count(), 1);
    pair.a.abort_all(now);
    assert_eq!(pair.a.orphan_count(), 0);
    let next = pair.connect(Side::A, 80);
    assert_ne!(next, a);
    assert_eq!(pair.a.state(a), None);
}

#[test]
fn everything_can_be_ended_at_once() {
    let (mut pair, a, b) = open();
    pair.connect(Side::A, 80);
    pair.listen(Side::A, 7);
    let now = pair.now;
    pair.a.close(now, a);
    pair.a.abort_all(now);
    assert_eq!(pair.a.sockets().count(), 0);
    assert_eq!((pair.a.connection_count(), pair.a.orphan_count()), (0, 0));
    assert_eq!(pair.a.poll_timeout(), None);
    pair.run_for(SOON);
    assert_eq!(pair.b.take_error(b), Some(ConnectionError::Reset));
}

#[test]
fn info_counts_what_happened() {
    let (mut pair, a, b) = open();
    let mut lost = false;
    pair.judge(move |from, bytes, _| match from {
        Side::A if bytes.len() > 1000 && !std::mem::replace(&mut lost, true) => Fate::Drop,
        _ => Fate::Deliver,
    });
    pair.write(Side::A, a, &[0; 20_000]);
    pair.run_for(SOON);
    let sender = pair.a.info(a).unwrap();
    let receiver = pair.b.info(b).unwrap();
    assert_eq!(
        (sender.bytes_acked, receiver.bytes_received),
        (20_000, 20_000)
    );
    assert_eq!(sender.total_retrans, 1);
    assert_eq!(sender.bytes_sent, 20_000 + sender.bytes_retrans);
    assert_eq!(sender.bytes_retrans, u64::from(sender.snd_mss));
    assert_eq!((sender.bytes_in_flight, sender.notsent_bytes), (0, 0));
    assert_eq!(receiver.readable_bytes, 20_000);
    let millis = sender.rtt.unwrap().as_millis();
    assert!((20..=60).contains(&millis), "{millis}");
    assert_eq!(sender.min_rtt, Some(Duration::from_millis(20)));
}

/// `SO_RCVLOWAT`: if the window is used up before the mark is reached, no more data can come, and
/// the reader is notified.
#[test]
fn a_mark_beyond_the_window_is_no_reason_to_wait() {
    let size = 1 << 16;
    let mut pair = Pair::new();
    let (a, b) = pair.established_with(
        SocketOptions::default()
            .receive_buffer(size)
            .receive_buffer_max(size)
            .receive_low_water(size),
    );
    let send = |pair: &mut Pair| {
        for _ in 0..20 {
            let now = pair.now;
            let _ = pair.a.write(now, a, &[1; 10_000]).unwrap();
            pair.flush();
            pair.run_for(Duration::from_millis(50));
        }
    };
    send(&mut pair);
    assert!(pair.b.is_readable(b));

    let (now, mut chunks) = (pair.now, Vec::<Bytes>::new());
    pair.b.read(now, b, 1_200, &mut chunks).unwrap();
    pair.flush();
    send(&mut pair);
    assert!(
        pair.b.is_readable(b),
        "what was read makes no room for a segment"
    );
}

/// After the end of the link, the received data stays available until the application closes;
/// everything else is released.
#[test]
fn received_data_survives_the_end_of_the_link() {
    let (mut pair, a, b) = open();
    pair.write(Side::B, b, b"last words");
    pair.run_for(SOON);
    let idle = pair.connect(Side::A, 80);
    pair.listen(Side::A, 7);
    let now = pair.now;
    pair.a.disconnect_all(now);
    assert_eq!(pair.a.sockets().count(), 0);
    assert_eq!(pair.a.poll_timeout(), None);
    assert_eq!(pair.a.state(idle), None);
    assert!(pair.a.has_unread(a));
    assert!(pair.a.memory_used() >= 10, "what is held counts");
    assert_eq!(pair.read(Side::A, a), b"last words");
    assert!(!pair.a.has_unread(a));
    pair.a.close(now, a);
    assert_eq!((pair.a.connection_count(), pair.a.orphan_count()), (0, 0));
    assert_eq!(pair.a.memory_used(), 0);
}

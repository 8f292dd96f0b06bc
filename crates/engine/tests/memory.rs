//! The memory that the buffers of all connections share (RFC 9293 3.8.6).

mod support;

use std::collections::HashSet;
use std::time::Duration;

use millstream_engine::{
    ConnectionId, DropReason, Event, ListenOptions, Pressure, Readiness, SocketOptions, State,
};
use support::{Fate, Pair, Side};

const ROUND_TRIP: Duration = Duration::from_millis(20);

/// Bytes that a connection may hold in each direction when memory has run out.
const FLOOR: usize = 16 * 1024;

const SECOND: Duration = Duration::from_secs(1);

const LARGEST_PACKET: usize = 65_535;

fn buffers(receive: usize, send: usize) -> SocketOptions {
    SocketOptions::default()
        .receive_buffer(receive)
        .send_buffer(send)
}

/// Bytes that a stack that only receives may hold with the given number of connections.
fn bound(memory: usize, connections: usize) -> usize {
    memory + memory / 4 + LARGEST_PACKET + connections * FLOOR
}

/// The byte at a position of a connection's stream.
fn byte(connection: usize, at: usize) -> u8 {
    (at.wrapping_mul(2_654_435_761) >> 11) as u8 ^ connection as u8
}

/// Each side may hold 200,000 bytes. Twelve connections could fill it many times over; no data is
/// read.
#[test]
fn memory_is_bounded_and_no_window_is_taken_back() {
    const MEMORY: usize = 200_000;
    let mut pair = Pair::with(|config| {
        config.memory = MEMORY;
        config.socket = buffers(1 << 16, 1 << 20);
    });
    let options = ListenOptions::default().socket(pair.b.config().socket.clone());
    let listener = pair.listen_with(Side::B, 80, options);
    let mut from = Vec::new();
    let mut to = Vec::new();
    for _ in 0..12 {
        from.push(pair.connect(Side::A, 80));
        pair.run_for(ROUND_TRIP * 2);
        to.push(pair.b.accept(listener).unwrap().id);
    }
    let mut edges = vec![0; to.len()];
    for _ in 0..400 {
        for &id in &from {
            let now = pair.now;
            let _ = pair.a.write(now, id, &[1; 10_000]).unwrap();
        }
        pair.flush();
        pair.run_for(ROUND_TRIP);
        for (edge, &id) in edges.iter_mut().zip(&to) {
            let info = pair.b.info(id).unwrap();
            let now = info.bytes_received + u64::from(info.rcv_wnd);
            assert!(now >= *edge, "the right edge moved left");
            *edge = now;
        }
    }
    assert!(pair.b.memory_pressure() >= Pressure::Severe);
    let bound = bound(MEMORY, to.len());
    assert!(pair.b.memory_used() < bound, "{}", pair.b.memory_used());

    let held = pair.b.memory_used();
    let read: usize = to.iter().map(|&id| pair.read(Side::B, id).len()).sum();
    // Nearly all memory held is readable data: partly filled tails and the entries of chunks count,
    // too.
    assert!(held <= read + read / 2, "{held} held for {read}");
    pair.run_for(ROUND_TRIP * 100);
    for id in to {
        let now = pair.now;
        pair.b.abort(now, id);
    }
    assert_eq!(
        (pair.b.memory_used(), pair.b.memory_pressure()),
        (0, Pressure::None)
    );
}

#[test]
fn a_writer_that_memory_kept_waiting_goes_on_when_there_is_some() {
    let mut pair = Pair::with(|config| config.memory = 300_000);
    let first = pair.established_with(buffers(1 << 19, 1 << 19));
    let now = pair.now;
    let room = pair.a.write_capacity(first.0);
    assert_eq!(room, 300_000);
    pair.a.write(now, first.0, &vec![1; room]).unwrap();
    assert_eq!(pair.a.memory_pressure(), Pressure::Severe);
    assert!(!pair.a.is_writable(first.0));
    pair.flush();
    for _ in 0..20 {
        pair.run_for(ROUND_TRIP);
        pair.read(Side::B, first.1);
    }
    assert_eq!(pair.a.memory_used(), 0);
    assert!(pair.a.is_writable(first.0));
}

const SENDERS: usize = 24;
const EACH: usize = 200_000;

/// A has written to all its connections; B has accepted them and reads nothing yet.
struct Crowd {
    pair: Pair,
    from: Vec<ConnectionId>,
    to: Vec<ConnectionId>,
    right_edges: Vec<u64>,
    highest: usize,
}

impl Crowd {
    /// Connections whose windows add up to many times B's `memory`. All are advertised before any
    /// data is sent.
    fn new(memory: usize, window: usize) -> Self {
        let mut pair = Pair::with(|config| config.socket = buffers(window, 1 << 20));
        let mut config = pair.b.config().clone();
        config.memory = memory;
        pair.b = millstream_engine::Stack::new(config, [2; 32]);
        let options = ListenOptions::default().socket(pair.b.config().socket.clone());
        let listener = pair.listen_with(Side::B, 80, options);
        let from: Vec<_> = (0..SENDERS).map(|_| pair.connect(Side::A, 80)).collect();
        pair.run_for(ROUND_TRIP * 2);
        let to: Vec<_> = from
            .iter()
            .map(|_| pair.b.accept(listener).unwrap().id)
            .collect();
        Self {
            right_edges: vec![0; to.len()],
            pair,
            from,
            to,
            highest: 0,
        }
    }

    /// The number of A's connection that is connected to B's connection `to`.
    fn number(&self, to: ConnectionId) -> usize {
        let remote = self.pair.b.peer_addr(to);
        let found = self
            .from
            .iter()
            .position(|&from| self.pair.a.local_addr(from) == remote);
        found.unwrap()
    }

    fn write_all(&mut self) {
        for (number, &id) in self.from.iter().enumerate() {
            let data: Vec<u8> = (0..EACH).map(|at| byte(number, at)).collect();
            let now = self.pair.now;
            assert_eq!(self.pair.a.write(now, id, &data), Ok(EACH));
            self.pair.a.shutdown_write(now, id).unwrap();
        }
    }

    /// Lets time pass; after each step B holds no more than it may and shrinks no window.
    fn run_for(&mut self, memory: usize, time: Duration) {
        let until = self.pair.now + time;
        while self.pair.step(until) {
            let used = self.pair.b.memory_used();
            assert!(used <= bound(memory, self.to.len()), "{used} bytes");
            self.highest = self.highest.max(used);
            for (edge, &id) in self.right_edges.iter_mut().zip(&self.to) {
                let Some(info) = self.pair.b.info(id) else {
                    continue;
                };
                let now = info.bytes_received + u64::from(info.rcv_wnd);
                let ended = info.state != State::Established;
                assert!(ended || now >= *edge, "the right edge moved left");
                *edge = now;
            }
        }
    }

    /// Reads all available data repeatedly, until every stream is complete.
    fn read_all(&mut self, memory: usize) {
        let mut received = vec![Vec::new(); self.to.len()];
        for _ in 0..10_000 {
            for (data, &id) in received.iter_mut().zip(&self.to) {
                data.extend(self.pair.read(Side::B, id));
            }
            if received.iter().all(|data| data.len() == EACH) {
                break;
            }
            self.run_for(memory, ROUND_TRIP);
        }
        for (data, &id) in received.iter().zip(&self.to) {
            let number = self.number(id);
            let wrong = data.iter().zip(0..).find(|&(&b, at)| b != byte(number, at));
            assert_eq!((data.len(), wrong), (EACH, None));
        }
        assert_eq!(self.pair.b.memory_used(), 0);
    }
}

/// In order: data that exceeds the budget by more than a quarter is neither accepted nor
/// acknowledged.
#[test]
fn peers_that_fill_all_windows_they_were_offered_do_not_exceed_the_bound() {
    const MEMORY: usize = 300_000;
    let mut crowd = Crowd::new(MEMORY, 1 << 17);
    crowd.write_all();
    crowd.run_for(MEMORY, 10 * SECOND);
    assert!(crowd.highest > MEMORY + MEMORY / 4, "{}", crowd.highest);
    assert_eq!(crowd.pair.b.memory_pressure(), Pressure::Critical);
    assert!(crowd.pair.b.counters().dropped(DropReason::OutOfMemory) > 0);
    crowd.read_all(MEMORY);
}

/// The first segment of each connection is lost: all others are out of order until it is
/// retransmitted.
#[test]
fn peers_that_fill_all_windows_out_of_order_do_not_exceed_the_bound() {
    const MEMORY: usize = 300_000;
    let mut crowd = Crowd::new(MEMORY, 1 << 17);
    let mut ports = HashSet::new();
    crowd.pair.judge(move |from, packet, _| {
        let first = from == Side::A && packet.len() > 1000 && ports.insert(packet[20..22].to_vec());
        if first { Fate::Drop } else { Fate::Deliver }
    });
    crowd.write_all();
    crowd.run_for(MEMORY, 10 * SECOND);
    assert!(crowd.highest > MEMORY, "{}", crowd.highest);
    assert!(crowd.pair.b.counters().dropped(DropReason::OutOfMemory) > 0);
    crowd.read_all(MEMORY);
}

/// Random gaps, filled in random order.
#[test]
fn peers_behind_a_lossy_reordering_link_do_not_exceed_the_bound() {
    const MEMORY: usize = 300_000;
    let mut crowd = Crowd::new(MEMORY, 1 << 17);
    crowd.pair.judge(|_, _, number| match number * 7919 % 100 {
        0..10 => Fate::Drop,
        10..40 => Fate::Delay(Duration::from_millis(number as u64 % 13)),
        _ => Fate::Deliver,
    });
    crowd.write_all();
    crowd.run_for(MEMORY, 10 * SECOND);
    crowd.read_all(MEMORY);
}

/// A write accepts no more than the remaining memory, or slightly more.
#[test]
fn a_writer_does_not_exceed_the_bound() {
    const MEMORY: usize = 300_000;
    let mut pair = Pair::with(|config| config.memory = MEMORY);
    let options = buffers(1 << 16, 1 << 20);
    pair.listen(Side::B, 80);
    let ids = [(); 4].map(|()| pair.connect_with(Side::A, 80, options.clone()));
    pair.run_for(ROUND_TRIP * 2);
    let now = pair.now;
    let data = vec![1; 1 << 20];
    let first = pair.a.write_capacity(ids[0]);
    assert_eq!(first, MEMORY);
    assert_eq!(pair.a.write(now, ids[0], &data), Ok(first));
    for &id in &ids[1..] {
        assert_eq!(pair.a.write_capacity(id), FLOOR);
        let mut bytes = data.clone().into();
        assert_eq!(pair.a.write_bytes(now, id, &mut bytes), Ok(FLOOR));
        assert_eq!(bytes.len(), data.len() - FLOOR);
        assert_eq!(pair.a.write(now, id, &data), Ok(0));
    }
    // In addition to the bytes, the entries of their chunks.
    let used = pair.a.memory_used() - (MEMORY + 3 * FLOOR);
    assert!(used < MEMORY / 20, "{used}");
}

/// With buffers of zero bytes nothing could be sent or received: they are as small as Linux's
/// smallest.
#[test]
fn buffers_set_to_nothing_have_a_least_size() {
    for set_later in [false, true] {
        let mut pair = Pair::new();
        let options = if set_later {
            buffers(1 << 16, 1 << 16)
        } else {
            buffers(0, 0)
        };
        let (from, to) = pair.established_with(options);
        if set_later {
            let now = pair.now;
            for (stack, id) in [(&mut pair.a, from), (&mut pair.b, to)] {
                let set = stack.set_options(now, id, |options| {
                    options.fix_receive_buffer(0);
                    options.fix_send_buffer(0);
                });
                assert!(set.is_ok());
            }
        }
        assert_eq!(pair.a.write_capacity(from), 4_608);
        let mut received = 0;
        for _ in 0..1_000 {
            let now = pair.now;
            let _ = pair.a.write(now, from, &[1; 10_000]).unwrap();
            pair.flush();
            pair.run_for(ROUND_TRIP);
            received += pair.read(Side::B, to).len();
            pair.flush();
        }
        assert!(received > 1_000_000, "{received} bytes in 20 s");
    }
}

/// Dropped data, like accepted data, notifies a reader with a mark (`SO_RCVLOWAT`) that it has to
/// read.
#[test]
fn a_reader_with_a_mark_is_told_when_memory_has_run_out() {
    const MEMORY: usize = 200_000;
    let mut pair = Pair::with(|config| config.memory = MEMORY);
    let accept = |pair: &mut Pair, port, mark| {
        let options =
            ListenOptions::default().socket(buffers(1 << 16, 1 << 20).receive_low_water(mark));
        let listener = pair.listen_with(Side::B, port, options);
        let from = pair.connect(Side::A, port);
        pair.run_for(ROUND_TRIP * 2);
        (from, pair.b.accept(listener).unwrap().id)
    };
    let waits = accept(&mut pair, 80, 1 << 16);
    let others = [81, 82, 83, 84].map(|port| accept(&mut pair, port, 1));
    pair.write(Side::A, waits.0, &[1; 20_000]);
    pair.run_for(ROUND_TRIP * 5);
    assert!(!pair.b.is_readable(waits.1));
    while pair.b.memory_pressure() < Pressure::Critical {
        for (from, _) in others {
            let now = pair.now;
            let _ = pair.a.write(now, from, &[1; 10_000]).unwrap();
        }
        pair.flush();
        pair.run_for(ROUND_TRIP);
    }
    pair.events.clear();
    pair.write(Side::A, waits.0, &[1; 1_000]);
    pair.run_for(ROUND_TRIP);
    let told = Event::Connection(waits.1, Readiness::READABLE);
    assert!(pair.events.contains(&(Side::B, told)), "{:?}", pair.events);
}

//! Two stacks on virtual time with a seeded link between them.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod wire;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use millstream_engine::{
    Accepted, Cidr, Config, ConnectionId, Event, Instant, ListenOptions, ListenerId, Read,
    RxChecksum, SocketOptions, Stack, State, Transition, Transmit,
};
use millstream_testbed::packet;
use millstream_wire::pretty::Trace;
use millstream_wire::tcp::Header;

/// One of the two stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    A,
    B,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// The effect of the link on a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Deliver,
    Drop,
    Duplicate,
    /// Arrives later by this time, possibly after its successors.
    Delay(Duration),
    /// Arrives with one bit inverted, whose number is counted modulo the packet's length.
    Corrupt(usize),
}

type Judge = Box<dyn FnMut(Side, &[u8], usize) -> Fate>;

/// A packet seen on the link.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) from: Side,
    pub(crate) bytes: Bytes,
    pub(crate) dropped: bool,
}

pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) a: Stack,
    pub(crate) b: Stack,
    pub(crate) latency: Duration,
    /// Whether the devices vouch for checksums, as offloading devices do.
    pub(crate) trust_checksums: bool,
    pub(crate) seen: Vec<Seen>,
    pub(crate) transitions: Arc<Mutex<Vec<(Side, Transition)>>>,
    pub(crate) events: Vec<(Side, Event)>,
    judge: Judge,
    in_flight: BTreeMap<(Instant, usize), (Side, Bytes)>,
    counter: usize,
}

pub(crate) const ADDR_A: [u8; 4] = [10, 0, 0, 1];
pub(crate) const ADDR_B: [u8; 4] = [10, 0, 0, 2];

pub(crate) fn config(address: [u8; 4]) -> Config {
    Config::default().addresses(vec![
        Cidr::new(address.into(), 24),
        Cidr::new(format!("fd00::{}", address[3]).parse().unwrap(), 64),
    ])
}

/// A whole packet from `src` to `dst`, in the family of the two addresses; the ports are the
/// header's.
pub(crate) fn packet(src: IpAddr, dst: IpAddr, header: &Header, payload: &[u8]) -> Bytes {
    packet::tcp(src, dst, header, payload).into()
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl Fn(&mut Config)) -> Self {
        let transitions = Arc::new(Mutex::new(Vec::new()));
        let make = |side, address, seed| {
            let mut config = config(address);
            change(&mut config);
            let mut stack = Stack::new(config, [seed; 32]);
            let log = Arc::clone(&transitions);
            stack.set_observer(Some(Box::new(move |t: &Transition| {
                log.lock().unwrap().push((side, *t));
            })));
            stack
        };
        Self {
            now: Instant::from_millis(1000),
            a: make(Side::A, ADDR_A, 1),
            b: make(Side::B, ADDR_B, 2),
            latency: Duration::from_millis(10),
            trust_checksums: false,
            seen: Vec::new(),
            transitions,
            events: Vec::new(),
            judge: Box::new(|_, _, _| Fate::Deliver),
            in_flight: BTreeMap::new(),
            counter: 0,
        }
    }

    /// Decides about each packet: its sender, its bytes, and the number of packets before it.
    pub(crate) fn judge(&mut self, judge: impl FnMut(Side, &[u8], usize) -> Fate + 'static) {
        self.judge = Box::new(judge);
    }

    pub(crate) fn stack(&mut self, side: Side) -> &mut Stack {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }

    /// Puts the packets of both stacks on the link.
    pub(crate) fn flush(&mut self) {
        for side in [Side::A, Side::B] {
            let mut out = Transmit::new();
            let now = self.now;
            while self.stack(side).poll_transmit(now, &mut out) {
                let mut bytes = Vec::new();
                out.write_to(&mut bytes);
                self.put(side, bytes.into());
            }
            while let Some(event) = self.stack(side).poll_event() {
                self.events.push((side, event));
            }
        }
    }

    /// Puts a packet on the link as if `from` had sent it.
    pub(crate) fn put(&mut self, from: Side, bytes: Bytes) {
        let fate = (self.judge)(from, &bytes, self.counter);
        self.seen.push(Seen {
            at: self.now,
            from,
            bytes: bytes.clone(),
            dropped: fate == Fate::Drop,
        });
        let arrival = self.now + self.latency;
        match fate {
            Fate::Drop => self.counter += 1,
            Fate::Deliver => self.enqueue(arrival, from.other(), bytes),
            Fate::Duplicate => {
                self.enqueue(arrival, from.other(), bytes.clone());
                self.enqueue(arrival, from.other(), bytes);
            }
            Fate::Delay(extra) => self.enqueue(arrival + extra, from.other(), bytes),
            Fate::Corrupt(bit) => {
                let mut bytes = bytes.to_vec();
                let bit = bit % (8 * bytes.len());
                bytes[bit / 8] ^= 1 << (bit % 8);
                self.enqueue(arrival, from.other(), bytes.into());
            }
        }
    }

    fn enqueue(&mut self, at: Instant, to: Side, bytes: Bytes) {
        self.in_flight.insert((at, self.counter), (to, bytes));
        self.counter += 1;
    }

    /// The time of the next event.
    pub(crate) fn next(&self) -> Option<Instant> {
        let packet = self.in_flight.keys().next().map(|key| key.0);
        [packet, self.a.poll_timeout(), self.b.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Advances to the next event, if it is not after `until`.
    pub(crate) fn step(&mut self, until: Instant) -> bool {
        self.flush();
        let Some(next) = self.next().filter(|&next| next <= until) else {
            self.now = self.now.max(until);
            return false;
        };
        self.now = self.now.max(next);
        let now = self.now;
        while let Some(entry) = self.in_flight.first_entry().filter(|e| e.key().0 <= now) {
            let (to, bytes) = entry.remove();
            let checksum = if self.trust_checksums {
                RxChecksum::Trusted
            } else {
                RxChecksum::Unverified
            };
            self.stack(to).handle_packet(now, bytes, checksum);
        }
        self.a.handle_timeout(now);
        self.b.handle_timeout(now);
        self.flush();
        true
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.step(until) {}
    }

    /// Runs until `done`; panics with the trace if that takes longer than `limit` of virtual time.
    pub(crate) fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) {
        let until = self.now + limit;
        self.flush();
        while !done(self) {
            assert!(
                self.step(until),
                "not done after {limit:?}:\n{}",
                self.trace()
            );
        }
    }

    pub(crate) fn addr(side: Side, port: u16) -> SocketAddr {
        let ip = if side == Side::A { ADDR_A } else { ADDR_B };
        (IpAddr::from(ip), port).into()
    }

    pub(crate) fn listen(&mut self, side: Side, port: u16) -> ListenerId {
        self.listen_with(side, port, ListenOptions::default())
    }

    pub(crate) fn listen_with(
        &mut self,
        side: Side,
        port: u16,
        options: ListenOptions,
    ) -> ListenerId {
        let stack = self.stack(side);
        let binding = stack.bind(Self::addr(side, port), true).unwrap();
        stack.listen(binding, options).unwrap()
    }

    /// Connects `from` to the other side's `port` from an ephemeral port.
    pub(crate) fn connect(&mut self, from: Side, port: u16) -> ConnectionId {
        self.connect_with(from, port, SocketOptions::default())
    }

    pub(crate) fn connect_with(
        &mut self,
        from: Side,
        port: u16,
        options: SocketOptions,
    ) -> ConnectionId {
        let now = self.now;
        self.stack(from)
            .connect(now, None, Self::addr(from.other(), port), options)
            .unwrap()
    }

    /// A connection from A to a listener on B, both ends.
    pub(crate) fn established(&mut self) -> (ConnectionId, ConnectionId) {
        self.established_with(SocketOptions::default())
    }

    pub(crate) fn established_with(
        &mut self,
        options: SocketOptions,
    ) -> (ConnectionId, ConnectionId) {
        let listen = ListenOptions::default().socket(options.clone());
        let listener = self.listen_with(Side::B, 80, listen);
        let a = self.connect_with(Side::A, 80, options);
        let mut accepted: Option<Accepted> = None;
        // As long as SYNs and SYN-ACKs are retransmitted on a bad link.
        self.run_until(Duration::from_secs(60), |pair| {
            accepted = accepted.or_else(|| pair.b.accept(listener));
            accepted.is_some() && pair.a.finish_connect(a) == Ok(true)
        });
        (a, accepted.unwrap().id)
    }

    /// Writes all of `data`; the send buffer must have room.
    pub(crate) fn write(&mut self, side: Side, id: ConnectionId, data: &[u8]) {
        let now = self.now;
        assert_eq!(self.stack(side).write(now, id, data), Ok(data.len()));
        self.flush();
    }

    /// Reads all available data.
    pub(crate) fn read(&mut self, side: Side, id: ConnectionId) -> Vec<u8> {
        let now = self.now;
        let mut chunks: Vec<Bytes> = Vec::new();
        let _ = self
            .stack(side)
            .read(now, id, usize::MAX, &mut chunks)
            .unwrap();
        self.flush();
        chunks.concat()
    }

    /// The result of a read that only queries the state.
    pub(crate) fn read_status(
        &mut self,
        side: Side,
        id: ConnectionId,
    ) -> Result<Read, millstream_engine::ConnectionError> {
        let now = self.now;
        self.stack(side)
            .read(now, id, usize::MAX, &mut Vec::<Bytes>::new())
    }

    /// The states of `side` since the beginning.
    pub(crate) fn states(&self, side: Side) -> Vec<State> {
        let log = self.transitions.lock().unwrap();
        log.iter()
            .filter(|(s, _)| *s == side)
            .map(|(_, t)| t.to)
            .collect()
    }

    /// All packets so far, in tcpdump's format.
    pub(crate) fn trace(&self) -> String {
        let mut trace = Trace::new();
        let mut text = String::new();
        for seen in &self.seen {
            let mark = if seen.dropped { " (dropped)" } else { "" };
            let line = trace.line(&seen.bytes);
            text += &format!("{:?} {line}{mark}\n", seen.at);
        }
        text
    }
}

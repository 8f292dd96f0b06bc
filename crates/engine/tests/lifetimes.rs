//! Crowds of peers that take places and memory and contribute nothing: they cost little, end in
//! time, and harm no other peer.

mod support;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::Bytes;
use millstream_engine::{
    Cidr, Config, ConnectionError, ConnectionId, Instant, ListenOptions, ListenerId, Pressure,
    RxChecksum, SocketOptions, Stack, Transmit,
};
use millstream_wire::tcp::{Flags, Header, Options, View};
use millstream_wire::{SeqNum, ip};
use support::packet;

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const PORT: u16 = 80;

/// The state of a client that the crowd keeps.
#[derive(Clone, Copy, Debug)]
struct Client {
    /// Determines the client's address and port.
    number: u32,
    id: ConnectionId,
    /// The client's acknowledgment number.
    ack: SeqNum,
    /// Whether the server has reset it.
    reset: bool,
}

/// One serving stack, and any number of clients, whose packets are made by hand.
struct Crowd {
    now: Instant,
    stack: Stack,
    listener: ListenerId,
    /// The packets that the server has sent since the last call: the client's number, the sequence
    /// number after the packet, and the packet's flags.
    sent: Vec<(u32, SeqNum, Flags)>,
}

/// The next sequence number of every client after its SYN.
const FIRST: SeqNum = SeqNum::new(1001);

impl Crowd {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default().addresses(vec![Cidr::new(SERVER, 8)]);
        change(&mut config);
        let mut stack = Stack::new(config, [3; 32]);
        let binding = stack.bind((SERVER, PORT).into(), false).unwrap();
        let options = ListenOptions::default().socket(SocketOptions::default().timestamps(false));
        let listener = stack.listen(binding, options).unwrap();
        Self {
            now: Instant::from_millis(1000),
            stack,
            listener,
            sent: Vec::new(),
        }
    }

    fn end_of(number: u32) -> (IpAddr, u16) {
        let address = Ipv4Addr::from(0x0a01_0000 + number / 1000);
        (address.into(), 1024 + (number % 1000) as u16)
    }

    fn number_of(address: IpAddr, port: u16) -> u32 {
        let IpAddr::V4(address) = address else {
            panic!("{address}");
        };
        (address.to_bits() - 0x0a01_0000) * 1000 + u32::from(port) - 1024
    }

    fn inject(&mut self, number: u32, flags: Flags, seq: SeqNum, ack: SeqNum, window: u16) {
        let (address, port) = Self::end_of(number);
        let header = Header {
            src_port: port,
            dst_port: PORT,
            seq,
            ack,
            flags,
            window,
            urgent: 0,
            options: Options::default(),
        };
        let bytes = packet(address, SERVER, &header, &[]);
        self.stack
            .handle_packet(self.now, bytes, RxChecksum::Trusted);
        self.collect();
    }

    fn collect(&mut self) {
        let mut out = Transmit::new();
        let mut bytes = Vec::new();
        while self.stack.poll_transmit(self.now, &mut out) {
            bytes.clear();
            out.write_to(&mut bytes);
            let packet = ip::Packet::parse(&bytes).unwrap();
            let view = View::parse(packet.payload()).unwrap();
            let flags = view.flags();
            let length = view.payload().len() as u32
                + u32::from(flags.intersects(Flags::SYN))
                + u32::from(flags.intersects(Flags::FIN));
            let number = Self::number_of(packet.dst(), view.dst_port());
            self.sent.push((number, view.seq() + length, flags));
        }
        while self.stack.poll_event().is_some() {}
    }

    /// A connection from a new client with the given window.
    fn connect(&mut self, number: u32, window: u16) -> Client {
        let zero = SeqNum::new(0);
        self.inject(number, Flags::SYN, FIRST + u32::MAX, zero, window);
        let (_, ack, _) = self.sent.pop().expect("a SYN-ACK");
        self.inject(number, Flags::ACK, FIRST, ack, window);
        let accepted = self.stack.accept(self.listener).expect("a connection");
        Client {
            number,
            id: accepted.id,
            ack,
            reset: false,
        }
    }

    /// The client acknowledges everything that was sent to it.
    fn acknowledge(&mut self, client: &mut Client, window: u16) {
        for (number, end, flags) in std::mem::take(&mut self.sent) {
            if number != client.number {
                continue;
            }
            client.reset |= flags.contains(Flags::RST);
            if client.ack.lt(end) {
                client.ack = end;
            }
        }
        if !client.reset {
            self.inject(client.number, Flags::ACK, FIRST, client.ack, window);
        }
    }

    fn write(&mut self, client: &Client, bytes: usize) -> usize {
        let data = vec![b'x'; bytes];
        let written = self.stack.write(self.now, client.id, &data);
        self.collect();
        written.unwrap()
    }

    fn close(&mut self, client: &Client) {
        self.stack.close(self.now, client.id);
        self.collect();
    }

    /// Lets time pass. If `answer` is set, probed clients answer that their window is closed.
    fn wait(&mut self, time: Duration, acks: &[Client], answer: bool) {
        let until = self.now + time;
        self.sent.clear();
        while let Some(next) = self.stack.poll_timeout().filter(|&next| next <= until) {
            self.now = self.now.max(next);
            self.stack.handle_timeout(self.now);
            self.collect();
            for (number, _, flags) in std::mem::take(&mut self.sent) {
                if answer && !flags.contains(Flags::RST) {
                    let ack = acks[number as usize].ack;
                    self.inject(number, Flags::ACK, FIRST, ack, 0);
                }
            }
        }
        self.now = until;
    }

    /// Sends `bytes` to a client, and the connection ends in good order.
    fn serve(&mut self, number: u32, bytes: usize) {
        let mut client = self.connect(number, 60_000);
        self.sent.clear();
        let first = client.ack;
        assert_eq!(self.write(&client, bytes), bytes);
        self.close(&client);
        while client.ack != first + bytes as u32 + 1 {
            let before = client.ack;
            self.acknowledge(&mut client, 60_000);
            assert!(!client.reset, "an honest client is reset");
            assert!(client.ack != before || !self.sent.is_empty(), "no progress");
        }
        self.inject(number, Flags::FIN | Flags::ACK, FIRST, client.ack, 60_000);
    }
}

/// The strangers' connections are closed by the application while their windows stay closed: the
/// oldest of them yield.
#[test]
fn honest_closers_deliver_though_strangers_hold_all_places() {
    let mut crowd = Crowd::new(|config| config.max_orphans = 1000);
    let mut clients = Vec::new();
    for number in 0..3000 {
        let client = crowd.connect(number, 0);
        assert_eq!(crowd.write(&client, 1000), 1000);
        crowd.close(&client);
        clients.push(client);
        if number % 100 == 99 {
            crowd.serve(1_000_000 + number, 5000);
        }
    }
    // The last client that was served has released its place.
    assert_eq!(crowd.stack.orphan_count(), 999);
    assert_eq!(crowd.stack.counters().resets_sent, 3000 - 999);
    // The peers that hold the places answer every probe, and lose the places all the same (Linux:
    // when the interval between probes is the longest).
    crowd.wait(Duration::from_secs(600), &clients, true);
    assert_eq!(crowd.stack.orphan_count(), 0);
    assert_eq!(crowd.stack.connection_count(), 0);
    assert_eq!(crowd.stack.memory_used(), 0);
}

/// A peer that takes nothing does not evict one that does.
#[test]
fn a_peer_that_takes_nothing_does_not_evict_one_that_does() {
    let mut crowd = Crowd::new(|config| config.max_orphans = 2);
    let mut honest = [0, 1].map(|number| crowd.connect(number, 500));
    for client in &honest {
        assert_eq!(crowd.write(client, 1000), 1000);
        crowd.close(client);
    }
    let stranger = crowd.connect(2, 0);
    assert_eq!(crowd.write(&stranger, 1000), 1000);
    crowd.sent.clear();
    crowd.close(&stranger);
    assert!(matches!(crowd.sent[..], [(2, _, flags)] if flags.contains(Flags::RST)));
    assert_eq!(crowd.stack.orphan_count(), 2);
    for client in &mut honest {
        crowd.stack.handle_timeout(crowd.now);
        client.ack += 500;
        crowd.acknowledge(client, 60_000);
        assert!(!client.reset);
    }
}

/// The peers have acknowledged our FIN, and stay.
#[test]
fn fin_wait_2_without_an_application_is_a_record() {
    const PEERS: u32 = 20_000;
    let mut crowd = Crowd::new(|config| config.max_orphans = 100);
    for number in 0..PEERS {
        let mut client = crowd.connect(number, 60_000);
        crowd.close(&client);
        crowd.acknowledge(&mut client, 60_000);
    }
    crowd.serve(1_000_000, 5000);
    let stack = &crowd.stack;
    assert_eq!(stack.orphan_count(), 0);
    assert_eq!(stack.connection_count(), PEERS as usize);
    assert_eq!(stack.time_wait_count(), 1);
    assert_eq!(stack.counters().resets_sent, 0);
    // All end at once, a bounded number per turn, and packets are processed in between.
    crowd.now += Duration::from_secs(60);
    let mut turns = 0;
    while crowd
        .stack
        .poll_timeout()
        .is_some_and(|due| due <= crowd.now)
    {
        let before = crowd.stack.connection_count() + crowd.stack.time_wait_count();
        crowd.stack.handle_timeout(crowd.now);
        let after = crowd.stack.connection_count() + crowd.stack.time_wait_count();
        assert!((1..=1024).contains(&(before - after)), "{before} {after}");
        turns += 1;
    }
    assert_eq!(turns, PEERS.div_ceil(1024));
    assert_eq!(crowd.stack.connection_count(), 0);
}

/// Timers of connections that are due together.
#[test]
fn timers_that_are_due_together_are_worked_off_in_turns() {
    const PEERS: u32 = 5000;
    let mut crowd = Crowd::new(|_| {});
    for number in 0..PEERS {
        let client = crowd.connect(number, 60_000);
        assert_eq!(crowd.write(&client, 10), 10);
    }
    crowd.now += Duration::from_secs(1000);
    let mut turns = 0;
    while crowd
        .stack
        .poll_timeout()
        .is_some_and(|due| due <= crowd.now)
    {
        crowd.sent.clear();
        crowd.stack.handle_timeout(crowd.now);
        crowd.collect();
        assert!(crowd.sent.len() <= 1024, "{}", crowd.sent.len());
        turns += 1;
        assert!(turns < 1000, "no end");
    }
    assert!(turns >= PEERS / 1024, "{turns}");
}

/// The maximum is written for peers whose windows stay closed. A connection that makes progress has
/// the memory that it needs; when memory is used up, stalled connections yield.
#[test]
fn a_connection_that_moves_keeps_its_memory() {
    const BUDGET: usize = 8 << 20;
    let mut crowd = Crowd::new(|config| config.memory = BUDGET);
    let clients: Vec<_> = (0..110).map(|number| crowd.connect(number, 0)).collect();
    let mut honest = crowd.connect(1_000_000, 60_000);
    for round in 0..20 {
        for client in &clients {
            crowd.write(client, 64 << 10);
        }
        crowd.sent.clear();
        let written = crowd.write(&honest, 256 << 10);
        assert_eq!(written, 256 << 10, "in round {round}");
        while !crowd.stack.is_flushed(honest.id) {
            crowd.acknowledge(&mut honest, 60_000);
            assert!(!honest.reset);
        }
    }
    assert!(crowd.stack.memory_used() >= BUDGET / 2);
    crowd.wait(Duration::from_secs(3), &clients, true);
    let yielded = crowd.stack.counters().connections_yielded;
    assert_eq!(yielded, 0, "there is enough for all that moves");

    let movers: Vec<_> = (2_000_000..2_000_003)
        .map(|number| crowd.connect(number, 60_000))
        .collect();
    for client in &movers {
        crowd.write(client, 1 << 20);
    }
    let yielded = crowd.stack.counters().connections_yielded;
    assert!((10..100).contains(&yielded), "{yielded}");
    assert!(crowd.stack.memory_pressure() < Pressure::Severe);
    let mut failed = 0;
    for client in &clients {
        if let Some(error) = crowd.stack.take_error(client.id) {
            assert_eq!(error, ConnectionError::TimedOut);
            failed += 1;
        }
    }
    assert_eq!(failed, yielded);
    for client in movers.iter().chain([&honest]) {
        assert_eq!(crowd.stack.take_error(client.id), None);
    }
}

/// The peer's FIN, data, resets and probes, to a record in FIN-WAIT-2.
#[test]
fn a_record_in_fin_wait_2_answers_as_the_connection_would() {
    let closed = |crowd: &mut Crowd, number| {
        let mut client = crowd.connect(number, 60_000);
        crowd.close(&client);
        crowd.acknowledge(&mut client, 60_000);
        assert_eq!(crowd.sent, []);
        client
    };
    let mut crowd = Crowd::new(|_| {});
    let crowd = &mut crowd;
    let answer = |crowd: &mut Crowd| {
        let sent = std::mem::take(&mut crowd.sent);
        sent.iter().map(|(_, _, flags)| *flags).collect::<Vec<_>>()
    };
    let fin_ack = Flags::FIN | Flags::ACK;

    let late = closed(crowd, 1);
    crowd.inject(1, fin_ack, FIRST, late.ack, 60_000);
    assert_eq!(answer(crowd), [Flags::ACK]);
    assert_eq!(crowd.stack.time_wait_count(), 1);
    assert_eq!(crowd.stack.connection_count(), 0);

    // A keepalive probe, and another within half a second.
    let probed = closed(crowd, 2);
    crowd.inject(2, Flags::ACK, FIRST + u32::MAX, probed.ack, 60_000);
    crowd.inject(2, Flags::ACK, FIRST + u32::MAX, probed.ack, 60_000);
    assert_eq!(answer(crowd), [Flags::ACK]);
    // A repeated acknowledgment needs no answer.
    crowd.inject(2, Flags::ACK, FIRST, probed.ack, 60_000);
    assert_eq!(answer(crowd), []);
    // Only an exact reset is accepted (RFC 5961 3).
    crowd.now += Duration::from_secs(1);
    crowd.inject(2, Flags::RST, FIRST + 1, probed.ack, 0);
    assert_eq!(answer(crowd), [Flags::ACK]);
    assert_eq!(crowd.stack.connection_count(), 1);
    crowd.inject(2, Flags::RST, FIRST, probed.ack, 0);
    assert_eq!(crowd.stack.connection_count(), 0);

    let talks = closed(crowd, 3);
    let (address, port) = Crowd::end_of(3);
    let header = Header {
        src_port: port,
        dst_port: PORT,
        seq: FIRST,
        ack: talks.ack,
        flags: Flags::ACK | Flags::PSH,
        window: 60_000,
        urgent: 0,
        options: Options::default(),
    };
    let bytes: Bytes = packet(address, SERVER, &header, b"to nobody");
    let now = crowd.now;
    crowd.stack.handle_packet(now, bytes, RxChecksum::Trusted);
    crowd.collect();
    assert_eq!(answer(crowd), [Flags::RST]);
    assert_eq!(crowd.stack.connection_count(), 0);
}

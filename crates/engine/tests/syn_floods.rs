//! A hundred honest clients during a SYN flood against a listener: the number that is served.

mod support;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use millstream_engine::{
    Admission, AttemptId, ConnectionId, Event, Instant, ListenOptions, ListenerId, RxChecksum,
    Stack, SynCookies, Transmit,
};
use millstream_wire::tcp::{Flags, Header, Options};
use millstream_wire::{SeqNum, ip, tcp};
use support::{ADDR_A, config, packet};

/// A network that no attacker forges, unless a test states it.
const HONEST: [u8; 3] = [203, 0, 113];
const HONEST_CLIENTS: u8 = 100;
/// The latency in one direction.
const LATENCY: Duration = Duration::from_millis(25);

/// The attacker's behaviour.
struct Flood {
    per_second: u64,
    /// The source of the n-th SYN.
    source: fn(u32) -> Ipv4Addr,
    /// The time after its SYN at which the attacker resets its half-open connection itself, if it
    /// does.
    resets_after: Option<Duration>,
}

/// Any address.
fn forged(n: u32) -> Ipv4Addr {
    let [a, b, c, d] = n.wrapping_mul(2_654_435_761).to_be_bytes();
    [20 + a % 100, b, c, d].into()
}

fn of_one_network(n: u32) -> Ipv4Addr {
    [198, 51, 100, 1 + (n % 250) as u8].into()
}

/// Addresses in the clients' own network.
fn of_their_network(n: u32) -> Ipv4Addr {
    [HONEST[0], HONEST[1], HONEST[2], 101 + (n % 100) as u8].into()
}

fn flood(per_second: u64, source: fn(u32) -> Ipv4Addr) -> Flood {
    Flood {
        per_second,
        source,
        resets_after: None,
    }
}

/// The application's behaviour.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Server {
    /// Accepts connections to its port.
    Accepts,
    /// Admits every attempt at once.
    Admits,
    /// Admits known clients after the given time, and never decides on strangers.
    Knows(Duration),
}

/// An honest client: it sends a SYN until it is answered, then a byte until it is acknowledged.
#[derive(Debug, Default)]
struct Client {
    /// The client's acknowledgment number, once it is connected.
    ack: Option<SeqNum>,
    tries: u32,
    done: bool,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happens {
    /// A packet arrives at the server.
    Arrival(Bytes),
    /// A packet arrives at the client with this number.
    Answer(u8, Bytes),
    /// A client's timer for its n-th try.
    Timer(u8, u32),
    /// The application decides.
    Decision(AttemptId),
    /// The next SYN of the flood.
    Flood(u32),
}

struct Net {
    now: Instant,
    stack: Stack,
    listener: ListenerId,
    server: Server,
    flood: Flood,
    to: SocketAddr,
    clients: HashMap<u8, Client>,
    agenda: BTreeMap<(Instant, u64), Happens>,
    counter: u64,
    /// Attempts whose outcome must be queried.
    over: Vec<AttemptId>,
    accepted: Vec<(ConnectionId, SocketAddr)>,
    served: Vec<SocketAddr>,
    most_half_open: usize,
}

impl Net {
    fn new(server: Server, syn_cookies: SynCookies, backlog: usize, flood: Flood) -> Self {
        let config = config(ADDR_A).syn_cookies(syn_cookies);
        let mut stack = Stack::new(config, [5; 32]);
        let options = ListenOptions::default().backlog(backlog);
        let (listener, to): (_, SocketAddr) = if server == Server::Accepts {
            let addr = (ADDR_A, 80).into();
            let binding = stack.bind(addr, true).unwrap();
            (stack.listen(binding, options).unwrap(), addr)
        } else {
            let listener = stack.listen_any(options).unwrap();
            (listener, ([192, 0, 2, 7], 443).into())
        };
        Self {
            now: Instant::from_millis(10_000),
            stack,
            listener,
            server,
            flood,
            to,
            clients: HashMap::new(),
            agenda: BTreeMap::new(),
            counter: 0,
            over: Vec::new(),
            accepted: Vec::new(),
            served: Vec::new(),
            most_half_open: 0,
        }
    }

    /// The number of served clients, of those that come at ten a second from the fifteenth second
    /// on.
    fn served(mut self) -> usize {
        let start = self.now;
        self.at(start, Happens::Flood(0));
        for number in 0..HONEST_CLIENTS {
            let begin =
                start + Duration::from_secs(15) + Duration::from_millis(100) * number.into();
            self.at(begin, Happens::Timer(number, 0));
        }
        let end = start + Duration::from_secs(40);
        loop {
            let next = self.agenda.keys().next().map(|key| key.0);
            let timer = self.stack.poll_timeout();
            let Some(next) = [next, timer].into_iter().flatten().min() else {
                break;
            };
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            self.stack.handle_timeout(self.now);
            while let Some(entry) = self.agenda.first_entry().filter(|e| e.key().0 <= self.now) {
                let happens = entry.remove();
                self.happen(happens);
            }
            self.collect();
            self.serve();
            self.collect();
        }
        // The state kept for clients is bounded by the backlog, whatever arrives.
        assert!(self.most_half_open <= 1024, "{}", self.most_half_open);
        self.served.len()
    }

    fn at(&mut self, at: Instant, happens: Happens) {
        self.counter += 1;
        self.agenda.insert((at, self.counter), happens);
    }

    fn happen(&mut self, happens: Happens) {
        match happens {
            Happens::Arrival(packet) => {
                let checksum = RxChecksum::Trusted;
                self.stack.handle_packet(self.now, packet, checksum);
            }
            Happens::Answer(number, packet) => self.on_answer(number, &packet),
            Happens::Timer(number, tries) => self.on_timer(number, tries),
            Happens::Decision(id) => {
                self.stack.admit(self.now, id);
                // The client may be connected already.
                self.over.push(id);
            }
            Happens::Flood(n) => self.on_flood(n),
        }
    }

    fn on_flood(&mut self, n: u32) {
        let source = SocketAddr::from(((self.flood.source)(n), 1024 + (n / 250 % 60_000) as u16));
        let syn = segment(source, self.to, Flags::SYN, 7, None, &[]);
        self.happen(Happens::Arrival(syn));
        if let Some(after) = self.flood.resets_after {
            let reset = segment(source, self.to, Flags::RST, 8, None, &[]);
            self.at(self.now + after, Happens::Arrival(reset));
        }
        let interval = Duration::from_nanos(1_000_000_000 / self.flood.per_second);
        self.at(self.now + interval, Happens::Flood(n + 1));
    }

    fn on_timer(&mut self, number: u8, tries: u32) {
        let client = self.clients.entry(number).or_default();
        if client.done || client.tries != tries {
            return;
        }
        client.tries += 1;
        let ack = client.ack;
        self.client_sends(number, ack);
        self.at(
            self.now + Duration::from_secs(1 << tries.min(4)),
            Happens::Timer(number, tries + 1),
        );
    }

    fn client_sends(&mut self, number: u8, ack: Option<SeqNum>) {
        let (from, to) = (client_addr(number), self.to);
        let segment = match ack {
            None => segment(from, to, Flags::SYN, 100, None, &[]),
            Some(ack) => segment(from, to, Flags::PSH | Flags::ACK, 101, Some(ack), b"x"),
        };
        self.at(self.now + LATENCY, Happens::Arrival(segment));
    }

    fn on_answer(&mut self, number: u8, packet: &[u8]) {
        let ip = ip::Packet::parse(packet).unwrap();
        let view = tcp::View::parse(ip.payload()).unwrap();
        let client = self.clients.get_mut(&number).expect("it has asked");
        if view.flags().contains(Flags::RST) {
            client.done = true;
        } else if view.flags().contains(Flags::SYN) && client.ack.is_none() {
            let ack = view.seq() + 1;
            client.ack = Some(ack);
            self.client_sends(number, Some(ack));
        } else if view.ack() == SeqNum::new(102) {
            client.done = true;
        }
    }

    /// The application's turn.
    fn serve(&mut self) {
        while let Some(accepted) = self.stack.accept(self.listener) {
            self.accepted.push((accepted.id, accepted.peer));
        }
        while let Some(attempt) = self.stack.next_attempt(self.listener) {
            let decides_after = match self.server {
                Server::Knows(after) => is_honest(attempt.peer.ip()).is_some().then_some(after),
                Server::Accepts | Server::Admits => Some(Duration::ZERO),
            };
            if let Some(after) = decides_after {
                self.at(self.now + after, Happens::Decision(attempt.id));
            }
        }
        let (stack, accepted) = (&mut self.stack, &mut self.accepted);
        for id in self.over.drain(..) {
            if let Admission::Established(new) = stack.admission(id) {
                accepted.push((new.id, new.peer));
            }
        }
        let (now, served) = (self.now, &mut self.served);
        accepted.retain(|&(id, peer)| {
            let mut data: Vec<Bytes> = Vec::new();
            let _ = stack.read(now, id, 10, &mut data);
            served.extend(data.first().map(|_| peer));
            data.is_empty()
        });
        if self.counter.is_multiple_of(64) {
            let half_open = self.stack.sockets().filter(|s| s.id.is_none()).count() - 1;
            self.most_half_open = self.most_half_open.max(half_open);
        }
    }

    fn collect(&mut self) {
        let mut out = Transmit::new();
        while self.stack.poll_transmit(self.now, &mut out) {
            let mut bytes = Vec::new();
            out.write_to(&mut bytes);
            let to = ip::Packet::parse(&bytes).unwrap().dst();
            if let Some(number) = is_honest(to) {
                self.at(self.now + LATENCY, Happens::Answer(number, bytes.into()));
            }
        }
        while let Some(event) = self.stack.poll_event() {
            if let Event::Attempt(id) = event {
                self.over.push(id);
            }
        }
    }
}

fn client_addr(number: u8) -> SocketAddr {
    ([HONEST[0], HONEST[1], HONEST[2], number + 1], 40_000).into()
}

fn is_honest(ip: IpAddr) -> Option<u8> {
    match ip {
        IpAddr::V4(v4) if v4.octets()[..3] == HONEST => v4.octets()[3]
            .checked_sub(1)
            .filter(|&n| n < HONEST_CLIENTS),
        _ => None,
    }
}

fn segment(
    from: SocketAddr,
    to: SocketAddr,
    flags: Flags,
    seq: u32,
    ack: Option<SeqNum>,
    payload: &[u8],
) -> Bytes {
    let header = Header {
        src_port: from.port(),
        dst_port: to.port(),
        seq: SeqNum::new(seq),
        ack: ack.unwrap_or(SeqNum::new(0)),
        flags,
        window: 65_535,
        urgent: 0,
        options: Options {
            mss: flags.contains(Flags::SYN).then_some(1460),
            ..Options::default()
        },
    };
    packet(from.ip(), to.ip(), &header, payload)
}

const ALL: usize = HONEST_CLIENTS as usize;

#[test]
fn a_listener_serves_all_in_a_flood() {
    for cookies in [SynCookies::InFlood, SynCookies::Always] {
        let net = Net::new(Server::Accepts, cookies, 1024, flood(2000, forged));
        assert_eq!(net.served(), ALL, "{cookies:?}");
    }
}

/// No SYN-ACK is ever retransmitted, so that no half-open connection appears unanswered.
#[test]
fn a_listener_serves_all_where_the_attacker_resets_its_own_half_open_connections() {
    let flood = Flood {
        resets_after: Some(Duration::from_millis(230)),
        ..flood(567, forged)
    };
    let net = Net::new(Server::Accepts, SynCookies::InFlood, 128, flood);
    assert_eq!(net.served(), ALL);
}

/// The more clients do not answer, the shorter they are kept.
#[test]
fn a_listener_without_cookies_serves_all_in_a_flood_of_a_tenth_of_its_room_a_second() {
    let net = Net::new(Server::Accepts, SynCookies::Off, 1024, flood(100, forged));
    assert_eq!(net.served(), ALL);
}

#[test]
fn a_listener_of_every_address_serves_all_where_every_attempt_is_admitted() {
    for cookies in [SynCookies::InFlood, SynCookies::Always] {
        for per_second in [100, 2000] {
            let flood = flood(per_second, forged);
            let net = Net::new(Server::Admits, cookies, 1024, flood);
            assert_eq!(net.served(), ALL, "{cookies:?}, {per_second} a second");
        }
    }
    let flood = flood(2000, forged);
    let net = Net::new(Server::Admits, SynCookies::Off, 1024, flood);
    assert_eq!(net.served(), ALL, "half a second for each to answer");
}

/// Each attempt is forgotten 13 ms after its SYN, a quarter of a round trip.
#[test]
fn an_admitted_and_forgotten_attempt_comes_back_by_its_cookie() {
    let flood = flood(5000, forged);
    let net = Net::new(Server::Admits, SynCookies::InFlood, 64, flood);
    assert_eq!(net.served(), ALL);
}

#[test]
fn a_listener_of_every_address_serves_all_where_strangers_are_never_decided_on() {
    for per_second in [20, 100, 2000] {
        let server = Server::Knows(Duration::from_millis(100));
        let flood = flood(per_second, forged);
        let net = Net::new(server, SynCookies::InFlood, 1024, flood);
        assert_eq!(net.served(), ALL, "{per_second} a second");
    }
}

#[test]
fn a_flood_from_one_network_takes_no_room_from_another() {
    let server = Server::Knows(Duration::from_secs(2));
    let flood = flood(5000, of_one_network);
    let net = Net::new(server, SynCookies::InFlood, 1024, flood);
    assert_eq!(net.served(), ALL);
}

#[test]
fn a_flood_from_the_clients_own_network_leaves_them_a_second() {
    let server = Server::Knows(Duration::from_millis(500));
    let flood = flood(500, of_their_network);
    let net = Net::new(server, SynCookies::InFlood, 512, flood);
    assert_eq!(net.served(), ALL);
}

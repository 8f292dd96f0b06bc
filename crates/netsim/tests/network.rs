//! Engines over simulated networks.

use std::cell::RefCell;
use std::io::{self, Cursor, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use millstream_engine::{
    Accepted, Cidr, Config, ConnectionId, ListenOptions, ListenerId, Read, SocketOptions, State,
};
use millstream_netsim::{
    Corruption, Displacement, GilbertElliott, HostId, Instant, Jitter, LinkConfig, LinkId,
    MtuLimit, Network, Schedule, Seed,
};
use millstream_testbed::capture::{Direction, Reader};
use millstream_testbed::packet;
use millstream_wire::ip;

const MS: Duration = Duration::from_millis(1);
const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 1, 1];
const PORT: u16 = 7;

fn host(network: &mut Network, address: [u8; 4]) -> HostId {
    network.host(Config::default().addresses(vec![Cidr::new(address.into(), 24)]))
}

/// A client and a server with a link between them, the same in both directions.
fn pair(seed: impl Into<Seed>, config: impl Into<Schedule>) -> (Network, HostId, HostId, LinkId) {
    let config = config.into();
    let mut network = Network::new(seed);
    let client = host(&mut network, CLIENT);
    let server = host(&mut network, SERVER);
    let (there, _) = network.connect(client, server, config.clone(), config);
    (network, client, server, there)
}

/// One stream from the client to the server.
struct Transfer {
    client: HostId,
    server: HostId,
    listener: ListenerId,
    sender: ConnectionId,
    receiver: Option<Accepted>,
    /// The bytes that remain to be written.
    rest: Bytes,
    received: Vec<Bytes>,
    ended: bool,
}

impl Transfer {
    fn start(network: &mut Network, client: HostId, server: HostId, data: Bytes) -> Self {
        let address = SocketAddr::from((SERVER, PORT));
        let listener = network.on(server, |stack, _| {
            let binding = stack.bind(address, true).expect("free");
            let options = ListenOptions::default();
            stack.listen(binding, options).expect("free")
        });
        let sender = network.on(client, |stack, now| {
            let options = SocketOptions::default();
            stack.connect(now, None, address, options).expect("begins")
        });
        Self {
            client,
            server,
            listener,
            sender,
            receiver: None,
            rest: data,
            received: Vec::new(),
            ended: false,
        }
    }

    /// Writes and reads as much as possible; returns whether the end of the stream has been read.
    fn progress(&mut self, network: &mut Network) -> bool {
        if network.stack(self.client).is_writable(self.sender) {
            self.write(network);
        }
        let listener = self.listener;
        if self.receiver.is_none() {
            self.receiver = network.on(self.server, |stack, _| stack.accept(listener));
        }
        self.read(network);
        self.ended
    }

    fn write(&mut self, network: &mut Network) {
        let (sender, rest) = (self.sender, &mut self.rest);
        network.on(self.client, |stack, now| {
            if rest.is_empty() || stack.finish_connect(sender) != Ok(true) {
                return;
            }
            stack.write_bytes(now, sender, rest).expect("is open");
            if rest.is_empty() {
                stack.shutdown_write(now, sender).expect("is open");
            }
        });
    }

    fn read(&mut self, network: &mut Network) {
        let Some(Accepted { id, .. }) = self.receiver else {
            return;
        };
        if !network.stack(self.server).is_readable(id) {
            return;
        }
        let received = &mut self.received;
        let read = network.on(self.server, |stack, now| {
            stack.read(now, id, usize::MAX, received)
        });
        self.ended = read.expect("is open") == Read::Eof;
    }

    fn run(mut self, network: &mut Network, limit: Duration) -> Vec<u8> {
        let done = network.drive(limit, |network| self.progress(network));
        let received = self.received.concat();
        assert!(done, "{} bytes after {limit:?}", received.len());
        received
    }
}

fn pattern(len: usize) -> Bytes {
    let mut rng = fastrand::Rng::with_seed(1);
    std::iter::repeat_with(|| rng.u8(..)).take(len).collect()
}

/// Sends a megabyte and returns the time of the transfer.
fn megabyte(network: &mut Network, client: HostId, server: HostId) -> Duration {
    let data = pattern(1 << 20);
    let began = network.now();
    let transfer = Transfer::start(network, client, server, data.clone());
    let received = transfer.run(network, Duration::from_secs(600));
    assert!(
        received == data,
        "the received bytes differ from the sent ones"
    );
    network.now() - began
}

#[test]
fn a_megabyte_crosses_a_lossy_link() {
    let config = LinkConfig::new().rate(20_000_000).delay(20 * MS).loss(0.02);
    let (mut network, client, server, link) = pair(1, config);
    megabyte(&mut network, client, server);
    assert!(network.link(link).stats().lost > 5);
}

#[test]
fn a_megabyte_crosses_a_link_with_all_impairments() {
    let config = LinkConfig::new()
        .rate(50_000_000)
        .queue(60_000)
        .delay(15 * MS)
        .jitter(Jitter {
            most: 2 * MS,
            reorders: true,
        })
        .loss(0.005)
        .burst_loss(GilbertElliott::new(0.002, 0.4))
        .corruption(Corruption::new(0.005))
        .duplication(0.01)
        .displacement(Displacement::new(0.01, 4));
    let config = Schedule::new(config)
        .at(100 * MS, LinkConfig::cut)
        .at(400 * MS, LinkConfig::mended);
    let mut cut = 0;
    for seed in 0..20 {
        let (mut network, client, server, link) = pair(seed, config.clone());
        megabyte(&mut network, client, server);
        let stats = network.link(link).stats();
        assert!(stats.lost > 0 && stats.corrupted > 0, "{stats:?}");
        cut += u32::from(stats.cut > 0);
    }
    // If the first SYN is lost, no packet is sent while the link is cut.
    assert!(cut > 15, "{cut} of 20 were cut");
}

#[test]
fn a_transfer_succeeds_with_any_seed() {
    let config = LinkConfig::new()
        .delay(10 * MS)
        .loss(0.05)
        .duplication(0.05);
    let (mut network, client, server, _) = pair(Seed::from_env(), config);
    megabyte(&mut network, client, server);
}

/// All packets and their times with this seed.
fn record(seed: u64) -> Vec<(Instant, bool, Vec<u8>)> {
    let config = LinkConfig::new().rate(10_000_000).delay(20 * MS).loss(0.02);
    let (mut network, client, server, _) = pair(seed, config);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    network.on_packet(move |passing| {
        let entry = (passing.at, passing.arrives, passing.packet.to_vec());
        log.borrow_mut().push(entry);
    });
    megabyte(&mut network, client, server);
    seen.take()
}

#[test]
fn a_seed_replays_every_packet() {
    let first = record(3);
    assert!(first.len() > 1000);
    assert!(first == record(3), "the same seed gave other packets");
    assert!(first != record(4), "another seed gave the same packets");
}

/// A file in memory.
#[derive(Clone, Default)]
struct Memory(Rc<RefCell<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A packet of a capture: its time, its interface, whether it was sent, and its bytes.
type Captured = (Duration, u32, bool, Vec<u8>);

fn read_capture(file: &Memory) -> Vec<Captured> {
    let bytes = Cursor::new(file.0.borrow().clone());
    let records = Reader::new(bytes, "the capture").expect("a header");
    records
        .map(|record| {
            let record = record.expect("a packet");
            let sent = record.direction == Some(Direction::Outbound);
            (record.time, record.interface, sent, record.bytes)
        })
        .collect()
}

#[test]
fn a_capture_contains_all_packets_of_a_node() {
    let mut network = Network::new(1);
    let client = host(&mut network, CLIENT);
    let server = host(&mut network, SERVER);
    let router = network.router();
    let near = LinkConfig::new().delay(10 * MS).loss(0.02);
    let narrow = near.clone().mtu(MtuLimit::Icmp(1300));
    network.connect(client, router, near.clone(), near.clone());
    network.connect(router, server, narrow, near);
    let file = Memory::default();
    network.capture(router, file.clone()).expect("in memory");
    let log = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&log);
    network.on_packet(move |passing| {
        let sent = !passing.arrives;
        let here = if sent { passing.from } else { passing.to };
        let at = Duration::from_nanos(passing.at.as_nanos());
        if here == router.into() {
            let peer = if sent { passing.to } else { passing.from };
            let interface = u32::from(peer == server.into());
            seen.borrow_mut()
                .push((at, interface, sent, passing.packet.to_vec()));
        }
    });
    megabyte(&mut network, client, server);
    let packets = read_capture(&file);
    assert!(packets.len() > 2000);
    assert!(
        packets == *log.borrow(),
        "the file differs from the observed packets"
    );
    // The link to the server sent its message to the router from its far end.
    let is_icmp = |packet: &[u8]| ip::Packet::parse(packet).expect("valid").protocol() == ip::ICMP;
    assert!(
        packets
            .iter()
            .any(|(_, interface, sent, packet)| *interface == 1 && !sent && is_icmp(packet))
    );
}

#[test]
fn a_handshake_takes_exactly_one_round_trip() {
    let (mut network, client, server, _) = pair(1, LinkConfig::new().delay(40 * MS));
    let transfer = Transfer::start(&mut network, client, server, pattern(1));
    network.run_until(Instant::from_nanos(79_999_999));
    assert_eq!(
        network.stack(client).state(transfer.sender),
        Some(State::SynSent)
    );
    network.run_until(Instant::ZERO + 80 * MS);
    assert_eq!(
        network.stack(client).state(transfer.sender),
        Some(State::Established)
    );
    assert_eq!(network.now(), Instant::ZERO + 80 * MS);
}

#[test]
fn a_link_of_a_given_rate_is_filled() {
    // The queue has room for one bandwidth-delay product.
    let config = LinkConfig::new()
        .rate(10_000_000)
        .queue(50_000)
        .delay(20 * MS);
    let (mut network, client, server, _) = pair(1, config);
    let took = megabyte(&mut network, client, server);
    let ideal = Duration::from_secs_f64(f64::from(8 << 20) / 1e7);
    assert!(took >= ideal, "{took:?} is faster than the link");
    assert!(took < ideal.mul_f64(1.5), "{took:?} for {ideal:?}");
}

#[test]
fn routers_join_networks() {
    let mut network = Network::new(1);
    let client = host(&mut network, CLIENT);
    let server = host(&mut network, SERVER);
    let (left, right) = (network.router(), network.router());
    let near = LinkConfig::new().delay(MS);
    let far = LinkConfig::new().rate(10_000_000).delay(30 * MS);
    network.connect(client, left, near.clone(), near.clone());
    let (bottleneck, _) = network.connect(left, right, far.clone(), far);
    network.connect(right, server, near.clone(), near);
    let net = |address: [u8; 4]| Cidr::new(address.into(), 24);
    network.route(left, net(SERVER), right);
    network.route(right, net(CLIENT), left);
    megabyte(&mut network, client, server);
    assert!(network.link(bottleneck).stats().delivered > 700);
    assert_eq!(network.unrouted(), 0);
}

#[test]
fn packets_without_a_route_are_counted() {
    let mut network = Network::new(1);
    let client = host(&mut network, CLIENT);
    let router = network.router();
    network.connect(client, router, LinkConfig::new(), LinkConfig::new());
    network.on(client, |stack, now| {
        let nowhere = SocketAddr::from(([192, 0, 2, 1], 80));
        let begun = stack.connect(now, None, nowhere, SocketOptions::default());
        begun.expect("begins");
    });
    network.run_for(MS);
    assert_eq!(network.unrouted(), 1);
}

#[test]
fn a_router_tells_the_sender_the_path_mtu() {
    let mut network = Network::new(1);
    let client = host(&mut network, CLIENT);
    let server = host(&mut network, SERVER);
    let router = network.router();
    let near = LinkConfig::new().delay(10 * MS);
    let narrow = near.clone().mtu(MtuLimit::Icmp(1300));
    let (_, home) = network.connect(client, router, near.clone(), near.clone());
    let (tunnel, _) = network.connect(router, server, narrow, near);
    megabyte(&mut network, client, server);
    let stats = network.link(tunnel).stats();
    assert!(stats.too_big > 0, "{stats:?}");
    assert!(stats.delivered_bytes / stats.delivered <= 1300);
    // The message passed the router's link to the client.
    assert!(network.link(home).stats().delivered > 0);
}

#[test]
fn a_congested_link_marks_ecn_capable_packets() {
    let config = LinkConfig::new().rate(1_000_000).ecn_threshold(0);
    let (mut network, client, server, link) = pair(1, config);
    let header = ip::Header {
        tos: ip::Ecn::Ect0 as u8,
        ..ip::Header::new(CLIENT.into(), SERVER.into(), ip::UDP)
    };
    let packet = packet::ip(header, &[]);
    let marks = Rc::new(RefCell::new(0));
    let count = Rc::clone(&marks);
    network.on_packet(move |passing| {
        let view = ip::Packet::parse(passing.packet).expect("valid");
        *count.borrow_mut() += u32::from(passing.arrives && view.ecn() == ip::Ecn::Ce);
    });
    for _ in 0..3 {
        network.inject(client, packet.clone().into());
    }
    network.run_for(10 * MS);
    // The first packet finds an empty queue and an idle transmitter.
    assert_eq!(*marks.borrow(), 2);
    assert_eq!(network.link(link).stats().marked, 2);
    assert_eq!(network.stack(server).counters().packets_received, 3);
}

#[test]
fn time_advances_without_events() {
    let (mut network, ..) = pair(1, LinkConfig::new());
    assert_eq!(network.next_at(), None);
    network.run_for(5 * MS);
    assert_eq!(network.now(), Instant::from_millis(5));
}

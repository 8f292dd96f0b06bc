//! Payload that a reader takes directly, compared with the same packets on the ordinary path: there
//! is no other difference.

mod support;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use millstream_engine::{
    Config, ConnectionId, Instant, ListenOptions, ListenerId, Read, RxChecksum, SocketOptions,
    Stack, Transmit,
};
use millstream_wire::ip;
use millstream_wire::tcp::{Flags, View};
use proptest::prelude::*;
use support::{Fate, Pair, Side};

/// A packet and its time of arrival.
type Packet = (Instant, Bytes);

const LATENCY: Duration = Duration::from_millis(10);

/// The data that one stack received, and the packets that it sent.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    stream: Vec<u8>,
    sent: Vec<Vec<u8>>,
}

/// A server that receives packets one by one and reads their data at once.
struct Server {
    stack: Stack,
    listener: ListenerId,
    id: Option<ConnectionId>,
    outcome: Outcome,
    /// Bytes that bypassed the stack.
    direct: usize,
}

impl Server {
    fn new(config: Config) -> Self {
        let mut stack = Stack::new(config, [2; 32]);
        let binding = stack.bind(Pair::addr(Side::B, 80), true).unwrap();
        let listener = stack.listen(binding, ListenOptions::default()).unwrap();
        Self {
            stack,
            listener,
            id: None,
            outcome: Outcome::default(),
            direct: 0,
        }
    }

    /// The expected header length, if the next packet may bypass the stack, and the connection.
    fn expected(&self) -> Option<(ConnectionId, usize)> {
        let id = self.id?;
        Some((id, self.stack.direct_header_len(id)?))
    }

    fn take(&mut self, now: Instant, packet: &[u8], directly: bool) {
        match self.expected().filter(|_| directly) {
            Some((id, headers)) if headers < packet.len() => {
                // The stack is given arbitrary bytes in place of the payload.
                let mut shown = BytesMut::from(packet);
                shown[headers..].fill(0xEE);
                if self.stack.is_next_of(id, &shown, headers) {
                    let taken = self.stack.handle_direct(now, now, id, shown.freeze());
                    let payload = &packet[headers..headers + taken];
                    self.outcome.stream.extend_from_slice(payload);
                    self.direct += taken;
                } else {
                    self.handle(now, packet);
                }
            }
            _ => self.handle(now, packet),
        }
        self.settle(now);
    }

    fn handle(&mut self, now: Instant, packet: &[u8]) {
        let packet = Bytes::copy_from_slice(packet);
        self.stack.handle_packet(now, packet, RxChecksum::Trusted);
        let accepted = self.stack.accept(self.listener);
        self.id = self.id.or(accepted.map(|accepted| accepted.id));
        let mut chunks: Vec<Bytes> = Vec::new();
        if let Some(id) = self.id
            && let Ok(Read::Data(_)) = self.stack.read(now, id, usize::MAX, &mut chunks)
        {
            self.outcome.stream.extend(chunks.concat());
        }
    }

    /// Sends the pending packets.
    fn settle(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
        let mut out = Transmit::new();
        while self.stack.poll_transmit(now, &mut out) {
            let mut bytes = Vec::new();
            out.write_to(&mut bytes);
            self.outcome.sent.push(bytes);
        }
    }
}

/// The packets that arrive from a client at a server on port 80, for a stream of `length` bytes;
/// both have the given configuration.
fn conversation(
    change: impl Fn(&mut Config) + Copy,
    timestamps: bool,
    length: usize,
) -> Vec<Packet> {
    let mut pair = Pair::with(change);
    pair.latency = LATENCY;
    pair.judge(|_, _, count| {
        if count % 17 == 16 {
            Fate::Drop
        } else {
            Fate::Deliver
        }
    });
    let (a, b) = pair.established_with(SocketOptions::default().timestamps(timestamps));
    let data: Vec<u8> = (0..length).map(|at| (at * 31 + at / 251) as u8).collect();
    let mut written = 0;
    let mut read = 0;
    pair.run_until(Duration::from_secs(600), |pair| {
        let now = pair.now;
        if written < data.len() {
            written += pair.a.write(now, a, &data[written..]).unwrap();
        } else if read < data.len() {
            let _ = pair.a.shutdown_write(now, a);
        }
        pair.flush();
        read += pair.read(Side::B, b).len();
        read == data.len()
    });
    // The times are those of arrival: the server's first sequence number depends on them.
    let arrived = pair
        .seen
        .into_iter()
        .filter(|seen| seen.from == Side::A && !seen.dropped);
    arrived
        .map(|seen| (seen.at + LATENCY, seen.bytes))
        .collect()
}

/// Exchanges the places of two packets, not their times.
fn swap(packets: &mut [Packet], a: usize, b: usize) {
    let bytes = packets[a].1.clone();
    packets[a].1 = std::mem::replace(&mut packets[b].1, bytes);
}

/// Passes the packets to a server that reads directly as far as possible, and to one that does not.
fn both_ways(change: impl Fn(&mut Config), packets: &[Packet]) -> (Server, Server) {
    let mut config = support::config(support::ADDR_B);
    change(&mut config);
    let [mut direct, mut ordinary] = [(); 2].map(|()| Server::new(config.clone()));
    for (at, packet) in packets {
        direct.take(*at, packet, true);
        ordinary.take(*at, packet, false);
    }
    (direct, ordinary)
}

fn check_alike(direct: &Server, ordinary: &Server) -> Result<(), TestCaseError> {
    prop_assert_eq!(ordinary.direct, 0);
    prop_assert_eq!(&direct.outcome.stream, &ordinary.outcome.stream);
    prop_assert!(
        direct.outcome == ordinary.outcome,
        "something else was sent"
    );
    prop_assert_eq!(direct.stack.counters(), ordinary.stack.counters());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The packets include lost, repeated and reordered ones.
    #[test]
    fn nothing_but_the_payload_takes_another_way(
        fates in prop::collection::vec(0_u8..20, 40),
        largest in prop_oneof![Just(0), Just(20_000)],
        timestamps: bool,
    ) {
        let change = |config: &mut Config| config.offload.max_segment = largest;
        let mut packets = conversation(change, timestamps, 150_000);
        for (at, fate) in (4..packets.len()).zip(fates.iter().cycle()) {
            match fate {
                // Overtaken by one packet, or by many; with timestamps a late packet is dropped,
                // and the fixed list of packets has no retransmission.
                0 if !timestamps => swap(&mut packets, at, at - 1),
                1 if !timestamps && at + 7 < packets.len() => swap(&mut packets, at, at + 7),
                2 => {
                    let again = packets[at].clone();
                    packets.insert(at, again);
                }
                _ => {}
            }
        }
        let (direct, ordinary) = both_ways(change, &packets);
        prop_assert_eq!(ordinary.outcome.stream.len(), 150_000);
        // After the first of many reordered segments few bytes are read directly.
        prop_assert!(direct.direct > 0);
        check_alike(&direct, &ordinary)?;
    }

    /// The engine is asked about every packet.
    #[test]
    fn damaged_headers_are_taken_alike(
        damages in prop::collection::vec((4_usize..150, 0_usize..52, 1_u8..), 1..20),
        timestamps: bool,
    ) {
        let mut packets = conversation(|_| {}, timestamps, 150_000);
        for (at, byte, by) in damages {
            let Some((_, packet)) = packets.get_mut(at) else {
                continue;
            };
            let mut damaged = packet.to_vec();
            if let Some(byte) = damaged.get_mut(byte) {
                *byte ^= by;
            }
            *packet = damaged.into();
        }
        let (direct, ordinary) = both_ways(|_| {}, &packets);
        check_alike(&direct, &ordinary)?;
    }
}

#[test]
fn only_what_comes_next_goes_past_the_stack() {
    let mut pair = Pair::new();
    let (a, b) = pair.established();
    pair.run_for(Duration::from_secs(1));
    pair.write(Side::A, a, &[1; 2 * 1448]);
    let packets: Vec<Bytes> = pair
        .seen
        .iter()
        .rev()
        .take(2)
        .rev()
        .map(|s| s.bytes.clone())
        .collect();
    let [first, second] = &packets[..] else {
        panic!("two segments");
    };
    let headers = pair.b.direct_header_len(b).expect("nothing waits");
    assert!(pair.b.is_next_of(b, first, headers));
    assert!(!pair.b.is_next_of(b, second, headers), "there is a gap");
    assert!(!pair.b.is_next_of(b, first, headers - 12), "other headers");
    assert!(!pair.b.is_next_of(b, &first[..headers], headers), "cut off");
    let with = |change: &dyn Fn(&mut [u8])| {
        let mut packet = first.to_vec();
        change(&mut packet);
        packet
    };
    let flags = 20 + 13;
    for flag in [Flags::FIN, Flags::SYN, Flags::RST, Flags::URG] {
        let packet = with(&|packet| packet[flags] |= flag.bits());
        assert!(!pair.b.is_next_of(b, &packet, headers), "{flag:?}");
    }
    let view = ip::Packet::parse(first).unwrap();
    let seq = View::parse(view.payload()).unwrap().seq();
    let old = with(&|packet| {
        let seq = seq - 1;
        packet[24..28].copy_from_slice(&seq.raw().to_be_bytes());
    });
    assert!(!pair.b.is_next_of(b, &old, headers), "partly old");
    let other = with(&|packet| packet[20] ^= 1);
    assert!(!pair.b.is_next_of(b, &other, headers), "another port");
    // While data waits to be read, the following data must wait behind it.
    pair.run_for(Duration::from_millis(20));
    assert!(pair.b.readable_bytes(b) > 0);
    assert_eq!(pair.b.direct_header_len(b), None);
}

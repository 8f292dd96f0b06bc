//! A data segment that arrives while few or many pieces are held out of order: the cost should be
//! equal.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use millstream_engine::{
    Cidr, Config, ConnectionId, Instant, ListenOptions, Read, RxChecksum, SocketOptions, Stack,
    Transmit,
};
use millstream_testbed::packet;
use millstream_wire::tcp::{Flags, Header, Options, View};
use millstream_wire::{SeqNum, ip};

const HELD: [u32; 3] = [10, 1_000, 100_000];

/// Position of the first held piece, and the distance between pieces. Each is of one byte.
const FAR: u32 = 1 << 20;
const APART: u32 = 16;

/// Number of segments measured on one connection.
const COUNT: u32 = 1_000;

const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const THEIRS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const PORT: u16 = 80;
const PEER_ISN: SeqNum = SeqNum::new(1_000);

/// The segment that arrives while pieces are held.
#[derive(Clone, Copy)]
enum Arrival {
    /// The next byte.
    InOrder,
    /// A byte that touches no piece.
    Apart,
    /// A byte that continues a piece.
    Touching,
    /// A byte that is already held.
    Again,
}

/// A connection on which pieces are held.
struct Rig {
    stack: Stack,
    now: Instant,
    isn: SeqNum,
    id: ConnectionId,
}

impl Rig {
    fn new(held: u32) -> Self {
        let mut rig = Self::established();
        for n in 0..held {
            let segment = rig.data(FAR + n * APART);
            rig.inject(segment);
        }
        rig.drain();
        rig
    }

    fn established() -> Self {
        let mut socket = SocketOptions::default();
        socket.fix_receive_buffer(32 << 20);
        let config = Config::default().addresses(vec![Cidr::new(OURS, 24)]);
        let mut stack = Stack::new(config, [3; 32]);
        let binding = stack
            .bind(SocketAddr::new(OURS, PORT), true)
            .expect("the port is free");
        let options = ListenOptions::default().socket(socket);
        let listener = stack.listen(binding, options).expect("listens");
        let mut now = Instant::from_millis(1_000);
        let syn = Options {
            mss: Some(1_460),
            window_scale: Some(14),
            sack_permitted: true,
            ..Options::default()
        };
        let syn = packet(Flags::SYN, PEER_ISN, SeqNum::new(0), syn, &[]);
        stack.handle_packet(now, syn, RxChecksum::Trusted);
        let mut out = Transmit::new();
        let mut isn = SeqNum::new(0);
        while stack.poll_transmit(now, &mut out) {
            let answer = ip::Packet::parse(out.header()).expect("is a packet");
            isn = View::parse(answer.payload()).expect("is TCP").seq();
        }
        now += Duration::from_millis(100);
        let ack = packet(Flags::ACK, PEER_ISN + 1, isn + 1, Options::default(), &[]);
        stack.handle_packet(now, ack, RxChecksum::Trusted);
        let id = stack.accept(listener).expect("a connection").id;
        let mut rig = Self {
            stack,
            now,
            isn,
            id,
        };
        // The window that a SYN offers is small: received and read data opens it.
        for at in 0..64 {
            let segment = packet(
                Flags::ACK,
                PEER_ISN + 1 + at * 1_024,
                isn + 1,
                Options::default(),
                &[0x5A; 1_024],
            );
            rig.inject(segment);
            rig.read();
            rig.drain();
        }
        rig
    }

    /// The byte at that offset after the data already read.
    fn data(&self, at: u32) -> Bytes {
        let seq = PEER_ISN + 1 + 64 * 1_024 + at;
        packet(Flags::ACK, seq, self.isn + 1, Options::default(), &[0x5A])
    }

    fn inject(&mut self, packet: Bytes) {
        self.stack
            .handle_packet(self.now, packet, RxChecksum::Trusted);
    }

    fn read(&mut self) {
        let mut pieces: Vec<Bytes> = Vec::new();
        let read = self.stack.read(self.now, self.id, usize::MAX, &mut pieces);
        assert!(matches!(read, Ok(Read::Data(_))), "{read:?}");
    }

    fn drain(&mut self) {
        let mut out = Transmit::new();
        while self.stack.poll_transmit(self.now, &mut out) {}
        while self.stack.poll_event().is_some() {}
    }

    /// The time of processing the segments, including the acknowledgments to send.
    fn run(mut self, arrival: Arrival, held: u32) -> Duration {
        let segments: Vec<_> = (0..COUNT)
            .map(|n| {
                let piece = FAR + n % held * APART;
                self.data(match arrival {
                    Arrival::InOrder => n,
                    Arrival::Apart => FAR / 2 + n * APART,
                    Arrival::Touching => piece + 1 + n / held % (APART - 2),
                    Arrival::Again => piece,
                })
            })
            .collect();
        let mut out = Transmit::new();
        #[expect(clippy::disallowed_methods, reason = "the time that the engine takes")]
        let began = std::time::Instant::now();
        for segment in segments {
            self.inject(segment);
            while self.stack.poll_transmit(self.now, &mut out) {}
        }
        began.elapsed()
    }
}

fn packet(flags: Flags, seq: SeqNum, ack: SeqNum, options: Options, payload: &[u8]) -> Bytes {
    let tcp = Header {
        src_port: 5_000,
        dst_port: PORT,
        seq,
        ack,
        flags,
        window: u16::MAX,
        urgent: 0,
        options,
    };
    packet::tcp(THEIRS, OURS, &tcp, payload).into()
}

fn segments(c: &mut Criterion) {
    let cases = [
        ("in order", Arrival::InOrder),
        ("apart", Arrival::Apart),
        ("touching", Arrival::Touching),
        ("again", Arrival::Again),
    ];
    let mut group = c.benchmark_group("segment by pieces held");
    group.throughput(Throughput::Elements(1));
    group.sample_size(10);
    for (name, arrival) in cases {
        for held in HELD {
            group.bench_function(BenchmarkId::new(name, held), |b| {
                b.iter_custom(|iterations| {
                    let (mut elapsed, mut done) = (Duration::ZERO, 0);
                    while done < iterations {
                        elapsed += Rig::new(held).run(arrival, held);
                        done += u64::from(COUNT);
                    }
                    // More iterations than requested may have been run.
                    elapsed.mul_f64(iterations as f64 / done as f64)
                });
            });
        }
    }
    group.finish();
}

fn main() {
    let mut c = Criterion::default().configure_from_args();
    segments(&mut c);
    c.final_summary();
}

//! Parts of the engine without a benchmark of their own, through its public interface: connection
//! lookup, reassembly, emission of headers, and a stream from one engine to another.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use millstream_bench::rig::{ADDRESS, MSS, PORT, PREFIX, Peer, Rig};
use millstream_engine::{
    Cidr, Config, ConnectionId, Instant, ListenOptions, RxChecksum, SocketOptions, Stack, Transmit,
};
use millstream_wire::checksum::pseudo_header;
use millstream_wire::tcp::{Flags, Header};
use millstream_wire::{SeqNum, ip};

const CONNECTIONS: [u32; 3] = [10, 10_000, 1_000_000];
/// Connections that are looked up in turn.
const VISITED: u32 = 4096;
/// Segments that arrive out of order.
const SHUFFLED: usize = 64;
/// Bytes per iteration of the stream.
const STREAM: usize = 1 << 20;

/// A duplicate acknowledgment for one connection among many.
fn demux(c: &mut Criterion) {
    let mut group = c.benchmark_group("demux: pure ACK among connections");
    for count in CONNECTIONS {
        let mut rig = Rig::new(1024, |_| ()).expect("an engine");
        // Lookups are spread over all connections, so that one does not warm the cache for the
        // next.
        let step = (count / VISITED).max(1);
        let mut acks = Vec::new();
        for n in 0..count {
            let mut peer = Peer::number(n);
            rig.establish(&mut peer).expect("a connection");
            if n % step == 0 {
                acks.push(peer.ack());
            }
        }
        let mut turn = acks.iter().cycle();
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| {
                rig.inject(turn.next().expect("at least one").clone());
                rig.drain();
            });
        });
    }
    group.finish();
}

/// Segments that arrive in reverse order, and are read when the hole is filled.
fn assembler(c: &mut Criterion) {
    let mut rig = Rig::new(16, |_| ()).expect("an engine");
    let mut peer = Peer::number(0);
    let id = rig.establish(&mut peer).expect("a connection");
    let payload = vec![0x5A; usize::from(MSS)];
    let mut data: Vec<Bytes> = Vec::new();
    let mut group = c.benchmark_group("assembler");
    group.throughput(Throughput::Elements(SHUFFLED as u64));
    group.bench_function("64 segments, last first", |b| {
        b.iter_batched(
            || {
                let packets = (0..SHUFFLED).map(|_| peer.data(&payload));
                packets.collect::<Vec<_>>()
            },
            |packets| {
                for packet in packets.into_iter().rev() {
                    rig.inject(packet);
                }
                let (stack, now) = rig.stack();
                stack
                    .read(now, id, usize::MAX, &mut data)
                    .expect("the connection lives");
                assert_eq!(data.drain(..).map(|d| d.len()).sum::<usize>(), 64 * 1460);
                rig.drain();
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// IP and TCP headers with their checksums.
fn emit(c: &mut Criterion) {
    let mut group = c.benchmark_group("emit: headers and checksum");
    for size in [0, usize::from(MSS), 60_000] {
        let payload = vec![0x5A; size];
        let mut packet = vec![0; 40];
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| {
                let tcp = Header {
                    src_port: PORT,
                    dst_port: 1024,
                    seq: SeqNum::new(black_box(7)),
                    ack: SeqNum::new(8),
                    flags: Flags::ACK,
                    window: u16::MAX,
                    ..Header::default()
                };
                let ip = ip::Header {
                    payload_len: tcp.len() + payload.len(),
                    ..ip::Header::new(ADDRESS, CLIENT, ip::TCP)
                };
                ip.emit(&mut packet);
                tcp.emit(&mut packet[ip.len()..]);
                let length = ip.payload_len as u32;
                let mut sum = pseudo_header(ip.src, ip.dst, ip::TCP, length);
                sum.add(black_box(&payload));
                Header::fill_checksum(&mut packet[ip.len()..], sum);
                black_box(&packet);
            });
        });
    }
    group.finish();
}

/// The address of the sending engine.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

/// Two engines connected by function calls.
struct Joined {
    stacks: [Stack; 2],
    ids: [ConnectionId; 2],
    out: Transmit,
    data: Vec<Bytes>,
    payload: Bytes,
}

impl Joined {
    fn new(max_segment: usize) -> Self {
        let mut stacks = [CLIENT, ADDRESS].map(|address| {
            let mut config = Config::default().addresses(vec![Cidr::new(address, PREFIX)]);
            config.offload.max_segment = max_segment;
            Stack::new(config, [7; 32])
        });
        let server = SocketAddr::new(ADDRESS, PORT);
        let binding = stacks[1].bind(server, true).expect("a free address");
        let listener = stacks[1]
            .listen(binding, ListenOptions::default())
            .expect("the only listener");
        let client = stacks[0]
            .connect(NOW, None, server, SocketOptions::default())
            .expect("a route");
        let mut joined = Self {
            stacks,
            ids: [client; 2],
            out: Transmit::new(),
            data: Vec::new(),
            payload: vec![0x5A; 64 * 1024].into(),
        };
        joined.exchange();
        let accepted = joined.stacks[1].accept(listener);
        joined.ids[1] = accepted.expect("a connection").id;
        joined
    }

    /// Carries packets in both directions until none is left.
    fn exchange(&mut self) {
        let mut moved = true;
        while moved {
            moved = false;
            for from in [0, 1] {
                while self.stacks[from].poll_transmit(NOW, &mut self.out) {
                    moved = true;
                    let mut packet = Vec::new();
                    self.out.write_to(&mut packet);
                    self.stacks[1 - from].handle_packet(NOW, packet.into(), RxChecksum::Unverified);
                }
                while self.stacks[from].poll_event().is_some() {}
            }
        }
    }

    /// Moves `bytes` bytes.
    fn stream(&mut self, bytes: usize) {
        let mut written = 0;
        let mut read = 0;
        while read < bytes {
            while written < bytes {
                let most = self.payload.len().min(bytes - written);
                let mut data = self.payload.slice(..most);
                let taken = self.stacks[0]
                    .write_bytes(NOW, self.ids[0], &mut data)
                    .expect("the connection lives");
                written += taken;
                if taken == 0 {
                    break;
                }
            }
            self.exchange();
            self.stacks[1]
                .read(NOW, self.ids[1], usize::MAX, &mut self.data)
                .expect("the connection lives");
            read += self.data.drain(..).map(|d| d.len()).sum::<usize>();
        }
        self.exchange();
    }
}

/// Time does not advance: no segment is lost, and none has to wait.
const NOW: Instant = Instant::from_millis(1000);

fn stream(c: &mut Criterion) {
    let mut group = c.benchmark_group("stream from engine to engine");
    group.throughput(Throughput::Bytes(STREAM as u64));
    for (name, max_segment) in [("MTU 1500", 0), ("super-segments", 60_000)] {
        let mut joined = Joined::new(max_segment);
        group.bench_function(name, |b| b.iter(|| joined.stream(STREAM)));
    }
    group.finish();
}

fn main() {
    let mut c = Criterion::default().configure_from_args();
    demux(&mut c);
    assembler(&mut c);
    emit(&mut c);
    stream(&mut c);
    c.final_summary();
}

//! An acknowledgment with SACK blocks, with few and with many segments in flight: the cost should
//! be equal. The same holds for a peer that makes losses appear and disappear repeatedly, or that
//! reneges: `undo` covers these cases.
//!
//! At the end the benchmark prints the ratio of each to an in-order acknowledgment with as many
//! segments in flight.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use millstream_engine::congestion::{AckSample, Algorithm, Congestion, CongestionEvent};
use millstream_engine::{
    Cidr, Config, CongestionControl, Instant, ListenOptions, Offload, RxChecksum, SocketOptions,
    Stack, Transmit,
};
use millstream_testbed::packet;
use millstream_wire::tcp::{Flags, Header, Options, SackBlock, Timestamps, View};
use millstream_wire::{SeqNum, ip};

const FLIGHTS: [u32; 4] = [10, 1_000, 10_000, 100_000];
const MSS: u32 = 1_460;
/// Segment size for flights with so many segments that they would otherwise not fit into memory.
const SMALL_MSS: u32 = 100;
/// Bytes that the option takes from a segment.
const TIMESTAMPS_LEN: u32 = 12;
const SUPER_SEGMENT: usize = 44 * MSS as usize;
/// Maximum number of blocks in an acknowledgment.
const BLOCKS: usize = 4;
/// Number of times that losses are detected and undone.
const ROUNDS: u32 = 1_000;

const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const THEIRS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const PORT: u16 = 80;
const PEER_ISN: SeqNum = SeqNum::new(1_000);

/// A congestion control with an unlimited window.
#[derive(Debug)]
struct Open;

static OPEN: Algorithm = Algorithm::new("open", |_, _| Box::new(Open));

impl Congestion for Open {
    fn name(&self) -> &'static str {
        "open"
    }

    fn cwnd(&self) -> u32 {
        u32::MAX / 4
    }

    fn ssthresh(&self) -> u32 {
        u32::MAX
    }

    fn on_ack(&mut self, _: &AckSample) {}

    fn on_congestion(&mut self, _: &CongestionEvent) {}

    fn on_rto(&mut self, _: Instant, _: u32, _: bool) {}

    fn undo(&mut self, _: Instant) {}

    fn on_idle_restart(&mut self, _: Instant, _: u32) {}

    fn set_mss(&mut self, _: u32) {}
}

/// The segments that the peer receives, and their order, by number.
#[derive(Clone, Copy)]
enum Arrivals {
    /// All in the order of sending, two per acknowledgment.
    InOrder,
    /// All but the first, two per acknowledgment.
    OneHole,
    /// In random order, one per acknowledgment.
    Anywhere,
    /// Every second one; the others are retransmitted.
    EverySecond,
    /// From the last one backwards.
    FromTheEnd,
    /// The last three, by which all others are marked lost, and then the first, with a timestamp
    /// echo that shows that it was only late.
    Undone,
    /// All but the first, which is then acknowledged without the others.
    Reneged,
}

impl Arrivals {
    /// The time between two acknowledgments.
    fn step(self) -> Duration {
        match self {
            // Longer than the reordering window.
            Self::Undone => Duration::from_millis(60),
            // Longer than the delay granted to a peer that reneges.
            Self::Reneged => Duration::from_millis(60),
            _ => Duration::ZERO,
        }
    }
}

#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    arrivals: Arrivals,
    offload: bool,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A connection with data in flight, and the acknowledgments for it.
struct Flight {
    stack: Stack,
    now: Instant,
    isn: SeqNum,
    /// The local timestamp when the flight was sent, if timestamps are used.
    stamp: Option<u32>,
    acks: Vec<Bytes>,
    step: Duration,
    mss: u32,
}

impl Flight {
    fn new(case: Case, segments: u32) -> Self {
        let mss = if segments > 10_000 { SMALL_MSS } else { MSS };
        let mut flight = Self::established(case, mss);
        flight.send(segments);
        flight.acks = flight.acknowledgments(case.arrivals, segments);
        flight.step = case.arrivals.step();
        flight
    }

    fn established(case: Case, mss: u32) -> Self {
        let stamped = matches!(case.arrivals, Arrivals::Undone);
        let mut socket = SocketOptions::default().congestion(CongestionControl::Custom(&OPEN));
        socket.fix_send_buffer(64 << 20);
        let config = Config::default()
            .addresses(vec![Cidr::new(OURS, 24)])
            .offload(Offload::default().max_segment(if case.offload { SUPER_SEGMENT } else { 0 }));
        let mut stack = Stack::new(config, [3; 32]);
        let binding = stack
            .bind(SocketAddr::new(OURS, PORT), true)
            .expect("the port is free");
        let options = ListenOptions::default().socket(socket);
        stack.listen(binding, options).expect("listens");
        let mut flight = Self {
            stack,
            now: Instant::from_millis(1_000),
            isn: SeqNum::new(0),
            stamp: None,
            acks: Vec::new(),
            step: Duration::ZERO,
            mss: if stamped { mss - TIMESTAMPS_LEN } else { mss },
        };
        let syn = Options {
            mss: Some(mss as u16),
            window_scale: Some(14),
            sack_permitted: true,
            timestamps: stamped.then_some(Timestamps { value: 1, echo: 0 }),
            ..Options::default()
        };
        flight.inject(packet(Flags::SYN, PEER_ISN, SeqNum::new(0), syn));
        flight.drain();
        flight.now += Duration::from_millis(100);
        let ack = flight.packet(0, &[]);
        flight.inject(ack);
        flight.drain();
        flight
    }

    fn send(&mut self, segments: u32) {
        let id = self.stack.sockets().find_map(|socket| socket.id);
        let id = id.expect("a connection");
        let data = vec![0x5A; (segments * self.mss) as usize];
        let written = self.stack.write(self.now, id, &data);
        assert_eq!(written, Ok(data.len()));
        self.drain();
        self.now += Duration::from_millis(100);
    }

    fn acknowledgments(&self, arrivals: Arrivals, segments: u32) -> Vec<Bytes> {
        let mut acks = Vec::new();
        match arrivals {
            Arrivals::InOrder => {
                acks.extend((2..=segments).step_by(2).map(|n| self.packet(n, &[])));
            }
            Arrivals::OneHole => {
                let ends = (2..=segments).step_by(2);
                acks.extend(ends.map(|end| self.packet(0, &[(1, end)])));
            }
            Arrivals::FromTheEnd => {
                let begins = (1..segments).rev();
                acks.extend(begins.map(|begin| self.packet(0, &[(begin, segments)])));
            }
            Arrivals::Undone => {
                for acked in 1..ROUNDS.min(segments - 3) {
                    acks.push(self.packet(acked - 1, &[(segments - 3, segments)]));
                    acks.push(self.packet(acked, &[]));
                }
            }
            Arrivals::Reneged => {
                for acked in 1..ROUNDS.min(segments) {
                    acks.push(self.packet(acked - 1, &[(acked, segments)]));
                    acks.push(self.packet(acked, &[]));
                }
            }
            Arrivals::Anywhere | Arrivals::EverySecond => {
                let mut order: Vec<_> = (1..segments).step_by(2).collect();
                if matches!(arrivals, Arrivals::Anywhere) {
                    shuffle(&mut order);
                }
                for latest in 1..=order.len() {
                    let blocks = order[..latest].iter().rev().take(BLOCKS);
                    let blocks: Vec<_> = blocks.map(|&n| (n, n + 1)).collect();
                    acks.push(self.packet(0, &blocks));
                }
            }
        }
        acks
    }

    /// An acknowledgment of the first `acked` segments, and of those in `blocks`.
    fn packet(&self, acked: u32, blocks: &[(u32, u32)]) -> Bytes {
        let first = self.isn + 1;
        let mut options = Options {
            // All acknowledgments are for the first transmission.
            timestamps: self.stamp.map(|echo| Timestamps { value: 2, echo }),
            ..Options::default()
        };
        for &(from, to) in blocks {
            let (left, right) = (first + from * self.mss, first + to * self.mss);
            let fits = options.sack.push(SackBlock { left, right });
            assert!(fits);
        }
        packet(Flags::ACK, PEER_ISN + 1, first + acked * self.mss, options)
    }

    fn inject(&mut self, packet: Bytes) {
        self.stack
            .handle_packet(self.now, packet, RxChecksum::Trusted);
    }

    fn drain(&mut self) {
        let mut out = Transmit::new();
        while self.stack.poll_transmit(self.now, &mut out) {
            let packet = ip::Packet::parse(out.header());
            if let Ok(view) = packet.and_then(|packet| View::parse(packet.payload())) {
                if view.flags().contains(Flags::SYN) {
                    self.isn = view.seq();
                }
                let stamps = Options::parse(view.options_bytes()).timestamps;
                self.stamp = stamps.map(|stamps| stamps.value);
            }
        }
        while self.stack.poll_event().is_some() {}
    }

    /// The time of all acknowledgments, including the output that they cause.
    fn run(mut self) -> (Duration, u64) {
        let acks = std::mem::take(&mut self.acks);
        let count = acks.len() as u64;
        let mut out = Transmit::new();
        #[expect(clippy::disallowed_methods, reason = "the time that the engine takes")]
        let began = std::time::Instant::now();
        for ack in acks {
            self.now += self.step;
            while self.stack.poll_timeout().is_some_and(|due| due <= self.now) {
                self.stack.handle_timeout(self.now);
            }
            self.inject(ack);
            while self.stack.poll_transmit(self.now, &mut out) {}
        }
        (began.elapsed(), count)
    }
}

fn packet(flags: Flags, seq: SeqNum, ack: SeqNum, options: Options) -> Bytes {
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
    packet::tcp(THEIRS, OURS, &tcp, &[]).into()
}

/// Shuffles by Fisher and Yates, with Knuth's linear congruential generator.
fn shuffle(items: &mut [u32]) {
    let mut random: u64 = 1;
    for last in (1..items.len()).rev() {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        items.swap(last, (random >> 33) as usize % (last + 1));
    }
}

fn acknowledgments(c: &mut Criterion) {
    let case = |name, arrivals, offload| Case {
        name,
        arrivals,
        offload,
    };
    let cases = [
        case("in order", Arrivals::InOrder, false),
        case("one hole", Arrivals::OneHole, false),
        case("anywhere", Arrivals::Anywhere, false),
        case("anywhere, of super-segments", Arrivals::Anywhere, true),
        case("every second", Arrivals::EverySecond, false),
        case("from the end", Arrivals::FromTheEnd, false),
        case("undo", Arrivals::Undone, false),
        case("reneging", Arrivals::Reneged, false),
        case(
            "every second, of super-segments",
            Arrivals::EverySecond,
            true,
        ),
    ];
    let mut group = c.benchmark_group("ACK by segments in flight");
    group.throughput(Throughput::Elements(1));
    group.sample_size(10);
    let mut means = BTreeMap::new();
    for case in cases {
        for segments in FLIGHTS {
            let mean = means.entry((case.name, segments)).or_default();
            group.bench_function(BenchmarkId::new(case.to_string(), segments), |b| {
                b.iter_custom(|iterations| {
                    let (mut elapsed, mut done) = (Duration::ZERO, 0);
                    while done < iterations {
                        let (time, count) = Flight::new(case, segments).run();
                        elapsed += time;
                        done += count;
                    }
                    *mean = elapsed.as_nanos() as f64 / done as f64;
                    // More iterations than requested may have been run.
                    elapsed.mul_f64(iterations as f64 / done as f64)
                });
            });
        }
    }
    group.finish();
    print_ratios(&means);
}

fn print_ratios(means: &BTreeMap<(&str, u32), f64>) {
    for (&(name, segments), mean) in means {
        let ordinary = means.get(&("in order", segments)).copied();
        let ratio = mean / ordinary.unwrap_or_default();
        // Benchmarks excluded by the filter were not measured.
        if ratio.is_normal() {
            println!("{name}, {segments} in flight: {ratio:.1} x an acknowledgment in order");
        }
    }
}

fn main() {
    let mut c = Criterion::default().configure_from_args();
    acknowledgments(&mut c);
    c.final_summary();
}

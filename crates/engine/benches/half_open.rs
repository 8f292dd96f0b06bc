//! The cost of a SYN among the half-open connections of a listener, to distinct destinations and
//! from distinct networks.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion};
use millstream_engine::{
    Cidr, Config, Instant, ListenOptions, ListenerId, RxChecksum, Stack, SynCookies, Transmit,
};
use millstream_testbed::packet;
use millstream_wire::SeqNum;
use millstream_wire::tcp::{Flags, Header, Options};

const SIZES: [u32; 3] = [10, 1_000, 100_000];
const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// Time after which an undecided attempt ends.
const LIFETIME: Duration = Duration::from_secs(75);

/// A listener with half-open connections: for one address, or for every address.
struct Listening {
    stack: Stack,
    listener: ListenerId,
    any: bool,
    now: Instant,
    /// Interval between two SYNs, so that all of them arrive within the lifetime of one.
    interval: Duration,
    counter: u32,
    out: Transmit,
}

impl Listening {
    fn new(any: bool, size: u32, backlog: u32) -> Self {
        let config = Config::default()
            .addresses(vec![Cidr::new(OWN.into(), 24)])
            .syn_cookies(SynCookies::Off);
        let mut stack = Stack::new(config, [3; 32]);
        let options = ListenOptions::default().backlog(backlog as usize);
        let listener = if any {
            stack.listen_any(options)
        } else {
            let binding = stack.bind((OWN, 443).into(), true).expect("it is free");
            stack.listen(binding, options)
        };
        let mut listening = Self {
            stack,
            listener: listener.expect("it is free"),
            any,
            now: Instant::from_millis(1),
            interval: LIFETIME / size,
            counter: 0,
            out: Transmit::new(),
        };
        for _ in 0..size {
            listening.syn();
            listening.now += listening.interval;
        }
        listening
    }

    /// The `n`-th client's segment.
    fn segment(&self, n: u32, flags: Flags, seq: u32) -> Bytes {
        let network = (n & 0x3F_FFFF) << 8;
        let source = IpAddr::from(Ipv4Addr::from_bits(0x1400_0000 + network));
        let own = if self.any {
            Ipv4Addr::from_bits(0x6000_0000 + (n & 0xFF_FFFF))
        } else {
            OWN
        };
        let header = Header {
            src_port: 40_000 + (n >> 22) as u16,
            dst_port: 443,
            seq: SeqNum::new(seq),
            ack: SeqNum::new(0),
            flags,
            window: 65_535,
            urgent: 0,
            options: Options::default(),
        };
        packet::tcp(source, own.into(), &header, &[]).into()
    }

    fn take(&mut self, packet: Bytes) {
        self.stack
            .handle_packet(self.now, packet, RxChecksum::Trusted);
        while self.stack.poll_transmit(self.now, &mut self.out) {
            black_box(&self.out);
        }
        while let Some(event) = self.stack.poll_event() {
            black_box(event);
        }
    }

    fn syn(&mut self) {
        self.counter = self.counter.wrapping_add(1);
        let syn = self.segment(self.counter, Flags::SYN, 0);
        self.take(syn);
    }

    fn reset(&mut self) {
        let reset = self.segment(self.counter, Flags::RST, 1);
        self.take(reset);
    }

    /// The application receives an attempt and admits it.
    fn admit(&mut self) {
        while let Some(attempt) = self.stack.next_attempt(self.listener) {
            self.stack.admit(self.now, attempt.id);
        }
        while self.stack.poll_transmit(self.now, &mut self.out) {
            black_box(&self.out);
        }
    }

    fn tick(&mut self) {
        self.now += self.interval;
        self.stack.handle_timeout(self.now);
    }
}

fn main() {
    let mut c = Criterion::default().configure_from_args();
    let mut bench = |name: &str, any: bool, spare: u32, step: fn(&mut Listening)| {
        let mut group = c.benchmark_group(name);
        for size in SIZES {
            let mut listening = Listening::new(any, size, size + spare);
            group.bench_function(BenchmarkId::from_parameter(size), |b| {
                b.iter(|| step(&mut listening));
            });
        }
        group.finish();
    };
    bench("SYN and reset", false, 10, |listening| {
        listening.syn();
        listening.reset();
    });
    bench("SYN and reset, every address", true, 10, |listening| {
        listening.syn();
        listening.reset();
    });
    bench("SYN, admitted, and reset, every address", true, 10, |l| {
        l.syn();
        l.admit();
        l.reset();
    });
    bench("SYN in place of the oldest", true, 0, Listening::syn);
    bench("SYN, and the oldest expires", true, 1_000, |listening| {
        listening.tick();
        listening.syn();
    });
    c.final_summary();
}

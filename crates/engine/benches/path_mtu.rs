//! A router's report about an unknown path, with few and with many earlier reports.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion};
use millstream_engine::{Cidr, Config, Instant, RxChecksum, SocketOptions, Stack, Transmit};
use millstream_testbed::packet;
use millstream_wire::icmp::ErrorKind;
use millstream_wire::tcp::{Flags, Header, View};

/// Numbers of destinations with reports. The last exceeds the capacity.
const KNOWN: [u32; 3] = [10, 1_000, 100_000];
const OURS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

fn stack() -> Stack {
    let config = Config::default().addresses(vec![Cidr::new(OURS, 8)]);
    Stack::new(config, [1; 32])
}

fn destination(number: u32) -> SocketAddr {
    let [_, b, c, d] = number.to_be_bytes();
    SocketAddr::from(([11, b, c, d], 80))
}

fn sent(stack: &mut Stack) -> Vec<u8> {
    let (mut out, mut last) = (Transmit::new(), Vec::new());
    while stack.poll_transmit(Instant::ZERO, &mut out) {
        last.clear();
        out.write_to(&mut last);
    }
    last
}

/// A connection to a new destination with a full segment in flight, and a router's report about it.
fn told(stack: &mut Stack, number: u32) -> Bytes {
    let remote = destination(number);
    let id = stack
        .connect(Instant::ZERO, None, remote, SocketOptions::default())
        .expect("connects");
    let syn = sent(stack);
    let view = View::parse(&syn[20..]).expect("our SYN");
    let answer = Header {
        src_port: 80,
        dst_port: view.src_port(),
        seq: view.seq(),
        ack: view.seq() + 1,
        flags: Flags::SYN | Flags::ACK,
        window: 65_535,
        ..Header::default()
    };
    let packet = packet::tcp(remote.ip(), OURS, &answer, &[]);
    stack.handle_packet(Instant::ZERO, packet.into(), RxChecksum::Trusted);
    let written = stack.write(Instant::ZERO, id, &[0; 536]);
    assert_eq!(written, Ok(536));
    let quoted = &sent(stack)[..28];
    let kind = ErrorKind::PacketTooBig { mtu: 560 };
    let error = packet::icmp_error(remote.ip(), OURS, kind, quoted);
    error.expect("IPv4 has that error").into()
}

fn main() {
    let mut c = Criterion::default()
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut group = c.benchmark_group("packet too big");
    for known in KNOWN {
        let mut stack = stack();
        let mut number = 0;
        let mut next = |stack: &mut Stack| {
            number += 1;
            told(stack, number)
        };
        for _ in 0..known {
            let packet = next(&mut stack);
            stack.handle_packet(Instant::ZERO, packet, RxChecksum::Trusted);
            sent(&mut stack);
        }
        let stack = std::cell::RefCell::new(stack);
        group.bench_function(BenchmarkId::from_parameter(known), |b| {
            b.iter_batched(
                || next(&mut stack.borrow_mut()),
                |packet| {
                    let mut stack = stack.borrow_mut();
                    stack.handle_packet(Instant::ZERO, packet, RxChecksum::Trusted);
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
    c.final_summary();
}

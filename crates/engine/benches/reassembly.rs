//! A datagram in two fragments while many others are incomplete: the cost should not depend on
//! their number.

use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion};
use millstream_engine::{Cidr, Config, Instant, RxChecksum, Stack};
use millstream_testbed::packet;
use millstream_wire::ip;

/// Numbers of datagrams of which one fragment has arrived. The last exceeds the capacity.
const WAITING: [u32; 3] = [10, 1_000, 100_000];
const OURS: [u8; 4] = [10, 0, 0, 1];
const PROTOCOL: u8 = 132;

/// The first or the last half of datagram `id`.
fn half(src: [u8; 4], id: u16, last: bool) -> Bytes {
    let header = ip::Header {
        ident: id,
        ..ip::Header::new(src.into(), OURS.into(), PROTOCOL)
    };
    let offset = if last { 512 } else { 0 };
    packet::fragment(header, offset, !last, &[0; 512]).into()
}

/// A stack with `waiting` incomplete datagrams, of one source or of as many sources.
fn stack(waiting: u32, one_source: bool) -> Stack {
    let config = Config::default().addresses(vec![Cidr::new(OURS.into(), 8)]);
    let mut stack = Stack::new(config, [1; 32]);
    for number in 0..waiting {
        let [_, b, c, d] = number.to_be_bytes();
        let src = if one_source {
            [10, 9, 9, 9]
        } else {
            [11, b, c, d]
        };
        let fragment = half(src, number as u16, false);
        stack.handle_packet(Instant::ZERO, fragment, RxChecksum::Unverified);
    }
    stack
}

fn two_fragments(c: &mut Criterion) {
    let mut group = c.benchmark_group("two fragments");
    let halves = [false, true].map(|last| half([10, 0, 0, 2], 7, last));
    for (name, one_source) in [("one source", true), ("many sources", false)] {
        for waiting in WAITING {
            let mut stack = stack(waiting, one_source);
            group.bench_function(BenchmarkId::new(name, waiting), |b| {
                b.iter(|| {
                    for fragment in &halves {
                        let checksum = RxChecksum::Unverified;
                        stack.handle_packet(Instant::ZERO, fragment.clone(), checksum);
                    }
                });
            });
        }
    }
    group.finish();
}

fn main() {
    let mut c = Criterion::default()
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    two_fragments(&mut c);
    c.final_summary();
}

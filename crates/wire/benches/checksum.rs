//! The Internet checksum compared with well-known crates.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use millstream_wire::checksum::Sum;

fn checksum(c: &mut Criterion) {
    let mut group = c.benchmark_group("checksum");
    for len in [20, 60, 1460, 65_535] {
        let data: Vec<u8> = (0..len).map(|i: u32| (i * 151 + 77) as u8).collect();
        group.throughput(Throughput::Bytes(u64::from(len)));
        group.bench_with_input(BenchmarkId::new("millstream", len), &data, |b, data| {
            b.iter(|| {
                let mut sum = Sum::new();
                sum.add(black_box(data));
                sum.finish()
            });
        });
        group.bench_with_input(
            BenchmarkId::new("internet-checksum", len),
            &data,
            |b, data| {
                b.iter(|| internet_checksum::checksum(black_box(data)));
            },
        );
        group.bench_with_input(BenchmarkId::new("etherparse", len), &data, |b, data| {
            b.iter(|| {
                etherparse::checksum::Sum16BitWords::new()
                    .add_slice(black_box(data))
                    .ones_complement()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, checksum);
criterion_main!(benches);

//! The engine's own tables beside those of other crates: routes, prefixes, sets of ranges.
//! docs/dependencies.md says which are used, and why.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{BenchmarkId, Criterion};
use ipnet::{IpNet, Ipv4Net};
use millstream_engine::Cidr;
use prefix_trie::PrefixMap;

/// The engine's module by the name that the included files use.
mod cidr {
    pub(crate) use millstream_engine::Cidr;
}
#[allow(
    dead_code,
    unused_imports,
    reason = "tests, and methods that are not measured"
)]
#[path = "../src/tcp/buffer/range_set.rs"]
mod range_set;
#[allow(dead_code, unused_imports, reason = "its tests")]
#[path = "../src/ip/route_table.rs"]
mod route_table;

use route_table::RouteTable;

const ROUTES: [u32; 4] = [1, 10, 100, 1_000];
const RANGES: [u64; 3] = [10, 1_000, 100_000];

/// Length of a range, and the distance between the beginnings of two ranges.
const LEN: u64 = 1_000;
const APART: u64 = 4 * LEN;

/// Networks of 256 addresses, every other one.
fn network(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0A00_0000 | number << 9)
}

/// Numbers below `count` in an order that a cache does not guess.
fn spread(count: u64) -> impl FnMut() -> u64 {
    let mut at = 0u64;
    move || {
        at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (at >> 33) % count
    }
}

fn routes(c: &mut Criterion) {
    let mut group = c.benchmark_group("route");
    for count in ROUTES {
        let list: Vec<_> = (0..count)
            .map(|n| Cidr::new(network(n).into(), 24))
            .collect();
        let table = RouteTable::new(list.iter().copied());
        let mut trie = PrefixMap::<Ipv4Net, usize>::new();
        for (position, route) in list.iter().enumerate() {
            let IpAddr::V4(address) = route.address else {
                continue;
            };
            trie.insert(Ipv4Net::new_assert(address, route.prefix), position);
        }
        let mut next = spread(count.into());
        let mut address = move || Ipv4Addr::from_bits(network(next() as u32).to_bits() | 7);

        group.bench_function(BenchmarkId::new("scan", count), |b| {
            b.iter(|| {
                let ip = IpAddr::V4(black_box(address()));
                list.iter()
                    .filter(|route| route.contains(ip))
                    .max_by_key(|route| route.prefix)
                    .is_some()
            });
        });
        group.bench_function(BenchmarkId::new("table", count), |b| {
            b.iter(|| table.find(IpAddr::V4(black_box(address()))));
        });
        group.bench_function(BenchmarkId::new("prefix-trie", count), |b| {
            b.iter(|| {
                let host = Ipv4Net::new_assert(black_box(address()), 32);
                trie.get_lpm(&host).map(|(_, position)| *position)
            });
        });
    }
    group.finish();
}

fn prefixes(c: &mut Criterion) {
    let mut group = c.benchmark_group("contains");
    let mut next = spread(512);
    let mut address = move || IpAddr::V4(network(next() as u32));
    let ours = Cidr::new(network(0).into(), 16);
    group.bench_function("Cidr", |b| {
        b.iter(|| black_box(ours).contains(black_box(address())));
    });
    let theirs = IpNet::V4(Ipv4Net::new_assert(network(0), 16));
    group.bench_function("ipnet", |b| {
        b.iter(|| black_box(theirs).contains(&black_box(address())));
    });
    group.finish();
}

/// A range between two others is added, with the question which part of it is new, and removed.
fn ranges(c: &mut Criterion) {
    let mut group = c.benchmark_group("ranges");
    for count in RANGES {
        let mut ours = range_set::RangeSet::new();
        let mut theirs = rangemap::RangeSet::<u64>::new();
        for n in 0..count {
            let start = n * APART;
            ours.insert(start, start + LEN, &mut |_, _| {});
            theirs.insert(start..start + LEN);
        }
        let mut next = spread(count);
        let mut start = move || next() * APART + LEN + LEN / 2;

        group.bench_function(BenchmarkId::new("ours", count), |b| {
            b.iter(|| {
                let start = black_box(start());
                let mut fresh = 0;
                ours.insert(start, start + LEN, &mut |from, to| fresh += to - from);
                ours.remove(start, start + LEN);
                fresh
            });
        });
        group.bench_function(BenchmarkId::new("rangemap", count), |b| {
            b.iter(|| {
                let start = black_box(start());
                let range = start..start + LEN;
                let fresh: u64 = theirs.gaps(&range).map(|gap| gap.end - gap.start).sum();
                theirs.insert(range.clone());
                theirs.remove(range);
                fresh
            });
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    routes(&mut criterion);
    prefixes(&mut criterion);
    ranges(&mut criterion);
    criterion.final_summary();
}

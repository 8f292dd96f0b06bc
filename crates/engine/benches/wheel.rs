//! The timing wheel compared with the ordered map that it replaces.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion};
use millstream_engine::{Instant, TimerId, Wheel};

const SIZES: [u32; 2] = [1_000, 1_000_000];

/// The operations of both.
trait Timers {
    type Id: Copy;
    fn insert(&mut self, deadline: Instant, key: u32) -> Self::Id;
    fn cancel(&mut self, id: Self::Id);
    fn expire(&mut self, now: Instant) -> Option<u32>;
}

impl Timers for Wheel {
    type Id = TimerId;

    fn insert(&mut self, deadline: Instant, key: u32) -> TimerId {
        Wheel::insert(self, deadline, key)
    }

    fn cancel(&mut self, id: TimerId) {
        Wheel::cancel(self, id);
    }

    fn expire(&mut self, now: Instant) -> Option<u32> {
        Wheel::expire(self, now)
    }
}

impl Timers for BTreeMap<(Instant, u32), ()> {
    type Id = (Instant, u32);

    fn insert(&mut self, deadline: Instant, key: u32) -> (Instant, u32) {
        BTreeMap::insert(self, (deadline, key), ());
        (deadline, key)
    }

    fn cancel(&mut self, id: (Instant, u32)) {
        self.remove(&id);
    }

    fn expire(&mut self, now: Instant) -> Option<u32> {
        let first = self.first_entry()?;
        let (deadline, key) = *first.key();
        (deadline <= now).then(|| {
            first.remove();
            key
        })
    }
}

/// Retransmission timeouts, spread over ten seconds in no particular order (a multiplicative
/// congruence).
fn deadline(now: Instant, n: u32) -> Instant {
    let spread = u64::from(n.wrapping_mul(2_654_435_761)) * 10_000 / (1 << 32);
    now + Duration::from_millis(200) + Duration::from_micros(spread * 1_000)
}

fn filled<T: Timers + Default>(size: u32) -> T {
    let mut timers = T::default();
    for n in 0..size {
        timers.insert(deadline(Instant::ZERO, n), n);
    }
    timers
}

/// Starts and stops a timer among `size` others.
fn insert_and_cancel<T: Timers + Default>(c: &mut Criterion, name: &str) {
    let mut group = c.benchmark_group("insert+cancel");
    for size in SIZES {
        let mut timers: T = filled(size);
        let mut n = size;
        group.bench_function(BenchmarkId::new(name, size), |b| {
            b.iter(|| {
                n = n.wrapping_add(1);
                let id = timers.insert(black_box(deadline(Instant::ZERO, n)), n);
                timers.cancel(id);
            });
        });
    }
    group.finish();
}

/// Starts `size` timers and lets all of them fire.
fn insert_and_fire<T: Timers + Default>(c: &mut Criterion, name: &str) {
    let mut group = c.benchmark_group("insert+fire");
    group.sample_size(10);
    for size in SIZES {
        group.throughput(criterion::Throughput::Elements(size.into()));
        group.bench_function(BenchmarkId::new(name, size), |b| {
            b.iter_batched_ref(
                T::default,
                |timers| {
                    for n in 0..size {
                        timers.insert(deadline(Instant::ZERO, n), n);
                    }
                    let mut now = Instant::ZERO;
                    let mut fired = 0;
                    while fired < size {
                        now += Duration::from_millis(1);
                        while timers.expire(now).is_some() {
                            fired += 1;
                        }
                    }
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn main() {
    let mut c = Criterion::default().configure_from_args();
    insert_and_cancel::<Wheel>(&mut c, "wheel");
    insert_and_cancel::<BTreeMap<(Instant, u32), ()>>(&mut c, "btree");
    insert_and_fire::<Wheel>(&mut c, "wheel");
    insert_and_fire::<BTreeMap<(Instant, u32), ()>>(&mut c, "btree");
    c.final_summary();
}

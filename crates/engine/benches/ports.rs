//! The choice of a port for a connection, with few and with many in use toward the same
//! destination.

use std::net::SocketAddr;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use millstream_engine::{Cidr, Config, Instant, SocketOptions, Stack};

/// Numbers of connections to the destination. The range has 64,512 ports.
const USED: [u32; 3] = [10, 1_000, 60_000];

fn connect(stack: &mut Stack, remote: SocketAddr) -> millstream_engine::ConnectionId {
    let options = SocketOptions::default();
    let id = stack.connect(Instant::ZERO, None, remote, options);
    id.expect("a port is free")
}

fn stack(used: u32, remote: SocketAddr) -> Stack {
    let config = Config::default()
        .addresses(vec![Cidr::new([10, 0, 0, 1].into(), 8)])
        .ephemeral_ports(1_024..=65_535);
    let mut stack = Stack::new(config, [1; 32]);
    for _ in 0..used {
        connect(&mut stack, remote);
    }
    stack
}

fn main() {
    let mut c = Criterion::default()
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let busy = SocketAddr::from(([10, 0, 0, 2], 80));
    for (name, remote) in [
        ("connect to the same", busy),
        ("connect to another", SocketAddr::from(([10, 0, 0, 3], 80))),
    ] {
        let mut group = c.benchmark_group(name);
        for used in USED {
            let mut stack = stack(used, busy);
            group.bench_function(BenchmarkId::from_parameter(used), |b| {
                b.iter(|| {
                    let id = connect(&mut stack, remote);
                    stack.abort(Instant::ZERO, id);
                });
            });
        }
        group.finish();
    }
    let mut group = c.benchmark_group("bind");
    for used in USED {
        let mut stack = stack(used, busy);
        group.bench_function(BenchmarkId::from_parameter(used), |b| {
            b.iter(|| {
                let local = SocketAddr::from(([10, 0, 0, 1], 0));
                let binding = stack.bind(local, false).expect("a port is free");
                stack.unbind(binding);
            });
        });
    }
    group.finish();
    c.final_summary();
}

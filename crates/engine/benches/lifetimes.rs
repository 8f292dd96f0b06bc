//! The cost of connections without an application, by their number: the end of one call's worth of
//! TIME-WAIT records that are due together, and a place among the orphans when all are taken.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion};
use millstream_engine::{
    Cidr, Config, ConnectionId, Instant, ListenOptions, ListenerId, RxChecksum, Stack, Transmit,
};
use millstream_testbed::packet;
use millstream_wire::SeqNum;
use millstream_wire::tcp::{Flags, Header, Options};

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const SIZES: [u32; 4] = [10, 1_000, 100_000, 1_000_000];
const NOW: Instant = Instant::from_millis(1000);
const OURS: SeqNum = SeqNum::new(5000);
const THEIRS: SeqNum = SeqNum::new(9000);

struct Server {
    stack: Stack,
    listener: ListenerId,
    clients: u32,
    out: Transmit,
}

impl Server {
    fn new(max_orphans: usize) -> Self {
        let config = Config::default()
            .addresses(vec![Cidr::new(SERVER, 8)])
            .max_orphans(max_orphans);
        let mut stack = Stack::new(config, [7; 32]);
        let binding = stack.bind((SERVER, 80).into(), false).expect("binds");
        let listener = stack.listen(binding, ListenOptions::default());
        Self {
            stack,
            listener: listener.expect("listens"),
            clients: 0,
            out: Transmit::new(),
        }
    }

    fn inject(&mut self, client: u32, flags: Flags, seq: SeqNum, ack: SeqNum, window: u16) {
        let address = Ipv4Addr::from(0x0a01_0000 + client / 1000);
        let header = Header {
            src_port: 1024 + (client % 1000) as u16,
            dst_port: 80,
            seq,
            ack,
            flags,
            window,
            urgent: 0,
            options: Options::default(),
        };
        let packet = packet::tcp(address.into(), SERVER, &header, &[]);
        self.stack
            .handle_packet(NOW, packet.into(), RxChecksum::Trusted);
        self.drain();
    }

    fn drain(&mut self) {
        while self.stack.poll_transmit(NOW, &mut self.out) {}
        while self.stack.poll_event().is_some() {}
    }

    fn connect(&mut self, window: u16) -> (u32, ConnectionId) {
        let client = self.clients;
        self.clients += 1;
        self.stack.set_next_isn(OURS);
        let zero = SeqNum::new(0);
        self.inject(client, Flags::SYN, THEIRS, zero, window);
        self.inject(client, Flags::ACK, THEIRS + 1, OURS + 1, window);
        let accepted = self.stack.accept(self.listener);
        (client, accepted.expect("a connection").id)
    }

    /// A connection that ends in TIME-WAIT.
    fn leave_time_wait(&mut self) {
        let (client, id) = self.connect(60_000);
        self.stack.close(NOW, id);
        self.drain();
        let flags = Flags::FIN | Flags::ACK;
        self.inject(client, flags, THEIRS + 1, OURS + 2, 60_000);
    }

    /// A connection with an answer that the peer does not accept.
    fn unanswered(&mut self) -> ConnectionId {
        let (_, id) = self.connect(0);
        self.stack.write(NOW, id, &[0; 100]).expect("writes");
        self.drain();
        id
    }
}

fn time_wait(c: &mut Criterion) {
    let mut group = c.benchmark_group("a turn of TIME-WAIT records that are due");
    group.sample_size(10).warm_up_time(Duration::from_millis(1));
    for size in SIZES {
        let due = || {
            let mut server = Server::new(1 << 16);
            for _ in 0..size {
                server.leave_time_wait();
            }
            assert_eq!(server.stack.time_wait_count(), size as usize);
            server
        };
        let later = NOW + Duration::from_secs(60);
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter_batched_ref(
                due,
                |server| server.stack.handle_timeout(later),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn orphan(c: &mut Criterion) {
    let mut group = c.benchmark_group("an orphan whose place another gives up");
    for size in [10, 1_000, 60_000] {
        let mut server = Server::new(size as usize);
        for _ in 0..size {
            let id = server.unanswered();
            server.stack.close(NOW, id);
            server.drain();
        }
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| {
                let id = server.unanswered();
                server.stack.close(NOW, id);
                server.drain();
            });
        });
        assert_eq!(server.stack.orphan_count(), size as usize);
    }
    group.finish();
}

fn main() {
    let mut c = Criterion::default().configure_from_args();
    time_wait(&mut c);
    orphan(&mut c);
    c.final_summary();
}

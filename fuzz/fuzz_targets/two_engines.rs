//! Two engines and a network that the fuzzer plays: it drops, doubles, delays, swaps, damages and forges. What arrives is a
//! beginning of what was written; once the network is good again, everything arrives or both sides are told.
#![no_main]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use millstream_engine::{
    Cidr, Config, ConnectionId, Instant, ListenOptions, ListenerId, Read, RxChecksum, SocketOptions,
    Stack, Transmit,
};

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 0, 2];

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Fate {
    Deliver,
    Drop,
    Twice,
    /// Behind what comes after it.
    Later,
    /// With a byte changed, which the checksum sees.
    Damaged { at: u16, by: u8 },
}

#[derive(Arbitrary, Debug)]
enum Step {
    Write { from_client: bool, length: u16 },
    Read { at_client: bool, length: u16 },
    Network { to_client: bool, fate: Fate },
    Wait { millis: u16 },
    Finish { client: bool },
}

#[derive(Arbitrary, Debug)]
struct Input {
    client: Choices,
    server: Choices,
    steps: Vec<Step>,
}

/// Options in which two ends may differ.
#[derive(Arbitrary, Debug)]
struct Choices {
    sack: bool,
    timestamps: bool,
    window_scaling: bool,
    rack: bool,
    frto: bool,
    nodelay: bool,
    small_buffers: bool,
    mss: Option<u8>,
    algorithm: u8,
}

impl Choices {
    fn options(&self) -> SocketOptions {
        let mut options = SocketOptions::default().sack(self.sack).timestamps(self.timestamps).window_scaling(self.window_scaling).rack(self.rack).frto(self.frto).nodelay(self.nodelay).max_segment_size(self.mss.map(|mss| 88 + 4 * u16::from(mss)));
        let all = millstream_engine::CongestionControl::ALL;
        options.congestion = all[usize::from(self.algorithm) % all.len()];
        if self.small_buffers {
            options.fix_receive_buffer(6000);
            options.fix_send_buffer(6000);
        }
        options
    }
}

/// One end: what it wrote, and how much the other has read of it.
struct End {
    stack: Stack,
    id: Option<ConnectionId>,
    /// Packets on their way to this end.
    incoming: VecDeque<Bytes>,
    written: u64,
    read: u64,
    finished: bool,
    failed: bool,
}

struct World {
    now: Instant,
    client: End,
    server: End,
    listener: ListenerId,
}

/// The byte of a stream at a position.
fn byte(position: u64) -> u8 {
    (position ^ (position >> 8) ^ (position >> 16)) as u8
}

impl End {
    fn new(address: [u8; 4]) -> Self {
        let config = Config::default().addresses(vec![Cidr::new(address.into(), 24)]);
        Self {
            stack: Stack::new(config, [address[3]; 32]),
            id: None,
            incoming: VecDeque::new(),
            written: 0,
            read: 0,
            finished: false,
            failed: false,
        }
    }

    fn write(&mut self, now: Instant, length: usize) {
        let Some(id) = self.id.filter(|_| !self.finished) else {
            return;
        };
        let data: Vec<u8> = (self.written..).take(length).map(byte).collect();
        match self.stack.write(now, id, &data) {
            Ok(taken) => self.written += taken as u64,
            Err(_) => self.failed = true,
        }
    }

    fn read(&mut self, now: Instant, length: usize) {
        let Some(id) = self.id else { return };
        let mut chunks: Vec<Bytes> = Vec::new();
        match self.stack.read(now, id, length, &mut chunks) {
            Ok(Read::Data(_) | Read::WouldBlock | Read::Eof) => {}
            Err(_) => self.failed = true,
        }
        for byte_read in chunks.iter().flatten() {
            assert_eq!(*byte_read, byte(self.read), "byte {} is wrong", self.read);
            self.read += 1;
        }
    }

    fn send_to(&mut self, now: Instant, other: &mut VecDeque<Bytes>) {
        let mut out = Transmit::new();
        let mut count = 0;
        while self.stack.poll_transmit(now, &mut out) {
            count += 1;
            assert!(count < 20_000, "output does not end");
            let mut bytes = Vec::new();
            out.write_to(&mut bytes);
            other.push_back(bytes.into());
        }
        while self.stack.poll_event().is_some() {}
    }
}

impl World {
    fn new(input: &Input) -> Option<Self> {
        let (mut client, mut server) = (End::new(CLIENT), End::new(SERVER));
        let now = Instant::from_millis(1000);
        let address = SocketAddr::from((SERVER, 80));
        let binding = server.stack.bind(address, true).ok()?;
        let options = ListenOptions::default().socket(input.server.options());
        let listener = server.stack.listen(binding, options).ok()?;
        client.id = client.stack.connect(now, None, address, input.client.options()).ok();
        Some(Self {
            now,
            client,
            server,
            listener,
        })
    }

    fn flush(&mut self) {
        let Self { client, server, now, .. } = self;
        client.send_to(*now, &mut server.incoming);
        server.send_to(*now, &mut client.incoming);
        if self.server.id.is_none() {
            self.server.id = self.server.stack.accept(self.listener).map(|accepted| accepted.id);
        }
    }

    fn deliver(&mut self, to_client: bool, fate: Fate) {
        let now = self.now;
        let end = if to_client { &mut self.client } else { &mut self.server };
        let Some(packet) = end.incoming.pop_front() else {
            return;
        };
        let mut take = |packet: Bytes| end.stack.handle_packet(now, packet, RxChecksum::Unverified);
        match fate {
            Fate::Deliver => take(packet),
            Fate::Drop => {}
            Fate::Twice => {
                take(packet.clone());
                take(packet);
            }
            Fate::Later => end.incoming.push_back(packet),
            Fate::Damaged { at, by } => {
                let mut bytes = packet.to_vec();
                // One byte: the checksum of a header or the segment sees it.
                let at = usize::from(at) % bytes.len();
                bytes[at] ^= by.max(1);
                take(bytes.into());
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        let mut fired = 0;
        loop {
            let ends = [&self.client.stack, &self.server.stack];
            let next = ends.into_iter().filter_map(Stack::poll_timeout).min();
            let Some(next) = next.filter(|&next| next <= until) else {
                break;
            };
            fired += 1;
            assert!(fired < 100_000, "timers do not come to rest");
            self.now = self.now.max(next);
            self.client.stack.handle_timeout(self.now);
            self.server.stack.handle_timeout(self.now);
            self.flush();
        }
        self.now = until;
    }

    /// The network is good from now on, and both read all there is.
    fn settle(&mut self) {
        for _ in 0..4000 {
            while !self.client.incoming.is_empty() || !self.server.incoming.is_empty() {
                self.deliver(true, Fate::Deliver);
                self.deliver(false, Fate::Deliver);
                self.flush();
            }
            let now = self.now;
            self.client.read(now, usize::MAX);
            self.server.read(now, usize::MAX);
            self.flush();
            if self.is_complete() {
                return;
            }
            self.wait(Duration::from_millis(250));
        }
        panic!(
            "after 1,000 s {} of {} and {} of {} bytes have arrived, and nobody was told",
            self.server.read, self.client.written, self.client.read, self.server.written
        );
    }

    fn is_complete(&self) -> bool {
        let all = self.server.read == self.client.written && self.client.read == self.server.written;
        let told = self.client.failed || self.server.failed;
        let over = |end: &End| end.id.is_none_or(|id| end.stack.state(id).is_none());
        all || told || over(&self.client) || over(&self.server)
    }
}

fuzz_target!(|input: Input| {
    let Some(mut world) = World::new(&input) else {
        return;
    };
    world.flush();
    for step in &input.steps {
        let now = world.now;
        match *step {
            Step::Write { from_client, length } => {
                let end = if from_client { &mut world.client } else { &mut world.server };
                end.write(now, usize::from(length));
            }
            Step::Read { at_client, length } => {
                let end = if at_client { &mut world.client } else { &mut world.server };
                end.read(now, usize::from(length));
            }
            Step::Network { to_client, fate } => world.deliver(to_client, fate),
            Step::Wait { millis } => world.wait(Duration::from_millis(millis.into())),
            Step::Finish { client } => {
                let end = if client { &mut world.client } else { &mut world.server };
                if let Some(id) = end.id {
                    end.finished = end.stack.shutdown_write(now, id).is_ok() || end.finished;
                }
            }
        }
        world.flush();
        assert!(world.server.read <= world.client.written);
        assert!(world.client.read <= world.server.written);
    }
    world.settle();
});

//! Two engines and a network controlled by the fuzzer, which drops, duplicates, delays, reorders
//! and damages packets. The data that arrives is a prefix of the data that was written; once the
//! network is reliable, all data arrives or an end is told of the failure.
#![no_main]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use millstream_engine::{
    Cidr, Config, CongestionControl, ConnectionId, ConnectionOptions, Instant, ListenOptions,
    ListenerId, Read, RxChecksum, SocketOptions, Stack, State,
};
use millstream_fuzz::referee::Referee;
use millstream_fuzz::{options, stack};

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 0, 2];
/// The maximum number of bytes written by each end: with small segments, some thousands of
/// segments.
const MOST_WRITTEN: usize = 200_000;
/// Longer than any timer.
const STANDSTILL: Duration = Duration::from_secs(400);

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Fate {
    Deliver,
    Drop,
    Twice,
    /// Delivered after the packets that follow it.
    Later,
    /// Delivered with one byte changed, which the checksum detects.
    Damaged {
        at: u16,
        by: u8,
    },
}

#[derive(Arbitrary, Debug)]
enum Step {
    Write {
        from_client: bool,
        length: u16,
    },
    Read {
        at_client: bool,
        length: u16,
    },
    Network {
        to_client: bool,
        fate: Fate,
    },
    Wait {
        millis: u16,
    },
    /// A buffer shrinks or grows; a window that was offered stays offered.
    Buffer {
        client: bool,
        bytes: u16,
    },
    Finish {
        client: bool,
    },
}

#[derive(Arbitrary, Debug)]
struct Input {
    /// The bytes from which the options of the two ends are chosen.
    choices: [[u8; 24]; 2],
    offload: bool,
    little_memory: bool,
    steps: Vec<Step>,
}

/// The options chosen by the fuzzer, except those with which a connection may stand still for
/// longer than the test waits.
fn chosen(choices: &[u8]) -> SocketOptions {
    let options = options::socket(&mut Unstructured::new(choices));
    let mut options = options::held(options.unwrap_or_default());
    options.max_rto = options.max_rto.min(Duration::from_secs(10));
    options.initial_rto = options.initial_rto.min(options.max_rto);
    options.min_rto = options.min_rto.min(options.max_rto);
    options.max_pacing_rate = options.max_pacing_rate.map(|rate| rate.max(100_000));
    if let CongestionControl::Custom(_) = options.congestion {
        options.congestion = CongestionControl::Bbr;
    }
    options
}

/// One end, with the number of bytes that it has written and read.
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
    referee: Referee,
}

/// The byte at a position of a stream.
fn byte(position: u64) -> u8 {
    (position ^ (position >> 8) ^ (position >> 16)) as u8
}

impl End {
    fn new(address: [u8; 4], input: &Input) -> Self {
        let mut config = Config::default().addresses(vec![Cidr::new(address.into(), 24)]);
        if input.offload {
            config.offload.max_segment = 60_000;
        }
        if input.little_memory {
            config.memory = 20_000;
        }
        let mut stack = Stack::new(config, [address[3]; 32]);
        stack::watch(&mut stack);
        Self {
            stack,
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
        let length = length.min(MOST_WRITTEN.saturating_sub(self.written as usize));
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

    fn send_to(&mut self, now: Instant, other: &mut VecDeque<Bytes>, mut see: impl FnMut(&Bytes)) {
        stack::drain(&mut self.stack, now, |bytes| {
            see(&bytes);
            other.push_back(bytes);
        });
        stack::ask(&self.stack, self.id.as_slice(), &[], &[]);
    }

    /// The progress of this end.
    fn progress(&self) -> (u64, Option<State>) {
        (self.read, self.id.and_then(|id| self.stack.state(id)))
    }
}

impl World {
    fn new(input: &Input) -> Option<Self> {
        let (mut client, mut server) = (End::new(CLIENT, input), End::new(SERVER, input));
        let now = Instant::from_millis(1000);
        let address = SocketAddr::from((SERVER, 80));
        let binding = server.stack.bind(address, true).ok()?;
        let options = ListenOptions::default().socket(chosen(&input.choices[1]));
        let listener = server.stack.listen(binding, options).ok()?;
        client.id = client
            .stack
            .connect(now, None, address, chosen(&input.choices[0]))
            .ok();
        Some(Self {
            now,
            client,
            server,
            listener,
            referee: Referee::default(),
        })
    }

    fn flush(&mut self) {
        let Self {
            client,
            server,
            now,
            referee,
            ..
        } = self;
        client.send_to(*now, &mut server.incoming, |bytes| referee.see(0, bytes));
        server.send_to(*now, &mut client.incoming, |bytes| referee.see(1, bytes));
        if self.server.id.is_none() {
            self.server.id = self
                .server
                .stack
                .accept(self.listener)
                .map(|accepted| accepted.id);
        }
    }

    fn deliver(&mut self, to_client: bool, fate: Fate) {
        let now = self.now;
        let end = if to_client {
            &mut self.client
        } else {
            &mut self.server
        };
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
                // One byte is changed: the checksum of a header or of the segment detects it.
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

    /// Delivers all packets: the network is reliable from now on.
    fn deliver_all(&mut self) {
        while !self.client.incoming.is_empty() || !self.server.incoming.is_empty() {
            self.deliver(true, Fate::Deliver);
            self.deliver(false, Fate::Deliver);
            self.flush();
        }
    }

    /// Has both ends read all data, as long as there is progress.
    fn settle(&mut self) {
        let (mut moved, mut before) = (self.now, None);
        for _ in 0..4000 {
            self.deliver_all();
            let now = self.now;
            self.client.read(now, usize::MAX);
            self.server.read(now, usize::MAX);
            self.flush();
            if self.is_complete() {
                return;
            }
            let progress = Some((self.client.progress(), self.server.progress()));
            if before != progress {
                (moved, before) = (now, progress);
            }
            assert!(
                now - moved < STANDSTILL,
                "{} of {} and {} of {} bytes have arrived, and nobody was told:\n{}",
                self.server.read,
                self.client.written,
                self.client.read,
                self.server.written,
                self.referee.trace()
            );
            self.wait(Duration::from_millis(250));
        }
    }

    /// Closes both ends: nothing is left of the connection.
    fn rest(&mut self) {
        let now = self.now;
        self.server.stack.close_listener(now, self.listener);
        for end in [&mut self.client, &mut self.server] {
            if let Some(id) = end.id.take() {
                end.stack.close(now, id);
            }
        }
        self.flush();
        for _ in 0..400 {
            self.deliver_all();
            self.wait(Duration::from_secs(1));
        }
        for stack in [&self.client.stack, &self.server.stack] {
            let left: Vec<_> = stack.sockets().collect();
            assert!(left.is_empty(), "left: {left:?}");
            assert_eq!((stack.memory_used(), stack.poll_timeout()), (0, None));
        }
    }

    fn is_complete(&self) -> bool {
        let all =
            self.server.read == self.client.written && self.client.read == self.server.written;
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
            Step::Write {
                from_client,
                length,
            } => {
                let end = if from_client {
                    &mut world.client
                } else {
                    &mut world.server
                };
                end.write(now, usize::from(length));
            }
            Step::Read { at_client, length } => {
                let end = if at_client {
                    &mut world.client
                } else {
                    &mut world.server
                };
                end.read(now, usize::from(length));
            }
            Step::Network { to_client, fate } => world.deliver(to_client, fate),
            Step::Wait { millis } => world.wait(Duration::from_millis(millis.into())),
            Step::Buffer { client, bytes } => {
                let end = if client {
                    &mut world.client
                } else {
                    &mut world.server
                };
                if let Some(id) = end.id {
                    let change =
                        |options: &mut ConnectionOptions| options.receive_buffer = bytes.into();
                    end.stack
                        .set_options(now, id, change)
                        .expect("every size holds");
                }
            }
            Step::Finish { client } => {
                let end = if client {
                    &mut world.client
                } else {
                    &mut world.server
                };
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
    world.rest();
});

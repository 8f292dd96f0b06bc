//! Two stacks over a bad link, with many seeds: every byte arrives once and in order, neither sends
//! beyond a window or shrinks one, both ends come to rest, and nothing is left behind.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_engine::{
    CongestionControl, ConnectionId, EcnMode, Read, SocketOptions, State, WriteError,
};
use millstream_wire::tcp::{Flags, Options, View};
use millstream_wire::{SeqNum, WindowScale, ip};
use support::{Fate, Pair, Side};

/// A small generator (xorshift), so that a seed determines the whole run.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        random.below(2);
        random
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}

fn byte(side: Side, at: usize) -> u8 {
    (at.wrapping_mul(31) >> 3) as u8 ^ (at >> 9) as u8 ^ side as u8
}

/// One side's application: the data still to be written, the data read, and the time of closing.
struct App {
    side: Side,
    id: ConnectionId,
    written: usize,
    total: usize,
    read: usize,
    shut: bool,
    eof: bool,
}

impl App {
    /// The application's progress.
    fn progress(&self) -> (usize, usize, bool, bool) {
        (self.written, self.read, self.shut, self.eof)
    }

    /// Writes and reads a random amount each; `false` when it has no more work.
    fn run(&mut self, pair: &mut Pair, random: &mut Random) -> bool {
        let now = pair.now;
        let stack = pair.stack(self.side);
        if self.written < self.total {
            let most = 1 + random.below(20_000) as usize;
            let end = self.total.min(self.written + most);
            let data: Vec<u8> = (self.written..end).map(|at| byte(self.side, at)).collect();
            match stack.write(now, self.id, &data) {
                Ok(length) => self.written += length,
                Err(error) => panic!("write: {error}"),
            }
        } else if !self.shut {
            stack.shutdown_write(now, self.id).unwrap();
            self.shut = true;
            assert_eq!(stack.write(now, self.id, b"x"), Err(WriteError::BrokenPipe));
        }
        let most = 1 + random.below(30_000) as usize;
        let mut chunks: Vec<bytes::Bytes> = Vec::new();
        match stack.read(now, self.id, most, &mut chunks).unwrap() {
            Read::Data(_) => {
                for found in chunks.concat() {
                    assert_eq!(
                        found,
                        byte(self.side.other(), self.read),
                        "at {}",
                        self.read
                    );
                    self.read += 1;
                }
            }
            Read::Eof => self.eof = true,
            Read::WouldBlock => {}
        }
        pair.flush();
        !(self.shut && self.eof)
    }
}

/// Checks the packets of both sides on the wire, in the order of sending.
#[derive(Default)]
struct Referee {
    scale: BTreeMap<Side, u8>,
    /// The last right edge that each side advertised, as a sequence number of the other side.
    edge: BTreeMap<Side, SeqNum>,
    checked: usize,
}

impl Referee {
    fn check(&mut self, pair: &Pair) {
        for seen in &pair.seen[self.checked..] {
            let packet = ip::Packet::parse(&seen.bytes).unwrap();
            let view = View::parse(packet.payload()).unwrap();
            let flags = view.flags();
            if flags.contains(Flags::SYN) {
                let options = Options::parse(view.options_bytes());
                self.scale
                    .insert(seen.from, options.window_scale.unwrap_or(0));
            }
            if flags.contains(Flags::ACK) && !flags.contains(Flags::RST) {
                let shift = if flags.contains(Flags::SYN) {
                    0
                } else {
                    self.scale[&seen.from]
                };
                let edge = view.ack() + WindowScale::new(shift).widen(view.window());
                let last = self.edge.insert(seen.from, edge).unwrap_or(edge);
                assert!(
                    last.le(edge),
                    "{:?} took its window back by {}: {}",
                    seen.from,
                    last.distance_from(edge),
                    packet
                );
            }
            let length = view.payload().len() as u32 + u32::from(flags.contains(Flags::FIN));
            if length > 0 && !flags.contains(Flags::SYN) {
                let limit = self.edge[&seen.from.other()];
                let end = view.seq() + length;
                assert!(
                    end.le(limit),
                    "{:?} sent {} beyond the window: {packet}
{}",
                    seen.from,
                    end.distance_from(limit),
                    pair.trace()
                );
            }
        }
        self.checked = pair.seen.len();
    }
}

fn run(seed: u64) {
    let mut random = Random::new(seed);
    let largest = [0, 0, 60_000][random.below(3) as usize];
    // Enough for everything, or so little that the buffers of one connection use it up.
    let memory = [1 << 30, 1 << 30, 20_000, 60_000][random.below(4) as usize];
    let mut pair = Pair::with(|config| {
        config.offload.max_segment = largest;
        config.memory = memory;
    });
    // The capacity of the path; larger packets vanish. Super-segments are not cut on this link.
    let hole = if largest == 0 && random.below(4) == 0 {
        1200
    } else {
        usize::MAX
    };
    pair.latency = Duration::from_micros(100 + random.below(50_000));
    let (loss, duplication, reordering) = (random.below(80), random.below(40), random.below(200));
    let corruption = random.below(20);
    let mut fate = random.clone();
    pair.judge(move |_, bytes, _| match fate.below(1000) {
        _ if bytes.len() > hole => Fate::Drop,
        n if n < loss => Fate::Drop,
        n if n < loss + duplication => Fate::Duplicate,
        n if n < loss + duplication + reordering => {
            Fate::Delay(Duration::from_micros(fate.below(60_000)))
        }
        n if n < loss + duplication + reordering + corruption => {
            Fate::Corrupt(fate.below(12_000) as usize)
        }
        _ => Fate::Deliver,
    });
    let options = SocketOptions::default()
        .receive_buffer(1 << (11 + random.below(9)))
        .send_buffer(1 << (10 + random.below(11)))
        .nodelay(random.below(2) == 0)
        .ecn([EcnMode::Off, EcnMode::Passive, EcnMode::Active][random.below(3) as usize])
        .sack(random.below(4) != 0)
        .timestamps(random.below(4) != 0)
        .window_scaling(random.below(4) != 0)
        .max_segment_size((random.below(3) == 0).then_some(100 + random.below(900) as u16))
        // The worst seeds lose the same segment many times.
        .retries2(60)
        .rack(random.below(4) != 0)
        .tail_loss_probe(random.below(4) != 0)
        .frto(random.below(4) != 0)
        .congestion(CongestionControl::ALL[random.below(3) as usize])
        .pacing(random.below(3) == 0)
        .max_pacing_rate((random.below(6) == 0).then(|| 10_000 + random.below(10_000_000)));
    let (a, b) = pair.established_with(options);
    let mut app = |side, id| App {
        side,
        id,
        written: 0,
        total: random.below(200_000) as usize,
        read: 0,
        shut: false,
        eof: false,
    };
    let mut apps = [app(Side::A, a), app(Side::B, b)];
    let mut referee = Referee::default();
    let mut steps = 0;
    loop {
        let before = apps.each_ref().map(App::progress);
        let busy = apps.each_mut().map(|app| app.run(&mut pair, &mut random));
        referee.check(&pair);
        if busy == [false, false] {
            break;
        }
        let moved = before != apps.each_ref().map(App::progress);
        let later = pair.now + Duration::from_secs(20_000);
        assert!(
            pair.step(later) || moved,
            "no progress any more:\n{}",
            pair.trace()
        );
        steps += 1;
        assert!(steps < 200_000, "livelock");
        if random.below(50) == 0 {
            // An advertised window stays valid, however small the buffer becomes.
            let size = 1 << (11 + random.below(9));
            let now = pair.now;
            pair.a
                .set_options(now, a, |options| options.receive_buffer = size)
                .unwrap();
            pair.flush();
        }
        // The applications run at times of their own, too.
        if random.below(4) == 0 {
            pair.run_for(Duration::from_micros(random.below(20_000)));
        }
    }
    assert_eq!((apps[0].read, apps[1].read), (apps[1].total, apps[0].total));
    let now = pair.now;
    pair.a.close(now, a);
    pair.b.close(now, b);
    pair.run_for(Duration::from_secs(20_000));
    referee.check(&pair);
    for stack in [&pair.a, &pair.b] {
        assert_eq!(stack.connection_count() + stack.time_wait_count(), 0);
        assert_eq!(stack.poll_timeout(), None, "a timer is left");
    }
    for side in [Side::A, Side::B] {
        assert_eq!(pair.states(side).last(), Some(&State::Closed));
    }
}

/// As many seeds as the environment variable `SEEDS` states, or 300.
fn seeds() -> std::ops::Range<u64> {
    let count = std::env::var("SEEDS").ok();
    0..count.map_or(300, |count| count.parse().expect("SEEDS is a number"))
}

#[test]
fn many_seeds() {
    for seed in seeds() {
        if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!("seed {seed} failed");
            std::panic::resume_unwind(panic);
        }
    }
}

/// One side aborts in the middle: the other reads a prefix of the written data and then receives
/// the error, and both come to rest.
fn run_aborted(seed: u64) {
    let mut random = Random::new(seed);
    let mut pair = Pair::new();
    let mut fate = random.clone();
    pair.judge(move |_, _, _| match fate.below(20) {
        0 => Fate::Drop,
        1 => Fate::Duplicate,
        2 => Fate::Delay(Duration::from_micros(fate.below(60_000))),
        _ => Fate::Deliver,
    });
    let (a, b) = pair.established();
    let end = pair.now + Duration::from_millis(random.below(800));
    let (mut written, mut read) = (0, 0);
    while pair.now < end {
        let now = pair.now;
        let data: Vec<u8> = (written..written + 5000)
            .map(|at| byte(Side::A, at))
            .collect();
        written += pair.a.write(now, a, &data).unwrap();
        for found in pair.read(Side::B, b) {
            assert_eq!(found, byte(Side::A, read));
            read += 1;
        }
        pair.run_for(Duration::from_millis(random.below(40)));
    }
    let now = pair.now;
    match random.below(3) {
        0 => pair.a.abort(now, a),
        1 => {
            pair.a.close(now, a);
            pair.b.abort(now, b);
        }
        _ => pair.b.abort(now, b),
    }
    // A remaining side that writes learns of the abort, even if the reset is lost.
    for _ in 0..20 {
        let now = pair.now;
        let _ = pair.a.write(now, a, b"more");
        let _ = pair.b.write(now, b, b"more");
        pair.run_for(Duration::from_secs(100));
    }
    for (side, id) in [(Side::A, a), (Side::B, b)] {
        let state = pair.stack(side).state(id);
        assert!(
            matches!(state, None | Some(State::Closed)),
            "{side:?}: {state:?}"
        );
        let now = pair.now;
        pair.stack(side).close(now, id);
        let stack = pair.stack(side);
        assert_eq!((stack.connection_count(), stack.orphan_count()), (0, 0));
        assert_eq!(stack.poll_timeout(), None, "a timer is left");
    }
    assert!(read <= written);
}

#[test]
fn many_seeds_with_an_abort() {
    for seed in seeds() {
        if let Err(panic) = std::panic::catch_unwind(|| run_aborted(seed)) {
            eprintln!("seed {seed} failed");
            std::panic::resume_unwind(panic);
        }
    }
}

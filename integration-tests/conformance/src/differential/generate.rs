//! Random but plausible sequences: a path into one of the states, followed by random steps.

use fastrand::Rng;
use millstream_wire::tcp::Flags;

use super::sequence::{Ack, Opening, Seq, Sequence, Spec, Step, Timestamp};

/// The maximum number of random steps.
const STEPS: usize = 7;
/// The peer's maximum segment size.
const MSS: u16 = 1000;

/// The state to reach first.
#[derive(Clone, Copy)]
enum Goal {
    Unopened,
    SynReceived,
    Established,
    CloseWait,
    LastAck,
    FinWait1,
    FinWait2,
    Closing,
    TimeWait,
}

const GOALS: [Goal; 12] = [
    Goal::Unopened,
    Goal::SynReceived,
    Goal::SynReceived,
    Goal::Established,
    Goal::Established,
    Goal::Established,
    Goal::CloseWait,
    Goal::LastAck,
    Goal::FinWait1,
    Goal::FinWait2,
    Goal::Closing,
    Goal::TimeWait,
];

/// The sequence for `seed`.
#[must_use]
pub fn sequence(seed: u64) -> Sequence {
    let mut generator = Generator {
        rng: Rng::with_seed(seed),
        stamped: false,
        steps: Vec::new(),
    };
    generator.stamped = generator.one_in(3);
    let opening = if generator.one_in(3) {
        Opening::Connect
    } else {
        Opening::Listen
    };
    generator.enter(opening);
    for _ in 0..generator.rng.usize(1..=STEPS) {
        let step = generator.step();
        generator.steps.push(step);
    }
    let near_the_end = generator.rng.bool();
    Sequence {
        opening,
        nodelay: generator.rng.bool(),
        isn: if near_the_end {
            u32::MAX - generator.rng.u32(0..3000)
        } else {
            generator.rng.u32(..)
        },
        steps: generator.steps,
    }
}

struct Generator {
    rng: Rng,
    /// Whether the peer uses timestamps.
    stamped: bool,
    steps: Vec<Step>,
}

impl Generator {
    fn one_in(&mut self, n: u32) -> bool {
        self.rng.u32(0..n) == 0
    }

    /// Adds the steps that lead into a state.
    fn enter(&mut self, opening: Opening) {
        let goal = GOALS[self.rng.usize(0..GOALS.len())];
        if matches!(goal, Goal::Unopened) {
            return;
        }
        let simultaneous = opening == Opening::Connect && matches!(goal, Goal::SynReceived);
        let mut syn = self.syn();
        if opening == Opening::Connect && !simultaneous {
            syn.flags |= Flags::ACK;
        }
        self.segment(syn);
        if matches!(goal, Goal::SynReceived) {
            return;
        }
        if opening == Opening::Listen {
            self.plain(Flags::ACK);
        }
        if self.one_in(3) {
            let len = self.rng.usize(1..3000);
            self.steps.push(Step::Write(len));
        }
        if self.one_in(3) {
            let mut data = self.stamp(Spec::plain(Flags::ACK));
            data.len = self.rng.u32(1..1400);
            self.segment(data);
        }
        self.leave(goal);
    }

    /// Adds the steps from ESTABLISHED to a later state.
    fn leave(&mut self, goal: Goal) {
        let close = if self.rng.bool() {
            Step::Close
        } else {
            Step::ShutdownWrite
        };
        match goal {
            Goal::Unopened | Goal::SynReceived | Goal::Established => {}
            Goal::CloseWait => self.plain(Flags::FIN | Flags::ACK),
            Goal::LastAck => {
                self.plain(Flags::FIN | Flags::ACK);
                self.steps.push(close);
            }
            Goal::FinWait1 => self.steps.push(close),
            Goal::FinWait2 => {
                self.steps.push(close);
                self.plain(Flags::ACK);
            }
            Goal::Closing => {
                self.steps.push(close);
                let mut fin = self.stamp(Spec::plain(Flags::FIN | Flags::ACK));
                fin.ack = Ack::Next(-1);
                self.segment(fin);
            }
            Goal::TimeWait => {
                self.steps.push(close);
                self.plain(Flags::FIN | Flags::ACK);
            }
        }
    }

    fn plain(&mut self, flags: Flags) {
        let spec = self.stamp(Spec::plain(flags));
        self.segment(spec);
    }

    fn segment(&mut self, spec: Spec) {
        self.steps.push(Step::Segment(spec));
    }

    fn stamp(&mut self, spec: Spec) -> Spec {
        Spec {
            timestamp: if self.stamped {
                Timestamp::New
            } else {
                Timestamp::None
            },
            ..spec
        }
    }

    fn syn(&mut self) -> Spec {
        let mss = [None, Some(MSS), Some(MSS), Some(1460), Some(536)];
        let scale = [None, None, Some(0), Some(7), Some(14), Some(15)];
        let ecn = if self.one_in(4) {
            Flags::ECE | Flags::CWR
        } else {
            Flags::empty()
        };
        let plain = Spec::plain(Flags::SYN | ecn);
        Spec {
            mss: mss[self.rng.usize(0..mss.len())],
            window_scale: scale[self.rng.usize(0..scale.len())],
            sack_permitted: self.rng.bool(),
            ..self.stamp(plain)
        }
    }

    fn step(&mut self) -> Step {
        match self.rng.u32(0..20) {
            0 | 1 => Step::Write(self.rng.usize(1..4000)),
            2 | 3 => Step::Read(self.rng.usize(1..4000)),
            4 => Step::ShutdownWrite,
            5 => Step::Close,
            6 if self.one_in(3) => Step::Abort,
            _ => Step::Segment(self.any_segment()),
        }
    }

    fn any_segment(&mut self) -> Spec {
        let flags = self.flags();
        let syn = flags.contains(Flags::SYN);
        let base = if syn && self.rng.bool() {
            self.syn()
        } else {
            let spec = Spec::plain(flags);
            self.stamp(spec)
        };
        let mut spec = Spec {
            flags,
            seq: self.seq(),
            ack: self.ack(),
            len: self.length(),
            ..base
        };
        if flags.contains(Flags::URG) {
            spec.urgent = self.rng.u16(0..2000);
        }
        if self.one_in(8) {
            spec.window = [0, 1, 100, 1000, u16::MAX][self.rng.usize(0..5)];
        }
        if self.one_in(8) {
            spec.timestamp = [
                Timestamp::None,
                Timestamp::New,
                Timestamp::Same,
                Timestamp::Old,
            ][self.rng.usize(0..4)];
        }
        if self.one_in(10) {
            spec.sack = (self.rng.u32(0..2000), self.rng.u32(1..2000));
        }
        spec.unknown = self.one_in(12);
        spec
    }

    fn flags(&mut self) -> Flags {
        const USUAL: [Flags; 8] = [
            Flags::ACK,
            Flags::ACK,
            Flags::ACK,
            Flags::ACK.union(Flags::PSH),
            Flags::FIN.union(Flags::ACK),
            Flags::RST,
            Flags::SYN,
            Flags::SYN.union(Flags::ACK),
        ];
        if self.one_in(5) {
            let some = self.rng.u8(..);
            return Flags::from_bits_truncate(some);
        }
        USUAL[self.rng.usize(0..USUAL.len())]
    }

    fn seq(&mut self) -> Seq {
        match self.rng.u32(0..16) {
            0 => Seq::Next(-1),
            1 => Seq::Next(1),
            2 => Seq::Next(self.rng.i32(-3000..0)),
            3 => Seq::Next(self.rng.i32(1..3000)),
            4 => Seq::Edge(self.rng.i32(-1..=1)),
            5 => Seq::Edge(self.rng.i32(100_000..1 << 30)),
            6 => Seq::Next(-self.rng.i32(100_000..1 << 30)),
            _ => Seq::Next(0),
        }
    }

    fn ack(&mut self) -> Ack {
        match self.rng.u32(0..16) {
            0 => Ack::Una(0),
            1 => Ack::Una(self.rng.i32(1..3000)),
            2 => Ack::Next(-1),
            3 => Ack::Next(1),
            4 => Ack::Next(self.rng.i32(2..1 << 30)),
            5 => Ack::Una(-1),
            6 => Ack::Una(-self.rng.i32(100_000..1 << 30)),
            _ => Ack::Next(0),
        }
    }

    fn length(&mut self) -> u32 {
        match self.rng.u32(0..6) {
            0 => 1,
            1 => self.rng.u32(1..1400),
            2 => MSS.into(),
            _ => 0,
        }
    }
}

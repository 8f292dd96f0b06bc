//! Smaller sequences that may still show the same difference.

use super::sequence::{Ack, Seq, Sequence, Spec, Step, Timestamp};

/// The maximum number of shrinking steps.
pub const ROUNDS: usize = 60;

/// Sequences slightly smaller than `sequence`, the smallest first.
#[must_use]
pub fn candidates(sequence: &Sequence) -> Vec<Sequence> {
    let mut found = Vec::new();
    let mut add = |candidate: Sequence| {
        if candidate != *sequence && !found.contains(&candidate) {
            found.push(candidate);
        }
    };
    for index in 0..sequence.steps.len() {
        let mut candidate = sequence.clone();
        candidate.steps.remove(index);
        add(candidate);
    }
    add(Sequence {
        isn: 1000,
        ..sequence.clone()
    });
    add(Sequence {
        nodelay: false,
        ..sequence.clone()
    });
    add(without_timestamps(sequence));
    for (index, step) in sequence.steps.iter().enumerate() {
        for simpler in simpler(step) {
            let mut candidate = sequence.clone();
            candidate.steps[index] = simpler;
            add(candidate);
        }
    }
    found
}

fn without_timestamps(sequence: &Sequence) -> Sequence {
    let mut sequence = sequence.clone();
    for step in &mut sequence.steps {
        if let Step::Segment(spec) = step {
            spec.timestamp = Timestamp::None;
        }
    }
    sequence
}

fn simpler(step: &Step) -> Vec<Step> {
    match step {
        Step::Segment(spec) => simpler_segments(spec)
            .into_iter()
            .map(Step::Segment)
            .collect(),
        Step::Write(_) => vec![Step::Write(100)],
        Step::Read(_) => vec![Step::Read(100)],
        Step::Close => vec![Step::ShutdownWrite],
        Step::Abort => vec![Step::Close],
        Step::ShutdownWrite => Vec::new(),
    }
}

fn simpler_segments(spec: &Spec) -> Vec<Spec> {
    let spec = *spec;
    let plain = Spec::plain(spec.flags);
    let mut found = vec![
        Spec { len: 0, ..spec },
        Spec {
            len: spec.len.min(100),
            ..spec
        },
        Spec {
            seq: plain.seq,
            ..spec
        },
        Spec {
            ack: plain.ack,
            ..spec
        },
        Spec {
            window: plain.window,
            ..spec
        },
        Spec {
            sack: (0, 0),
            ..spec
        },
        Spec {
            unknown: false,
            ..spec
        },
        Spec {
            mss: spec.mss.and(Some(1000)),
            ..spec
        },
        Spec { mss: None, ..spec },
        Spec {
            window_scale: None,
            ..spec
        },
        Spec {
            sack_permitted: false,
            ..spec
        },
    ];
    for flag in spec.flags {
        found.push(Spec {
            flags: spec.flags - flag,
            ..spec
        });
    }
    if let Seq::Next(by) = spec.seq {
        found.push(Spec {
            seq: Seq::Next(by.clamp(-100, 100)),
            ..spec
        });
    }
    if let Ack::Una(by) = spec.ack {
        found.push(Spec {
            ack: Ack::Una(by.clamp(-100, 100)),
            ..spec
        });
    }
    found
}

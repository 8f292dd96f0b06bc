//! The link of a lab: a script decides when each packet is seen and when it arrives, or that it never does.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use millstream_wire::checksum;
use millstream_wire::ip::Ecn;

use crate::segment::Segment;

/// What the script says of one packet, in time since the lab began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes the place where the trace is taken, and reaches the other host.
    Carry {
        /// When it passes.
        seen: Duration,
        /// When it arrives.
        arrives: Duration,
        /// Whether a router before that place marks it: congestion experienced.
        marked: bool,
    },
    /// It is seen when it is sent, and then lost.
    Lose,
}

/// Decides about a packet of the host of that number, sent at that time.
pub type Script = Box<dyn FnMut(usize, Duration, &Segment) -> Verdict>;

/// The link.
pub struct Link {
    script: Script,
    in_flight: BTreeMap<(Duration, usize), (usize, Bytes)>,
    count: usize,
}

impl Link {
    /// A link of which `script` decides everything.
    #[must_use]
    pub fn new(script: Script) -> Self {
        Self {
            script,
            in_flight: BTreeMap::new(),
            count: 0,
        }
    }

    /// From now on `script` decides. What is under way arrives as was decided.
    pub fn set_script(&mut self, script: Script) {
        self.script = script;
    }

    /// Takes a packet that is meant for the host `to`; what becomes of it, and the packet as it arrives.
    pub(crate) fn send(
        &mut self,
        (from, to): (usize, usize),
        now: Duration,
        segment: &Segment,
    ) -> (Verdict, Bytes) {
        let verdict = (self.script)(from, now, segment);
        let mut packet = segment.packet.clone();
        if let Verdict::Carry { marked: true, .. } = verdict {
            mark(&mut packet);
        }
        let packet = Bytes::from(packet);
        if let Verdict::Carry { arrives, .. } = verdict {
            self.in_flight
                .insert((arrives, self.count), (to, packet.clone()));
            self.count += 1;
        }
        (verdict, packet)
    }

    /// When the next packet arrives.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.in_flight.keys().next().map(|(at, _)| *at)
    }

    /// A packet that has arrived by now, and where.
    pub(crate) fn arrived(&mut self, now: Duration) -> Option<(usize, Bytes)> {
        let entry = self.in_flight.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}

/// Sets both ECN bits of an IPv4 header, as a router does whose queue grows (RFC 3168 5).
fn mark(packet: &mut [u8]) {
    let Some([version, tos, rest @ ..]) = packet.first_chunk_mut::<12>() else {
        return;
    };
    let before = u16::from_be_bytes([*version, *tos]);
    *tos = Ecn::Ce.apply(*tos);
    let after = u16::from_be_bytes([*version, *tos]);
    let stored = u16::from_be_bytes([rest[8], rest[9]]);
    let sum = checksum::update(stored, before, after);
    rest[8..].copy_from_slice(&sum.to_be_bytes());
}

/// Every packet takes `transit` from one host to the other, and is seen when it is sent.
#[must_use]
pub fn steady(transit: Duration) -> Script {
    Box::new(move |_, now, _| carry(now, now + transit))
}

fn carry(seen: Duration, arrives: Duration) -> Verdict {
    Verdict::Carry {
        seen,
        arrives,
        marked: false,
    }
}

/// As [`steady`], and each host's packets go one after the other, `rate` bytes a second.
#[must_use]
pub fn narrow(transit: Duration, rate: u32) -> Script {
    let mut free = [Duration::ZERO; 2];
    Box::new(move |from, now, segment| {
        let length = segment.packet.len() as u32;
        free[from] = free[from].max(now) + Duration::from_secs(1) * length / rate;
        carry(now, free[from] + transit)
    })
}

/// Nothing arrives.
#[must_use]
pub fn cut() -> Script {
    Box::new(|_, _, _| Verdict::Lose)
}

/// The times at which each host's packets are seen, in order; each arrives `transit` after that. A packet that
/// is not on the list, or is sent after its time, is seen when it is sent.
#[must_use]
pub fn timetable(times: &[(usize, f64)], transit: [Duration; 2]) -> Script {
    let mut queues = [0, 1].map(|host| {
        let own = times.iter().filter(move |(from, _)| *from == host);
        own.map(|(_, at)| Duration::from_secs_f64(*at))
            .collect::<VecDeque<_>>()
    });
    Box::new(move |from, now, _| {
        let listed = queues.get_mut(from).and_then(VecDeque::pop_front);
        let seen = listed.unwrap_or(now).max(now);
        carry(seen, seen + transit[from])
    })
}

/// As `script`, but the packets for which `doomed` holds are lost.
#[must_use]
pub fn losing(
    mut script: Script,
    mut doomed: impl FnMut(usize, &Segment) -> bool + 'static,
) -> Script {
    Box::new(move |from, now, segment| {
        if doomed(from, segment) {
            Verdict::Lose
        } else {
            script(from, now, segment)
        }
    })
}

/// As `script`, but a router marks the packets for which `chosen` holds.
#[must_use]
pub fn marking(
    mut script: Script,
    mut chosen: impl FnMut(usize, &Segment) -> bool + 'static,
) -> Script {
    Box::new(move |from, now, segment| {
        let mut verdict = script(from, now, segment);
        if let Verdict::Carry { marked, .. } = &mut verdict {
            *marked |= chosen(from, segment);
        }
        verdict
    })
}

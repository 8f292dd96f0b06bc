//! The link of a lab: a script decides when each packet passes the point of capture and when it
//! arrives, or that it is lost.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use millstream_wire::checksum;
use millstream_wire::ip::Ecn;

use crate::segment::Segment;

/// The script's decision about one packet, with times since the start of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The packet passes the point of capture and reaches the other host.
    Carry {
        /// The time at the point of capture.
        seen: Duration,
        /// The time of arrival.
        arrives: Duration,
        /// Whether a router before the point of capture marks it as having experienced congestion.
        marked: bool,
    },
    /// The packet is captured when it is sent, and then lost.
    Lose,
}

/// Decides about a packet, given the number of the sending host and the time of sending.
pub type Script = Box<dyn FnMut(usize, Duration, &Segment) -> Verdict>;

/// A link controlled by a script.
pub struct Link {
    script: Script,
    in_flight: BTreeMap<(Duration, usize), (usize, Bytes)>,
    count: usize,
}

impl Link {
    /// A link that follows `script`.
    #[must_use]
    pub fn new(script: Script) -> Self {
        Self {
            script,
            in_flight: BTreeMap::new(),
            count: 0,
        }
    }

    /// Replaces the script. Packets in flight arrive as decided before.
    pub fn set_script(&mut self, script: Script) {
        self.script = script;
    }

    /// Takes a packet for the host `to`; returns its fate, and the packet as it arrives.
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

    /// The arrival time of the next packet.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.in_flight.keys().next().map(|(at, _)| *at)
    }

    /// A packet that has arrived by `now`, with its host.
    pub(crate) fn arrived(&mut self, now: Duration) -> Option<(usize, Bytes)> {
        let entry = self.in_flight.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}

/// Sets both ECN bits of an IPv4 header, as a congested router does (RFC 3168 5).
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

/// Every packet takes `transit` from one host to the other, and is captured when it is sent.
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

/// Like [`steady`], but each host's packets are transmitted one after another, at `rate` bytes per
/// second.
#[must_use]
pub fn narrow(transit: Duration, rate: u32) -> Script {
    let mut free = [Duration::ZERO; 2];
    Box::new(move |from, now, segment| {
        let length = segment.packet.len() as u32;
        free[from] = free[from].max(now) + Duration::from_secs(1) * length / rate;
        carry(now, free[from] + transit)
    })
}

/// No packet arrives.
#[must_use]
pub fn cut() -> Script {
    Box::new(|_, _, _| Verdict::Lose)
}

/// The capture times of each host's packets, in order; each packet arrives `transit` later. A
/// packet that is not on the list, or is sent after its time, is captured when it is sent.
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

/// Like `script`, but packets that match `doomed` are lost.
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

/// Like `script`, but a router marks packets that match `chosen`.
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

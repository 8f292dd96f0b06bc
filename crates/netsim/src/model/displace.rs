//! Reordering by displacement: a packet is held back until a given number of others have passed it.

use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use millstream_engine::Instant;

use super::chance::Chance;

/// The maximum number of held packets: a bound on the work per packet.
const MAX_HELD: usize = 1024;

/// The share of packets that are overtaken, and by how many others. The default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[must_use]
pub struct Displacement {
    chance: Chance,
    by: usize,
    hold_at_most: Duration,
}

impl Displacement {
    /// Holds each packet with the probability `probability` until `by` packets sent later have
    /// passed it. If fewer packets follow, the packet continues after one second or the time set
    /// with [`hold_at_most`](Self::hold_at_most).
    ///
    /// # Panics
    /// If the probability is not between 0 and 1.
    pub fn new(probability: f64, by: usize) -> Self {
        Self {
            chance: Chance::new(probability),
            by,
            hold_at_most: Duration::from_secs(1),
        }
    }

    /// The longest time for which a packet is held.
    pub fn hold_at_most(mut self, time: Duration) -> Self {
        self.hold_at_most = time;
        self
    }
}

/// A packet with its number in the order in which packets were transmitted.
#[derive(Clone, Debug)]
pub(super) struct Numbered {
    pub(super) number: u64,
    pub(super) packet: Bytes,
}

/// The held packets.
#[derive(Debug)]
pub(super) struct Displacer {
    rng: Rng,
    held: Vec<Held>,
}

#[derive(Debug)]
struct Held {
    packet: Numbered,
    /// The number of packets that still have to pass.
    missing: usize,
    until: Instant,
}

impl Displacer {
    pub(super) fn new(seeds: &mut Rng) -> Self {
        Self {
            rng: seeds.fork(),
            held: Vec::new(),
        }
    }

    /// Holds the packet if chance selects it for displacement, and returns it otherwise.
    pub(super) fn hold(
        &mut self,
        now: Instant,
        config: &Displacement,
        packet: Numbered,
    ) -> Option<Numbered> {
        let chosen = config.chance.happens(&mut self.rng);
        if !chosen || config.by == 0 || self.held.len() >= MAX_HELD {
            return Some(packet);
        }
        self.held.push(Held {
            packet,
            missing: config.by,
            until: now + config.hold_at_most,
        });
        None
    }

    /// Counts one passing packet for all held ones; returns those for which it was the last.
    pub(super) fn on_passing(&mut self) -> Vec<Numbered> {
        for held in &mut self.held {
            held.missing -= 1;
        }
        self.release(|held| held.missing == 0)
    }

    /// Returns the packets that have been held for the maximum time.
    pub(super) fn on_time(&mut self, now: Instant) -> Vec<Numbered> {
        self.release(|held| held.until <= now)
    }

    /// The earliest time at which a held packet is released.
    pub(super) fn until(&self) -> Option<Instant> {
        self.held.iter().map(|held| held.until).min()
    }

    /// The number of held packets.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    fn release(&mut self, goes: impl Fn(&Held) -> bool) -> Vec<Numbered> {
        let gone = self.held.extract_if(.., |held| goes(held));
        gone.map(|held| held.packet).collect()
    }
}

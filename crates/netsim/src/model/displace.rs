//! Reordering by displacement: a packet is held back until so many others have passed it.

use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use millstream_engine::Instant;

use super::chance::Chance;

/// Packets held at the most: a bound on the work per packet.
const MAX_HELD: usize = 1024;

/// Which packets are overtaken, by how many others. The default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[must_use]
pub struct Displacement {
    chance: Chance,
    by: usize,
    hold_at_most: Duration,
}

impl Displacement {
    /// Holds each packet with the probability `probability` until `by` packets sent later have passed it. Where so many do
    /// not come it goes on after a second, or what [`hold_at_most`](Self::hold_at_most) says.
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

    /// How long a packet is held at the most.
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

/// The packets that are held.
#[derive(Debug)]
pub(super) struct Displacer {
    rng: Rng,
    held: Vec<Held>,
}

#[derive(Debug)]
struct Held {
    packet: Numbered,
    /// How many have to pass still.
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

    /// Keeps the packet if it is to be overtaken, or gives it back.
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

    /// A packet passes all that are held; gives those for which it was the last one.
    pub(super) fn on_passing(&mut self) -> Vec<Numbered> {
        for held in &mut self.held {
            held.missing -= 1;
        }
        self.release(|held| held.missing == 0)
    }

    /// Gives those that have been held for too long.
    pub(super) fn on_time(&mut self, now: Instant) -> Vec<Numbered> {
        self.release(|held| held.until <= now)
    }

    /// Until when the packet is held that goes first.
    pub(super) fn until(&self) -> Option<Instant> {
        self.held.iter().map(|held| held.until).min()
    }

    /// Packets held.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    fn release(&mut self, goes: impl Fn(&Held) -> bool) -> Vec<Numbered> {
        let gone = self.held.extract_if(.., |held| goes(held));
        gone.map(|held| held.packet).collect()
    }
}

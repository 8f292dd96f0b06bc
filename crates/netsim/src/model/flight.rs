//! What is under way: constant delay and jitter.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use millstream_engine::Instant;

use super::displace::Numbered;
use super::{LinkConfig, LinkStats};

/// Packets under way at the most: more than any link holds, and a bound on memory.
const CAPACITY: usize = 1 << 20;

/// Packets under way, by the time of their arrival.
#[derive(Debug)]
pub(super) struct Flight {
    jitter: Rng,
    packets: BinaryHeap<Reverse<Arrival>>,
    launched: u64,
    /// The latest arrival so far.
    latest: Instant,
    /// The packet delivered so far that was sent last.
    delivered: Option<u64>,
}

#[derive(Debug)]
struct Arrival {
    at: Instant,
    /// Packets that arrive at the same time do so in this order.
    order: u64,
    packet: Numbered,
}

impl Flight {
    pub(super) fn new(seeds: &mut Rng) -> Self {
        Self {
            jitter: seeds.fork(),
            packets: BinaryHeap::new(),
            launched: 0,
            latest: Instant::ZERO,
            delivered: None,
        }
    }

    /// Sends a packet on its way, to arrive not before `earliest`, and tells when it arrives.
    pub(super) fn launch(
        &mut self,
        now: Instant,
        packet: Numbered,
        config: &LinkConfig,
        earliest: Instant,
        stats: &mut LinkStats,
    ) -> Instant {
        if self.packets.len() >= CAPACITY {
            stats.dropped_in_flight += 1;
            return earliest;
        }
        let delayed = now + config.delay + self.draw(config.jitter.most);
        let mut at = delayed.max(earliest);
        if config.jitter.most > Duration::ZERO && !config.jitter.reorders {
            at = at.max(self.latest);
        }
        self.latest = self.latest.max(at);
        let order = self.launched;
        self.launched += 1;
        self.packets.push(Reverse(Arrival { at, order, packet }));
        at
    }

    /// Takes a packet that has arrived, and tells when.
    pub(super) fn arrive(
        &mut self,
        now: Instant,
        stats: &mut LinkStats,
    ) -> Option<(Instant, Bytes)> {
        if self.next_at()? > now {
            return None;
        }
        let Reverse(arrival) = self.packets.pop()?;
        let Numbered { number, packet } = arrival.packet;
        if self.delivered > Some(number) {
            stats.reordered += 1;
        }
        self.delivered = self.delivered.max(Some(number));
        stats.delivered += 1;
        stats.delivered_bytes += packet.len() as u64;
        Some((arrival.at, packet))
    }

    /// When the next packet arrives.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.packets.peek().map(|Reverse(arrival)| arrival.at)
    }

    /// When the last packet arrives of all that have been on their way so far.
    pub(super) fn latest(&self) -> Instant {
        self.latest
    }

    /// Packets under way.
    pub(super) fn len(&self) -> usize {
        self.packets.len()
    }

    fn draw(&mut self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.jitter.u64(..=most))
    }
}

impl Ord for Arrival {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl PartialOrd for Arrival {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Arrival {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Arrival {}

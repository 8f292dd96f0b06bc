//! Packets in flight: constant delay and jitter.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use millstream_engine::Instant;

use super::displace::Numbered;
use super::{LinkConfig, LinkStats};

/// The maximum number of packets in flight: more than any realistic link holds, and a bound on
/// memory.
const CAPACITY: usize = 1 << 20;

/// Packets in flight, by time of arrival.
#[derive(Debug)]
pub(super) struct Flight {
    jitter: Rng,
    packets: BinaryHeap<Reverse<Arrival>>,
    launched: u64,
    /// The latest arrival so far.
    latest: Instant,
    /// The highest sending order of all packets delivered so far.
    delivered: Option<u64>,
}

#[derive(Debug)]
struct Arrival {
    at: Instant,
    /// Packets that arrive at the same time are delivered in this order.
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

    /// Puts a packet in flight, to arrive not before `earliest`, and returns its time of arrival.
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

    /// Takes a packet that has arrived, with its time of arrival.
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

    /// The arrival time of the next packet.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.packets.peek().map(|Reverse(arrival)| arrival.at)
    }

    /// The latest arrival time of all packets launched so far.
    pub(super) fn latest(&self) -> Instant {
        self.latest
    }

    /// The number of packets in flight.
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

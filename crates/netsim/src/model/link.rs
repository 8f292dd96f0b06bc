//! The link: the order in which a packet passes the mechanisms.

use std::collections::VecDeque;

use bytes::Bytes;
use fastrand::Rng;
use millstream_engine::Instant;

use super::corrupt::Corrupter;
use super::displace::{Displacer, Numbered};
use super::flight::Flight;
use super::loss::Loss;
use super::rate::Transmitter;
use super::thin::Decimator;
use super::{LinkConfig, LinkStats, Schedule};

#[cfg(test)]
mod tests;

/// The maximum number of messages to the sender that wait to be taken; further ones are dropped, as
/// a router would do.
const MAX_REPLIES: usize = 1024;

/// One direction of a link.
///
/// A packet is checked against the MTU, may be dropped as a superfluous acknowledgment, waits in
/// the queue, is transmitted, may be lost, corrupted, duplicated and held back, and is in flight
/// for the delay. [`send`](Self::send) puts it in at one end and [`poll`](Self::poll) takes it out
/// at the other; [`poll_reply`](Self::poll_reply) gives the messages to the sender. `now` must
/// never decrease; the result does not depend on how often any method is called.
///
/// Links with equal schedules and seeds treat equal packets equally.
///
/// ```
/// use std::time::Duration;
/// use bytes::Bytes;
/// use millstream_netsim::{Instant, Link, LinkConfig};
///
/// // 1250 bytes at 10 Mbit/s are transmitted in 1 ms.
/// let config = LinkConfig::new().rate(10_000_000).delay(Duration::from_millis(20));
/// let mut link = Link::new(config, 1);
/// link.send(Instant::ZERO, Bytes::from(vec![0; 1250]));
/// assert_eq!(link.next_at(), Some(Instant::from_millis(21)));
/// assert_eq!(link.poll(Instant::from_millis(20)), None);
/// assert_eq!(link.poll(Instant::from_millis(21)).map(|packet| packet.len()), Some(1250));
/// ```
#[derive(Debug)]
pub struct Link {
    seed: u64,
    config: LinkConfig,
    schedule: Schedule,
    decimator: Decimator,
    transmitter: Transmitter,
    loss: Loss,
    corrupter: Corrupter,
    duplication: Rng,
    displacer: Displacer,
    flight: Flight,
    replies: VecDeque<Bytes>,
    /// The number of packets transmitted so far.
    transmitted: u64,
    stats: LinkStats,
}

impl Link {
    /// A link that follows `schedule` and takes its random decisions from `seed`.
    #[must_use]
    pub fn new(schedule: impl Into<Schedule>, seed: u64) -> Self {
        let schedule = schedule.into();
        let mut seeds = Rng::with_seed(seed);
        Self {
            seed,
            config: schedule.first.clone(),
            schedule,
            decimator: Decimator::default(),
            transmitter: Transmitter::default(),
            loss: Loss::new(&mut seeds),
            corrupter: Corrupter::new(&mut seeds),
            duplication: seeds.fork(),
            displacer: Displacer::new(&mut seeds),
            flight: Flight::new(&mut seeds),
            replies: VecDeque::new(),
            transmitted: 0,
            stats: LinkStats::default(),
        }
    }

    /// Puts an IP packet on the link.
    pub fn send(&mut self, now: Instant, packet: Bytes) {
        self.advance(now);
        self.stats.sent += 1;
        if let Some(limit) = self.config.mtu.filter(|limit| packet.len() > limit.bytes()) {
            self.stats.too_big += 1;
            if self.replies.len() < MAX_REPLIES {
                self.replies.extend(limit.reply_to(&packet));
            }
            return;
        }
        if self.decimator.takes(&self.config, &packet) {
            self.stats.thinned += 1;
            return;
        }
        self.transmitter
            .offer(now, packet, &self.config, &mut self.stats);
    }

    /// Takes a packet that has arrived by `now`. Packets come in the order of arrival.
    #[must_use]
    pub fn poll(&mut self, now: Instant) -> Option<Bytes> {
        self.poll_arrival(now).map(|(_, packet)| packet)
    }

    /// Like [`poll`](Self::poll), but also returns the time of arrival.
    #[must_use]
    pub fn poll_arrival(&mut self, now: Instant) -> Option<(Instant, Bytes)> {
        self.advance(now);
        self.flight.arrive(now, &mut self.stats)
    }

    /// Takes an ICMP message for the sender. A call of [`send`](Self::send) may have produced one.
    #[must_use]
    pub fn poll_reply(&mut self) -> Option<Bytes> {
        self.replies.pop_front()
    }

    /// Changes the link now. Later changes of its schedule replace the whole configuration, because
    /// they are derived from the schedule's first configuration.
    pub fn configure(&mut self, now: Instant, change: impl FnOnce(LinkConfig) -> LinkConfig) {
        self.advance(now);
        self.config = change(self.config.clone());
    }

    /// The next time at which [`poll`](Self::poll) may return a packet: none arrives earlier, and
    /// perhaps none at that time. `None` while no packet is sent.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        let change = self.schedule.next_at();
        // A packet that is not yet in flight arrives a delay later, unless the configuration
        // changes first.
        let leaves = [self.transmitter.departs_at(), self.displacer.until()];
        let leaves = leaves.into_iter().flatten().map(|at| match change {
            Some(change) if change <= at => at,
            _ => at + self.config.delay,
        });
        leaves.chain(self.flight.next_at()).min()
    }

    /// The number of packets that were sent and have neither arrived nor been lost.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.transmitter.len() + self.displacer.len() + self.flight.len()
    }

    /// The number of bytes waiting in the queue.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.transmitter.waiting_bytes()
    }

    /// The link's counters so far.
    #[must_use]
    pub fn stats(&self) -> &LinkStats {
        &self.stats
    }

    /// The current configuration.
    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// The seed of all random decisions.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Processes all events that are due, in the order of time.
    fn advance(&mut self, now: Instant) {
        loop {
            let change = self.schedule.next_at();
            let departure = self.transmitter.departs_at();
            let release = self.displacer.until();
            let Some(next) = [change, departure, release].into_iter().flatten().min() else {
                return;
            };
            if next > now {
                return;
            }
            if change == Some(next) {
                if let Some(config) = self.schedule.pop() {
                    self.config = config;
                }
            } else if departure == Some(next) {
                self.on_departure(next);
            } else {
                self.on_release(next);
            }
        }
    }

    fn on_departure(&mut self, now: Instant) {
        let Some(mut packet) = self.transmitter.depart(&self.config) else {
            return;
        };
        if self.config.cut {
            self.stats.cut += 1;
            return;
        }
        if self.loss.takes_next(&self.config) {
            self.stats.lost += 1;
            return;
        }
        if self.corrupter.treat(&self.config.corruption, &mut packet) {
            self.stats.corrupted += 1;
        }
        let number = self.transmitted;
        self.transmitted += 1;
        let twice = self.config.duplication.happens(&mut self.duplication);
        let packet = Numbered { number, packet };
        match self.displacer.hold(now, &self.config.displacement, packet) {
            None => self.stats.displaced += 1,
            Some(packet) => self.pass(now, packet, twice),
        }
    }

    /// Puts a packet in flight, perhaps with a copy, followed by the held packets for which it was
    /// the last to overtake.
    fn pass(&mut self, now: Instant, packet: Numbered, twice: bool) {
        let copy = twice.then(|| packet.clone());
        let arrives = self.launch(now, packet, Instant::ZERO);
        if let Some(copy) = copy {
            self.stats.duplicated += 1;
            self.launch(now, copy, arrives);
        }
        for overtaken in self.displacer.on_passing() {
            self.launch(now, overtaken, self.flight.latest());
        }
    }

    fn on_release(&mut self, now: Instant) {
        for packet in self.displacer.on_time(now) {
            self.launch(now, packet, Instant::ZERO);
        }
    }

    /// Returns the packet's time of arrival, which is not before `earliest`.
    fn launch(&mut self, now: Instant, packet: Numbered, earliest: Instant) -> Instant {
        self.flight
            .launch(now, packet, &self.config, earliest, &mut self.stats)
    }
}

//! The transmitter, which sends one packet at a time at the link's rate, and the queue in front of
//! it.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use millstream_engine::Instant;

use super::{AckThinning, LinkConfig, LinkStats, ecn, thin};

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// A transmitter and its queue.
#[derive(Debug, Default)]
pub(super) struct Transmitter {
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    /// The packet in transmission and the time at which the transmission ends.
    sending: Option<(Instant, Bytes)>,
    /// The fraction of a nanosecond that rounding removed from the last transmission, and the rate
    /// at that time.
    carried: Fraction,
}

/// A fraction of a nanosecond: `parts / rate`.
#[derive(Debug, Default)]
struct Fraction {
    parts: u128,
    rate: u64,
}

impl Transmitter {
    /// Takes a packet at the time at which it is sent, or drops it.
    pub(super) fn offer(
        &mut self,
        now: Instant,
        mut packet: Bytes,
        config: &LinkConfig,
        stats: &mut LinkStats,
    ) {
        if self.sending.is_none() {
            self.carried = Fraction::default();
            self.start(now, packet, config.rate);
            return;
        }
        if config.ack_thinning == Some(AckThinning::Filtering)
            && let Some(older) = thin::filter(&mut self.waiting, &packet)
        {
            self.waiting_bytes = self.waiting_bytes - older.len() + packet.len();
            stats.thinned += 1;
            return;
        }
        if self.waiting_bytes.saturating_add(packet.len()) > config.queue {
            stats.dropped_at_queue += 1;
            return;
        }
        let congested = config
            .ecn_threshold
            .is_some_and(|threshold| self.waiting_bytes >= threshold);
        if congested && ecn::mark(&mut packet) {
            stats.marked += 1;
        }
        self.waiting_bytes += packet.len();
        stats.queue_high_water = stats.queue_high_water.max(self.waiting_bytes);
        self.waiting.push_back(packet);
    }

    /// The time at which the current transmission ends.
    pub(super) fn departs_at(&self) -> Option<Instant> {
        self.sending.as_ref().map(|(end, _)| *end)
    }

    /// Takes the packet whose transmission has ended and begins with the next one.
    pub(super) fn depart(&mut self, config: &LinkConfig) -> Option<Bytes> {
        let (end, packet) = self.sending.take()?;
        if let Some(next) = self.waiting.pop_front() {
            self.waiting_bytes -= next.len();
            self.start(end, next, config.rate);
        }
        Some(packet)
    }

    /// The number of packets in the queue and in transmission.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + usize::from(self.sending.is_some())
    }

    /// The number of bytes waiting in the queue.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    fn start(&mut self, now: Instant, packet: Bytes, rate: Option<u64>) {
        let lasts = rate.map_or(Duration::ZERO, |rate| {
            self.carried.lasts(packet.len(), rate)
        });
        self.sending = Some((now + lasts, packet));
    }
}

impl Fraction {
    /// The time that `len` bytes take at `rate` bits per second. The remainder of the rounding is
    /// carried over to the next packet, so that a train of packets takes exactly its nominal time.
    fn lasts(&mut self, len: usize, rate: u64) -> Duration {
        if self.rate != rate {
            *self = Self { parts: 0, rate };
        }
        let parts = len as u128 * 8 * NANOS_PER_SECOND + self.parts;
        self.parts = parts % u128::from(rate);
        let nanos = parts / u128::from(rate);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(config: &LinkConfig, lengths: &[usize]) -> (Transmitter, LinkStats) {
        let mut transmitter = Transmitter::default();
        let mut stats = LinkStats::default();
        for &len in lengths {
            let packet = Bytes::from(vec![0; len]);
            transmitter.offer(Instant::ZERO, packet, config, &mut stats);
        }
        (transmitter, stats)
    }

    #[test]
    fn a_train_of_packets_takes_exactly_its_nominal_time() {
        // Each packet leaves a third of a nanosecond: 8 * 10^9 / (3 * 10^9).
        let config = LinkConfig::new().rate(3_000_000_000).queue(usize::MAX);
        let (mut transmitter, _) = fill(&config, &[1; 3000]);
        let mut last = Instant::ZERO;
        while let Some(at) = transmitter.departs_at() {
            last = at;
            transmitter.depart(&config);
        }
        assert_eq!(last, Instant::from_nanos(8000));
    }

    #[test]
    fn the_queue_drops_only_packets_that_do_not_fit() {
        let config = LinkConfig::new().rate(8_000_000).queue(1000);
        // The first is transmitted, 900 bytes wait, 101 bytes do not fit, 100 bytes do.
        let (transmitter, stats) = fill(&config, &[1500, 500, 400, 101, 100, 1]);
        assert_eq!(transmitter.waiting_bytes(), 1000);
        assert_eq!(transmitter.len(), 4);
        assert_eq!((stats.dropped_at_queue, stats.queue_high_water), (2, 1000));
        assert_eq!(transmitter.departs_at(), Some(Instant::from_micros(1500)));
    }

    #[test]
    fn without_a_queue_only_the_packet_in_transmission_is_accepted() {
        let config = LinkConfig::new().rate(8_000_000).queue(0);
        let (transmitter, stats) = fill(&config, &[1500, 1]);
        assert_eq!((transmitter.len(), stats.dropped_at_queue), (1, 1));
    }

    #[test]
    fn a_change_of_rate_applies_from_the_next_packet() {
        let slow = LinkConfig::new().rate(8_000_000);
        let fast = LinkConfig::new().rate(80_000_000);
        let (mut transmitter, _) = fill(&slow, &[1000, 1000, 1000]);
        transmitter.depart(&slow);
        transmitter.depart(&fast);
        assert_eq!(transmitter.departs_at(), Some(Instant::from_micros(2100)));
    }
}

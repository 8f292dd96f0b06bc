//! The queue in which packets wait for this stack, and each connection's share of it.
//!
//! A kernel drops packets for which the queue of a TUN interface has no room. A sender on the same
//! machine fills whatever window it is offered, and the connection that loses packets is not
//! always the one that filled the queue. The connections that receive data therefore share half of
//! the queue. The other half is for packets without data, mostly acknowledgments, whose number the
//! driver limits.

use std::time::Duration;

use super::Stack;
use crate::config::{Config, QueueLen};
use crate::tcp::segment::Segment;
use crate::time::Instant;

/// Connections that received much data in this time have a share. It is longer than the minimum of
/// common retransmission timeouts, so that a connection that lost all its packets keeps its share.
const PERIOD: Duration = Duration::from_millis(250);

/// The number of segments in a period from which a connection has a share of its own. With less
/// the queue is never filled: many connections with small messages must not reduce the share of
/// the few that transfer much.
const BULK_SEGMENTS: u8 = 8;

/// Minimum share of a connection, in packets.
const MIN_PACKETS: u64 = 4;

/// See the module.
#[derive(Debug)]
pub(crate) struct ReceiveQueue {
    len: Option<QueueLen>,
    /// Identifies the current period; wraps around.
    period: u8,
    begun: Instant,
    current: Count,
    previous: Count,
}

/// What arrived on one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Arrivals {
    /// The last period in which it received data.
    period: u8,
    /// The number of segments in that period, at most [`BULK_SEGMENTS`].
    segments: u8,
}

/// The connections with a share in one period, and the data that they received.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    connections: u64,
    frames: u64,
    bytes: u64,
}

impl ReceiveQueue {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            len: config.receive_queue,
            period: 1,
            begun: Instant::default(),
            current: Count::default(),
            previous: Count::default(),
        }
    }

    /// Counts `bytes` of data on a connection with segments of `mss` bytes. Returns its share of the
    /// queue, in bytes.
    fn on_data(
        &mut self,
        now: Instant,
        arrivals: &mut Arrivals,
        bytes: usize,
        mss: u16,
    ) -> Option<u32> {
        let mss = u64::from(mss.max(1));
        let bytes = bytes as u64;
        let segments = bytes.div_ceil(mss);
        let (len, frames) = match self.len? {
            QueueLen::Packets(len) => (len, segments),
            QueueLen::SuperSegments(len) => (len, 1),
        };
        if now - self.begun >= PERIOD {
            self.begun = now;
            self.previous = std::mem::take(&mut self.current);
            self.period = self.period.wrapping_add(1);
        }
        if arrivals.period != self.period {
            *arrivals = Arrivals {
                period: self.period,
                segments: 0,
            };
        }
        if arrivals.segments < BULK_SEGMENTS {
            let total = segments.saturating_add(arrivals.segments.into());
            arrivals.segments = total.min(BULK_SEGMENTS.into()) as u8;
            self.current.connections += u64::from(arrivals.segments == BULK_SEGMENTS);
        } else {
            self.current.frames += frames;
            self.current.bytes += bytes;
        }
        Some(self.share(len as u64 / 2, mss))
    }

    /// The share of each connection in a queue that holds `frames` frames of data.
    fn share(&self, frames: u64, mss: u64) -> u32 {
        let busier = if self.current.frames < self.previous.frames {
            &self.previous
        } else {
            &self.current
        };
        let frame = match busier.bytes / busier.frames.max(1) {
            0 => mss,
            mean => mean,
        };
        let connections = self
            .current
            .connections
            .max(self.previous.connections)
            .max(1);
        let share = frames.saturating_mul(frame) / connections;
        let min = MIN_PACKETS * frame.max(mss);
        u32::try_from(share.max(min)).unwrap_or(u32::MAX - 1)
    }
}

impl Stack {
    /// Tells a connection its share of the queue in which the segment has waited.
    pub(super) fn share_queue(&mut self, now: Instant, index: u32, segment: &Segment) {
        if segment.payload.is_empty() {
            return;
        }
        if let Some(connection) = self.demux.connections.at_mut(index) {
            let tcb = &mut connection.tcb;
            let mss = tcb.agreed.advertised_mss;
            let bytes = segment.payload.len();
            let queue = &mut self.receive_queue;
            if let Some(share) = queue.on_data(now, &mut connection.arrivals, bytes, mss) {
                tcb.buffers.receive.queue_share = share;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u16 = 1000;

    fn queue(len: QueueLen) -> ReceiveQueue {
        ReceiveQueue::new(&Config::default().receive_queue(Some(len)))
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn half_of_the_queue_is_shared_equally() {
        let mut queue = queue(QueueLen::Packets(1000));
        let mut connections = [Arrivals::default(); 10];
        for (n, arrivals) in (1..).zip(&mut connections) {
            let share = queue.on_data(at(1), arrivals, 8000, MSS);
            assert_eq!(share, Some(500_000 / n));
        }
        let share = queue.on_data(at(2), &mut connections[0], 4000, MSS);
        assert_eq!(share, Some(50_000));
    }

    #[test]
    fn a_connection_that_pauses_keeps_its_share_for_a_while() {
        let mut queue = queue(QueueLen::Packets(1000));
        let (mut busy, mut paused) = (Arrivals::default(), Arrivals::default());
        queue.on_data(at(1), &mut paused, 8000, MSS);
        for millis in [2, 249, 251, 499] {
            assert_eq!(
                queue.on_data(at(millis), &mut busy, 8000, MSS),
                Some(250_000)
            );
        }
        queue.on_data(at(502), &mut busy, 8000, MSS);
        assert_eq!(queue.on_data(at(503), &mut busy, 8000, MSS), Some(500_000));
    }

    #[test]
    fn connections_with_small_messages_take_nothing_from_a_bulk_transfer() {
        let mut queue = queue(QueueLen::Packets(1000));
        for _ in 0..1000 {
            let mut small = Arrivals::default();
            for _ in 0..7 {
                queue.on_data(at(1), &mut small, 100, MSS);
            }
        }
        let mut bulk = Arrivals::default();
        queue.on_data(at(2), &mut bulk, 8000, MSS);
        assert_eq!(queue.on_data(at(2), &mut bulk, 8000, MSS), Some(500_000));
    }

    #[test]
    fn super_segments_count_with_their_mean_length() {
        let mut queue = queue(QueueLen::SuperSegments(500));
        let mut arrivals = Arrivals::default();
        queue.on_data(at(1), &mut arrivals, 8000, MSS);
        queue.on_data(at(1), &mut arrivals, 60_000, MSS);
        let share = queue.on_data(at(1), &mut arrivals, 20_000, MSS);
        assert_eq!(share, Some(250 * 40_000));
    }

    #[test]
    fn every_share_has_room_for_a_few_segments() {
        let mut queue = queue(QueueLen::Packets(500));
        let shares = (0..10_000).map(|_| queue.on_data(at(1), &mut Arrivals::default(), 8000, MSS));
        assert_eq!(shares.last(), Some(Some(4000)));
    }

    #[test]
    fn without_a_queue_nothing_is_counted() {
        let mut queue = ReceiveQueue::new(&Config::default());
        assert_eq!(
            queue.on_data(at(1), &mut Arrivals::default(), 8000, MSS),
            None
        );
    }
}

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

/// Connections that received data in this time have a share. It is longer than the minimum of
/// common retransmission timeouts, so that a connection that lost all its packets keeps its share.
const PERIOD: Duration = Duration::from_millis(250);

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

/// The data that arrived in one period.
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

    /// Counts `bytes` of data on a connection with segments of `mss` bytes, which last received
    /// data in `period`. Returns its share of the queue, in bytes.
    fn on_data(&mut self, now: Instant, period: &mut u8, bytes: usize, mss: u16) -> Option<u32> {
        let mss = u64::from(mss.max(1));
        let bytes = bytes as u64;
        let (len, frames) = match self.len? {
            QueueLen::Packets(len) => (len, bytes.div_ceil(mss)),
            QueueLen::SuperSegments(len) => (len, 1),
        };
        if now - self.begun >= PERIOD {
            self.begun = now;
            self.previous = std::mem::take(&mut self.current);
            self.period = self.period.wrapping_add(1);
        }
        if *period != self.period {
            *period = self.period;
            self.current.connections += 1;
        }
        self.current.frames += frames;
        self.current.bytes += bytes;
        Some(self.share(len as u64 / 2, mss))
    }

    /// The share of each connection in a queue that holds `frames` frames of data.
    fn share(&self, frames: u64, mss: u64) -> u32 {
        let busier = if self.current.frames < self.previous.frames {
            &self.previous
        } else {
            &self.current
        };
        let frame = busier.bytes / busier.frames.max(1);
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
            if let Some(share) = queue.on_data(now, &mut connection.period, bytes, mss) {
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
        let mut periods = [0; 10];
        for (n, period) in (1..).zip(&mut periods) {
            let share = queue.on_data(at(1), period, 4000, MSS);
            assert_eq!(share, Some(500_000 / n));
        }
        assert_eq!(
            queue.on_data(at(2), &mut periods[0], 4000, MSS),
            Some(50_000)
        );
    }

    #[test]
    fn a_connection_that_pauses_keeps_its_share_for_a_while() {
        let mut queue = queue(QueueLen::Packets(1000));
        let (mut busy, mut paused) = (0, 0);
        queue.on_data(at(1), &mut paused, 1000, MSS);
        for millis in [2, 249, 251, 499] {
            assert_eq!(
                queue.on_data(at(millis), &mut busy, 1000, MSS),
                Some(250_000)
            );
        }
        queue.on_data(at(502), &mut busy, 1000, MSS);
        assert_eq!(queue.on_data(at(503), &mut busy, 1000, MSS), Some(500_000));
    }

    #[test]
    fn super_segments_count_with_their_mean_length() {
        let mut queue = queue(QueueLen::SuperSegments(500));
        let mut period = 0;
        queue.on_data(at(1), &mut period, 60_000, MSS);
        let share = queue.on_data(at(1), &mut period, 20_000, MSS);
        assert_eq!(share, Some(250 * 40_000));
    }

    #[test]
    fn every_share_has_room_for_a_few_segments() {
        let mut queue = queue(QueueLen::Packets(500));
        let shares = (0..10_000).map(|_| queue.on_data(at(1), &mut 0, 100, MSS));
        assert_eq!(shares.last(), Some(Some(4000)));
    }

    #[test]
    fn without_a_queue_nothing_is_counted() {
        let mut queue = ReceiveQueue::new(&Config::default());
        assert_eq!(queue.on_data(at(1), &mut 0, 1000, MSS), None);
    }
}

//! Limits the packets that may be sent before the device is read.
//!
//! A kernel processes a packet within the write to its TUN interface and queues its acknowledgments
//! for us at once. The queue is bounded and drops packets beyond its bound. Lost acknowledgments
//! stop flows until a timer fires. Every sender therefore counts the packets that it sends. When
//! their number reaches half of the queue's length, sending stops until the driver has read the
//! waiting packets. The other half of the queue is for packets that do not answer ours.

use tokio::time::Instant;

use crate::sync::{AtomicU32, Ordering};

/// The fraction, 1/2, of the device's queue that answers to our packets may fill.
const PART: usize = 2;

/// The most packets sent before the device is read, however long its queue: a later acknowledgment
/// opens the window later.
const MAX_LIMIT: u32 = 250;

/// The credit for a device that drops nothing. A limit is needed all the same, so that
/// acknowledgments are read in time.
const WITHOUT_END: u32 = 512;

/// The number of packets sent, and the number of those whose answers have been read.
#[derive(Debug)]
pub(crate) struct Credit {
    /// Packets sent since the beginning; wraps around.
    sent: AtomicU32,
    /// An earlier value of `sent`: all packets that waited in the device at that time have been
    /// read since.
    answered: AtomicU32,
    limit: u32,
    /// Packets that may wait in the device.
    queue: u32,
}

/// One pass of reading over the device's queue, from one end to the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sweep {
    /// The time at which it began.
    pub(crate) begun: Instant,
    /// The number of packets that had been sent when it began.
    sent: u32,
    /// Frames that may remain of those that waited when the pass began.
    left: u32,
}

impl Credit {
    /// Credit for a device whose queue holds `queue_len` packets and drops any beyond them; `None`
    /// if the device drops none.
    pub(crate) fn new(queue_len: Option<usize>) -> Self {
        let queue = queue_len.map_or(WITHOUT_END, |len| u32::try_from(len).unwrap_or(u32::MAX));
        Self {
            sent: AtomicU32::new(0),
            answered: AtomicU32::new(0),
            limit: (queue / PART as u32).clamp(1, MAX_LIMIT),
            queue: queue.max(1),
        }
    }

    /// Whether another packet may be sent before the device is read.
    pub(crate) fn is_left(&self) -> bool {
        let sent = self.sent.load(Ordering::Acquire);
        sent.wrapping_sub(self.answered.load(Ordering::Acquire)) < self.limit
    }

    /// Records that a packet is about to be sent. Only one caller at a time sends.
    pub(crate) fn on_send(&self) {
        self.sent.fetch_add(1, Ordering::AcqRel);
    }

    /// Begins a pass of reading. Only one caller at a time reads.
    pub(crate) fn sweep(&self) -> Sweep {
        Sweep {
            begun: Instant::now(),
            sent: self.sent.load(Ordering::Acquire),
            left: self.queue,
        }
    }

    /// Records that the device was empty after `sweep` had begun.
    pub(crate) fn on_empty(&self, sweep: Sweep) {
        self.answered.store(sweep.sent, Ordering::Release);
    }

    /// Records that frames were read. Once a pass has read as many as could wait when it began, all
    /// of those have been read, and the next pass begins: a device that always has more frames does
    /// not stop sending. Returns the pass that has ended.
    pub(crate) fn on_read(&self, sweep: &mut Sweep, frames: usize) -> Option<Sweep> {
        let frames = u32::try_from(frames).unwrap_or(u32::MAX);
        sweep.left = sweep.left.saturating_sub(frames);
        if sweep.left > 0 {
            return None;
        }
        self.on_empty(*sweep);
        Some(std::mem::replace(sweep, self.sweep()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send_all(credit: &Credit) -> usize {
        let mut sent = 0;
        while credit.is_left() {
            credit.on_send();
            sent += 1;
        }
        sent
    }

    #[test]
    fn half_of_the_queue_and_then_reading_comes_first() {
        let credit = Credit::new(Some(500));
        assert_eq!(send_all(&credit), 250);
        let sweep = credit.sweep();
        assert!(!credit.is_left());
        credit.on_empty(sweep);
        assert_eq!(send_all(&credit), 250);
    }

    #[test]
    fn what_was_sent_while_reading_is_not_answered() {
        let credit = Credit::new(Some(500));
        let sweep = credit.sweep();
        for _ in 0..100 {
            credit.on_send();
        }
        credit.on_empty(sweep);
        assert_eq!(send_all(&credit), 150);
    }

    #[test]
    fn a_queue_that_is_never_empty_is_read_once_through() {
        let credit = Credit::new(Some(500));
        assert_eq!(send_all(&credit), 250);
        let mut sweep = credit.sweep();
        credit.on_read(&mut sweep, 499);
        assert!(!credit.is_left());
        credit.on_read(&mut sweep, 1);
        assert_eq!(send_all(&credit), 250);
        // Packets sent since the pass began are not answered before the next pass is over.
        credit.on_read(&mut sweep, 500);
        assert!(!credit.is_left());
        credit.on_read(&mut sweep, 500);
        assert_eq!(send_all(&credit), 250);
    }

    #[test]
    fn the_shortest_queue_lets_something_pass() {
        for len in [Some(0), Some(1), None] {
            assert!(Credit::new(len).is_left(), "{len:?}");
        }
    }
}

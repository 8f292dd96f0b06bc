//! Reading before sending: how many packets may be sent while what answers them waits in the device.
//!
//! A kernel takes in what is written to a TUN interface within the write, and queues its acknowledgments for us at once. The
//! queue has an end, and drops what comes beyond it; lost acknowledgments stop flows until a timer fires. So packets are
//! counted as they are sent, by whoever sends. When as many are out as half of the queue holds, sending stops until the
//! driver has read what waited. The other half is for what comes by itself.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::time::Instant;

/// The part of the device's queue that answers to what we send may fill: one in so many.
const PART: usize = 2;

/// Of a device that drops nothing: so that acknowledgments are read in time all the same.
const WITHOUT_END: u32 = 512;

/// Packets sent, and up to which of them what they caused has been read.
#[derive(Debug)]
pub(crate) struct Credit {
    /// Packets sent since the beginning; it wraps.
    sent: AtomicU32,
    /// What `sent` was at a time since when all that waited then has been read.
    answered: AtomicU32,
    limit: u32,
    /// Packets that may wait in the device.
    queue: u32,
}

/// A reading of the device's queue from one end to the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sweep {
    /// When it began.
    pub(crate) begun: Instant,
    /// What had been sent when it began.
    sent: u32,
    /// Frames that may still be of those that waited then.
    left: u32,
}

impl Credit {
    /// For a device whose queue holds so many packets and drops what comes beyond, if it drops any.
    pub(crate) fn new(queue_len: Option<usize>) -> Self {
        let queue = queue_len.map_or(WITHOUT_END, |len| u32::try_from(len).unwrap_or(u32::MAX));
        Self {
            sent: AtomicU32::new(0),
            answered: AtomicU32::new(0),
            limit: (queue / PART as u32).max(1),
            queue: queue.max(1),
        }
    }

    /// Whether another packet may be sent before something is read.
    pub(crate) fn is_left(&self) -> bool {
        let sent = self.sent.load(Ordering::Acquire);
        sent.wrapping_sub(self.answered.load(Ordering::Acquire)) < self.limit
    }

    /// A packet is about to be sent. Only one at a time sends.
    pub(crate) fn on_send(&self) {
        self.sent.fetch_add(1, Ordering::AcqRel);
    }

    /// Begins to read. Only one at a time reads.
    pub(crate) fn sweep(&self) -> Sweep {
        Sweep {
            begun: Instant::now(),
            sent: self.sent.load(Ordering::Acquire),
            left: self.queue,
        }
    }

    /// The device was empty after `sweep` had begun.
    pub(crate) fn on_empty(&self, sweep: Sweep) {
        self.answered.store(sweep.sent, Ordering::Release);
    }

    /// Frames were read. When there were as many as can have waited when `sweep` began, all of those have been, and
    /// another begins: a device that always has more does not stop sending. Returns the sweep that is over.
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
        // What has been sent since the sweep began is not answered before the next is over.
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

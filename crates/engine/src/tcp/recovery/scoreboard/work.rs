//! Counts the pieces and transmissions that the scoreboard visits, so that tests can state the cost
//! of a step. Nothing is counted outside tests.

#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};

/// The counter; empty outside tests.
#[derive(Debug)]
pub(crate) struct Work {
    #[cfg(test)]
    done: AtomicU64,
}

impl Work {
    pub(crate) const fn new() -> Self {
        Self {
            #[cfg(test)]
            done: AtomicU64::new(0),
        }
    }

    /// Counts a visit of a piece or of a transmission.
    pub(crate) fn note(&self) {
        #[cfg(test)]
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }
}

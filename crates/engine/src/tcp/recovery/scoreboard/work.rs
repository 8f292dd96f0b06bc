//! How much the scoreboard has looked at, so that tests can say what a step costs. Elsewhere
//! nothing is counted.

#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};

/// See the module.
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

    /// A piece, or a transmission, was looked at.
    pub(crate) fn note(&self) {
        #[cfg(test)]
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }
}

//! The memory of the process, as counted by the allocator.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes that are allocated now.
pub(crate) fn live() -> usize {
    // These include the growth and shrinking of reallocations.
    let stats = HEAP.stats();
    stats
        .bytes_allocated
        .saturating_sub(stats.bytes_deallocated)
}

/// Bytes allocated in addition to those of an earlier moment, and their maximum.
#[derive(Debug)]
pub(crate) struct Growth {
    before: usize,
    peak: usize,
}

impl Growth {
    /// Starts counting.
    pub(crate) fn start() -> Self {
        Self {
            before: live(),
            peak: 0,
        }
    }

    /// The difference from the start in bytes.
    pub(crate) fn now(&mut self) -> usize {
        let grown = live().saturating_sub(self.before);
        self.peak = self.peak.max(grown);
        grown
    }

    /// The maximum that [`now`](Self::now) has returned.
    pub(crate) fn peak(&self) -> usize {
        self.peak
    }
}

//! The memory of the process as the allocator counts it.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes that are allocated now.
pub(crate) fn live() -> usize {
    // What a reallocation adds or takes away is in these, too.
    let stats = HEAP.stats();
    stats
        .bytes_allocated
        .saturating_sub(stats.bytes_deallocated)
}

/// Bytes that are allocated in addition to those of an earlier moment, and the most there were.
#[derive(Debug)]
pub(crate) struct Growth {
    before: usize,
    peak: usize,
}

impl Growth {
    /// Counts from now on.
    pub(crate) fn start() -> Self {
        Self {
            before: live(),
            peak: 0,
        }
    }

    /// Bytes more than at the start.
    pub(crate) fn now(&mut self) -> usize {
        let grown = live().saturating_sub(self.before);
        self.peak = self.peak.max(grown);
        grown
    }

    /// The most that [`now`](Self::now) has told.
    pub(crate) fn peak(&self) -> usize {
        self.peak
    }
}

//! One limit of memory for several stacks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The memory that several stacks use together. Each of them has a clone in
/// [`Config::memory_pool`](crate::Config::memory_pool).
#[derive(Clone, Debug, Default)]
pub struct MemoryPool(Arc<AtomicUsize>);

impl MemoryPool {
    /// Creates a pool that no stack uses yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes that the stacks use together.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Replaces `old` bytes that a stack had counted by `new` bytes.
    pub(crate) fn replace(&self, old: usize, new: usize) {
        // A number alone: no other memory depends on it.
        if new >= old {
            self.0.fetch_add(new - old, Ordering::Relaxed);
        } else {
            self.0.fetch_sub(old - new, Ordering::Relaxed);
        }
    }
}

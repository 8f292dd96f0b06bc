//! The primitives from which [`flush`](crate::shard::flush) and
//! [`exclusive`](crate::shard::exclusive) are built, named here so that their model tests can
//! replace them.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering, fence};
pub(crate) use std::sync::{Mutex, MutexGuard, TryLockError};

//! The primitives that [`flush`](crate::flush) is built from, named here so that its model test can
//! replace them.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering, fence};
pub(crate) use std::sync::{Mutex, TryLockError};

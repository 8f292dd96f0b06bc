//! Exclusive access to receiving, for the driver or for a reader that reads from the device itself.
//! Only one of them receives at a time, and neither blocks.
//!
//! A reader that finds the lock taken reads from its receive buffer instead. The driver has to
//! return later: it sets the flag `missed` *before* it tries the lock once more, and a reader that
//! has finished unlocks *before* it reads the flag. A fence between the two steps on each side
//! makes it impossible that both see the old value.

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering, TryLockError, fence};

/// The state `T` needed for receiving.
#[derive(Debug)]
pub(crate) struct Exclusive<T> {
    state: Mutex<T>,
    /// Whether the driver tried to receive while a reader held the lock.
    missed: AtomicBool,
}

impl<T> Exclusive<T> {
    pub(crate) fn new(state: T) -> Self {
        Self {
            state: Mutex::new(state),
            missed: AtomicBool::new(false),
        }
    }

    /// Locks the state for the driver. `None` if a reader holds the lock; that reader has the
    /// driver woken.
    pub(crate) fn for_driver(&self) -> Option<MutexGuard<'_, T>> {
        if let Some(state) = self.try_lock() {
            return Some(state);
        }
        self.missed.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.try_lock()
    }

    /// Runs `work` for a reader. Returns its result and whether the driver must be woken; `None` if
    /// the lock is taken.
    pub(crate) fn for_reader<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<(R, bool)> {
        let mut state = self.try_lock()?;
        let result = work(&mut state);
        drop(state);
        fence(Ordering::SeqCst);
        Some((result, self.missed.swap(false, Ordering::Relaxed)))
    }

    /// Waits until the lock is free.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        match self.state.lock() {
            Ok(state) => state,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

//! Who receives: the driver, or a reader that reads from the device by itself. One at a time, and nobody waits.
//!
//! A reader that finds the other at it reads as always. The driver has to come again: it says so *before* it tries
//! once more, and a reader that has finished lets go *before* it looks whether the driver was there; a fence between
//! the two steps on each side makes it impossible that both see the old value.

use super::sync::{AtomicBool, Mutex, MutexGuard, Ordering, TryLockError, fence};

/// A state `T` that is received with.
#[derive(Debug)]
pub(crate) struct Exclusive<T> {
    state: Mutex<T>,
    /// The driver was there when a reader received.
    missed: AtomicBool,
}

impl<T> Exclusive<T> {
    pub(crate) fn new(state: T) -> Self {
        Self {
            state: Mutex::new(state),
            missed: AtomicBool::new(false),
        }
    }

    /// For the driver. `None`: a reader is at it, who has the driver woken.
    pub(crate) fn for_driver(&self) -> Option<MutexGuard<'_, T>> {
        if let Some(state) = self.try_lock() {
            return Some(state);
        }
        self.missed.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.try_lock()
    }

    /// Has a reader do `work`, and says whether the driver is to be woken. `None`: somebody else is at it.
    pub(crate) fn for_reader<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<(R, bool)> {
        let mut state = self.try_lock()?;
        let result = work(&mut state);
        drop(state);
        fence(Ordering::SeqCst);
        Some((result, self.missed.swap(false, Ordering::Relaxed)))
    }

    /// Waits for whoever is at it.
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

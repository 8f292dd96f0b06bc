//! The protocol that serialises sending: any task may request the work, and one at a time does it.
//!
//! Packets must leave in the order in which the engine produced them, yet both the driver task and
//! the applications' own tasks send. A task that wants packets sent raises a flag and tries the
//! lock. The task that gets the lock works on behalf of all. A task that does not get it may leave,
//! because the holder reads the flag again after unlocking. Thus no task waits for the lock, and no
//! request is lost:
//!
//! - the requester raises the flag, *then* tries the lock;
//! - the holder unlocks, *then* reads the flag;
//! - a fence between the two steps on each side makes it impossible that both see the old value.

use crate::sync::{AtomicBool, Mutex, Ordering, TryLockError, fence};

/// Rounds that one caller does on behalf of others before it passes the rest on.
const MAX_ROUNDS: usize = 4;

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Flushed {
    /// The work is done, or another caller is certain to do it.
    Yes,
    /// This caller has worked for others long enough. The request remains, and a task has to call
    /// [`Flush::request`] again.
    PassOn,
}

/// A state `T` on which one caller at a time works, and the flag that requests work.
#[derive(Debug)]
pub(crate) struct Flush<T> {
    requested: AtomicBool,
    state: Mutex<T>,
}

impl<T> Flush<T> {
    pub(crate) fn new(state: T) -> Self {
        Self {
            requested: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    /// Requests `work`, and does it if no other caller is doing it. A run of `work` that begins
    /// after this call, in this or another thread, sees everything that was done before the call.
    pub(crate) fn request(&self, mut work: impl FnMut(&mut T)) -> Flushed {
        // A swap rather than a store: a caller that raises a raised flag also acquires the memory
        // that the first requester published. The caller that lowers the flag then sees the work of
        // both.
        self.requested.swap(true, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        for _ in 0..MAX_ROUNDS {
            let mut state = match self.state.try_lock() {
                Ok(state) => state,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return Flushed::Yes,
            };
            if self.requested.swap(false, Ordering::Acquire) {
                work(&mut state);
            }
            drop(state);
            fence(Ordering::SeqCst);
            if !self.requested.load(Ordering::Relaxed) {
                return Flushed::Yes;
            }
        }
        Flushed::PassOn
    }

    /// Waits for the state and changes it.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut state = match self.state.lock() {
            Ok(state) => state,
            Err(poisoned) => poisoned.into_inner(),
        };
        change(&mut state)
    }
}

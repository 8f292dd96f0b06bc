//! Work that anybody may ask for and one at a time does: the protocol by which sending is serialised.
//!
//! Packets must leave in the order in which the engine gave them out, yet both the driver task and
//! the applications' own tasks send. Whoever wants sending done raises a flag and tries the lock. Who
//! gets it works for everybody; who does not may leave, because the holder looks at the flag again
//! after unlocking. So nobody waits for a lock, and no request is lost:
//!
//! - the asker raises the flag, *then* tries the lock;
//! - the holder unlocks, *then* reads the flag;
//! - a fence between the two steps on each side makes it impossible that both see the old value.

use super::sync::{AtomicBool, Mutex, Ordering, TryLockError, fence};

/// Rounds one caller does on behalf of others before it passes the rest on.
const MAX_ROUNDS: usize = 4;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Flushed {
    /// Done, or somebody else is certain to do it.
    Yes,
    /// This caller has worked for others long enough; the request stands, and somebody has to call
    /// [`Flush::request`] again.
    PassOn,
}

/// A state `T` that one caller at a time works on, and the flag that says work is wanted.
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

    /// Asks for `work`, and does it if nobody is at it. What was asked for before the call is seen
    /// by a run of `work` that begins after the call did, here or in another thread.
    pub(crate) fn request(&self, mut work: impl FnMut(&mut T)) -> Flushed {
        // A swap rather than a store: raising a flag that is up already also takes over what its raiser
        // has done, so that the one who lowers it sees the work of both.
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

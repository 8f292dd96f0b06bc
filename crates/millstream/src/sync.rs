//! The synchronisation primitives of this crate: those of the standard library, or, in a build with
//! `--cfg shuttle`, those of a scheduler that explores interleavings.
//!
//! Everything that tasks share is guarded by one of these, with three exceptions. `Arc` is always the
//! standard library's: nothing depends on its counts except that the last one drops the content.
//! tokio's `watch` announces the end of a driver: it blocks only within its own calls, which call
//! nothing of this crate but wakers. The scheduler takes each of its calls as one step. The list of
//! current stacks (`net::current`) is static, which a scheduler's lock could not be.

pub(crate) use self::primitives::{
    AtomicBool, AtomicU32, AtomicUsize, AtomicWaker, Mutex, MutexGuard, Ordering, PoisonError,
    TryLockError, fence, spawn,
};

#[cfg(not(shuttle))]
mod primitives {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering, fence};
    pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

    pub(crate) use futures::task::AtomicWaker;
    use tokio::runtime::Handle;

    /// Starts a task that nobody joins.
    pub(crate) fn spawn(runtime: &Handle, task: impl Future<Output = ()> + Send + 'static) {
        runtime.spawn(task);
    }
}

#[cfg(shuttle)]
mod primitives {
    use std::mem;
    use std::task::Waker;

    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering, fence};
    pub(crate) use shuttle::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
    use tokio::runtime::Handle;

    /// The place of one waker, with the guarantees of `futures::task::AtomicWaker`: each call is
    /// one step, before and after which other tasks may run.
    #[derive(Debug, Default)]
    pub(crate) struct AtomicWaker(Mutex<Option<Waker>>);

    impl AtomicWaker {
        pub(crate) fn new() -> Self {
            Self::default()
        }

        pub(crate) fn register(&self, waker: &Waker) {
            let old = self.slot().replace(waker.clone());
            drop(old);
        }

        pub(crate) fn wake(&self) {
            let waker = self.slot().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }

        fn slot(&self) -> MutexGuard<'_, Option<Waker>> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// Starts a task that nobody joins. The scheduler reports a deadlock if the task has not ended
    /// when no task can run.
    pub(crate) fn spawn(_: &Handle, task: impl Future<Output = ()> + Send + 'static) {
        // Dropping the handle would detach the task, whose end would then not be awaited.
        mem::forget(shuttle::future::spawn(task));
    }
}

//! Every interleaving of two tasks that request sending at once, checked with loom.

mod sync {
    pub(crate) use loom::sync::Mutex;
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering, fence};
    pub(crate) use std::sync::TryLockError;
}

#[path = "../src/shard/flush.rs"]
mod flush;

use flush::{Flush, Flushed};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn no_request_is_lost() {
    loom::model(|| {
        let queued = Arc::new(AtomicUsize::new(0));
        let flush = Arc::new(Flush::new(0));
        let send = |queued: &AtomicUsize, flush: &Flush<usize>| {
            queued.fetch_add(1, Ordering::Relaxed);
            flush.request(|sent| *sent += queued.swap(0, Ordering::Relaxed))
        };

        let other = loom::thread::spawn({
            let (queued, flush) = (queued.clone(), flush.clone());
            move || send(&queued, &flush)
        });
        let mine = send(&queued, &flush);
        let theirs = other.join().expect("the other task ends");

        // With two requests, no task works for others long enough to pass anything on.
        assert_eq!((mine, theirs), (Flushed::Yes, Flushed::Yes));
        assert_eq!(queued.load(Ordering::Relaxed), 0, "something was left");
        flush.with(|sent| assert_eq!(*sent, 2));
    });
}

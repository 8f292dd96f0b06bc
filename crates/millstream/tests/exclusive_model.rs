//! Every interleaving of a driver and a reader that receive at once, checked with loom.

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering, fence};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
    pub(crate) use std::sync::TryLockError;
}

#[path = "../src/shard/exclusive.rs"]
mod exclusive;

use exclusive::Exclusive;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};

/// A driver that has not read the device itself is woken to do so.
#[test]
fn the_driver_is_not_forgotten() {
    loom::model(|| {
        let incoming = Arc::new(Exclusive::new(0));
        // Both access it at every step, so that every step of one is tried between those of the
        // other.
        let device = Arc::new(AtomicUsize::new(0));
        let step = |device: &AtomicUsize| device.fetch_add(1, Ordering::Relaxed);
        let reader = loom::thread::spawn({
            let (incoming, device) = (incoming.clone(), device.clone());
            move || {
                let read = incoming.for_reader(|reads| {
                    step(&device);
                    *reads += 1;
                    step(&device);
                });
                (read.is_some(), read.is_some_and(|((), missed)| missed))
            }
        });
        step(&device);
        let looked = incoming.for_driver().map(|mut reads| *reads += 1).is_some();
        step(&device);
        let (read, woken) = reader.join().expect("the reader ends");
        assert!(looked || woken, "the driver sleeps");
        assert!(looked || read, "nobody received");
        let reads = *incoming.lock();
        assert_eq!(reads, usize::from(looked) + usize::from(read));
    });
}

//! Every interleaving of a driver and a reader that receive at once, by the model checker loom.

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering, fence};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
    pub(crate) use std::sync::TryLockError;
}

#[path = "../src/incoming.rs"]
mod incoming;

use incoming::Incoming;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};

/// Who has not looked at the device itself is woken to do so.
#[test]
fn the_driver_is_not_forgotten() {
    loom::model(|| {
        let incoming = Arc::new(Incoming::new(0));
        let device = AtomicUsize::new(0);
        let reader = loom::thread::spawn({
            let incoming = incoming.clone();
            move || {
                let read = incoming.for_reader(|reads| {
                    // The other may come now.
                    device.load(Ordering::Relaxed);
                    *reads += 1;
                });
                (read.is_some(), read.is_some_and(|((), missed)| missed))
            }
        });
        let looked = incoming.for_driver().map(|mut reads| *reads += 1).is_some();
        let (read, woken) = reader.join().expect("the reader ends");
        assert!(looked || woken, "the driver sleeps");
        assert!(looked || read, "nobody received");
        let reads = *incoming.lock();
        assert_eq!(reads, usize::from(looked) + usize::from(read));
    });
}

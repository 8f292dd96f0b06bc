//! What the driver does when it has no work: it waits, with or without a timer, or it ends.

use std::sync::Arc;

use millstream_engine::Instant;

use super::{Core, Shard};
use crate::sync::Ordering;

/// The driver's action when it has no work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Ends after the waiting packets are sent.
    End,
    /// No handle and no connection is left. The driver ends when this holds for all shards of the
    /// stack, because packets of the others still arrive here.
    Idle,
    /// Sets the timer to another time and waits.
    Rearm(Instant),
    /// Waits for events and for the timer as it is set.
    WaitWithTimer,
    /// Waits for events; no timer matters.
    Wait,
}

impl Shard {
    /// Decides what the driver does now that it has no work.
    pub(super) fn rest(&self) -> Rest {
        let mut core = self.lock();
        if let Some(ending) = ending(&core) {
            return ending;
        }
        if let Some(deadline) = core.arm_earlier() {
            return Rest::Rearm(deadline);
        }
        if core.is_armed() {
            Rest::WaitWithTimer
        } else {
            Rest::Wait
        }
    }

    /// Records that the driver's timer has fired and is no longer set.
    pub(super) fn timer_fired(&self) {
        self.lock().disarm();
    }

    /// Whether the stack has ended, whether or not its device has more frames.
    pub(super) fn is_over(&self, shards: &[Arc<Self>]) -> bool {
        let ending = ending(&self.lock());
        match ending {
            Some(Rest::End) => true,
            Some(_) => self.idles(shards),
            None => false,
        }
    }

    /// Marks this shard as permanently idle. Returns whether all `shards` are idle: then they end
    /// together.
    pub(super) fn idles(&self, shards: &[Arc<Self>]) -> bool {
        // Sequentially consistent: the last shard to become idle sees all others.
        let was = self.idle.swap(true, Ordering::SeqCst);
        let all = shards.iter().all(|shard| shard.idle.load(Ordering::SeqCst));
        if all && !was {
            for shard in shards {
                shard.driver.wake();
            }
        }
        all
    }
}

/// The driver's action if the stack has ended: it was closed, or no handle and no connection is
/// left.
fn ending(core: &Core) -> Option<Rest> {
    if core.is_closed() {
        return Some(Rest::End);
    }
    core.is_abandoned().then_some(Rest::Idle)
}

//! Readiness that does not count, because a caller could do nothing with it.

use tokio::io::Ready;

/// Readiness that a caller found to be insufficient: it asked for more than is available. It does
/// not count until an event occurs on the connection, so that a task that waits for more really
/// waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Denied {
    ready: Ready,
    /// Counts the events.
    tick: Tick,
}

/// The time at which readiness was read: readiness from later events is not denied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tick(u8);

impl Default for Denied {
    fn default() -> Self {
        Self {
            ready: Ready::EMPTY,
            tick: Tick::default(),
        }
    }
}

impl Denied {
    /// Records an event.
    pub(crate) fn on_event(&mut self) {
        self.ready = Ready::EMPTY;
        self.tick.0 = self.tick.0.wrapping_add(1);
    }

    /// Records that a caller found the connection `ready` at `tick` but could do nothing.
    pub(crate) fn add(&mut self, tick: Tick, ready: Ready) {
        if self.tick == tick {
            // A closed direction stays closed.
            self.ready |= ready - Ready::READ_CLOSED - Ready::WRITE_CLOSED;
        }
    }

    /// The readiness that is currently denied, and the current tick.
    pub(crate) fn now(&self) -> (Ready, Tick) {
        (self.ready, self.tick)
    }
}

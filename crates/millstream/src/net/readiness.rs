//! What a connection is ready for, as `epoll` and tokio tell of a socket of the kernel's.

use millstream_engine::{ConnectionId, Readiness};
use tokio::io::{Interest, Ready};

use crate::shard::Core;

/// Readiness that a caller found to be none: it asked for more than is there. It does not count until something happens
/// on the connection, so that whoever waits for more waits indeed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Denied {
    ready: Ready,
    /// Counts what has happened.
    tick: Tick,
}

/// When readiness was looked at: what has happened since then is not denied.
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
    /// Something has happened.
    pub(crate) fn on_event(&mut self) {
        self.ready = Ready::EMPTY;
        self.tick.0 = self.tick.0.wrapping_add(1);
    }

    /// A caller that found the connection `ready` at `tick` could do nothing.
    pub(crate) fn add(&mut self, tick: Tick, ready: Ready) {
        if self.tick == tick {
            // What has ended has ended for good.
            self.ready |= ready - Ready::READ_CLOSED - Ready::WRITE_CLOSED;
        }
    }

    /// What is denied at present.
    pub(crate) fn now(&self) -> (Ready, Tick) {
        (self.ready, self.tick)
    }
}

/// What a connection is ready for of what `interest` asks about, as `epoll` and tokio tell of a socket of the kernel's.
/// Everything is ready once the stack is over: the call that follows tells so.
pub(crate) fn readiness(core: &Core, id: ConnectionId, interest: Interest) -> (Ready, Tick) {
    let (denied, tick) = core.waits.denied(id);
    let ready = if core.is_closed() {
        Ready::ALL
    } else {
        readiness_of(core, id) - denied
    };
    (ready & asked_about(interest), tick)
}

fn readiness_of(core: &Core, id: ConnectionId) -> Ready {
    let engine = &core.engine;
    let mut ready = Ready::EMPTY;
    if engine.is_readable(id) {
        ready |= Ready::READABLE;
    }
    if engine.is_writable(id) {
        ready |= Ready::WRITABLE;
    }
    if engine.is_read_closed(id) {
        ready |= Ready::READABLE | Ready::READ_CLOSED;
        // `EPOLLHUP`: of the end of this side alone who waits is not told.
        if engine.is_write_closed(id) {
            ready |= Ready::WRITE_CLOSED;
        }
    }
    if engine.has_failed(id) {
        ready |= Ready::ERROR;
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if engine.urgent_mark(id).is_some() {
        ready |= Ready::PRIORITY;
    }
    ready
}

fn asked_about(interest: Interest) -> Ready {
    let mut asked = Ready::EMPTY;
    if interest.is_readable() {
        asked |= Ready::READABLE | Ready::READ_CLOSED;
    }
    if interest.is_writable() {
        asked |= Ready::WRITABLE | Ready::WRITE_CLOSED;
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if interest.is_priority() {
        asked |= Ready::PRIORITY | Ready::READ_CLOSED;
    }
    if interest.is_error() {
        asked |= Ready::ERROR;
    }
    asked
}

/// The events after which readiness for something of `interest` may have changed.
pub(crate) fn events_of(interest: Interest) -> Readiness {
    let mut events = Readiness::empty();
    // The end of a connection makes it readable: whatever else is asked about hears of it so.
    let readable = interest.is_readable() || interest.is_error();
    events.set(Readiness::READABLE, readable);
    events.set(Readiness::WRITABLE, interest.is_writable());
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if interest.is_priority() {
        events |= Readiness::URGENT | Readiness::READABLE;
    }
    events
}

//! The readiness of a connection, as `epoll` and tokio report it for kernel sockets.

use millstream_engine::{ConnectionId, Readiness};
use tokio::io::{Interest, Ready};

use crate::shard::Core;
use crate::shard::denied::Tick;

/// The part of `interest` for which a connection is ready, as `epoll` and tokio report it for
/// kernel sockets. After the end of the stack everything is ready: the call that follows reports
/// the end.
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
        // `EPOLLHUP`: a closed write side alone is not reported to waiting tasks.
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

pub(crate) fn asked_about(interest: Interest) -> Ready {
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

/// The events after which readiness for something in `interest` may have changed.
pub(crate) fn events_of(interest: Interest) -> Readiness {
    let mut events = Readiness::empty();
    // The end of a connection makes it readable, and thus reaches tasks with any other interest.
    let readable = interest.is_readable() || interest.is_error();
    events.set(Readiness::READABLE, readable);
    events.set(Readiness::WRITABLE, interest.is_writable());
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if interest.is_priority() {
        events |= Readiness::URGENT | Readiness::READABLE;
    }
    events
}

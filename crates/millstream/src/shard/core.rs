//! The state under the engine's lock: the engine, the waker tables, the time, the driver's timer,
//! and whether the stack has ended.

use millstream_engine::{ConnectionId, Instant, Stack as Engine};

use super::clock::Clock;
use super::overdue;
use super::wakers::{Outbox, Waits};
use crate::error::StackClosed;

/// The engine and everything that has to change in one step with it.
pub(crate) struct Core {
    pub(crate) engine: Engine,
    pub(crate) waits: Waits,
    /// The time at which the driver's timer fires, if it is set. It may be too early, never too
    /// late.
    armed: Option<Instant>,
    /// The latest time that was passed to the engine.
    latest: Instant,
    /// The end of the last standstill.
    resumed: Instant,
    /// Whether no handle is left.
    released: bool,
    /// The reason why the stack has ended or is about to end.
    closed: Option<StackClosed>,
}

impl Core {
    pub(super) fn new(engine: Engine) -> Self {
        Self {
            engine,
            waits: Waits::default(),
            armed: None,
            latest: Instant::ZERO,
            resumed: Instant::ZERO,
            released: false,
            closed: None,
        }
    }

    /// The present. It is read under the lock, so that the engine's time never runs backwards.
    pub(super) fn now(&mut self, clock: &Clock) -> Instant {
        self.latest = self.latest.max(clock.now());
        self.latest
    }

    /// Tells the engine of a standstill that has just ended, before it receives any packet that may
    /// have waited.
    pub(super) fn notice_standstill(&mut self, now: Instant) {
        if let Some(due) = self.timer_due(now)
            && overdue::is_standstill(now - due)
            && due >= self.resumed
        {
            self.resumed = now;
            self.engine.handle_standstill(now);
        }
    }

    /// Records that a connection's writer has written `bytes`. Returns whether the part that does
    /// not fill a segment is left to the driver's next turn, because the writer is in the middle of
    /// writing.
    pub(crate) fn on_written(&mut self, now: Instant, id: ConnectionId, bytes: usize) -> bool {
        let begins = self.waits.on_written(id, bytes);
        if begins {
            self.engine.set_more_to_come(now, id, true);
        }
        begins
    }

    /// Has everything sent of the connections that were in the middle of writing and have stopped.
    pub(super) fn end_writing(&mut self, now: Instant) {
        for id in self.waits.stopped_writing() {
            self.engine.set_more_to_come(now, id, false);
        }
    }

    /// Turns the engine's events into wakers, which are called after the lock is released.
    pub(super) fn settle(&mut self, outbox: &mut Outbox) {
        while let Some(event) = self.engine.poll_event() {
            self.waits.on_event(event);
        }
        self.waits.take_outbox(outbox);
    }

    /// Sets the driver's timer to the engine's earliest timer if it is set too late. Returns the
    /// new time.
    pub(super) fn arm_earlier(&mut self) -> Option<Instant> {
        let earlier = self.earlier_timer()?;
        self.armed = Some(earlier);
        Some(earlier)
    }

    /// Records that the driver's timer has fired and is no longer set.
    pub(super) fn disarm(&mut self) {
        self.armed = None;
    }

    /// Records that no handle is left.
    pub(super) fn release(&mut self) {
        self.released = true;
    }

    /// Resets all connections and closes all listeners. Bytes that have arrived can still be read,
    /// unless the application itself ended the stack.
    pub(super) fn close(&mut self, now: Instant, reason: StackClosed) {
        if self.closed.is_some() {
            return;
        }
        match reason {
            StackClosed::Shutdown => self.engine.abort_all(now),
            _ => self.engine.disconnect_all(now),
        }
        self.closed = Some(reason);
    }

    /// The earliest timer, if it is due.
    pub(super) fn timer_due(&self, now: Instant) -> Option<Instant> {
        self.engine.poll_timeout().filter(|due| *due <= now)
    }

    /// Whether the driver's timer is set.
    pub(super) fn is_armed(&self) -> bool {
        self.armed.is_some()
    }

    /// Whether the driver's timer is set too late. A timer set too early is left alone: it costs
    /// one wake-up, and setting it again with every acknowledgment would cost more.
    pub(super) fn needs_earlier_timer(&self) -> bool {
        self.earlier_timer().is_some()
    }

    /// Whether the stack has ended or is about to end.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// The reason why the stack has ended, if it has.
    pub(crate) fn closed(&self) -> Option<&StackClosed> {
        self.closed.as_ref()
    }

    /// Whether no handle and no connection is left.
    pub(super) fn is_abandoned(&self) -> bool {
        self.released && self.engine.connection_count() == 0
    }

    /// The engine's earliest timer, if the driver's timer is set later or not at all.
    fn earlier_timer(&self) -> Option<Instant> {
        self.engine
            .poll_timeout()
            .filter(|deadline| self.armed.is_none_or(|armed| *deadline < armed))
    }
}

//! Who waits for what: the waker tables of a shard.
//!
//! They live in the same mutex as the engine, so that "nothing there, wake me" is one step and no wake
//! is lost. Wakers are called *and dropped* only after that mutex is released, since either may run
//! foreign code: under the lock they move to the [`Outbox`].

use std::collections::HashMap;
use std::panic::{self, AssertUnwindSafe};
use std::task::Waker;

use millstream_engine::{AttemptId, ConnectionId, Event, ListenerId, Readiness};
use slab::Slab;
use tokio::io::Ready;

use crate::net::readiness::{Denied, Tick};
use crate::shard::allowance::{Allowances, Used};

/// Who was woken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Woken {
    /// Nobody.
    #[default]
    Nobody,
    /// Who waited for connections that there are.
    Streams,
    /// Also who waits for new ones, and hands them to others.
    Acceptors,
}

/// Wakers on their way out of the lock.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    wake: Vec<Waker>,
    retired: Vec<Waker>,
    /// Whether acceptors are among those to wake.
    accept: bool,
}

impl Outbox {
    /// Wakes and drops what was put in, and says who was woken. Not to be called under the engine's lock. A waker that panics
    /// harms its own task alone: neither the others, nor whoever happens to wake it.
    pub(crate) fn deliver(&mut self) -> Woken {
        let woken = match (self.wake.is_empty(), std::mem::take(&mut self.accept)) {
            (true, _) => Woken::Nobody,
            (false, false) => Woken::Streams,
            (false, true) => Woken::Acceptors,
        };
        for waker in self.wake.drain(..) {
            contained(|| waker.wake());
        }
        if !self.retired.is_empty() {
            contained(|| self.retired.clear());
        }
        woken
    }

    /// Keeps `waker` in `slot` unless an equal one is there.
    fn replace(&mut self, slot: &mut Option<Waker>, waker: &Waker) {
        if !slot.as_ref().is_some_and(|old| old.will_wake(waker)) {
            self.retired.extend(slot.replace(waker.clone()));
        }
    }
}

fn contained(call: impl FnOnce()) {
    if panic::catch_unwind(AssertUnwindSafe(call)).is_err() {
        tracing::error!("a waker has panicked");
    }
}

/// A place in a list of waiters. It must be given back to the same list with [`Waiters::leave`].
#[derive(Debug, Default)]
pub(crate) struct Ticket(Option<usize>);

impl Ticket {
    pub(crate) fn is_held(&self) -> bool {
        self.0.is_some()
    }
}

/// Any number of tasks that wait for one thing.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    list: Slab<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    interest: Readiness,
    /// `None`: woken, and not back yet.
    waker: Option<Waker>,
}

impl Waiters {
    fn wait(
        &mut self,
        ticket: &mut Ticket,
        interest: Readiness,
        waker: &Waker,
        outbox: &mut Outbox,
    ) {
        let key = *ticket.0.get_or_insert_with(|| {
            self.list.insert(Waiter {
                interest,
                waker: None,
            })
        });
        if let Some(waiter) = self.list.get_mut(key) {
            waiter.interest = interest;
            outbox.replace(&mut waiter.waker, waker);
        }
    }

    fn leave(&mut self, ticket: &mut Ticket, outbox: &mut Outbox) {
        let waiter = ticket.0.take().and_then(|key| self.list.try_remove(key));
        outbox.retired.extend(waiter.and_then(|w| w.waker));
    }

    fn wake(&mut self, ready: Readiness, outbox: &mut Outbox) {
        for (_, waiter) in &mut self.list {
            if waiter.interest.intersects(ready) {
                outbox.wake.extend(waiter.waker.take());
            }
        }
    }
}

/// What waits for one connection. `poll_read` and `poll_write` have a place each, as tokio's have:
/// the last task to poll is the one woken. `readable`, `writable` and `ready` queue up.
#[derive(Debug, Default)]
struct ConnectionWaits {
    read: Option<Waker>,
    write: Option<Waker>,
    waiters: Waiters,
    used: Used,
    denied: Denied,
}

/// What waits for one listener.
#[derive(Debug, Default)]
struct ListenerWaits {
    poll: Option<Waker>,
    waiters: Waiters,
}

/// All waiters of a shard.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    connections: Vec<ConnectionWaits>,
    listeners: Vec<ListenerWaits>,
    attempts: HashMap<AttemptId, Waker>,
    allowances: Allowances<ConnectionId>,
    outbox: Outbox,
}

impl Waits {
    /// Has `waker` called when reading may make progress.
    pub(crate) fn reader(&mut self, id: ConnectionId, waker: &Waker) {
        let slot = &mut grown(&mut self.connections, id.index()).read;
        self.outbox.replace(slot, waker);
    }

    /// Wakes whoever waits for the connection to be readable, in the one place for readers.
    pub(crate) fn wake_reader(&mut self, id: ConnectionId) {
        if let Some(waits) = self.connections.get_mut(id.index()) {
            self.outbox.wake.extend(waits.read.take());
        }
    }

    /// Has `waker` called when writing may make progress, or when connecting ends.
    pub(crate) fn writer(&mut self, id: ConnectionId, waker: &Waker) {
        let slot = &mut grown(&mut self.connections, id.index()).write;
        self.outbox.replace(slot, waker);
    }

    /// Bytes that the connection's writer may write in this turn of the driver.
    pub(crate) fn may_write(&mut self, id: ConnectionId) -> usize {
        let waits = grown(&mut self.connections, id.index());
        self.allowances.left(&waits.used)
    }

    /// The connection has written `bytes`. Tells whether it is in the middle of writing from now on, and was not.
    pub(crate) fn on_written(&mut self, id: ConnectionId, bytes: usize) -> bool {
        let waits = grown(&mut self.connections, id.index());
        self.allowances.on_written(id, &mut waits.used, bytes)
    }

    /// Yields the connections that are in the middle of writing no more.
    pub(crate) fn stopped_writing(&mut self) -> impl Iterator<Item = ConnectionId> {
        let connections = &mut self.connections;
        self.allowances.stopped(|id| {
            let waits = connections.get_mut(id.index());
            waits.is_none_or(|waits| waits.used.has_stopped())
        })
    }

    /// Has `waker` called in the driver's next turn.
    pub(crate) fn next_turn_writer(&mut self, id: ConnectionId, waker: &Waker) {
        self.writer(id, waker);
        let waits = grown(&mut self.connections, id.index());
        self.allowances.wait(id, &mut waits.used);
    }

    /// A turn of the driver: writers that waited for it go on. Tells whether there are any.
    pub(crate) fn next_turn(&mut self) -> bool {
        let mut any = false;
        for id in self.allowances.next_turn() {
            if let Some(waits) = self.connections.get_mut(id.index()) {
                waits.used.on_turn();
                any |= waits.write.is_some();
                self.outbox.wake.extend(waits.write.take());
            }
        }
        any
    }

    /// What was denied of the connection's readiness, and the present tick.
    pub(crate) fn denied(&self, id: ConnectionId) -> (Ready, Tick) {
        let waits = self.connections.get(id.index());
        let denied = waits.map_or_else(Denied::default, |waits| waits.denied);
        denied.now()
    }

    /// The connection was ready at `tick`, and was not.
    pub(crate) fn deny(&mut self, id: ConnectionId, tick: Tick, ready: Ready) {
        let waits = grown(&mut self.connections, id.index());
        waits.denied.add(tick, ready);
    }

    /// Queues for the connection to become ready for something of `interest`.
    pub(crate) fn connection(
        &mut self,
        id: ConnectionId,
        interest: Readiness,
        ticket: &mut Ticket,
        waker: &Waker,
    ) {
        let waits = grown(&mut self.connections, id.index());
        waits
            .waiters
            .wait(ticket, interest, waker, &mut self.outbox);
    }

    /// Gives up a place in the queue of a connection.
    pub(crate) fn leave_connection(&mut self, id: ConnectionId, ticket: &mut Ticket) {
        let waits = grown(&mut self.connections, id.index());
        waits.waiters.leave(ticket, &mut self.outbox);
    }

    /// The connection's index is free for another one.
    pub(crate) fn forget_connection(&mut self, id: ConnectionId) {
        if let Some(waits) = self.connections.get_mut(id.index()) {
            let waits = std::mem::take(waits);
            let listed = waits.waiters.list.into_iter().filter_map(|(_, w)| w.waker);
            let wakers = waits.read.into_iter().chain(waits.write).chain(listed);
            self.outbox.retired.extend(wakers);
        }
    }

    /// Has `waker` called when the listener may have a connection.
    pub(crate) fn acceptor(&mut self, id: ListenerId, waker: &Waker) {
        let slot = &mut grown(&mut self.listeners, id.index()).poll;
        self.outbox.replace(slot, waker);
    }

    /// Queues for the listener to have a connection.
    pub(crate) fn listener(&mut self, id: ListenerId, ticket: &mut Ticket, waker: &Waker) {
        let waits = grown(&mut self.listeners, id.index());
        waits
            .waiters
            .wait(ticket, Readiness::READABLE, waker, &mut self.outbox);
    }

    /// Gives up a place in the queue of a listener.
    pub(crate) fn leave_listener(&mut self, id: ListenerId, ticket: &mut Ticket) {
        let waits = grown(&mut self.listeners, id.index());
        waits.waiters.leave(ticket, &mut self.outbox);
    }

    /// The listener's index is free for another one.
    pub(crate) fn forget_listener(&mut self, id: ListenerId) {
        if let Some(waits) = self.listeners.get_mut(id.index()) {
            let waits = std::mem::take(waits);
            let listed = waits.waiters.list.into_iter().filter_map(|(_, w)| w.waker);
            self.outbox
                .retired
                .extend(waits.poll.into_iter().chain(listed));
        }
    }

    /// Has `waker` called when the attempt has become a connection, or nothing.
    pub(crate) fn attempt(&mut self, id: AttemptId, waker: &Waker) {
        let old = self.attempts.insert(id, waker.clone());
        self.outbox.retired.extend(old);
    }

    /// Nobody waits for the attempt any more.
    pub(crate) fn forget_attempt(&mut self, id: AttemptId) {
        self.outbox.retired.extend(self.attempts.remove(&id));
    }

    /// Moves the wakers that an event concerns to the outbox.
    pub(crate) fn on_event(&mut self, event: Event) {
        let outbox = &mut self.outbox;
        match event {
            Event::Incoming(id) => {
                if let Some(waits) = self.listeners.get_mut(id.index()) {
                    outbox.wake.extend(waits.poll.take());
                    waits.waiters.wake(Readiness::all(), outbox);
                    outbox.accept = true;
                }
            }
            Event::Attempt(id) => outbox.wake.extend(self.attempts.remove(&id)),
            Event::Connection(id, ready) => {
                if let Some(waits) = self.connections.get_mut(id.index()) {
                    waits.wake(ready, outbox);
                }
            }
        }
    }

    /// Moves every waker to the outbox: the stack is over.
    pub(crate) fn wake_all(&mut self) {
        for waits in &mut self.connections {
            waits.wake(Readiness::all(), &mut self.outbox);
        }
        for waits in &mut self.listeners {
            self.outbox.wake.extend(waits.poll.take());
            waits.waiters.wake(Readiness::all(), &mut self.outbox);
        }
        let attempts = self.attempts.drain().map(|(_, waker)| waker);
        self.outbox.wake.extend(attempts);
    }

    /// Takes what is to be delivered, leaving `empty` (whose memory is used again) in its place.
    pub(crate) fn take_outbox(&mut self, empty: &mut Outbox) {
        std::mem::swap(&mut self.outbox, empty);
    }
}

impl ConnectionWaits {
    fn wake(&mut self, ready: Readiness, outbox: &mut Outbox) {
        self.denied.on_event();
        if ready.contains(Readiness::READABLE) {
            outbox.wake.extend(self.read.take());
        }
        if ready.intersects(Readiness::WRITABLE | Readiness::CONNECTED) {
            outbox.wake.extend(self.write.take());
        }
        self.waiters.wake(ready, outbox);
    }
}

/// The entry at `index`, made if need be. Indices are dense: the engine reuses them.
fn grown<T: Default>(table: &mut Vec<T>, index: usize) -> &mut T {
    if table.len() <= index {
        table.resize_with(index + 1, T::default);
    }
    &mut table[index]
}

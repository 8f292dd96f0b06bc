//! The waker tables of a shard.
//!
//! The tables are guarded by the same mutex as the engine, so that finding nothing and registering
//! a waker is one step and no wake-up is lost. Wakers are called *and dropped* only after that
//! mutex is released, since either may run foreign code: under the lock they move to the
//! [`Outbox`].

mod datagrams;

use std::collections::HashMap;
use std::panic::{self, AssertUnwindSafe};
use std::task::Waker;

use millstream_engine::{AttemptId, ConnectionId, Event, ListenerId, Readiness};
use slab::Slab;
use tokio::io::Ready;

pub(crate) use self::datagrams::Line;
use self::datagrams::SocketWaits;
use crate::shard::allowance::{Allowances, Used};
use crate::shard::denied::{Denied, Tick};

/// The kinds of tasks that were woken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Woken {
    /// None.
    #[default]
    Nobody,
    /// Tasks waiting for an established connection.
    Streams,
    /// Also acceptors: tasks that wait for new connections and hand them to other tasks.
    Acceptors,
}

/// Wakers to be called after the lock is released.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    wake: Vec<Waker>,
    retired: Vec<Waker>,
    /// Whether the wakers of acceptors are among them.
    accept: bool,
}

impl Outbox {
    /// Calls and drops the wakers, and returns the kinds of tasks woken. Must not be called under
    /// the engine's lock. A waker that panics harms its own task alone: neither the other tasks nor
    /// the task that happens to call it.
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

    /// Stores `waker` in `slot` unless an equivalent waker is there.
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

/// A place in a list of waiters. It must be returned to the same list with [`Waiters::leave`].
#[derive(Debug, Default)]
pub(crate) struct Ticket(Option<usize>);

impl Ticket {
    pub(crate) fn is_held(&self) -> bool {
        self.0.is_some()
    }
}

/// Any number of tasks that wait for the same thing.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    /// Allocated for the first task: most connections never have one.
    list: Option<Box<Slab<Waiter>>>,
}

#[derive(Debug)]
struct Waiter {
    interest: Readiness,
    /// `None` if the task was woken and has not returned yet.
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
        let list = self.list.get_or_insert_default();
        let key = *ticket.0.get_or_insert_with(|| {
            list.insert(Waiter {
                interest,
                waker: None,
            })
        });
        if let Some(waiter) = list.get_mut(key) {
            waiter.interest = interest;
            outbox.replace(&mut waiter.waker, waker);
        }
    }

    fn leave(&mut self, ticket: &mut Ticket, outbox: &mut Outbox) {
        let list = self.list.as_mut();
        let waiter = list.and_then(|list| list.try_remove(ticket.0.take()?));
        outbox.retired.extend(waiter.and_then(|w| w.waker));
    }

    fn into_wakers(self) -> impl Iterator<Item = Waker> {
        let list = self.list.into_iter().flat_map(|list| *list);
        list.filter_map(|(_, waiter)| waiter.waker)
    }

    fn wake(&mut self, ready: Readiness, outbox: &mut Outbox) {
        for (_, waiter) in self.list.iter_mut().flat_map(|list| list.iter_mut()) {
            if waiter.interest.intersects(ready) {
                outbox.wake.extend(waiter.waker.take());
            }
        }
    }
}

/// The tasks waiting for one connection. `poll_read` and `poll_write` have one place each, as in
/// tokio: the last task to poll is woken. `readable`, `writable` and `ready` queue their tasks.
#[derive(Debug, Default)]
struct ConnectionWaits {
    read: Option<Waker>,
    write: Option<Waker>,
    waiters: Waiters,
    used: Used,
    denied: Denied,
}

/// The tasks waiting for one listener.
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
    sockets: Vec<SocketWaits>,
    attempts: HashMap<AttemptId, Waker>,
    allowances: Allowances<ConnectionId>,
    outbox: Outbox,
}

impl Waits {
    /// Registers `waker` to be called when reading may make progress.
    pub(crate) fn reader(&mut self, id: ConnectionId, waker: &Waker) {
        let slot = &mut grown(&mut self.connections, id.index()).read;
        self.outbox.replace(slot, waker);
    }

    /// Wakes the task in the connection's one place for readers.
    pub(crate) fn wake_reader(&mut self, id: ConnectionId) {
        if let Some(waits) = self.connections.get_mut(id.index()) {
            self.outbox.wake.extend(waits.read.take());
        }
    }

    /// Registers `waker` to be called when writing may make progress, or when connecting ends.
    pub(crate) fn writer(&mut self, id: ConnectionId, waker: &Waker) {
        let slot = &mut grown(&mut self.connections, id.index()).write;
        self.outbox.replace(slot, waker);
    }

    /// Bytes that the connection's writer may write in this turn of the driver.
    pub(crate) fn may_write(&mut self, id: ConnectionId) -> usize {
        let waits = grown(&mut self.connections, id.index());
        self.allowances.left(&waits.used)
    }

    /// Records that the connection has written `bytes`. Returns whether this write puts the
    /// connection in the middle of writing.
    pub(crate) fn on_written(&mut self, id: ConnectionId, bytes: usize) -> bool {
        let waits = grown(&mut self.connections, id.index());
        self.allowances.on_written(id, &mut waits.used, bytes)
    }

    /// Removes and yields the connections that are no longer in the middle of writing.
    pub(crate) fn stopped_writing(&mut self) -> impl Iterator<Item = ConnectionId> {
        let connections = &mut self.connections;
        self.allowances.stopped(|id| {
            let waits = connections.get_mut(id.index());
            waits.is_none_or(|waits| waits.used.has_stopped())
        })
    }

    /// Registers `waker` to be called in the driver's next turn.
    pub(crate) fn next_turn_writer(&mut self, id: ConnectionId, waker: &Waker) {
        self.writer(id, waker);
        let waits = grown(&mut self.connections, id.index());
        self.allowances.wait(id, &mut waits.used);
    }

    /// Begins a turn of the driver: wakes the writers that waited for it. Returns whether there are
    /// any.
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

    /// The denied part of the connection's readiness, and the current tick.
    pub(crate) fn denied(&self, id: ConnectionId) -> (Ready, Tick) {
        let waits = self.connections.get(id.index());
        let denied = waits.map_or_else(Denied::default, |waits| waits.denied);
        denied.now()
    }

    /// Records that the connection was reported ready at `tick`, and was not.
    pub(crate) fn deny(&mut self, id: ConnectionId, tick: Tick, ready: Ready) {
        let waits = grown(&mut self.connections, id.index());
        waits.denied.add(tick, ready);
    }

    /// Queues a task until the connection becomes ready for something in `interest`.
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

    /// Clears the connection's entries: its index is free for another connection.
    pub(crate) fn forget_connection(&mut self, id: ConnectionId) {
        if let Some(waits) = self.connections.get_mut(id.index()) {
            let waits = std::mem::take(waits);
            let listed = waits.waiters.into_wakers();
            let wakers = waits.read.into_iter().chain(waits.write).chain(listed);
            self.outbox.retired.extend(wakers);
        }
    }

    /// Registers `waker` to be called when the listener may have a connection.
    pub(crate) fn acceptor(&mut self, id: ListenerId, waker: &Waker) {
        let slot = &mut grown(&mut self.listeners, id.index()).poll;
        self.outbox.replace(slot, waker);
    }

    /// Queues a task until the listener has a connection.
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

    /// Clears the listener's entries: its index is free for another listener.
    pub(crate) fn forget_listener(&mut self, id: ListenerId) {
        if let Some(waits) = self.listeners.get_mut(id.index()) {
            let waits = std::mem::take(waits);
            let listed = waits.waiters.into_wakers();
            self.outbox
                .retired
                .extend(waits.poll.into_iter().chain(listed));
        }
    }

    /// Registers `waker` to be called when the attempt has become a connection or has failed.
    pub(crate) fn attempt(&mut self, id: AttemptId, waker: &Waker) {
        let old = self.attempts.insert(id, waker.clone());
        self.outbox.retired.extend(old);
    }

    /// Removes the waker of the attempt.
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
            Event::Udp(id, ready) => {
                if let Some(waits) = self.sockets.get_mut(id.index()) {
                    waits.wake(ready, outbox);
                }
            }
        }
    }

    /// Moves every waker to the outbox: the stack has ended.
    pub(crate) fn wake_all(&mut self) {
        for waits in &mut self.connections {
            waits.wake(Readiness::all(), &mut self.outbox);
        }
        for waits in &mut self.listeners {
            self.outbox.wake.extend(waits.poll.take());
            waits.waiters.wake(Readiness::all(), &mut self.outbox);
        }
        for waits in &mut self.sockets {
            waits.wake(Readiness::all(), &mut self.outbox);
        }
        let attempts = self.attempts.drain().map(|(_, waker)| waker);
        self.outbox.wake.extend(attempts);
    }

    /// Takes the wakers to be called, and leaves `empty` in their place, so that its memory is
    /// reused.
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

/// The entry at `index`, created if necessary. Indices are dense: the engine reuses them.
fn grown<T: Default>(table: &mut Vec<T>, index: usize) -> &mut T {
    if table.len() <= index {
        table.resize_with(index + 1, T::default);
    }
    &mut table[index]
}

//! The tasks waiting for UDP sockets.

use std::task::Waker;

use millstream_engine::{Readiness, UdpId};
use tokio::io::Ready;

use super::{Outbox, Ticket, Waiters, Waits, grown};
use crate::shard::denied::{Denied, Tick};

/// The tasks waiting for one socket. Each of `poll_recv` and `poll_send` has one place, as in
/// tokio: the last task to poll is woken. All others queue.
#[derive(Debug, Default)]
pub(super) struct SocketWaits {
    read: Option<Waker>,
    write: Option<Waker>,
    waiters: Waiters,
    denied: Denied,
}

impl SocketWaits {
    pub(super) fn wake(&mut self, ready: Readiness, outbox: &mut Outbox) {
        self.denied.on_event();
        if ready.contains(Readiness::READABLE) {
            outbox.wake.extend(self.read.take());
        }
        if ready.contains(Readiness::WRITABLE) {
            outbox.wake.extend(self.write.take());
        }
        self.waiters.wake(ready, outbox);
    }
}

/// Where a task waits for a socket.
#[derive(Debug)]
pub(crate) enum Line<'a> {
    /// Nowhere: it tries.
    Nowhere,
    /// In the socket's one place for readers, or for writers.
    Place(&'a Waker),
    /// In a queue with any number of other tasks.
    Queue(&'a Waker, &'a mut Ticket),
}

impl Waits {
    /// Registers a task to be woken when the socket becomes ready for something in `interest`.
    pub(crate) fn socket(&mut self, id: UdpId, interest: Readiness, line: Line<'_>) {
        let waits = match line {
            Line::Nowhere => return,
            Line::Place(_) | Line::Queue(..) => grown(&mut self.sockets, id.index()),
        };
        match line {
            Line::Queue(waker, ticket) => {
                waits
                    .waiters
                    .wait(ticket, interest, waker, &mut self.outbox);
            }
            Line::Place(waker) if interest.contains(Readiness::READABLE) => {
                self.outbox.replace(&mut waits.read, waker);
            }
            Line::Place(waker) => self.outbox.replace(&mut waits.write, waker),
            Line::Nowhere => {}
        }
    }

    /// Gives up a place in the queue of a socket.
    pub(crate) fn leave_socket(&mut self, id: UdpId, ticket: &mut Ticket) {
        let waits = grown(&mut self.sockets, id.index());
        waits.waiters.leave(ticket, &mut self.outbox);
    }

    /// Clears the socket's entries: its index is free for another socket.
    pub(crate) fn forget_socket(&mut self, id: UdpId) {
        if let Some(waits) = self.sockets.get_mut(id.index()) {
            let waits = std::mem::take(waits);
            let listed = waits.waiters.into_wakers();
            let wakers = waits.read.into_iter().chain(waits.write).chain(listed);
            self.outbox.retired.extend(wakers);
        }
    }

    /// The denied part of the socket's readiness, and the current tick.
    pub(crate) fn socket_denied(&self, id: UdpId) -> (Ready, Tick) {
        let waits = self.sockets.get(id.index());
        let denied = waits.map_or_else(Denied::default, |waits| waits.denied);
        denied.now()
    }

    /// Records that the socket was reported ready at `tick`, and was not.
    pub(crate) fn deny_socket(&mut self, id: UdpId, tick: Tick, ready: Ready) {
        let waits = grown(&mut self.sockets, id.index());
        waits.denied.add(tick, ready);
    }
}

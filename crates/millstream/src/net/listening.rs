//! The common part of all listeners: a listener of the engine in each shard, and a queue of waiting
//! tasks.

use std::io;
use std::iter::zip;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use millstream_engine::ListenerId;
use tokio::task::coop;

use crate::net::group::{Handle, Rotation};
use crate::shard::wakers::Ticket;
use crate::shard::{Core, Sends, Shard};

/// A listener in every shard. Dropping this closes them.
pub(crate) struct Listening {
    handle: Arc<Handle>,
    /// In the order of the stack's shards.
    ids: Box<[ListenerId]>,
    /// Determines the shard that is asked first.
    rotation: Rotation,
}

/// A place in the queue of waiting tasks: a ticket for every shard. It must be returned with
/// [`Listening::leave_line`].
#[derive(Debug, Default)]
pub(crate) struct Place(Vec<Ticket>);

impl Listening {
    pub(crate) fn new(handle: Arc<Handle>, ids: Box<[ListenerId]>) -> Self {
        Self {
            handle,
            ids,
            rotation: Rotation::default(),
        }
    }

    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    pub(crate) fn ids(&self) -> &[ListenerId] {
        &self.ids
    }

    /// The value that `take` takes from one of the shards, with that shard. For one task: only the
    /// last caller is woken.
    pub(crate) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        take: fn(&mut Core, ListenerId) -> Option<T>,
    ) -> Poll<io::Result<(T, &Arc<Shard>)>> {
        self.poll_take(cx, take, |core, id, _, cx| {
            core.waits.acceptor(id, cx.waker());
        })
    }

    /// Like [`poll`](Self::poll), in a queue with any number of other tasks.
    pub(crate) fn poll_in_line<T>(
        &self,
        cx: &mut Context<'_>,
        place: &mut Place,
        take: fn(&mut Core, ListenerId) -> Option<T>,
    ) -> Poll<io::Result<(T, &Arc<Shard>)>> {
        place.0.resize_with(self.ids.len(), Ticket::default);
        let taken = self.poll_take(cx, take, |core, id, index, cx| {
            core.waits.listener(id, &mut place.0[index], cx.waker());
        });
        if taken.is_ready() && self.ids.len() > 1 {
            // Another shard may have woken this task, too: that wake-up belongs to the next task in
            // its queue.
            self.leave_line(place);
        }
        taken
    }

    pub(crate) fn leave_line(&self, place: &mut Place) {
        for ((shard, &id), ticket) in zip(zip(self.handle.shards(), &self.ids), &mut place.0) {
            if ticket.is_held() {
                shard.arrange(|core| core.waits.leave_listener(id, ticket));
            }
        }
    }

    /// If there is nothing to take, `wait` registers the task in every shard, under the same lock
    /// under which there was nothing.
    fn poll_take<T>(
        &self,
        cx: &mut Context<'_>,
        take: fn(&mut Core, ListenerId) -> Option<T>,
        mut wait: impl FnMut(&mut Core, ListenerId, usize, &mut Context<'_>),
    ) -> Poll<io::Result<(T, &Arc<Shard>)>> {
        let coop = ready!(coop::poll_proceed(cx));
        let shards = self.handle.shards();
        for number in self.rotation.order(shards.len()) {
            let index = number % shards.len();
            let (shard, id) = (&shards[index], self.ids[index]);
            let taken = shard.command(Sends::Later, |core, _| {
                let taken = take(core, id);
                if taken.is_none() {
                    wait(core, id, index, cx);
                }
                taken
            });
            if let Some(taken) = taken.transpose() {
                coop.made_progress();
                return Poll::Ready(taken.map(|taken| (taken, shard)));
            }
        }
        Poll::Pending
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.handle.close_listeners(&self.ids);
    }
}

//! One engine, and what its driver task and the handles of the stack share.
//!
//! - this file: the [`Shard`], its locks, and the calls through which applications reach the
//!   engine;
//! - `core`: the state under the engine's lock; `wakers`: the waiting tasks, under the same lock;
//!   `denied`: readiness that does not count;
//!   `allowance`: the bytes that a writer may send in one turn;
//! - `driver`: the driver task, which repeats turns; `turn`: packets and timers into the engine;
//!   `overdue`: how long due timers wait for packets; `rest`: what the driver does without work;
//! - `sending`: packets from the engine to the device; `flush`: the protocol that serialises it;
//! - `direct`: reading in the reader's own task; `exclusive`: the lock of reading;
//! - `clock`: tokio's time as the engine's.
//!
//! # Locks
//!
//! - `core` guards the engine and the waker tables. Any task may take it, for a bounded number of
//!   steps of the engine. While it is held, no device is called, no waker is called or dropped, and
//!   no write of 16 KiB or more is copied.
//! - `outgoing` guards the packets on their way to the device. It is held while the device is
//!   called. A task that finds it taken leaves a flag and goes (see [`flush`]).
//! - `incoming` guards reading from the device. It is held while the device is called. A reader
//!   that finds it taken reads from its receive buffer; if the driver finds it taken, it is woken
//!   again (see [`exclusive`]).
//! - `written` has locks of its own, each held while a chunk is cut for one large write.
//!
//! `core` may be taken, and tasks may be woken, while `outgoing` or `incoming` is held. Otherwise
//! no task holds two locks, and one that holds a lock of a shard takes none of another shard. Only
//! the end of the driver waits for `outgoing` and `incoming`, first for the one and then for the
//! other.

mod allowance;
pub(crate) mod clock;
mod core;
pub(crate) mod denied;
mod direct;
pub(crate) mod driver;
mod exclusive;
mod flush;
mod overdue;
mod rest;
mod sending;
mod turn;
pub(crate) mod wakers;

use std::io;
use std::panic::RefUnwindSafe;
use std::sync::Arc;
use std::task::{Poll, Waker};

use millstream_engine::{ConnectionId, Instant, Stack as Engine, UdpId};
use tokio::sync::watch;

use self::clock::Clock;
pub(crate) use self::core::Core;
use self::direct::BulkReader;
use self::exclusive::Exclusive;
use self::flush::Flush;
pub(crate) use self::sending::Sends;
use self::wakers::Outbox;
use crate::device::Device;
use crate::error::{IntoIo, StackClosed};
use crate::io::credit::Credit;
use crate::io::receive::Receiver;
use crate::io::send::Outgoing;
use crate::io::written::Written;
use crate::sync::{AtomicBool, AtomicWaker, Mutex, MutexGuard, PoisonError};

/// One engine with everything that drives it. A stack has one shard for each of its devices.
pub(crate) struct Shard {
    clock: Clock,
    core: Mutex<Core>,
    incoming: Exclusive<Receiver>,
    outgoing: Flush<Outgoing>,
    /// The packets that may be sent before the waiting packets are read.
    credit: Arc<Credit>,
    bulk_reader: BulkReader,
    /// The memory to which large writes of applications are copied.
    pub(crate) written: Written,
    /// Whether the device refused a packet, so that the driver waits for room in it.
    device_full: AtomicBool,
    /// The waker of the driver task.
    pub(crate) driver: AtomicWaker,
    /// Whether the driver would end if it were the only one.
    idle: AtomicBool,
    ended: watch::Sender<bool>,
}

/// A panic leaves no shard half changed: what is behind the locks is used in whole steps, and a
/// device or an observer that panics is caught, and ends the stack or is not called again.
impl RefUnwindSafe for Shard {}

impl Shard {
    pub(crate) fn new(clock: Clock, engine: Engine, device: &Arc<dyn Device>) -> Self {
        let config = engine.config();
        // What is kept for reuse belongs to one shard, unlike the payload.
        let memory = config.memory / usize::from(config.share.count().get());
        let credit = Arc::new(Credit::new(device.queue_len()));
        Self {
            clock,
            core: Mutex::new(Core::new(engine)),
            incoming: Exclusive::new(Receiver::new(
                Arc::clone(device),
                memory,
                Arc::clone(&credit),
            )),
            outgoing: Flush::new(Outgoing::new(Arc::clone(device))),
            credit,
            bulk_reader: BulkReader::default(),
            written: Written::new(memory),
            device_full: AtomicBool::new(false),
            driver: AtomicWaker::new(),
            idle: AtomicBool::new(false),
            ended: watch::Sender::new(false),
        }
    }

    /// Calls the engine on behalf of an application, then wakes tasks and sends packets as the call
    /// requires.
    ///
    /// # Errors
    /// The stack has ended.
    pub(crate) fn command<R>(
        &self,
        sends: Sends,
        f: impl FnOnce(&mut Core, Instant) -> R,
    ) -> io::Result<R> {
        self.run(sends, |core, now| match core.closed() {
            Some(closed) => Err(closed.clone()),
            None => Ok(f(core, now)),
        })
        .map_err(IntoIo::into_io)
    }

    /// Like [`command`](Self::command), for reading. Reading continues after the end of the stack
    /// until nothing is left that arrived before. An acknowledgment caused by reading waits for the
    /// driver: the reader may be about to write an answer, which carries the acknowledgment.
    pub(crate) fn read_command<R>(
        &self,
        id: ConnectionId,
        f: impl FnOnce(&mut Core, Instant) -> R,
    ) -> io::Result<R> {
        self.run(Sends::Later, |core, now| match core.closed() {
            Some(closed) if !core.engine.has_unread(id) => Err(closed.clone()),
            _ => Ok(f(core, now)),
        })
        .map_err(IntoIo::into_io)
    }

    /// Like [`command`](Self::command), for reading from a UDP socket, which continues after the end
    /// of the stack until nothing is left that arrived before.
    pub(crate) fn receive_command<R>(
        &self,
        id: UdpId,
        f: impl FnOnce(&mut Core, Instant) -> R,
    ) -> io::Result<R> {
        self.run(Sends::Later, |core, now| match core.closed() {
            Some(closed) if !core.engine.udp_has_unread(id) => Err(closed.clone()),
            _ => Ok(f(core, now)),
        })
        .map_err(IntoIo::into_io)
    }

    /// Like [`command`](Self::command), also after the end of the stack.
    pub(crate) fn run<R>(&self, sends: Sends, f: impl FnOnce(&mut Core, Instant) -> R) -> R {
        let mut outbox = Outbox::default();
        let mut core = self.lock();
        let now = core.now(&self.clock);
        let result = f(&mut core, now);
        core.settle(&mut outbox);
        let output = core.engine.has_output();
        let early = core.needs_earlier_timer();
        drop(core);

        outbox.deliver();
        if output && sends != Sends::Later {
            self.flush(sends);
        } else if output || early {
            self.driver.wake();
        }
        result
    }

    /// Changes state that does not concern the engine, such as the waker tables.
    pub(crate) fn arrange<R>(&self, f: impl FnOnce(&mut Core) -> R) -> R {
        let mut outbox = Outbox::default();
        let mut core = self.lock();
        let result = f(&mut core);
        core.waits.take_outbox(&mut outbox);
        drop(core);
        outbox.deliver();
        result
    }

    /// Queries the engine without changing it.
    pub(crate) fn inspect<R>(&self, f: impl FnOnce(&Core) -> R) -> R {
        f(&self.lock())
    }

    /// The number of bytes that a writer may write now, bounded by the room in the send buffer. If
    /// the writer has used up its allowance for this turn of the driver, `waker` is called in the
    /// next turn.
    pub(crate) fn poll_room(&self, id: ConnectionId, waker: Option<&Waker>) -> Poll<usize> {
        let room = self.arrange(|core| {
            let room = core.engine.write_capacity(id);
            let Some(waker) = waker.filter(|_| !core.is_closed()) else {
                return Poll::Ready(room);
            };
            let allowed = core.waits.may_write(id);
            if allowed == 0 {
                core.waits.next_turn_writer(id, waker);
                return Poll::Pending;
            }
            Poll::Ready(room.min(allowed))
        });
        if room.is_pending() {
            self.driver.wake();
        }
        room
    }

    /// Records that no handle is left.
    pub(crate) fn release(&self) {
        self.arrange(Core::release);
        self.driver.wake();
    }

    /// Resets all connections, closes all listeners, and tells the driver to end.
    pub(crate) fn shut_down(&self, reason: StackClosed) {
        self.run(Sends::All, |core, now| {
            if !core.is_closed() {
                core.close(now, reason);
                core.waits.wake_all();
            }
        });
        self.driver.wake();
    }

    /// Waits until the driver has ended and the device is closed.
    pub(crate) async fn ended(&self) {
        // The sender lives as long as `self`: the channel cannot be closed.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Records that the driver has ended. Wakes every waiting task and drops the device. Bytes that
    /// have arrived can still be read.
    fn end(&self, reason: StackClosed) {
        self.run(Sends::All, |core, now| {
            core.close(now, reason);
            core.waits.wake_all();
        });
        drop(self.outgoing.with(Outgoing::close));
        let device = self.incoming.lock().close();
        drop(device);
        // Discards the packets that the engine still wants to send.
        self.flush(Sends::All);
        self.ended.send_replace(true);
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! State shared by a driver task and the handles of a stack.
//!
//! There are three main locks and a small one. Of the three, `core` may be taken while one of the
//! others is held.
//!
//! - `core` guards the engine and the waker tables. It is held for a bounded number of steps of the
//!   engine, never while user data of any length is copied, while a device is called, or while a
//!   waker is called or dropped.
//! - `written` has locks of its own, held while a part is cut from the memory to which writes are
//!   copied.
//! - `outgoing` serialises sending (see [`flush`](crate::shard::flush)).
//! - `incoming` serialises receiving (see [`exclusive`](crate::shard::exclusive)).
//!
//! A task that holds a lock of one shard takes no lock of another.

pub(crate) mod allowance;
pub(crate) mod clock;
pub(crate) mod credit;
pub(crate) mod driver;
pub(crate) mod exclusive;
pub(crate) mod flush;
pub(crate) mod group;
pub(crate) mod overdue;
pub(crate) mod sync;
pub(crate) mod wakers;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::task::AtomicWaker;
use millstream_engine::{ConnectionId, Instant, Misdirected, Stack as Engine};
use tokio::sync::watch;

use self::overdue::Lag;
use crate::device::Device;
use crate::error::{IntoIo, StackClosed};
use crate::io::receive::{Arrived, Receiver};
use crate::io::send::{Outgoing, Progress};
use crate::io::written::Written;
use crate::shard::allowance::ALLOWANCE;
use crate::shard::clock::Clock;
use crate::shard::credit::Credit;
use crate::shard::exclusive::Exclusive;
use crate::shard::flush::{Flush, Flushed};
use crate::shard::wakers::{Outbox, Waits, Woken};

/// The maximum number of bytes that one write accepts: the allowance of one turn. A writer with
/// more data calls again.
pub(crate) const MAX_WRITE: usize = ALLOWANCE as usize;

/// Bytes read at once: at least `MUCH` make a reader a bulk reader, fewer than `LITTLE` end that.
const MUCH: usize = 16 << 10;
const LITTLE: usize = 4 << 10;

/// The maximum number of batches of packets that one flush sends before the driver reads the device
/// again.
const BATCHES: usize = 4;

/// One engine with everything that drives it. A stack has one shard for each of its devices.
pub(crate) struct Shard {
    clock: Clock,
    core: Mutex<Core>,
    incoming: Exclusive<Receiver>,
    outgoing: Flush<Outgoing>,
    /// The packets that may be sent before the waiting packets are read.
    credit: Arc<Credit>,
    /// The most recent bulk reader: the index of its connection plus one, or zero for none.
    bulk_reader: AtomicUsize,
    /// The memory to which large writes of applications are copied.
    pub(crate) written: Written,
    /// Whether the device refused a packet, so that the driver waits for room in it.
    pub(crate) device_full: AtomicBool,
    /// The waker of the driver task.
    pub(crate) driver: AtomicWaker,
    /// Whether the driver would end if it were the only one.
    idle: AtomicBool,
    ended: watch::Sender<bool>,
}

/// The state that the lock guards.
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

/// The task that sends the packets to which a call gives rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sends {
    /// The caller sends everything.
    All,
    /// The caller sends the packets of this connection. Those of others wait for the driver: their
    /// applications may be about to answer packets that arrived in the same turn, too.
    Connection(ConnectionId),
    /// The driver sends after the applications have run.
    Later,
}

/// State that a driver keeps from turn to turn.
#[derive(Default)]
pub(crate) struct Intake {
    /// Packets that arrived here and belong to other shards.
    pub(crate) misdirected: Vec<Misdirected>,
    /// Empty between turns; kept to reuse its memory.
    outbox: Outbox,
    lag: Lag,
    /// All that arrived before has been taken from the device.
    heard: Instant,
}

/// The result of a turn of the driver.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Bytes that arrived.
    pub(crate) bytes: usize,
    /// The kinds of tasks that were woken.
    pub(crate) woken: Woken,
    /// Whether more may have arrived; an error if the device has ended.
    pub(crate) more: io::Result<bool>,
}

/// Whether sending has left work to the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Driver {
    /// No work is left.
    Rests,
    /// The device is full or must be read first, or a timer must fire earlier than it is set.
    IsNeeded,
    /// There are more packets to send.
    GoesOn,
}

/// The driver's action when it has no work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
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
    pub(crate) fn new(clock: Clock, engine: Engine, device: &Arc<dyn Device>) -> Self {
        let memory = engine.config().memory;
        let credit = Arc::new(Credit::new(device.queue_len()));
        Self {
            clock,
            core: Mutex::new(Core {
                engine,
                waits: Waits::default(),
                armed: None,
                latest: Instant::ZERO,
                resumed: Instant::ZERO,
                released: false,
                closed: None,
            }),
            incoming: Exclusive::new(Receiver::new(
                Arc::clone(device),
                memory,
                Arc::clone(&credit),
            )),
            outgoing: Flush::new(Outgoing::new(Arc::clone(device))),
            credit,
            bulk_reader: AtomicUsize::new(0),
            written: Written::new(memory),
            device_full: AtomicBool::new(false),
            idle: AtomicBool::new(false),
            driver: AtomicWaker::new(),
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
        self.run(sends, |core, now| match &core.closed {
            Some(closed) => Err(closed.clone()),
            None => Ok(f(core, now)),
        })
        .map_err(IntoIo::into_io)
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

    /// Like [`command`](Self::command), for reading. Reading continues after the end of the stack
    /// until nothing is left that arrived before. An acknowledgment caused by reading waits for the
    /// driver: the reader may be about to write an answer, which carries the acknowledgment.
    pub(crate) fn read_command<R>(
        &self,
        id: ConnectionId,
        f: impl FnOnce(&mut Core, Instant) -> R,
    ) -> io::Result<R> {
        self.run(Sends::Later, |core, now| match &core.closed {
            Some(closed) if !core.has_left(id) => Err(closed.clone()),
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

    /// Runs one turn of the driver: takes the frames that the device has, feeds them and then the
    /// due timers to the engine, and wakes the tasks concerned.
    pub(crate) fn turn(&self, cx: &mut Context<'_>, intake: &mut Intake) -> Turn {
        let Some(mut receiver) = self.incoming.for_driver() else {
            // The reader that is at it may have more; it has the driver woken.
            let woken = self.take_in(&mut Vec::new(), intake);
            return Turn {
                bytes: 0,
                woken,
                more: Ok(false),
            };
        };
        if receiver.has_reader() && (!self.has_credit() || self.has_timer_due()) {
            // Pending sending and timers require that the device is read first.
            receiver.end_leaving();
        }
        let (bytes, more) = receiver.receive(cx);
        intake.heard = self.clock.to_engine(receiver.heard());
        let woken = self.take_in(receiver.arrived(), intake);
        Turn { bytes, woken, more }
    }

    fn has_timer_due(&self) -> bool {
        let mut core = self.lock();
        let now = core.now(&self.clock);
        core.timer_due(now).is_some()
    }

    /// If frames have arrived that are left to a reader, wakes that reader to read them.
    ///
    /// # Errors
    /// The device has ended.
    pub(crate) fn poll_leave_to_reader(&self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        let Some(mut receiver) = self.incoming.for_driver() else {
            return Ok(Poll::Pending);
        };
        let Some(reader) = receiver.poll_left_to(cx)? else {
            return Ok(Poll::Pending);
        };
        drop(receiver);
        self.arrange(|core| core.waits.wake_reader(reader));
        Ok(Poll::Ready(()))
    }

    /// Reads the next bytes of the stream `id` from the device into `buf`. Returns their number;
    /// after 0 the caller reads from the receive buffer.
    ///
    /// The driver sends the acknowledgments and processes any other packet that was read.
    pub(crate) fn receive_direct(&self, id: ConnectionId, buf: &mut [u8]) -> usize {
        if self.bulk_reader.load(Ordering::Relaxed) != id.index() + 1 {
            return 0;
        }
        let Some(header_len) = self.inspect(|core| core.engine.direct_header_len(id)) else {
            return 0;
        };
        let received = self.incoming.for_reader(|receiver| {
            let filled = receiver.receive_direct(id, header_len, buf, |packet, header_len, at| {
                self.run(Sends::Later, |core, now| {
                    core.notice_standstill(now);
                    if core.engine.is_next_of(id, &packet, header_len) {
                        let arrived = at.map_or(now, |at| self.clock.to_engine(at));
                        let packet = packet.freeze();
                        Ok(core.engine.handle_direct(now, arrived, id, packet))
                    } else {
                        Err(packet)
                    }
                })
            });
            (filled, receiver.needs_driver())
        });
        let Some(((filled, needed), missed)) = received else {
            return 0;
        };
        if needed || missed {
            self.driver.wake();
        }
        if filled > 0 {
            self.note_read(id, filled);
        }
        filled
    }

    /// Records that `bytes` were read from the stream `id` at once.
    pub(crate) fn note_read(&self, id: ConnectionId, bytes: usize) {
        if bytes >= MUCH {
            self.bulk_reader.store(id.index() + 1, Ordering::Relaxed);
        } else if bytes < LITTLE && self.bulk_reader.load(Ordering::Relaxed) == id.index() + 1 {
            self.bulk_reader.store(0, Ordering::Relaxed);
        }
    }

    /// Feeds the packets that arrived to the engine, and then the timers that are due (see
    /// [`overdue`](crate::shard::overdue)). Says who was woken.
    fn take_in(&self, arrived: &mut Vec<Arrived>, intake: &mut Intake) -> Woken {
        // Before the lock, which may have to be waited for.
        let read = self.clock.now();
        let mut core = self.lock();
        let now = core.now(&self.clock);
        core.notice_standstill(now);
        let late = core.timer_due(now).map_or(Duration::ZERO, |due| now - due);
        let first = arrived.first().and_then(|arrived| arrived.at);
        let waited = first.map_or(Duration::ZERO, |at| now - self.clock.to_engine(at));
        intake.lag.note(now, late, waited);
        if !arrived.is_empty() {
            // The tasks woken for earlier arrivals have had a turn to read them.
            core.engine.compact();
        }
        for Arrived {
            packet,
            checksum,
            at,
        } in arrived.drain(..)
        {
            let arrived = at.map_or(read, |at| self.clock.to_engine(at));
            core.engine
                .handle_late_packet(now, arrived, packet, checksum);
        }
        if core.timer_due(now).is_some() {
            let heard = intake.heard.min(intake.lag.horizon(now));
            core.engine.handle_timeout_heard(now, heard);
        }
        while let Some(packet) = core.engine.poll_misdirected() {
            intake.misdirected.push(packet);
        }
        core.end_writing(now);
        core.settle(&mut intake.outbox);
        drop(core);
        intake.outbox.deliver()
    }

    /// Takes packets that arrived at other shards. The driver sends the answers.
    pub(crate) fn take_over(&self, packets: impl Iterator<Item = Misdirected>) {
        self.run(Sends::Later, |core, now| {
            for packet in packets {
                core.engine.handle_misdirected(now, packet);
            }
        });
    }

    /// Sends the part of the engine's output that `sends` selects, or leaves it to the task that is
    /// already sending.
    fn flush(&self, mut sends: Sends) {
        let mut driver = Driver::Rests;
        let flushed = self.outgoing.request(|outgoing| {
            // Any further round is on behalf of other tasks.
            let sends = std::mem::replace(&mut sends, Sends::All);
            let left = self.send(outgoing, sends);
            if left != Driver::Rests {
                driver = left;
            }
        });
        if driver != Driver::Rests || flushed == Flushed::PassOn {
            self.driver.wake();
        }
    }

    /// Like [`flush`](Self::flush), for the driver, which does any remaining work itself.
    pub(crate) fn flush_from_driver(&self) -> Flushed {
        let mut driver = Driver::Rests;
        let flushed = self.outgoing.request(|outgoing| {
            driver = self.send(outgoing, Sends::All);
        });
        if driver == Driver::GoesOn {
            return Flushed::PassOn;
        }
        flushed
    }

    /// Whether more packets may be sent before the packets waiting in the device are read.
    pub(crate) fn has_credit(&self) -> bool {
        self.credit.is_left()
    }

    /// Wakes the writers that used up their allowance in the last turn. Returns whether there are
    /// any.
    pub(crate) fn next_turn(&self) -> bool {
        self.arrange(|core| core.waits.next_turn())
    }

    /// Sends a bounded number of batches: an application that sends on behalf of others has work of
    /// its own.
    fn send(&self, outgoing: &mut Outgoing, sends: Sends) -> Driver {
        for _ in 0..BATCHES {
            match outgoing.send(&self.credit) {
                Progress::Done => {}
                Progress::ReadFirst => return Driver::IsNeeded,
                Progress::Full => {
                    let was_full = self.device_full.swap(true, Ordering::AcqRel);
                    return if was_full {
                        Driver::Rests
                    } else {
                        Driver::IsNeeded
                    };
                }
            }
            let mut core = self.lock();
            let now = core.now(&self.clock);
            outgoing.fill(|packet| match sends {
                Sends::Connection(id) => core.engine.poll_transmit_of(now, id, packet),
                Sends::All | Sends::Later => core.engine.poll_transmit(now, packet),
            });
            if outgoing.is_empty() {
                // Sending starts timers and may produce events, which are delivered here.
                let mut outbox = Outbox::default();
                core.settle(&mut outbox);
                let needed = core.needs_earlier_timer() || core.engine.has_output();
                drop(core);
                outbox.deliver();
                return if needed {
                    Driver::IsNeeded
                } else {
                    Driver::Rests
                };
            }
        }
        Driver::GoesOn
    }

    /// Decides what the driver does now that it has no work.
    pub(crate) fn rest(&self) -> Rest {
        let mut core = self.lock();
        if let Some(ending) = core.ending() {
            return ending;
        }
        if core.needs_earlier_timer() {
            core.armed = core.engine.poll_timeout();
            if let Some(deadline) = core.armed {
                return Rest::Rearm(deadline);
            }
        }
        match core.armed {
            Some(_) => Rest::WaitWithTimer,
            None => Rest::Wait,
        }
    }

    /// Whether the stack has ended, whether or not its device has more frames.
    pub(crate) fn is_over(&self, shards: &[Arc<Self>]) -> bool {
        match self.lock().ending() {
            Some(Rest::End) => true,
            Some(_) => self.idles(shards),
            None => false,
        }
    }

    /// Marks this shard as permanently idle. Returns whether all `shards` are idle: then they end
    /// together.
    pub(crate) fn idles(&self, shards: &[Arc<Self>]) -> bool {
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

    /// Records that the driver's timer has fired and is no longer set.
    pub(crate) fn timer_fired(&self) {
        self.lock().armed = None;
    }

    /// Records that no handle is left.
    pub(crate) fn release(&self) {
        self.arrange(|core| core.released = true);
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
    pub(crate) fn end(&self, reason: StackClosed) {
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

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// The present. It is read under the lock, so that the engine's time never runs backwards.
    fn now(&mut self, clock: &Clock) -> Instant {
        self.latest = self.latest.max(clock.now());
        self.latest
    }

    /// The earliest timer, if it is due.
    fn timer_due(&self, now: Instant) -> Option<Instant> {
        self.engine.poll_timeout().filter(|due| *due <= now)
    }

    /// Tells the engine of a standstill that has just ended, before it receives any packet that may
    /// have waited.
    fn notice_standstill(&mut self, now: Instant) {
        if let Some(due) = self.timer_due(now)
            && overdue::is_standstill(now - due)
            && due >= self.resumed
        {
            self.resumed = now;
            self.engine.handle_standstill(now);
        }
    }

    /// Whether the stack has ended or is about to end.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// The reason why the stack has ended, if it has.
    pub(crate) fn closed(&self) -> Option<&StackClosed> {
        self.closed.as_ref()
    }

    /// Resets all connections and closes all listeners. Bytes that have arrived can still be read,
    /// unless the application itself ended the stack.
    fn close(&mut self, now: Instant, reason: StackClosed) {
        if self.closed.is_some() {
            return;
        }
        match reason {
            StackClosed::Shutdown => self.engine.abort_all(now),
            _ => self.engine.disconnect_all(now),
        }
        self.closed = Some(reason);
    }

    /// The driver's action if the stack has ended: it was closed, or no handle and no connection is
    /// left.
    fn ending(&self) -> Option<Rest> {
        if self.closed.is_some() {
            return Some(Rest::End);
        }
        (self.released && self.engine.connection_count() == 0).then_some(Rest::Idle)
    }

    /// Whether a connection has bytes to read that arrived before the stack ended.
    fn has_left(&self, id: ConnectionId) -> bool {
        self.engine.has_unread(id)
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
    fn end_writing(&mut self, now: Instant) {
        for id in self.waits.stopped_writing() {
            self.engine.set_more_to_come(now, id, false);
        }
    }

    /// Turns the engine's events into wakers, which are called after the lock is released.
    fn settle(&mut self, outbox: &mut Outbox) {
        while let Some(event) = self.engine.poll_event() {
            self.waits.on_event(event);
        }
        self.waits.take_outbox(outbox);
    }

    /// Whether the driver's timer is set too late. A timer set too early is left alone: it costs
    /// one wake-up, and setting it again with every acknowledgment would cost more.
    fn needs_earlier_timer(&self) -> bool {
        self.engine
            .poll_timeout()
            .is_some_and(|deadline| self.armed.is_none_or(|armed| deadline < armed))
    }
}

//! What a driver task and the handles of a stack share.
//!
//! Three locks and a small one. Of the three, `core` may be taken while one of the others is held.
//!
//! - `core` guards the engine and the tables of wakers. It is held for a bounded number of steps of the
//!   engine, never while user data of any length is copied, while a device is called, or while a
//!   waker is called or dropped.
//! - `written` has locks of its own, held to cut a part from the memory that writes are copied to.
//! - `outgoing` serialises sending (see [`flush`](crate::shard::flush)).
//! - `incoming` serialises receiving (see [`exclusive`](crate::shard::exclusive)).
//!
//! Whoever holds a lock of one shard takes none of another's.

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
use crate::shard::overdue::{self, Lag};
use crate::shard::wakers::{Outbox, Waits, Woken};

/// Bytes that one write takes at the most: what may be written in a turn. A writer with more calls again.
pub(crate) const MAX_WRITE: usize = ALLOWANCE as usize;

/// Bytes read in one go that make a reader one who reads much, and below which it is none any more.
const MUCH: usize = 16 << 10;
const LITTLE: usize = 4 << 10;

/// Batches of packets that one flush sends at the most, before the driver looks at the device again.
const BATCHES: usize = 4;

/// One engine with all that drives it. There is one in a stack for each of its devices.
pub(crate) struct Shard {
    clock: Clock,
    core: Mutex<Core>,
    incoming: Exclusive<Receiver>,
    outgoing: Flush<Outgoing>,
    /// How much may be sent before what waits is read.
    credit: Arc<Credit>,
    /// Who of the readers has read much lately: one more than the index of its connection, or zero.
    bulk_reader: AtomicUsize,
    /// What applications write in large pieces is copied here.
    pub(crate) written: Written,
    /// The device refused a packet; the driver waits for it to have room.
    pub(crate) device_full: AtomicBool,
    /// The driver task.
    pub(crate) driver: AtomicWaker,
    /// The driver would end if it were alone.
    idle: AtomicBool,
    ended: watch::Sender<bool>,
}

/// What the lock guards.
pub(crate) struct Core {
    pub(crate) engine: Engine,
    pub(crate) waits: Waits,
    /// When the driver's timer fires, if it is set. It may be set too early, never too late.
    armed: Option<Instant>,
    /// The latest time the engine was told.
    latest: Instant,
    /// When the last standstill ended.
    resumed: Instant,
    /// No handle is left.
    released: bool,
    /// The stack is over, or about to be.
    closed: Option<StackClosed>,
}

/// Who sends what a call gives the engine to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sends {
    /// The caller, everything.
    All,
    /// The caller, what this connection has to send. That of others waits for the driver: their
    /// applications may be about to answer what arrived in the same turn, too.
    Connection(ConnectionId),
    /// The driver, when the applications have run.
    Later,
}

/// What a driver keeps from turn to turn.
#[derive(Default)]
pub(crate) struct Intake {
    /// Arrived here, and is for other shards.
    pub(crate) misdirected: Vec<Misdirected>,
    /// Empty between turns; its memory is used.
    outbox: Outbox,
    lag: Lag,
    /// All that arrived before has been taken from the device.
    heard: Instant,
}

/// What came of a turn of the driver.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Bytes that arrived.
    pub(crate) bytes: usize,
    /// Who was woken.
    pub(crate) woken: Woken,
    /// Whether more may have arrived; an error if the device has ended.
    pub(crate) more: io::Result<bool>,
}

/// Whether sending has left the driver something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Driver {
    /// It has not.
    Rests,
    /// The device is full or to be read first, or a timer must fire earlier than it is set.
    IsNeeded,
    /// There is more to send.
    GoesOn,
}

/// What the driver does when it has nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It ends, once what waits is sent.
    End,
    /// No handle is left and no connection: it ends when that holds for all shards of the stack, because packets of the
    /// others still arrive here.
    Idle,
    /// It sets its timer to another time, and waits.
    Rearm(Instant),
    /// It waits for the timer as it is set, among other things.
    WaitWithTimer,
    /// It waits; whether the timer fires does not matter.
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

    /// Calls the engine on behalf of an application, then wakes and sends what that calls for.
    ///
    /// # Errors
    /// The stack is over.
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

    /// Bytes that a writer may write now: as many as there is room for. If it has sent enough in this
    /// turn of the driver, `waker` is called in the next.
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

    /// As [`command`](Self::command), for reading, which goes on when the stack is over until nothing
    /// is left that arrived before. What reading gives to send, an acknowledgment, waits for the
    /// driver: the reader may be about to write an answer, which carries it.
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

    /// As [`command`](Self::command), also when the stack is over.
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

    /// Changes what concerns the engine in nothing: who waits for what.
    pub(crate) fn arrange<R>(&self, f: impl FnOnce(&mut Core) -> R) -> R {
        let mut outbox = Outbox::default();
        let mut core = self.lock();
        let result = f(&mut core);
        core.waits.take_outbox(&mut outbox);
        drop(core);
        outbox.deliver();
        result
    }

    /// Asks the engine something that changes nothing.
    pub(crate) fn inspect<R>(&self, f: impl FnOnce(&Core) -> R) -> R {
        f(&self.lock())
    }

    /// A turn of the driver: takes what the device has, and feeds it and then the timers that are due to the engine; wakes
    /// whom that concerns.
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
            // What sending or a timer waits for is read before.
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

    /// If something has arrived that is left to a reader: has that read.
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

    /// Reads what comes next of the stream `id` from the device, to `buf`. None: read as always.
    ///
    /// The driver sends the acknowledgments, and takes in what was something else.
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

    /// The stream `id` was read from: so many bytes in one go.
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
            // Who was woken for what arrived before has had a turn to read it.
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

    /// Takes packets that arrived at other shards. The driver answers.
    pub(crate) fn take_over(&self, packets: impl Iterator<Item = Misdirected>) {
        self.run(Sends::Later, |core, now| {
            for packet in packets {
                core.engine.handle_misdirected(now, packet);
            }
        });
    }

    /// Sends what `sends` says of what the engine has to send, or leaves it to whoever is sending already.
    fn flush(&self, mut sends: Sends) {
        let mut driver = Driver::Rests;
        let flushed = self.outgoing.request(|outgoing| {
            // Another round is on behalf of others.
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

    /// As [`flush`](Self::flush), for the driver, which looks after what follows by itself.
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

    /// Whether more may be sent before what waits in the device is read.
    pub(crate) fn has_credit(&self) -> bool {
        self.credit.is_left()
    }

    /// Lets writers go on that have sent enough in the last turn. Tells whether there are any.
    pub(crate) fn next_turn(&self) -> bool {
        self.arrange(|core| core.waits.next_turn())
    }

    /// Sends a bounded number of batches: an application that does it for others has work of its own.
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
                // Sending starts timers; what the engine has to say about it is told, too.
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

    /// What the driver does now that it has nothing to do.
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

    /// Whether the stack is over, whatever its device has.
    pub(crate) fn is_over(&self, shards: &[Arc<Self>]) -> bool {
        match self.lock().ending() {
            Some(Rest::End) => true,
            Some(_) => self.idles(shards),
            None => false,
        }
    }

    /// This one of `shards` is idle, for good. Returns whether all are: then they end together.
    pub(crate) fn idles(&self, shards: &[Arc<Self>]) -> bool {
        // In one order for all: who is last sees the others.
        let was = self.idle.swap(true, Ordering::SeqCst);
        let all = shards.iter().all(|shard| shard.idle.load(Ordering::SeqCst));
        if all && !was {
            for shard in shards {
                shard.driver.wake();
            }
        }
        all
    }

    /// The driver's timer has fired and is not set any more.
    pub(crate) fn timer_fired(&self) {
        self.lock().armed = None;
    }

    /// No handle is left.
    pub(crate) fn release(&self) {
        self.arrange(|core| core.released = true);
        self.driver.wake();
    }

    /// Ends all connections and listeners with resets, and has the driver end.
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

    /// The driver has ended. Everybody who waits is told; the device is dropped. What has arrived can still be read.
    pub(crate) fn end(&self, reason: StackClosed) {
        self.run(Sends::All, |core, now| {
            core.close(now, reason);
            core.waits.wake_all();
        });
        drop(self.outgoing.with(Outgoing::close));
        let device = self.incoming.lock().close();
        drop(device);
        // What the engine still has to send goes nowhere.
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
    /// The present. Read under the lock, so that the engine's time never runs backwards.
    fn now(&mut self, clock: &Clock) -> Instant {
        self.latest = self.latest.max(clock.now());
        self.latest
    }

    /// The earliest timer, if it is due.
    fn timer_due(&self, now: Instant) -> Option<Instant> {
        self.engine.poll_timeout().filter(|due| *due <= now)
    }

    /// Tells the engine of a standstill that has just ended: before anything is handed over that
    /// may have waited.
    fn notice_standstill(&mut self, now: Instant) {
        if let Some(due) = self.timer_due(now)
            && overdue::is_standstill(now - due)
            && due >= self.resumed
        {
            self.resumed = now;
            self.engine.handle_standstill(now);
        }
    }

    /// Whether the stack is over, or about to be.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Why the stack is over, if it is.
    pub(crate) fn closed(&self) -> Option<&StackClosed> {
        self.closed.as_ref()
    }

    /// Ends all connections and listeners with resets. What has arrived can still be read, but for an application that
    /// ends the stack by itself.
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

    /// What the driver does if the stack is over: no handle and no connection is left, or it was closed.
    fn ending(&self) -> Option<Rest> {
        if self.closed.is_some() {
            return Some(Rest::End);
        }
        (self.released && self.engine.connection_count() == 0).then_some(Rest::Idle)
    }

    /// Whether a connection has something to read that arrived before the stack ended.
    fn has_left(&self, id: ConnectionId) -> bool {
        self.engine.has_unread(id)
    }

    /// A connection's writer has written `bytes`. Tells whether what does not fill a segment is left to the
    /// driver's next turn, because it is in the middle of writing.
    pub(crate) fn on_written(&mut self, now: Instant, id: ConnectionId, bytes: usize) -> bool {
        let begins = self.waits.on_written(id, bytes);
        if begins {
            self.engine.set_more_to_come(now, id, true);
        }
        begins
    }

    /// Has everything sent of those who were in the middle of writing, and are no more.
    fn end_writing(&mut self, now: Instant) {
        for id in self.waits.stopped_writing() {
            self.engine.set_more_to_come(now, id, false);
        }
    }

    /// Turns the engine's events into wakers to deliver after the lock is released.
    fn settle(&mut self, outbox: &mut Outbox) {
        while let Some(event) = self.engine.poll_event() {
            self.waits.on_event(event);
        }
        self.waits.take_outbox(outbox);
    }

    /// Whether the driver's timer is set too late. One set too early is left alone: it costs one
    /// wake, and setting it anew with every acknowledgment would cost more.
    fn needs_earlier_timer(&self) -> bool {
        self.engine
            .poll_timeout()
            .is_some_and(|deadline| self.armed.is_none_or(|armed| deadline < armed))
    }
}

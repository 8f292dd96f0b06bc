//! The task that drives a shard: packets in, timers, packets out.
//!
//! One turn takes a bounded batch of frames from the device, feeds them to the engine together with
//! the timers that are due, wakes the applications concerned, lets them run once, and sends what the engine
//! has to send, so that an answer carries the acknowledgment of its request. When there is nothing to do the task sleeps until the device has something, its one timer fires, or an
//! application's call has left it something: the device was full, or a timer must fire earlier. An idle
//! stack wakes for nothing else.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Sleep, sleep_until};

use crate::arena::Arena;
use crate::device::Device;
use crate::error::StackClosed;
use crate::flush::Flushed;
use crate::frame::FrameFormat;
use crate::shared::{Rest, Shard};
use crate::wakers::Outbox;

/// Frames taken from the device in one turn.
const BATCH: usize = 64;

/// Bytes after which no more frames are taken in one turn: what waits for its reader should still be in the
/// processor's cache when it is read.
const BATCH_BYTES: usize = 128 << 10;

/// Turns before other tasks get theirs: reading from a device consumes no budget of the runtime's.
const TURNS: usize = 4;

/// Turns in a row after which applications get to run before anything is sent, as long as little has arrived
/// in all: one wakes another (an acceptor its connection's task), and the last may have the answer.
const ASIDES: u8 = 4;

/// Bytes that are little. A bulk flow's acknowledgments wait for one turn alone.
const LITTLE: usize = 16 << 10;

/// How long a stack that is over waits for a full device to take its last packets.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// The driver task's future. It ends when the stack is over.
pub(crate) struct Driver {
    // Dropped in this order: the device is closed when the end is announced.
    link: Link,
    end: End,
}

impl Driver {
    pub(crate) fn new(shard: Arc<Shard>, device: Arc<dyn Device>) -> Self {
        let capabilities = device.capabilities();
        Self {
            link: Link {
                format: FrameFormat::new(&capabilities),
                memory: Arena::new(capabilities.max_frame()),
                frames: Vec::with_capacity(BATCH),
                outbox: Outbox::default(),
                timer: Box::pin(sleep_until(tokio::time::Instant::now())),
                draining: false,
                asides: 0,
                unanswered: 0,
                device,
            },
            end: End {
                shard,
                reason: StackClosed::DriverGone,
            },
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { link, end } = &mut *self;
        link.poll(&end.shard, cx).map(|result| {
            end.reason = match result {
                Ok(()) => StackClosed::Shutdown,
                Err(error) => {
                    tracing::debug!(%error, "the device has ended");
                    StackClosed::Device(Arc::new(error))
                }
            };
        })
    }
}

/// Announces the end of the driver, whatever ends it: its own return, a panic, or the runtime.
struct End {
    shard: Arc<Shard>,
    reason: StackClosed,
}

impl Drop for End {
    fn drop(&mut self) {
        self.shard.end(self.reason.clone());
    }
}

/// The device and what is needed to read from it.
struct Link {
    device: Arc<dyn Device>,
    format: FrameFormat,
    memory: Arena,
    frames: Vec<Bytes>,
    outbox: Outbox,
    timer: Pin<Box<Sleep>>,
    /// The stack is over, and the timer bounds how long it still sends.
    draining: bool,
    /// Turns since anything was sent from here: applications were woken, and sending waits for them to run.
    asides: u8,
    /// Bytes that arrived meanwhile.
    unanswered: usize,
}

impl Link {
    fn poll(&mut self, shard: &Shard, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Registered before anything is looked at, so that no change is missed.
        shard.driver.register(cx.waker());
        for _ in 0..TURNS {
            let received = self.receive(cx);
            let woke = shard.turn(&mut self.frames, self.format, &mut self.outbox);
            // What arrived before the device ended has been taken in.
            let more = received?;
            if woke && self.may_step_aside() {
                // Their answers and what they make room for go out with the acknowledgments.
                self.asides += 1;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            (self.asides, self.unanswered) = (0, 0);
            let passed_on = shard.flush_from_driver() == Flushed::PassOn;
            shard.next_turn();
            let has_room = self.poll_send(shard, cx)?.is_ready();
            if more || passed_on || has_room {
                continue;
            }
            match shard.rest() {
                Rest::End if !shard.device_full.load(Ordering::Acquire) => {
                    return Poll::Ready(Ok(()));
                }
                Rest::End if !self.draining => {
                    self.draining = true;
                    let end = tokio::time::Instant::now() + DRAIN_TIME;
                    self.timer.as_mut().reset(end);
                }
                Rest::Rearm(deadline) => {
                    let deadline = shard.clock().to_runtime(deadline);
                    self.timer.as_mut().reset(deadline);
                }
                Rest::End | Rest::WaitWithTimer => {}
                Rest::Wait => return Poll::Pending,
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if self.draining {
                return Poll::Ready(Ok(()));
            }
            shard.timer_fired();
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn may_step_aside(&self) -> bool {
        self.asides == 0 || self.asides < ASIDES && self.unanswered <= LITTLE
    }

    /// Takes up to a batch of frames from the device. Tells whether there may be more.
    fn receive(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut bytes = 0;
        while self.frames.len() < BATCH && bytes < BATCH_BYTES {
            match self.device.try_recv(self.memory.space()) {
                Ok(len) => {
                    bytes += len;
                    self.unanswered += len;
                    self.frames.push(self.memory.take(len));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.device.poll_recv_ready(cx)?.is_pending() {
                        return Ok(false);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// If the device was full: `Ready` when it has room again.
    fn poll_send(&self, shard: &Shard, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        if !shard.device_full.load(Ordering::Acquire) {
            return Ok(Poll::Pending);
        }
        Ok(self.device.poll_send_ready(cx)?.map(|()| {
            shard.device_full.store(false, Ordering::Release);
        }))
    }
}

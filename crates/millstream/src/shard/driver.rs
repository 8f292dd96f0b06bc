//! The task that drives a shard: packets in, timers, packets out.
//!
//! One turn takes a bounded batch of frames from the device and feeds them to the engine, and after
//! them the timers that are due (see [`overdue`](crate::shard::overdue)). It wakes the applications
//! concerned, lets them run once, and sends the engine's packets, so that an answer carries the
//! acknowledgment of its request. Without work the task sleeps until the device has frames, its one
//! timer fires, or an application's call has left it work: the device was full, or a timer must
//! fire earlier. An idle stack wakes for nothing else, except for packets that arrived at another
//! shard of its stack.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use millstream_engine::Misdirected;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::yield_now;
use tokio::time::{Sleep, sleep_until};

use crate::device::Device;
use crate::error::StackClosed;
use crate::shard::Shard;
use crate::shard::flush::Flushed;
use crate::shard::rest::Rest;
use crate::shard::turn::Intake;
use crate::shard::wakers::Woken;
use crate::sync::Ordering;

/// Turns before other tasks run: reading from a device does not use up the runtime's budget.
const MAX_TURNS: usize = 4;

/// The maximum number of consecutive turns after which applications run before anything is sent, as
/// long as few bytes have arrived in all. One application may wake another, as an acceptor wakes
/// the task of its connection, and the last one may write the answer. After these turns, packets
/// are sent before more is received.
const MAX_ASIDES: u8 = 4;

/// The maximum number of bytes that have arrived since the last sending if applications run for a
/// further turn before the next. So acknowledgments of a bulk flow wait for one turn only.
const FEW_UNANSWERED: usize = 16 << 10;

/// The time for which a stack that has ended waits for a full device to take its last packets.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// The driver task's future. It completes when the stack has ended.
pub(crate) struct Driver {
    // Dropped in this order: the device is closed before the end is announced.
    link: Link,
    end: End,
}

impl Driver {
    /// Creates the driver of the shard at `index` among those of the stack.
    pub(crate) fn new(shards: Arc<[Arc<Shard>]>, index: usize, device: Arc<dyn Device>) -> Self {
        Self {
            link: Link {
                intake: Intake::default(),
                timer: Box::pin(sleep_until(tokio::time::Instant::now())),
                draining: false,
                asides: 0,
                unanswered: 0,
                accepting: false,
                has_threads: Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread,
                device,
            },
            end: End {
                shards,
                index,
                reason: StackClosed::DriverGone,
            },
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { link, end } = &mut *self;
        // It remains if polling panics.
        end.reason = StackClosed::Panicked;
        let polled = link.poll(&end.shards, end.index, cx);
        end.reason = match &polled {
            Poll::Pending => StackClosed::DriverGone,
            Poll::Ready(Ok(())) => StackClosed::Shutdown,
            Poll::Ready(Err(_)) => StackClosed::Panicked,
        };
        polled.map(|result| {
            if let Err(error) = result {
                tracing::debug!(%error, "the device has ended");
                end.reason = StackClosed::Device(Arc::new(error));
            }
        })
    }
}

/// Announces the end of the driver, whether it returns, panics, or is dropped by the runtime. A
/// stack does not continue with a part of its shards: if one fails, the others end, too.
struct End {
    shards: Arc<[Arc<Shard>]>,
    index: usize,
    reason: StackClosed,
}

impl Drop for End {
    fn drop(&mut self) {
        self.shards[self.index].end(self.reason.clone());
        if !matches!(self.reason, StackClosed::Shutdown) {
            for shard in &*self.shards {
                shard.shut_down(self.reason.clone());
            }
        }
    }
}

/// The device, and the state of the driver's turns.
struct Link {
    device: Arc<dyn Device>,
    intake: Intake,
    timer: Pin<Box<Sleep>>,
    /// Whether the stack has ended, so that the timer bounds the time for which it still sends.
    draining: bool,
    /// Turns since the driver last sent: applications were woken, and sending waits until they have
    /// run.
    asides: u8,
    /// Bytes that arrived in these turns.
    unanswered: usize,
    /// Whether acceptors were woken in the last of these turns.
    accepting: bool,
    /// Whether the runtime has several threads.
    has_threads: bool,
}

/// The result of sending.
struct Sent {
    /// Whether writers that waited for this turn were woken.
    writers: bool,
    /// Whether there may be more to send.
    is_more: bool,
}

impl Link {
    fn poll(
        &mut self,
        shards: &[Arc<Shard>],
        index: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let shard = &shards[index];
        // Registered before any state is read, so that no change is missed.
        shard.driver.register(cx.waker());
        let mut may_send_more = false;
        for _ in 0..MAX_TURNS {
            // Sends before more packets arrive whose applications have not run.
            if self.asides == MAX_ASIDES && self.send(shard, cx)?.writers {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let turn = shard.turn(cx, &mut self.intake);
            self.unanswered += turn.bytes;
            self.hand_over(shards);
            // Packets that arrived before the device ended have been taken in.
            let more = turn.more?;
            if shard.has_credit() && self.steps_aside(turn.woken, cx) {
                return Poll::Pending;
            }
            let sent = self.send(shard, cx)?;
            if sent.writers {
                // The end of their data waits for their next write, or for the next turn.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // Answers may have arrived during sending: looking costs less than a wake-up.
            may_send_more = sent.is_more;
            if more || sent.is_more || turn.bytes > 0 {
                continue;
            }
            if shard.poll_leave_to_reader(cx)?.is_ready() {
                // The driver runs again in case the reader does not read.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let rest = match shard.rest() {
                Rest::Idle if shard.idles(shards) => Rest::End,
                rest => rest,
            };
            match rest {
                Rest::End => return self.poll_end(shard, false, cx).map(Ok),
                Rest::Rearm(deadline) => {
                    let deadline = shard.clock.to_runtime(deadline);
                    self.timer.as_mut().reset(deadline);
                }
                Rest::WaitWithTimer => {}
                Rest::Wait | Rest::Idle => return Poll::Pending,
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            shard.timer_fired();
        }
        // A device that always has more frames does not keep a stack alive that has ended.
        let over = shard.is_over(shards);
        if over && self.poll_end(shard, may_send_more, cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ends a stack: `Ready` when its last packets are sent or the time for that has passed.
    fn poll_end(&mut self, shard: &Shard, may_send_more: bool, cx: &mut Context<'_>) -> Poll<()> {
        if !may_send_more && !shard.device_full.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        if !self.draining {
            self.draining = true;
            let end = tokio::time::Instant::now() + DRAIN_TIME;
            self.timer.as_mut().reset(end);
        }
        self.timer.as_mut().poll(cx)
    }

    /// Gives packets that belong to other shards to them.
    fn hand_over(&mut self, shards: &[Arc<Shard>]) {
        while let Some(owner) = self.intake.misdirected.first().map(Misdirected::owner) {
            let theirs = self
                .intake
                .misdirected
                .extract_if(.., |p| p.owner() == owner);
            shards[usize::from(owner)].take_over(theirs);
        }
    }

    /// Whether applications run before anything is sent: their answers, and the windows that they
    /// enlarge by reading, go out with the acknowledgments. The driver runs again after them.
    fn steps_aside(&mut self, woken: Woken, cx: &mut Context<'_>) -> bool {
        // The task to which an acceptor hands its connection runs after the acceptor.
        let handed_on = std::mem::replace(&mut self.accepting, woken == Woken::Acceptors);
        let any_runs = woken > Woken::Nobody || handed_on;
        if !any_runs || !self.may_step_aside() {
            self.accepting = false;
            return false;
        }
        self.asides += 1;
        if self.accepting || self.has_threads {
            // An acceptor is often the future on which a runtime of one thread blocks, and which
            // runs when no other task can. A runtime of several threads would wake another thread
            // to run the driver there at once.
            let _ = pin!(yield_now()).poll(cx);
        } else {
            cx.waker().wake_by_ref();
        }
        true
    }

    fn may_step_aside(&self) -> bool {
        self.asides == 0 || self.unanswered <= FEW_UNANSWERED
    }

    /// Sends the waiting packets, and wakes the writers that have used up their allowance.
    fn send(&mut self, shard: &Shard, cx: &mut Context<'_>) -> io::Result<Sent> {
        (self.asides, self.unanswered) = (0, 0);
        let passed_on = shard.flush_from_driver() == Flushed::PassOn;
        // Without credit the device must be read first: the packets of these writers are not sent.
        let reads_first = !shard.has_credit();
        let writers = !reads_first && shard.next_turn();
        let has_room = self.poll_send(shard, cx)?.is_ready();
        Ok(Sent {
            writers,
            is_more: passed_on || has_room || reads_first,
        })
    }

    /// If the device was full: `Ready` when it has room again. Otherwise `Pending`.
    fn poll_send(&self, shard: &Shard, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        if !shard.device_full.load(Ordering::Acquire) {
            return Ok(Poll::Pending);
        }
        Ok(self.device.poll_send_ready(cx)?.map(|()| {
            shard.device_full.store(false, Ordering::Release);
        }))
    }
}

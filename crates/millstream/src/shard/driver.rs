//! The task that drives a shard: packets in, timers, packets out.
//!
//! One turn takes a bounded batch of frames from the device, feeds them to the engine and after them
//! the timers that are due (see [`overdue`](crate::shard::overdue)), wakes the applications concerned, lets them run once, and sends what the engine
//! has to send, so that an answer carries the acknowledgment of its request. When there is nothing to do the task sleeps until the device has something, its one timer fires, or an
//! application's call has left it something: the device was full, or a timer must fire earlier. An idle
//! stack wakes for nothing else, but for what arrived at another shard of its stack.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
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

/// Turns before other tasks get theirs: reading from a device consumes no budget of the runtime's.
const MAX_TURNS: usize = 4;

/// Turns in a row after which applications get to run before anything is sent, as long as little has arrived
/// in all: one wakes another (an acceptor its connection's task), and the last may have the answer. Then what there is
/// is sent before more is taken in.
const ASIDES: u8 = 4;

/// Bytes that are little. A bulk flow's acknowledgments wait for one turn alone.
const FEW_UNANSWERED: usize = 16 << 10;

/// How long a stack that is over waits for a full device to take its last packets.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// The driver task's future. It ends when the stack is over.
pub(crate) struct Driver {
    // Dropped in this order: the device is closed when the end is announced.
    link: Link,
    end: End,
}

impl Driver {
    /// Of the shard that is at `index` among those of the stack.
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
        // Unless this returns.
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

/// Announces the end of the driver, whatever ends it: its own return, a panic, or the runtime.
/// A stack does not go on with some of its shards: where one fails, the others end, too.
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

/// The device and what is needed to read from it.
struct Link {
    device: Arc<dyn Device>,
    intake: Intake,
    timer: Pin<Box<Sleep>>,
    /// The stack is over, and the timer bounds how long it still sends.
    draining: bool,
    /// Turns since anything was sent from here: applications were woken, and sending waits for them to run.
    asides: u8,
    /// Bytes that arrived meanwhile.
    unanswered: usize,
    /// Acceptors were woken in the last of those turns.
    accepting: bool,
    /// The runtime has several.
    has_threads: bool,
}

/// What is left after sending.
struct Sent {
    /// Writers may go on.
    writers: bool,
    /// There is, or may be, more to send.
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
        // Registered before anything is looked at, so that no change is missed.
        shard.driver.register(cx.waker());
        let mut may_send_more = false;
        for _ in 0..MAX_TURNS {
            // Before more arrives, whose applications have not run.
            if self.asides == ASIDES && self.send(shard, cx)?.writers {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let turn = shard.turn(cx, &mut self.intake);
            self.unanswered += turn.bytes;
            self.hand_over(shards);
            // What arrived before the device ended has been taken in.
            let more = turn.more?;
            if shard.has_credit() && self.steps_aside(turn.woken, cx) {
                return Poll::Pending;
            }
            let sent = self.send(shard, cx)?;
            if sent.writers {
                // What they have not sent yet waits for what they write now, or for the next turn.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // While that went out, answers may have come: looking costs less than sleeping and being woken.
            may_send_more = sent.is_more;
            if more || sent.is_more || turn.bytes > 0 {
                continue;
            }
            if shard.poll_leave_to_reader(cx)?.is_ready() {
                // In case that it does not come to read.
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
        // A device that always has more does not keep alive what is over.
        let over = shard.is_over(shards);
        if over && self.poll_end(shard, may_send_more, cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The stack is over: `Ready` when its last packets are sent, or have been tried for long enough.
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

    /// Takes what is for other shards to them.
    fn hand_over(&mut self, shards: &[Arc<Shard>]) {
        while let Some(owner) = self.intake.misdirected.first().map(Misdirected::owner) {
            let theirs = self
                .intake
                .misdirected
                .extract_if(.., |p| p.owner() == owner);
            shards[usize::from(owner)].take_over(theirs);
        }
    }

    /// Whether applications get to run before anything is sent: their answers and what they make room for go out with the
    /// acknowledgments. The driver runs again after them.
    fn steps_aside(&mut self, woken: Woken, cx: &mut Context<'_>) -> bool {
        // Whom an acceptor hands its connections to runs after it.
        let handed_on = std::mem::replace(&mut self.accepting, woken == Woken::Acceptors);
        let any_runs = woken > Woken::Nobody || handed_on;
        if !any_runs || !self.may_step_aside() {
            self.accepting = false;
            return false;
        }
        self.asides += 1;
        if self.accepting || self.has_threads {
            // An acceptor is often the future that a runtime of one thread blocks on, which runs when nothing else can. And one of
            // several threads would wake another to run the driver there at once.
            let _ = pin!(yield_now()).poll(cx);
        } else {
            cx.waker().wake_by_ref();
        }
        true
    }

    fn may_step_aside(&self) -> bool {
        self.asides == 0 || self.unanswered <= FEW_UNANSWERED
    }

    /// Sends what there is to send, and lets writers go on that have sent enough.
    fn send(&mut self, shard: &Shard, cx: &mut Context<'_>) -> io::Result<Sent> {
        (self.asides, self.unanswered) = (0, 0);
        let passed_on = shard.flush_from_driver() == Flushed::PassOn;
        // Who has to wait until something is read has not sent what it was allowed.
        let reads_first = !shard.has_credit();
        let writers = !reads_first && shard.next_turn();
        let has_room = self.poll_send(shard, cx)?.is_ready();
        Ok(Sent {
            writers,
            is_more: passed_on || has_room || reads_first,
        })
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

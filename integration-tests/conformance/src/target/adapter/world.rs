//! The environment of the adapter: a runtime with a paused clock, and the other end of the device.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc::{self, UnboundedReceiver, UnboundedSender};
use futures::stream::Peekable;
use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use millstream::device::{Device, Packets};
use tokio::runtime::{Builder, EnterGuard, Runtime};
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{self, Instant};

use crate::target::Time;

/// The number of driver turns after which the stack counts as idle. A packet or a call takes one
/// turn; its remaining work takes another.
const TURNS: usize = 4;

/// The maximum size of an IP packet in bytes.
const ANY_SIZE: usize = 65_535;

/// A runtime on virtual time, and the far end of a wire. Time passes only in
/// [`advance`](Self::advance), and never before all past events have been processed.
pub(super) struct World {
    runtime: Runtime,
    origin: Instant,
    incoming: UnboundedSender<Bytes>,
    sent: Peekable<UnboundedReceiver<Bytes>>,
    activity: Arc<Activity>,
}

impl World {
    /// A world, and the device in it. The device carries packets of any size, so that the peer may
    /// send larger packets than the stack.
    pub(super) fn new() -> io::Result<(Self, impl Device)> {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()?;
        let origin = runtime.block_on(async { Instant::now() });
        let (incoming, arriving) = mpsc::unbounded();
        let (sending, sent) = mpsc::unbounded();
        let sending = sending.sink_map_err(io::Error::other);
        let device = Packets::join(arriving.map(Ok), sending, ANY_SIZE);
        let world = Self {
            runtime,
            origin,
            incoming,
            sent: sent.peekable(),
            activity: Arc::default(),
        };
        Ok((world, device))
    }

    /// Enters the clock and the runtime of this world for a call.
    pub(super) fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    /// A waker for the task that lets time pass.
    pub(super) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.activity))
    }

    /// Lets the stack do all work that is due now.
    pub(super) fn settle(&self) {
        self.runtime.block_on(settle());
    }

    /// Lets time pass until `limit`, or until the stack has sent a packet or woken a task.
    pub(super) fn advance(&mut self, limit: Time) -> Time {
        let packet = Pin::new(&mut self.sent).peek();
        let activity = &self.activity.0;
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                packet = packet => {
                    assert!(packet.is_some(), "the driver of the stack has ended");
                }
                () = activity.notified() => {}
                () = pass(self.origin, limit) => {}
            }
            settle().await;
            self.origin.elapsed()
        })
    }

    /// Delivers a packet to the stack.
    pub(super) fn inject(&mut self, packet: Bytes) {
        // The device lives as long as the driver, and `advance` checks the driver.
        let _ = self.incoming.unbounded_send(packet);
        self.settle();
    }

    /// The next packet from the stack, and its time, which is the current time.
    pub(super) fn take_packet(&mut self) -> Option<(Time, Vec<u8>)> {
        let packet = self.sent.next().now_or_never()??;
        let _world = self.runtime.enter();
        Some((self.origin.elapsed(), packet.into()))
    }
}

/// Runs all tasks that are ready. Meanwhile the paused clock does not advance.
async fn settle() {
    for _ in 0..TURNS {
        yield_now().await;
    }
}

/// Waits until `limit` has passed since `origin`. The runtime's timers have a resolution of one
/// millisecond: the rest is advanced by hand, after the timers at the last millisecond have fired.
async fn pass(origin: Instant, limit: Time) {
    let rest = Duration::from_nanos(u64::from(limit.subsec_nanos() % 1_000_000));
    time::sleep_until(origin + (limit - rest)).await;
    settle().await;
    let rest = (origin + limit).saturating_duration_since(Instant::now());
    if !rest.is_zero() {
        time::advance(rest).await;
    }
}

/// A waker for the script's calls that wait for the stack.
#[derive(Default)]
struct Activity(Notify);

impl Wake for Activity {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

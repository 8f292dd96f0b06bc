//! Links for tokio: a device that treats passing packets as a link would.
//!
//! This file has the device; `passage` has the links inside it.

mod passage;

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use fastrand::Rng;
use millstream::device::{self, Capabilities, Device, Pair};
use tokio::runtime::Handle;
use tokio::time::Instant;

use self::passage::Passage;
use crate::model::{Link, LinkConfig, LinkStats, Schedule};
use crate::seed::Seed;

/// Wraps a device so that packets pass a link in each direction: `outgoing` from the stack to the
/// device, `incoming` from the device to the stack.
///
/// The device uses the runtime's clock, so a paused clock gives virtual time. The runtime's timers
/// count whole milliseconds: a packet is late by up to one millisecond, although the link itself
/// has a finer resolution. For exact times use [`Network`](crate::Network) or, between two kernels,
/// [`Bridge`](crate::Bridge).
///
/// A full queue drops packets; the device never makes its stack wait. After the device is dropped,
/// the packets already sent still reach the inner device at their due times, as long as the runtime
/// runs.
///
/// To read counters or to change a link, give the stack an [`Arc`] of the device and keep a clone.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use millstream::{Stack, device};
/// use millstream_netsim::{Impaired, LinkConfig, Seed};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> std::io::Result<()> {
/// let slow = LinkConfig::new().rate(1_000_000).delay(Duration::from_millis(50)).loss(0.01);
/// let (left, right) = device::pair();
/// let left = Arc::new(Impaired::new(left, slow.clone(), slow, Seed::from_env()));
/// let client = Stack::builder().device(Arc::clone(&left)).address("10.0.0.1/24").build()?;
/// let server = Stack::builder().device(right).address("10.0.0.2/24").build()?;
///
/// let listener = server.listen("10.0.0.2:7").await?;
/// let (stream, accepted) = tokio::join!(client.connect("10.0.0.2:7"), listener.accept());
/// stream?;
/// accepted?;
/// assert!(left.outgoing().delivered >= 2);
/// # Ok(()) }
/// ```
pub struct Impaired<D: Device> {
    inner: Arc<Inner<D>>,
}

struct Inner<D> {
    device: D,
    passage: Mutex<Passage>,
    /// Prints itself if the thread panics while the device is alive.
    _seed: Seed,
}

/// Returns the two ends of a link in memory: packets from the first to the second pass `there`,
/// packets from the second to the first pass `back`.
///
/// Must be called inside a tokio runtime, whose clock gives the time.
#[must_use]
pub fn pair(
    there: impl Into<Schedule>,
    back: impl Into<Schedule>,
    seed: impl Into<Seed>,
) -> (Impaired<Pair>, Pair) {
    let (first, second) = device::pair();
    (Impaired::new(first, there, back, seed), second)
}

impl<D: Device> Impaired<D> {
    /// Puts the links in front of `device`. Must be called inside a tokio runtime, whose clock
    /// gives the time; the times of a schedule count from this call.
    ///
    /// # Panics
    /// If the device has offloads: a link carries packets and not super-segments.
    #[must_use]
    pub fn new(
        device: D,
        outgoing: impl Into<Schedule>,
        incoming: impl Into<Schedule>,
        seed: impl Into<Seed>,
    ) -> Self {
        let capabilities = device.capabilities();
        assert!(
            capabilities == Capabilities::plain(capabilities.mtu),
            "a link carries packets as they are on the wire, without offloads"
        );
        let seed = seed.into();
        let mut seeds = Rng::with_seed(seed.value());
        let outgoing = Link::new(outgoing, seeds.u64(..));
        let incoming = Link::new(incoming, seeds.u64(..));
        let passage = Passage::new(outgoing, incoming, capabilities.mtu);
        Self {
            inner: Arc::new(Inner {
                device,
                passage: Mutex::new(passage),
                _seed: seed,
            }),
        }
    }

    /// The counters of the link to the device.
    #[must_use]
    pub fn outgoing(&self) -> LinkStats {
        *self.inner.lock().outgoing.stats()
    }

    /// The counters of the link from the device.
    #[must_use]
    pub fn incoming(&self) -> LinkStats {
        *self.inner.lock().incoming.stats()
    }

    /// Changes the link to the device now; see [`Link::configure`].
    pub fn configure_outgoing(&self, change: impl FnOnce(LinkConfig) -> LinkConfig) {
        self.change(|passage| passage.outgoing.configure(passage.now(), change));
    }

    /// Changes the link from the device now; see [`Link::configure`].
    pub fn configure_incoming(&self, change: impl FnOnce(LinkConfig) -> LinkConfig) {
        self.change(|passage| passage.incoming.configure(passage.now(), change));
    }

    fn change(&self, change: impl FnOnce(&mut Passage)) {
        let mut passage = self.inner.lock();
        change(&mut passage);
        let waker = passage.wake_driver();
        drop(passage);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<D: Device> Device for Impaired<D> {
    fn capabilities(&self) -> Capabilities {
        self.inner.device.capabilities()
    }

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.lock().poll(&self.inner.device, cx)
    }

    fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(packet) = self.inner.lock().take() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let len = packet.len().min(buf.len());
        buf[..len].copy_from_slice(&packet[..len]);
        Ok(len)
    }

    fn queue_len(&self) -> Option<usize> {
        self.inner.device.queue_len()
    }

    fn arrived_at(&self) -> Option<Instant> {
        self.inner.lock().taken_at()
    }

    fn poll_send_ready(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()> {
        let len = frame.iter().map(|slice| slice.len()).sum();
        if len > self.capabilities().mtu {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the packet exceeds the device's MTU",
            ));
        }
        let mut packet = Vec::with_capacity(len);
        frame
            .iter()
            .for_each(|slice| packet.extend_from_slice(slice));
        self.change(|passage| passage.send(Bytes::from(packet)));
        Ok(())
    }
}

impl<D: Device> Drop for Impaired<D> {
    fn drop(&mut self) {
        if self.inner.lock().has_sent_all() {
            return;
        }
        let inner = Arc::clone(&self.inner);
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(std::future::poll_fn(move |cx| {
                inner.lock().poll_sent_all(&inner.device, cx)
            }));
        }
    }
}

impl<D: Device + fmt::Debug> fmt::Debug for Impaired<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Impaired")
            .field("device", &self.inner.device)
            .field("passage", &*self.inner.lock())
            .finish()
    }
}

impl<D> Inner<D> {
    fn lock(&self) -> MutexGuard<'_, Passage> {
        self.passage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

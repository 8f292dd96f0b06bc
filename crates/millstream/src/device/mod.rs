//! Devices, which carry IP packets into and out of a stack.
//!
//! [`Device`] is the trait. [`Tun`] is a kernel interface, [`pair()`] a link in memory, [`Packets`]
//! any `Stream` and `Sink` of packets, and [`Capture`] a wrapper that records all packets.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll};

use arrayvec::ArrayVec;
use bytes::Bytes;
use tokio::time::Instant;

mod capture;
#[cfg(target_os = "linux")]
mod fd;
#[cfg(target_os = "linux")]
mod ifreq;
#[cfg(target_os = "linux")]
mod netlink;
mod packets;
mod pair;
#[cfg(target_os = "linux")]
mod tun;
#[cfg(target_os = "linux")]
mod tun_error;

pub use self::capture::{Capture, Captured, Direction};
#[cfg(target_os = "linux")]
pub use self::ifreq::Offloads;
pub use self::packets::Packets;
pub use self::pair::{Pair, PairConfig, pair};
#[cfg(target_os = "linux")]
pub use self::tun::{Tun, TunBuilder};

/// The maximum number of slices in a vectored write. The engine's packets stay well below it.
pub(crate) const MAX_SLICES: usize = 64;

/// The capabilities of a device. A stack reads them once, when it is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The largest IP packet carried, in bytes.
    pub mtu: usize,
    /// Bytes of the virtio-net header before every frame, in both directions: 0 (none), 10 or 12
    /// (virtio 1.2, 5.1.6).
    pub virtio_header_len: usize,
    /// Payload bytes of the largest TCP segment that the device accepts, and either segments itself
    /// or carries whole. The device may deliver such super-segments, too. Zero: every packet fits
    /// the MTU.
    pub max_segment: usize,
    /// Whether transport checksums of received packets need no verification, unless the virtio-net
    /// header states otherwise.
    pub rx_checksum_trusted: bool,
    /// Whether the device completes TCP and UDP checksums as the virtio-net header requests.
    pub tx_checksum_offload: bool,
    /// Payload bytes of the largest sequence of equal UDP datagrams that the device cuts into
    /// packets, as the virtio-net header requests. It needs
    /// [`tx_checksum_offload`](Self::tx_checksum_offload). Zero: none.
    pub max_datagrams: usize,
}

impl Capabilities {
    /// A device that carries packets of up to `mtu` bytes and does nothing else.
    #[must_use]
    pub const fn plain(mtu: usize) -> Self {
        Self {
            mtu,
            virtio_header_len: 0,
            max_segment: 0,
            rx_checksum_trusted: false,
            tx_checksum_offload: false,
            max_datagrams: 0,
        }
    }

    /// Sets [`virtio_header_len`](Self::virtio_header_len).
    #[must_use]
    pub const fn with_virtio_header_len(mut self, len: usize) -> Self {
        self.virtio_header_len = len;
        self
    }

    /// Sets [`max_segment`](Self::max_segment).
    #[must_use]
    pub const fn with_max_segment(mut self, bytes: usize) -> Self {
        self.max_segment = bytes;
        self
    }

    /// Sets [`rx_checksum_trusted`](Self::rx_checksum_trusted).
    #[must_use]
    pub const fn with_rx_checksum_trusted(mut self, trusted: bool) -> Self {
        self.rx_checksum_trusted = trusted;
        self
    }

    /// Sets [`tx_checksum_offload`](Self::tx_checksum_offload).
    #[must_use]
    pub const fn with_tx_checksum_offload(mut self, completes: bool) -> Self {
        self.tx_checksum_offload = completes;
        self
    }

    /// Sets [`max_datagrams`](Self::max_datagrams).
    #[must_use]
    pub const fn with_max_datagrams(mut self, bytes: usize) -> Self {
        self.max_datagrams = bytes;
        self
    }

    /// Whether every frame is one packet of at most the MTU, with its checksum: the stack itself
    /// then does the work that it can leave to other devices.
    #[must_use]
    pub(crate) const fn is_plain(&self) -> bool {
        self.virtio_header_len == 0 && self.max_segment == 0 && !self.tx_checksum_offload
    }

    /// Bytes of the largest frame that may arrive, including the virtio-net header.
    #[must_use]
    pub const fn max_frame(&self) -> usize {
        let packet = if self.max_segment > 0 {
            u16::MAX as usize
        } else {
            self.mtu
        };
        packet + self.virtio_header_len
    }
}

/// Carries frames: IP packets, each behind a virtio-net header if the
/// [capabilities](Capabilities::virtio_header_len) state one.
///
/// The callers: only a stack's driver task calls [`poll_recv_ready`](Self::poll_recv_ready) and
/// [`poll_send_ready`](Self::poll_send_ready). [`try_recv`](Self::try_recv) and
/// [`try_recv_split`](Self::try_recv_split) are called by the driver, or by a task that waits to
/// read a large amount, on any thread; [`try_send`](Self::try_send) by any task that sends.
/// Receiving and sending may happen at the same time, but at most one task receives and at most one
/// sends. The device is dropped when its stack ends.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no device: a stack cannot read packets from it or write packets to it",
    label = "not a `millstream::device::Device`",
    note = "`device::Tun` is a network interface, `device::pair()` a link in memory",
    note = "a `Stream` and `Sink` of packets becomes a device by `device::Packets`",
    note = "for anything else implement `Device` by yourself"
)]
pub trait Device: Send + Sync + 'static {
    /// The capabilities of the device, which must not change.
    fn capabilities(&self) -> Capabilities;

    /// Waits until a call of [`try_recv`](Self::try_recv) is worthwhile. After `Ready(Ok)` and a
    /// `try_recv` that returns [`WouldBlock`](io::ErrorKind::WouldBlock), the next call must not be
    /// `Ready` before something has changed; after `Pending` the task is woken when it does.
    ///
    /// # Errors
    /// The device has ended or failed permanently; the stack ends.
    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Receives one frame into `buf` and returns its length in bytes. If the frame is longer than
    /// `buf`, the rest is lost; the stack drops and counts a frame that is longer than
    /// [`max_frame`](Capabilities::max_frame).
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): no frame is available.
    /// [`Interrupted`](io::ErrorKind::Interrupted): the stack repeats the call, a few times at once
    /// and then after other tasks have run. Any other error: the device has ended or failed
    /// permanently; the stack ends.
    fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize>;

    /// Receives one frame as [`try_recv`](Self::try_recv) does, its first bytes into `head` and the
    /// following bytes into `rest`; both together have room for a whole frame. Returns the length
    /// of both parts in bytes. A device that can read into two places should override this default,
    /// which copies.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    fn try_recv_split(&self, head: &mut [u8], rest: &mut [u8]) -> io::Result<usize> {
        let mut frame = vec![0; head.len() + rest.len()];
        let len = self.try_recv(&mut frame)?.min(frame.len());
        let (first, second) = frame.split_at(head.len());
        head.copy_from_slice(first);
        let rest_len = len.saturating_sub(head.len());
        rest[..rest_len].copy_from_slice(&second[..rest_len]);
        Ok(len)
    }

    /// The maximum number of frames that wait here for [`try_recv`](Self::try_recv), if the device
    /// drops any frames beyond them. The stack reads in time: it sends at most half as many frames
    /// before it has read the waiting ones. `None`, the default, means that the sender waits
    /// instead. A stack calls this once, when it is built.
    fn queue_len(&self) -> Option<usize> {
        None
    }

    /// The arrival time, by the runtime's clock, of the last frame that was received, if the device
    /// knows it. `None`, the default, stands for the time at which the frame was received. Round
    /// trips are measured up to the arrival, so that a receiving task that runs late does not
    /// lengthen them. A timer fires only after all frames that arrived before it was due have been
    /// read; a frame received later must therefore not have arrived earlier. Called after a frame
    /// was received, by the task that received it.
    fn arrived_at(&self) -> Option<Instant> {
        None
    }

    /// Waits until [`try_send`](Self::try_send), which has returned
    /// [`WouldBlock`](io::ErrorKind::WouldBlock), is worth another try.
    ///
    /// # Errors
    /// The device has ended or failed permanently; the stack ends.
    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Sends the one frame that the slices form.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): the device is full and has taken nothing; the
    /// stack keeps the frame and sends nothing else before it.
    /// [`Interrupted`](io::ErrorKind::Interrupted): the stack repeats the call, a few times at once
    /// and then as if the device were full. Any other error: this frame is lost, as any frame may
    /// be.
    fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()>;

    /// Sends the one frame that `headers` and then `payload` form, as [`try_send`](Self::try_send)
    /// does, which the default implementation calls. A device that keeps frames in memory may keep
    /// the payload without a copy.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send).
    fn try_send_shared(&self, headers: &[IoSlice<'_>], payload: &[Bytes]) -> io::Result<()> {
        let count = headers.len() + payload.len();
        let payload = payload.iter().map(|piece| IoSlice::new(piece));
        let frame = headers.iter().copied().chain(payload);
        if count <= MAX_SLICES {
            self.try_send(&frame.collect::<ArrayVec<_, MAX_SLICES>>())
        } else {
            self.try_send(&frame.collect::<Vec<_>>())
        }
    }
}

macro_rules! deref_device {
    ($($pointer:ty),*) => {$(
        impl<D: Device + ?Sized> Device for $pointer {
            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }

            fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                (**self).poll_recv_ready(cx)
            }

            fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
                (**self).try_recv(buf)
            }

            fn try_recv_split(&self, head: &mut [u8], rest: &mut [u8]) -> io::Result<usize> {
                (**self).try_recv_split(head, rest)
            }

            fn queue_len(&self) -> Option<usize> {
                (**self).queue_len()
            }

            fn arrived_at(&self) -> Option<Instant> {
                (**self).arrived_at()
            }

            fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                (**self).poll_send_ready(cx)
            }

            fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()> {
                (**self).try_send(frame)
            }

            fn try_send_shared(&self, headers: &[IoSlice<'_>], payload: &[Bytes]) -> io::Result<()> {
                (**self).try_send_shared(headers, payload)
            }
        }
    )*};
}

deref_device!(Arc<D>, Box<D>);

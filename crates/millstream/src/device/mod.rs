//! Devices: what carries IP packets in and out of a stack.
//!
//! [`Device`] is the trait. [`Tun`] is a kernel interface, [`pair()`] a link in memory, [`Packets`] any `Stream` and `Sink` of
//! packets, and [`Capture`] a wrapper that records what passes.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll};

use arrayvec::ArrayVec;
use bytes::Bytes;
use tokio::time::Instant;

use crate::io::send::MAX_SLICES;

mod capture;
#[cfg(target_os = "linux")]
mod fd;
#[cfg(target_os = "linux")]
mod ifreq;
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

/// What a device can do. A stack reads it once, when it is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Largest IP packet carried, in bytes.
    pub mtu: usize,
    /// Bytes of the virtio-net header before every frame, both ways: 0 (none), 10 or 12
    /// (virtio 1.2, 5.1.6).
    pub virtio_header_len: usize,
    /// Payload bytes of the largest TCP segment the device takes and cuts by itself, or carries
    /// whole; it may deliver such super-segments, too. Zero: every packet fits the MTU.
    pub max_segment: usize,
    /// Whether transport checksums of what arrives need no check, unless the virtio-net header
    /// says otherwise.
    pub rx_checksum_trusted: bool,
    /// The device completes TCP checksums as the virtio-net header tells it to.
    pub tx_checksum_offload: bool,
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

    /// Whether every frame is one packet of at most the MTU, with its checksum: what can be left to other
    /// devices the stack does by itself.
    #[must_use]
    pub(crate) const fn is_plain(&self) -> bool {
        self.virtio_header_len == 0 && self.max_segment == 0 && !self.tx_checksum_offload
    }

    /// Bytes of the largest frame that may arrive, the virtio-net header included.
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
/// [capabilities](Capabilities::virtio_header_len) say so.
///
/// Who calls what: a stack's driver task alone calls [`poll_recv_ready`](Self::poll_recv_ready) and
/// [`poll_send_ready`](Self::poll_send_ready). [`try_recv`](Self::try_recv) and [`try_recv_split`](Self::try_recv_split)
/// are called by the driver, or by a task that waits for much to read, on any thread; [`try_send`](Self::try_send) by any
/// task that has something to send. Receiving and sending go on at the same time, but neither twice at once. The device
/// is dropped when its stack ends.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no device: a stack cannot read packets from it or write packets to it",
    label = "not a `millstream::device::Device`",
    note = "`device::Tun` is a network interface, `device::pair()` a link in memory",
    note = "a `Stream` and `Sink` of packets becomes a device by `device::Packets`",
    note = "for anything else implement `Device` by yourself"
)]
pub trait Device: Send + Sync + 'static {
    /// What the device can do. The answer must not change.
    fn capabilities(&self) -> Capabilities;

    /// Waits until [`try_recv`](Self::try_recv) is worth a try. After `Ready(Ok)` and a `try_recv`
    /// that says [`WouldBlock`](io::ErrorKind::WouldBlock), the next call must not be `Ready` before
    /// something has changed; after `Pending` the task is woken when it does.
    ///
    /// # Errors
    /// The device has ended or failed for good; the stack ends.
    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Takes one frame into `buf` and returns its length in bytes. Of a frame that is longer than `buf` the rest is lost;
    /// the stack drops and counts one that is longer than [`max_frame`](Capabilities::max_frame).
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): none is there. [`Interrupted`](io::ErrorKind::Interrupted):
    /// to be tried again, a few times at once and then after other tasks have run. Any other: the device has ended or failed
    /// for good; the stack ends.
    fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize>;

    /// Takes one frame as [`try_recv`](Self::try_recv) does, its first bytes into `head` and what follows
    /// them into `rest`; both together have room for a whole frame. Returns the length of both parts in bytes. A
    /// device that can read into two places does better than this default, which copies.
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

    /// Frames that wait here at the most for [`try_recv`](Self::try_recv), if the device drops those that come beyond it.
    /// The stack reads in time: it does not send more than half as many before it has read what waited. `None`, the default:
    /// whoever sends to us waits. A stack asks once, when it is built.
    fn queue_len(&self) -> Option<usize> {
        None
    }

    /// When the frame arrived that was taken last, by the runtime's clock, if the device knows; `None`, the default,
    /// means when it was taken. A round trip is measured by that, so that a task that gets to run late makes none
    /// longer; and a timer does not fire before what arrived before it was due is read, so what is taken later must not have arrived
    /// earlier. Called after a frame, by who took it.
    fn arrived_at(&self) -> Option<Instant> {
        None
    }

    /// Waits until [`try_send`](Self::try_send), which said
    /// [`WouldBlock`](io::ErrorKind::WouldBlock), is worth another try.
    ///
    /// # Errors
    /// The device has ended or failed for good; the stack ends.
    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Sends the one frame that the slices make up.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): the device is full and has taken nothing; the stack
    /// keeps the frame and sends nothing else before it. [`Interrupted`](io::ErrorKind::Interrupted):
    /// to be tried again, a few times at once and then as if the device were full. Any other: this frame is lost, as frames may
    /// be.
    fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()>;

    /// Sends the one frame that `headers` and then `payload` make up, as [`try_send`](Self::try_send) does, which is
    /// what this calls by default. A device that keeps frames in memory may keep the payload without a copy.
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

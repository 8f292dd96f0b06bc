//! A TUN interface that hands over work which the kernel and a stack would otherwise do packet by packet.
//!
//! Every frame has a virtio-net header, and may be a TCP super-segment of up to 64 KiB whose checksum
//! was never computed. A write into the interface costs the kernel much the same whatever its size, so
//! this carries many times what a plain [`Tun`](super::Tun) does.
//!
//! tokio-tun cannot make such an interface, nor can one be changed to it afterwards; hence the ioctls of
//! our own in `ifreq`.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use millstream_wire::virtio_net;

use super::fd::Queue;
use super::ifreq::{self, Interface, Offloads};
use super::{Capabilities, Device};

/// Payload of the largest super-segment: an IP packet of 65,535 bytes with the longest headers.
const MAX_SEGMENT: usize = 65_535 - 40 - 60;

/// One queue of a TUN interface with offloads: checksums and segmentation are left to whoever really
/// sends a packet. Made by [`TunBuilder::build_offload`](super::TunBuilder::build_offload).
///
/// ```no_run
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// use millstream::Stack;
/// use millstream::device::Tun;
///
/// let tun = Tun::builder().name("mill0").address("10.0.0.1/24").up().build_offload()?;
/// let stack = Stack::builder().device(tun).address("10.0.0.2/24").build()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct TunOffload {
    queue: Queue,
    name: String,
    mtu: usize,
    offloads: Offloads,
}

impl TunOffload {
    pub(super) fn new(fd: OwnedFd, interface: &Interface) -> io::Result<Self> {
        let offloads = ifreq::enable_offloads(&fd);
        let mtu = interface.mtu()?;
        tracing::debug!(name = interface.name(), mtu, ?offloads, "TUN queue opened");
        Ok(Self {
            queue: Queue::new(fd)?,
            name: interface.name().to_owned(),
            mtu,
            offloads,
        })
    }

    /// The interface's name, which the kernel chose if none was asked for.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The interface's MTU in bytes, as it was when the device was made.
    #[must_use]
    pub fn mtu(&self) -> usize {
        self.mtu
    }
}

impl Device for TunOffload {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            mtu: self.mtu,
            virtio_header_len: virtio_net::Header::LEN,
            max_segment: if self.offloads.segmentation {
                MAX_SEGMENT
            } else {
                0
            },
            rx_checksum_trusted: false,
            tx_checksum_offload: self.offloads.checksum,
        }
    }

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.queue.poll_recv_ready(cx)
    }

    fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.queue.try_recv(buf)
    }

    fn try_recv_split(&self, head: &mut [u8], rest: &mut [u8]) -> io::Result<usize> {
        self.queue.try_recv_split(head, rest)
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.queue.poll_send_ready(cx)
    }

    fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()> {
        self.queue.try_send(frame)
    }
}

//! A TUN interface of the Linux kernel.
//!
//! By default every frame has a virtio-net header, and may be a TCP super-segment of up to 64 KiB
//! whose checksum was never computed. A write into the interface costs the kernel about the same
//! for any size, so this has many times the throughput of plain packets. tokio-tun creates
//! interfaces of plain packets only; hence the ioctls in `ifreq`.
//!
//! tokio-tun's own readiness requires `&mut`, and its vectored write allocates; a stack sends from
//! any task while its driver waits. A duplicate of its descriptor is therefore registered with the
//! runtime here, and frames are written to it directly.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

use millstream_engine::{Cidr, Offload};
use millstream_wire::virtio_net;

use super::fd::{self, Queue};
use super::ifreq::{self, Interface, Offloads};
use super::netlink;
use super::tun_error::explained;
use super::{Capabilities, Device};
use crate::cidr::IntoCidr;

/// The kernel's length of the queue of a TUN interface, in packets.
const KERNEL_QUEUE_LEN: usize = 500;

/// The length that an interface gets instead: as many packets as the kernel keeps for an Ethernet
/// interface.
const QUEUE_LEN: i32 = 1000;

/// A TUN interface, or one queue of it: packets that the kernel routes to it arrive at the stack,
/// and packets of the stack arrive at the kernel.
///
/// The kernel is the other host: the interface's own address (see [`TunBuilder::address`]) is the
/// kernel's end, and the stack has an address of its own in the same network.
///
/// Checksums and segmentation are left to the kernel as far as it permits
/// ([`offloads`](Self::offloads)), which is many times faster; [`TunBuilder::offload`] turns this
/// off.
///
/// ```no_run
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// use millstream::Stack;
/// use millstream::device::Tun;
///
/// let tun = Tun::builder().name("mill0").address("10.0.0.1/24").up().build()?;
/// let stack = Stack::builder().device(tun).address("10.0.0.2/24").build()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Tun {
    queue: Queue,
    interface: Interface,
    mtu: usize,
    queue_len: usize,
    /// `None`: frames are packets, without the virtio-net header.
    offloads: Option<Offloads>,
}

impl Tun {
    /// Starts the description of a TUN interface to create or to attach to.
    pub fn builder() -> TunBuilder {
        TunBuilder::default()
    }

    /// Creates the device for a configured interface.
    fn new(opened: Opened, interface: Interface) -> io::Result<Self> {
        let tun = Self {
            queue: Queue::new(opened.fd)?,
            mtu: interface.mtu()?,
            queue_len: interface.queue_len()?,
            interface,
            offloads: opened.offloads,
        };
        tracing::info!(
            name = tun.name(),
            mtu = tun.mtu,
            queue_len = tun.queue_len,
            offloads = ?tun.offloads(),
            "TUN queue opened"
        );
        Ok(tun)
    }

    /// The interface's name, chosen by the kernel if none was requested.
    #[must_use]
    pub fn name(&self) -> &str {
        self.interface.name()
    }

    /// The interface's index, which identifies it in rtnetlink.
    ///
    /// # Errors
    /// The interface no longer exists.
    pub fn index(&self) -> io::Result<u32> {
        self.interface.index()
    }

    /// The interface's MTU in bytes at the time when the device was created.
    #[must_use]
    pub fn mtu(&self) -> usize {
        self.mtu
    }

    /// The work that the kernel does for the stack: as much as was requested and permitted.
    #[must_use]
    pub fn offloads(&self) -> Offloads {
        self.offloads.unwrap_or_default()
    }
}

impl Device for Tun {
    fn capabilities(&self) -> Capabilities {
        let Some(offloads) = self.offloads else {
            return Capabilities::plain(self.mtu);
        };
        Capabilities {
            mtu: self.mtu,
            virtio_header_len: virtio_net::Header::LEN,
            max_segment: if offloads.segmentation {
                Offload::MAX_SEGMENT
            } else {
                0
            },
            rx_checksum_trusted: false,
            tx_checksum_offload: offloads.checksum,
            max_datagrams: if offloads.datagrams {
                Offload::MAX_SEGMENT
            } else {
                0
            },
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

    /// The length of the interface's queue (`txqueuelen`) when the device was created: see
    /// [`TunBuilder::queue_len`].
    fn queue_len(&self) -> Option<usize> {
        Some(self.queue_len)
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.queue.poll_send_ready(cx)
    }

    fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()> {
        self.queue.try_send(frame)
    }
}

/// The descriptor from which frames are read and to which they are written, for use without a
/// stack. Frames are packets without [offload](TunBuilder::offload), otherwise packets behind a
/// virtio-net header of 10 bytes.
impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

/// Describes a [`Tun`]. Creating one requires the capability `CAP_NET_ADMIN`, unless the interface
/// exists and belongs to the caller.
#[derive(Clone, Debug)]
#[must_use]
pub struct TunBuilder {
    name: String,
    mtu: Option<usize>,
    queue_len: Option<usize>,
    address: Option<String>,
    up: bool,
    offload: bool,
}

impl Default for TunBuilder {
    fn default() -> Self {
        Self {
            name: String::new(),
            mtu: None,
            queue_len: None,
            address: None,
            up: false,
            offload: true,
        }
    }
}

/// An open queue of an interface.
struct Opened {
    fd: OwnedFd,
    offloads: Option<Offloads>,
}

impl TunBuilder {
    /// The interface's name, at most 15 bytes. The default lets the kernel choose (`tun0`, ..).
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Bytes of the largest packet, from 68 to 65535. The default is the kernel's: 1500.
    pub fn mtu(mut self, mtu: usize) -> Self {
        self.mtu = Some(mtu);
        self
    }

    /// The number of packets that the kernel keeps for the stack, in each queue of the interface
    /// (`txqueuelen`); it drops packets beyond that. The default is 1000, as for Ethernet, if the
    /// interface has the kernel's 500; another length remains as it is. Setting it requires
    /// `CAP_NET_ADMIN`.
    pub fn queue_len(mut self, packets: usize) -> Self {
        self.queue_len = Some(packets);
        self
    }

    /// The address and prefix of the kernel's end, such as `"10.0.0.1/24"` or `"fd00::1/64"`. An
    /// IPv6 address requires an interface that is brought [`up`](Self::up).
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// Brings the interface up. Without this it carries no packets until another program brings it
    /// up.
    pub fn up(mut self) -> Self {
        self.up = true;
        self
    }

    /// Whether checksums and segmentation are left to the kernel as far as it permits. Otherwise
    /// every frame is one packet of at most the MTU, which costs many times as much. The default is
    /// `true`; with a kernel that does not support offloads it has no effect.
    pub fn offload(mut self, offload: bool) -> Self {
        self.offload = offload;
        self
    }

    /// Creates the interface. Must be called inside a tokio runtime with I/O enabled.
    ///
    /// # Errors
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied): the capability is missing.
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): an invalid name, MTU or address. Any error of
    /// the kernel, with advice on what to do about it. The call was made outside a tokio runtime.
    ///
    /// # Panics
    /// In a tokio runtime without I/O.
    pub fn build(self) -> io::Result<Tun> {
        let (queue, name) = self.open_first(false)?;
        let interface = Interface::new(name)?;
        self.configure(&interface)?;
        Tun::new(queue, interface)
    }

    /// Creates the interface with `count` queues, for [`StackBuilder::devices`]: the kernel
    /// distributes flows over them, and learns from the packets written to a queue which flows
    /// belong to it. Must be called inside a tokio runtime with I/O enabled.
    ///
    /// # Errors
    /// As [`build`](Self::build); [`InvalidInput`](io::ErrorKind::InvalidInput) for zero queues;
    /// the kernel's error for more queues than it allows (256).
    ///
    /// # Panics
    /// As [`build`](Self::build).
    ///
    /// [`StackBuilder::devices`]: crate::StackBuilder::devices
    pub fn build_queues(self, count: usize) -> io::Result<Vec<Tun>> {
        if count == 0 {
            return Err(invalid("an interface has at least one queue"));
        }
        let (first, name) = self.open_first(true)?;
        let interface = Interface::new(name.clone())?;
        self.configure(&interface)?;
        let has_header = first.offloads.is_some();
        let mut queues = vec![Tun::new(first, interface)?];
        for _ in 1..count {
            let (queue, _) = open(&name, true, has_header)?;
            queues.push(Tun::new(queue, Interface::new(name.clone())?)?);
        }
        Ok(queues)
    }

    /// Opens a queue, with offloads if they are requested and the kernel supports them, and returns
    /// it with the interface's name.
    fn open_first(&self, multi_queue: bool) -> io::Result<(Opened, String)> {
        self.check()?;
        let opened = match open(&self.name, multi_queue, self.offload) {
            Err(error) if self.offload && error.kind() == io::ErrorKind::InvalidInput => {
                tracing::debug!(%error, "no virtio-net header");
                open(&self.name, multi_queue, false)
            }
            opened => opened,
        };
        opened.map_err(|error| explained(&self.name, error))
    }

    fn configure(&self, interface: &Interface) -> io::Result<()> {
        self.lengthen_queue(interface)?;
        if let Some(mtu) = self.kernel_mtu()? {
            interface.set_mtu(mtu)?;
        }
        let cidr = self.kernel_address()?;
        if let Some(cidr) = cidr
            && let IpAddr::V4(address) = cidr.address
        {
            interface.set_address(address, netmask(cidr))?;
        }
        if self.up {
            interface.up()?;
        }
        if let Some(cidr) = cidr
            && let IpAddr::V6(address) = cidr.address
        {
            netlink::add_address(interface.index()?, address, cidr.prefix)?;
        }
        Ok(())
    }

    /// Sets the length of the interface's queue. An interface that has the kernel's default length
    /// gets ours if the caller has the capability to change it.
    fn lengthen_queue(&self, interface: &Interface) -> io::Result<()> {
        if let Some(len) = self.kernel_queue_len()? {
            return interface.set_queue_len(len);
        }
        if interface.queue_len()? == KERNEL_QUEUE_LEN
            && let Err(error) = interface.set_queue_len(QUEUE_LEN)
        {
            tracing::debug!(%error, "the interface keeps the kernel's queue length");
        }
        Ok(())
    }

    /// Rejects invalid settings before any call to the kernel.
    fn check(&self) -> io::Result<()> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(io::Error::other(
                "a TUN interface must be made inside a tokio runtime, which waits for its packets",
            ));
        }
        self.kernel_mtu()?;
        self.kernel_queue_len()?;
        let address = self.kernel_address()?;
        if !self.up && address.is_some_and(|cidr| cidr.address.is_ipv6()) {
            return Err(invalid(
                "an interface must be brought up to get an IPv6 address: call `up`",
            ));
        }
        // The kernel's IFNAMSIZ includes a terminating NUL.
        if self.name.len() > 15 || self.name.contains(['/', '\0']) {
            return Err(invalid(
                "an interface name has at most 15 bytes, without '/'",
            ));
        }
        Ok(())
    }

    fn kernel_mtu(&self) -> io::Result<Option<i32>> {
        let mtu = self.mtu.map(i32::try_from).transpose();
        mtu.map_err(|_| invalid("the MTU is too large"))
    }

    fn kernel_queue_len(&self) -> io::Result<Option<i32>> {
        let len = self.queue_len.map(|len| match i32::try_from(len) {
            Ok(len @ 1..) => Ok(len),
            _ => Err(invalid(
                "a queue holds at least one packet, and less than 2^31",
            )),
        });
        len.transpose()
    }

    fn kernel_address(&self) -> io::Result<Option<Cidr>> {
        let address = self.address.as_deref().map(IntoCidr::into_cidr);
        address
            .transpose()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }
}

/// Opens a queue of the interface `name`, which is created if it does not exist. An empty name lets
/// the kernel choose. Returns the queue, with the offloads of the frames that it delivers, and the
/// name.
fn open(name: &str, multi_queue: bool, offload: bool) -> io::Result<(Opened, String)> {
    let (fd, name) = if offload || multi_queue {
        ifreq::open_queue(name, multi_queue, offload)?
    } else {
        let queues = tokio_tun::Tun::builder().name(name).build();
        let tun = queues.map_err(into_io)?.pop();
        let tun = tun.ok_or_else(|| io::Error::other("the kernel gave no queue"))?;
        (fd::duplicate(&tun)?, tun.name().to_owned())
    };
    let offloads = if offload {
        Some(ifreq::enable_offloads(&fd))
    } else {
        ifreq::disable_offloads(&fd)?;
        None
    };
    Ok((Opened { fd, offloads }, name))
}

fn netmask(cidr: Cidr) -> Ipv4Addr {
    let hosts = u32::MAX.checked_shr(u32::from(cidr.prefix)).unwrap_or(0);
    (!hosts).into()
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

fn into_io(error: tokio_tun::Error) -> io::Error {
    match error {
        tokio_tun::Error::IoError(error) => error,
        tokio_tun::Error::NixError(errno) => io::Error::from_raw_os_error(errno as i32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netmasks_of_all_prefixes() {
        for (text, mask) in [
            ("10.0.0.1/0", "0.0.0.0"),
            ("10.0.0.1/8", "255.0.0.0"),
            ("10.0.0.1/31", "255.255.255.254"),
            ("10.0.0.1/32", "255.255.255.255"),
        ] {
            let cidr = text.into_cidr().expect("parses");
            assert_eq!(netmask(cidr).to_string(), mask, "{text}");
        }
    }

    #[tokio::test]
    async fn an_interface_without_queues_is_refused() {
        let error = Tun::builder().build_queues(0).expect_err("is refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn outside_a_runtime_it_is_an_error() {
        for error in [
            Tun::builder().build().err(),
            Tun::builder().offload(false).build().err(),
            Tun::builder().build_queues(1).err(),
        ] {
            let told = error.expect("there is no runtime").to_string();
            assert!(told.contains("inside a tokio runtime"), "{told}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_an_interface_is_refused_before_the_kernel_is_asked() {
        for builder in [
            Tun::builder().name("a-name-of-16-byt"),
            Tun::builder().address("fd00::1/64"),
            Tun::builder().address("10.0.0.1/40"),
        ] {
            let error = builder.build().expect_err("is refused");
            assert!(error.raw_os_error().is_none(), "{error}");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        }
    }
}

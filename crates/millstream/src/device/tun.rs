//! A TUN interface of the Linux kernel, made by tokio-tun.
//!
//! tokio-tun makes and configures the interface. Its own readiness can only be waited for with
//! `&mut`, and its vectored write allocates; a stack sends from any task while its driver waits. So a
//! duplicate of the descriptor is registered with the runtime here, and written to directly.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

use millstream_engine::Cidr;

use super::fd::{self, Queue};
use super::ifreq::{self, Interface};
use super::tun_error::explained;
use super::{Capabilities, Device, TunOffload};
use crate::cidr::IntoCidr;

/// A TUN interface: what the kernel routes to it arrives at the stack, and the other way round.
///
/// The kernel is the other host: the interface's own address (see [`TunBuilder::address`]) is the
/// kernel's end, and the stack has an address of its own in the same network.
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
pub struct Tun {
    tun: tokio_tun::Tun,
    queue: Queue,
    mtu: usize,
}

impl Tun {
    /// Starts the description of a TUN interface to make or to attach to.
    pub fn builder() -> TunBuilder {
        TunBuilder::default()
    }

    /// The interface's name, which the kernel chose if none was asked for.
    #[must_use]
    pub fn name(&self) -> &str {
        self.tun.name()
    }

    /// The interface's index, by which rtnetlink knows it.
    ///
    /// # Errors
    /// The interface is gone.
    pub fn index(&self) -> io::Result<u32> {
        self.tun.index().map_err(into_io)
    }

    /// The interface's MTU in bytes, as it was when the device was made.
    #[must_use]
    pub fn mtu(&self) -> usize {
        self.mtu
    }
}

impl Device for Tun {
    fn capabilities(&self) -> Capabilities {
        Capabilities::plain(self.mtu)
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

/// The descriptor that packets are read from and written to, for who wants to do that without a stack.
impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

/// Describes a [`Tun`]. Making one takes the capability `CAP_NET_ADMIN`, unless the interface exists
/// and belongs to the caller.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct TunBuilder {
    name: String,
    mtu: Option<usize>,
    address: Option<String>,
    up: bool,
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

    /// The address and prefix of the kernel's end, such as `"10.0.0.1/24"` or `"fd00::1/64"`. An IPv6 address can only be given
    /// to an interface that is brought [`up`](Self::up).
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// Brings the interface up. Without this it carries nothing until somebody else does.
    pub fn up(mut self) -> Self {
        self.up = true;
        self
    }

    /// Makes the interface. To be called inside a tokio runtime with I/O enabled.
    ///
    /// # Errors
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) without the capability;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a name, MTU or address that cannot be; what
    /// the kernel says, with what to do about it. Outside a tokio runtime.
    ///
    /// # Panics
    /// In a tokio runtime without I/O.
    pub fn build(self) -> io::Result<Tun> {
        self.check()?;
        let builder = tokio_tun::Tun::builder().name(&self.name);
        let mut queues = builder
            .build()
            .map_err(|error| explained(&self.name, into_io(error)))?;
        let tun = queues
            .pop()
            .ok_or_else(|| io::Error::other("the kernel gave no queue"))?;
        self.configure(&Interface::new(tun.name().to_owned())?)?;
        let mtu = tun.mtu().map_err(into_io)?;
        let mtu = usize::try_from(mtu).map_err(|_| invalid("the kernel's MTU is negative"))?;
        let queue = Queue::new(fd::duplicate(&tun)?)?;
        tracing::debug!(name = tun.name(), mtu, "TUN interface opened");
        Ok(Tun { tun, queue, mtu })
    }

    /// Makes the interface with offloads: checksums and the cutting of super-segments are left to the
    /// kernel as far as it lets itself be asked, which is many times faster. To be called inside a tokio
    /// runtime with I/O enabled.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    ///
    /// # Panics
    /// As [`build`](Self::build).
    pub fn build_offload(self) -> io::Result<TunOffload> {
        let (fd, interface) = self.first_queue(false)?;
        self.configure(&interface)?;
        TunOffload::new(fd, &interface)
    }

    /// Makes the interface with offloads and `count` queues, for [`StackBuilder::devices`]: the kernel
    /// spreads flows over them, and learns from what is written to a queue which flows belong there. To be
    /// called inside a tokio runtime with I/O enabled.
    ///
    /// # Errors
    /// As [`build`](Self::build); [`InvalidInput`](io::ErrorKind::InvalidInput) for no queue at all; what the
    /// kernel says to more of them than it allows (256).
    ///
    /// # Panics
    /// As [`build`](Self::build).
    ///
    /// [`StackBuilder::devices`]: crate::StackBuilder::devices
    pub fn build_queues(self, count: usize) -> io::Result<Vec<TunOffload>> {
        if count == 0 {
            return Err(invalid("an interface has at least one queue"));
        }
        let (first, interface) = self.first_queue(true)?;
        self.configure(&interface)?;
        let mut queues = vec![TunOffload::new(first, &interface)?];
        for _ in 1..count {
            let (fd, _) = ifreq::open_queue(interface.name(), true)?;
            queues.push(TunOffload::new(fd, &interface)?);
        }
        Ok(queues)
    }

    fn first_queue(&self, multi_queue: bool) -> io::Result<(OwnedFd, Interface)> {
        self.check()?;
        let (fd, name) = ifreq::open_queue(&self.name, multi_queue)
            .map_err(|error| explained(&self.name, error))?;
        Ok((fd, Interface::new(name)?))
    }

    fn configure(&self, interface: &Interface) -> io::Result<()> {
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
            interface.add_address_v6(address, cidr.prefix)?;
        }
        Ok(())
    }

    /// Refuses what cannot be, before the kernel is asked for anything.
    fn check(&self) -> io::Result<()> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(io::Error::other(
                "a TUN interface must be made inside a tokio runtime, which waits for its packets",
            ));
        }
        self.kernel_mtu()?;
        let address = self.kernel_address()?;
        if !self.up && address.is_some_and(|cidr| cidr.address.is_ipv6()) {
            return Err(invalid(
                "an interface must be brought up to get an IPv6 address: call `up`",
            ));
        }
        // The kernel's IFNAMSIZ counts a closing NUL.
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

    fn kernel_address(&self) -> io::Result<Option<Cidr>> {
        let address = self.address.as_deref().map(IntoCidr::into_cidr);
        address
            .transpose()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }
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
            Tun::builder().build_offload().err(),
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
            let error = builder.build().err().expect("is refused");
            assert!(error.raw_os_error().is_none(), "{error}");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        }
    }
}

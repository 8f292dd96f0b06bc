//! Errors of the adapter, and the one place where the engine's errors become [`io::Error`]s.
//!
//! If the kernel has a number for a failure, the [`io::Error`] has that
//! [number](io::Error::raw_os_error), as those of `tokio::net` do, and the matching
//! [kind](io::Error::kind): `ECONNRESET` and [`ConnectionReset`](ErrorKind::ConnectionReset). A
//! failure that the kernel does not have is the source of the error:
//! `error.get_ref().and_then(|e| e.downcast_ref::<StackClosed>())`.

use std::io::{self, ErrorKind};
use std::sync::Arc;

pub use millstream_engine::{
    BindError, ConnectError, ConnectionError, InvalidOption, ListenError, MembershipError,
    UdpError, UdpSendError, UnknownCongestionControl, WriteError,
};

use thiserror::Error;

pub use crate::cidr::ParseCidrError;
pub use crate::net::split::ReuniteError;

/// The reasons why a stack could not be built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// [`StackBuilder::build`](crate::StackBuilder::build) was called outside a tokio runtime.
    #[error("a stack must be built inside a tokio runtime, which runs its driver task")]
    NoRuntime,
    /// No device was given.
    #[error("a stack needs a device")]
    NoDevice,
    /// The devices have different capabilities.
    #[error("the devices of a stack must have the same capabilities")]
    DevicesDiffer,
    /// There are more devices than the maximum number of shares.
    #[error("{0} devices are too many for one stack")]
    TooManyDevices(usize),
    /// No address was given.
    #[error("a stack needs at least one address")]
    NoAddress,
    /// An address or route could not be parsed.
    #[error(transparent)]
    Cidr(#[from] ParseCidrError),
    /// An address that is invalid for a host: multicast, broadcast or unspecified.
    #[error("{0} cannot be the address of a host")]
    InvalidAddress(std::net::IpAddr),
    /// The largest packet of the device is too small for the address family (RFC 791, RFC 8200 5).
    #[error("a device of MTU {mtu} is too small: at least {needed} bytes are needed")]
    MtuTooSmall {
        /// The device's MTU in bytes.
        mtu: usize,
        /// The minimum MTU for the families of the stack's addresses.
        needed: usize,
    },
    /// The virtio-net header of the device has a length other than 0, 10 or 12 bytes.
    #[error("a virtio-net header has 10 or 12 bytes, not {0}")]
    VirtioHeader(usize),
    /// An option has a value with which no stack or no connection can work.
    #[error(transparent)]
    InvalidOption(#[from] InvalidOption),
    /// The operating system provided no randomness for the stack's secret.
    #[error("no randomness for the stack's seed")]
    Seed(#[from] getrandom::Error),
}

impl From<BuildError> for io::Error {
    fn from(error: BuildError) -> Self {
        Self::new(ErrorKind::InvalidInput, error)
    }
}

/// The reasons why a stack has ended. Every operation on it and its streams fails with this as the
/// source of an [`ErrorKind::NetworkDown`], except for [`DriverGone`](Self::DriverGone).
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum StackClosed {
    /// [`Stack::shutdown`](crate::Stack::shutdown) was called.
    #[error("the stack was shut down")]
    Shutdown,
    /// The device failed or ended.
    #[error("the stack's device failed")]
    Device(#[source] Arc<io::Error>),
    /// The device panicked.
    #[error("the stack's driver task panicked")]
    Panicked,
    /// The runtime that ran the stack's driver task has ended. The error is of the kind
    /// [`ErrorKind::Other`], and [`is_rt_shutdown_err`](tokio::runtime::is_rt_shutdown_err)
    /// recognises it like tokio's own.
    // The text is tokio's, by which the error is recognised.
    #[error("A Tokio 1.x context was found, but it is being shutdown.")]
    DriverGone,
}

/// There is no current stack: see [`Stack::current`](crate::Stack::current).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "no millstream stack is current here: use `Stack::scope`, `Stack::enter_runtime` or \
     `Stack::set_default`"
)]
pub struct NoCurrentStack;

impl From<NoCurrentStack> for io::Error {
    fn from(error: NoCurrentStack) -> Self {
        Self::other(error)
    }
}

/// Converts an error of the engine to an [`io::Error`].
pub(crate) trait IntoIo {
    fn into_io(self) -> io::Error;
}

impl IntoIo for StackClosed {
    fn into_io(self) -> io::Error {
        let kind = match self {
            Self::DriverGone => ErrorKind::Other,
            Self::Shutdown | Self::Device(_) | Self::Panicked => ErrorKind::NetworkDown,
        };
        io::Error::new(kind, self)
    }
}

impl IntoIo for BindError {
    fn into_io(self) -> io::Error {
        kernels(match self {
            Self::AddrInUse(_) | Self::NoPortFree => ErrorKind::AddrInUse,
            Self::AddrNotAvailable(_) => ErrorKind::AddrNotAvailable,
            Self::InvalidAddress(_) => ErrorKind::InvalidInput,
            Self::InvalidOption(_) => return io::Error::new(ErrorKind::InvalidInput, self),
            _ => return io::Error::other(self),
        })
    }
}

impl IntoIo for ListenError {
    fn into_io(self) -> io::Error {
        kernels(match self {
            Self::AddrInUse(_) => ErrorKind::AddrInUse,
            Self::InvalidOption(_) => return io::Error::new(ErrorKind::InvalidInput, self),
            _ => return io::Error::other(self),
        })
    }
}

impl IntoIo for InvalidOption {
    fn into_io(self) -> io::Error {
        io::Error::new(ErrorKind::InvalidInput, self)
    }
}

impl IntoIo for ConnectError {
    fn into_io(self) -> io::Error {
        match self {
            // Linux reports a four-tuple in use as an unavailable address.
            Self::AddrInUse { .. } | Self::AddrNotAvailable(_) => {
                kernels(ErrorKind::AddrNotAvailable)
            }
            Self::NetworkUnreachable(_) => kernels(ErrorKind::NetworkUnreachable),
            Self::Refused(_) => kernels(ErrorKind::ConnectionRefused),
            Self::BroadcastNotPermitted(_) => kernels(ErrorKind::PermissionDenied),
            Self::InvalidDestination(_)
            | Self::FamilyMismatch { .. }
            | Self::OtherShare { .. }
            | Self::InvalidOption(_) => io::Error::new(ErrorKind::InvalidInput, self),
            _ => io::Error::other(self),
        }
    }
}

impl IntoIo for ConnectionError {
    fn into_io(self) -> io::Error {
        kernels(match self {
            Self::Refused => ErrorKind::ConnectionRefused,
            Self::Reset => ErrorKind::ConnectionReset,
            Self::TimedOut => ErrorKind::TimedOut,
            Self::HostUnreachable => ErrorKind::HostUnreachable,
            Self::NetworkUnreachable => ErrorKind::NetworkUnreachable,
            Self::BrokenPipe => ErrorKind::BrokenPipe,
            Self::Aborted => ErrorKind::ConnectionAborted,
            _ => return io::Error::other(self),
        })
    }
}

impl IntoIo for WriteError {
    fn into_io(self) -> io::Error {
        match self {
            Self::Connection(error) => error.into_io(),
            Self::Shutdown | Self::BrokenPipe => kernels(ErrorKind::BrokenPipe),
            Self::NotConnected => not_connected(),
            _ => io::Error::other(self),
        }
    }
}

impl IntoIo for UdpError {
    fn into_io(self) -> io::Error {
        match self {
            Self::Refused => kernels(ErrorKind::ConnectionRefused),
            Self::HostUnreachable => kernels(ErrorKind::HostUnreachable),
            Self::NetworkUnreachable => kernels(ErrorKind::NetworkUnreachable),
            Self::PermissionDenied => kernels(ErrorKind::PermissionDenied),
            Self::TooLarge => numbered(Number::MessageTooLong, self),
            Self::ProtocolUnavailable => numbered(Number::NoProtocol, self),
            Self::Protocol => numbered(Number::ProtocolError, self),
            _ => io::Error::other(self),
        }
    }
}

impl IntoIo for UdpSendError {
    fn into_io(self) -> io::Error {
        match self {
            Self::Network(error) => error.into_io(),
            Self::Closed => not_connected(),
            Self::NoDestination => numbered(Number::NoDestination, self),
            Self::TooLarge(_) => numbered(Number::MessageTooLong, self),
            Self::FamilyMismatch(_) => numbered(Number::OtherFamily, self),
            Self::NetworkUnreachable(_) => kernels(ErrorKind::NetworkUnreachable),
            Self::BroadcastNotPermitted(_) => kernels(ErrorKind::PermissionDenied),
            Self::InvalidDestination(_) | Self::InvalidSource(_) => {
                io::Error::new(ErrorKind::InvalidInput, self)
            }
            _ => io::Error::other(self),
        }
    }
}

impl IntoIo for MembershipError {
    fn into_io(self) -> io::Error {
        match self {
            Self::Closed => not_connected(),
            Self::NotMulticast(_) => io::Error::new(ErrorKind::InvalidInput, self),
            Self::AlreadyMember(_) => kernels(ErrorKind::AddrInUse),
            Self::NotMember(_) => kernels(ErrorKind::AddrNotAvailable),
            Self::TooMany => numbered(Number::NoBuffers, self),
            _ => io::Error::other(self),
        }
    }
}

/// The error of a connection that no longer exists.
pub(crate) fn not_connected() -> io::Error {
    kernels(ErrorKind::NotConnected)
}

/// The error of a call whose argument the kernel refuses, too.
pub(crate) fn invalid_input() -> io::Error {
    kernels(ErrorKind::InvalidInput)
}

/// The error of an IPv4 socket that is given an IPv6 address.
pub(crate) fn family_not_supported() -> io::Error {
    #[cfg(target_os = "linux")]
    return rustix::io::Errno::AFNOSUPPORT.into();
    #[cfg(not(target_os = "linux"))]
    ErrorKind::Unsupported.into()
}

/// The kernel's error of that kind.
fn kernels(kind: ErrorKind) -> io::Error {
    errno(kind).map_or_else(|| kind.into(), io::Error::from_raw_os_error)
}

/// Numbers of the kernel for which [`ErrorKind`] has no kind.
#[derive(Clone, Copy, Debug)]
enum Number {
    MessageTooLong,
    NoProtocol,
    ProtocolError,
    NoDestination,
    OtherFamily,
    NoBuffers,
    NoDevice,
}

/// The kernel's error of that number; elsewhere than on Linux `error` is its source.
fn numbered(number: Number, error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    number_of(number).map_or_else(|| io::Error::other(error), io::Error::from_raw_os_error)
}

/// The error of a datagram that is longer than any can be.
pub(crate) fn too_long(len: usize) -> io::Error {
    UdpSendError::TooLarge(len).into_io()
}

/// The error of an interface that the stack does not have.
pub(crate) fn no_device() -> io::Error {
    numbered(Number::NoDevice, NoSuchInterface)
}

#[derive(Clone, Copy, Debug, Error)]
#[error("the stack has no such interface")]
struct NoSuchInterface;

#[cfg(target_os = "linux")]
#[expect(clippy::unnecessary_wraps, reason = "other systems have no numbers")]
fn number_of(number: Number) -> Option<i32> {
    use rustix::io::Errno;

    let errno = match number {
        Number::MessageTooLong => Errno::MSGSIZE,
        Number::NoProtocol => Errno::NOPROTOOPT,
        Number::ProtocolError => Errno::PROTO,
        Number::NoDestination => Errno::DESTADDRREQ,
        Number::OtherFamily => Errno::AFNOSUPPORT,
        Number::NoBuffers => Errno::NOBUFS,
        Number::NoDevice => Errno::NODEV,
    };
    Some(errno.raw_os_error())
}

#[cfg(not(target_os = "linux"))]
fn number_of(_: Number) -> Option<i32> {
    None
}

#[cfg(target_os = "linux")]
fn errno(kind: ErrorKind) -> Option<i32> {
    use rustix::io::Errno;

    let errno = match kind {
        ErrorKind::AddrInUse => Errno::ADDRINUSE,
        ErrorKind::AddrNotAvailable => Errno::ADDRNOTAVAIL,
        ErrorKind::BrokenPipe => Errno::PIPE,
        ErrorKind::ConnectionAborted => Errno::CONNABORTED,
        ErrorKind::ConnectionRefused => Errno::CONNREFUSED,
        ErrorKind::ConnectionReset => Errno::CONNRESET,
        ErrorKind::HostUnreachable => Errno::HOSTUNREACH,
        ErrorKind::InvalidInput => Errno::INVAL,
        ErrorKind::NetworkUnreachable => Errno::NETUNREACH,
        ErrorKind::NotConnected => Errno::NOTCONN,
        ErrorKind::PermissionDenied => Errno::ACCESS,
        ErrorKind::TimedOut => Errno::TIMEDOUT,
        _ => return None,
    };
    Some(errno.raw_os_error())
}

#[cfg(not(target_os = "linux"))]
fn errno(_: ErrorKind) -> Option<i32> {
    None
}

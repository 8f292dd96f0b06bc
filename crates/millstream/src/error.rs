//! Errors of the adapter, and the one place where the engine's errors become [`io::Error`]s.
//!
//! An [`io::Error`] made here has the engine's error as its source, so that
//! `error.get_ref().and_then(|e| e.downcast_ref::<ConnectionError>())` tells exactly what happened.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use millstream_engine::{
    BindError, ConnectError, ConnectionError, InvalidOption, ListenError, WriteError,
};
use thiserror::Error;

use crate::cidr::ParseCidrError;

/// Why a stack could not be built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// [`StackBuilder::build`](crate::StackBuilder::build) was called outside a tokio runtime.
    #[error("a stack must be built inside a tokio runtime, which runs its driver task")]
    NoRuntime,
    /// No device was given.
    #[error("a stack needs a device")]
    NoDevice,
    /// The devices differ in what they can do.
    #[error("the devices of a stack must have the same capabilities")]
    DevicesDiffer,
    /// More devices than there can be shares.
    #[error("{0} devices are too many for one stack")]
    TooManyDevices(usize),
    /// No address was given.
    #[error("a stack needs at least one address")]
    NoAddress,
    /// An address or route could not be parsed.
    #[error(transparent)]
    Cidr(#[from] ParseCidrError),
    /// An address that no host can have: multicast, broadcast or unspecified.
    #[error("{0} cannot be the address of a host")]
    InvalidAddress(std::net::IpAddr),
    /// The device carries packets that are too small for the address family (RFC 791, RFC 8200 5).
    #[error("a device of MTU {mtu} is too small: at least {needed} bytes are needed")]
    MtuTooSmall {
        /// The device's MTU in bytes.
        mtu: usize,
        /// The least that the families of the stack's addresses need.
        needed: usize,
    },
    /// The virtio-net header of the device has a length other than 0, 10 or 12 bytes.
    #[error("a virtio-net header has 10 or 12 bytes, not {0}")]
    VirtioHeader(usize),
    /// An option has a value that no stack or no connection can work with.
    #[error(transparent)]
    InvalidOption(#[from] InvalidOption),
    /// The operating system gave no randomness for the stack's secret.
    #[error("no randomness for the stack's seed")]
    Seed(#[from] getrandom::Error),
}

impl From<BuildError> for io::Error {
    fn from(error: BuildError) -> Self {
        Self::new(ErrorKind::InvalidInput, error)
    }
}

/// Why a stack is over. Every operation on it and its streams fails with this as the source of an
/// [`ErrorKind::NetworkDown`].
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum StackClosed {
    /// [`Stack::shutdown`](crate::Stack::shutdown) was called.
    #[error("the stack was shut down")]
    Shutdown,
    /// The device failed or ended.
    #[error("the stack's device failed")]
    Device(#[source] Arc<io::Error>),
    /// The runtime ended that ran the stack's driver task.
    #[error("the stack's driver task is gone")]
    DriverGone,
}

/// There is no stack to use: see [`Stack::scope`](crate::Stack::scope).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no millstream stack is current here: run inside `Stack::scope` or hold `Stack::enter`")]
pub struct NoCurrentStack;

impl From<NoCurrentStack> for io::Error {
    fn from(error: NoCurrentStack) -> Self {
        Self::other(error)
    }
}

/// What the engine reports, as [`io::Error`].
pub(crate) trait IntoIo {
    fn into_io(self) -> io::Error;
}

impl IntoIo for StackClosed {
    fn into_io(self) -> io::Error {
        io::Error::new(ErrorKind::NetworkDown, self)
    }
}

impl IntoIo for BindError {
    fn into_io(self) -> io::Error {
        let kind = match self {
            Self::AddrInUse(_) | Self::NoPortFree => ErrorKind::AddrInUse,
            Self::AddrNotAvailable(_) => ErrorKind::AddrNotAvailable,
            Self::InvalidAddress(_) => ErrorKind::InvalidInput,
        };
        io::Error::new(kind, self)
    }
}

impl IntoIo for ListenError {
    fn into_io(self) -> io::Error {
        let kind = match self {
            Self::AddrInUse(_) => ErrorKind::AddrInUse,
            Self::InvalidOption(_) => ErrorKind::InvalidInput,
        };
        io::Error::new(kind, self)
    }
}

impl IntoIo for InvalidOption {
    fn into_io(self) -> io::Error {
        io::Error::new(ErrorKind::InvalidInput, self)
    }
}

impl IntoIo for ConnectError {
    fn into_io(self) -> io::Error {
        let kind = match self {
            // Linux says of a four-tuple that is taken that the address is not available.
            Self::AddrInUse { .. } | Self::AddrNotAvailable(_) => ErrorKind::AddrNotAvailable,
            Self::NetworkUnreachable(_) => ErrorKind::NetworkUnreachable,
            Self::Refused(_) => ErrorKind::ConnectionRefused,
            Self::InvalidDestination(_)
            | Self::FamilyMismatch { .. }
            | Self::OtherShare { .. }
            | Self::InvalidOption(_) => ErrorKind::InvalidInput,
        };
        io::Error::new(kind, self)
    }
}

impl IntoIo for ConnectionError {
    fn into_io(self) -> io::Error {
        let kind = match self {
            Self::Refused => ErrorKind::ConnectionRefused,
            Self::Reset => ErrorKind::ConnectionReset,
            Self::TimedOut => ErrorKind::TimedOut,
            Self::HostUnreachable => ErrorKind::HostUnreachable,
            Self::NetworkUnreachable => ErrorKind::NetworkUnreachable,
            Self::BrokenPipe => ErrorKind::BrokenPipe,
            Self::Aborted => ErrorKind::ConnectionAborted,
        };
        io::Error::new(kind, self)
    }
}

impl IntoIo for WriteError {
    fn into_io(self) -> io::Error {
        match self {
            Self::Connection(error) => error.into_io(),
            Self::Shutdown | Self::BrokenPipe => ErrorKind::BrokenPipe.into(),
            Self::NotConnected => ErrorKind::NotConnected.into(),
        }
    }
}

/// The socket is gone from the engine's tables: only possible once the stack is over.
pub(crate) fn not_connected() -> io::Error {
    ErrorKind::NotConnected.into()
}

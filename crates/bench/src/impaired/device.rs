//! One end of a socket pair that preserves packet boundaries, in the role of a stack's TUN
//! interface.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram as Socket;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use millstream::device::{Capabilities, Device};
use socket2::{Domain, Type};
use tokio::net::UnixDatagram;

/// The MTU of the link.
const MTU: usize = 1500;

/// A device; see the module.
pub(super) struct Wire {
    socket: UnixDatagram,
    /// A buffer in which the slices of an outgoing packet are joined.
    flat: Mutex<Vec<u8>>,
}

impl Wire {
    /// A device, and the descriptor of its other end. Must be called inside a runtime.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        // Of the socket types with packet boundaries, the one that queues more than ten packets.
        let (ours, theirs) = socket2::Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
        ours.set_nonblocking(true)?;
        let socket = UnixDatagram::from_std(Socket::from(OwnedFd::from(ours)))?;
        let wire = Self {
            socket,
            flat: Mutex::default(),
        };
        Ok((wire, theirs.into()))
    }
}

impl Device for Wire {
    fn capabilities(&self) -> Capabilities {
        Capabilities::plain(MTU)
    }

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_recv_ready(cx)
    }

    fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self.socket.try_recv(buf)? {
            0 => Err(io::ErrorKind::BrokenPipe.into()),
            len => Ok(len),
        }
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_send_ready(cx)
    }

    fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()> {
        let mut flat = self.flat.lock().unwrap_or_else(PoisonError::into_inner);
        flat.clear();
        for slice in frame {
            flat.extend_from_slice(slice);
        }
        self.socket.try_send(&flat).map(drop)
    }
}

//! Sending one datagram in a call.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::Bytes;
use millstream_engine::{Instant, UdpId, UdpSend};
use tokio::net::{ToSocketAddrs, lookup_host};

use super::{UdpSocket, What};
use crate::error::{IntoIo, too_long};
use crate::io::written;
use crate::shard::Core;

/// The longest payload that any datagram has.
const LONGEST: usize = 65_535 - 8;

impl UdpSocket {
    /// Sends a datagram to the peer of a connected socket, when the send buffer has room. Returns
    /// the length of `buf`.
    ///
    /// # Errors
    /// A failure that the network reported, such as
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused), once. `EDESTADDRREQ`: the socket is
    /// not connected. `EMSGSIZE`: a datagram cannot be that long, or it may not be fragmented and
    /// exceeds what the path carries. The stack has ended.
    ///
    /// # Cancel safety
    /// The datagram is sent whole or not at all: if the future is dropped before it completes, not
    /// at all.
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        let send = self.message(buf, None)?;
        self.when(What::Send, queue(&send)).await
    }

    /// Like [`send`](Self::send), for one task: only the last caller of a `poll_send` method is
    /// woken.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let send = self.message(buf, None)?;
        self.poll_in_place(cx, What::Send, queue(&send))
    }

    /// Like [`send`](Self::send), without waiting.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`WouldBlock`](io::ErrorKind::WouldBlock).
    pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        let send = self.message(buf, None)?;
        self.try_step(What::Send, queue(&send))
    }

    /// Sends a datagram to `target`, or to the first address for which it stands, when the send
    /// buffer has room. Returns the length of `buf`.
    ///
    /// # Errors
    /// As [`send`](Self::send). [`NetworkUnreachable`](io::ErrorKind::NetworkUnreachable): no route
    /// leads to the address. [`PermissionDenied`](io::ErrorKind::PermissionDenied): a broadcast
    /// address, without [`set_broadcast`](Self::set_broadcast).
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): an address to which nothing can be sent.
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub async fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], target: A) -> io::Result<usize> {
        let target = lookup_host(target).await?.next().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "no addresses to send data to")
        })?;
        let send = self.message(buf, Some(target))?;
        self.when(What::Send, queue(&send)).await
    }

    /// Like [`poll_send`](Self::poll_send), to `target`.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to).
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        let send = self.message(buf, Some(target))?;
        self.poll_in_place(cx, What::Send, queue(&send))
    }

    /// Like [`try_send`](Self::try_send), to `target`.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to), and [`WouldBlock`](io::ErrorKind::WouldBlock).
    pub fn try_send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize> {
        let send = self.message(buf, Some(target))?;
        self.try_step(What::Send, queue(&send))
    }

    /// Sends a datagram without copying, with what [`UdpSend`] states for it alone: its source
    /// address, DSCP and ECN bits, hop limit, and the size of the datagrams into which it is cut.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to); [`InvalidInput`](io::ErrorKind::InvalidInput) also for a
    /// source address that is not the stack's.
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub async fn send_datagram(&self, send: &UdpSend) -> io::Result<usize> {
        self.when(What::Send, queue(send)).await
    }

    /// Like [`send_datagram`](Self::send_datagram), without waiting.
    ///
    /// # Errors
    /// As [`send_datagram`](Self::send_datagram), and [`WouldBlock`](io::ErrorKind::WouldBlock).
    pub fn try_send_datagram(&self, send: &UdpSend) -> io::Result<usize> {
        self.try_step(What::Send, queue(send))
    }

    /// Like [`send_datagram`](Self::send_datagram), for one task, as [`poll_send`](Self::poll_send).
    ///
    /// # Errors
    /// As [`send_datagram`](Self::send_datagram).
    pub fn poll_send_datagram(
        &self,
        cx: &mut Context<'_>,
        send: &UdpSend,
    ) -> Poll<io::Result<usize>> {
        self.poll_in_place(cx, What::Send, queue(send))
    }

    /// A datagram with a copy of `buf`, which is made before the engine's lock is taken.
    pub(super) fn message(&self, buf: &[u8], to: Option<SocketAddr>) -> io::Result<UdpSend> {
        if buf.len() > LONGEST {
            return Err(too_long(buf.len()));
        }
        let send = if buf.len() < written::MIN {
            UdpSend::new(Bytes::copy_from_slice(buf))
        } else {
            let (mut part, pinned) = self.shard.written.part(buf.len());
            part.copy_from_slice(buf);
            UdpSend::new(part.freeze()).pinned(pinned)
        };
        Ok(send.to(to))
    }
}

/// A step that queues the datagram.
pub(super) fn queue(
    send: &UdpSend,
) -> impl FnMut(&mut Core, Instant, UdpId) -> Poll<io::Result<usize>> + Unpin {
    |core, now, id| match core.engine.udp_send(now, id, send) {
        Ok(true) => Poll::Ready(Ok(send.payload.len())),
        Ok(false) => Poll::Pending,
        Err(error) => Poll::Ready(Err(error.into_io())),
    }
}

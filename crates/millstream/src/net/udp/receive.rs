//! Receiving one datagram in a call.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use bytes::BufMut;
use millstream_engine::{Instant, UdpDatagram, UdpId};
use tokio::io::ReadBuf;

use super::{UdpSocket, What};
use crate::error::IntoIo;
use crate::shard::Core;

impl UdpSocket {
    /// Waits for a datagram and copies it to `buf`. Returns the number of bytes copied.
    ///
    /// # Errors
    /// A failure that the network reported, such as
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused), once. The stack has ended.
    ///
    /// # Cancel safety
    /// No datagram is lost.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(copy(&self.when(What::Receive, take).await?, buf).0)
    }

    /// Like [`recv`](Self::recv), for one task: only the last caller of a `poll_recv` or
    /// `poll_peek` method is woken.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_recv_from(cx, buf).map_ok(|_| ())
    }

    /// Like [`recv`](Self::recv), without waiting.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), and [`WouldBlock`](io::ErrorKind::WouldBlock).
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.try_recv_from(buf)?.0)
    }

    /// Like [`try_recv`](Self::try_recv), to the end of `buf`, which grows if it can.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    pub fn try_recv_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        Ok(self.try_recv_buf_from(buf)?.0)
    }

    /// Like [`recv`](Self::recv), to the end of `buf`. A buffer that grows gets the whole datagram.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// No datagram is lost.
    pub async fn recv_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        Ok(self.recv_buf_from(buf).await?.0)
    }

    /// Like [`try_recv_buf`](Self::try_recv_buf); also returns the sender.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    pub fn try_recv_buf_from<B: BufMut>(&self, buf: &mut B) -> io::Result<(usize, SocketAddr)> {
        Ok(append(&self.try_step(What::Receive, take)?, buf))
    }

    /// Like [`recv_buf`](Self::recv_buf); also returns the sender.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// No datagram is lost.
    pub async fn recv_buf_from<B: BufMut>(&self, buf: &mut B) -> io::Result<(usize, SocketAddr)> {
        Ok(append(&self.when(What::Receive, take).await?, buf))
    }

    /// Like [`recv`](Self::recv); also returns the sender.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// No datagram is lost.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        Ok(copy(&self.when(What::Receive, take).await?, buf))
    }

    /// Like [`poll_recv`](Self::poll_recv); also returns the sender.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        let datagram = ready!(self.poll_in_place(cx, What::Receive, take))?;
        Poll::Ready(Ok(put(&datagram, buf)))
    }

    /// Like [`try_recv`](Self::try_recv); also returns the sender.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        Ok(copy(&self.try_step(What::Receive, take)?, buf))
    }

    /// Waits for a datagram and returns it without copying, with its sender, the address to which
    /// it was sent, and the bits of its IP header.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// No datagram is lost.
    pub async fn recv_datagram(&self) -> io::Result<UdpDatagram> {
        self.when(What::Receive, take).await
    }

    /// Like [`recv_datagram`](Self::recv_datagram), without waiting.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    pub fn try_recv_datagram(&self) -> io::Result<UdpDatagram> {
        self.try_step(What::Receive, take)
    }

    /// Like [`recv_datagram`](Self::recv_datagram), for one task, as [`poll_recv`](Self::poll_recv).
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn poll_recv_datagram(&self, cx: &mut Context<'_>) -> Poll<io::Result<UdpDatagram>> {
        self.poll_in_place(cx, What::Receive, take)
    }

    /// Like [`recv`](Self::recv), but the datagram remains to be read.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// Nothing changes.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.peek_from(buf).await?.0)
    }

    /// Like [`poll_recv`](Self::poll_recv), but the datagram remains to be read.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_peek_from(cx, buf).map_ok(|_| ())
    }

    /// Like [`try_recv`](Self::try_recv), but the datagram remains to be read.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    pub fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.try_peek_from(buf)?.0)
    }

    /// Like [`peek`](Self::peek); also returns the sender.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// Nothing changes.
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        Ok(copy(&self.when(What::Receive, look).await?, buf))
    }

    /// Like [`poll_peek`](Self::poll_peek); also returns the sender.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn poll_peek_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        let datagram = ready!(self.poll_in_place(cx, What::Receive, look))?;
        Poll::Ready(Ok(put(&datagram, buf)))
    }

    /// Like [`try_peek`](Self::try_peek); also returns the sender.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    pub fn try_peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        Ok(copy(&self.try_step(What::Receive, look)?, buf))
    }

    /// Waits for a datagram and returns its sender; the datagram remains to be read.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// Nothing changes.
    pub async fn peek_sender(&self) -> io::Result<SocketAddr> {
        Ok(self.when(What::Receive, look).await?.from)
    }

    /// Like [`peek_sender`](Self::peek_sender), for one task, as [`poll_recv`](Self::poll_recv).
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn poll_peek_sender(&self, cx: &mut Context<'_>) -> Poll<io::Result<SocketAddr>> {
        self.poll_in_place(cx, What::Receive, look)
            .map_ok(|datagram| datagram.from)
    }

    /// Like [`peek_sender`](Self::peek_sender), without waiting.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    pub fn try_peek_sender(&self) -> io::Result<SocketAddr> {
        Ok(self.try_step(What::Receive, look)?.from)
    }
}

/// Takes the oldest datagram. Its bytes are copied after the lock is released.
fn take(core: &mut Core, _: Instant, id: UdpId) -> Poll<io::Result<UdpDatagram>> {
    match core.engine.udp_recv(id) {
        Ok(Some(datagram)) => Poll::Ready(Ok(datagram)),
        Ok(None) => Poll::Pending,
        Err(error) => Poll::Ready(Err(error.into_io())),
    }
}

/// Like [`take`], but the datagram remains.
fn look(core: &mut Core, _: Instant, id: UdpId) -> Poll<io::Result<UdpDatagram>> {
    match core.engine.udp_peek(id) {
        Ok(Some(datagram)) => Poll::Ready(Ok(datagram.clone())),
        Ok(None) => Poll::Pending,
        Err(error) => Poll::Ready(Err(error.into_io())),
    }
}

fn copy(datagram: &UdpDatagram, buf: &mut [u8]) -> (usize, SocketAddr) {
    let len = datagram.payload.len().min(buf.len());
    buf[..len].copy_from_slice(&datagram.payload[..len]);
    (len, datagram.from)
}

fn put(datagram: &UdpDatagram, buf: &mut ReadBuf<'_>) -> SocketAddr {
    let len = datagram.payload.len().min(buf.remaining());
    buf.put_slice(&datagram.payload[..len]);
    datagram.from
}

fn append<B: BufMut>(datagram: &UdpDatagram, buf: &mut B) -> (usize, SocketAddr) {
    let len = datagram.payload.len().min(buf.remaining_mut());
    buf.put_slice(&datagram.payload[..len]);
    (len, datagram.from)
}

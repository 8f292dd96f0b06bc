//! [`TcpStream`]: reading, writing and waiting. Its options are in
//! [`options`](crate::net::options), and its halves in [`split`](crate::net::split).

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{BufMut, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};
use tokio::net::ToSocketAddrs;
use tokio::task::coop;

use crate::error::IntoIo;
use crate::net::connection::{Connection, MAX_WRITE_SLICES};
use crate::net::split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::net::stack::Stack;

/// A TCP connection, like `tokio::net::TcpStream`: with the same methods, the same meaning and the
/// same kinds of error.
///
/// # Reading
/// Only the peer's FIN is the end of the stream. A connection that the peer has reset fails with
/// [`ConnectionReset`](io::ErrorKind::ConnectionReset), one that timed out with
/// [`TimedOut`](io::ErrorKind::TimedOut). Data that arrived before the failure is read first. Then
/// the failure is reported once, by a read or a write. After that a read reports the end of the
/// stream, as on Linux.
///
/// # Writing
/// A write returns when the stack has the bytes. The stack keeps them until the peer has
/// acknowledged them; `flush` does nothing beyond that. The segments are sent from within the call.
/// After a failure was reported, writing fails with [`BrokenPipe`](io::ErrorKind::BrokenPipe).
///
/// # Closing
/// `shutdown` queues a FIN behind the written data and returns; reading continues (a half-close).
/// Dropping the stream delivers the written data in the background, then closes. But if unread data
/// is left, or [linger](Self::set_linger) is zero, the connection is reset, and written but
/// unacknowledged data may be lost (RFC 9293 3.10.4, RFC 1122 4.2.2.13).
///
/// # Beyond tokio
/// [`read_bytes`](Self::read_bytes) and [`write_bytes`](Self::write_bytes) move data without
/// copying it, [`info`](Self::info) returns the protocol's measurements, and there are methods for
/// the socket options of the kernel's `setsockopt`. Not provided: `from_std`, `into_std` and the
/// traits of file descriptors, which a connection in user space does not have.
pub struct TcpStream {
    connection: Connection,
}

impl TcpStream {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// Opens a connection to `addr` on the [current](Stack::current) stack. Tries each address to
    /// which a name resolves (by the operating system's resolver).
    ///
    /// # Errors
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused): no listener has the address.
    /// [`TimedOut`](io::ErrorKind::TimedOut): no answer to any SYN, after 127 s by default.
    /// [`HostUnreachable`](io::ErrorKind::HostUnreachable),
    /// [`NetworkUnreachable`](io::ErrorKind::NetworkUnreachable): according to ICMP or the stack's
    /// routes. [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable): no suitable local address or
    /// port. [`InvalidInput`](io::ErrorKind::InvalidInput): not a valid destination
    /// (RFC 9293 MUST-46), or a name without addresses.
    /// [`NetworkDown`](io::ErrorKind::NetworkDown): the stack has ended.
    /// [`NoCurrentStack`](crate::NoCurrentStack): there is no current stack.
    ///
    /// # Cancel safety
    /// Dropping the future abandons the attempt.
    pub async fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        Stack::current()?.connect(addr).await
    }

    /// The local address.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.connection.local)
    }

    /// The peer's address.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected): the connection was reset, or both sides have
    /// closed. The stack has ended.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.connection.peer()
    }

    /// Takes the failure that has not yet been reported, as `SO_ERROR` does.
    ///
    /// # Errors
    /// The stack has ended.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        let error = self
            .connection
            .command(|core, _, id| core.engine.take_error(id))?;
        Ok(error.map(IntoIo::into_io))
    }

    /// Waits until the stream is ready for something in `interest`, and returns its readiness. It
    /// is a hint: the call that follows may still fail with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// # Errors
    /// None; the result type follows tokio's. A failure counts as readiness, and the call that
    /// follows reports it.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        Ok(self.connection.ready(interest).await)
    }

    /// Waits until reading makes progress: data, the end of the stream, or a failure.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }

    /// Like [`readable`](Self::readable), for one task: only the last task that called this, or
    /// polled the stream for reading, is woken.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_read_ready(cx).map(Ok)
    }

    /// Reads the available data without waiting. Zero bytes are the end of the stream, if `buf` is
    /// not empty.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): no data is available. See
    /// [reading](Self#reading).
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        now(self.connection.poll_read(buf.len(), None, |piece| {
            buf[filled..filled + piece.len()].copy_from_slice(piece);
            filled += piece.len();
        }))
    }

    /// Like [`try_read`](Self::try_read), filling the buffers in order.
    ///
    /// # Errors
    /// As [`try_read`](Self::try_read).
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let most = bufs.len().min(MAX_WRITE_SLICES);
        let bufs = &mut bufs[..most];
        let room = bufs.iter().map(|buf| buf.len()).sum();
        let mut bufs = bufs.iter_mut();
        let mut free: &mut [u8] = &mut [];
        now(self.connection.poll_read(room, None, |mut piece| {
            while !piece.is_empty() {
                if free.is_empty() {
                    match bufs.next() {
                        Some(next) => free = next,
                        None => return,
                    }
                }
                let (now, later) = piece.split_at(piece.len().min(free.len()));
                let (filled, rest) = std::mem::take(&mut free).split_at_mut(now.len());
                filled.copy_from_slice(now);
                (free, piece) = (rest, later);
            }
        }))
    }

    /// Like [`try_read`](Self::try_read), appending to `buf`.
    ///
    /// # Errors
    /// As [`try_read`](Self::try_read).
    pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        let room = buf.chunk_mut().len();
        now(self
            .connection
            .poll_read(room, None, |piece| buf.put_slice(piece)))
    }

    /// Waits until writing makes progress: a third of the send buffer or a megabyte is free, or the
    /// connection has failed.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Interest::WRITABLE).await.map(drop)
    }

    /// Like [`writable`](Self::writable), for one task: only the last task that called this, or
    /// polled the stream for writing, is woken.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_write_ready(cx).map(Ok)
    }

    /// Writes as many bytes as there is room for, without waiting.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): no room. See [writing](Self#writing).
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.try_write_vectored(&[IoSlice::new(buf)])
    }

    /// Like [`try_write`](Self::try_write), from several buffers in order.
    ///
    /// # Errors
    /// As [`try_write`](Self::try_write).
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        now(self.connection.poll_write(None, bufs))
    }

    /// Calls `f` if the stream is ready for something in `interest`. If `f` returns
    /// [`WouldBlock`](io::ErrorKind::WouldBlock), the stream does not count as ready until an event
    /// occurs on it, such as the arrival of more data.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): the stream is not ready. Any error of `f`.
    pub fn try_io<R>(
        &self,
        interest: Interest,
        f: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        self.connection.try_io(interest, f)
    }

    /// Waits until the stream is ready for something in `interest` and calls `f`. As long as `f`
    /// returns [`WouldBlock`](io::ErrorKind::WouldBlock), it is called again after each event.
    ///
    /// # Errors
    /// Any other error of `f`.
    pub async fn async_io<R>(
        &self,
        interest: Interest,
        mut f: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            self.ready(interest).await?;
            match self.try_io(interest, &mut f) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    /// Reads without consuming: the next read returns the same bytes.
    ///
    /// # Errors
    /// As for reading.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.async_io(Interest::READABLE, || {
            let mut buf = ReadBuf::new(buf);
            now(self.peek_now(None, &mut buf))
        })
        .await
    }

    /// Like [`peek`](Self::peek), for one task: only the last task that called this, or polled the
    /// stream for reading, is woken.
    ///
    /// # Errors
    /// As for reading.
    pub fn poll_peek(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let coop = ready!(coop::poll_proceed(cx));
        let result = ready!(self.peek_now(Some(cx.waker()), buf));
        coop.made_progress();
        Poll::Ready(result)
    }

    /// Reads up to `max` bytes without copying them: the next piece, as it came from the network.
    /// Empty at the end of the stream. `max` must not be zero.
    ///
    /// # Errors
    /// As for reading.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn read_bytes(&self, max: usize) -> io::Result<Bytes> {
        self.async_io(Interest::READABLE, || {
            now(self.connection.poll_read_bytes(max, None))
        })
        .await
    }

    /// Writes all of `data` without copying it: the stack keeps it until the peer has acknowledged
    /// it.
    ///
    /// # Errors
    /// As for writing.
    ///
    /// # Cancel safety
    /// A part of `data` may have been written.
    pub async fn write_bytes(&self, mut data: Bytes) -> io::Result<()> {
        while !data.is_empty() {
            self.async_io(Interest::WRITABLE, || self.try_write_bytes(&mut data))
                .await?;
        }
        Ok(())
    }

    /// Writes as much from the front of `data` as there is room for, without copying and without
    /// waiting, and advances `data` past the written bytes.
    ///
    /// # Errors
    /// As [`try_write`](Self::try_write).
    pub fn try_write_bytes(&self, data: &mut Bytes) -> io::Result<usize> {
        let wanted = !data.is_empty();
        match self.connection.write_bytes(data)? {
            0 if wanted => Err(io::ErrorKind::WouldBlock.into()),
            taken => Ok(taken),
        }
    }

    /// Splits the stream into halves that borrow it.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        (ReadHalf::new(self), WriteHalf::new(self))
    }

    /// Splits the stream into halves that may move to different tasks. Dropping the write half
    /// shuts down writing; the connection is closed when both halves are dropped.
    #[must_use]
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let stream = Arc::new(self);
        let write = OwnedWriteHalf::new(Arc::clone(&stream));
        (OwnedReadHalf::new(stream), write)
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Waits for the end of the handshake. The first poll never has a result, as over the kernel:
    /// programs count on it, and a stack that talks to itself would have one.
    pub(crate) async fn connected(&self) -> io::Result<()> {
        let (mut polled, mut early) = (false, None);
        poll_fn(|cx| {
            if let Some(result) = early.take() {
                return Poll::Ready(result);
            }
            let connected = self.connection.poll_connected(cx);
            if polled {
                return connected;
            }
            polled = true;
            if let Poll::Ready(result) = connected {
                early = Some(result);
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await
    }

    pub(crate) fn poll_read_ref(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let coop = ready!(coop::poll_proceed(cx));
        let result = ready!(self.connection.poll_read_to(Some(cx.waker()), buf));
        coop.made_progress();
        Poll::Ready(result)
    }

    pub(crate) fn poll_write_ref(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let coop = ready!(coop::poll_proceed(cx));
        let result = ready!(self.connection.poll_write(Some(cx.waker()), slices));
        coop.made_progress();
        Poll::Ready(result)
    }

    fn peek_now(&self, waker: Option<&Waker>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        self.connection
            .poll_peek(buf.remaining(), waker, |piece| buf.put_slice(piece))
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_read_ref(cx, buf)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_ref(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_ref(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing: the stack has the written data and sends it as the protocol allows.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Queues the FIN behind the written data, and returns.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.connection.shutdown_write())
    }
}

impl AsRef<Self> for TcpStream {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpStream")
            .field("local", &self.connection.local)
            .field("peer", &self.connection.peer)
            .finish_non_exhaustive()
    }
}

/// The result of a poll that registered no waker.
fn now<T>(result: Poll<io::Result<T>>) -> io::Result<T> {
    match result {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

//! The two halves of a [`TcpStream`]: borrowed by [`TcpStream::split`], owned by
//! [`TcpStream::into_split`].

use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};

use crate::net::stream::TcpStream;

/// The reading half, borrowed from a stream by [`TcpStream::split`].
#[derive(Debug)]
pub struct ReadHalf<'a>(&'a TcpStream);

/// The writing half, borrowed from a stream by [`TcpStream::split`].
#[derive(Debug)]
pub struct WriteHalf<'a>(&'a TcpStream);

/// The reading half that shares ownership of a stream, from [`TcpStream::into_split`]. When both
/// halves are dropped, the connection is closed as when a stream is dropped.
#[derive(Debug)]
pub struct OwnedReadHalf {
    stream: Arc<TcpStream>,
}

/// The writing half that shares ownership of a stream, from [`TcpStream::into_split`]. Dropping it
/// queues a FIN, as `shutdown` does; see [`forget`](Self::forget).
#[derive(Debug)]
pub struct OwnedWriteHalf {
    stream: Arc<TcpStream>,
    shutdown_on_drop: bool,
}

impl<'a> ReadHalf<'a> {
    pub(crate) fn new(stream: &'a TcpStream) -> Self {
        Self(stream)
    }

    fn stream(&self) -> &TcpStream {
        self.0
    }
}

impl<'a> WriteHalf<'a> {
    pub(crate) fn new(stream: &'a TcpStream) -> Self {
        Self(stream)
    }

    fn stream(&self) -> &TcpStream {
        self.0
    }
}

impl OwnedReadHalf {
    pub(crate) fn new(stream: Arc<TcpStream>) -> Self {
        Self { stream }
    }

    /// Reunites the two halves of a stream.
    ///
    /// # Errors
    /// The halves belong to different streams; the error returns them.
    pub fn reunite(self, other: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        if !Arc::ptr_eq(&self.stream, &other.stream) {
            return Err(ReuniteError(self, other));
        }
        other.forget();
        // Only these two halves share the stream.
        Arc::try_unwrap(self.stream).map_err(|stream| {
            let write = OwnedWriteHalf::new(Arc::clone(&stream));
            ReuniteError(Self::new(stream), write)
        })
    }

    fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

impl OwnedWriteHalf {
    pub(crate) fn new(stream: Arc<TcpStream>) -> Self {
        Self {
            stream,
            shutdown_on_drop: true,
        }
    }

    /// Reunites the two halves of a stream.
    ///
    /// # Errors
    /// The halves belong to different streams; the error returns them.
    pub fn reunite(self, other: OwnedReadHalf) -> Result<TcpStream, ReuniteError> {
        other.reunite(self)
    }

    /// Drops the half without shutting down writing.
    pub fn forget(mut self) {
        self.shutdown_on_drop = false;
    }

    fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.shutdown_on_drop {
            // An error means that there is no connection to shut down.
            let _ = self.stream.connection().shutdown_write();
        }
    }
}

/// The error for two halves that do not belong to the same stream.
#[derive(Debug)]
pub struct ReuniteError(
    /// The reading half.
    pub OwnedReadHalf,
    /// The writing half.
    pub OwnedWriteHalf,
);

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tried to reunite halves that are not from the same socket")
    }
}

impl Error for ReuniteError {}

macro_rules! both_halves {
    ($($half:ty),*) => {$(
        impl $half {
            /// See [`TcpStream::ready`].
            ///
            /// # Errors
            /// The errors of that method.
            pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
                self.stream().ready(interest).await
            }

            /// The local address.
            ///
            /// # Errors
            /// None; the result type follows tokio's.
            pub fn local_addr(&self) -> io::Result<SocketAddr> {
                self.stream().local_addr()
            }

            /// The peer's address.
            ///
            /// # Errors
            /// None; the result type follows tokio's.
            pub fn peer_addr(&self) -> io::Result<SocketAddr> {
                self.stream().peer_addr()
            }
        }

        impl AsRef<TcpStream> for $half {
            fn as_ref(&self) -> &TcpStream {
                self.stream()
            }
        }
    )*};
}

macro_rules! read_halves {
    ($($half:ty),*) => {$(
        impl $half {
            /// See [`TcpStream::readable`].
            ///
            /// # Errors
            /// The errors of that method.
            pub async fn readable(&self) -> io::Result<()> {
                self.stream().readable().await
            }

            /// See [`TcpStream::try_read`].
            ///
            /// # Errors
            /// The errors of that method.
            pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
                self.stream().try_read(buf)
            }

            /// See [`TcpStream::try_read_vectored`].
            ///
            /// # Errors
            /// The errors of that method.
            pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                self.stream().try_read_vectored(bufs)
            }

            /// See [`TcpStream::try_read_buf`].
            ///
            /// # Errors
            /// The errors of that method.
            pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
                self.stream().try_read_buf(buf)
            }

            /// See [`TcpStream::peek`].
            ///
            /// # Errors
            /// The errors of that method.
            pub async fn peek(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.stream().peek(buf).await
            }

            /// See [`TcpStream::poll_peek`].
            ///
            /// # Errors
            /// The errors of that method.
            pub fn poll_peek(
                &mut self,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<usize>> {
                self.stream().poll_peek(cx, buf)
            }

            /// See [`TcpStream::read_bytes`].
            ///
            /// # Errors
            /// The errors of that method.
            pub async fn read_bytes(&mut self, max: usize) -> io::Result<Bytes> {
                self.stream().read_bytes(max).await
            }
        }

        impl AsyncRead for $half {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                self.stream().poll_read_ref(cx, buf)
            }
        }
    )*};
}

macro_rules! write_halves {
    ($($half:ty),*) => {$(
        impl $half {
            /// See [`TcpStream::writable`].
            ///
            /// # Errors
            /// The errors of that method.
            pub async fn writable(&self) -> io::Result<()> {
                self.stream().writable().await
            }

            /// See [`TcpStream::try_write`].
            ///
            /// # Errors
            /// The errors of that method.
            pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
                self.stream().try_write(buf)
            }

            /// See [`TcpStream::try_write_vectored`].
            ///
            /// # Errors
            /// The errors of that method.
            pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                self.stream().try_write_vectored(bufs)
            }

            /// See [`TcpStream::write_bytes`].
            ///
            /// # Errors
            /// The errors of that method.
            pub async fn write_bytes(&mut self, data: Bytes) -> io::Result<()> {
                self.stream().write_bytes(data).await
            }
        }

        impl AsyncWrite for $half {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.stream().poll_write_ref(cx, &[IoSlice::new(buf)])
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.stream().poll_write_ref(cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(self.stream().connection().shutdown_write())
            }
        }
    )*};
}

both_halves!(ReadHalf<'_>, WriteHalf<'_>, OwnedReadHalf, OwnedWriteHalf);
read_halves!(ReadHalf<'_>, OwnedReadHalf);
write_halves!(WriteHalf<'_>, OwnedWriteHalf);

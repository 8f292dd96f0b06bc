//! Any `Stream` and `Sink` of packets as a device.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};

use bytes::{Bytes, BytesMut};
use futures::{Sink, Stream};
use pin_project::pin_project;

use super::{Capabilities, Device};
use crate::sync::{AtomicWaker, Mutex, MutexGuard, PoisonError};

/// A device made of any [`Stream`] of incoming packets and [`Sink`] of outgoing packets: a framed
/// socket, a channel pair, or the tunnel of a VPN.
///
/// The end of the stream, or an error of it, ends the stack.
///
/// ```
/// use bytes::Bytes;
/// use futures::{SinkExt, StreamExt, channel::mpsc};
/// use millstream::device::Packets;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream::BuildError> {
/// let (outgoing, _to_the_network) = mpsc::channel::<Bytes>(64);
/// let (_from_the_network, incoming) = mpsc::channel::<Bytes>(64);
/// let device = Packets::join(incoming.map(Ok), outgoing.sink_map_err(std::io::Error::other), 1500);
/// let stack = millstream::Stack::builder().device(device).address("10.0.0.2/24").build()?;
/// # Ok(())
/// # }
/// ```
pub struct Packets<S> {
    mtu: usize,
    link: Mutex<Pin<Box<Link<S>>>>,
    sender: Arc<SendWaker>,
}

#[pin_project]
struct Link<S> {
    #[pin]
    io: S,
    /// A packet that `poll_recv_ready` has found and `try_recv` has not yet taken.
    received: Option<Bytes>,
    /// Whether the sink holds packets that it has not yet passed on.
    unflushed: bool,
}

impl<S> Packets<S>
where
    S: Stream<Item = io::Result<Bytes>> + Sink<Bytes, Error = io::Error> + Send + 'static,
{
    /// A device with an MTU of `mtu` bytes over one object that is both stream and sink.
    pub fn new(io: S, mtu: usize) -> Self {
        Self {
            mtu,
            link: Mutex::new(Box::pin(Link {
                io,
                received: None,
                unflushed: false,
            })),
            sender: Arc::default(),
        }
    }

    fn link(&self) -> MutexGuard<'_, Pin<Box<Link<S>>>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R, W> Packets<Joined<R, W>>
where
    R: Stream<Item = io::Result<Bytes>> + Send + 'static,
    W: Sink<Bytes, Error = io::Error> + Send + 'static,
{
    /// A device with an MTU of `mtu` bytes over a stream and a sink.
    pub fn join(stream: R, sink: W, mtu: usize) -> Self {
        Self::new(Joined { stream, sink }, mtu)
    }
}

impl<S> Device for Packets<S>
where
    S: Stream<Item = io::Result<Bytes>> + Sink<Bytes, Error = io::Error> + Send + 'static,
{
    fn capabilities(&self) -> Capabilities {
        Capabilities::plain(self.mtu)
    }

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut link = self.link();
        // The driver calls this whenever it is woken, also by the sink.
        self.sender.0.register(cx.waker());
        link.as_mut().push_on(&self.sender)?;

        let link = link.as_mut().project();
        if link.received.is_none() {
            let Some(packet) = ready!(link.io.poll_next(cx)) else {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            };
            *link.received = Some(packet?);
        }
        Poll::Ready(Ok(()))
    }

    fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        let packet = self.link().as_mut().project().received.take();
        let packet = packet.ok_or(io::ErrorKind::WouldBlock)?;
        let len = packet.len().min(buf.len());
        buf[..len].copy_from_slice(&packet[..len]);
        Ok(len)
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.sender.0.register(cx.waker());
        self.link().as_mut().poll_ready(&self.sender)
    }

    fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()> {
        let mut link = self.link();
        match link.as_mut().poll_ready(&self.sender) {
            Poll::Pending => return Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(result) => result?,
        }
        let mut packet = BytesMut::with_capacity(frame.iter().map(|slice| slice.len()).sum());
        for slice in frame {
            packet.extend_from_slice(slice);
        }
        let projected = link.as_mut().project();
        projected.io.start_send(packet.freeze())?;
        *projected.unflushed = true;
        link.as_mut().push_on(&self.sender)
    }
}

impl<S: Sink<Bytes, Error = io::Error>> Link<S> {
    fn poll_ready(self: Pin<&mut Self>, waker: &Arc<SendWaker>) -> Poll<io::Result<()>> {
        let waker = Waker::from(Arc::clone(waker));
        self.project()
            .io
            .poll_ready(&mut Context::from_waker(&waker))
    }

    /// Flushes the sink as far as it goes now. The sink wakes the driver when it can continue.
    fn push_on(self: Pin<&mut Self>, waker: &Arc<SendWaker>) -> io::Result<()> {
        let link = self.project();
        if !*link.unflushed {
            return Ok(());
        }
        let waker = Waker::from(Arc::clone(waker));
        match link.io.poll_flush(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => {
                *link.unflushed = false;
                result
            }
            Poll::Pending => Ok(()),
        }
    }
}

/// The waker that the sink calls: any task tries to send, and only the driver waits to send.
#[derive(Debug, Default)]
struct SendWaker(AtomicWaker);

impl Wake for SendWaker {
    fn wake(self: Arc<Self>) {
        self.0.wake();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake();
    }
}

/// A stream and a sink as one object.
#[pin_project]
#[derive(Debug)]
pub struct Joined<R, W> {
    #[pin]
    stream: R,
    #[pin]
    sink: W,
}

impl<R: Stream, W> Stream for Joined<R, W> {
    type Item = R::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<R::Item>> {
        self.project().stream.poll_next(cx)
    }
}

impl<R, W: Sink<Bytes>> Sink<Bytes> for Joined<R, W> {
    type Error = W::Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), W::Error>> {
        self.project().sink.poll_ready(cx)
    }

    fn start_send(self: Pin<&mut Self>, item: Bytes) -> Result<(), W::Error> {
        self.project().sink.start_send(item)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), W::Error>> {
        self.project().sink.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), W::Error>> {
        self.project().sink.poll_close(cx)
    }
}

//! [`TcpListener`]: a socket that accepts connections.

use std::borrow::Borrow;
use std::fmt;
use std::io;
use std::iter::zip;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::Stream;
use futures::stream::FusedStream;
use millstream_engine::{Accepted, ListenerId};
use tokio::net::ToSocketAddrs;

use crate::error::not_connected;
use crate::net::connection::Connection;
use crate::net::group::Handle;
use crate::net::listening::{Listening, Place};
use crate::net::options::{hop_limit, told};
use crate::net::stack::Stack;
use crate::net::stream::TcpStream;
use crate::shard::{Core, Sends, Shard};

/// Accepts TCP connections, as `tokio::net::TcpListener` does.
///
/// Any number of tasks may wait in [`accept`](Self::accept) at once. Dropping the listener releases
/// its address and resets the connections that were not accepted. With this crate's feature `axum`
/// it implements `axum::serve::Listener`, so that `axum::serve(listener, router)` accepts it. Not
/// provided: `from_std`, `into_std` and the traits of file descriptors.
pub struct TcpListener {
    listening: Listening,
    local: SocketAddr,
}

impl TcpListener {
    pub(crate) fn new(handle: Arc<Handle>, ids: Box<[ListenerId]>, local: SocketAddr) -> Self {
        Self {
            listening: Listening::new(handle, ids),
            local,
        }
    }

    /// Listens on `addr` of the [current](Stack::current) stack, with address reuse on and a
    /// backlog of 1024; [`TcpSocket`](crate::TcpSocket) allows other settings. Port 0 means an
    /// ephemeral port, the unspecified address all addresses of the stack.
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse): another socket has the address.
    /// [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable): not an address of the stack.
    /// [`NetworkDown`](io::ErrorKind::NetworkDown): the stack has ended.
    /// [`NoCurrentStack`](crate::NoCurrentStack): there is no current stack.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        Stack::current()?.listen(addr).await
    }

    /// Waits for a connection, and returns it with its peer's address.
    ///
    /// # Errors
    /// The stack has ended. A connection that fails before it is accepted is not an error.
    ///
    /// # Cancel safety
    /// No connection is lost.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        Accept {
            listener: self,
            place: Place::default(),
        }
        .await
    }

    /// Like [`accept`](Self::accept), for one task: only the last caller is woken.
    ///
    /// # Errors
    /// The stack has ended.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let accepted = ready!(self.listening.poll(cx, take));
        Poll::Ready(accepted.map(|(accepted, shard)| self.stream(accepted, shard)))
    }

    /// The connections as a stream, which ends only after an error.
    pub fn incoming(&self) -> Incoming<&Self> {
        Incoming::new(self)
    }

    /// The connections as a stream that owns the listener and ends only after an error.
    pub fn into_stream(self) -> Incoming<Self> {
        Incoming::new(self)
    }

    /// The local address of the listener.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    /// The time to live (IPv4) or hop limit (IPv6) with which connections start.
    ///
    /// # Errors
    /// The stack has ended.
    pub fn ttl(&self) -> io::Result<u32> {
        let id = self.listening.ids()[0];
        self.listening
            .handle()
            .inspect(|core| {
                let options = core.engine.listener_options(id)?;
                Some(options.hop_limit.into())
            })
            .ok_or_else(not_connected)
    }

    /// Sets the time to live or hop limit of connections whose handshake has not begun.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): not from 1 to 255. The stack has ended.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let handle = self.listening.handle();
        let usual = handle.inspect(|core| core.engine.config().socket.hop_limit);
        let hop_limit = hop_limit(ttl, usual)?;
        let shards = self.listening.handle().shards();
        for (shard, &id) in zip(shards, self.listening.ids()) {
            told(shard.command(Sends::Later, |core, _| {
                core.engine
                    .set_listener_options(id, |options| options.hop_limit = hop_limit)
            }))?;
        }
        Ok(())
    }

    fn poll_accept_in_line(
        &self,
        cx: &mut Context<'_>,
        place: &mut Place,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let accepted = ready!(self.listening.poll_in_line(cx, place, take));
        Poll::Ready(accepted.map(|(accepted, shard)| self.stream(accepted, shard)))
    }

    fn stream(&self, accepted: Accepted, shard: &Arc<Shard>) -> (TcpStream, SocketAddr) {
        let handle = Arc::clone(self.listening.handle());
        let peer = accepted.peer;
        let connection = Connection::accepted(handle, Arc::clone(shard), accepted);
        (TcpStream::new(connection), peer)
    }
}

fn take(core: &mut Core, id: ListenerId) -> Option<Accepted> {
    core.engine.accept(id)
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

/// The future of [`TcpListener::accept`].
struct Accept<'a> {
    listener: &'a TcpListener,
    place: Place,
}

impl Future for Accept<'_> {
    type Output = io::Result<(TcpStream, SocketAddr)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { listener, place } = &mut *self;
        listener.poll_accept_in_line(cx, place)
    }
}

impl Drop for Accept<'_> {
    fn drop(&mut self) {
        self.listener.listening.leave_line(&mut self.place);
    }
}

/// The connections of a listener as a [`Stream`]: see [`TcpListener::incoming`] and
/// [`TcpListener::into_stream`]. It ends after an error, which reports that the stack has ended.
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Incoming<L: Borrow<TcpListener>> {
    /// Taken only by [`into_inner`](Self::into_inner), which consumes the stream.
    listener: Option<L>,
    place: Place,
    ended: bool,
}

impl<L: Borrow<TcpListener>> Incoming<L> {
    fn new(listener: L) -> Self {
        Self {
            listener: Some(listener),
            place: Place::default(),
            ended: false,
        }
    }
}

impl Incoming<TcpListener> {
    /// The listener. No connection is lost.
    #[must_use]
    pub fn into_inner(mut self) -> TcpListener {
        if let Some(listener) = &self.listener {
            listener.listening.leave_line(&mut self.place);
        }
        self.listener.take().expect(OWNED)
    }
}

impl AsRef<TcpListener> for Incoming<TcpListener> {
    fn as_ref(&self) -> &TcpListener {
        self.listener.as_ref().expect(OWNED)
    }
}

impl AsMut<TcpListener> for Incoming<TcpListener> {
    fn as_mut(&mut self) -> &mut TcpListener {
        self.listener.as_mut().expect(OWNED)
    }
}

/// Why [`Incoming`] has its listener.
const OWNED: &str = "a stream has its listener until `into_inner` consumes the stream";

impl<L: Borrow<TcpListener> + Unpin> Stream for Incoming<L> {
    type Item = io::Result<TcpStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self {
            listener,
            place,
            ended,
        } = &mut *self;
        if *ended {
            return Poll::Ready(None);
        }
        let Some(listener) = listener else {
            return Poll::Ready(None);
        };
        let accepted = ready!((*listener).borrow().poll_accept_in_line(cx, place));
        *ended = accepted.is_err();
        Poll::Ready(Some(accepted.map(|(stream, _)| stream)))
    }
}

impl<L: Borrow<TcpListener> + Unpin> FusedStream for Incoming<L> {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

impl<L: Borrow<TcpListener>> Drop for Incoming<L> {
    fn drop(&mut self) {
        if let Some(listener) = &self.listener {
            let listener: &TcpListener = listener.borrow();
            listener.listening.leave_line(&mut self.place);
        }
    }
}

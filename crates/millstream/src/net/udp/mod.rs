//! [`UdpSocket`]: datagrams.
//!
//! - this file: the socket, binding, connecting, and the call that all others make;
//! - `receive`, `send`: one datagram in a call; `batch`: several in a call;
//! - `ready`: readiness; `options`: options and multicast groups.

mod batch;
mod options;
mod ready;
mod receive;
mod send;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use millstream_engine::{Instant, Readiness, UdpId, UdpOptions};
use tokio::net::{ToSocketAddrs, lookup_host};
use tokio::task::coop;

pub use self::batch::Coalesced;
use crate::error::{IntoIo, not_connected};
use crate::net::group::Handle;
use crate::net::stack::{Stack, no_address};
use crate::shard::wakers::{Line, Ticket};
use crate::shard::{Core, Sends, Shard};

/// A UDP socket, used like `tokio::net::UdpSocket`.
///
/// It is bound to an address of the stack and exchanges datagrams with any peer
/// ([`send_to`](Self::send_to), [`recv_from`](Self::recv_from)), or with one
/// ([`connect`](Self::connect), [`send`](Self::send), [`recv`](Self::recv)). All methods take
/// `&self`, so that an `Arc<UdpSocket>` serves any number of tasks.
///
/// A datagram that arrives when [`receive_buffer`](field@UdpOptions::receive_buffer) bytes wait to
/// be read is dropped and counted as [`UdpQueueFull`](crate::DropReason::UdpQueueFull). A buffer
/// that is shorter than the datagram gets its beginning; the rest is lost.
///
/// A stack over several devices keeps all of a socket in one shard, which its port decides, so that
/// one lock serves it. Sockets on different ports are distributed over the shards.
///
/// Not provided: `from_std`, `into_std`, the traits of file descriptors, and binding to a device.
pub struct UdpSocket {
    /// Keeps the stack alive.
    _handle: Arc<Handle>,
    shard: Arc<Shard>,
    id: UdpId,
    /// The address to which it is bound.
    bound: SocketAddr,
}

impl UdpSocket {
    /// Binds a socket to `addr` on the [current](Stack::current) stack. Port 0 means an ephemeral
    /// port, the unspecified address all addresses of the stack; that of IPv6 includes IPv4. If
    /// `addr` stands for several addresses, the first that can be bound is used.
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse): another socket has the address.
    /// [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable): not an address of the stack.
    /// [`NetworkDown`](io::ErrorKind::NetworkDown): the stack has ended.
    /// [`NoCurrentStack`](crate::NoCurrentStack): there is no current stack.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        Stack::current()?.bind_udp(addr).await
    }

    pub(crate) fn bind_on(
        handle: &Arc<Handle>,
        addr: SocketAddr,
        options: UdpOptions,
    ) -> io::Result<Self> {
        let (shard, id) = handle.bind_udp(addr, options)?;
        let bound = shard.inspect(|core| core.engine.udp_local_addr(id));
        Ok(Self {
            _handle: Arc::clone(handle),
            shard,
            id,
            bound: bound.unwrap_or(addr),
        })
    }

    /// Sets the peer: [`send`](Self::send) sends to it, and only its datagrams are received. ICMP
    /// errors about datagrams to it are reported. A connected socket may be connected again. If
    /// `addr` stands for several addresses, the first that is possible is used.
    ///
    /// # Errors
    /// [`NetworkUnreachable`](io::ErrorKind::NetworkUnreachable): no route leads to the address.
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied): a broadcast address, without
    /// [`set_broadcast`](Self::set_broadcast). [`InvalidInput`](io::ErrorKind::InvalidInput): an
    /// address that cannot be a peer. The stack has ended.
    pub async fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        let mut last = None;
        for addr in lookup_host(addr).await? {
            let connected = self.command(|core, _, id| core.engine.udp_connect(id, addr))?;
            match connected {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error.into_io()),
            }
        }
        Err(last.unwrap_or_else(no_address))
    }

    /// The local address: the one to which the socket is bound or, if it is connected, the one from
    /// which it sends.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let local = self
            .shard
            .inspect(|core| core.engine.udp_local_addr(self.id));
        Ok(local.unwrap_or(self.bound))
    }

    /// The peer of a connected socket.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected). The stack has ended.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.ask(|core, id| core.engine.udp_peer_addr(id))
    }

    /// The failure that the network reported, once.
    ///
    /// # Errors
    /// The stack has ended.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.command(|core, _, id| core.engine.udp_take_error(id).map(IntoIo::into_io))
    }

    /// Queries the engine for a value that exists as long as the stack does.
    fn ask<R>(&self, f: impl FnOnce(&Core, UdpId) -> Option<R>) -> io::Result<R> {
        self.shard.inspect(|core| match core.closed() {
            Some(closed) => Err(closed.clone().into_io()),
            None => f(core, self.id).ok_or_else(not_connected),
        })
    }

    /// Changes something of this socket in the engine.
    fn command<R>(&self, f: impl FnOnce(&mut Core, Instant, UdpId) -> R) -> io::Result<R> {
        let sends = Sends::Socket(self.id);
        self.shard.command(sends, |core, now| f(core, now, self.id))
    }

    /// Runs a step of a call. If it cannot be done yet, the task waits in `line`; finding that out
    /// and waiting is one step under the lock.
    fn poll_step<R>(
        &self,
        what: What,
        line: Line<'_>,
        step: impl FnOnce(&mut Core, Instant, UdpId) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        let run = |core: &mut Core, now| {
            let polled = step(core, now, self.id);
            if polled.is_pending() {
                core.waits.socket(self.id, what.readiness(), line);
            }
            polled
        };
        match what {
            What::Receive => self.shard.receive_command(self.id, run)?,
            What::Send => self.shard.command(Sends::Socket(self.id), run)?,
        }
    }

    /// Like [`poll_step`](Self::poll_step), in the one place for the tasks that poll.
    fn poll_in_place<R>(
        &self,
        cx: &mut Context<'_>,
        what: What,
        step: impl FnOnce(&mut Core, Instant, UdpId) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        let coop = ready!(coop::poll_proceed(cx));
        let result = ready!(self.poll_step(what, Line::Place(cx.waker()), step));
        coop.made_progress();
        Poll::Ready(result)
    }

    /// Like [`poll_step`](Self::poll_step), without waiting.
    fn try_step<R>(
        &self,
        what: What,
        step: impl FnOnce(&mut Core, Instant, UdpId) -> Poll<io::Result<R>>,
    ) -> io::Result<R> {
        match self.poll_step(what, Line::Nowhere, step) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// A future that repeats a step until it is done, in a queue with any number of other tasks.
    fn when<R, F>(&self, what: What, step: F) -> When<'_, F>
    where
        F: FnMut(&mut Core, Instant, UdpId) -> Poll<io::Result<R>> + Unpin,
    {
        When {
            socket: self,
            what,
            ticket: Ticket::default(),
            step,
        }
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        self.shard.run(Sends::Socket(self.id), |core, now| {
            core.engine.udp_close(now, self.id);
            core.waits.forget_socket(self.id);
        });
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSocket")
            .field("bound", &self.bound)
            .field("peer", &self.peer_addr().ok())
            .finish_non_exhaustive()
    }
}

/// What a call does, and so what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Receive,
    Send,
}

impl What {
    const fn readiness(self) -> Readiness {
        match self {
            Self::Receive => Readiness::READABLE,
            Self::Send => Readiness::WRITABLE,
        }
    }
}

/// The future of a call.
struct When<'a, F> {
    socket: &'a UdpSocket,
    what: What,
    ticket: Ticket,
    step: F,
}

impl<R, F> Future for When<'_, F>
where
    F: FnMut(&mut Core, Instant, UdpId) -> Poll<io::Result<R>> + Unpin,
{
    type Output = io::Result<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self {
            socket,
            what,
            ticket,
            step,
        } = &mut *self;
        let coop = ready!(coop::poll_proceed(cx));
        let line = Line::Queue(cx.waker(), ticket);
        let result = ready!(socket.poll_step(*what, line, step));
        coop.made_progress();
        Poll::Ready(result)
    }
}

impl<F> Drop for When<'_, F> {
    fn drop(&mut self) {
        if self.ticket.is_held() {
            let (id, ticket) = (self.socket.id, &mut self.ticket);
            self.socket
                .shard
                .arrange(|core| core.waits.leave_socket(id, ticket));
        }
    }
}

//! [`TcpSocket`]: a socket that is configured before it listens or connects.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream_engine::{Keepalive, ListenOptions, SocketOptions};

use crate::error::IntoIo;
use crate::net::any_listener::AnyListener;
use crate::net::listener::TcpListener;
use crate::net::stack::Stack;
use crate::net::stream::TcpStream;
use crate::shard::group::{Bound, Handle};

/// A TCP socket that neither listens nor connects yet, as `tokio::net::TcpSocket` is one.
///
/// [`new_v4`](Self::new_v4) and [`new_v6`](Self::new_v6) make one on the [current](Stack::current) stack,
/// [`Stack::socket_v4`] and [`Stack::socket_v6`] on a stack at hand. Dropping it gives its address back.
/// Left out: what concerns file descriptors, network interfaces and `SO_REUSEPORT`.
pub struct TcpSocket {
    handle: Arc<Handle>,
    v6: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    options: SocketOptions,
    reuse_addr: bool,
    bound: Option<Bound>,
}

impl TcpSocket {
    /// A socket for IPv4 on the current stack.
    ///
    /// # Errors
    /// [`NoCurrentStack`](crate::NoCurrentStack).
    pub fn new_v4() -> io::Result<Self> {
        Ok(Stack::current()?.socket_v4())
    }

    /// A socket for IPv6 on the current stack.
    ///
    /// # Errors
    /// [`NoCurrentStack`](crate::NoCurrentStack).
    pub fn new_v6() -> io::Result<Self> {
        Ok(Stack::current()?.socket_v6())
    }

    pub(crate) fn on(stack: &Stack, v6: bool) -> Self {
        let options = stack
            .handle
            .inspect(|core| core.engine.config().socket.clone());
        Self {
            handle: Arc::clone(&stack.handle),
            v6,
            state: Mutex::new(State {
                options,
                ..State::default()
            }),
        }
    }

    /// Binds the socket to a local address. The unspecified address means any of the stack's own,
    /// port 0 an ephemeral one.
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse): another socket has the address; without
    /// [address reuse](Self::set_reuseaddr) a connection in TIME-WAIT is enough.
    /// [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable): not an address of the stack's.
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): bound already, or an address of the other
    /// family.
    pub fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        if addr.is_ipv6() != self.v6 {
            return Err(invalid("the address is not of the socket's family"));
        }
        let mut state = self.state();
        if state.bound.is_some() {
            return Err(invalid("the socket is already bound"));
        }
        state.bound = Some(self.handle.bind(addr, state.reuse_addr)?);
        Ok(())
    }

    /// Opens a connection to `addr`, from the bound address or, if there is none, from an
    /// ephemeral port of the stack's address that fits.
    ///
    /// # Errors
    /// As [`TcpStream::connect`]; and [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable): the very
    /// connection exists, if only in TIME-WAIT.
    ///
    /// # Cancel safety
    /// Dropping the future gives the attempt up.
    pub async fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        if addr.is_ipv6() != self.v6 {
            return Err(invalid("the address is not of the socket's family"));
        }
        let stream = {
            let state = self.state();
            let connection = self
                .handle
                .connect(state.bound.as_ref(), addr, &state.options)?;
            TcpStream::new(connection)
        };
        stream.connected().await
    }

    /// Listens on the bound address or, if there is none, on an ephemeral port of all the stack's
    /// addresses. At most `backlog` connections wait to be accepted.
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse): another listener has the address.
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        let mut state = self.state();
        let options = ListenOptions::default()
            .backlog(usize::try_from(backlog).unwrap_or(usize::MAX))
            .v6_only(false)
            .socket(state.options.clone());
        let bound = match state.bound.take() {
            Some(bound) => bound,
            None => self.handle.bind(unspecified(self.v6), state.reuse_addr)?,
        };
        let local = bound.local_addr();
        let listeners = self.handle.listen(bound, &options)?;
        Ok(TcpListener::new(Arc::clone(&self.handle), listeners, local))
    }

    /// Listens on every address and port, of both families, as [`Stack::listen_any`] does; connections have this
    /// socket's options. At most `backlog` attempts wait to be decided on or for their handshake to end, in each of the
    /// stack's shards, and take about 160 bytes each. One more takes the room of the oldest one of
    /// the network (the first 24 bits of an IPv4 address, 48 of an IPv6 address) that has most of
    /// it. If that is its own, the oldest one there must have waited for a second, or the new one
    /// is dropped, and its client tries again. From half of `backlog` on those accepted are
    /// answered by SYN cookies, so that clients find a connection though their attempts were
    /// forgotten ([`Attempt::is_answered`](crate::Attempt::is_answered)).
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse): there is such a listener.
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): the socket is bound. [`NetworkDown`](io::ErrorKind::NetworkDown):
    /// the stack is over.
    pub fn listen_any(self, backlog: u32) -> io::Result<AnyListener> {
        let state = self.state();
        if state.bound.is_some() {
            let reason = "a socket that is bound to an address cannot listen on every address";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let options = ListenOptions::default()
            .backlog(usize::try_from(backlog).unwrap_or(usize::MAX))
            .v6_only(false)
            .socket(state.options.clone());
        let listeners = self.handle.listen_any(&options)?;
        Ok(AnyListener::new(Arc::clone(&self.handle), listeners))
    }

    /// The bound address; unspecified, with port 0, if there is none.
    ///
    /// # Errors
    /// None; the result is tokio's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let state = self.state();
        let bound = state.bound.as_ref().map(Bound::local_addr);
        Ok(bound.unwrap_or_else(|| unspecified(self.v6)))
    }

    /// A pending failure: a socket that is not connected has none.
    ///
    /// # Errors
    /// None; the result is tokio's.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }

    /// Whether the address may be bound while connections from it are in TIME-WAIT.
    ///
    /// # Errors
    /// None; the result is tokio's.
    pub fn reuseaddr(&self) -> io::Result<bool> {
        Ok(self.state().reuse_addr)
    }

    /// Sets `SO_REUSEADDR`: to be called before [`bind`](Self::bind).
    ///
    /// # Errors
    /// None; the result is tokio's.
    pub fn set_reuseaddr(&self, reuse_addr: bool) -> io::Result<()> {
        self.state().reuse_addr = reuse_addr;
        Ok(())
    }

    /// Bytes of the send buffer.
    ///
    /// # Errors
    /// None; the result is tokio's.
    pub fn send_buffer_size(&self) -> io::Result<u32> {
        Ok(saturate(self.state().options.send_buffer))
    }

    /// Sets how many bytes may be written ahead of what the peer has acknowledged.
    ///
    /// # Errors
    /// None; the result is tokio's.
    pub fn set_send_buffer_size(&self, size: u32) -> io::Result<()> {
        self.set_options(|options| {
            options.fix_send_buffer(usize::try_from(size).unwrap_or(usize::MAX));
        })
    }

    /// Bytes of the receive buffer.
    ///
    /// # Errors
    /// None; the result is tokio's.
    pub fn recv_buffer_size(&self) -> io::Result<u32> {
        Ok(saturate(self.state().options.receive_buffer))
    }

    /// Sets how many bytes may be received and not yet read; this bounds the window that is offered.
    ///
    /// # Errors
    /// None; the result is tokio's.
    pub fn set_recv_buffer_size(&self, size: u32) -> io::Result<()> {
        self.set_options(|options| {
            options.fix_receive_buffer(usize::try_from(size).unwrap_or(usize::MAX));
        })
    }

    /// Whether idle connections are probed.
    ///
    /// # Errors
    /// None; the result is tokio's.
    pub fn keepalive(&self) -> io::Result<bool> {
        Ok(self.state().options.keepalive.is_some())
    }

    /// Turns the probing of idle connections on, with Linux's times, or off. For other times see
    /// [`set_options`](Self::set_options).
    ///
    /// # Errors
    /// None; the result is tokio's.
    pub fn set_keepalive(&self, keepalive: bool) -> io::Result<()> {
        self.set_options(|options| options.keepalive = keepalive.then(Keepalive::default))
    }

    /// Whether small segments are sent at once.
    ///
    /// # Errors
    /// None; the result is tokio's.
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(self.state().options.nodelay)
    }

    /// Turns Nagle's algorithm off (`true`) or on.
    ///
    /// # Errors
    /// None; the result is tokio's.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.set_options(|options| options.nodelay = nodelay)
    }

    /// What dropping a stream does with what is not delivered.
    ///
    /// # Errors
    /// None; the result is tokio's.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        Ok(self.state().options.linger)
    }

    /// Sets `SO_LINGER`; see [`TcpStream::set_linger`].
    ///
    /// # Errors
    /// None; the result is tokio's.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.set_options(|options| options.linger = linger)
    }

    /// Has dropping a stream reset the connection.
    ///
    /// # Errors
    /// None; the result is tokio's.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    /// The type-of-service byte of an IPv4 socket.
    ///
    /// # Errors
    /// None; the result is tokio's.
    pub fn tos_v4(&self) -> io::Result<u32> {
        Ok(self.state().options.tos.into())
    }

    /// Sets the type-of-service byte of an IPv4 socket; its two ECN bits are ignored.
    ///
    /// # Errors
    /// None; the result is tokio's.
    pub fn set_tos_v4(&self, tos: u32) -> io::Result<()> {
        // As the kernel does, only the low byte counts.
        self.set_options(|options| options.tos = tos as u8 & !0b11)
    }

    /// The traffic class of an IPv6 socket.
    ///
    /// # Errors
    /// None; the result is tokio's.
    pub fn tclass_v6(&self) -> io::Result<u32> {
        self.tos_v4()
    }

    /// Sets the traffic class of an IPv6 socket; its two ECN bits are ignored.
    ///
    /// # Errors
    /// None; the result is tokio's.
    pub fn set_tclass_v6(&self, tclass: u32) -> io::Result<()> {
        self.set_tos_v4(tclass)
    }

    /// All options that connections of this socket start with.
    #[must_use]
    pub fn options(&self) -> SocketOptions {
        self.state().options.clone()
    }

    /// Changes any of the options that connections of this socket start with.
    ///
    /// # Errors [`InvalidInput`](io::ErrorKind::InvalidInput): a value is refused, and nothing was
    /// changed; see [`InvalidOption`](crate::InvalidOption).
    pub fn set_options(&self, change: impl FnOnce(&mut SocketOptions)) -> io::Result<()> {
        let mut state = self.state();
        let mut changed = state.options.clone();
        change(&mut changed);
        changed.validate().map_err(IntoIo::into_io)?;
        state.options = changed;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TcpSocket {
    fn drop(&mut self) {
        if let Some(bound) = self.state().bound.take() {
            self.handle.unbind(bound);
        }
    }
}

impl fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("TcpSocket")
            .field("local", &state.bound.as_ref().map(Bound::local_addr))
            .field("options", &state.options)
            .finish_non_exhaustive()
    }
}

fn unspecified(v6: bool) -> SocketAddr {
    if v6 {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    }
}

fn saturate(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

//! [`TcpSocket`]: a socket that is configured before it listens or connects.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::{Keepalive, ListenOptions, SocketOptions};

use crate::error::{IntoIo, family_not_supported, invalid_input};
use crate::net::any_listener::AnyListener;
use crate::net::group::{Bound, Handle, Sharing};
use crate::net::listener::TcpListener;
use crate::net::options::whole_seconds;
use crate::net::stack::Stack;
use crate::net::stream::TcpStream;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// The smallest buffers that a program can set, in bytes, as on Linux.
const MIN_SEND_BUFFER: u32 = 2304;
const MIN_RECEIVE_BUFFER: u32 = 1152;

/// A TCP socket that neither listens nor connects yet, like `tokio::net::TcpSocket`.
///
/// [`new_v4`](Self::new_v4) and [`new_v6`](Self::new_v6) create one on the
/// [current](Stack::current) stack, [`Stack::socket_v4`] and [`Stack::socket_v6`] on a given stack.
/// Dropping it releases its address. Not provided: methods for file descriptors.
pub struct TcpSocket {
    handle: Arc<Handle>,
    v6: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    options: SocketOptions,
    reuse_addr: bool,
    reuse_port: bool,
    bound: Option<Bound>,
}

impl State {
    fn sharing(&self) -> Sharing {
        if self.reuse_port {
            Sharing::Group
        } else if self.reuse_addr {
            Sharing::Address
        } else {
            Sharing::None
        }
    }
}

impl TcpSocket {
    /// A socket for IPv4 on the current stack.
    ///
    /// # Errors
    /// [`NoCurrentStack`](crate::NoCurrentStack): there is no current stack.
    pub fn new_v4() -> io::Result<Self> {
        Ok(Stack::current()?.socket_v4())
    }

    /// A socket for IPv6 on the current stack.
    ///
    /// # Errors
    /// [`NoCurrentStack`](crate::NoCurrentStack): there is no current stack.
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

    /// Binds the socket to a local address. The unspecified address means any address of the stack,
    /// port 0 an ephemeral port.
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse): another socket has the address; without [address
    /// reuse](Self::set_reuseaddr) a connection in TIME-WAIT is enough.
    /// [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable): not an address of the stack.
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): the socket is bound already, or is of IPv6 and
    /// the address is not. `EAFNOSUPPORT`: the socket is of IPv4 and the address is not.
    pub fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        self.check_family(addr)?;
        let mut state = self.state();
        if state.bound.is_some() {
            return Err(invalid_input());
        }
        state.bound = Some(self.handle.bind(addr, state.sharing())?);
        Ok(())
    }

    /// Opens a connection to `addr`, from the bound address or, if there is none, from an ephemeral
    /// port of a suitable address of the stack.
    ///
    /// # Errors
    /// As [`TcpStream::connect`]; and [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable): a
    /// connection with this four-tuple exists, possibly in TIME-WAIT.
    ///
    /// # Cancel safety
    /// Dropping the future abandons the attempt.
    pub async fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        let stream = self.begin_to_connect(addr)?;
        stream.connected().await?;
        Ok(stream)
    }

    /// Sends the SYN. The stream is to be used when it is [connected](TcpStream::connected).
    pub(crate) fn begin_to_connect(&self, addr: SocketAddr) -> io::Result<TcpStream> {
        self.check_family(addr)?;
        let state = self.state();
        let connection = self
            .handle
            .connect(state.bound.as_ref(), addr, &state.options)?;
        Ok(TcpStream::new(connection))
    }

    /// Listens on the bound address or, if there is none, on an ephemeral port of all addresses of
    /// the stack. At most `backlog` connections and one more wait to be accepted, as on Linux.
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse): another listener has the address.
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        let mut state = self.state();
        let room = usize::try_from(backlog).unwrap_or(usize::MAX);
        let options = ListenOptions::default()
            .backlog(room.saturating_add(1))
            .v6_only(false)
            .socket(state.options.clone());
        let bound = match state.bound.take() {
            Some(bound) => bound,
            None => self.handle.bind(unspecified(self.v6), state.sharing())?,
        };
        let local = self.seen(bound.local_addr());
        let listeners = self.handle.listen(bound, &options)?;
        Ok(TcpListener::new(Arc::clone(&self.handle), listeners, local))
    }

    /// Listens on every address and port, of both families, as [`Stack::listen_any`] does;
    /// connections have this socket's options. At most `backlog` attempts wait for a decision or
    /// for the end of their handshake, in each of the stack's shards. Each takes about 160 bytes.
    ///
    /// When the backlog is full, a new attempt replaces the oldest attempt of the network with the
    /// most attempts (a network is the first 24 bits of an IPv4 address, or the first 48 of an IPv6
    /// address). If that is the new attempt's own network, its oldest attempt must have waited for
    /// a second; otherwise the new attempt is dropped, and its client retransmits. From half of
    /// `backlog` on, accepted attempts are answered with SYN cookies, so that clients obtain a
    /// connection even if their attempts were forgotten
    /// ([`Attempt::is_answered`](crate::Attempt::is_answered)).
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse): such a listener exists.
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): the socket is bound.
    /// [`NetworkDown`](io::ErrorKind::NetworkDown): the stack has ended.
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

    /// The bound address; unspecified, with port 0, if the socket is not bound.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let state = self.state();
        let bound = state.bound.as_ref().map(Bound::local_addr);
        Ok(self.seen(bound.unwrap_or_else(|| unspecified(self.v6))))
    }

    /// Takes the pending error: always `None`, because a socket that is not connected has no error.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }

    /// Whether the address may be bound while connections from it are in TIME-WAIT.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn reuseaddr(&self) -> io::Result<bool> {
        Ok(self.state().reuse_addr)
    }

    /// Sets `SO_REUSEADDR`: to be called before [`bind`](Self::bind).
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn set_reuseaddr(&self, reuse_addr: bool) -> io::Result<()> {
        self.state().reuse_addr = reuse_addr;
        Ok(())
    }

    /// Whether the address may be shared with sockets that allow it too.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn reuseport(&self) -> io::Result<bool> {
        Ok(self.state().reuse_port)
    }

    /// Sets `SO_REUSEPORT`: several sockets for which it is set may be bound to one address and
    /// listen there. Each connection goes to one of the listeners, chosen by a keyed hash of its
    /// addresses and ports. To be called before [`bind`](Self::bind).
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn set_reuseport(&self, reuse_port: bool) -> io::Result<()> {
        self.state().reuse_port = reuse_port;
        Ok(())
    }

    /// Twice the bytes of the send buffer: Linux counts as much again for its own records.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn send_buffer_size(&self) -> io::Result<u32> {
        Ok(doubled(self.state().options.send_buffer))
    }

    /// Sets how many bytes may be written beyond those that the peer has acknowledged: at
    /// least 2,304.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn set_send_buffer_size(&self, size: u32) -> io::Result<()> {
        self.set_options(|options| {
            options.fix_send_buffer(at_least(size, MIN_SEND_BUFFER));
        })
    }

    /// Twice the bytes of the receive buffer: Linux counts as much again for its own records.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn recv_buffer_size(&self) -> io::Result<u32> {
        Ok(doubled(self.state().options.receive_buffer))
    }

    /// Sets how many bytes may be received and not yet read; this bounds the advertised window. At
    /// least 1,152.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn set_recv_buffer_size(&self, size: u32) -> io::Result<()> {
        self.set_options(|options| {
            options.fix_receive_buffer(at_least(size, MIN_RECEIVE_BUFFER));
        })
    }

    /// Whether idle connections are probed.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn keepalive(&self) -> io::Result<bool> {
        Ok(self.state().options.keepalive.is_some())
    }

    /// Turns the probing of idle connections on, with Linux's intervals, or off. For other
    /// intervals see [`set_options`](Self::set_options).
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn set_keepalive(&self, keepalive: bool) -> io::Result<()> {
        self.set_options(|options| options.keepalive = keepalive.then(Keepalive::default))
    }

    /// Whether small segments are sent at once.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(self.state().options.nodelay)
    }

    /// Turns Nagle's algorithm off (`true`) or on.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.set_options(|options| options.nodelay = nodelay)
    }

    /// How dropping a stream treats undelivered data.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        Ok(self.state().options.linger)
    }

    /// Sets `SO_LINGER`; see [`TcpStream::set_linger`].
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        let linger = linger.map(whole_seconds);
        self.set_options(|options| options.linger = linger)
    }

    /// Makes dropping a stream reset the connection.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    /// The type-of-service byte of an IPv4 socket.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn tos_v4(&self) -> io::Result<u32> {
        Ok(self.state().options.tos.into())
    }

    /// Sets the type-of-service byte of an IPv4 socket; its two ECN bits are ignored.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn set_tos_v4(&self, tos: u32) -> io::Result<()> {
        // Only the low byte counts, as in the kernel.
        self.set_options(|options| options.tos = tos as u8 & !0b11)
    }

    /// The traffic class of an IPv6 socket.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn tclass_v6(&self) -> io::Result<u32> {
        self.tos_v4()
    }

    /// Sets the traffic class of an IPv6 socket; its two ECN bits are ignored.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    pub fn set_tclass_v6(&self, tclass: u32) -> io::Result<()> {
        self.set_tos_v4(tclass)
    }

    /// As [`tos_v4`](Self::tos_v4).
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    #[deprecated(note = "`tos` related methods have been renamed `tos_v4`")]
    pub fn tos(&self) -> io::Result<u32> {
        self.tos_v4()
    }

    /// As [`set_tos_v4`](Self::set_tos_v4).
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    #[deprecated(note = "`tos` related methods have been renamed `tos_v4`")]
    pub fn set_tos(&self, tos: u32) -> io::Result<()> {
        self.set_tos_v4(tos)
    }

    /// The interface to which the socket is bound: always `None`. A stack has one link, which has
    /// no name.
    ///
    /// # Errors
    /// None; the result type follows tokio's.
    #[cfg(target_os = "linux")]
    pub fn device(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// Binds the socket to an interface by its name (`SO_BINDTODEVICE`); `None` and an empty name
    /// mean any. A stack has one link, which has no name, so that every name is unknown.
    ///
    /// # Errors
    /// `ENODEV`: no interface has that name. [`InvalidInput`](io::ErrorKind::InvalidInput): the
    /// name contains a zero byte.
    #[cfg(target_os = "linux")]
    pub fn bind_device(&self, interface: Option<&[u8]>) -> io::Result<()> {
        match interface {
            None | Some([]) => Ok(()),
            Some(_) => Err(rustix::io::Errno::NODEV.into()),
        }
    }

    /// All options with which connections of this socket start.
    #[must_use]
    pub fn options(&self) -> SocketOptions {
        self.state().options.clone()
    }

    /// Changes any of the options with which connections of this socket start.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): a value is invalid, and nothing was changed;
    /// see [`InvalidOption`](crate::InvalidOption).
    pub fn set_options(&self, change: impl FnOnce(&mut SocketOptions)) -> io::Result<()> {
        let mut state = self.state();
        let mut changed = state.options.clone();
        change(&mut changed);
        changed.validate().map_err(IntoIo::into_io)?;
        state.options = changed;
        Ok(())
    }

    fn check_family(&self, addr: SocketAddr) -> io::Result<()> {
        match (self.v6, addr.is_ipv6()) {
            (false, true) => Err(family_not_supported()),
            // An IPv4 address is shorter than any that such a socket could have.
            (true, false) => Err(invalid_input()),
            _ => Ok(()),
        }
    }

    /// A local address as the program sees it.
    fn seen(&self, addr: SocketAddr) -> SocketAddr {
        if self.v6 { mapped(addr) } else { addr }
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

/// The address as a socket of IPv6 sees it.
fn mapped(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
        SocketAddr::V6(_) => addr,
    }
}

/// A size as Linux reports it, which counts as much again for its own records.
fn doubled(size: usize) -> u32 {
    u32::try_from(size.saturating_mul(2)).unwrap_or(u32::MAX)
}

fn at_least(size: u32, least: u32) -> usize {
    usize::try_from(size.max(least)).unwrap_or(usize::MAX)
}

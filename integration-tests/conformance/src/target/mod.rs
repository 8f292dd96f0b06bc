//! What the runner asks of a stack.
//!
//! [`Target`] is the socket interface without blocking, plus a wire and a clock. A call that cannot
//! finish yet says [`Failure::WouldBlock`]; the runner asks again when something has happened.

pub mod adapter;
mod convert;
pub mod engine;
mod environment;
mod errno;
pub mod linux;
mod options;
mod settings;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
pub use environment::Environment;
pub use errno::Errno;
pub use options::SockOpt;

/// Time since the script began.
pub type Time = Duration;

/// Names a socket of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Socket(pub usize);

/// Why a call gave no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Not now: the caller waits, or a socket that does not block says EAGAIN (EINPROGRESS from connect).
    WouldBlock,
    /// The call failed.
    Error(Errno),
    /// This target has no such thing; the script is skipped with this reason.
    Unsupported(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldBlock => f.write_str("it would block"),
            Self::Error(errno) => errno.fmt(f),
            Self::Unsupported(reason) => f.write_str(reason),
        }
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Error(errno)
    }
}

/// What a call gives.
pub type Called<T> = Result<T, Failure>;

/// What `poll` would report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// POLLIN
    pub readable: bool,
    /// POLLOUT
    pub writable: bool,
    /// POLLERR
    pub error: bool,
    /// POLLHUP
    pub hangup: bool,
    /// POLLRDHUP
    pub read_hangup: bool,
}

/// Which halves `shutdown` ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// SHUT_RD
    Read,
    /// SHUT_WR
    Write,
    /// SHUT_RDWR
    Both,
}

/// `TCP_LISTEN`
const LISTEN: i64 = 10;

/// A stack under test.
pub trait Target {
    /// Lets time pass until `limit` or until something has happened, whichever is first, and says what
    /// time it is then.
    fn advance(&mut self, limit: Time) -> Time;

    /// A packet arrives at the stack, now.
    fn inject(&mut self, packet: Bytes);

    /// The next packet that the stack has sent, and when.
    fn take_packet(&mut self) -> Option<(Time, Vec<u8>)>;

    /// A new TCP socket.
    fn socket(&mut self) -> Socket;

    /// bind(2)
    ///
    /// # Errors
    /// As the call.
    fn bind(&mut self, socket: Socket, addr: SocketAddr) -> Called<()>;

    /// listen(2)
    ///
    /// # Errors
    /// As the call.
    fn listen(&mut self, socket: Socket, backlog: usize) -> Called<()>;

    /// accept(2)
    ///
    /// # Errors
    /// As the call; `WouldBlock` while there is nothing to accept.
    fn accept(&mut self, socket: Socket) -> Called<Socket>;

    /// connect(2): begins at the first call; later ones ask how it went.
    ///
    /// # Errors
    /// As the call; `WouldBlock` while the handshake goes on.
    fn connect(&mut self, socket: Socket, addr: SocketAddr) -> Called<()>;

    /// send(2): takes what fits.
    ///
    /// # Errors
    /// As the call; `WouldBlock` if nothing fits.
    fn send(&mut self, socket: Socket, data: &[u8], urgent: bool) -> Called<usize>;

    /// recv(2): up to `max` bytes, none at the end of the stream. `peek` leaves them.
    ///
    /// # Errors
    /// As the call; `WouldBlock` while there are none.
    fn recv(&mut self, socket: Socket, max: usize, peek: bool) -> Called<Vec<u8>>;

    /// shutdown(2)
    ///
    /// # Errors
    /// As the call.
    fn shutdown(&mut self, socket: Socket, how: Shutdown) -> Called<()>;

    /// close(2)
    ///
    /// # Errors
    /// As the call.
    fn close(&mut self, socket: Socket) -> Called<()>;

    /// setsockopt(2)
    ///
    /// # Errors
    /// As the call.
    fn set_option(&mut self, socket: Socket, option: SockOpt, value: i64) -> Called<()>;

    /// getsockopt(2)
    ///
    /// # Errors
    /// As the call.
    fn option(&mut self, socket: Socket, option: SockOpt) -> Called<i64>;

    /// Sets SO_LINGER; `None` is off.
    ///
    /// # Errors
    /// As setsockopt(2).
    fn set_linger(&mut self, socket: Socket, linger: Option<Duration>) -> Called<()>;

    /// SO_LINGER; `None` is off.
    ///
    /// # Errors
    /// As getsockopt(2).
    fn linger(&mut self, socket: Socket) -> Called<Option<Duration>>;

    /// The name of the congestion control.
    ///
    /// # Errors
    /// As getsockopt(2).
    fn congestion(&mut self, socket: Socket) -> Called<String>;

    /// Chooses the congestion control by name.
    ///
    /// # Errors
    /// As setsockopt(2).
    fn set_congestion(&mut self, socket: Socket, name: &str) -> Called<()>;

    /// SIOCINQ: bytes that can be read.
    ///
    /// # Errors
    /// As ioctl(2).
    fn readable_bytes(&mut self, socket: Socket) -> Called<usize>;

    /// SIOCOUTQ: bytes written that the peer has not acknowledged.
    ///
    /// # Errors
    /// As ioctl(2).
    fn unacknowledged_bytes(&mut self, socket: Socket) -> Called<usize>;

    /// What poll(2) would report.
    ///
    /// # Errors
    /// As the call.
    fn readiness(&mut self, socket: Socket) -> Called<Ready>;

    /// A field of `TCP_INFO`, in its units; `Unsupported` if this target has none such.
    ///
    /// # Errors
    /// As getsockopt(2).
    fn info(&mut self, socket: Socket, field: &str) -> Called<i64>;

    /// Whether the socket is a listener.
    fn is_listening(&mut self, socket: Socket) -> bool {
        self.info(socket, "tcpi_state") == Ok(LISTEN)
    }

    /// The local address.
    fn local_addr(&self, socket: Socket) -> Option<SocketAddr>;

    /// The state of the connection between two addresses, half-open and TIME-WAIT included, in the
    /// spelling of RFC 9293; `CLOSED` if there is none.
    fn state(&self, local: SocketAddr, remote: SocketAddr) -> &'static str;

    /// The remote address of a connected socket.
    fn peer_addr(&self, socket: Socket) -> Option<SocketAddr>;
}

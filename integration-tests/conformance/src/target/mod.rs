//! The runner's interface to a stack.
//!
//! [`Target`] is a nonblocking socket interface with a wire and a clock. A call that cannot finish
//! yet returns [`Failure::WouldBlock`]; the runner repeats it after the next event.

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

/// Time since the start of the script.
pub type Time = Duration;

/// A socket of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Socket(pub usize);

/// The reason why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The call would block: the caller waits, or a nonblocking socket reports EAGAIN (EINPROGRESS
    /// for connect).
    WouldBlock,
    /// The call failed.
    Error(Errno),
    /// This target does not support the call; the script is skipped with this reason.
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

/// The result of a call.
pub type Called<T> = Result<T, Failure>;

/// The events that `poll` would report.
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

/// The directions that `shutdown` closes.
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
    /// Lets time pass until `limit` or until the next event, whichever is earlier, and returns the
    /// time.
    fn advance(&mut self, limit: Time) -> Time;

    /// Delivers a packet to the stack at the current time.
    fn inject(&mut self, packet: Bytes);

    /// The next packet from the stack, with its time.
    fn take_packet(&mut self) -> Option<(Time, Vec<u8>)>;

    /// Creates a TCP socket.
    fn socket(&mut self) -> Socket;

    /// bind(2)
    ///
    /// # Errors
    /// Those of the call.
    fn bind(&mut self, socket: Socket, addr: SocketAddr) -> Called<()>;

    /// listen(2)
    ///
    /// # Errors
    /// Those of the call.
    fn listen(&mut self, socket: Socket, backlog: usize) -> Called<()>;

    /// accept(2)
    ///
    /// # Errors
    /// Those of the call; `WouldBlock` while there is no connection to accept.
    fn accept(&mut self, socket: Socket) -> Called<Socket>;

    /// connect(2): the first call begins the handshake; later ones return its result.
    ///
    /// # Errors
    /// Those of the call; `WouldBlock` during the handshake.
    fn connect(&mut self, socket: Socket, addr: SocketAddr) -> Called<()>;

    /// send(2): accepts as many bytes as fit.
    ///
    /// # Errors
    /// Those of the call; `WouldBlock` if none fit.
    fn send(&mut self, socket: Socket, data: &[u8], urgent: bool) -> Called<usize>;

    /// recv(2): up to `max` bytes, none at the end of the stream. `peek` leaves them in the buffer.
    ///
    /// # Errors
    /// Those of the call; `WouldBlock` while there are none.
    fn recv(&mut self, socket: Socket, max: usize, peek: bool) -> Called<Vec<u8>>;

    /// shutdown(2)
    ///
    /// # Errors
    /// Those of the call.
    fn shutdown(&mut self, socket: Socket, how: Shutdown) -> Called<()>;

    /// close(2)
    ///
    /// # Errors
    /// Those of the call.
    fn close(&mut self, socket: Socket) -> Called<()>;

    /// setsockopt(2)
    ///
    /// # Errors
    /// Those of the call.
    fn set_option(&mut self, socket: Socket, option: SockOpt, value: i64) -> Called<()>;

    /// getsockopt(2)
    ///
    /// # Errors
    /// Those of the call.
    fn option(&mut self, socket: Socket, option: SockOpt) -> Called<i64>;

    /// Sets SO_LINGER; `None` is off.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    fn set_linger(&mut self, socket: Socket, linger: Option<Duration>) -> Called<()>;

    /// Returns SO_LINGER; `None` is off.
    ///
    /// # Errors
    /// Those of getsockopt(2).
    fn linger(&mut self, socket: Socket) -> Called<Option<Duration>>;

    /// The name of the congestion control.
    ///
    /// # Errors
    /// Those of getsockopt(2).
    fn congestion(&mut self, socket: Socket) -> Called<String>;

    /// Chooses the congestion control by name.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    fn set_congestion(&mut self, socket: Socket, name: &str) -> Called<()>;

    /// SIOCINQ: the number of bytes that can be read.
    ///
    /// # Errors
    /// Those of ioctl(2).
    fn readable_bytes(&mut self, socket: Socket) -> Called<usize>;

    /// SIOCOUTQ: the number of written bytes that the peer has not acknowledged.
    ///
    /// # Errors
    /// Those of ioctl(2).
    fn unacknowledged_bytes(&mut self, socket: Socket) -> Called<usize>;

    /// The events that poll(2) would report.
    ///
    /// # Errors
    /// Those of the call.
    fn readiness(&mut self, socket: Socket) -> Called<Ready>;

    /// A field of `TCP_INFO`, in its units; `Unsupported` if this target does not have the field.
    ///
    /// # Errors
    /// Those of getsockopt(2).
    fn info(&mut self, socket: Socket, field: &str) -> Called<i64>;

    /// Whether the socket is a listener.
    fn is_listening(&mut self, socket: Socket) -> bool {
        self.info(socket, "tcpi_state") == Ok(LISTEN)
    }

    /// The local address.
    fn local_addr(&self, socket: Socket) -> Option<SocketAddr>;

    /// The state of the connection between two addresses, including half-open ones and TIME-WAIT,
    /// in the spelling of RFC 9293; `CLOSED` if there is none.
    fn state(&self, local: SocketAddr, remote: SocketAddr) -> &'static str;

    /// The remote address of a connected socket.
    fn peer_addr(&self, socket: Socket) -> Option<SocketAddr>;
}

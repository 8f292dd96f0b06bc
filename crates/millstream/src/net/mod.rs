//! Sockets like those of `tokio::net`: the module that a program names in its `use` lines instead.
//!
//! The types and functions have the names, the signatures and the behaviour of their namesakes, and
//! use the [current stack](crate::Stack::current). `docs/parity.md` in the repository compares them
//! with the kernel's, case by case, and says what cannot exist here and what to use instead.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! # let (device, _peer) = millstream::device::pair();
//! # let stack = millstream::Stack::builder().device(device).address("10.0.0.2/24").build()?;
//! use millstream::net::{TcpListener, TcpStream};
//!
//! let _current = stack.enter_runtime();
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let address = listener.local_addr()?;
//! let client = tokio::spawn(TcpStream::connect(address));
//! let (_stream, peer) = listener.accept().await?;
//! assert_eq!(client.await??.local_addr()?, peer);
//! # Ok(()) }
//! ```

pub(crate) mod any_listener;
pub(crate) mod connection;
pub(crate) mod current;
pub(crate) mod group;
pub(crate) mod listener;
pub(crate) mod listening;
mod options;
pub(crate) mod readiness;
pub(crate) mod scope;
pub(crate) mod socket;
pub(crate) mod split;
pub(crate) mod stack;
pub(crate) mod stream;
pub(crate) mod udp;

pub use tokio::net::{ToSocketAddrs, lookup_host};

pub use self::listener::TcpListener;
pub use self::socket::TcpSocket;
pub use self::stream::TcpStream;
pub use self::udp::UdpSocket;

/// The parts of a [`TcpStream`].
pub mod tcp {
    pub use super::split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
}

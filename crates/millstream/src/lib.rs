//! A TCP/IP stack in user space for tokio.
//!
//! A [`Stack`] reads and writes IP packets through a [device] (a TUN interface, a link in memory,
//! whatever implements the trait [`Device`](device::Device)) and gives the application [`TcpListener`],
//! [`TcpStream`] and [`TcpSocket`] that are used as those of `tokio::net`.
//!
//! Two stacks, joined by a link in memory:
//!
//! ```
//! use millstream::{Stack, device};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let (left, right) = device::pair();
//! let server = Stack::builder().device(left).address("10.0.0.1/24").build()?;
//! let client = Stack::builder().device(right).address("10.0.0.2/24").build()?;
//!
//! let listener = server.listen("10.0.0.1:7").await?;
//! tokio::spawn(async move {
//!     let (mut stream, _peer) = listener.accept().await?;
//!     let (mut read, mut write) = stream.split();
//!     tokio::io::copy(&mut read, &mut write).await
//! });
//!
//! let mut stream = client.connect("10.0.0.1:7").await?;
//! stream.write_all(b"grist").await?;
//! stream.shutdown().await?;
//! let mut echo = Vec::new();
//! stream.read_to_end(&mut echo).await?;
//! assert_eq!(echo, b"grist");
//! # Ok(())
//! # }
//! ```
//!
//! Inside [`Stack::scope`] an application needs no handle: `TcpListener::bind(addr)` and
//! `TcpStream::connect(addr)` use the current stack, so that code written for `tokio::net` moves over by
//! its `use` lines.
//!
//! Time is tokio's: under a paused clock (`#[tokio::test(start_paused = true)]`) retransmissions,
//! keepalive and TIME-WAIT pass in virtual time.
//!
//! # How it works
//! `millstream_engine` is the protocol without input and output. Here, a driver task feeds it packets
//! and time, and sends what it gives out; the tasks of the application call it directly, and send what
//! results from within their own calls. `driver` and `shared` are the places to start reading.
//!
//! # Features
//! - `axum`: [`TcpListener`] implements `axum::serve::Listener`.

mod allowance;
mod any_listener;
mod arena;
#[cfg(feature = "axum")]
mod axum;
mod cidr;
mod clock;
mod connection;
mod credit;
pub mod device;
mod driver;
mod error;
mod flush;
mod frame;
mod handle;
mod incoming;
mod listener;
mod listening;
mod options;
mod outgoing;
mod overdue;
mod readiness;
mod receive;
mod scope;
mod segmentation;
mod shared;
mod socket;
mod split;
mod stack;
mod stream;
mod sync;
mod wakers;
mod written;

pub use millstream_engine::{
    CaState, Cidr, Config, CongestionControl, ConnectionError, Counters, DropReason, EcnMode,
    InvalidOption, Keepalive, MtuProbing, Pressure, SocketOptions, SocketSummary, State, Stimulus,
    TcpInfo, Transition, congestion,
};

pub use crate::any_listener::{AnyListener, Attempt};
pub use crate::cidr::{IntoCidr, ParseCidrError};
pub use crate::error::{BuildError, NoCurrentStack, StackClosed};
pub use crate::listener::{Incoming, TcpListener};
pub use crate::scope::{EnterGuard, Scope};
pub use crate::socket::TcpSocket;
pub use crate::split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use crate::stack::{Stack, StackBuilder};
pub use crate::stream::TcpStream;

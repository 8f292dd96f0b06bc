//! A TCP/IP stack in user space for tokio.
//!
//! A [`Stack`] reads and writes IP packets through a [device] (a TUN interface, a link in memory,
//! or any implementation of the trait [`Device`](device::Device)). It gives the application
//! [`TcpListener`], [`TcpStream`], [`TcpSocket`] and [`UdpSocket`], which are used like those of
//! `tokio::net`.
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
//! [`net`] mirrors `tokio::net`: `TcpListener::bind(addr)` and `TcpStream::connect(addr)` need no
//! handle but use the current stack, so that code written for `tokio::net` only has to change its
//! `use` lines. A stack is current within a future ([`Stack::scope`]), in a runtime with all its
//! tasks ([`Stack::enter_runtime`]), or in the whole process ([`Stack::set_default`]).
//!
//! Time is tokio's: under a paused clock (`#[tokio::test(start_paused = true)]`) retransmissions,
//! keepalive and TIME-WAIT pass in virtual time.
//!
//! # How it works
//! `millstream_engine` is the protocol without input and output. In this crate, a driver task
//! passes packets and the time to the engine, and sends the packets that it produces. The tasks of
//! the application call the engine directly, and send the resulting packets within their own calls.
//! `shard` and `shard::driver` are the modules to read first.
//!
//! # Features
//! - `axum`: [`TcpListener`] implements `axum::serve::Listener`.
//! - `hyper`: [`connect::Connector`] is the connector of hyper-util's client, hyper-rustls and
//!   tonic's channel.
//! - `tonic`: a [`TcpStream`] is a connection of tonic's server.
//! - `tower`: [`connect::Connector`] makes connections as a tower service.

mod cidr;
pub mod connect;
pub mod device;
pub mod error;
mod io;
pub mod net;
mod shard;
mod sync;

/// Configuration of stacks, sockets and connections.
pub mod config {
    pub use millstream_engine::{
        Cidr, Config, CongestionControl, ConnectionOptions, EcnMode, Fragmentation, InvalidOption,
        Keepalive, MemoryPool, MtuProbing, Offload, QueueLen, Route, Share, SocketOptions,
        SynCookies, UdpOptions, UnknownCongestionControl,
    };

    pub use crate::cidr::{IntoCidr, ParseCidrError};
}

/// Congestion control: the algorithms, and the trait for custom ones.
pub mod congestion {
    pub use millstream_engine::congestion::*;
    pub use millstream_engine::{CongestionControl, Instant, UnknownCongestionControl};
}

/// The information that a stack and its connections report.
pub mod info {
    pub use millstream_engine::{
        CaState, ConnectionId, Counters, DropReason, Pressure, SocketSummary, State, Stimulus,
        TcpInfo, Transition,
    };
}

pub use millstream_engine::{
    CaState, Cidr, Config, CongestionControl, ConnectionError, ConnectionOptions, Counters,
    DropReason, EcnMode, Fragmentation, InvalidOption, Keepalive, MtuProbing, Offload, Pressure,
    Route, SocketOptions, SocketSummary, State, Stimulus, SynCookies, TcpInfo, Transition,
    UdpDatagram, UdpError, UdpOptions, UdpSend,
};

pub use crate::cidr::{IntoCidr, ParseCidrError};
pub use crate::error::{BuildError, NoCurrentStack, StackClosed};
pub use crate::net::any_listener::{AnyListener, Attempt};
pub use crate::net::current::RuntimeGuard;
pub use crate::net::listener::{Incoming, TcpListener};
pub use crate::net::scope::{EnterGuard, Scope};
pub use crate::net::socket::TcpSocket;
pub use crate::net::split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use crate::net::stack::{Stack, StackBuilder};
pub use crate::net::stream::TcpStream;
pub use crate::net::udp::{Coalesced, UdpSocket};

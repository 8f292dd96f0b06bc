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

pub mod device;
pub mod error;
mod io;
mod net;
mod shard;

/// Configuration: of a stack, of sockets, of connections.
pub mod config {
    pub use millstream_engine::{
        Cidr, Config, CongestionControl, ConnectionOptions, EcnMode, InvalidOption, Keepalive,
        MtuProbing, Offload, Route, Share, SocketOptions, SynCookies, UnknownCongestionControl,
    };

    pub use crate::net::cidr::{IntoCidr, ParseCidrError};
}

/// Congestion control: the algorithms, and the trait for one of your own.
pub mod congestion {
    pub use millstream_engine::congestion::*;
    pub use millstream_engine::{CongestionControl, Instant, UnknownCongestionControl};
}

/// What a stack and its connections tell of themselves.
pub mod info {
    pub use millstream_engine::{
        CaState, ConnectionId, Counters, DropReason, Pressure, SocketSummary, State, Stimulus,
        TcpInfo, Transition,
    };
}

pub use millstream_engine::{
    CaState, Cidr, Config, CongestionControl, ConnectionError, ConnectionOptions, Counters,
    DropReason, EcnMode, InvalidOption, Keepalive, MtuProbing, Offload, Pressure, Route,
    SocketOptions, SocketSummary, State, Stimulus, SynCookies, TcpInfo, Transition,
};

pub use crate::error::{BuildError, NoCurrentStack, StackClosed};
pub use crate::net::any_listener::{AnyListener, Attempt};
pub use crate::net::cidr::{IntoCidr, ParseCidrError};
pub use crate::net::listener::{Incoming, TcpListener};
pub use crate::net::scope::{EnterGuard, Scope};
pub use crate::net::socket::TcpSocket;
pub use crate::net::split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use crate::net::stack::{Stack, StackBuilder};
pub use crate::net::stream::TcpStream;

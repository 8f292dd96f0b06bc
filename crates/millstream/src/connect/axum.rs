//! [`TcpListener`] as the listener of `axum::serve`, and the client's address for handlers.

use std::future::pending;
use std::io;
use std::net::SocketAddr;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};

use crate::net::listener::TcpListener;
use crate::net::stream::TcpStream;

impl Listener for TcpListener {
    type Io = TcpStream;
    type Addr = SocketAddr;

    /// Waits for ever after the end of the stack: the server is then ended by its graceful
    /// shutdown.
    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        match Self::accept(self).await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "no more connections to serve");
                pending().await
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}

/// The address of a client, which a handler asks for as `ConnectInfo<PeerAddr>`. The application
/// becomes a service by `into_make_service_with_connect_info::<PeerAddr>()`.
///
/// It is a type of its own because only axum itself could add `SocketAddr` for our listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddr(pub SocketAddr);

impl Connected<IncomingStream<'_, TcpListener>> for PeerAddr {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

//! Implements the listener trait of `axum::serve` for [`TcpListener`].

use std::future::pending;
use std::io;
use std::net::SocketAddr;

use crate::net::listener::TcpListener;
use crate::net::stream::TcpStream;

impl axum::serve::Listener for TcpListener {
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

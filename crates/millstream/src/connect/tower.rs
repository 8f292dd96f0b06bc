//! [`Connector`] as a service of tower: with a response that tokio's traits read and write, it is
//! tower's `MakeConnection`.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower_service::Service;

use super::Connector;
use crate::net::stream::TcpStream;

type Connecting = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// Connects to an address.
impl Service<SocketAddr> for Connector {
    type Response = TcpStream;
    type Error = io::Error;
    type Future = Connecting;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, address: SocketAddr) -> Connecting {
        let connector = self.clone();
        Box::pin(async move { connector.connect_any(vec![address]).await })
    }
}

/// Connects to a host, which is a name or an address, and a port.
impl Service<(String, u16)> for Connector {
    type Response = TcpStream;
    type Error = io::Error;
    type Future = Connecting;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (host, port): (String, u16)) -> Connecting {
        let connector = self.clone();
        Box::pin(async move { connector.connect(&host, port).await })
    }
}

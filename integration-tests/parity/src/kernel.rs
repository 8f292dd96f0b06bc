//! `tokio::net` on the kernel's loopback.

#[path = "behaviour/mod.rs"]
pub mod behaviour;

use std::net::IpAddr;

use tokio::net;
use tokio_stream::wrappers::TcpListenerStream;

use self::behaviour::Probe;

/// The kernel: the server and the client are the same machine.
pub struct World {
    /// The server's address.
    pub(crate) server: IpAddr,
    /// The server's IPv6 address.
    pub(crate) server_v6: IpAddr,
    /// The client's address.
    pub(crate) client: IpAddr,
    pub(crate) probe: Probe,
}

impl World {
    /// The world of one case.
    pub(crate) async fn new() -> Self {
        let server = IpAddr::from([127, 0, 0, 1]);
        let listener = net::TcpListener::bind((server, 0)).await.expect("binds");
        let address = listener.local_addr().expect("has one");
        let stream = net::TcpStream::connect(address).await.expect("connects");
        Self {
            server,
            server_v6: "::1".parse().expect("an address"),
            client: server,
            probe: Probe::new(stream, &listener).await,
        }
    }

    /// Runs what the server does.
    pub(crate) fn on_server<F: Future>(&self, future: F) -> F {
        future
    }

    /// Runs what the client does.
    pub(crate) fn on_client<F: Future>(&self, future: F) -> F {
        future
    }
}

pub(crate) fn stream_of(listener: net::TcpListener) -> TcpListenerStream {
    TcpListenerStream::new(listener)
}

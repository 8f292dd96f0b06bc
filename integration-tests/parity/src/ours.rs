//! `millstream::net`, on two stacks that a link in memory joins, or on one stack alone.

#[path = "behaviour/mod.rs"]
pub mod behaviour;

use std::net::IpAddr;

use millstream::device::{Pair, pair};
use millstream::{Incoming, Scope, Stack, net};

use self::behaviour::Probe;

/// A server and a client.
pub struct World {
    /// The server's address.
    pub(crate) server: IpAddr,
    /// The server's IPv6 address.
    pub(crate) server_v6: IpAddr,
    /// The client's address.
    pub(crate) client: IpAddr,
    pub(crate) probe: Probe,
    server_stack: Stack,
    client_stack: Stack,
    /// The other end of the link of a stack that talks to itself.
    _unused: Option<Pair>,
}

impl World {
    /// Two stacks over a link in memory.
    pub(crate) async fn of_two() -> Self {
        let (left, right) = pair();
        let server = stack(left, "10.0.0.1/24", "fd00::1/64");
        let client = stack(right, "10.0.0.2/24", "fd00::2/64");
        let addresses = ["10.0.0.1", "fd00::1", "10.0.0.2"];
        Self::new(server, client, addresses, None).await
    }

    /// One stack that talks to itself on its loopback addresses.
    pub(crate) async fn of_one() -> Self {
        let (left, unused) = pair();
        let stack = stack(left, "10.0.0.1/24", "fd00::1/64");
        let addresses = ["127.0.0.1", "::1", "127.0.0.1"];
        Self::new(stack.clone(), stack, addresses, Some(unused)).await
    }

    async fn new(server: Stack, client: Stack, at: [&str; 3], unused: Option<Pair>) -> Self {
        let [server_v4, server_v6, client_v4] = at.map(|text| text.parse().expect("an address"));
        let listener = server.listen((server_v4, 0)).await.expect("listens");
        let address = listener.local_addr().expect("has one");
        let stream = client.connect(address).await.expect("connects");
        Self {
            server: server_v4,
            server_v6,
            client: client_v4,
            probe: Probe::new(stream, &listener).await,
            server_stack: server,
            client_stack: client,
            _unused: unused,
        }
    }

    /// Runs what the server does.
    pub(crate) fn on_server<F: Future>(&self, future: F) -> Scope<F> {
        self.server_stack.scope(future)
    }

    /// Runs what the client does.
    pub(crate) fn on_client<F: Future>(&self, future: F) -> Scope<F> {
        self.client_stack.scope(future)
    }
}

fn stack(device: Pair, v4: &str, v6: &str) -> Stack {
    let builder = Stack::builder().device(device).address(v4).address(v6);
    builder.build().expect("the stack is built")
}

pub(crate) fn stream_of(listener: net::TcpListener) -> Incoming<net::TcpListener> {
    listener.into_stream()
}

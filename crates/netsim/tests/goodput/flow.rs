//! One endless stream from a client to a server.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use millstream_engine::{
    Cidr, Config, ConnectionId, EcnMode, ListenOptions, ListenerId, SocketOptions, TcpInfo,
};
use millstream_netsim::{HostId, LinkConfig, Network, Seed};

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 1, 1];

/// A client, a server, and the links between them.
pub(crate) fn pair(
    seed: impl Into<Seed>,
    there: LinkConfig,
    back: LinkConfig,
) -> (Network, HostId, HostId) {
    let mut network = Network::new(seed);
    let mut host = |address: [u8; 4]| {
        network.host(
            Config::default()
                .addresses(vec![Cidr::new(address.into(), 24)])
                .socket(options()),
        )
    };
    let (client, server) = (host(CLIENT), host(SERVER));
    network.connect(client, server, there, back);
    (network, client, server)
}

pub(crate) fn options() -> SocketOptions {
    SocketOptions::default().ecn(EcnMode::Active)
}

/// An endless stream; see the module.
pub(crate) struct Flow {
    client: HostId,
    server: HostId,
    listener: ListenerId,
    sender: ConnectionId,
    receiver: Option<ConnectionId>,
    data: Bytes,
    chunks: Vec<Bytes>,
    received: u64,
}

impl Flow {
    pub(crate) fn start(network: &mut Network, client: HostId, server: HostId, port: u16) -> Self {
        Self::start_with(network, client, server, port, options())
    }

    pub(crate) fn start_with(
        network: &mut Network,
        client: HostId,
        server: HostId,
        port: u16,
        socket: SocketOptions,
    ) -> Self {
        let address = SocketAddr::from((SERVER, port));
        let listener = network.on(server, |stack, _| {
            let binding = stack.bind(address, true).expect("free");
            let options = ListenOptions::default().socket(options());
            stack.listen(binding, options).expect("free")
        });
        let sender = network.on(client, |stack, now| {
            stack.connect(now, None, address, socket).expect("begins")
        });
        Self {
            client,
            server,
            listener,
            sender,
            receiver: None,
            data: Bytes::from(vec![7; 64 << 10]),
            chunks: Vec::new(),
            received: 0,
        }
    }

    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    pub(crate) fn info(&self, network: &Network) -> TcpInfo {
        network.stack(self.client).info(self.sender).expect("open")
    }

    pub(crate) fn run_for(&mut self, network: &mut Network, time: Duration) {
        let _ = network.drive(time, |network| {
            self.progress(network);
            false
        });
    }

    /// Lets both ends write and read as much as they can.
    pub(crate) fn progress(&mut self, network: &mut Network) {
        if network.stack(self.client).is_writable(self.sender) {
            let (sender, data) = (self.sender, &self.data);
            network.on(self.client, |stack, now| {
                if stack.finish_connect(sender) == Ok(true) {
                    while stack
                        .write_bytes(now, sender, &mut data.clone())
                        .is_ok_and(|n| n > 0)
                    {}
                }
            });
        }
        let listener = self.listener;
        if self.receiver.is_none() {
            let accepted = network.on(self.server, |stack, _| stack.accept(listener));
            self.receiver = accepted.map(|accepted| accepted.id);
        }
        if let Some(id) = self.receiver
            && network.stack(self.server).is_readable(id)
        {
            let chunks = &mut self.chunks;
            network.on(self.server, |stack, now| {
                stack.read(now, id, usize::MAX, chunks).expect("no error");
            });
            self.received += self
                .chunks
                .drain(..)
                .map(|chunk| chunk.len() as u64)
                .sum::<u64>();
        }
    }
}

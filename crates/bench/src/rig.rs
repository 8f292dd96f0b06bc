//! An engine with simulated peers: packets are exchanged by function calls alone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use millstream_engine::{
    Cidr, Config, ConnectionId, Instant, ListenOptions, ListenerId, RxChecksum, Stack, Transmit,
};
use millstream_testbed::packet;
use millstream_wire::tcp::{Flags, Header, Options, View};
use millstream_wire::{SeqNum, ip};

/// The stack's own address.
pub const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
/// The port on which it listens.
pub const PORT: u16 = 9001;
/// Prefix length of the network of the stack and all peers.
pub const PREFIX: u8 = 8;
/// The first address of the peers.
const PEERS: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 0);
/// The number of ports in use on each peer address.
const PORTS: u32 = 50_000;
/// The peers' initial sequence number.
const ISS: SeqNum = SeqNum::new(1_000_000);
/// The peers' maximum segment size.
pub const MSS: u16 = 1460;

/// A peer controlled by the benchmark, and its only connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    address: SocketAddr,
    /// The next sequence number to send.
    snd_nxt: SeqNum,
    /// The next sequence number expected.
    rcv_nxt: SeqNum,
}

impl Peer {
    /// The peer with number `n`.
    pub fn number(n: u32) -> Self {
        let address = Ipv4Addr::from_bits(PEERS.to_bits() + n / PORTS);
        Self {
            address: SocketAddr::new(address.into(), 1024 + (n % PORTS) as u16),
            snd_nxt: ISS,
            rcv_nxt: SeqNum::new(0),
        }
    }

    /// Returns its SYN.
    pub fn syn(&mut self) -> Bytes {
        let options = Options {
            mss: Some(MSS),
            window_scale: Some(14),
            sack_permitted: true,
            ..Options::default()
        };
        let packet = self.packet(Flags::SYN, options, &[]);
        self.snd_nxt += 1;
        packet
    }

    /// Processes a segment addressed to it.
    pub fn take(&mut self, packet: &[u8]) -> Result<()> {
        let packet = ip::Packet::parse(packet)?;
        let view = View::parse(packet.payload())?;
        ensure!(
            view.dst_port() == self.address.port(),
            "the packet is addressed to another peer"
        );
        let length = view.payload().len() as u32;
        let marks = view.flags() & (Flags::SYN | Flags::FIN);
        self.rcv_nxt = view.seq() + length + u32::from(!marks.is_empty());
        Ok(())
    }

    /// Returns a segment with data, which acknowledges all received data.
    pub fn data(&mut self, payload: &[u8]) -> Bytes {
        let packet = self.packet(Flags::ACK, Options::default(), payload);
        self.snd_nxt += payload.len() as u32;
        packet
    }

    /// Returns an acknowledgment of all received data.
    pub fn ack(&mut self) -> Bytes {
        self.data(&[])
    }

    /// Returns an acknowledgment of `bytes` more than before.
    pub fn ack_more(&mut self, bytes: u32) -> Bytes {
        self.rcv_nxt += bytes;
        self.ack()
    }

    /// Returns its FIN.
    pub fn fin(&mut self) -> Bytes {
        let packet = self.packet(Flags::FIN | Flags::ACK, Options::default(), &[]);
        self.snd_nxt += 1;
        packet
    }

    fn packet(&self, flags: Flags, options: Options, payload: &[u8]) -> Bytes {
        let tcp = Header {
            src_port: self.address.port(),
            dst_port: PORT,
            seq: self.snd_nxt,
            ack: self.rcv_nxt,
            flags,
            window: u16::MAX,
            urgent: 0,
            options,
        };
        packet::tcp(self.address.ip(), ADDRESS, &tcp, payload).into()
    }
}

/// A listening engine.
pub struct Rig {
    stack: Stack,
    listener: ListenerId,
    now: Instant,
    out: Transmit,
    scratch: Vec<u8>,
}

impl Rig {
    /// An engine that accepts `backlog` connections at the same time.
    pub fn new(backlog: usize, change: impl FnOnce(&mut Config)) -> Result<Self> {
        let mut config = Config::default().addresses(vec![Cidr::new(ADDRESS, PREFIX)]);
        change(&mut config);
        let options = ListenOptions::default()
            .backlog(backlog)
            .socket(config.socket.clone());
        let mut stack = Stack::new(config, [7; 32]);
        let binding = stack.bind(SocketAddr::new(ADDRESS, PORT), true)?;
        let listener = stack.listen(binding, options)?;
        Ok(Self {
            stack,
            listener,
            now: Instant::from_millis(1000),
            out: Transmit::new(),
            scratch: Vec::new(),
        })
    }

    /// The engine and the current time.
    pub fn stack(&mut self) -> (&mut Stack, Instant) {
        (&mut self.stack, self.now)
    }

    /// Delivers a peer's packet to the engine.
    pub fn inject(&mut self, packet: Bytes) {
        self.stack
            .handle_packet(self.now, packet, RxChecksum::Unverified);
    }

    /// Discards the engine's packets and events; returns the number of bytes sent.
    pub fn drain(&mut self) -> usize {
        let mut bytes = 0;
        while self.stack.poll_transmit(self.now, &mut self.out) {
            bytes += self.out.len();
        }
        while self.stack.poll_event().is_some() {}
        bytes
    }

    /// Delivers a peer's SYN and takes the SYN-ACK.
    pub fn half_open(&mut self, peer: &mut Peer) -> Result<()> {
        self.inject(peer.syn());
        self.hear(peer)
    }

    /// Opens a connection from a peer and accepts it.
    pub fn establish(&mut self, peer: &mut Peer) -> Result<ConnectionId> {
        self.half_open(peer)?;
        self.inject(peer.ack());
        self.drain();
        let accepted = self.stack.accept(self.listener);
        Ok(accepted.context("no connection to accept")?.id)
    }

    /// Closes a connection from the engine's side first, so that it enters TIME-WAIT.
    pub fn close(&mut self, peer: &mut Peer, id: ConnectionId) -> Result<()> {
        self.stack.close(self.now, id);
        self.hear(peer)?;
        self.inject(peer.fin());
        self.drain();
        Ok(())
    }

    /// Lets the peer process the next packet from the engine.
    fn hear(&mut self, peer: &mut Peer) -> Result<()> {
        ensure!(
            self.stack.poll_transmit(self.now, &mut self.out),
            "the engine sent no packet"
        );
        self.scratch.clear();
        self.out.write_to(&mut self.scratch);
        peer.take(&self.scratch)
    }
}

//! Packets that an attacker constructs: any header, any source.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use millstream_testbed::packet;
use millstream_wire::tcp::{Flags, Header, Options, SackBlock};
use millstream_wire::{SeqNum, ip};

/// A TCP segment between two endpoints, with correct checksums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    /// The source, which need not be the sender's.
    pub(crate) from: SocketAddr,
    /// The destination.
    pub(crate) to: SocketAddr,
    /// The header except for the ports.
    pub(crate) header: Header,
}

impl Segment {
    /// A segment with the given flags and numbers, and a window of 65,535.
    pub(crate) fn new(
        from: SocketAddr,
        to: SocketAddr,
        flags: Flags,
        seq: SeqNum,
        ack: SeqNum,
    ) -> Self {
        let header = Header {
            src_port: from.port(),
            dst_port: to.port(),
            seq,
            ack,
            flags,
            window: u16::MAX,
            ..Header::default()
        };
        Self { from, to, header }
    }

    /// A SYN as Linux sends it, without timestamps.
    pub(crate) fn syn(from: SocketAddr, to: SocketAddr, seq: SeqNum) -> Self {
        let mut segment = Self::new(from, to, Flags::SYN, seq, SeqNum::new(0));
        segment.header.options = Options {
            mss: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            ..Options::default()
        };
        segment
    }

    /// Sets the window.
    pub(crate) fn window(mut self, window: u16) -> Self {
        self.header.window = window;
        self
    }

    /// Adds a SACK block.
    pub(crate) fn sack(mut self, left: SeqNum, right: SeqNum) -> Self {
        let _ = self.header.options.sack.push(SackBlock { left, right });
        self
    }

    /// The packet, with `payload`.
    pub(crate) fn packet(&self, payload: &[u8]) -> Bytes {
        packet::tcp(self.from.ip(), self.to.ip(), &self.header, payload).into()
    }
}

/// An IP packet with the given payload.
pub(crate) fn datagram(src: IpAddr, dst: IpAddr, protocol: u8, payload: &[u8]) -> Bytes {
    packet::ip(ip::Header::new(src, dst, protocol), payload).into()
}

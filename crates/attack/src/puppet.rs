//! A peer with one connection, which sends exactly the segments that the attack wants.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use bytes::Bytes;
use millstream_wire::tcp::{Flags, Options, View};
use millstream_wire::{SeqNum, ip};

use crate::forge::Segment;

/// The initial sequence number of every puppet.
const ISS: SeqNum = SeqNum::new(1_000_000);

/// A peer with one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Puppet {
    /// The puppet's address.
    pub(crate) address: SocketAddr,
    /// The victim's address.
    pub(crate) victim: SocketAddr,
    /// The next sequence number to send.
    pub(crate) snd_nxt: SeqNum,
    /// The next sequence number expected from the victim.
    pub(crate) rcv_nxt: SeqNum,
    /// The window that it offers.
    pub(crate) window: u16,
    /// The options of its SYN.
    pub(crate) options: Options,
}

impl Puppet {
    /// A puppet that will connect, with a segment size of `mss`, SACK and a window scale of 14.
    pub(crate) fn new(address: SocketAddr, victim: SocketAddr, mss: u16) -> Self {
        Self {
            address,
            victim,
            snd_nxt: ISS,
            rcv_nxt: SeqNum::new(0),
            window: u16::MAX,
            options: Options {
                mss: Some(mss),
                window_scale: Some(14),
                sack_permitted: true,
                ..Options::default()
            },
        }
    }

    /// Its SYN.
    pub(crate) fn syn(&mut self) -> Bytes {
        let mut segment = self.segment(Flags::SYN);
        segment.header.options = self.options;
        self.snd_nxt = ISS + 1;
        segment.packet(&[])
    }

    /// A segment at the current position, which acknowledges everything received.
    pub(crate) fn segment(&self, flags: Flags) -> Segment {
        Segment::new(self.address, self.victim, flags, self.snd_nxt, self.rcv_nxt)
            .window(self.window)
    }

    /// An acknowledgment of everything received.
    pub(crate) fn ack(&self) -> Bytes {
        self.segment(Flags::ACK).packet(&[])
    }

    /// The next data of its stream.
    pub(crate) fn data(&mut self, payload: &[u8]) -> Bytes {
        let packet = self.segment(Flags::ACK).packet(payload);
        self.snd_nxt += payload.len() as u32;
        packet
    }

    /// Its FIN.
    pub(crate) fn fin(&mut self) -> Bytes {
        let packet = self.segment(Flags::FIN | Flags::ACK).packet(&[]);
        self.snd_nxt += 1;
        packet
    }

    /// Receives a packet: updates the next expected sequence number.
    ///
    /// # Errors
    /// The packet does not belong to the puppet's connection.
    pub(crate) fn hear(&mut self, packet: &[u8]) -> Result<Flags> {
        let packet = ip::Packet::parse(packet)?;
        let view = View::parse(packet.payload())?;
        ensure!(
            view.dst_port() == self.address.port() && packet.dst() == self.address.ip(),
            "a packet for another peer"
        );
        let marks = view.flags() & (Flags::SYN | Flags::FIN);
        let length = view.payload().len() as u32 + u32::from(!marks.is_empty());
        self.rcv_nxt = view.seq() + length;
        Ok(view.flags())
    }
}

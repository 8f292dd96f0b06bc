//! The small part of a TCP connection that a packet pump needs.

use std::net::IpAddr;
use std::ops::ControlFlow;

use anyhow::Result;
use millstream_wire::tcp::{Flags, Header, Options, View};
use millstream_wire::{SeqNum, WindowScale, ip};

use super::device::Sender;
use crate::service::Service;

/// The pump's initial sequence number.
const ISS: SeqNum = SeqNum::new(1_000_000);
/// The scale of the offered windows.
const SCALE: WindowScale = WindowScale::new(8);
/// The default MSS of IPv4 (RFC 9293 3.7.1).
const DEFAULT_MSS: u16 = 536;
/// The number of small packets that one acknowledgment covers.
const ACK_EVERY: u32 = 8;
/// The number of duplicate acknowledgments that indicates a loss (RFC 5681 3.2).
const DUPLICATES: u32 = 3;

/// A connection opened by a kernel.
pub(super) struct Connection {
    service: Service,
    us: IpAddr,
    peer: IpAddr,
    peer_port: u16,
    rcv_nxt: SeqNum,
    snd_una: SeqNum,
    snd_nxt: SeqNum,
    /// The peer's window, in bytes.
    snd_wnd: u32,
    peer_scale: WindowScale,
    mss: u16,
    /// The number of packets received since the last acknowledgment.
    owed: u32,
    duplicates: u32,
    /// Whether a FIN was sent.
    closing: bool,
}

impl Connection {
    /// Accepts a SYN and answers it.
    pub(super) fn open(
        service: Service,
        packet: &ip::Packet<'_>,
        syn: &View<'_>,
        sender: &mut Sender,
    ) -> Result<Self> {
        let options = Options::parse(syn.options_bytes());
        let mut connection = Self {
            service,
            us: packet.dst(),
            peer: packet.src(),
            peer_port: syn.src_port(),
            rcv_nxt: syn.seq() + 1,
            snd_una: ISS,
            snd_nxt: ISS,
            snd_wnd: syn.window().into(),
            peer_scale: WindowScale::new(options.window_scale.unwrap_or(0)),
            mss: options.mss.unwrap_or(DEFAULT_MSS).min(sender.mss()),
            owed: 0,
            duplicates: 0,
            closing: false,
        };
        let options = Options {
            mss: Some(sender.mss()),
            window_scale: Some(SCALE.shift()),
            ..Options::default()
        };
        connection.emit(Flags::SYN | Flags::ACK, options, sender)?;
        connection.snd_nxt += 1;
        Ok(connection)
    }

    /// Processes a segment; breaks when the connection is closed.
    pub(super) fn take(&mut self, seg: &View<'_>, sender: &mut Sender) -> Result<ControlFlow<()>> {
        if seg.flags().contains(Flags::RST) {
            return Ok(ControlFlow::Break(()));
        }
        self.take_ack(seg);
        if self.closing && self.snd_una == self.snd_nxt {
            return Ok(ControlFlow::Break(()));
        }
        let length = seg.payload().len() as u32;
        let fin = seg.flags().contains(Flags::FIN);
        if length == 0 && !fin {
            return Ok(ControlFlow::Continue(()));
        }
        self.owed += 1;
        if seg.seq() != self.rcv_nxt {
            // A segment is missing: request it again with a duplicate acknowledgment.
            self.acknowledge(sender)?;
            return Ok(ControlFlow::Continue(()));
        }
        self.rcv_nxt += length;
        if fin {
            self.rcv_nxt += 1;
            self.emit(Flags::FIN | Flags::ACK, Options::default(), sender)?;
            self.snd_nxt += 1;
            self.closing = true;
        } else if self.service == Service::Echo {
            self.echo(seg.payload(), sender)?;
        } else {
            sender.consume(seg.payload());
            if !sender.offload() && self.owed >= ACK_EVERY {
                self.acknowledge(sender)?;
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Acknowledges all received data.
    pub(super) fn acknowledge(&mut self, sender: &mut Sender) -> Result<()> {
        if self.owed > 0 {
            self.emit(Flags::ACK, Options::default(), sender)?;
        }
        Ok(())
    }

    /// Sends up to `count` segments of a source's data; returns whether the window has room for
    /// more.
    pub(super) fn send(&mut self, count: usize, sender: &mut Sender) -> Result<bool> {
        // The handshake is complete when the SYN is acknowledged.
        if self.service != Service::Source || self.closing || self.snd_una == ISS {
            return Ok(false);
        }
        let largest = sender.largest_payload(self.mss);
        for _ in 0..count {
            let in_flight = self.snd_nxt.distance_from(self.snd_una).max(0) as u32;
            if in_flight + largest as u32 > self.snd_wnd {
                return Ok(false);
            }
            let header = self.header(Flags::ACK, Options::default(), sender);
            sender.send_data(self.us, self.peer, &header, largest, self.mss)?;
            self.snd_nxt += largest as u32;
            self.owed = 0;
        }
        Ok(true)
    }

    /// Whether an acknowledgment is pending.
    pub(super) fn owes_ack(&self) -> bool {
        self.owed > 0
    }

    fn take_ack(&mut self, seg: &View<'_>) {
        let acked = seg.ack().distance_from(self.snd_una);
        let window = self.peer_scale.widen(seg.window());
        if acked > 0 {
            self.snd_una = seg.ack();
            self.duplicates = 0;
        } else if acked == 0 && seg.payload().is_empty() && window == self.snd_wnd {
            self.duplicates += 1;
            if self.duplicates == DUPLICATES && !self.closing {
                self.snd_nxt = self.snd_una;
            }
        }
        self.snd_wnd = window;
    }

    fn echo(&mut self, payload: &[u8], sender: &mut Sender) -> Result<()> {
        let header = self.header(Flags::ACK | Flags::PSH, Options::default(), sender);
        sender.send(self.us, self.peer, &header, payload)?;
        self.snd_nxt += payload.len() as u32;
        self.owed = 0;
        Ok(())
    }

    fn emit(&mut self, flags: Flags, options: Options, sender: &mut Sender) -> Result<()> {
        let header = self.header(flags, options, sender);
        sender.send(self.us, self.peer, &header, &[])?;
        self.owed = 0;
        Ok(())
    }

    fn header(&self, flags: Flags, options: Options, sender: &Sender) -> Header {
        // The window of a SYN is not scaled (RFC 7323 2.2).
        let window = if flags.contains(Flags::SYN) {
            u16::MAX
        } else {
            SCALE.narrow(sender.window())
        };
        Header {
            src_port: self.service.port(),
            dst_port: self.peer_port,
            seq: self.snd_nxt,
            ack: self.rcv_nxt,
            flags,
            window,
            urgent: 0,
            options,
        }
    }
}

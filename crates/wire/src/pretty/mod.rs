//! Packets as tcpdump prints them (`tcpdump -n -t`), one line each.
//!
//! `Display` of an [`ip::Packet`] shows absolute sequence numbers; a [`Trace`] shows them relative
//! to the first of the connection, as tcpdump does.

mod icmp;
mod tcp;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use crate::field::Fields;
use crate::{ParseError, SeqNum, ip};

/// Maximum number of connections whose first sequence numbers a trace keeps; beyond it, the trace
/// discards them all.
const MAX_CONNECTIONS: usize = 65_536;

/// Prints a sequence of packets with sequence numbers relative to the first of each connection.
///
/// Segments with SYN show absolute numbers, and so does the first segment of a connection that was
/// already open; segments without ACK are absolute too. Memory is bounded: 65536 connections are
/// kept.
///
/// ```
/// use millstream_wire::pretty::Trace;
///
/// let mut trace = Trace::new();
/// assert_eq!(trace.line(&[0x45, 0]), "malformed packet (header truncated), length 2");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The sequence numbers that count as zero, by connection with the lower address first.
    bases: BTreeMap<(SocketAddr, SocketAddr), Bases>,
}

/// The sequence numbers that count as zero: of a segment's sender, and of its receiver.
#[derive(Clone, Copy, Debug, Default)]
struct Bases {
    seq: SeqNum,
    ack: SeqNum,
}

impl Trace {
    /// Creates a trace without connections.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The line for `packet`, the bytes of an IP packet, complete or truncated; for other bytes the
    /// line states the reason.
    pub fn line(&mut self, packet: &[u8]) -> String {
        match ip::Packet::parse_truncated(packet) {
            Ok(parsed) => {
                let bases = self.bases_for(&parsed);
                Line {
                    packet: &parsed,
                    bases,
                }
                .to_string()
            }
            Err(error) => malformed(error, packet.len()),
        }
    }

    /// The sequence numbers that count as zero for this packet; zero while they are unknown.
    fn bases_for(&mut self, packet: &ip::Packet<'_>) -> Bases {
        let Some(segment) = tcp::view(packet) else {
            return Bases::default();
        };
        let flags = segment.flags();
        if !flags.contains(crate::tcp::Flags::ACK) {
            return Bases::default();
        }
        let from = SocketAddr::new(packet.src(), segment.src_port());
        let to = SocketAddr::new(packet.dst(), segment.dst_port());
        let key = if from <= to { (from, to) } else { (to, from) };
        let known = self.bases.get(&key).copied();
        match known.filter(|_| !flags.contains(crate::tcp::Flags::SYN)) {
            Some(bases) if from <= to => bases,
            Some(bases) => bases.reversed(),
            None => {
                if known.is_none() && self.bases.len() == MAX_CONNECTIONS {
                    self.bases.clear();
                }
                let bases = Bases {
                    seq: segment.seq(),
                    ack: segment.ack() - 1,
                };
                self.bases
                    .insert(key, if from <= to { bases } else { bases.reversed() });
                Bases::default()
            }
        }
    }
}

impl Bases {
    fn reversed(self) -> Self {
        Self {
            seq: self.ack,
            ack: self.seq,
        }
    }
}

fn malformed(error: ParseError, len: usize) -> String {
    format!("malformed packet ({error}), length {len}")
}

impl fmt::Display for ip::Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Line {
            packet: self,
            bases: Bases::default(),
        }
        .fmt(f)
    }
}

/// One packet, and the bases of its sequence numbers.
struct Line<'a> {
    packet: &'a ip::Packet<'a>,
    bases: Bases,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packet = self.packet;
        f.write_str(match packet {
            ip::Packet::V4(_) => "IP ",
            ip::Packet::V6(_) => "IP6 ",
        })?;
        let (src, dst) = (packet.src(), packet.dst());
        if let Some(fragment) = packet.fragment()
            && (fragment.offset != 0 || matches!(packet, ip::Packet::V6(_)))
        {
            let ip::Fragment { id, offset, .. } = fragment;
            let len = packet.payload_len();
            write!(f, "{src} > {dst}: frag ({id:#x}:{offset}|{len}) ")?;
            return write!(f, "ip-proto-{} length {len}", packet.protocol());
        }
        match packet.protocol() {
            ip::TCP => tcp::fmt(packet, self.bases, f),
            ip::UDP => udp(packet, f),
            ip::ICMP | ip::ICMPV6 => icmp::fmt(packet, f),
            protocol => write!(
                f,
                "{src} > {dst}: ip-proto-{protocol} {}",
                packet.payload_len()
            ),
        }
    }
}

fn udp(packet: &ip::Packet<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (src, dst) = (packet.src(), packet.dst());
    match packet.payload().first_chunk::<{ crate::udp::HEADER_LEN }>() {
        Some(header) => {
            let (from, to) = (header.be16::<0>(), header.be16::<2>());
            let len = packet.payload_len().saturating_sub(header.len());
            write!(f, "{src}.{from} > {dst}.{to}: UDP, length {len}")
        }
        None => write!(f, "{src} > {dst}: [|udp]"),
    }
}

//! Segments in the notation of classic traces, so that a test can list every segment it expects:
//! `client > server S 0:0(0) <mss 1460,sackOK,TS,nop,wscale 10>`.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use millstream_wire::tcp::{Flags, TcpOption, Timestamps, View};
use millstream_wire::{SeqNum, ip};

use crate::trace::{Fate, Record};

/// The flags and numbers of a TCP segment, for a gate's rule.
#[derive(Clone, Copy, Debug)]
pub struct Brief {
    /// The control bits.
    pub flags: Flags,
    /// The sequence number.
    pub seq: SeqNum,
    /// The acknowledgment number.
    pub ack: SeqNum,
    /// Bytes of payload.
    pub length: usize,
}

impl Brief {
    /// Parses an IP packet; `None` if it is not TCP.
    #[must_use]
    pub fn of(packet: &[u8]) -> Option<Self> {
        let packet = ip::Packet::parse(packet).ok()?;
        if packet.protocol() != ip::TCP {
            return None;
        }
        let segment = View::parse(packet.payload()).ok()?;
        Some(Self {
            flags: segment.flags(),
            seq: segment.seq(),
            ack: segment.ack(),
            length: segment.payload().len(),
        })
    }

    /// Whether the segment is a pure acknowledgment.
    #[must_use]
    pub fn is_pure_ack(&self) -> bool {
        self.flags - Flags::PSH == Flags::ACK && self.length == 0
    }
}

/// Formats the segments of a trace with sequence numbers relative to each end's SYN.
pub struct Narrator {
    names: HashMap<IpAddr, &'static str>,
    sides: HashMap<(SocketAddr, SocketAddr), Side>,
}

/// The state of one direction of a connection.
#[derive(Default)]
struct Side {
    iss: Option<SeqNum>,
    /// Timestamp values that an echo may contain.
    timestamps: Vec<u32>,
}

impl Narrator {
    /// A narrator with these names for the hosts.
    #[must_use]
    pub fn by_address(names: impl IntoIterator<Item = (IpAddr, &'static str)>) -> Self {
        Self {
            names: names.into_iter().collect(),
            sides: HashMap::new(),
        }
    }

    /// One line for each packet: `from > to FLAGS seq:end(length) ack N <options>`, with `win 0`
    /// for a zero window, and with the packet's fate if it did not pass. Timestamps are shown as
    /// `TS`, and are checked. Packets other than TCP are omitted.
    ///
    /// # Errors
    /// If a packet does not parse, if its checksum is wrong, or if a timestamp echoes a value that
    /// was never sent.
    pub fn tell(&mut self, records: &[Record]) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for record in records {
            let packet = ip::Packet::parse(&record.packet).context("IP header")?;
            if packet.protocol() == ip::TCP {
                lines.push(self.line(&packet, record.fate)?);
            }
        }
        Ok(lines)
    }

    fn line(&mut self, packet: &ip::Packet<'_>, fate: Fate) -> Result<String> {
        let segment = View::parse(packet.payload()).context("TCP header")?;
        ensure!(
            segment.checksum_ok(packet.src(), packet.dst()),
            "TCP checksum"
        );

        let from = SocketAddr::new(packet.src(), segment.src_port());
        let to = SocketAddr::new(packet.dst(), segment.dst_port());
        let flags = segment.flags();
        let side = self.sides.entry((from, to)).or_default();
        if flags.contains(Flags::SYN) {
            side.iss = Some(segment.seq());
        }
        let seq = relative(segment.seq(), side.iss);
        note_timestamp(&segment, side);
        let peer = self.sides.entry((to, from)).or_default();
        let options = options(&segment, peer)?;
        check_echo(&segment, peer)?;
        let ack = relative(segment.ack(), peer.iss);

        let length = segment.payload().len();
        let mut line = format!(
            "{} > {} {} {seq}:{}({length})",
            self.name(from),
            self.name(to),
            letters(flags),
            i64::from(seq) + length as i64
        );
        if flags.contains(Flags::ACK) {
            line += &format!(" ack {ack}");
        }
        if segment.window() == 0 {
            line += " win 0";
        }
        if !options.is_empty() {
            line += &format!(" <{}>", options.join(","));
        }
        line += match fate {
            Fate::Passed => "",
            Fate::Dropped => " dropped",
            Fate::Held => " held",
        };
        Ok(line)
    }

    fn name(&self, end: SocketAddr) -> String {
        self.names
            .get(&end.ip())
            .map_or_else(|| end.to_string(), |name| (*name).to_owned())
    }
}

/// The distance from the end's SYN, or from zero if no SYN was seen.
fn relative(number: SeqNum, iss: Option<SeqNum>) -> i32 {
    number.distance_from(iss.unwrap_or_default())
}

/// tcpdump's letters: `S`, `F`, `P`, `R`, and `.` for ACK.
fn letters(flags: Flags) -> String {
    let letters = [
        (Flags::SYN, 'S'),
        (Flags::FIN, 'F'),
        (Flags::PSH, 'P'),
        (Flags::RST, 'R'),
        (Flags::URG, 'U'),
        (Flags::ECE, 'E'),
        (Flags::CWR, 'W'),
        (Flags::ACK, '.'),
    ];
    letters
        .into_iter()
        .filter(|(flag, _)| flags.contains(*flag))
        .map(|(_, letter)| letter)
        .collect()
}

fn options(segment: &View<'_>, peer: &Side) -> Result<Vec<String>> {
    let base = peer.iss.unwrap_or_default();
    let options = segment.options();
    options
        .map(|option| Ok(option.context("TCP options")?.brief(base).to_string()))
        .collect()
}

fn timestamps(segment: &View<'_>) -> Option<Timestamps> {
    segment.options().find_map(|option| match option {
        Ok(TcpOption::Timestamps(timestamps)) => Some(timestamps),
        _ => None,
    })
}

fn note_timestamp(segment: &View<'_>, side: &mut Side) {
    side.timestamps
        .extend(timestamps(segment).map(|timestamps| timestamps.value));
}

/// RFC 7323 3.2: a segment with ACK echoes a timestamp from the peer; a first SYN echoes zero.
fn check_echo(segment: &View<'_>, peer: &Side) -> Result<()> {
    let Some(timestamps) = timestamps(segment) else {
        return Ok(());
    };
    if segment.flags().contains(Flags::ACK) {
        ensure!(
            peer.timestamps.contains(&timestamps.echo),
            "timestamp echo {} was never sent",
            timestamps.echo
        );
    } else {
        ensure!(
            timestamps.echo == 0,
            "a first SYN echoes {}",
            timestamps.echo
        );
    }
    Ok(())
}

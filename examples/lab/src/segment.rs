//! One segment of a trace, with sequence numbers relative to each end's SYN.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use millstream_wire::ip::Ecn;
use millstream_wire::tcp::{Flags, Options, Timestamps, View};
use millstream_wire::{SeqNum, ip};
use serde::{Serialize, Serializer};

use crate::trace::Fate;

/// A captured segment.
#[derive(Clone, Debug, Serialize)]
pub struct Segment {
    /// The sender.
    pub from: SocketAddr,
    /// The receiver.
    pub to: SocketAddr,
    /// The control bits.
    #[serde(serialize_with = "display")]
    pub flags: Flags,
    /// The sequence number in the header.
    pub raw_seq: u32,
    /// The acknowledgment number in the header.
    pub raw_ack: u32,
    /// The sequence number relative to the sender's SYN.
    pub seq: i64,
    /// The acknowledgment number relative to the receiver's SYN, if ACK is set.
    pub ack: Option<i64>,
    /// Bytes of data.
    pub length: usize,
    /// The window field.
    pub window: u16,
    /// The ECN bits of its IP header.
    #[serde(serialize_with = "codepoint")]
    pub ecn: Ecn,
    /// The options in tcpdump's notation; for timestamps only the name.
    pub options: Vec<String>,
    /// The timestamps option's value and echo.
    #[serde(serialize_with = "timestamps", skip_serializing_if = "Option::is_none")]
    pub timestamps: Option<Timestamps>,
    /// Its fate on the link.
    pub fate: Fate,
    /// The time of arrival at the other host, if the lab controls it.
    #[serde(skip)]
    pub arrives: Option<Duration>,
    /// The sender's congestion window in bytes after the segment was sent, if the lab has access to
    /// the sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwnd: Option<u32>,
    /// The complete packet.
    #[serde(serialize_with = "hexadecimal")]
    pub packet: Vec<u8>,
}

impl Segment {
    /// The relative sequence number after the last byte of data.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.seq + self.length as i64
    }

    /// The flags in the notation of classic traces: `S`, `F`, `P`, `R`, and `.` for none of these.
    #[must_use]
    pub fn letters(&self) -> String {
        let letters: String = [
            (Flags::SYN, 'S'),
            (Flags::FIN, 'F'),
            (Flags::RST, 'R'),
            (Flags::PSH, 'P'),
        ]
        .into_iter()
        .filter(|(flag, _)| self.flags.contains(*flag))
        .map(|(_, letter)| letter)
        .collect();
        if letters.is_empty() {
            ".".to_owned()
        } else {
            letters
        }
    }

    /// The ECN bits of the IP header and TCP's flags CWR and ECE, as `10/01`, if any of them is
    /// set.
    #[must_use]
    pub fn ecn_bits(&self) -> Option<String> {
        let [cwr, ece] = [Flags::CWR, Flags::ECE].map(|flag| u8::from(self.flags.contains(flag)));
        let bits = self.ecn as u8;
        (bits | cwr | ece != 0).then(|| format!("{bits:02b}/{cwr}{ece}"))
    }

    /// Flags, relative sequence numbers, length, window, options and ECN bits in one line:
    /// `S 0:0(0) ack 1 win 4096 <mss 512>`.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut line = format!(
            "{} {}:{}({})",
            self.letters(),
            self.seq,
            self.end(),
            self.length
        );
        // Writing to a String cannot fail.
        if let Some(ack) = self.ack {
            let _ = write!(line, " ack {ack}");
        }
        let _ = write!(line, " win {}", self.window);
        line += &self.option_text();
        if let Some(bits) = self.ecn_bits() {
            let _ = write!(line, " ecn {bits}");
        }
        line
    }

    /// The options in brackets after a space, or an empty string.
    #[must_use]
    pub fn option_text(&self) -> String {
        if self.options.is_empty() {
            String::new()
        } else {
            format!(" <{}>", self.options.join(","))
        }
    }
}

/// Converts packets to segments; remembers each end's SYN.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    first: HashMap<(SocketAddr, SocketAddr), SeqNum>,
}

impl Decoder {
    /// The segment in an IP packet, or `None` if there is none.
    pub fn decode(&mut self, bytes: &[u8]) -> Option<Segment> {
        let packet = ip::Packet::parse(bytes).ok()?;
        if packet.protocol() != ip::TCP {
            return None;
        }
        let view = View::parse(packet.payload()).ok()?;
        let from = SocketAddr::new(packet.src(), view.src_port());
        let to = SocketAddr::new(packet.dst(), view.dst_port());
        let flags = view.flags();
        if flags.contains(Flags::SYN) {
            self.first.insert((from, to), view.seq());
        }
        let peer = self.first_of(to, from);
        let acknowledges = flags.contains(Flags::ACK);
        Some(Segment {
            from,
            to,
            flags,
            raw_seq: view.seq().raw(),
            raw_ack: view.ack().raw(),
            seq: relative(view.seq(), self.first_of(from, to)),
            ack: acknowledges.then(|| relative(view.ack(), peer)),
            length: view.payload().len(),
            window: view.window(),
            ecn: packet.ecn(),
            timestamps: Options::parse(view.options_bytes()).timestamps,
            options: view
                .options()
                .map(|option| {
                    option.map_or_else(|_| "bad".to_owned(), |o| o.brief(peer).to_string())
                })
                .collect(),
            fate: Fate::Passed,
            arrives: None,
            cwnd: None,
            packet: bytes.to_vec(),
        })
    }

    fn first_of(&self, from: SocketAddr, to: SocketAddr) -> SeqNum {
        self.first.get(&(from, to)).copied().unwrap_or_default()
    }
}

fn relative(number: SeqNum, first: SeqNum) -> i64 {
    i64::from(number.distance_from(first))
}

fn display<S: Serializer>(
    value: &impl std::fmt::Display,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// The two bits as text, such as `10`.
fn codepoint<S: Serializer>(value: &Ecn, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{:02b}", *value as u8))
}

fn timestamps<S: Serializer>(value: &Option<Timestamps>, serializer: S) -> Result<S::Ok, S::Error> {
    let numbers = value.map(|timestamps| [("value", timestamps.value), ("echo", timestamps.echo)]);
    serializer.collect_map(numbers.into_iter().flatten())
}

fn hexadecimal<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    serializer.serialize_str(&text)
}

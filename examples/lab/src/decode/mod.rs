//! Decodes packets field by field, with the meaning of each.
//!
//! [`Decoder`] turns a packet into a tree of [`Field`]s; [`hex`] reads packets in hexadecimal.

pub mod hex;
mod ip;
mod options;
mod scales;
mod tcp;

use std::fmt;

use anyhow::{Result, bail};
use millstream_wire::{self as wire, WindowScale};
use serde::Serialize;

pub use self::scales::Scales;
pub use self::tcp::data_len;

/// One field of a header, with its subfields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// The name of the field.
    pub name: String,
    /// The value of the field.
    pub value: String,
    /// The meaning of the value; empty if the value is self-explanatory.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub meaning: String,
    /// The subfields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
}

impl Field {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "numbers, addresses and texts alike, as they come"
    )]
    fn new(name: impl Into<String>, value: impl ToString, meaning: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.to_string(),
            meaning: meaning.into(),
            fields: Vec::new(),
        }
    }

    fn with(mut self, fields: Vec<Self>) -> Self {
        self.fields = fields;
        self
    }

    /// A field for bytes that cannot be decoded.
    #[must_use]
    pub fn unreadable(error: &anyhow::Error) -> Self {
        Self::new("Unreadable", format!("{error:#}"), "")
    }

    /// The first field with this name, among this one and its subfields.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Self> {
        if self.name == name {
            return Some(self);
        }
        self.fields.iter().find_map(|field| field.find(name))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        write!(
            f,
            "{:indent$}{}: {}",
            "",
            self.name,
            self.value,
            indent = 4 * depth
        )?;
        if !self.meaning.is_empty() {
            write!(f, " ({})", self.meaning)?;
        }
        writeln!(f)?;
        self.fields
            .iter()
            .try_for_each(|field| field.write(f, depth + 1))
    }
}

impl fmt::Display for Field {
    /// Writes one line for each field, with subfields indented.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

/// The kind of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An IP packet.
    Ip,
    /// A TCP header without the IP header before it.
    Tcp,
    /// The options of a TCP header alone.
    Options,
}

impl Kind {
    /// Guesses the kind of `bytes`: an IP packet if the checksum, or the lengths and the protocol,
    /// are consistent; otherwise a TCP header if its length is possible.
    ///
    /// # Errors
    /// If the bytes are consistent with neither.
    pub fn guess(bytes: &[u8]) -> Result<Self> {
        if wire::ip::Packet::parse(bytes).is_ok() || is_damaged_ip(bytes) {
            return Ok(Self::Ip);
        }
        if wire::tcp::View::parse(bytes).is_ok() {
            return Ok(Self::Tcp);
        }
        bail!(
            "these {} bytes begin neither with an IP header nor with a whole TCP header: give the packet from the first \
             byte of its IP header (45 .. for IPv4, 6. .. for IPv6), or at least the 20 bytes of the TCP header; \
             --ip or --tcp says which it is, --options that they are a header's options alone",
            bytes.len()
        )
    }
}

/// Whether the bytes are a packet of a common protocol that is truncated or has a wrong checksum. A
/// bare TCP header with source port 0x45.. or 0x6... looks like IP except for the length.
fn is_damaged_ip(bytes: &[u8]) -> bool {
    use wire::ip::{ICMP, ICMPV6, TCP, UDP};
    wire::ip::Packet::parse_truncated(bytes).is_ok_and(|packet| {
        packet.header_len() + packet.payload_len() >= bytes.len()
            && matches!(packet.protocol(), ICMP | TCP | UDP | ICMPV6)
    })
}

/// Decodes packets in sequence and learns window scales from their SYNs.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    scales: Scales,
}

impl Decoder {
    /// A decoder that uses `scale` for the window of every segment; with `None` it learns the
    /// scales.
    #[must_use]
    pub fn new(scale: Option<WindowScale>) -> Self {
        Self {
            scales: Scales::new(scale),
        }
    }

    /// The headers of a packet, outermost first.
    ///
    /// # Errors
    /// If the outermost header is invalid. An error in an inner header is reported in a field.
    pub fn decode(&mut self, kind: Kind, bytes: &[u8]) -> Result<Vec<Field>> {
        match kind {
            Kind::Ip => ip::decode(bytes, &mut self.scales),
            Kind::Tcp => match wire::tcp::View::parse(bytes) {
                Ok(view) => Ok(tcp::decode(&view, None, self.scales.forced())),
                Err(error) => bail!("no TCP header: {error}; {} bytes were given", bytes.len()),
            },
            Kind::Options => Ok(options::decode(bytes).into_iter().collect()),
        }
    }
}

//! Packets field by field, each with its meaning.
//!
//! [`Decoder`] makes a tree of [`Field`]s of a packet; [`hex`] and [`file`](mod@file) are where packets come from.

pub mod file;
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

/// One field of a header, with the fields it consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// What the field is called.
    pub name: String,
    /// What stands in it.
    pub value: String,
    /// What that means; empty where the value says it all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub meaning: String,
    /// Its parts.
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

    /// The one field of a packet that is none.
    #[must_use]
    pub fn unreadable(error: &anyhow::Error) -> Self {
        Self::new("Unreadable", format!("{error:#}"), "")
    }

    /// The first field of that name, here or below.
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
    /// A line a field, parts indented below the whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

/// What the bytes are.
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
    /// What `bytes` look like: an IP packet where checksum or lengths and protocol fit, else a TCP header with a
    /// possible length.
    ///
    /// # Errors
    /// They look like neither.
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

/// Whether this is a packet with a wrong checksum, or cut short, of a protocol that it is likely to carry. A bare
/// header of a segment from port 0x45.. or 0x6... looks like IP up to its length.
fn is_damaged_ip(bytes: &[u8]) -> bool {
    use wire::ip::{ICMP, ICMPV6, TCP, UDP};
    wire::ip::Packet::parse_truncated(bytes).is_ok_and(|packet| {
        packet.header_len() + packet.payload_len() >= bytes.len()
            && matches!(packet.protocol(), ICMP | TCP | UDP | ICMPV6)
    })
}

/// Decodes packets one after the other and learns window scales from the SYNs it sees.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    scales: Scales,
}

impl Decoder {
    /// A decoder that takes `scale` for the window scale of every segment, or learns it when there is none.
    #[must_use]
    pub fn new(scale: Option<WindowScale>) -> Self {
        Self {
            scales: Scales::new(scale),
        }
    }

    /// The headers of a packet, outermost first.
    ///
    /// # Errors
    /// The outermost header is none. What is wrong further in is told by a field.
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

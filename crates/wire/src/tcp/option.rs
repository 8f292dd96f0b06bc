//! Single options: as they appear in a header, and as text.

use std::fmt::{self, Formatter};

use super::{SackBlock, SackBlocks, Timestamps};
use crate::field::Fields;
use crate::{ParseError, SeqNum};

/// Kind bytes of the options.
pub(super) mod kind {
    pub(in crate::tcp) const END: u8 = 0;
    pub(in crate::tcp) const NOP: u8 = 1;
    pub(in crate::tcp) const MSS: u8 = 2;
    pub(in crate::tcp) const WINDOW_SCALE: u8 = 3;
    pub(in crate::tcp) const SACK_PERMITTED: u8 = 4;
    pub(in crate::tcp) const SACK: u8 = 5;
    pub(in crate::tcp) const ECHO: u8 = 6;
    pub(in crate::tcp) const ECHO_REPLY: u8 = 7;
    pub(in crate::tcp) const TIMESTAMPS: u8 = 8;
}

/// One option of a TCP header (RFC 9293 3.1 and 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpOption<'a> {
    /// Kind 0: the list ends here, and padding follows.
    End,
    /// Kind 1: one byte of padding.
    Nop,
    /// Kind 2: the largest segment that the sender accepts, in bytes of payload (RFC 9293 3.7.1).
    Mss(u16),
    /// Kind 3: the shift count of the sender's window, unchecked; it may exceed 14 (RFC 7323 2.2).
    WindowScale(u8),
    /// Kind 4: the sender supports SACK (RFC 2018 2).
    SackPermitted,
    /// Kind 5: ranges received out of order (RFC 2018 3).
    Sack(SackBlocks),
    /// Kind 6: a request to echo four bytes (RFC 1072, obsolete).
    Echo(u32),
    /// Kind 7: the echo (RFC 1072, obsolete).
    EchoReply(u32),
    /// Kind 8: timestamps (RFC 7323 3.2).
    Timestamps(Timestamps),
    /// Any other kind, or one of the above with an invalid length, which is skipped as on Linux.
    Unknown {
        /// The kind byte.
        kind: u8,
        /// The bytes after kind and length.
        data: &'a [u8],
    },
}

impl TcpOption<'_> {
    /// Prints the option as tcpdump does. The numbers in SACK blocks are relative to `base`.
    pub(crate) fn print(&self, base: SeqNum, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("eol"),
            Self::Nop => f.write_str("nop"),
            Self::Mss(mss) => write!(f, "mss {mss}"),
            Self::WindowScale(shift) => write!(f, "wscale {shift}"),
            Self::SackPermitted => f.write_str("sackOK"),
            Self::Sack(blocks) => print_blocks(blocks, base, f),
            Self::Echo(value) => write!(f, "echo {value}"),
            Self::EchoReply(value) => write!(f, "echoreply {value}"),
            Self::Timestamps(Timestamps { value, echo }) => write!(f, "TS val {value} ecr {echo}"),
            Self::Unknown { kind, data } => print_unknown(*kind, data, f),
        }
    }
}

fn print_blocks(blocks: &SackBlocks, base: SeqNum, f: &mut Formatter<'_>) -> fmt::Result {
    write!(f, "sack {} ", blocks.len())?;
    for block in blocks.as_slice() {
        let (left, right) = (block.left - base.raw(), block.right - base.raw());
        write!(f, "{{{left}:{right}}}")?;
    }
    Ok(())
}

fn print_unknown(kind: u8, data: &[u8], f: &mut Formatter<'_>) -> fmt::Result {
    write!(f, "unknown-{kind}")?;
    if !data.is_empty() {
        f.write_str(" 0x")?;
    }
    data.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// The options of a header in order; safe for any bytes (RFC 9293 MUST-4, MUST-6, MUST-64,
/// MUST-68).
///
/// It ends with [`TcpOption::End`] or with the bytes. An option that is longer than the remaining
/// bytes, or shorter than its own kind and length, is reported once as an error and ends the
/// iteration too (RFC 9293 3.1, MUST-7).
#[derive(Clone, Debug)]
#[must_use = "an iterator does nothing until it is driven"]
pub struct OptionIter<'a> {
    rest: &'a [u8],
}

impl<'a> OptionIter<'a> {
    /// Reads `options`, the bytes between the fixed header and the data.
    pub const fn new(options: &'a [u8]) -> Self {
        Self { rest: options }
    }
}

impl<'a> Iterator for OptionIter<'a> {
    type Item = Result<TcpOption<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&kind, after) = self.rest.split_first()?;
        match kind {
            kind::END => {
                self.rest = &[];
                return Some(Ok(TcpOption::End));
            }
            kind::NOP => {
                self.rest = after;
                return Some(Ok(TcpOption::Nop));
            }
            _ => {}
        }
        let len = after.first().map_or(0, |len| usize::from(*len));
        let (Some(data), Some(rest)) = (self.rest.get(2..len), self.rest.get(len..)) else {
            self.rest = &[];
            return Some(Err(ParseError::OptionLength));
        };
        self.rest = rest;
        Some(Ok(decode(kind, data)))
    }
}

impl std::iter::FusedIterator for OptionIter<'_> {}

fn decode(kind: u8, data: &[u8]) -> TcpOption<'_> {
    match (kind, data) {
        (kind::MSS, [a, b]) => TcpOption::Mss(u16::from_be_bytes([*a, *b])),
        (kind::WINDOW_SCALE, [shift]) => TcpOption::WindowScale(*shift),
        (kind::SACK_PERMITTED, []) => TcpOption::SackPermitted,
        (kind::SACK, blocks) if !blocks.is_empty() && blocks.len().is_multiple_of(8) => {
            TcpOption::Sack(decode_blocks(blocks))
        }
        (kind::ECHO, [a, b, c, d]) => TcpOption::Echo(u32::from_be_bytes([*a, *b, *c, *d])),
        (kind::ECHO_REPLY, [a, b, c, d]) => {
            TcpOption::EchoReply(u32::from_be_bytes([*a, *b, *c, *d]))
        }
        (kind::TIMESTAMPS, data) => match <&[u8; 8]>::try_from(data) {
            Ok(data) => TcpOption::Timestamps(Timestamps {
                value: data.be32::<0>(),
                echo: data.be32::<4>(),
            }),
            Err(_) => TcpOption::Unknown { kind, data },
        },
        (kind, data) => TcpOption::Unknown { kind, data },
    }
}

/// The first four blocks, the maximum for 40 bytes of options.
fn decode_blocks(data: &[u8]) -> SackBlocks {
    let mut blocks = SackBlocks::default();
    for block in data.as_chunks::<8>().0.iter().take(SackBlocks::MAX) {
        let pushed = blocks.push(SackBlock {
            left: SeqNum::new(block.be32::<0>()),
            right: SeqNum::new(block.be32::<4>()),
        });
        debug_assert!(pushed);
    }
    blocks
}

//! Options: one by one as they appear in a header, as one struct that is parsed from a header or
//! emitted with one, and as text. Both directions of each option are in this file.

use std::fmt::{self, Formatter};

use super::{SackBlock, SackBlocks};
use crate::field::{Fields, room};
use crate::{ParseError, SeqNum};

/// Kind bytes of the options.
mod kind {
    pub(super) const END: u8 = 0;
    pub(super) const NOP: u8 = 1;
    pub(super) const MSS: u8 = 2;
    pub(super) const WINDOW_SCALE: u8 = 3;
    pub(super) const SACK_PERMITTED: u8 = 4;
    pub(super) const SACK: u8 = 5;
    pub(super) const ECHO: u8 = 6;
    pub(super) const ECHO_REPLY: u8 = 7;
    pub(super) const TIMESTAMPS: u8 = 8;
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

    /// The option in the shorter notation of classic traces, such as `mss 1460`, `TS` without its
    /// values, or `sack 1:1461`. The numbers in SACK blocks are relative to `base`.
    pub fn brief(&self, base: SeqNum) -> impl fmt::Display {
        fmt::from_fn(move |f| match self {
            Self::Timestamps(_) => f.write_str("TS"),
            Self::Sack(blocks) => {
                f.write_str("sack")?;
                blocks.as_slice().iter().try_for_each(|block| {
                    let [left, right] = [block.left, block.right].map(|n| n.distance_from(base));
                    write!(f, " {left}:{right}")
                })
            }
            Self::Unknown { kind, .. } => write!(f, "unknown-{kind}"),
            other => other.print(base, f),
        })
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

/// The timestamps option (RFC 7323 3.2), in ticks of the sender's and the receiver's own clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Timestamps {
    /// TSval: the sender's clock.
    pub value: u32,
    /// TSecr: the echoed clock of the other side; valid only with ACK.
    pub echo: u32,
}

impl Timestamps {
    /// Bytes that the option occupies in a header, with its customary padding (RFC 7323 appendix
    /// A).
    pub const ROOM: usize = 12;
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

/// The options of a segment; each at most once. Of repeated options the last counts, as on Linux.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The sender's maximum segment size in bytes (RFC 9293 3.7.1); may be zero.
    pub mss: Option<u16>,
    /// The shift count of the sender's window as in the option (RFC 7323 2.2); may exceed 14.
    pub window_scale: Option<u8>,
    /// Whether the sender supports SACK (RFC 2018 2).
    pub sack_permitted: bool,
    /// The timestamps (RFC 7323 3.2).
    pub timestamps: Option<Timestamps>,
    /// The ranges that the sender of the segment holds out of order (RFC 2018 3).
    pub sack: SackBlocks,
    /// Whether an option had an impossible length, so that the options after it were not read. Not
    /// emitted.
    pub malformed: bool,
}

impl Options {
    /// Reads the bytes between the fixed header and the data. It never fails: an invalid option
    /// counts as absent, and [`malformed`](Self::malformed) reports it.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let mut options = Self::default();
        for option in OptionIter::new(bytes) {
            match option {
                Ok(TcpOption::Mss(mss)) => options.mss = Some(mss),
                Ok(TcpOption::WindowScale(shift)) => options.window_scale = Some(shift),
                Ok(TcpOption::SackPermitted) => options.sack_permitted = true,
                Ok(TcpOption::Sack(blocks)) => options.sack = blocks,
                Ok(TcpOption::Timestamps(timestamps)) => options.timestamps = Some(timestamps),
                Ok(
                    TcpOption::End
                    | TcpOption::Nop
                    | TcpOption::Echo(_)
                    | TcpOption::EchoReply(_)
                    | TcpOption::Unknown { .. },
                ) => {}
                Err(_) => options.malformed = true,
            }
        }
        options
    }

    /// Length of the options in a header in bytes: a multiple of 4, at most 40.
    #[must_use]
    #[expect(clippy::arithmetic_side_effects, reason = "40 bytes at the most")]
    pub fn len(&self) -> usize {
        self.len_without_sack() + SackBlocks::room(self.sack_room())
    }

    /// Whether there is nothing to emit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the options in Linux's order, each preceded by NOPs as padding: mss, sackOK, TS,
    /// wscale, SACK. SACK blocks that do not fit are omitted (RFC 9293 MUST-69).
    pub(super) fn emit(&self, buf: &mut [u8]) {
        let mut out = Writer { rest: buf };
        if let Some(mss) = self.mss {
            out.put([kind::MSS, 4]);
            out.put(mss.to_be_bytes());
        }
        match (self.timestamps, self.sack_permitted) {
            (Some(_), true) => out.put([kind::SACK_PERMITTED, 2]),
            (Some(_), false) => out.put([kind::NOP, kind::NOP]),
            (None, true) => out.put([kind::NOP, kind::NOP, kind::SACK_PERMITTED, 2]),
            (None, false) => {}
        }
        if let Some(Timestamps { value, echo }) = self.timestamps {
            out.put([kind::TIMESTAMPS, 10]);
            out.put(value.to_be_bytes());
            out.put(echo.to_be_bytes());
        }
        if let Some(shift) = self.window_scale {
            out.put([kind::NOP, kind::WINDOW_SCALE, 3, shift]);
        }
        let blocks = self.sack_room();
        if blocks > 0 {
            let len = SackBlocks::room(blocks).saturating_sub(2) as u8;
            out.put([kind::NOP, kind::NOP, kind::SACK, len]);
            for block in self.sack.as_slice().iter().take(blocks) {
                out.put(block.left.raw().to_be_bytes());
                out.put(block.right.raw().to_be_bytes());
            }
        }
    }

    #[expect(clippy::arithmetic_side_effects, reason = "40 bytes at the most")]
    fn len_without_sack(&self) -> usize {
        let mss = if self.mss.is_some() { 4 } else { 0 };
        let sack_and_timestamps = match (self.timestamps, self.sack_permitted) {
            (Some(_), _) => Timestamps::ROOM,
            (None, true) => 4,
            (None, false) => 0,
        };
        let scale = if self.window_scale.is_some() { 4 } else { 0 };
        mss + sack_and_timestamps + scale
    }

    /// Number of SACK blocks that fit after the other options.
    fn sack_room(&self) -> usize {
        self.sack
            .len()
            .min(SackBlocks::most_beside(self.len_without_sack()))
    }
}

/// Writes consecutive pieces.
struct Writer<'a> {
    rest: &'a mut [u8],
}

impl Writer<'_> {
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        let (next, rest) = room(std::mem::take(&mut self.rest));
        *next = bytes;
        self.rest = rest;
    }
}

//! The options as one struct: parsed from a header, or to be emitted with one.

use super::option::kind;
use super::{MAX_OPTIONS_LEN, OptionIter, TcpOption};
use crate::SeqNum;
use crate::field::room;

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

/// The timestamps option (RFC 7323 3.2), in ticks of the sender's and the receiver's own clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Timestamps {
    /// TSval: the sender's clock.
    pub value: u32,
    /// TSecr: the echoed clock of the other side; valid only with ACK.
    pub echo: u32,
}

/// A range of sequence space received out of order (RFC 2018 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SackBlock {
    /// The first number of the range.
    pub left: SeqNum,
    /// The number after the last of the range.
    pub right: SeqNum,
}

/// Up to four blocks, the maximum that a header can hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct SackBlocks {
    blocks: [SackBlock; Self::MAX],
    len: u8,
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

impl Timestamps {
    /// Bytes that the option occupies in a header, with its customary padding (RFC 7323 appendix
    /// A).
    pub const ROOM: usize = 12;
}

impl SackBlocks {
    /// Maximum number of blocks in an option: 2 + 4 x 8 of 40 bytes.
    pub const MAX: usize = 4;

    /// Bytes that an option of so many blocks occupies in a header, with its customary padding;
    /// none without a block.
    #[must_use]
    pub const fn room(blocks: usize) -> usize {
        if blocks == 0 {
            return 0;
        }
        blocks.saturating_mul(8).saturating_add(4)
    }

    /// Number of blocks that fit into a header beside other options of `len` bytes.
    #[must_use]
    pub const fn most_beside(len: usize) -> usize {
        MAX_OPTIONS_LEN.saturating_sub(len).saturating_sub(4) / 8
    }

    /// Appends `block`; returns false and changes nothing if there are four already.
    #[must_use]
    pub fn push(&mut self, block: SackBlock) -> bool {
        let Some(slot) = self.blocks.get_mut(usize::from(self.len)) else {
            return false;
        };
        *slot = block;
        self.len = self.len.saturating_add(1);
        true
    }

    /// The blocks in the order in which they were added, or appear in the header.
    #[must_use]
    pub fn as_slice(&self) -> &[SackBlock] {
        self.blocks.get(..self.len()).unwrap_or(&self.blocks)
    }

    /// Number of blocks, 0 to 4.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether there is no block.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl PartialEq for SackBlocks {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for SackBlocks {}

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

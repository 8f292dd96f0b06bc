//! The blocks of the SACK option (RFC 2018 3).

use super::MAX_OPTIONS_LEN;
use crate::SeqNum;

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

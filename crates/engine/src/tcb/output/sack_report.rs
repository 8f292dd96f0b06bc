//! The selective acknowledgments we send (RFC 2018), and the report of duplicates (RFC 2883).

use arrayvec::ArrayVec;
use millstream_wire::tcp::{SackBlock, SackBlocks};

use super::super::space::ReceiveSpace;
use crate::buf::assembler::Assembler;

/// Blocks that fit beside timestamps, and alone.
const WITH_TIMESTAMPS: usize = 3;
const ALONE: usize = 4;

/// Which of the ranges held out of order to report, newest first.
#[derive(Debug, Default)]
pub(crate) struct SackReport {
    /// A position in each range, that of the latest arrival first.
    recent: ArrayVec<u64, ALONE>,
    /// What arrived twice, to be reported once.
    duplicate: Option<(u64, u64)>,
}

impl SackReport {
    /// Something was queued at `position`.
    pub(crate) fn note_arrival(&mut self, position: u64) {
        self.recent.retain(|&mut p| p != position);
        if self.recent.is_full() {
            self.recent.pop();
        }
        self.recent.insert(0, position);
    }

    /// `start..end` had been received before.
    pub(crate) fn note_duplicate(&mut self, start: u64, end: u64) {
        if start < end {
            self.duplicate = Some((start, end));
        }
    }

    /// The report went out.
    pub(crate) fn on_sent(&mut self) {
        self.duplicate = None;
    }

    /// How many blocks the next segment will carry.
    pub(crate) fn len(&self, assembler: &Assembler, timestamps: bool) -> usize {
        if assembler.is_empty() && self.duplicate.is_none() {
            return 0;
        }
        self.ranges(assembler, timestamps).len()
    }

    /// The blocks to send: the duplicate first, then the newest range, then the ones before it.
    pub(crate) fn blocks(
        &mut self,
        assembler: &Assembler,
        rcv: &ReceiveSpace,
        timestamps: bool,
    ) -> SackBlocks {
        let mut blocks = SackBlocks::default();
        if assembler.is_empty() {
            self.recent.clear();
            if self.duplicate.is_none() {
                return blocks;
            }
        }
        // A position whose range has been filled is not held any more.
        self.recent
            .retain(|&mut p| assembler.range_containing(p).is_some());
        for (start, end) in self.ranges(assembler, timestamps) {
            let _ = blocks.push(SackBlock {
                left: rcv.seq_num(start),
                right: rcv.seq_num(end),
            });
        }
        blocks
    }

    fn ranges(&self, assembler: &Assembler, timestamps: bool) -> ArrayVec<(u64, u64), ALONE> {
        let most = if timestamps { WITH_TIMESTAMPS } else { ALONE };
        let mut ranges = ArrayVec::<(u64, u64), ALONE>::new();
        ranges.extend(self.duplicate);
        let reported_twice = usize::from(self.duplicate.is_some());
        for &position in &self.recent {
            if ranges.len() >= most {
                break;
            }
            if let Some(range) = assembler.range_containing(position)
                && !ranges[reported_twice..].contains(&range)
            {
                ranges.push(range);
            }
        }
        ranges
    }
}

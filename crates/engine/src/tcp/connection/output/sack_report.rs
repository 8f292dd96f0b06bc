//! The selective acknowledgments to send (RFC 2018), and the report of duplicates (RFC 2883).

use arrayvec::ArrayVec;
use millstream_wire::tcp::{SackBlock, SackBlocks};

use super::super::receiver::Receiver;
use super::super::space::ReceiveSpace;
use super::super::{Negotiated, Tcb};
use crate::tcp::buffer::assembler::Assembler;

/// The positions of blocks, from and to.
type Ranges = ArrayVec<(u64, u64), { SackBlocks::MAX }>;

/// Data that arrived twice, to be reported once; the assembler knows the data held out of order.
#[derive(Debug, Default)]
pub(crate) struct SackReport {
    /// Positions from and to; equal if there is nothing to report.
    duplicate: (u64, u64),
}

impl SackReport {
    fn note_duplicate(&mut self, start: u64, end: u64) {
        if start < end {
            self.duplicate = (start, end);
        }
    }

    /// The report was sent.
    pub(crate) fn on_sent(&mut self) {
        self.duplicate = (0, 0);
    }

    /// Number of blocks that the next segment will carry, at most `most`.
    pub(crate) fn len(&self, assembler: &Assembler, most: usize) -> usize {
        if self.is_empty(assembler) {
            return 0;
        }
        self.ranges(assembler, most).len()
    }

    /// Whether there is nothing to report, which is the usual case.
    fn is_empty(&self, assembler: &Assembler) -> bool {
        self.duplicate.0 >= self.duplicate.1 && assembler.is_empty()
    }

    /// The blocks to send, at most `most`: first the duplicate, then the newest range, then earlier
    /// ones.
    pub(crate) fn blocks(
        &self,
        assembler: &Assembler,
        rcv: &ReceiveSpace,
        most: usize,
    ) -> SackBlocks {
        let mut blocks = SackBlocks::default();
        if self.is_empty(assembler) {
            return blocks;
        }
        for (start, end) in self.ranges(assembler, most) {
            let _ = blocks.push(SackBlock {
                left: rcv.seq_num(start),
                right: rcv.seq_num(end),
            });
        }
        blocks
    }

    fn ranges(&self, assembler: &Assembler, most: usize) -> Ranges {
        let mut ranges = Ranges::new();
        let (from, to) = self.duplicate;
        let reported_twice = usize::from(from < to);
        if from < to {
            ranges.push(self.duplicate);
        }
        for range in assembler.latest() {
            if ranges.len() >= most {
                break;
            }
            let told = ranges.get(reported_twice..).unwrap_or_default();
            if !told.contains(&range) {
                ranges.push(range);
            }
        }
        ranges
    }
}

impl Receiver {
    /// The blocks of the next segment; none without the agreement.
    pub(crate) fn sack_blocks(&self, agreed: &Negotiated) -> SackBlocks {
        if !agreed.sack {
            return SackBlocks::default();
        }
        let most = SackBlocks::most_beside(agreed.options_len());
        self.sack_report.blocks(&self.assembler, &self.rcv, most)
    }

    /// Bytes that these blocks occupy in the header.
    pub(crate) fn sack_room(&self, agreed: &Negotiated) -> usize {
        let most = SackBlocks::most_beside(agreed.options_len());
        SackBlocks::room(self.sack_report.len(&self.assembler, most))
    }
}

impl Tcb {
    /// `start..end` had been received before: the next acknowledgment reports it, unless the
    /// application has disabled these reports.
    pub(in crate::tcp::connection) fn note_duplicate(&mut self, start: u64, end: u64) {
        if self.options.dsack {
            self.receiver.sack_report.note_duplicate(start, end);
        }
    }
}

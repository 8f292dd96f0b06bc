//! What an acknowledgment tells to have arrived.

use super::flight::Piece;
use crate::recovery::rack::Transmission;
use crate::time::Instant;

/// What an acknowledgment took off the scoreboard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// Sequence space newly known to have arrived.
    pub(crate) bytes: u64,
    /// When the oldest of it was sent, among what was never retransmitted (Karn).
    pub(crate) sent_at: Option<Instant>,
    /// Some of it had been sent more than once.
    pub(crate) retransmitted: bool,
    /// Some of it had been sent once only, before this position.
    pub(crate) original_before: Option<u64>,
    /// The newest transmission among what was sent once, and among what was sent again.
    pub(crate) newest: Option<Transmission>,
    pub(crate) newest_again: Option<Transmission>,
    /// The end of the highest of it.
    pub(crate) high: u64,
    /// Something sent once arrived after something higher.
    pub(crate) reordered: bool,
}

impl Delivered {
    /// Adds a segment; `highest` is the end of the highest that arrived with earlier acknowledgments.
    pub(super) fn add(&mut self, piece: &Piece, highest: u64) {
        self.bytes += piece.len();
        self.high = self.high.max(piece.end);
        let transmission = Some(Transmission {
            at: piece.sent_at,
            serial: piece.serial,
            end: piece.end,
        });
        if piece.retransmitted {
            self.retransmitted = true;
            self.newest_again = self.newest_again.max(transmission);
        } else {
            self.sent_at = earliest(self.sent_at, Some(piece.sent_at));
            self.newest = self.newest.max(transmission);
            self.original_before = earliest(self.original_before, Some(piece.end));
            self.reordered |= piece.end < highest;
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.sent_at = earliest(self.sent_at, other.sent_at);
        self.retransmitted |= other.retransmitted;
        self.original_before = earliest(self.original_before, other.original_before);
        self.newest = self.newest.max(other.newest);
        self.newest_again = self.newest_again.max(other.newest_again);
        self.high = self.high.max(other.high);
        self.reordered |= other.reordered;
    }
}

fn earliest<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    a.into_iter().chain(b).min()
}

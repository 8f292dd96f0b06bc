//! What an acknowledgment tells to have arrived.

use super::flight::Piece;
use crate::tcp::recovery::rack::Transmission;
use crate::time::Instant;

/// What an acknowledgment took off the scoreboard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// Sequence space newly known to have arrived.
    pub(crate) bytes: u64,
    /// In segments.
    pub(crate) segments: u32,
    /// When the oldest of it was sent, among what was never retransmitted (Karn).
    pub(crate) sent_at: Option<Instant>,
    /// Some of it had been sent more than once.
    pub(crate) retransmitted: bool,
    /// Some of it had been sent once only, before this position.
    pub(crate) original_before: Option<u64>,
    /// The newest transmission among what was sent once, and among what was sent again.
    pub(crate) newest: Option<Transmission>,
    pub(crate) newest_again: Option<Transmission>,
    /// When the last of it was sent, in the order of the stream: of what is acknowledged, or else
    /// of what a SACK block names; and whether that had been sent before.
    pub(crate) last: Option<(Instant, bool)>,
    /// The end of the highest of it.
    pub(crate) high: u64,
    /// Bytes by which something sent once was overtaken by what is higher and arrived before it, at the most.
    pub(crate) overtaken: u64,
}

impl Delivered {
    /// Adds what was sent in one piece, in segments of `mss` bytes at the most; `highest` is the end of the highest that
    /// arrived with earlier acknowledgments.
    pub(crate) fn add(&mut self, piece: &Piece, highest: u64, mss: u32) {
        self.bytes += piece.len();
        self.segments += segments(piece.len(), mss);
        self.high = self.high.max(piece.end);
        self.last = Some((piece.sent_at, piece.retransmitted));
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
            if piece.end < highest {
                self.overtaken = self.overtaken.max(highest - piece.start);
            }
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.segments += other.segments;
        self.sent_at = earliest(self.sent_at, other.sent_at);
        self.retransmitted |= other.retransmitted;
        self.original_before = earliest(self.original_before, other.original_before);
        self.newest = self.newest.max(other.newest);
        self.newest_again = self.newest_again.max(other.newest_again);
        self.last = self.last.or(other.last);
        self.high = self.high.max(other.high);
        self.overtaken = self.overtaken.max(other.overtaken);
    }
}

/// Segments of `mss` bytes that make up `bytes`.
pub(crate) fn segments(bytes: u64, mss: u32) -> u32 {
    if bytes <= u64::from(mss) {
        return 1;
    }
    bytes
        .div_ceil(u64::from(mss.max(1)))
        .min(u64::from(u32::MAX)) as u32
}

fn earliest<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    a.into_iter().chain(b).min()
}

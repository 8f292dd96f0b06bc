//! The data that an acknowledgment shows to have arrived.

use super::flight::Piece;
use crate::tcp::recovery::rack::Transmission;
use crate::time::Instant;

/// The data that one acknowledgment newly delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// Bytes of sequence space newly known to have arrived.
    pub(crate) bytes: u64,
    /// The same in segments.
    pub(crate) segments: u32,
    /// When the oldest of the data that was never retransmitted was sent (Karn's algorithm).
    pub(crate) sent_at: Option<Instant>,
    /// Whether some of the data had been sent more than once.
    pub(crate) retransmitted: bool,
    /// If set, some of the data before this position had been sent only once.
    pub(crate) original_before: Option<u64>,
    /// The newest transmission of data that was sent once; `newest_again` is that of data that was
    /// retransmitted.
    pub(crate) newest: Option<Transmission>,
    pub(crate) newest_again: Option<Transmission>,
    /// When the last data in the order of the stream was sent, and whether it was a retransmission.
    /// Acknowledged data takes precedence over data that a SACK block names.
    pub(crate) last: Option<(Instant, bool)>,
    /// The end of the highest data.
    pub(crate) high: u64,
    /// The maximum number of bytes by which data sent once was overtaken by higher data that
    /// arrived before it.
    pub(crate) overtaken: u64,
}

impl Delivered {
    /// Adds a piece, sent in segments of at most `mss` bytes; `highest` is the end of the highest
    /// data that arrived with earlier acknowledgments.
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

/// The number of segments of `mss` bytes that make up `bytes`.
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

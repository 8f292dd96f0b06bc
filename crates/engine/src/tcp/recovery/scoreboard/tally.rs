//! The number of bytes of the flight in each state, updated with every change, so that the pieces
//! need not be counted.

use super::departures::Departures;
use super::flight::{Fate, Piece};
use crate::tcp::buffer::range_set::RangeSet;

/// A part of a transmission that was judged lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    /// The number of the transmission.
    pub(crate) serial: u64,
    pub(crate) bytes: u32,
}

#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) departures: Departures,
    /// Bytes assumed to be in the network.
    pub(crate) in_flight: u64,
    /// Those of them that were judged lost and have been sent again.
    pub(crate) in_flight_again: u64,
    /// The ranges judged lost and not yet sent again.
    pub(crate) lost: RangeSet,
    /// Bytes judged lost during the connection's lifetime.
    pub(crate) lost_ever: u64,
    /// The losses that have not been taken yet; `None` if losses are not recorded.
    pub(crate) losses: Option<Vec<Loss>>,
}

impl Tally {
    pub(crate) const fn new() -> Self {
        Self {
            departures: Departures::new(),
            in_flight: 0,
            in_flight_again: 0,
            lost: RangeSet::new(),
            lost_ever: 0,
            losses: None,
        }
    }

    /// Records that the piece is in the network, by its last transmission.
    pub(crate) fn enter_flight(&mut self, piece: &mut Piece) {
        piece.fate = Fate::InFlight;
        self.in_flight += piece.len();
        if piece.repaired {
            self.in_flight_again += piece.len();
        }
        self.departures
            .enter_flight(piece.serial, piece.start, piece.len());
    }

    /// Records that the piece is no longer in flight or lost: it has arrived, or is sent again.
    pub(crate) fn settle(&mut self, piece: &Piece) {
        match piece.fate {
            Fate::InFlight => self.leave_flight(piece),
            Fate::Lost => self.lost.remove(piece.start, piece.end),
            Fate::Sacked => {}
        }
    }

    /// Judges the piece, which is in flight, lost.
    pub(crate) fn lose(&mut self, piece: &mut Piece) {
        self.leave_flight(piece);
        self.mark_lost(piece);
        self.lost_ever += piece.len();
        if let Some(losses) = &mut self.losses {
            losses.push(Loss {
                serial: piece.serial,
                bytes: piece.len().min(u64::from(u32::MAX)) as u32,
            });
        }
    }

    /// Records that the piece waits to be sent again.
    pub(crate) fn mark_lost(&mut self, piece: &mut Piece) {
        piece.fate = Fate::Lost;
        self.lost.insert(piece.start, piece.end, &mut |_, _| {});
    }

    fn leave_flight(&mut self, piece: &Piece) {
        self.in_flight -= piece.len();
        if piece.repaired {
            self.in_flight_again -= piece.len();
        }
        self.departures.leave_flight(piece.serial, piece.len());
    }
}

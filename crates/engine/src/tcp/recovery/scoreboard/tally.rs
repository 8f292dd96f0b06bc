//! How much of the flight is where: kept with every change, so that nobody has to count.

use super::departures::Departures;
use super::flight::{Fate, Piece};
use crate::tcp::buffer::range_set::RangeSet;

/// Part of a transmission, judged lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    /// The transmission's number.
    pub(crate) serial: u64,
    pub(crate) bytes: u32,
}

#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) departures: Departures,
    /// Bytes taken to be in the network.
    pub(crate) in_flight: u64,
    /// How many of them were taken for lost and sent again.
    pub(crate) in_flight_again: u64,
    /// What is taken for lost and has not been sent again.
    pub(crate) lost: RangeSet,
    /// Bytes ever judged lost.
    pub(crate) lost_ever: u64,
    /// The losses that have not been given out, where somebody asks for them.
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

    /// The piece is in the network, by its last transmission.
    pub(crate) fn enter_flight(&mut self, piece: &mut Piece) {
        piece.fate = Fate::InFlight;
        self.in_flight += piece.len();
        if piece.repaired {
            self.in_flight_again += piece.len();
        }
        self.departures
            .enter_flight(piece.serial, piece.start, piece.len());
    }

    /// The piece is no longer in flight, or taken for lost: it has arrived, or goes out again.
    pub(crate) fn settle(&mut self, piece: &Piece) {
        match piece.fate {
            Fate::InFlight => self.leave_flight(piece),
            Fate::Lost => self.lost.remove(piece.start, piece.end),
            Fate::Sacked => {}
        }
    }

    /// The piece, which is in flight, is lost.
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

    /// The piece waits to be sent again.
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

//! The choice of the connection that sends next: deficit round robin (Shreedhar and Varghese, 1995)
//! with a separate list for newly active connections, as in FQ-CoDel (RFC 8290 4.2).
//!
//! A connection with data to send may send one quantum of bytes; then it is the turn of the next
//! connection. The amount by which the last packet exceeded the quantum is deducted from the next
//! quantum. A connection that had nothing to send before precedes those that have already used up a
//! quantum: a small answer waits only for the packet in transmission and for other small answers.
//! It may do so any number of times, but with one quantum per round: it therefore keeps its place
//! in the round while it has nothing to send.

use std::collections::VecDeque;

use super::Stack;

/// Bytes that all connections together may send in a round, provided that each gets the least
/// quantum.
const ROUND: usize = 256 * 1024;

/// The least quantum, in bytes: the size of the largest packet, so that every turn sends something
/// and a device that segments packets receives large ones.
const LEAST_QUANTUM: usize = 64 * 1024;

/// The list in which a connection waits for its turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Waits {
    /// None: it has nothing to send.
    #[default]
    Not,
    /// The list of newly active connections.
    Anew,
    /// The round, at its place.
    Again,
}

/// A connection's place among the connections that have data to send.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Turn {
    waits: Waits,
    /// Whether it has a place in the round.
    placed: bool,
    /// Bytes that it may send before its turn ends; negative if its last packet was larger.
    deficit: i32,
}

/// The connections that may have data to send, by index.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    anew: VecDeque<u32>,
    round: VecDeque<u32>,
}

impl Turns {
    pub(crate) fn is_empty(&self) -> bool {
        self.anew.is_empty() && self.round.is_empty()
    }

    fn count(&self) -> usize {
        self.anew.len() + self.round.len()
    }

    fn quantum(&self) -> i32 {
        (ROUND / self.count().max(1)).max(LEAST_QUANTUM) as i32
    }
}

impl Stack {
    /// Notes that the connection may have data to send.
    pub(crate) fn want_turn(&mut self, index: u32) {
        let quantum = self.turns.quantum();
        let Some(turn) = self.turn(index).filter(|turn| turn.waits == Waits::Not) else {
            return;
        };
        if turn.placed && turn.deficit <= 0 {
            turn.waits = Waits::Again;
            turn.deficit += quantum;
            return;
        }
        turn.waits = Waits::Anew;
        if !turn.placed {
            turn.deficit = quantum;
        }
        self.turns.anew.push_back(index);
    }

    /// The connection whose turn it is. A list may still contain the place of a connection that is
    /// gone.
    pub(crate) fn next_turn(&mut self) -> Option<u32> {
        let quantum = self.turns.quantum();
        while let Some(&index) = self.turns.anew.front() {
            match self.turn(index) {
                Some(turn) if turn.waits == Waits::Anew && turn.deficit > 0 => {
                    turn.deficit = turn.deficit.min(quantum);
                    return Some(index);
                }
                Some(turn) if turn.waits == Waits::Anew => {
                    turn.waits = Waits::Again;
                    turn.deficit += quantum;
                    if !std::mem::replace(&mut turn.placed, true) {
                        self.turns.round.push_back(index);
                    }
                }
                _ => {}
            }
            self.turns.anew.pop_front();
        }
        while let Some(&index) = self.turns.round.front() {
            match self.turn(index) {
                Some(turn) if turn.placed && turn.waits == Waits::Again => {
                    if turn.deficit > 0 {
                        turn.deficit = turn.deficit.min(quantum);
                        return Some(index);
                    }
                    turn.deficit += quantum;
                    self.turns.round.rotate_left(1);
                }
                other => {
                    if let Some(turn) = other {
                        turn.placed = false;
                    }
                    self.turns.round.pop_front();
                }
            }
        }
        None
    }

    /// Whether the connection, which asks out of turn, may send: part of its quantum is left, or no
    /// other connection waits.
    pub(crate) fn may_send_now(&mut self, index: u32) -> bool {
        let is_alone = self.turns.count() <= 1;
        let quantum = self.turns.quantum();
        let Some(turn) = self.turn(index).filter(|turn| turn.waits != Waits::Not) else {
            return false;
        };
        if is_alone && turn.deficit <= 0 {
            turn.deficit = quantum;
        }
        // The quantum may have been larger when fewer connections waited.
        turn.deficit = turn.deficit.min(quantum);
        turn.deficit > 0
    }

    /// Charges the connection for a packet of `length` bytes.
    pub(crate) fn charge_turn(&mut self, index: u32, length: usize) {
        if let Some(turn) = self.turn(index) {
            turn.deficit -= length as i32;
        }
    }

    /// Notes that the connection has nothing more to send. If a round is in progress, the
    /// connection gets a place in it, so that until that place is reached it may send only the rest
    /// of its quantum. A connection that is not at the head of a list is unaffected: it is asked
    /// again.
    pub(crate) fn end_turn(&mut self, index: u32) {
        let is_anew = self.turns.anew.front() == Some(&index);
        let is_at_head =
            is_anew || self.turns.anew.is_empty() && self.turns.round.front() == Some(&index);
        if !is_at_head {
            return;
        }
        let takes_place = is_anew && !self.turns.round.is_empty();
        let Some(turn) = self.turn(index) else {
            return;
        };
        turn.waits = Waits::Not;
        let had_place = turn.placed;
        turn.placed = is_anew && (had_place || takes_place);
        if is_anew {
            self.turns.anew.pop_front();
        } else {
            self.turns.round.pop_front();
        }
        if takes_place && !had_place {
            self.turns.round.push_back(index);
        }
    }

    fn turn(&mut self, index: u32) -> Option<&mut Turn> {
        match self.demux.connections.at_mut(index) {
            Some(connection) => Some(&mut connection.turn),
            None => self.udp.turn(index),
        }
    }
}

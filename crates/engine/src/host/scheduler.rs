//! Which connection sends next: deficit round robin (Shreedhar and Varghese, 1995) with a list apart for connections that
//! come anew, as in FQ-CoDel (RFC 8290 4.2).
//!
//! A connection with something to send may send so many bytes, its quantum, then the next one has its turn. What the last
//! packet exceeded the quantum by is taken off the next. A connection that had nothing to send before goes ahead of those
//! that have used up a quantum already: a small answer waits for no more than the packet under way and others like it. It
//! does so as often as it likes, but with one quantum a round: so its place in the round stays when it has nothing to send.

use std::collections::VecDeque;

use super::Stack;

/// Bytes that all connections together may send in a round, as long as each has its least.
const ROUND: usize = 256 * 1024;

/// The least quantum: the largest packet, so that every turn sends something and a device that cuts segments is
/// given large ones.
const LEAST_QUANTUM: usize = 64 * 1024;

/// Where a connection waits for its turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Waits {
    /// Nowhere: it has nothing to send.
    #[default]
    Not,
    /// Among those that come anew.
    Anew,
    /// For its place in the round.
    Again,
}

/// A connection's place among those that have something to send.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Turn {
    waits: Waits,
    /// It has a place in the round.
    placed: bool,
    /// Bytes that it may send before it is another's turn; negative if its last packet was larger.
    deficit: i32,
}

/// The connections that may have something to send, by index.
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
    /// The connection may have something to send.
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

    /// Whose turn it is. Of a connection that is gone, a place in a list may be left.
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

    /// Whether the connection, which asks out of turn, may send: it has something left of its quantum, or nobody else waits.
    pub(crate) fn may_send_now(&mut self, index: u32) -> bool {
        let is_alone = self.turns.count() <= 1;
        let quantum = self.turns.quantum();
        let Some(turn) = self.turn(index).filter(|turn| turn.waits != Waits::Not) else {
            return false;
        };
        if is_alone && turn.deficit <= 0 {
            turn.deficit = quantum;
        }
        // It may have had more when fewer waited.
        turn.deficit = turn.deficit.min(quantum);
        turn.deficit > 0
    }

    /// The connection has sent a packet of so many bytes.
    pub(crate) fn charge_turn(&mut self, index: u32, length: usize) {
        if let Some(turn) = self.turn(index) {
            turn.deficit -= length as i32;
        }
    }

    /// The connection has nothing more to send. If others are in the middle of a round, it has a place in that from now on,
    /// so that what is left of its quantum is all that it may send before that comes. Of a connection that is not at the head
    /// of a list nothing changes: it is asked again.
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
        self.demux.connections.at_mut(index).map(|c| &mut c.turn)
    }
}

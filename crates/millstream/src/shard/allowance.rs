//! Limits the bytes that a connection may send between two turns of the driver, and predicts
//! whether more data will follow.
//!
//! Writers send from their own tasks. Meanwhile the acknowledgments of the sent data wait in the
//! device. Without a limit one writer would fill its whole send buffer first: all other flows would
//! wait for it, and its data would not stay in the processor's cache. A writer that has used up its
//! allowance waits until the driver has read from the device once, however long the path is.
//!
//! The end of the data that such a writer has written seldom fills a segment, and a small segment
//! costs the device as much as a large one. A writer of large amounts is therefore regarded as in
//! the middle of writing until a turn begins in which it neither waits nor has written. Until then
//! the end of its data waits for more.

use crate::io::written::MAX_WRITE;

/// Bytes that one connection may write in one turn, if it is the only one, before its writer waits
/// for the next turn: one largest write. Several bulk writers share them, but each may write at
/// least [`BULK_WRITE`].
const ALLOWANCE: u32 = MAX_WRITE as u32;

/// Bytes written in one turn that make a writer a bulk writer.
const BULK_WRITE: i32 = 64 << 10;

/// A smaller remainder of a share counts as used up: it would leave as a packet that is not full.
const LEAST: i32 = 8 << 10;

/// Turns that a writer may catch up with. On a multi-threaded runtime the driver may begin its next
/// turn before a writer that it has woken runs. The turns would then belong to the writer on the
/// driver's own thread.
const CATCH_UP: u32 = 8;

/// Turns for which a share stays small after the number of bulk writers has fallen: a late writer
/// usually returns soon.
const SETTLES: u8 = 16;

/// The part of its allowance that one connection has used.
#[derive(Debug, Default)]
pub(crate) struct Used {
    /// The turn of the last write.
    turn: u32,
    /// Bytes written in that turn; negative if the writer may catch up.
    bytes: i32,
    /// Whether the writer waits for the next turn.
    waits: bool,
    /// Whether the writer waited for a turn that has begun, and has not written since.
    resumes: bool,
    /// Whether the writer is in the middle of writing.
    writing: bool,
}

/// The current turn, the connections that wait for the next one, and the connections in the middle
/// of writing. `Id` identifies a connection.
#[derive(Debug)]
pub(crate) struct Allowances<Id> {
    turn: u32,
    waiting: Vec<Id>,
    writing: Vec<Id>,
    /// The number of writers that share a turn.
    writers: usize,
    /// Turns for which there have been fewer writers.
    fewer: u8,
}

impl Used {
    /// Records that the turn for which the writer waited has begun.
    pub(crate) fn on_turn(&mut self) {
        self.waits = false;
        self.resumes = true;
    }

    /// Whether the writer has stopped in the middle of writing for a reason other than waiting for
    /// the next turn.
    pub(crate) fn has_stopped(&mut self) -> bool {
        self.writing &= self.waits;
        !self.writing
    }
}

impl<Id> Default for Allowances<Id> {
    fn default() -> Self {
        Self {
            turn: 0,
            waiting: Vec::new(),
            writing: Vec::new(),
            writers: 0,
            fewer: 0,
        }
    }
}

impl<Id: Copy> Allowances<Id> {
    /// Bytes that a connection may still write in this turn.
    pub(crate) fn left(&self, used: &Used) -> usize {
        let bytes = if used.turn == self.turn {
            used.bytes
        } else {
            -self.behind(used)
        };
        match self.share() - bytes {
            ..LEAST => 0,
            left => left as usize,
        }
    }

    /// Bytes that each of several bulk writers may write in a turn.
    fn share(&self) -> i32 {
        let writers = self.writers.max(self.writing.len()).max(1);
        (ALLOWANCE as usize / writers).max(BULK_WRITE as usize) as i32
    }

    /// Bytes that a woken writer could have written in the turns that it missed.
    fn behind(&self, used: &Used) -> i32 {
        let turns = self.turn.wrapping_sub(used.turn).min(CATCH_UP) as i32;
        if used.resumes && self.writers > 1 {
            (turns - 1).max(0) * self.share()
        } else {
            0
        }
    }

    /// Records that a connection has written `bytes`. Returns whether this write puts the
    /// connection in the middle of writing.
    pub(crate) fn on_written(&mut self, id: Id, used: &mut Used, bytes: usize) -> bool {
        if used.turn != self.turn {
            used.bytes = -self.behind(used);
            used.turn = self.turn;
        }
        used.resumes = false;
        let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
        used.bytes = used.bytes.saturating_add(bytes);
        let begins = used.bytes >= BULK_WRITE && !used.writing;
        if begins {
            used.writing = true;
            self.writing.push(id);
        }
        begins
    }

    /// Registers the connection's writer for the next turn.
    pub(crate) fn wait(&mut self, id: Id, used: &mut Used) {
        if !used.waits {
            used.waits = true;
            self.waiting.push(id);
        }
    }

    /// Begins the next turn. Yields the connections that have waited for it.
    pub(crate) fn next_turn(&mut self) -> impl Iterator<Item = Id> {
        self.turn = self.turn.wrapping_add(1);
        self.fewer = self.fewer.saturating_add(1);
        if self.writing.len() >= self.writers || self.fewer == SETTLES {
            self.writers = self.writing.len();
            self.fewer = 0;
        }
        self.waiting.drain(..)
    }

    /// Removes and yields the connections in the middle of writing for which `has_stopped` returns
    /// true.
    pub(crate) fn stopped(
        &mut self,
        mut has_stopped: impl FnMut(Id) -> bool,
    ) -> impl Iterator<Item = Id> {
        self.writing.extract_if(.., move |id| has_stopped(*id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The connections that have stopped writing, if the only one is `used`.
    fn stopped(allowances: &mut Allowances<u8>, used: &mut Used) -> Vec<u8> {
        allowances.stopped(|_| used.has_stopped()).collect()
    }

    #[test]
    fn what_is_used_up_comes_back_with_the_next_turn() {
        let mut allowances = Allowances::default();
        let mut used = Used::default();
        let half = ALLOWANCE as usize / 2;
        allowances.on_written(1, &mut used, half);
        assert!(allowances.left(&used) > 0);
        allowances.on_written(1, &mut used, half);
        assert_eq!(allowances.left(&used), 0);
        assert_eq!(allowances.next_turn().count(), 0);
        assert!(allowances.left(&used) > 0);
        allowances.on_written(1, &mut used, usize::MAX);
        assert_eq!(allowances.left(&used), 0);
    }

    #[test]
    fn several_that_write_much_share_a_turn() {
        let mut allowances = Allowances::default();
        let mut used: [Used; 8] = Default::default();
        assert_eq!(allowances.left(&used[0]), ALLOWANCE as usize);
        for (id, used) in used.iter_mut().enumerate() {
            allowances.on_written(id, used, BULK_WRITE as usize);
        }
        assert_eq!(allowances.next_turn().count(), 0);
        assert!(
            used.iter()
                .all(|used| allowances.left(used) == BULK_WRITE as usize)
        );
        let stopped = allowances.stopped(|id| id >= 2 && used[id].has_stopped());
        assert_eq!(stopped.count(), 6);
        for _ in 0..SETTLES {
            assert_eq!(allowances.left(&used[0]), BULK_WRITE as usize);
            assert_eq!(allowances.next_turn().count(), 0);
        }
        assert_eq!(allowances.left(&used[0]), ALLOWANCE as usize / 2);
    }

    #[test]
    fn a_writer_that_runs_late_catches_up() {
        let mut allowances = Allowances::default();
        let mut used: [Used; 8] = Default::default();
        for (id, used) in used.iter_mut().enumerate() {
            allowances.on_written(id, used, BULK_WRITE as usize);
        }
        assert_eq!(allowances.next_turn().count(), 0);
        let late = &mut used[0];
        allowances.on_written(0, late, BULK_WRITE as usize);
        allowances.wait(0, late);
        assert_eq!(allowances.next_turn().count(), 1);
        late.on_turn();
        for turns in 1..=2 * CATCH_UP {
            let caught_up = turns.min(CATCH_UP) as usize;
            assert_eq!(allowances.left(late), caught_up * BULK_WRITE as usize);
            assert_eq!(allowances.next_turn().count(), 0);
        }
        allowances.on_written(0, late, 3 * BULK_WRITE as usize);
        assert_eq!(allowances.left(late), 5 * BULK_WRITE as usize);
        assert_eq!(allowances.next_turn().count(), 0);
        assert_eq!(allowances.left(late), BULK_WRITE as usize);
    }

    #[test]
    fn who_writes_little_is_not_in_the_middle_of_it() {
        let mut allowances = Allowances::default();
        let mut used = Used::default();
        for _ in 0..3 {
            assert!(!allowances.on_written(1, &mut used, BULK_WRITE as usize - 1));
            assert_eq!(stopped(&mut allowances, &mut used), []);
            assert_eq!(allowances.next_turn().count(), 0);
        }
    }

    #[test]
    fn who_writes_much_is_in_the_middle_of_it_while_it_waits_for_turns() {
        let mut allowances = Allowances::default();
        let mut used = Used::default();
        assert!(allowances.on_written(1, &mut used, ALLOWANCE as usize));
        for _ in 0..3 {
            allowances.wait(1, &mut used);
            allowances.wait(1, &mut used);
            assert_eq!(stopped(&mut allowances, &mut used), []);
            assert_eq!(allowances.next_turn().collect::<Vec<_>>(), [1]);
            used.on_turn();
            assert!(!allowances.on_written(1, &mut used, ALLOWANCE as usize));
        }
        assert_eq!(stopped(&mut allowances, &mut used), [1]);
        assert_eq!(stopped(&mut allowances, &mut used), []);
        assert!(allowances.on_written(1, &mut used, 1));
    }
}

//! How much a connection may send between two turns of the driver, and whether more is to come.
//!
//! Writers send from their own tasks, and while they do, the acknowledgments of what they have sent wait
//! in the device. Without a limit one writer would fill its whole send buffer first: other flows would
//! wait for all of it, and what it holds would not stay in the processor's cache. A writer that has
//! used up its allowance waits until the driver has looked at the device once, however long the path is.
//!
//! The end of what such a writer has written seldom fills a segment, and a small segment costs the device as much
//! as a large one. So who writes much is taken to be in the middle of writing until a turn begins in which it
//! neither waits nor has written: until then the end waits for what follows.

/// Bytes that may be written in one turn: by a connection that is alone, before its writer waits for the next. Several
/// that write much share them, but each has [`MUCH`].
pub(crate) const ALLOWANCE: u32 = 256 << 10;

/// Bytes written in one turn that make a writer one who writes much.
const MUCH: u32 = 64 << 10;

/// What is left of a share and less than this counts as used up: it would go out as a packet that is not full.
const LEAST: u32 = 8 << 10;

/// What one connection has used.
#[derive(Debug, Default)]
pub(crate) struct Used {
    turn: u32,
    bytes: u32,
    /// Its writer waits for the next turn.
    waits: bool,
    /// It is in the middle of writing.
    writing: bool,
}

/// The turns, who waits for the next, and who is in the middle of writing.
/// `Id` names a connection.
#[derive(Debug)]
pub(crate) struct Allowances<Id> {
    turn: u32,
    waiting: Vec<Id>,
    writing: Vec<Id>,
}

impl Used {
    /// The turn that the writer waited for has begun.
    pub(crate) fn on_turn(&mut self) {
        self.waits = false;
    }

    /// Whether the writer has stopped in the middle of writing for something else than the next turn.
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
        }
    }
}

impl<Id: Copy> Allowances<Id> {
    /// Bytes that a connection may still write in this turn.
    pub(crate) fn left(&self, used: &Used) -> usize {
        let writers = u32::try_from(self.writing.len()).unwrap_or(u32::MAX);
        let share = (ALLOWANCE / writers.max(1)).max(MUCH);
        let bytes = if used.turn == self.turn {
            used.bytes
        } else {
            0
        };
        match share.saturating_sub(bytes) {
            0..LEAST => 0,
            left => left as usize,
        }
    }

    /// A connection has written `bytes`. Tells whether it is in the middle of writing from now on, and was not.
    pub(crate) fn on_written(&mut self, id: Id, used: &mut Used, bytes: usize) -> bool {
        if used.turn != self.turn {
            (used.turn, used.bytes) = (self.turn, 0);
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        used.bytes = used.bytes.saturating_add(bytes);
        let begins = used.bytes >= MUCH && !used.writing;
        if begins {
            used.writing = true;
            self.writing.push(id);
        }
        begins
    }

    /// The connection's writer waits for the next turn.
    pub(crate) fn wait(&mut self, id: Id, used: &mut Used) {
        if !used.waits {
            used.waits = true;
            self.waiting.push(id);
        }
    }

    /// A turn is over. Yields who has waited for the next.
    pub(crate) fn next_turn(&mut self) -> impl Iterator<Item = Id> {
        self.turn = self.turn.wrapping_add(1);
        self.waiting.drain(..)
    }

    /// Yields those in the middle of writing for whom `has_stopped` holds; they are no more.
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

    /// The connections that have stopped writing, of one.
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
            allowances.on_written(id, used, MUCH as usize);
        }
        assert_eq!(allowances.next_turn().count(), 0);
        assert!(
            used.iter()
                .all(|used| allowances.left(used) == MUCH as usize)
        );
        let stopped = allowances.stopped(|id| id >= 2 && used[id].has_stopped());
        assert_eq!(stopped.count(), 6);
        assert_eq!(allowances.left(&used[0]), ALLOWANCE as usize / 2);
    }

    #[test]
    fn who_writes_little_is_not_in_the_middle_of_it() {
        let mut allowances = Allowances::default();
        let mut used = Used::default();
        for _ in 0..3 {
            assert!(!allowances.on_written(1, &mut used, MUCH as usize - 1));
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

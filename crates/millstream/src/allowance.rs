//! How much a connection may send between two turns of the driver.
//!
//! Writers send from their own tasks, and while they do, the acknowledgments of what they have sent wait
//! in the device. Without a limit one writer would fill its whole send buffer first: other flows would
//! wait for all of it, and what it holds would not stay in the processor's cache. A writer that has
//! used up its allowance waits until the driver has looked at the device once, however long the path is.

use millstream_engine::ConnectionId;

/// Bytes a connection may write in one turn before its writer waits for the next.
const ALLOWANCE: u32 = 256 << 10;

/// What one connection has used.
#[derive(Debug, Default)]
pub(crate) struct Used {
    turn: u32,
    bytes: u32,
}

/// The turns, and who waits for the next.
#[derive(Debug, Default)]
pub(crate) struct Allowances {
    turn: u32,
    waiting: Vec<ConnectionId>,
}

impl Allowances {
    /// Whether a connection may write more in this turn.
    pub(crate) fn is_left(&self, used: &Used) -> bool {
        used.turn != self.turn || used.bytes < ALLOWANCE
    }

    /// A connection has written `bytes`.
    pub(crate) fn on_written(&self, used: &mut Used, bytes: usize) {
        if used.turn != self.turn {
            *used = Used {
                turn: self.turn,
                bytes: 0,
            };
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        used.bytes = used.bytes.saturating_add(bytes);
    }

    /// The connection's writer waits for the next turn.
    pub(crate) fn wait(&mut self, id: ConnectionId) {
        self.waiting.push(id);
    }

    /// A turn begins. Yields who has waited for it.
    pub(crate) fn next_turn(&mut self) -> impl Iterator<Item = ConnectionId> {
        self.turn = self.turn.wrapping_add(1);
        self.waiting.drain(..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_up_comes_back_with_the_next_turn() {
        let mut allowances = Allowances::default();
        let mut used = Used::default();
        let half = ALLOWANCE as usize / 2;
        allowances.on_written(&mut used, half);
        assert!(allowances.is_left(&used));
        allowances.on_written(&mut used, half);
        assert!(!allowances.is_left(&used));
        assert_eq!(allowances.next_turn().count(), 0);
        assert!(allowances.is_left(&used));
        allowances.on_written(&mut used, usize::MAX);
        assert!(!allowances.is_left(&used));
    }
}

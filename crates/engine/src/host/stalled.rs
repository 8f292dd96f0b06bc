//! The choice of connections that give way when resources run short: stalled connections, before
//! any that makes progress.
//!
//! A peer that keeps its window closed and answers the probes may do so for ever (RFC 9293
//! MUST-37). This occupies a place among the orphans if the application has closed, and memory for
//! the unsent data. As long as there is enough of both, this is acceptable. When there is not,
//! other connections must not suffer: a connection that was closed properly never loses undelivered
//! data because of stalled connections, and a connection that makes progress keeps its share of the
//! memory.
//!
//! Stalled connections are therefore kept in lists, in the order in which they stalled, and the
//! first gives way first.

use super::Stack;
use crate::memory::Pressure;
use crate::stats::count;
use crate::table::list::List;
use crate::tcp::connection::Tcb;
use crate::time::Instant;

/// Consecutive window probes without success, or retransmissions of an orphan, after which a
/// connection counts as stalled. They take at least a second and a half.
const TRIES: u8 = 3;

/// Maximum number of connections that give way in one step.
const AT_ONCE: usize = 16;

/// The standing of a connection when connections must give way, which determines its list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// An application holds it and it makes progress, or it is over. In no list.
    #[default]
    Good,
    /// An application holds it, and it has stalled.
    Stopped,
    /// No application holds it. The list is ordered by the time of the last progress, oldest first.
    Orphan,
    /// No application holds it, and it has stalled.
    StoppedOrphan,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Standings {
    stopped: List,
    orphans: List,
    stopped_orphans: List,
    /// Whether memory was used up and is not plentiful again yet.
    relieving: bool,
}

impl Standings {
    fn list(&mut self, standing: Standing) -> Option<&mut List> {
        match standing {
            Standing::Good => None,
            Standing::Stopped => Some(&mut self.stopped),
            Standing::Orphan => Some(&mut self.orphans),
            Standing::StoppedOrphan => Some(&mut self.stopped_orphans),
        }
    }
}

impl Tcb {
    /// Consecutive retransmissions or window probes without progress.
    fn tries(&self) -> u8 {
        self.sender.retries.max(self.sender.probe_backoff)
    }

    /// Whether a connection that an application holds has stalled. A network may fail for a while
    /// and cause retransmissions: the limit for these is half of the number that ends the
    /// connection.
    fn has_stopped(&self) -> bool {
        self.sender.probe_backoff >= TRIES
            || self.sender.retries >= (self.options.retries2 / 2).max(TRIES)
    }

    fn standing(&self) -> Standing {
        match (self.app.orphan, self.sender.is_blocked()) {
            (true, true) => Standing::StoppedOrphan,
            (true, false) => Standing::Orphan,
            (false, true) if self.has_stopped() => Standing::Stopped,
            (false, _) => Standing::Good,
        }
    }
}

impl Stack {
    /// Keeps a connection in the list of its standing, after a step in which it has or has not made
    /// progress.
    pub(crate) fn settle_standing(&mut self, index: u32, moved: bool) {
        let connections = &mut self.demux.connections;
        let Some(connection) = connections.at_mut(index) else {
            return;
        };
        let is = if connection.on_wire {
            connection.tcb.standing()
        } else {
            Standing::Good
        };
        let was = std::mem::replace(&mut connection.standing, is);
        if was == is && !(moved && is == Standing::Orphan) {
            return;
        }
        if let Some(list) = self.standings.list(was) {
            list.remove(connections, index, |connection| &mut connection.links);
        }
        if let Some(list) = self.standings.list(is) {
            list.push(connections, index, |connection| &mut connection.links);
        }
    }

    /// Whether there is a place for one more orphan, the connection at `index`. If necessary, a
    /// less worthy connection gives way.
    pub(crate) fn has_place_for_orphan(&mut self, now: Instant, index: u32) -> bool {
        if self.orphans < self.config.max_orphans {
            return true;
        }
        let connection = self.demux.connections.at(index);
        let is_blocked = connection.is_some_and(|connection| connection.tcb.sender.is_blocked());
        let Standings {
            orphans,
            stopped_orphans,
            ..
        } = &self.standings;
        let other = orphans.first().filter(|_| !is_blocked);
        match stopped_orphans.first().or(other) {
            Some(least) => {
                self.yield_connection(now, least);
                true
            }
            None => false,
        }
    }

    /// If memory is used up, makes stalled connections give way, orphans first, until enough memory
    /// is free for buffers to grow.
    pub(crate) fn relieve(&mut self, now: Instant) {
        for _ in 0..AT_ONCE {
            match self.memory.pressure() {
                Pressure::None => self.standings.relieving = false,
                Pressure::Moderate => {}
                Pressure::Severe | Pressure::Critical => self.standings.relieving = true,
            }
            if !self.standings.relieving {
                return;
            }
            let Some(least) = self.first_stopped() else {
                return;
            };
            self.yield_connection(now, least);
        }
    }

    fn first_stopped(&self) -> Option<u32> {
        let has_tried = |&index: &u32| {
            let connection = self.demux.connections.at(index);
            connection.is_some_and(|connection| connection.tcb.tries() >= TRIES)
        };
        let orphan = self.standings.stopped_orphans.first().filter(has_tried);
        orphan.or_else(|| self.standings.stopped.first())
    }

    fn yield_connection(&mut self, now: Instant, index: u32) {
        count(&mut self.counters.connections_yielded);
        self.step(now, index, Tcb::give_way);
    }
}

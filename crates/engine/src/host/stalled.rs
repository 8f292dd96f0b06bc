//! Which connections give way where there is not room for all: those of which nothing moves, before
//! any that moves.
//!
//! A peer that keeps its window closed and answers the probes may do so for ever (RFC 9293
//! MUST-37). It costs a place among the orphans if the application has closed, and memory for what
//! waits to be sent. As long as there is enough of both that is nobody's business. When there is
//! not, it must not be the others' loss: a connection that is closed in good order never loses what
//! it has still to deliver because strangers hold the places, and one that moves keeps its share of
//! the memory.
//!
//! So connections that do not move stand in lists, in the order in which they have come to a stop,
//! and the first yields first.

use super::Stack;
use super::list::List;
use crate::host::memory::Pressure;
use crate::stats::count;
use crate::tcp::connection::Tcb;
use crate::time::Instant;

/// Window probes in a row that have brought nothing, or without an application retransmissions:
/// after so many a connection has come to a stop. They take a second and a half at the least.
const TRIES: u8 = 3;

/// Connections that yield in one step at the most.
const AT_ONCE: usize = 16;

/// How a connection stands when it comes to who yields, and so in which list it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// An application holds it and it moves; or it is over. In no list.
    #[default]
    Good,
    /// An application holds it, and it has come to a stop.
    Stopped,
    /// No application holds it. Those that moved last are the last in their list.
    Orphan,
    /// No application holds it, and its peer takes nothing.
    StoppedOrphan,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Standings {
    stopped: List,
    orphans: List,
    stopped_orphans: List,
    /// Memory was used up, and is not plentiful again yet.
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
    /// Retransmissions or window probes in a row that have brought nothing.
    fn tries(&self) -> u8 {
        self.retries.max(self.probe_backoff)
    }

    /// A connection that an application holds has come to a stop. A network may fail for a while,
    /// and retransmissions with it: of those it takes half of as many as end the connection.
    fn has_stopped(&self) -> bool {
        self.probe_backoff >= TRIES || self.retries >= (self.options.retries2 / 2).max(TRIES)
    }

    fn standing(&self) -> Standing {
        match (self.orphan, self.is_blocked()) {
            (true, true) => Standing::StoppedOrphan,
            (true, false) => Standing::Orphan,
            (false, true) if self.has_stopped() => Standing::Stopped,
            (false, _) => Standing::Good,
        }
    }
}

impl Stack {
    /// Keeps a connection in the list of its standing, after a step in which it has moved or not.
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
            list.remove(connections, index);
        }
        if let Some(list) = self.standings.list(is) {
            list.push(connections, index);
        }
    }

    /// Whether there is a place for one more orphan, the connection at `index`, if need be by
    /// having a less worthy one yield.
    pub(crate) fn has_place_for_orphan(&mut self, now: Instant, index: u32) -> bool {
        if self.orphans < self.config.max_orphans {
            return true;
        }
        let connection = self.demux.connections.at(index);
        let is_blocked = connection.is_some_and(|connection| connection.tcb.is_blocked());
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

    /// If memory is used up, has connections yield that have come to a stop, orphans first, until
    /// there is enough again that buffers may grow.
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

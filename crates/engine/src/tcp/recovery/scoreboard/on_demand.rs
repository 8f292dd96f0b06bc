//! A scoreboard that allocates its memory with the first segment.

use std::ops::{Deref, DerefMut};

use super::Scoreboard;

/// A scoreboard that allocates its memory with the first segment: many connections send nothing for
/// a long time.
#[derive(Debug, Default)]
pub(crate) struct LazyScoreboard(Option<Box<Scoreboard>>);

impl LazyScoreboard {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }

    /// Releases the memory if nothing is in flight.
    pub(crate) fn release(&mut self) {
        if self.is_empty() {
            self.clear();
        }
    }
}

impl Deref for LazyScoreboard {
    type Target = Scoreboard;

    fn deref(&self) -> &Scoreboard {
        static EMPTY: Scoreboard = Scoreboard::new();
        self.0.as_deref().unwrap_or(&EMPTY)
    }
}

impl DerefMut for LazyScoreboard {
    fn deref_mut(&mut self) -> &mut Scoreboard {
        self.0.get_or_insert_with(|| Box::new(Scoreboard::new()))
    }
}

//! Detects spurious retransmissions, so that their effect on the window is undone.
//!
//! There are two kinds of evidence: an acknowledgment that echoes a timestamp older than the first
//! retransmission is for the original transmission (Eifel, RFC 3522), or the duplicates that the
//! peer reports account for every retransmission (RFC 3708).

/// The retransmissions since an episode began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Undo {
    episode: Option<Episode>,
}

#[derive(Clone, Copy, Debug)]
struct Episode {
    /// SND.UNA when the episode began.
    una: u64,
    /// Retransmissions that the peer has not reported as duplicates; `None` if none was sent yet.
    unreported: Option<u32>,
    /// The timestamp of the first retransmission.
    stamp: Option<u32>,
}

impl Undo {
    /// Begins an episode, unless an earlier one continues with a timeout.
    pub(crate) fn begin(&mut self, una: u64) {
        self.episode.get_or_insert(Episode {
            una,
            unreported: None,
            stamp: None,
        });
    }

    /// Forgets the episode: nothing remains to be undone.
    pub(crate) fn forget(&mut self) {
        self.episode = None;
    }

    /// Records that a segment was sent again, with this timestamp if there is one.
    pub(crate) fn on_retransmitted(&mut self, stamp: Option<u32>) {
        if let Some(episode) = &mut self.episode {
            let unreported = episode.unreported.get_or_insert(0);
            if *unreported == 0 && episode.stamp.is_none() {
                episode.stamp = stamp;
            }
            *unreported += 1;
        }
    }

    /// Processes a report that the peer has received `segments` segments before `end` twice.
    /// Returns whether the report accounts for a retransmission.
    pub(crate) fn on_duplicate(&mut self, end: u64, segments: u32) -> bool {
        if let Some(episode) = &mut self.episode
            && end > episode.una
            && let Some(unreported) = &mut episode.unreported
        {
            let accounts = *unreported > 0;
            *unreported = unreported.saturating_sub(segments);
            return accounts;
        }
        false
    }

    /// Whether every retransmission was reported as a duplicate.
    pub(crate) fn all_reported(&self) -> bool {
        self.episode
            .is_some_and(|episode| episode.unreported == Some(0))
    }

    /// Whether an acknowledgment of new data, with this echo, is for data sent before the first
    /// retransmission. It always is if nothing was retransmitted yet.
    pub(crate) fn is_for_original(&self, echo: Option<u32>) -> bool {
        let Some(episode) = self.episode else {
            return false;
        };
        let older = matches!((episode.stamp, echo), (Some(stamp), Some(echo)) if (echo.wrapping_sub(stamp) as i32) < 0);
        older || episode.unreported.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_echo_tells_of_the_original() {
        let mut undo = Undo::default();
        assert!(!undo.is_for_original(Some(1)), "of what?");
        undo.begin(1);
        assert!(undo.is_for_original(Some(1)), "nothing was sent again");
        undo.on_retransmitted(Some(u32::MAX));
        undo.on_retransmitted(Some(5));
        assert!(undo.is_for_original(Some(u32::MAX - 1)));
        assert!(!undo.is_for_original(Some(u32::MAX)));
        assert!(!undo.is_for_original(Some(3)), "later, beyond the wrap");
        assert!(!undo.is_for_original(None));
    }

    #[test]
    fn duplicates_account_for_every_retransmission() {
        let mut undo = Undo::default();
        undo.begin(1000);
        assert!(!undo.all_reported(), "nothing was sent again");
        undo.on_retransmitted(None);
        undo.on_retransmitted(None);
        undo.on_duplicate(900, 1);
        undo.on_duplicate(2000, 1);
        assert!(!undo.all_reported(), "one is from before the episode");
        undo.on_duplicate(3000, 1);
        assert!(undo.all_reported());
        undo.forget();
        assert!(!undo.all_reported());
    }
}

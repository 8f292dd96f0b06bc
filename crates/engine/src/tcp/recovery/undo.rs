//! Whether a retransmission was needless: then what it did to the window is undone.
//!
//! Two witnesses: an acknowledgment that echoes a timestamp older than the first retransmission is for the
//! original (Eifel, RFC 3522), and duplicates that the peer reports account for every retransmission (RFC 3708).

/// The retransmissions since an episode began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Undo {
    episode: Option<Episode>,
}

#[derive(Clone, Copy, Debug)]
struct Episode {
    /// SND.UNA when it began.
    una: u64,
    /// Retransmissions the peer has not reported as duplicates; none was sent yet if `None`.
    unreported: Option<u32>,
    /// Timestamp of the first.
    stamp: Option<u32>,
}

impl Undo {
    /// An episode begins, or an earlier one goes on with a timeout.
    pub(crate) fn begin(&mut self, una: u64) {
        self.episode.get_or_insert(Episode {
            una,
            unreported: None,
            stamp: None,
        });
    }

    /// Nothing is to be undone any more.
    pub(crate) fn forget(&mut self) {
        self.episode = None;
    }

    /// A segment was sent again, with this timestamp if there is one.
    pub(crate) fn on_retransmitted(&mut self, stamp: Option<u32>) {
        if let Some(episode) = &mut self.episode {
            let unreported = episode.unreported.get_or_insert(0);
            if *unreported == 0 && episode.stamp.is_none() {
                episode.stamp = stamp;
            }
            *unreported += 1;
        }
    }

    /// The peer reports that it has received `segments` segments before `end` twice. Returns whether that
    /// accounts for a retransmission.
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

    /// Whether an acknowledgment of something new, with this echo, is for what was sent before the first
    /// retransmission: of course, if there was none yet.
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

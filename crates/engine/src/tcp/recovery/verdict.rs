//! What an acknowledgment shows of a loss episode that is under way: it was spurious, it is over,
//! or it continues.

use super::episode::Recovery;
use crate::congestion::Congestion;
use crate::tcp::recovery::ack_facts::AckFacts;

impl Recovery {
    /// Undoes an episode that has ended, because reports of duplicates may arrive after all data
    /// has been acknowledged.
    pub(crate) fn take_back_late(&mut self, facts: &AckFacts, congestion: &mut dyn Congestion) {
        let detection = self.detection();
        if detection.undo.all_reported() {
            detection.note_reordering();
            detection.undo.forget();
            congestion.undo(facts.now);
        }
    }

    /// Processes an acknowledgment in fast recovery. Returns whether the episode was undone.
    pub(crate) fn on_ack_in_recovery(
        &mut self,
        until: u64,
        facts: &AckFacts,
        congestion: &mut dyn Congestion,
    ) -> bool {
        let undo = &self.detection().undo;
        let reported = undo.all_reported();
        let late = facts.advanced && undo.is_for_original(facts.echo);
        if reported || late {
            self.detection().note_reordering();
            // One segment was only late; another that was sent again may still be lost.
            if reported || facts.una >= until || self.board.in_flight_again() == 0 {
                if late {
                    self.board.lose_nothing();
                }
                self.take_back(facts, congestion);
                return true;
            }
        } else if facts.una >= until {
            self.end(facts, congestion);
        } else if facts.advanced && !facts.sack {
            // A partial acknowledgment: the next hole is lost too (RFC 6582 3.2 step 3).
            self.force |= self.board.judge_first(facts.mss);
        }
        false
    }

    /// Processes an acknowledgment after a timeout. Returns whether the episode was undone.
    pub(crate) fn on_ack_after_timeout(
        &mut self,
        until: u64,
        facts: &AckFacts,
        congestion: &mut dyn Congestion,
    ) -> bool {
        let frto = self.frto;
        let detection = self.detection();
        let lost_until = detection.spared.map_or(until, |spared| spared.from);
        let needless = detection.undo.all_reported()
            || facts.advanced && detection.undo.is_for_original(facts.echo)
            || frto.is_refuted(facts, lost_until);
        if needless {
            self.board.lose_nothing();
            self.take_back(facts, congestion);
            return true;
        }
        self.frto = frto.after(facts, until);
        if facts.una >= until {
            self.end(facts, congestion);
        }
        false
    }

    /// Undoes the episode, which was spurious. Data that is lost by now stays lost: duplicates of
    /// retransmissions show the fate of those segments alone (as in Linux).
    fn take_back(&mut self, facts: &AckFacts, congestion: &mut dyn Congestion) {
        congestion.undo(facts.now);
        self.detection().undo.forget();
        self.open();
    }
}

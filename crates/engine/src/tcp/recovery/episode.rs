//! Loss episodes: when recovery begins and ends (RFC 5681, RFC 6582, RFC 6675).
//!
//! The scoreboard knows what is lost, and [`rack`](super::rack) when missing data is due. The
//! window also shrinks when routers mark packets instead of dropping them (RFC 3168).

use super::detection::{Detection, Findings, Spared, saturated};
use super::frto::Frto;
use super::prr::Progress;
use super::rack::Conditions;
use super::reduction::flight_before;
use super::sampler::Sampler;
use super::scoreboard::{DUP_THRESH, LazyScoreboard};
use super::tail_probe::TailProbe;
use crate::congestion::{Cause, Congestion};
use crate::tcp::info::CaState;
use crate::tcp::recovery::ack_facts::AckFacts;
use crate::time::Instant;

/// The phase of loss recovery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No loss is known.
    #[default]
    Open,
    /// No loss is known, but congestion: the window shrinks over a round trip, until data that was
    /// sent after the beginning is acknowledged.
    Reducing {
        /// SND.NXT at the beginning.
        until: u64,
    },
    /// Fast recovery, until the data that was sent before it began is acknowledged.
    FastRecovery {
        /// RFC 6582's "recover": SND.NXT at the beginning.
        until: u64,
    },
    /// After a retransmission timeout, until the data that was sent before it is acknowledged.
    Loss {
        /// SND.NXT at the timeout.
        until: u64,
    },
}

/// Loss recovery of one connection.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    pub(crate) board: LazyScoreboard,
    pub(crate) phase: Phase,
    /// The number of consecutive duplicate acknowledgments.
    pub(crate) duplicates: u32,
    /// Whether the next retransmission may exceed the congestion window: the first may (RFC 5681
    /// 3.2 step 3).
    pub(crate) force: bool,
    pub(crate) frto: Frto,
    /// The state that only a connection that sends needs.
    pub(crate) detection: Option<Box<Detection>>,
}

impl Recovery {
    /// Whether no loss is known.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Reducing { .. })
    }

    /// The phase as applications see it.
    pub(crate) fn ca_state(&self) -> CaState {
        let disorder = self.duplicates > 0 || self.board.sacked() > 0;
        match self.phase {
            Phase::Open if disorder => CaState::Disorder,
            Phase::Open => CaState::Open,
            Phase::Reducing { .. } => CaState::Cwr,
            Phase::FastRecovery { .. } => CaState::Recovery,
            Phase::Loss { .. } => CaState::Loss,
        }
    }

    /// Bytes assumed to be in the network. Without SACK, each duplicate acknowledgment shows that
    /// one segment has left the network: one of those in flight when the first duplicate arrived,
    /// except the missing one (RFC 5681 3.2 allows the bound). Duplicates beyond that number show
    /// no further arrivals.
    pub(crate) fn pipe(&self, sack: bool, mss: u32) -> u64 {
        let in_flight = self.board.in_flight();
        let Some(known) = self
            .detection
            .as_ref()
            .filter(|_| !sack && self.duplicates > 0)
        else {
            return in_flight;
        };
        let told = u64::from(self.duplicates) * u64::from(mss);
        let outstanding = known.undisturbed.saturating_sub(self.board.oldest());
        in_flight.saturating_sub(told.min(outstanding.saturating_sub(mss.into())))
    }

    /// The limit of the data in flight, if it is not the congestion window (RFC 9937).
    pub(crate) fn cwnd(&self) -> Option<u64> {
        let prr = self.detection.as_ref()?.prr?;
        Some(prr.cwnd())
    }

    /// Bytes that a timeout left in flight. They are allowed in addition to the congestion window,
    /// which is for the lost data (as in Linux).
    pub(crate) fn spared(&self) -> u64 {
        let spared = self.detection.as_ref().and_then(|known| known.spared);
        spared.map_or(0, |spared| spared.bytes)
    }

    /// Whether the next retransmission is sent regardless of the congestion window.
    pub(crate) fn is_forced(&self) -> bool {
        self.force
    }

    /// Whether new data is to be sent before retransmissions (RFC 5682 2.1 step 2b).
    pub(crate) fn prefers_new_data(&self) -> bool {
        self.frto == Frto::Probing
    }

    /// Whether new data has been sent since the timer fired.
    pub(crate) fn has_sent_since_timeout(&self, nxt: u64) -> bool {
        matches!(self.phase, Phase::Loss { until } if nxt > until)
    }

    /// The time at which overtaken data counts as lost, if any was overtaken.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.detection.as_ref()?.due
    }

    /// The tail loss probe.
    pub(crate) fn probe(&mut self) -> &mut TailProbe {
        &mut self.detection().probe
    }

    /// Whether a tail loss probe is under way.
    pub(crate) fn is_probing_tail(&self) -> bool {
        self.detection
            .as_ref()
            .is_some_and(|detection| detection.probe.is_under_way())
    }

    /// Records that new data was sent.
    pub(crate) fn on_sent(&mut self, start: u64, end: u64, now: Instant) {
        let in_flight = self.board.in_flight();
        self.board.on_sent(start, end, now);
        self.note_sent(end - start, in_flight, now);
    }

    /// Records that `start..end` was sent again, with a timestamp if timestamps are in use.
    pub(crate) fn on_retransmitted(
        &mut self,
        start: u64,
        end: u64,
        now: Instant,
        stamp: Option<u32>,
    ) {
        let in_flight = self.board.in_flight();
        self.board.on_retransmitted(start, end, now);
        self.force = false;
        self.note_sent(end - start, in_flight, now);
        self.detection().on_retransmitted(stamp);
    }

    fn note_sent(&mut self, bytes: u64, in_flight: u64, now: Instant) {
        let serial = self.board.last_serial();
        if let Some(detection) = &mut self.detection {
            detection.on_sent(now, serial, bytes, in_flight);
        }
    }

    /// Sets whether the delivery rate is sampled, from the next transmission on.
    pub(crate) fn sample_rates(&mut self, wanted: bool) {
        let detection = self.detection.as_ref();
        if wanted != detection.is_some_and(|detection| detection.sampler.is_some()) {
            self.board.remember_losses(wanted);
            self.detection().sampler = wanted.then(Sampler::default);
        }
    }

    /// Records that the application provides less data than could be sent.
    pub(crate) fn mark_app_limited(&mut self) {
        let in_flight = saturated(self.board.in_flight());
        if let Some(detection) = &mut self.detection
            && let Some(sampler) = &mut detection.sampler
        {
            sampler.mark_app_limited(in_flight);
        }
    }

    /// The statistics that may be queried; empty on a connection that never sent.
    pub(crate) fn findings(&self) -> Findings {
        let detection = self.detection.as_ref();
        detection.map_or(Findings::default(), |detection| detection.findings())
    }

    pub(crate) fn detection(&mut self) -> &mut Detection {
        self.detection.get_or_insert_default()
    }

    /// Processes an acknowledgment that the scoreboard has already recorded. Returns the cause for
    /// which the window was reduced, if it was.
    pub(crate) fn on_ack(
        &mut self,
        facts: &AckFacts,
        congestion: &mut dyn Congestion,
    ) -> Option<Cause> {
        self.count_duplicates(facts);
        let lost_before = self.board.lost_ever();
        self.board.on_delivered(&facts.delivered);
        let oldest = self.board.oldest_serial();
        let after_timeout = matches!(self.phase, Phase::Loss { .. });
        self.detection().on_ack(facts, oldest, after_timeout);
        if facts.advanced && self.board.is_reneged() {
            // It is no longer known what the peer holds: the retransmission timer decides.
            self.detection().due = None;
            return None;
        }
        let mut reduced = None;
        if self.detection().probe.on_ack(facts) && self.phase == Phase::Open {
            // RFC 8985 7.4.2: the probe repaired a loss.
            self.reduce(facts, flight_before(facts), Cause::Probe, congestion);
            reduced = Some(Cause::Probe);
        }
        let mut taken_back = false;
        match self.phase {
            Phase::Open => self.take_back_late(facts, congestion),
            // The peer learns of the reduction from data that is sent after it.
            Phase::Reducing { until } if facts.una > until => {
                congestion.on_recovered(facts.now);
                self.open();
            }
            Phase::Reducing { .. } => {}
            Phase::FastRecovery { until } => {
                taken_back = self.on_ack_in_recovery(until, facts, congestion);
            }
            Phase::Loss { until } => {
                taken_back = self.on_ack_after_timeout(until, facts, congestion);
            }
        }
        match self.phase {
            Phase::Open | Phase::Reducing { .. } => {
                // Data that is still lost begins an episode of its own (as in Linux).
                let still_lost = taken_back && self.board.lost() > 0;
                if self.detect(facts, congestion) || still_lost {
                    reduced = reduced.or(self.enter_recovery(facts, congestion));
                } else if facts.marked && reduced.is_none() {
                    self.begin_reducing(facts, congestion);
                    reduced = Some(Cause::Ecn);
                } else if self.phase != Phase::Open && facts.delivered.bytes > 0 {
                    self.pace(facts, false);
                }
            }
            Phase::FastRecovery { .. } => {
                let found = self.detect(facts, congestion);
                self.pace(facts, found);
            }
            Phase::Loss { .. } => {
                self.judge(facts);
                self.report_losses(facts.now, congestion);
            }
        }
        let lost = self.board.lost_ever() - lost_before;
        self.tell(facts, lost, congestion);
        reduced
    }

    /// Handles the time at which overtaken data is due (RFC 8985 6.3). Returns the cause for which
    /// the window was reduced, if it was.
    pub(crate) fn on_due(
        &mut self,
        facts: &AckFacts,
        congestion: &mut dyn Congestion,
    ) -> Option<Cause> {
        if self.detect(facts, congestion) && self.is_open() {
            return self.enter_recovery(facts, congestion);
        }
        None
    }

    /// Handles the retransmission timer (RFC 6298 5.4). `first` states whether it is the first of
    /// consecutive timeouts, `frto` whether F-RTO examines if the timeout was spurious.
    pub(crate) fn on_rto(
        &mut self,
        facts: &AckFacts,
        first: bool,
        frto: bool,
        congestion: &mut dyn Congestion,
    ) {
        let open = self.is_open();
        let reduces = first && open && !self.has_reduced(facts);
        let spared = self.judge_by_timeout(facts);
        self.report_losses(facts.now, congestion);
        congestion.on_rto(facts.now, saturated(facts.nxt - facts.una), reduces);
        self.frto = if frto && !matches!(self.phase, Phase::FastRecovery { .. }) {
            Frto::Waiting
        } else {
            Frto::Off
        };
        self.phase = Phase::Loss { until: facts.nxt };
        self.duplicates = 0;
        self.force = true;
        let detection = self.detection();
        if open {
            detection.undo.forget();
        }
        detection.undo.begin(facts.una);
        detection.recover = facts.nxt;
        detection.spared = spared;
        detection.prr = None;
        detection.due = None;
        detection.probe.forget();
    }

    /// Judges the oldest segment lost, and all other data except what was sent so recently that its
    /// acknowledgment may still be under way (RFC 8985 6.3, `RACK_mark_losses_on_RTO`).
    fn judge_by_timeout(&mut self, facts: &AckFacts) -> Option<Spared> {
        if !facts.sack || !facts.rack {
            self.board.judge_all();
            return None;
        }
        let conditions = self.conditions(facts);
        let Self {
            board, detection, ..
        } = self;
        let rack = &detection.get_or_insert_default().rack;
        let from = board.judge_all_but(|at| rack.deadline(at, &conditions) > facts.now)?;
        Some(Spared {
            from,
            bytes: board.in_flight(),
        })
    }

    /// Has everything in flight sent again, for a reason other than congestion: a SYN that was lost
    /// or crossed the peer's, or segments too large for the path.
    pub(crate) fn resend_all(&mut self) {
        self.board.judge_all();
        self.force = true;
    }

    fn count_duplicates(&mut self, facts: &AckFacts) {
        if facts.advanced && !facts.sack && matches!(self.phase, Phase::FastRecovery { .. }) {
            // One of the acknowledged segments fills the hole; duplicates have accounted for the
            // others.
            let acked = facts.delivered.bytes.div_ceil(u64::from(facts.mss.max(1)));
            self.duplicates = self
                .duplicates
                .saturating_sub(saturated(acked.saturating_sub(1)));
        } else if facts.advanced {
            self.duplicates = 0;
        } else if facts.duplicate {
            if self.duplicates == 0 {
                self.detection().undisturbed = facts.nxt;
            }
            self.duplicates = self.duplicates.saturating_add(1);
        }
    }

    /// Has all segments of more than `mss` bytes sent again, without a congestion response.
    pub(crate) fn resend_larger(&mut self, mss: u32) {
        self.force |= self.board.judge_larger(mss);
    }

    fn enter_recovery(
        &mut self,
        facts: &AckFacts,
        congestion: &mut dyn Congestion,
    ) -> Option<Cause> {
        if self.lost_probe_alone(facts) {
            return None;
        }
        let reduced = self.has_reduced(facts);
        if !reduced {
            self.reduce(facts, self.flight(facts), Cause::Loss, congestion);
            self.detection().undo.begin(facts.una);
            self.meter(facts, congestion);
        }
        self.phase = Phase::FastRecovery { until: facts.nxt };
        self.force = true;
        let detection = self.detection();
        detection.recover = facts.nxt;
        detection.probe.forget();
        if !facts.sack {
            // Duplicates do not show what was delivered: the pipe and ssthresh limit sending
            // (RFC 6582).
            detection.prr = None;
        }
        self.pace(facts, true);
        (!reduced).then_some(Cause::Loss)
    }

    /// Updates the amount that may be sent after this acknowledgment; `found` states whether the
    /// acknowledgment showed further losses.
    pub(crate) fn pace(&mut self, facts: &AckFacts, found: bool) {
        let progress = Progress {
            delivered: facts.delivered.bytes,
            pipe: self.pipe(facts.sack, facts.mss),
            safe: facts.advanced && !found,
            mss: facts.mss.into(),
        };
        if let Some(prr) = &mut self.detection().prr {
            prr.on_ack(&progress);
        }
    }

    /// Ends an episode whose recovery is complete.
    pub(crate) fn end(&mut self, facts: &AckFacts, congestion: &mut dyn Congestion) {
        congestion.on_recovered(facts.now);
        self.detection().rack.on_recovered();
        self.open();
    }

    pub(crate) fn open(&mut self) {
        self.phase = Phase::Open;
        self.force = false;
        self.frto = Frto::Off;
        self.duplicates = 0;
        let detection = self.detection();
        detection.prr = None;
        detection.spared = None;
    }

    /// Whether only the probe of the path's MTU is lost: it was too large, which is no sign of
    /// congestion (RFC 4821 7.6.2).
    fn lost_probe_alone(&self, facts: &AckFacts) -> bool {
        facts
            .mtu_probe
            .is_some_and(|(start, end)| start == facts.una && self.board.lost() == end - start)
    }

    /// Whether a new loss is found. Reports the losses to congestion control.
    fn detect(&mut self, facts: &AckFacts, congestion: &mut dyn Congestion) -> bool {
        let found = self.find_loss(facts);
        self.report_losses(facts.now, congestion);
        found
    }

    /// Whether the acknowledgment shows a loss. Three duplicates count even if the ranges alone are
    /// not sufficient evidence (small segments).
    fn find_loss(&mut self, facts: &AckFacts) -> bool {
        // RFC 6582 3.2 steps 1 and 4: without SACK, duplicates of data that was in flight when the
        // last episode began may be answers to its retransmissions.
        let fresh = facts.sack || facts.una > self.detection().recover;
        let counted = self.duplicates >= DUP_THRESH && self.is_open() && fresh;
        if facts.sack && facts.rack {
            self.judge(facts)
        } else if facts.sack {
            let by_range = self.judge(facts);
            let by_count = counted && self.board.sacked() > 0 && self.board.judge_first(facts.mss);
            by_range || by_count
        } else {
            counted && self.board.judge_first(facts.mss)
        }
    }

    /// Judges losses by selective acknowledgments and by time.
    fn judge(&mut self, facts: &AckFacts) -> bool {
        if !facts.sack {
            return false;
        }
        if !facts.rack {
            // It may remain from a time when losses were judged by time.
            if let Some(detection) = &mut self.detection {
                detection.due = None;
            }
            return self.board.judge_by_sack(facts.mss);
        }
        let conditions = self.conditions(facts);
        let Self {
            board, detection, ..
        } = self;
        let Detection { rack, due, .. } = &mut **detection.get_or_insert_default();
        let (found, next) = board.judge_by_time(facts.now, rack.newest(), |at| {
            rack.deadline(at, &conditions)
        });
        *due = next;
        found
    }

    fn conditions(&self, facts: &AckFacts) -> Conditions {
        Conditions {
            min_rtt: facts.min_rtt,
            srtt: facts.srtt,
            recovering: !self.is_open(),
            // More than two full segments are at least three (RFC 6675 4, IsLost).
            many_sacked: self.duplicates >= DUP_THRESH
                || self.board.sacked() > u64::from((DUP_THRESH - 1) * facts.mss),
            resumed: facts.heard.resumed,
        }
    }
}

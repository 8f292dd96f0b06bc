//! Loss episodes: when recovery begins and ends (RFC 5681, RFC 6582, RFC 6675), around the
//! scoreboard, which knows what is lost, and [`rack`](super::rack), which knows what is due.
//!
//! After a timeout, F-RTO (RFC 5682) looks whether it was needed: with the first acknowledgments
//! new data goes out instead of retransmissions, and what arrives that was sent once only tells that nothing was lost.

use std::time::Duration;

use super::prr::{Progress, Prr};
use super::rack::{Conditions, Rack};
use super::scoreboard::{DUP_THRESH, Delivered, LazyScoreboard};
use super::tail_probe::TailProbe;
use super::undo::Undo;
use crate::congestion::{AckSample, Cause, Congestion, CongestionEvent};
use crate::time::Instant;

/// Where the connection stands between losses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No loss is known.
    #[default]
    Open,
    /// Fast recovery, until what was sent when it began is acknowledged.
    FastRecovery {
        /// RFC 6582's "recover": SND.NXT at the time.
        until: u64,
    },
    /// After a retransmission timeout, until what was sent when it fired is acknowledged.
    Loss {
        /// SND.NXT at the time.
        until: u64,
    },
}

/// What recovery has to know of one acknowledgment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AckFacts {
    pub(crate) now: Instant,
    pub(crate) una: u64,
    pub(crate) nxt: u64,
    pub(crate) mss: u32,
    /// The acknowledgment moved SND.UNA.
    pub(crate) advanced: bool,
    /// It is a duplicate by RFC 5681's definition.
    pub(crate) duplicate: bool,
    /// The connection negotiated SACK.
    pub(crate) sack: bool,
    /// The congestion window held sending back in the last round trip.
    pub(crate) cwnd_limited: bool,
    pub(crate) delivered: Delivered,
    /// Loss is judged by time (RFC 8985).
    pub(crate) rack: bool,
    pub(crate) min_rtt: Option<Duration>,
    pub(crate) srtt: Option<Duration>,
    /// The round-trip time that the acknowledgment measured.
    pub(crate) rtt: Option<Duration>,
    /// The timestamp that it echoes.
    pub(crate) echo: Option<u32>,
    /// What the peer reports to have received twice.
    pub(crate) duplicated: Option<Duplicated>,
    /// There is data that was never sent, and room for it in the peer's window.
    pub(crate) has_new_data: bool,
}

/// A D-SACK (RFC 2883).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Duplicated {
    /// Where it ends.
    pub(crate) end: u64,
    /// Segments it is about.
    pub(crate) segments: u32,
}

/// Whether the last timeout was needed (RFC 5682).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Frto {
    /// Not in question.
    #[default]
    Off,
    /// The first lost segment was sent again, and nothing else.
    Waiting,
    /// New data was sent instead of more of it.
    Probing,
}

/// Loss recovery of one connection.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    pub(crate) board: LazyScoreboard,
    phase: Phase,
    /// Duplicate acknowledgments in a row.
    duplicates: u32,
    /// The next retransmission may exceed the congestion window: the first of an episode (RFC 5681
    /// 3.2 step 3).
    force: bool,
    frto: Frto,
    /// What only a connection that sends needs.
    detection: Option<Box<Detection>>,
}

/// What detection knows beyond the scoreboard.
#[derive(Debug, Default)]
struct Detection {
    rack: Rack,
    undo: Undo,
    prr: Option<Prr>,
    probe: TailProbe,
    /// When what was overtaken counts as lost.
    due: Option<Instant>,
}

impl Recovery {
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether no loss is known.
    pub(crate) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Bytes taken to be in the network. Without SACK each duplicate tells of one segment that left it.
    pub(crate) fn pipe(&self, sack: bool, mss: u32) -> u64 {
        let left = if sack {
            0
        } else {
            u64::from(self.duplicates) * u64::from(mss)
        };
        self.board.in_flight().saturating_sub(left)
    }

    /// What may be in flight where it is not the congestion window that says so (RFC 9937).
    pub(crate) fn cwnd(&self) -> Option<u64> {
        let prr = self.detection.as_ref()?.prr?;
        Some(prr.cwnd())
    }

    /// Whether the next retransmission goes out regardless of the congestion window.
    pub(crate) fn is_forced(&self) -> bool {
        self.force
    }

    /// Whether new data is to go out before retransmissions (RFC 5682 2.1 step 2b).
    pub(crate) fn prefers_new_data(&self) -> bool {
        self.frto == Frto::Probing
    }

    /// Whether new data has gone out since the timer fired.
    pub(crate) fn has_sent_since_timeout(&self, nxt: u64) -> bool {
        matches!(self.phase, Phase::Loss { until } if nxt > until)
    }

    /// When what was overtaken counts as lost, if something was.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.detection.as_ref()?.due
    }

    /// The probe of the tail.
    pub(crate) fn probe(&mut self) -> &mut TailProbe {
        &mut self.detection().probe
    }

    /// Whether a probe of the tail is under way.
    pub(crate) fn is_probing_tail(&self) -> bool {
        self.detection
            .as_ref()
            .is_some_and(|detection| detection.probe.is_under_way())
    }

    /// New data went out.
    pub(crate) fn on_sent(&mut self, start: u64, end: u64, now: Instant) {
        self.board.on_sent(start, end, now);
        self.note_sent(end - start);
    }

    /// `start..end` was sent again, with a timestamp if there are any.
    pub(crate) fn on_retransmitted(
        &mut self,
        start: u64,
        end: u64,
        now: Instant,
        stamp: Option<u32>,
    ) {
        self.board.on_retransmitted(start, end, now);
        self.force = false;
        self.note_sent(end - start);
        self.detection().undo.on_retransmitted(stamp);
    }

    fn note_sent(&mut self, bytes: u64) {
        if let Some(detection) = &mut self.detection
            && let Some(prr) = &mut detection.prr
        {
            prr.on_sent(bytes);
        }
    }

    fn detection(&mut self) -> &mut Detection {
        self.detection.get_or_insert_default()
    }

    /// An acknowledgment came, and the scoreboard has taken it in.
    pub(crate) fn on_ack(&mut self, facts: &AckFacts, congestion: &mut dyn Congestion) {
        if facts.advanced {
            self.duplicates = 0;
        } else if facts.duplicate {
            self.duplicates += 1;
        }
        self.learn(facts);
        if self.detection().probe.on_ack(facts) && self.is_open() {
            // RFC 8985 7.4.2: the probe repaired a loss.
            Self::reduce(facts, congestion);
        }
        match self.phase {
            Phase::Open => self.take_back_late(facts, congestion),
            Phase::FastRecovery { until } => self.on_ack_in_recovery(until, facts, congestion),
            Phase::Loss { until } => self.on_ack_after_timeout(until, facts, congestion),
        }
        match self.phase {
            Phase::Open => {
                if self.detect(facts) {
                    self.enter_recovery(facts, congestion);
                } else {
                    Self::grow(facts, congestion);
                }
            }
            Phase::FastRecovery { .. } => {
                let found = self.detect(facts);
                self.pace(facts, found);
            }
            Phase::Loss { .. } => {
                self.judge(facts);
                Self::grow(facts, congestion);
            }
        }
    }

    /// What was overtaken is due (RFC 8985 6.3).
    pub(crate) fn on_due(&mut self, facts: &AckFacts, congestion: &mut dyn Congestion) {
        let found = self.judge(facts);
        if found && self.is_open() {
            self.enter_recovery(facts, congestion);
        }
    }

    /// The retransmission timer fired (RFC 6298 5.4). `first` tells whether it is the first time in a row, `frto`
    /// whether it is to be looked into whether it was needed.
    pub(crate) fn on_rto(
        &mut self,
        now: Instant,
        (una, nxt): (u64, u64),
        first: bool,
        frto: bool,
        congestion: &mut dyn Congestion,
    ) {
        let flight = (nxt - una).min(u64::from(u32::MAX)) as u32;
        let open = self.is_open();
        congestion.on_rto(now, flight, first && open);
        self.frto = if frto && !matches!(self.phase, Phase::FastRecovery { .. }) {
            Frto::Waiting
        } else {
            Frto::Off
        };
        self.board.judge_all();
        self.phase = Phase::Loss { until: nxt };
        self.duplicates = 0;
        self.force = true;
        let detection = self.detection();
        if open {
            detection.undo.forget();
        }
        detection.undo.begin(una);
        detection.prr = None;
        detection.due = None;
        detection.probe.forget();
    }

    /// Everything in flight is to be sent again, for a reason other than congestion: a SYN that was
    /// lost or crossed the peer's, or segments too large for the path.
    pub(crate) fn resend_all(&mut self) {
        self.board.judge_all();
        self.force = true;
    }

    /// What the acknowledgment tells of the order in which segments arrive.
    fn learn(&mut self, facts: &AckFacts) {
        let AckFacts {
            now,
            delivered,
            min_rtt,
            ..
        } = *facts;
        self.board.on_delivered(&delivered);
        let Detection { rack, undo, .. } = self.detection();
        if let Some(duplicated) = facts.duplicated {
            undo.on_duplicate(duplicated.end, duplicated.segments);
            rack.on_duplicate(facts.una, facts.nxt);
        }
        for (arrived, again) in [(delivered.newest, false), (delivered.newest_again, true)] {
            if let Some(transmission) = arrived {
                rack.on_arrived(now, transmission, again, min_rtt);
            }
        }
        rack.reordering |= delivered.reordered;
    }

    /// Reports of duplicates may come when all has been acknowledged.
    fn take_back_late(&mut self, facts: &AckFacts, congestion: &mut dyn Congestion) {
        let undo = &mut self.detection().undo;
        if undo.all_reported() {
            undo.forget();
            congestion.undo(facts.now);
        }
    }

    fn on_ack_in_recovery(
        &mut self,
        until: u64,
        facts: &AckFacts,
        congestion: &mut dyn Congestion,
    ) {
        let undo = &self.detection().undo;
        let needless = undo.all_reported() || facts.advanced && undo.is_for_original(facts.echo);
        if needless {
            self.take_back(facts, congestion);
        } else if facts.una >= until {
            self.end(facts, congestion);
        } else if facts.advanced && !facts.sack {
            // A partial acknowledgment: the next hole is lost too (RFC 6582 3.2 step 3).
            self.force |= self.board.judge_first(facts.mss);
        }
    }

    fn on_ack_after_timeout(
        &mut self,
        until: u64,
        facts: &AckFacts,
        congestion: &mut dyn Congestion,
    ) {
        let undo = &self.detection().undo;
        // Without SACK, what arrived before the retransmission is acknowledged with it only.
        let told_apart = facts.sack || !facts.delivered.retransmitted;
        let original = facts.delivered.original_before;
        let original = told_apart && original.is_some_and(|end| end <= until);
        let needless = undo.all_reported()
            || facts.advanced && undo.is_for_original(facts.echo)
            || self.frto != Frto::Off && original;
        if needless {
            self.take_back(facts, congestion);
            return;
        }
        self.frto = match self.frto {
            // RFC 5682 2.1 step 2.
            Frto::Waiting if facts.advanced && facts.has_new_data && facts.una < until => {
                Frto::Probing
            }
            // Step 3 comes with the next acknowledgment.
            Frto::Probing if !facts.advanced && !facts.duplicate => Frto::Probing,
            Frto::Waiting if !facts.advanced && !facts.duplicate => Frto::Waiting,
            _ => Frto::Off,
        };
        if facts.una >= until {
            self.end(facts, congestion);
        }
    }

    fn enter_recovery(&mut self, facts: &AckFacts, congestion: &mut dyn Congestion) {
        // RFC 9937 6: what was outstanding, less what the peer held before.
        let outstanding = self.board.in_flight() + self.board.lost() + facts.delivered.bytes;
        Self::reduce(facts, congestion);
        self.phase = Phase::FastRecovery { until: facts.nxt };
        self.force = true;
        // Without SACK duplicates do not tell what was delivered: the pipe and ssthresh meter (RFC 6582).
        let metered = facts.sack && !congestion.governs_recovery();
        let ssthresh = u64::from(congestion.ssthresh());
        let detection = self.detection();
        detection.undo.forget();
        detection.undo.begin(facts.una);
        detection.prr = metered.then(|| Prr::new(outstanding, ssthresh));
        self.pace(facts, true);
    }

    fn reduce(facts: &AckFacts, congestion: &mut dyn Congestion) {
        congestion.on_congestion(&CongestionEvent {
            now: facts.now,
            flight: saturated(facts.nxt - facts.una),
            cause: Cause::Loss,
        });
    }

    /// What may go out on this acknowledgment; `found` tells that it showed more to be lost.
    fn pace(&mut self, facts: &AckFacts, found: bool) {
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

    /// The episode ends as it should.
    fn end(&mut self, facts: &AckFacts, congestion: &mut dyn Congestion) {
        congestion.on_recovered(facts.now);
        self.detection().rack.on_recovered();
        self.open();
    }

    /// The episode was needless.
    fn take_back(&mut self, facts: &AckFacts, congestion: &mut dyn Congestion) {
        congestion.undo(facts.now);
        self.board.lose_nothing();
        self.detection().undo.forget();
        self.open();
    }

    fn open(&mut self) {
        self.phase = Phase::Open;
        self.force = false;
        self.frto = Frto::Off;
        self.detection().prr = None;
    }

    /// Whether the acknowledgment shows a loss. Three duplicates count even where the ranges alone do not tell
    /// (small segments).
    fn detect(&mut self, facts: &AckFacts) -> bool {
        let counted = self.duplicates >= DUP_THRESH && self.is_open();
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

    /// Judges by what the peer holds, and by time.
    fn judge(&mut self, facts: &AckFacts) -> bool {
        if !facts.sack {
            return false;
        }
        if !facts.rack {
            return self.board.judge_by_sack(facts.mss);
        }
        let sacked = self.board.sacked();
        let conditions = Conditions {
            min_rtt: facts.min_rtt,
            srtt: facts.srtt,
            recovering: !self.is_open(),
            many_sacked: self.duplicates >= DUP_THRESH
                || sacked >= u64::from(DUP_THRESH * facts.mss),
        };
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

    fn grow(facts: &AckFacts, congestion: &mut dyn Congestion) {
        // What is only held out of order is no progress (as Linux has it).
        if facts.delivered.bytes > 0 && facts.advanced {
            congestion.on_ack(&AckSample {
                now: facts.now,
                acked: saturated(facts.delivered.bytes),
                cwnd_limited: facts.cwnd_limited,
                rtt: facts.rtt,
                min_rtt: facts.min_rtt,
                srtt: facts.srtt,
                una: facts.una,
                nxt: facts.nxt,
                ..AckSample::default()
            });
        }
    }
}

fn saturated(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

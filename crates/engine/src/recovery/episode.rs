//! Loss episodes: when recovery begins and ends (RFC 5681, RFC 6582, RFC 6675), around the
//! scoreboard, which knows what is lost.

use super::scoreboard::{DUP_THRESH, Delivered, Scoreboard};
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
}

/// Loss recovery of one connection.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    pub(crate) board: Scoreboard,
    phase: Phase,
    /// Duplicate acknowledgments in a row.
    duplicates: u32,
    /// The next retransmission may exceed the congestion window: the first of an episode (RFC 5681
    /// 3.2 step 3).
    force: bool,
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

    /// Whether the next retransmission goes out regardless of the congestion window.
    pub(crate) fn is_forced(&self) -> bool {
        self.force
    }

    pub(crate) fn on_retransmitted(&mut self, start: u64, end: u64, now: Instant) {
        self.board.on_retransmitted(start, end, now);
        self.force = false;
    }

    /// An acknowledgment came, and the scoreboard has taken it in.
    pub(crate) fn on_ack(&mut self, facts: &AckFacts, congestion: &mut dyn Congestion) {
        if facts.advanced {
            self.duplicates = 0;
        } else if facts.duplicate {
            self.duplicates += 1;
        }
        match self.phase {
            Phase::FastRecovery { until } | Phase::Loss { until } if facts.una >= until => {
                self.phase = Phase::Open;
                self.force = false;
            }
            Phase::FastRecovery { .. } if facts.advanced && !facts.sack => {
                // A partial acknowledgment: the next hole is lost too (RFC 6582 3.2 step 3).
                self.force |= self.board.judge_first(facts.mss);
            }
            _ => {}
        }
        match self.phase {
            Phase::Open => {
                if self.detect(facts) {
                    let flight = (facts.nxt - facts.una).min(u64::from(u32::MAX)) as u32;
                    congestion.on_congestion(&CongestionEvent {
                        now: facts.now,
                        flight,
                        cause: Cause::Loss,
                    });
                    self.phase = Phase::FastRecovery { until: facts.nxt };
                    self.force = true;
                } else {
                    Self::grow(facts, congestion);
                }
            }
            Phase::FastRecovery { .. } => {
                self.detect(facts);
            }
            Phase::Loss { .. } => {
                self.board.judge_by_sack(facts.mss);
                Self::grow(facts, congestion);
            }
        }
    }

    /// The retransmission timer fired (RFC 6298 5.4). `first` tells whether it is the first time in a row.
    pub(crate) fn on_rto(
        &mut self,
        now: Instant,
        una: u64,
        nxt: u64,
        first: bool,
        congestion: &mut dyn Congestion,
    ) {
        let flight = (nxt - una).min(u64::from(u32::MAX)) as u32;
        congestion.on_rto(now, flight, first && self.phase == Phase::Open);
        self.board.judge_all();
        self.phase = Phase::Loss { until: nxt };
        self.duplicates = 0;
        self.force = true;
    }

    /// Everything in flight is to be sent again, for a reason other than congestion: a SYN that was
    /// lost or crossed the peer's, or segments too large for the path.
    pub(crate) fn resend_all(&mut self) {
        self.board.judge_all();
        self.force = true;
    }

    fn detect(&mut self, facts: &AckFacts) -> bool {
        if facts.sack {
            let by_range = self.board.judge_by_sack(facts.mss);
            // Three duplicates count even where the ranges alone do not tell (small segments).
            let by_count = self.duplicates >= DUP_THRESH
                && self.phase == Phase::Open
                && self.board.sacked() > 0
                && self.board.judge_first(facts.mss);
            by_range || by_count
        } else {
            self.duplicates >= DUP_THRESH
                && self.phase == Phase::Open
                && self.board.judge_first(facts.mss)
        }
    }

    fn grow(facts: &AckFacts, congestion: &mut dyn Congestion) {
        if facts.delivered.bytes > 0 {
            congestion.on_ack(&AckSample {
                now: facts.now,
                acked: facts.delivered.bytes.min(u64::from(u32::MAX)) as u32,
                cwnd_limited: facts.cwnd_limited,
                una: facts.una,
                nxt: facts.nxt,
                ..AckSample::default()
            });
        }
    }
}

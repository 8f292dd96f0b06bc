//! The state of loss detection beyond the scoreboard, and its update by each acknowledgment.

use super::prr::Prr;
use super::rack::Rack;
use super::sampler::Sampler;
use super::scoreboard::segments;
use super::tail_probe::TailProbe;
use super::undo::Undo;
use crate::tcp::recovery::ack_facts::{AckFacts, Duplicated};
use crate::time::Instant;

/// The state of loss detection.
#[derive(Debug, Default)]
pub(crate) struct Detection {
    pub(crate) rack: Rack,
    pub(crate) undo: Undo,
    pub(crate) prr: Option<Prr>,
    pub(crate) probe: TailProbe,
    /// The time at which overtaken data counts as lost.
    pub(crate) due: Option<Instant>,
    /// The data that the last timeout left in flight.
    pub(crate) spared: Option<Spared>,
    /// SND.NXT when the last episode began (RFC 6582's "recover").
    pub(crate) recover: u64,
    /// SND.NXT when the first of the consecutive duplicate acknowledgments arrived.
    pub(crate) undisturbed: u64,
    /// The number of retransmissions during the connection's lifetime.
    retransmissions: u32,
    /// The delivery rate samples, if congestion control requests them.
    pub(crate) sampler: Option<Sampler>,
    findings: Findings,
}

/// Data that was sent too recently to be judged lost when the retransmission timer fired.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spared {
    /// The start of the data.
    pub(crate) from: u64,
    pub(crate) bytes: u64,
}

/// The statistics of a connection that may be queried.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Findings {
    /// Segments that the peer reported as received twice.
    pub(crate) duplicates: u32,
    /// The number of times that segments were found to be reordered.
    pub(crate) reorderings: u32,
    /// The maximum number of segments by which one was overtaken.
    pub(crate) reordering: u32,
    /// The last delivery rate measured, in bytes per second.
    pub(crate) delivery_rate: Option<u64>,
}

impl Detection {
    /// Records transmission number `serial`; `in_flight` is the number of bytes in flight before
    /// it.
    pub(crate) fn on_sent(&mut self, now: Instant, serial: u64, bytes: u64, in_flight: u64) {
        if let Some(prr) = &mut self.prr {
            prr.on_sent(bytes);
        }
        if let Some(sampler) = &mut self.sampler {
            sampler.on_sent(now, serial, saturated(bytes), saturated(in_flight));
        }
    }

    /// Evaluates what an acknowledgment shows of the order in which segments arrive. Transmissions
    /// before number `oldest` are complete.
    pub(crate) fn on_ack(&mut self, facts: &AckFacts, oldest: u64, after_timeout: bool) {
        let delivered = &facts.delivered;
        if let Some(sampler) = &mut self.sampler {
            let newest = delivered.newest.max(delivered.newest_again);
            sampler.on_delivered(&facts.heard, saturated(delivered.bytes), newest);
            sampler.forget_before(oldest);
        }
        if let Some(duplicated) = facts.duplicated {
            self.on_duplicate(duplicated, facts, after_timeout);
        }
        let heard = facts.heard;
        for (arrived, again) in [(delivered.newest, false), (delivered.newest_again, true)] {
            if let Some(transmission) = arrived {
                self.rack
                    .on_arrived(&heard, transmission, again, facts.min_rtt);
            }
        }
        if let Some((at, again)) = delivered.last {
            self.rack.on_last_arrived(&heard, at, again, facts.min_rtt);
        }
        if delivered.overtaken > 0 {
            let by = segments(delivered.overtaken, facts.mss);
            self.findings.reordering = self.findings.reordering.max(by);
            self.note_reordering();
        }
    }

    /// Records that a segment was sent again, with this timestamp if there is one.
    pub(crate) fn on_retransmitted(&mut self, stamp: Option<u32>) {
        self.retransmissions = self.retransmissions.saturating_add(1);
        self.undo.on_retransmitted(stamp);
    }

    fn on_duplicate(&mut self, duplicated: Duplicated, facts: &AckFacts, after_timeout: bool) {
        let count = &mut self.findings.duplicates;
        *count = count.saturating_add(duplicated.segments);
        // RFC 3708 2: the network also duplicates segments, which shows nothing. Duplicates in
        // excess of our retransmissions cannot be ours.
        if *count > self.retransmissions {
            return;
        }
        // RFC 8985 6.2 step 4: not for a tail loss probe, nor if no reordering was observed (as in
        // Linux).
        if self.rack.reordering && !self.probe.is_reported_by(duplicated) {
            self.rack.on_duplicate(facts.una, facts.nxt);
        }
        let needless = self.undo.on_duplicate(duplicated.end, duplicated.segments);
        if needless && !after_timeout {
            self.note_reordering();
        }
    }

    /// Records that data judged lost was reordered, or may have been: from now on, loss detection
    /// waits for reordered segments.
    pub(crate) fn note_reordering(&mut self) {
        self.rack.reordering = true;
        self.findings.reorderings = self.findings.reorderings.saturating_add(1);
    }

    pub(crate) fn findings(&self) -> Findings {
        Findings {
            delivery_rate: self.sampler.as_ref().and_then(Sampler::last),
            ..self.findings
        }
    }
}

pub(crate) fn saturated(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

//! The minimum round-trip time, and its measurement by emptying the queue (5.3.4).

use std::time::Duration;

use super::{Bbr, State};
use crate::congestion::AckSample;
use crate::time::Instant;

/// Age at which a minimum round-trip time expires (BBR.MinRTTFilterLen).
const MIN_RTT_AGE: Duration = Duration::from_secs(10);
/// Time after the queue was emptied, or a shorter round-trip time was measured, at which the queue
/// is emptied again (BBR.ProbeRTTInterval): twice in the lifetime of a measurement.
const INTERVAL: Duration = Duration::from_secs(5);
/// Time for which almost nothing is in flight (BBR.ProbeRTTDuration).
const DURATION: Duration = Duration::from_millis(200);

/// The state of the measurement of the round-trip time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RttProbe {
    /// The minimum round-trip time.
    pub(crate) min: Option<Duration>,
    /// Time at which it was measured.
    at: Instant,
    /// The minimum since the queue was last known to be empty.
    recent: Option<Duration>,
    /// Time at which that was measured, or the queue was last emptied.
    recent_at: Instant,
    /// Whether that time was too long ago when the current acknowledgment arrived.
    expired: bool,
    /// The window while probing.
    pub(crate) cwnd: u32,
    /// Time at which probing may end, once the queue is empty.
    done_at: Option<Instant>,
    /// Whether a round trip has passed since then.
    round_done: bool,
}

impl Bbr {
    pub(crate) fn update_min_rtt(&mut self, sample: &AckSample) {
        let (rtt, now) = (&mut self.rtt, sample.now);
        rtt.expired = rtt.recent.is_some() && now > rtt.recent_at + INTERVAL;
        if let Some(measured) = sample.rtt
            && (rtt.expired || rtt.recent.is_none_or(|recent| measured < recent))
        {
            (rtt.recent, rtt.recent_at) = (Some(measured), now);
        }
        let stale = now > rtt.at + MIN_RTT_AGE;
        if let Some(recent) = rtt.recent
            && (stale || rtt.min.is_none_or(|min| recent < min))
        {
            (rtt.min, rtt.at) = (Some(recent), rtt.recent_at);
        }
    }

    pub(crate) fn check_probe_rtt(&mut self, sample: &AckSample) {
        if self.state != State::ProbeRtt && self.is_time_to_probe_rtt(sample.now) {
            self.save_cwnd();
            self.state = State::ProbeRtt;
            self.rtt.cwnd = self.bdp(self.bw, 50).max(self.min_pipe());
            self.rtt.done_at = None;
            self.cycle.stop();
            self.rounds.restart(self.delivered);
        }
        if self.state == State::ProbeRtt {
            self.on_probe_rtt_ack(sample);
        }
        if sample.acked > 0 {
            self.idle_restart = false;
        }
    }

    /// Not during a probe for bandwidth, unless the round-trip time has expired: on a path whose
    /// queue makes round trips long, no such probe would end, and a bandwidth that was measured
    /// once would be used for ever.
    fn is_time_to_probe_rtt(&self, now: Instant) -> bool {
        let probes = matches!(self.state, State::ProbeRefill | State::ProbeUp);
        self.rtt.expired && !self.idle_restart && !(probes && now <= self.rtt.at + MIN_RTT_AGE)
    }

    pub(crate) fn check_probe_rtt_done(&mut self, now: Instant) {
        if self.rtt.done_at.is_some_and(|done_at| now > done_at) {
            self.rtt.recent_at = now;
            self.restore_cwnd();
            self.bounds.reset_short();
            if self.full_pipe.reached {
                // Little is in flight: there is no queue to drain.
                self.start_down(now);
                self.start_cruise();
            } else {
                self.enter_startup();
            }
        }
    }

    fn on_probe_rtt_ack(&mut self, sample: &AckSample) {
        // Rates measured in this phase reflect this window and not the path.
        self.self_limited_until = Some(self.delivered + u64::from(sample.in_flight));
        if self.rtt.done_at.is_none() {
            if sample.in_flight <= self.rtt.cwnd {
                self.rtt.done_at = Some(sample.now + DURATION);
                self.rtt.round_done = false;
                self.rounds.restart(self.delivered);
            }
            return;
        }
        self.rtt.round_done |= self.rounds.started;
        if self.rtt.round_done {
            self.check_probe_rtt_done(sample.now);
        }
    }
}

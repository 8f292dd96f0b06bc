//! The control parameters derived from the model: the pacing rate and the congestion window (5.6).

use std::time::Duration;

use super::loss::percent_of;
use super::{Bbr, State};
use crate::congestion::per_second;

/// Percentage by which the pacing rate stays below the bandwidth, so that queues drain
/// (BBR.PacingMarginPercent).
const PACING_MARGIN: u64 = 1;
/// Minimum number of segments in flight that keeps acknowledgments coming (BBR.MinPipeCwnd).
const MIN_PIPE_SEGMENTS: u32 = 4;
/// The largest burst sent in one go, in bytes (5.6.3).
const MAX_QUANTUM: u64 = 64 << 10;

impl Bbr {
    /// 5.6.1: the gain of the pacing rate in the current state.
    fn pacing_gain(&self) -> u64 {
        match self.state {
            State::Startup => 277,
            State::Drain { .. } => 50,
            State::ProbeDown => 90,
            State::ProbeCruise | State::ProbeRefill | State::ProbeRtt => 100,
            State::ProbeUp => 125,
        }
    }

    /// 5.6.1: the gain of the congestion window in the current state.
    fn cwnd_gain(&self) -> u64 {
        match self.state {
            State::ProbeUp => 225,
            State::ProbeRtt => 50,
            _ => 200,
        }
    }

    pub(crate) fn min_pipe(&self) -> u32 {
        MIN_PIPE_SEGMENTS * self.mss
    }

    /// The pacing rate before any bandwidth was measured (5.6.2).
    pub(crate) fn initial_pacing(&self, srtt: Option<Duration>) -> u64 {
        let srtt = srtt
            .filter(|srtt| !srtt.is_zero())
            .unwrap_or(Duration::from_millis(1));
        percent_of(per_second(u64::from(self.initial_window), srtt), 277)
    }

    pub(crate) fn set_pacing(&mut self, srtt: Option<Duration>) {
        if self.pacing == 0 && srtt.is_some() {
            self.pacing = self.initial_pacing(srtt);
        }
        self.set_pacing_with_gain(self.pacing_gain());
    }

    /// Until the pipe has been full once, the rate only rises.
    pub(crate) fn set_pacing_with_gain(&mut self, gain: u64) {
        let rate = percent_of(percent_of(self.bw, gain), 100 - PACING_MARGIN);
        if self.full_pipe.reached || rate > self.pacing {
            self.pacing = rate.max(1);
        }
    }

    /// Bytes that fill the path at bandwidth `bw`, times `gain`.
    pub(crate) fn bdp(&self, bw: u64, gain: u64) -> u32 {
        let Some(rtt) = self.rtt.min else {
            return self.initial_window;
        };
        let bytes = u128::from(bw) * rtt.as_nanos() / 1_000_000_000 * u128::from(gain) / 100;
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    /// The same with room for aggregation into bursts on the path (5.6.4.2).
    pub(crate) fn inflight_target(&self, bw: u64, gain: u64) -> u32 {
        self.quantized(self.bdp(bw, gain))
    }

    /// Removes `acked` bytes from the flight and sets the window by the model (5.6.4.6).
    pub(crate) fn set_cwnd(&mut self, acked: u32) {
        let volume = self.bdp(self.bw, self.cwnd_gain());
        let most = self.quantized(volume.saturating_add(self.aggregation.extra()));
        let grown = self.cwnd.saturating_add(acked);
        if self.full_pipe.reached {
            self.cwnd = grown.min(most);
        } else if self.cwnd < most || self.delivered < u64::from(self.initial_window) {
            self.cwnd = grown;
        }
        self.cwnd = self.cwnd.max(self.min_pipe());
        if self.state == State::ProbeRtt {
            self.cwnd = self.cwnd.min(self.rtt.cwnd);
        }
        self.cwnd = self.cwnd.min(self.volume_cap());
    }

    /// Saves the window as it was before loss recovery or probing of the round-trip time.
    pub(crate) fn save_cwnd(&mut self) {
        self.prior_cwnd = if self.in_recovery || self.state == State::ProbeRtt {
            self.prior_cwnd.max(self.cwnd)
        } else {
            self.cwnd
        };
    }

    pub(crate) fn restore_cwnd(&mut self) {
        self.cwnd = self.cwnd.max(self.prior_cwnd);
    }

    /// 5.6.4.7: the volume that recent congestion allows.
    fn volume_cap(&self) -> u32 {
        let long = match self.state {
            State::ProbeCruise | State::ProbeRtt => self.inflight_with_headroom(),
            state if state.is_probe_bw() => self.bounds.inflight_long.unwrap_or(u32::MAX),
            _ => u32::MAX,
        };
        let short = self.bounds.inflight_short.unwrap_or(u32::MAX);
        long.min(short).max(self.min_pipe())
    }

    fn quantized(&self, volume: u32) -> u32 {
        // One burst being assembled at the sender, one being split, and one unacknowledged at the
        // receiver (5.5.8).
        let budget = 3 * self.quantum();
        let volume = volume.max(budget).max(self.min_pipe());
        if self.state == State::ProbeUp {
            volume.saturating_add(2 * self.mss)
        } else {
            volume
        }
    }

    /// The size of a burst at the current rate (5.6.3).
    fn quantum(&self) -> u32 {
        let quantum = (self.pacing / 1000).min(MAX_QUANTUM) as u32;
        quantum.max(2 * self.mss)
    }
}

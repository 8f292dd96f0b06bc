//! The timers that keep data from being held back for ever (RFC 9293 3.8.6.1, 3.8.6.2.1).

use std::time::Duration;

use super::super::sender::Sender;
use super::super::{Context, Tcb};
use super::decide::Held;
use crate::time::Instant;
use crate::timer::TimerKind;

/// Maximum time for which a cork holds back a small segment (Linux's ceiling).
const CORK_LIMIT: Duration = Duration::from_millis(200);

impl Tcb {
    /// RFC 9293 MUST-60.
    pub(crate) fn on_held(&mut self, held: Held, cx: &mut Context<'_>) {
        match held {
            Held::Nothing | Held::ByNagle => self.sender.note_app_limited(self.agreed.sack),
            Held::ByWriter => {}
            Held::ByPacing(at) => self.timers.arm(TimerKind::Pacing, at),
            Held::ByCongestion => self.sender.note_cwnd_usage(true),
            Held::ByCork => {
                self.sender.note_app_limited(self.agreed.sack);
                self.arm_persist(cx.now + CORK_LIMIT);
            }
            Held::ByWindow => {
                // While data is in flight, its acknowledgment brings the window.
                if self.sender.recovery.board.is_empty() {
                    let timeout = self.sender.probe_timeout(self.options.max_rto);
                    self.arm_persist(cx.now + timeout);
                    self.note_stall(true, cx.now);
                }
            }
        }
    }

    fn arm_persist(&mut self, at: Instant) {
        if !self.timers.is_armed(TimerKind::Persist) {
            self.timers.arm(TimerKind::Persist, at);
        }
    }
}

impl Sender {
    /// SHLD-29, SHLD-30: the first probe after one retransmission timeout, then with exponential
    /// backoff up to `most`.
    pub(in crate::tcp::connection) fn probe_timeout(&self, most: Duration) -> Duration {
        let factor = 1u32 << self.probe_backoff.min(16);
        self.rtt.rto().saturating_mul(factor).min(most)
    }

    /// The application provides less data than could be in flight.
    fn note_app_limited(&mut self, sack: bool) {
        let pipe = self.pipe(sack);
        if self.recovery.board.lost() == 0 && pipe < self.cwnd() {
            self.recovery.mark_app_limited();
        }
    }
}

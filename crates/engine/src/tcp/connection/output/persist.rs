//! The timers that keep data from being held back for ever (RFC 9293 3.8.6.1, 3.8.6.2.1).

use std::time::Duration;

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
            Held::Nothing | Held::ByNagle => self.note_app_limited(),
            Held::ByWriter => {}
            Held::ByPacing(at) => self.timers.arm(TimerKind::Pacing, at),
            Held::ByCongestion => self.cwnd_usage.note(
                true,
                self.recovery.board.in_flight(),
                self.snd.una,
                self.snd.nxt,
            ),
            Held::ByCork => {
                self.note_app_limited();
                self.arm_persist(cx.now + CORK_LIMIT);
            }
            Held::ByWindow => {
                // While data is in flight, its acknowledgment brings the window.
                if self.recovery.board.is_empty() {
                    let timeout = self.probe_timeout();
                    self.arm_persist(cx.now + timeout);
                    self.note_stall(true, cx.now);
                }
            }
        }
    }

    /// SHLD-29, SHLD-30: the first probe after one retransmission timeout, then with exponential
    /// backoff.
    pub(in crate::tcp::connection) fn probe_timeout(&self) -> Duration {
        let factor = 1u32 << self.probe_backoff.min(16);
        self.rtt
            .rto()
            .saturating_mul(factor)
            .min(self.options.max_rto)
    }

    /// The application provides less data than could be in flight.
    fn note_app_limited(&mut self) {
        let pipe = self.recovery.pipe(self.agreed.sack, self.snd.mss);
        if self.recovery.board.lost() == 0 && pipe < self.cwnd() {
            self.recovery.mark_app_limited();
        }
    }

    fn arm_persist(&mut self, at: Instant) {
        if !self.timers.is_armed(TimerKind::Persist) {
            self.timers.arm(TimerKind::Persist, at);
        }
    }
}

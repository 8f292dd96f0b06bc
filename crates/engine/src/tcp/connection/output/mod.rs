//! What a connection sends: decide (pure) -> build -> account.
//!
//! [`decide`] looks and changes nothing; [`build`] writes the packet; [`account`] takes note that it
//! went. The decision also says what holds sending back, from which the timers follow.

mod account;
pub(crate) mod ack_policy;
mod build;
pub(crate) mod cwnd_usage;
pub(crate) mod decide;
mod persist;
pub(crate) mod sack_report;
mod window;

use self::decide::{Decision, decide};
use super::{Context, Tcb};
use crate::transmit::Transmit;

pub(crate) use self::window::initial_offer;

impl Tcb {
    /// Writes the next packet to `out`, if there is one to send now.
    pub(crate) fn poll_transmit(&mut self, cx: &mut Context<'_>, out: &mut Transmit) -> bool {
        self.restart_after_idle(cx.now);
        if self.syn_acked() {
            self.follow_path_mtu(cx);
        }
        match decide(self, cx.now, &cx.config.offload) {
            Decision::Send(action) => {
                self.build(&action, cx, out);
                self.account(&action, cx);
                true
            }
            Decision::Wait(held) => {
                self.on_held(held, cx);
                false
            }
        }
    }
}

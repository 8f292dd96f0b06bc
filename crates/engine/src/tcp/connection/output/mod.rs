//! The output of a connection: decide (pure) -> build -> account.
//!
//! [`decide`] reads the connection and changes nothing; [`build`] writes the packet; [`account`]
//! records the transmission. The decision also tells what holds back data, which determines the
//! timers.

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
    /// Writes the next packet to `out`, if one can be sent now.
    pub(crate) fn poll_transmit(&mut self, cx: &mut Context<'_>, out: &mut Transmit) -> bool {
        if self.options.slow_start_after_idle {
            self.sender.restart_after_idle(cx.now);
        }
        if self.sender.syn_acked() {
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

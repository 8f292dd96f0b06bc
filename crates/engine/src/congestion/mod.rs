//! Congestion control: how much may be in flight. It owns the congestion window and the slow-start
//! threshold; finding out what was lost, and what to send again, is the recovery module's.

mod new_reno;

use std::fmt::Debug;

use crate::config::CongestionControl;
use crate::time::Instant;

pub use self::new_reno::NewReno;

/// What one acknowledgment says.
#[derive(Clone, Copy, Debug)]
pub struct AckSample {
    /// When the packet with the acknowledgment arrived.
    pub now: Instant,
    /// Bytes newly acknowledged or selectively acknowledged.
    pub acked: u32,
    /// The congestion window, and not the application or the peer's window, held sending back. If
    /// not, the window must not grow (RFC 7661's spirit).
    pub cwnd_limited: bool,
}

/// An algorithm that decides on the congestion window. All sizes are in bytes (RFC 9293 MAY-18).
pub trait Congestion: Debug + Send {
    /// The name that `TCP_CONGESTION` would show.
    fn name(&self) -> &'static str;

    /// Bytes that may be in flight.
    fn cwnd(&self) -> u32;

    /// Slow-start threshold; `u32::MAX` before the first loss.
    fn ssthresh(&self) -> u32;

    /// New data was acknowledged outside of fast recovery.
    fn on_ack(&mut self, sample: &AckSample);

    /// Loss was detected by acknowledgments, once per episode (RFC 5681 3.2). `flight` is what was
    /// in flight at that time.
    fn on_congestion(&mut self, now: Instant, flight: u32);

    /// The retransmission timer fired. `first` tells the first time in a row (RFC 5681 3.1: ssthresh is
    /// not lowered again for the same segment).
    fn on_rto(&mut self, now: Instant, flight: u32, first: bool);

    /// Sending starts again after nothing was sent for longer than a retransmission timeout (RFC 5681 4.1).
    fn on_idle_restart(&mut self, now: Instant);

    /// The size of a full segment changed.
    fn set_mss(&mut self, mss: u32);
}

/// The initial window in bytes: `segments` full ones (RFC 6928, ten; counted in segments as Linux does, so
/// that a device with a large MTU is not held to the RFC's 14,600 bytes).
#[must_use]
pub fn initial_window(segments: u8, mss: u32) -> u32 {
    u32::from(segments.max(1)).saturating_mul(mss)
}

pub(crate) fn new(kind: CongestionControl, initial_window: u32, mss: u32) -> Box<dyn Congestion> {
    match kind {
        CongestionControl::NewReno => Box::new(NewReno::new(initial_window, mss)),
    }
}

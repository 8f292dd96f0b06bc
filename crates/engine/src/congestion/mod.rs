//! Congestion control: the volume that may be in flight, and the rate at which it may be sent. This
//! module owns the congestion window and the slow-start threshold; the recovery module determines
//! which segments were lost and which to retransmit.
//!
//! [`NewReno`], [`Cubic`] and [`Bbr`] are defined here, in a file or a folder each; `hystart` ends
//! CUBIC's first slow start. Their input comes from recovery and from [`rate`]; [`pacing`] spaces
//! segments according to their output.
//!
//! An external algorithm implements [`Congestion`] and is selected by an [`Algorithm`].

mod bbr;
mod choice;
mod controller;
mod cubic;
mod hystart;
mod new_reno;
pub mod pacing;
pub mod rate;
#[cfg(test)]
mod simulated;

use std::fmt::Debug;
use std::time::Duration;

use crate::time::Instant;

pub use self::bbr::Bbr;
pub use self::choice::{CongestionControl, UnknownCongestionControl};
pub(crate) use self::controller::{Control, PacingWish};
pub use self::cubic::Cubic;
pub use self::new_reno::NewReno;

/// The information in one acknowledgment. All amounts are in bytes.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct AckSample {
    /// Arrival time of the packet with the acknowledgment.
    pub now: Instant,
    /// Bytes newly acknowledged or selectively acknowledged.
    pub acked: u32,
    /// Whether the congestion window, and not the application or the peer's window, limited
    /// sending. If not, the window must not grow (in the spirit of RFC 7661).
    pub cwnd_limited: bool,
    /// Whether segments are spaced by [`Congestion::pacing_rate`], so that growth causes no bursts
    /// (RFC 9406 4.2).
    pub paced: bool,
    /// Estimated bytes in the network after this acknowledgment (RFC 6675's pipe).
    pub in_flight: u32,
    /// Bytes marked lost on this acknowledgment.
    pub lost: u32,
    /// The round-trip time measured by this acknowledgment, if any.
    pub rtt: Option<Duration>,
    /// The minimum round-trip time of the recent past (a window of minutes).
    pub min_rtt: Option<Duration>,
    /// The smoothed round-trip time (RFC 6298's SRTT).
    pub srtt: Option<Duration>,
    /// Position of the first unacknowledged byte: SND.UNA after this acknowledgment.
    pub una: u64,
    /// Position after the last byte sent: SND.NXT. A round trip ends when it is acknowledged.
    pub nxt: u64,
    /// The recent delivery rate, if this acknowledgment gives a sample.
    pub rate: Option<RateSample>,
    /// Whether the acknowledgment carries ECN-Echo (RFC 3168 6.1.2).
    pub ecn_echo: bool,
}

/// The amount delivered between the sending of a segment and its acknowledgment
/// (draft-cheng-iccrg-delivery-rate-estimation 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateSample {
    /// Bytes delivered in `interval`.
    pub delivered: u64,
    /// The longer of the time in which they were sent and the time in which they were acknowledged.
    pub interval: Duration,
    /// Whether the application provided less data than could be sent, so that the rate may be too
    /// low.
    pub app_limited: bool,
    /// Bytes delivered on this connection when the segment was sent.
    pub prior_delivered: u64,
    /// Bytes delivered on this connection so far.
    pub total_delivered: u64,
    /// Bytes in flight just after the segment was sent, including it.
    pub prior_in_flight: u32,
    /// Bytes marked lost since the segment was sent.
    pub lost: u64,
}

impl RateSample {
    /// The rate in bytes per second; zero if no time passed.
    #[must_use]
    pub fn bytes_per_second(&self) -> u64 {
        per_second(self.delivered, self.interval)
    }
}

/// A segment that was marked lost, and the state when it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LostSegment {
    /// Time at which it was marked lost.
    pub now: Instant,
    /// Its length in bytes.
    pub bytes: u32,
    /// Whether the application provided less data than could be sent when it was sent.
    pub app_limited: bool,
    /// Bytes in flight just after it was sent, including it.
    pub prior_in_flight: u32,
    /// Bytes delivered on this connection when it was sent.
    pub prior_delivered: u64,
    /// Bytes marked lost since it was sent, including it.
    pub lost: u64,
}

/// The indication of congestion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Segments were lost.
    Loss,
    /// A segment was lost that a tail loss probe has retransmitted (RFC 8985 7.4.2): there is
    /// nothing left to recover.
    Probe,
    /// A router marked segments (RFC 3168).
    Ecn,
}

/// An indication of congestion by acknowledgments: the beginning of an episode.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CongestionEvent {
    /// Arrival time of the packet with the indication.
    pub now: Instant,
    /// Bytes between SND.UNA and SND.NXT at that time (RFC 5681's FlightSize).
    pub flight: u32,
    /// The kind of indication.
    pub cause: Cause,
}

/// An algorithm that controls the congestion window. All sizes are in bytes (RFC 9293 MAY-18).
///
/// Recovery calls [`on_congestion`](Self::on_congestion) or [`on_rto`](Self::on_rto) when an
/// episode begins, and [`on_recovered`](Self::on_recovered) when the data then in flight has been
/// acknowledged, or [`undo`](Self::undo) when nothing had been lost. It calls
/// [`on_ack`](Self::on_ack) outside of fast recovery, including after a timeout. In fast recovery
/// proportional rate reduction (RFC 9937) controls sending, unless the algorithm [governs
/// recovery](Self::governs_recovery) itself. For one acknowledgment the order of calls is the end
/// of an episode, [`on_lost`](Self::on_lost), the beginning of another episode,
/// [`on_ack`](Self::on_ack).
pub trait Congestion: Debug + Send {
    /// The name in `TCP_CONGESTION`.
    fn name(&self) -> &'static str;

    /// Bytes that may be in flight.
    fn cwnd(&self) -> u32;

    /// Slow-start threshold; `u32::MAX` before the first loss.
    fn ssthresh(&self) -> u32;

    /// New data was acknowledged outside of fast recovery. An algorithm that [governs
    /// recovery](Self::governs_recovery) receives every acknowledgment, after
    /// [`on_lost`](Self::on_lost) for the losses that it revealed.
    fn on_ack(&mut self, sample: &AckSample);

    /// Congestion was indicated, once per episode (RFC 5681 3.2, RFC 3168 6.1.2): lowers
    /// [`ssthresh`](Self::ssthresh) and [`cwnd`](Self::cwnd) to the values at which the episode is
    /// to end.
    fn on_congestion(&mut self, event: &CongestionEvent);

    /// A segment was marked lost, by acknowledgments or by the timer. Does nothing by default: most
    /// algorithms need to know of episodes only. A model of the path needs each loss, and [requests
    /// them](Self::needs_rate_samples).
    fn on_lost(&mut self, _segment: &LostSegment) {}

    /// The retransmission timer fired with `flight` bytes outstanding. `first` means that it is the
    /// first time in a row (RFC 5681 3.1: ssthresh is not lowered again for the same segment).
    fn on_rto(&mut self, now: Instant, flight: u32, first: bool);

    /// The last episode or timeout was spurious (RFC 5682, RFC 4015, RFC 3708): restores the
    /// window, which must be at least as large as before, the threshold, and all other values
    /// changed by it (RFC 9438 4.9).
    fn undo(&mut self, now: Instant);

    /// The episode is over: all data in flight at its beginning has been acknowledged.
    fn on_recovered(&mut self, _now: Instant) {}

    /// A segment is sent while nothing is outstanding, because there was nothing to send; the
    /// previous one was sent `silence` ago.
    fn on_send_from_idle(&mut self, _now: Instant, _silence: Duration) {}

    /// Sending restarts after an idle period of `timeouts` retransmission timeouts, one or more
    /// (RFC 5681 4.1).
    fn on_idle_restart(&mut self, now: Instant, timeouts: u32);

    /// Continues from another algorithm, with its window and its threshold. By default starts as a
    /// new connection does.
    fn take_over(&mut self, _cwnd: u32, _ssthresh: u32) {}

    /// The size of a full segment changed.
    fn set_mss(&mut self, mss: u32);

    /// The sending rate in bytes per second, or `None` to send as fast as the window allows.
    ///
    /// The default is that of Linux: twice the window per smoothed round trip while the window
    /// still doubles, 1.2 times later, so that pacing never limits the window.
    fn pacing_rate(&self, srtt: Option<Duration>) -> Option<u64> {
        let doubling = self.cwnd() < self.ssthresh() / 2;
        let percent = if doubling { 200 } else { 120 };
        let srtt = srtt.filter(|srtt| !srtt.is_zero())?;
        Some(per_second(u64::from(self.cwnd()) * percent / 100, srtt))
    }

    /// Whether segments must be paced, whatever the socket's options are.
    fn needs_pacing(&self) -> bool {
        false
    }

    /// Whether the delivery rate must be measured ([`AckSample::rate`]), and each loss reported
    /// ([`on_lost`](Self::on_lost)), from the connection's first flight on.
    fn needs_rate_samples(&self) -> bool {
        false
    }

    /// Whether the algorithm controls the window in recovery itself: proportional rate reduction is
    /// not used, and [`on_ack`](Self::on_ack) is called for every acknowledgment.
    fn governs_recovery(&self) -> bool {
        false
    }
}

/// An algorithm from outside the engine, selected for a stack or a socket as
/// [`CongestionControl::Custom`].
///
/// # Examples
///
/// ```
/// use millstream_engine::congestion::{Algorithm, NewReno};
/// use millstream_engine::{CongestionControl, SocketOptions};
///
/// static CAUTIOUS: Algorithm = Algorithm::new("cautious", |initial_window, mss| {
///     Box::new(NewReno::new(initial_window.min(2 * mss), mss))
/// });
/// let options = SocketOptions::default().congestion(CongestionControl::Custom(&CAUTIOUS));
/// assert_eq!(options.congestion.name(), "cautious");
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Algorithm {
    /// The name in `TCP_CONGESTION`, which also identifies the algorithm.
    pub name: &'static str,
    /// Creates the state of a connection with the given initial window and segment size, both in
    /// bytes. Called for a connection's first data, or when the algorithm is changed.
    pub create: fn(initial_window: u32, mss: u32) -> Box<dyn Congestion>,
}

impl Algorithm {
    /// Creates an algorithm from its name and the function that creates its state for one
    /// connection.
    #[must_use]
    pub const fn new(
        name: &'static str,
        create: fn(initial_window: u32, mss: u32) -> Box<dyn Congestion>,
    ) -> Self {
        Self { name, create }
    }
}

impl PartialEq for Algorithm {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Algorithm {}

/// The initial window in bytes: `segments` full segments (RFC 6928, ten; counted in segments as on
/// Linux, so that the RFC's limit of 14,600 bytes does not apply to a device with a large MTU).
#[must_use]
pub fn initial_window(segments: u8, mss: u32) -> u32 {
    u32::from(segments.max(1)).saturating_mul(mss)
}

fn create(kind: CongestionControl, initial_window: u32, mss: u32) -> Box<dyn Congestion> {
    match kind {
        CongestionControl::NewReno => Box::new(NewReno::new(initial_window, mss)),
        CongestionControl::Cubic => Box::new(Cubic::new(initial_window, mss)),
        CongestionControl::Bbr => Box::new(Bbr::new(initial_window, mss)),
        CongestionControl::Custom(algorithm) => (algorithm.create)(initial_window, mss),
    }
}

/// The rest of a window after an idle period of `timeouts` retransmission timeouts: half for each,
/// and at least an initial window (RFC 2861 and Linux; RFC 5681 4.1 requires the initial window
/// after the first).
fn decayed(cwnd: u32, initial_window: u32, timeouts: u32) -> u32 {
    let least = cwnd.min(initial_window);
    cwnd.checked_shr(timeouts).unwrap_or(0).max(least)
}

/// `bytes` per `time`, in bytes per second; zero if no time passed.
fn per_second(bytes: u64, time: Duration) -> u64 {
    let nanos = time.as_nanos();
    if nanos == 0 {
        return 0;
    }
    u64::try_from(u128::from(bytes) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
}

/// A window of the same number of segments after the segment size shrank from `old` to `new` bytes
/// (RFC 5681 leaves this open; unchanged, it would allow a larger burst of packets). A growth of
/// the segment size changes nothing, nor does an unknown window, zero or `u32::MAX`, change.
fn rescaled(window: u32, old: u32, new: u32) -> u32 {
    if new >= old || matches!(window, 0 | u32::MAX) {
        return window;
    }
    window.div_ceil(old).saturating_mul(new).max(new)
}

#[cfg(test)]
mod tests;

//! Congestion control: how much may be in flight, and how fast it may be sent. It owns the congestion
//! window and the slow-start threshold; finding out what was lost, and what to send again, is the
//! recovery module's.
//!
//! [`NewReno`], [`Cubic`] and [`Bbr`] live here, a file or a folder each; `hystart` ends CUBIC's first slow start. What they
//! are told comes from recovery and from [`rate`]; [`pacing`] spaces what is sent by what they say.
//!
//! An algorithm of one's own implements [`Congestion`] and is chosen by an [`Algorithm`].

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
pub(crate) use self::controller::Control;
pub use self::cubic::Cubic;
pub use self::new_reno::NewReno;

/// What one acknowledgment says. All amounts are in bytes.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct AckSample {
    /// When the packet with the acknowledgment arrived.
    pub now: Instant,
    /// Bytes newly acknowledged or selectively acknowledged.
    pub acked: u32,
    /// The congestion window, and not the application or the peer's window, held sending back. If
    /// not, the window must not grow (RFC 7661's spirit).
    pub cwnd_limited: bool,
    /// What is sent is spaced by [`Congestion::pacing_rate`], so that growth makes no bursts (RFC 9406 4.2).
    pub paced: bool,
    /// Bytes taken to be in the network after this acknowledgment (RFC 6675's pipe).
    pub in_flight: u32,
    /// Bytes judged lost on this acknowledgment.
    pub lost: u32,
    /// The round-trip time this acknowledgment measured, if it did.
    pub rtt: Option<Duration>,
    /// The least round-trip time of the recent past (a window of minutes).
    pub min_rtt: Option<Duration>,
    /// The smoothed round-trip time (RFC 6298's SRTT).
    pub srtt: Option<Duration>,
    /// Position of the first byte not acknowledged: SND.UNA after this acknowledgment.
    pub una: u64,
    /// Position after the last byte sent: SND.NXT. A round trip ends when it is acknowledged.
    pub nxt: u64,
    /// How fast data was delivered lately, where this acknowledgment tells.
    pub rate: Option<RateSample>,
    /// The acknowledgment carries ECN-Echo (RFC 3168 6.1.2).
    pub ecn_echo: bool,
}

/// How much was delivered between the sending of a segment and its acknowledgment
/// (draft-cheng-iccrg-delivery-rate-estimation 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateSample {
    /// Bytes delivered in `interval`.
    pub delivered: u64,
    /// The longer of the time it took to send them and the time it took to acknowledge them.
    pub interval: Duration,
    /// The application gave less than could be sent, so that the rate may be too low.
    pub app_limited: bool,
    /// Bytes delivered on this connection when the segment was sent.
    pub prior_delivered: u64,
    /// Bytes delivered on this connection by now.
    pub total_delivered: u64,
    /// Bytes in flight when the segment had been sent, with it.
    pub prior_in_flight: u32,
    /// Bytes judged lost since the segment was sent.
    pub lost: u64,
}

impl RateSample {
    /// Bytes per second; zero where no time passed.
    #[must_use]
    pub fn bytes_per_second(&self) -> u64 {
        per_second(self.delivered, self.interval)
    }
}

/// A segment that was judged lost, and what was known when it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LostSegment {
    /// When it was judged lost.
    pub now: Instant,
    /// Its length in bytes.
    pub bytes: u32,
    /// The application gave less than could be sent when it was sent.
    pub app_limited: bool,
    /// Bytes in flight when it had been sent, with it.
    pub prior_in_flight: u32,
    /// Bytes delivered on this connection when it was sent.
    pub prior_delivered: u64,
    /// Bytes judged lost since it was sent, with it.
    pub lost: u64,
}

/// What congestion was learnt by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Segments were lost.
    Loss,
    /// A segment was lost that the probe of the tail has sent again (RFC 8985 7.4.2): there is nothing left to recover.
    Probe,
    /// A router marked segments (RFC 3168).
    Ecn,
}

/// Acknowledgments tell of congestion: the beginning of an episode.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CongestionEvent {
    /// When the packet that told arrived.
    pub now: Instant,
    /// Bytes between SND.UNA and SND.NXT at that time (RFC 5681's FlightSize).
    pub flight: u32,
    /// How it was told.
    pub cause: Cause,
}

/// An algorithm that decides on the congestion window. All sizes are in bytes (RFC 9293 MAY-18).
///
/// Recovery calls [`on_congestion`](Self::on_congestion) or [`on_rto`](Self::on_rto) when an episode
/// begins, [`on_recovered`](Self::on_recovered) when what was in flight then has been acknowledged, or
/// [`undo`](Self::undo) when nothing had been lost; and [`on_ack`](Self::on_ack) outside of fast recovery,
/// after a timeout too. In fast recovery proportional rate reduction (RFC 9937) meters what is sent, unless
/// the algorithm [governs recovery](Self::governs_recovery) itself. On one acknowledgment the order is
/// the end of an episode, [`on_lost`](Self::on_lost), the beginning of another, [`on_ack`](Self::on_ack).
pub trait Congestion: Debug + Send {
    /// The name that `TCP_CONGESTION` would show.
    fn name(&self) -> &'static str;

    /// Bytes that may be in flight.
    fn cwnd(&self) -> u32;

    /// Slow-start threshold; `u32::MAX` before the first loss.
    fn ssthresh(&self) -> u32;

    /// Something new was acknowledged outside of fast recovery; for one that
    /// [governs recovery](Self::governs_recovery) every acknowledgment, after
    /// [`on_lost`](Self::on_lost) for what it showed to be lost.
    fn on_ack(&mut self, sample: &AckSample);

    /// Congestion shows, once per episode (RFC 5681 3.2, RFC 3168 6.1.2): lowers [`ssthresh`](Self::ssthresh)
    /// and [`cwnd`](Self::cwnd) to where the episode is to end.
    fn on_congestion(&mut self, event: &CongestionEvent);

    /// A segment was judged lost, by acknowledgments or by the timer. By default nothing: most algorithms
    /// need to know of episodes alone. A model of the path needs each, and [asks for
    /// them](Self::needs_rate_samples).
    fn on_lost(&mut self, _segment: &LostSegment) {}

    /// The retransmission timer fired with `flight` bytes outstanding. `first` tells the first time in a
    /// row (RFC 5681 3.1: ssthresh is not lowered again for the same segment).
    fn on_rto(&mut self, now: Instant, flight: u32, first: bool);

    /// The last episode or timeout was spurious (RFC 5682, RFC 4015, RFC 3708): the window, the threshold,
    /// and what else was changed by it are as they were, the window at least (RFC 9438 4.9).
    fn undo(&mut self, now: Instant);

    /// The episode is over: all that was in flight when it began has been acknowledged.
    fn on_recovered(&mut self, _now: Instant) {}

    /// A segment goes out and nothing is outstanding, because there was nothing to send; the last one went
    /// out `silence` ago.
    fn on_send_from_idle(&mut self, _now: Instant, _silence: Duration) {}

    /// Sending starts again after nothing was sent for `timeouts` retransmission timeouts, one or more (RFC 5681 4.1).
    fn on_idle_restart(&mut self, now: Instant, timeouts: u32);

    /// Goes on where another algorithm was, with its window and its threshold. By default as a new connection would.
    fn take_over(&mut self, _cwnd: u32, _ssthresh: u32) {}

    /// The size of a full segment changed.
    fn set_mss(&mut self, mss: u32);

    /// Bytes per second at which to send, or `None` to send as fast as the window allows.
    ///
    /// By default as Linux has it: twice the window per smoothed round trip where it still doubles, 1.2
    /// times later on, so that pacing is never what holds the window back.
    fn pacing_rate(&self, srtt: Option<Duration>) -> Option<u64> {
        let doubling = self.cwnd() < self.ssthresh() / 2;
        let percent = if doubling { 200 } else { 120 };
        let srtt = srtt.filter(|srtt| !srtt.is_zero())?;
        Some(per_second(u64::from(self.cwnd()) * percent / 100, srtt))
    }

    /// What is sent has to be paced, whatever the socket's options say.
    fn needs_pacing(&self) -> bool {
        false
    }

    /// The delivery rate has to be measured ([`AckSample::rate`]), and each loss told
    /// ([`on_lost`](Self::on_lost)), from the connection's first flight on.
    fn needs_rate_samples(&self) -> bool {
        false
    }

    /// The window in recovery is the algorithm's own: proportional rate reduction is not used, and
    /// [`on_ack`](Self::on_ack) is called for every acknowledgment.
    fn governs_recovery(&self) -> bool {
        false
    }
}

/// An algorithm from outside of the engine, to be chosen for a stack or a socket as
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
    /// What `TCP_CONGESTION` would show, and what tells algorithms apart.
    pub name: &'static str,
    /// Makes one for a connection that may have so many bytes in flight at first, and sends segments of so many
    /// bytes. Called for a connection's first data, or when the algorithm is changed.
    pub create: fn(initial_window: u32, mss: u32) -> Box<dyn Congestion>,
}

impl Algorithm {
    /// An algorithm with its name and the function that makes its state for one connection.
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

/// The initial window in bytes: `segments` full ones (RFC 6928, ten; counted in segments as Linux does, so
/// that a device with a large MTU is not held to the RFC's 14,600 bytes).
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

/// What is left of a window after a silence of so many retransmission timeouts: half for each, and an initial window at the
/// least (RFC 2861 and Linux; RFC 5681 4.1 would have the initial window after the first).
fn decayed(cwnd: u32, initial_window: u32, timeouts: u32) -> u32 {
    let least = cwnd.min(initial_window);
    cwnd.checked_shr(timeouts).unwrap_or(0).max(least)
}

/// `bytes` per `time`, in bytes per second; zero where no time passed.
fn per_second(bytes: u64, time: Duration) -> u64 {
    let nanos = time.as_nanos();
    if nanos == 0 {
        return 0;
    }
    u64::try_from(u128::from(bytes) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
}

/// A window of the same count of segments after the segment shrank from `old` to `new` bytes (RFC 5681
/// leaves it open; in bytes it would otherwise allow a larger burst of packets). One that grew changes nothing, nor is a
/// window changed that is not known yet, zero or `u32::MAX`.
fn rescaled(window: u32, old: u32, new: u32) -> u32 {
    if new >= old || matches!(window, 0 | u32::MAX) {
        return window;
    }
    window.div_ceil(old).saturating_mul(new).max(new)
}

#[cfg(test)]
mod tests;

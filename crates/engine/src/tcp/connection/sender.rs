//! The sending half of a connection: what is to be sent, what is in flight, and how fast it may go.
//!
//! The steps that work on it alone stand here or, as `impl Sender`, in the file of their mechanism.

use std::time::Duration;

use super::Negotiated;
use super::output::cwnd_usage::CwndUsage;
use super::segment_size::Path;
use super::space::{self, SendSpace};
use crate::config::SocketOptions;
use crate::congestion::Control;
use crate::tcp::buffer::send::SendBuffer;
use crate::tcp::recovery::episode::Recovery;
use crate::tcp::recovery::rtt::{RttBounds, RttEstimator};
use crate::tcp::segment::Segment;
use crate::time::Instant;
use crate::timer::{Deadlines, TimerKind};

/// See the module.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) snd: SendSpace,
    pub(crate) buf: SendBuffer,
    pub(crate) recovery: Recovery,
    pub(crate) rtt: RttEstimator,
    pub(crate) congestion: Control,
    pub(crate) cwnd_usage: CwndUsage,
    pub(crate) path: Path,
    /// The application has closed its sending side: a FIN follows the data.
    pub(crate) fin_queued: bool,
    /// The application has more to write: data that does not fill a segment waits for it.
    pub(crate) more_to_come: bool,
    /// Consecutive retransmission timeouts.
    pub(crate) retries: u8,
    /// Window probes since the window closed: the exponent of their backoff.
    pub(crate) probe_backoff: u8,
    /// Time since which data has been unacknowledged, or unsent because the window is closed.
    pub(crate) stalled_since: Option<Instant>,
    /// Time of the last transmission or retransmission of data.
    pub(crate) last_sent: Instant,
}

impl Sender {
    pub(crate) fn new(snd: SendSpace, mss: u32, options: &SocketOptions, now: Instant) -> Self {
        Self {
            snd,
            buf: SendBuffer::new(space::FIRST_BYTE),
            recovery: Recovery::default(),
            rtt: RttEstimator::new(RttBounds {
                initial: options.initial_rto,
                min: options.min_rto,
                max: options.max_rto,
            }),
            congestion: Control::new(options.congestion, options.initial_window, mss),
            cwnd_usage: CwndUsage::default(),
            path: Path::default(),
            fin_queued: false,
            more_to_come: false,
            retries: 0,
            probe_backoff: 0,
            stalled_since: None,
            last_sent: now,
        }
    }

    /// The peer's SYN is known: begins with what was agreed on.
    pub(crate) fn on_agreed(&mut self, agreed: &Negotiated, options: &SocketOptions) {
        let mss = u32::from(agreed.send_mss);
        self.path = Path::default();
        self.set_mss(mss);
        self.congestion = Control::new(options.congestion, options.initial_window, mss);
    }

    /// Sets the size of full segments.
    pub(crate) fn set_mss(&mut self, mss: u32) {
        self.snd.mss = mss;
        self.congestion.set_mss(mss);
    }

    /// Forgets all data: nothing is sent any more.
    pub(crate) fn stop(&mut self) {
        self.buf.release(self.buf.end());
        self.recovery.board.clear();
    }

    /// Starts, restarts or stops the retransmission timer, depending on whether data is outstanding
    /// (RFC 6298 5.1-5.3).
    pub(crate) fn rearm_retransmission(&self, timers: &mut Deadlines, now: Instant) {
        if self.recovery.board.is_empty() {
            timers.cancel(TimerKind::Retransmit);
        } else {
            timers.arm(TimerKind::Retransmit, now + self.rtt.rto());
        }
    }

    /// Notes since when the peer has not answered outstanding data, and arms the user timeout
    /// accordingly.
    pub(crate) fn note_stall(
        &mut self,
        stalled: bool,
        limit: Option<Duration>,
        timers: &mut Deadlines,
        now: Instant,
    ) {
        if !stalled {
            self.stalled_since = None;
            timers.cancel(TimerKind::UserTimeout);
        } else if self.stalled_since.is_none() {
            self.restart_stall(limit, timers, now);
        }
    }

    /// Restarts the stall time after progress, when data is still outstanding. `limit` is the user
    /// timeout.
    pub(crate) fn restart_stall(
        &mut self,
        limit: Option<Duration>,
        timers: &mut Deadlines,
        now: Instant,
    ) {
        self.stalled_since = Some(now);
        match limit {
            Some(limit) => timers.arm(TimerKind::UserTimeout, now + limit),
            None => timers.cancel(TimerKind::UserTimeout),
        }
    }

    /// Whether the local SYN has been acknowledged.
    pub(crate) fn syn_acked(&self) -> bool {
        self.snd.una > space::SYN
    }

    /// Whether `segment` acknowledges exactly the data that a connection in SYN-SENT or
    /// SYN-RECEIVED has sent.
    pub(crate) fn acknowledges_syn(&self, segment: &Segment) -> bool {
        let ack = self.snd.position(segment.ack);
        ack > space::SYN && ack <= self.snd.nxt
    }

    /// Position of the local FIN, once the application has closed.
    pub(crate) fn fin_position(&self) -> Option<u64> {
        self.fin_queued.then(|| self.buf.end())
    }

    /// Whether the local FIN has been sent at least once.
    pub(crate) fn fin_sent(&self) -> bool {
        self.fin_position().is_some_and(|fin| self.snd.nxt > fin)
    }

    /// Whether the local FIN has been acknowledged.
    pub(crate) fn fin_acked(&self) -> bool {
        self.fin_position().is_some_and(|fin| self.snd.una > fin)
    }

    /// Whether everything that the application wrote, and the FIN, has been acknowledged.
    pub(crate) fn is_flushed(&self) -> bool {
        self.buf.is_empty() && (!self.fin_queued || self.fin_acked())
    }

    /// Bytes written but never sent.
    pub(crate) fn unsent(&self) -> u64 {
        self.buf
            .end()
            .saturating_sub(self.snd.nxt.max(space::FIRST_BYTE))
    }

    /// Whether something is queued that has never been sent: data, or the FIN.
    pub(crate) fn has_unsent(&self) -> bool {
        self.unsent() > 0 || (self.fin_queued && !self.fin_sent())
    }

    /// Whether data written now will probably stay in the buffer for a while: the peer's window is
    /// closed and nothing is in flight that could open it, or retransmissions have no success.
    pub(crate) fn is_blocked(&self) -> bool {
        let is_closed = self.snd.right_edge() <= self.snd.nxt;
        (is_closed && self.recovery.board.is_empty()) || self.retries > 1
    }

    /// Bytes that may be in flight. One segment is always allowed: the segment size may have grown
    /// since the window was reduced to one segment.
    pub(crate) fn cwnd(&self) -> u64 {
        let cwnd = self.recovery.cwnd();
        cwnd.unwrap_or_else(|| {
            u64::from(self.congestion.cwnd().max(self.snd.mss)) + self.recovery.spared()
        })
    }

    /// Bytes assumed to be in the network. `sack` is whether the SYNs agreed on SACK.
    pub(crate) fn pipe(&self, sack: bool) -> u64 {
        self.recovery.pipe(sack, self.snd.mss)
    }
}

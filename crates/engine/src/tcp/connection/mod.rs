//! One connection: the transmission control block (RFC 9293 3.3.1) and its events.
//!
//! - [`tcp::state`](crate::tcp::state): the states and the table of transitions;
//! - [`space`]: sequence spaces, in positions;
//! - `input`: the processing of an arriving segment, one file per step of RFC 9293 3.10.7;
//! - `output`: what to send: decide (pure), build, account;
//! - `create`, `close`: the beginning and end of a connection; `application`: reading and writing;
//!   `buffers`: the capacity of the buffers;
//! - `timeout`, `loss_probe`: the actions of timers; `soft_error`: ICMP; `negotiate`: the options
//!   of the handshake; `ecn`: explicit congestion notification; `segment_size`: the size of
//!   segments.
//!
//! A connection has no access to other connections. Effects beyond it pass through [`Context`].

mod application;
mod buffers;
mod close;
mod create;
mod ecn;
mod input;
mod loss_probe;
mod negotiate;
mod output;
mod segment_size;
mod soft_error;
pub(crate) mod space;
mod timeout;

use std::sync::Arc;
use std::time::Duration;

use bitflags::bitflags;

use crate::config::{Config, SocketOptions};
use crate::error::{ConnectionError, DropReason};
use crate::event::Readiness;
use crate::host::replies::Replies;
use crate::id::ConnectionId;
use crate::ip::path_mtu::PathMtus;
use crate::observer::Observer;
use crate::stats::{Counters, count};
use crate::tcp::autotune::Buffers;
use crate::tcp::buffer::assembler::Assembler;
use crate::tcp::buffer::recv::RecvBuffer;
use crate::tcp::buffer::send::SendBuffer;
use crate::tcp::congestion::Control;
use crate::tcp::recovery::episode::Recovery;
use crate::tcp::recovery::rtt::RttEstimator;
use crate::time::Instant;
use crate::timer::{Deadlines, TimerKind};
use crate::tuple::FourTuple;

pub(crate) use self::create::{Birth, PeerSyn};
use self::ecn::EcnState;
use self::negotiate::Negotiated;
pub(crate) use self::negotiate::Offer;
use self::output::ack_policy::AckPolicy;
use self::output::cwnd_usage::CwndUsage;
pub(crate) use self::output::initial_offer;
use self::output::sack_report::SackReport;
use self::segment_size::Path;
use self::space::{ReceiveSpace, SendSpace};
use crate::tcp::state::{State, Stimulus};
use crate::tcp::timestamps::TimestampState;

bitflags! {
    /// What a connection must send, besides data.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct Owed: u8 {
        /// An acknowledgment, now.
        const ACK = 1;
        /// A zero-window or keepalive probe.
        const PROBE = 2;
        /// Data that silly-window avoidance or a cork held back (the override timer fired).
        const HELD_DATA = 4;
        /// A probe of the tail: new data, or the last segment again (RFC 8985 7.3).
        const TAIL_PROBE = 8;
    }
}

/// The part of the stack that a connection may access.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) id: ConnectionId,
    pub(crate) config: &'a Config,
    pub(crate) counters: &'a mut Counters,
    pub(crate) replies: &'a mut Replies,
    pub(crate) paths: &'a mut PathMtus,
    pub(crate) observer: &'a mut Option<Observer>,
}

/// The action that the stack must take on a connection after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Outcome {
    /// The connection continues.
    Alive,
    /// The connection left the network: its four-tuple is free.
    Closed,
    /// The connection left its four-tuple to a compact record, in TIME-WAIT or in FIN-WAIT-2.
    Record,
}

/// Counts of one connection, for [`TcpInfo`](crate::TcpInfo). Counts of segments wrap, as on Linux.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) bytes_retrans: u64,
    pub(crate) segs_out: u32,
    pub(crate) segs_in: u32,
    pub(crate) data_segs_out: u32,
    pub(crate) data_segs_in: u32,
    pub(crate) retrans: u32,
    pub(crate) delivered: u32,
    pub(crate) delivered_ce: u32,
}

impl Tally {
    fn note_received(&mut self, with_data: bool) {
        self.segs_in = self.segs_in.wrapping_add(1);
        self.data_segs_in = self.data_segs_in.wrapping_add(u32::from(with_data));
    }

    fn note_sent(&mut self, segments: u32, with_data: bool) {
        self.segs_out = self.segs_out.wrapping_add(segments);
        if with_data {
            self.data_segs_out = self.data_segs_out.wrapping_add(segments);
        }
    }

    /// An acknowledgment reported `segments` further deliveries; `marked` if it carried ECN-Echo.
    fn note_delivered(&mut self, segments: u32, marked: bool) {
        self.delivered = self.delivered.wrapping_add(segments);
        if marked {
            self.delivered_ce = self.delivered_ce.wrapping_add(segments);
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Tcb {
    pub(crate) tuple: FourTuple,
    pub(crate) state: State,
    pub(crate) options: Arc<SocketOptions>,
    /// What the SYNs agreed on.
    pub(crate) agreed: Negotiated,

    pub(crate) snd: SendSpace,
    pub(crate) rcv: ReceiveSpace,
    pub(crate) send_buf: SendBuffer,
    pub(crate) recv_buf: RecvBuffer,
    pub(crate) assembler: Assembler,
    /// The capacity of these three.
    pub(crate) buffers: Buffers,

    pub(crate) recovery: Recovery,
    pub(crate) rtt: RttEstimator,
    pub(crate) congestion: Control,
    pub(crate) cwnd_usage: CwndUsage,
    pub(crate) ack: AckPolicy,
    pub(crate) sack_report: SackReport,
    pub(crate) timestamps: TimestampState,
    pub(crate) ecn: EcnState,
    pub(crate) path: Path,
    pub(crate) timers: Deadlines,

    pub(crate) owed: Owed,
    /// Events the application has not been told of.
    pub(crate) readiness: Readiness,
    /// The application sees IPv4 addresses as mapped into IPv6 (an IPv6 listener took the
    /// connection).
    pub(crate) mapped: bool,
    /// The application has released the connection, which finishes by itself.
    pub(crate) orphan: bool,
    /// The application has closed its sending side: a FIN follows the data.
    pub(crate) fin_queued: bool,
    /// The application has more to write: data that does not fill a segment waits for it.
    pub(crate) more_to_come: bool,
    /// The application will not read any more.
    pub(crate) read_shutdown: bool,
    /// The port table counts this connection as one that shares its port (`SO_REUSEADDR`).
    pub(crate) reuse: bool,

    /// The reason why the connection failed, until the application is told.
    pub(crate) error: Option<ConnectionError>,
    /// Whether the failure has been reported.
    pub(crate) error_reported: bool,
    /// An error that did not end the connection (RFC 9293 MUST-47).
    pub(crate) soft_error: Option<ConnectionError>,

    /// Consecutive retransmission timeouts.
    pub(crate) retries: u8,
    /// Consecutive probes without an answer.
    pub(crate) probes: u8,
    /// Acknowledgments owed to a peer that counts duplicates, for segments out of order.
    pub(crate) duplicates_owed: u8,
    /// Window probes since the window closed: the exponent of their backoff.
    pub(crate) probe_backoff: u8,
    /// Identification field of the next IPv4 packet.
    pub(crate) ident: u16,
    /// Time since which data has been unacknowledged, or unsent because the window is closed.
    pub(crate) stalled_since: Option<Instant>,
    /// Time at which the last segment arrived.
    pub(crate) last_received: Instant,
    /// Time of the last transmission or retransmission of data.
    pub(crate) last_sent: Instant,
    /// Time of the last challenge ACK.
    pub(crate) last_challenge: Option<Instant>,
    pub(crate) tally: Tally,
}

/// With its stream, its timer and its entries in tables, an idle connection must stay below a
/// kilobyte.
const _: () = assert!(size_of::<Tcb>() <= 808);

impl Tcb {
    /// Changes the state according to the table; a stimulus without an entry for the state has no
    /// effect.
    pub(crate) fn transition(&mut self, stimulus: Stimulus, cx: &mut Context<'_>) {
        let Some(to) = self.state.after(stimulus) else {
            return;
        };
        let from = std::mem::replace(&mut self.state, to);
        if let Some(observer) = cx.observer {
            observer.transition(cx.now, Some(cx.id), &self.tuple, from, stimulus, to);
        }
    }

    /// Ends the connection with an error that is reported to the application (RFC 9293 MUST-12).
    pub(crate) fn fail(&mut self, error: ConnectionError, cx: &mut Context<'_>) -> Outcome {
        self.error = Some(error);
        self.end(cx)
    }

    /// Ends the connection: nothing is sent or expected any more.
    pub(crate) fn end(&mut self, cx: &mut Context<'_>) -> Outcome {
        self.transition(Stimulus::Abort, cx);
        self.stop();
        Outcome::Closed
    }

    /// Frees what only a live connection needs. Data received in order stays readable, whatever
    /// ended the connection: RFC 9293 3.10.7.4, second, requires a reset to flush the queues; Linux
    /// keeps the data that it has acknowledged.
    pub(crate) fn stop(&mut self) {
        self.timers.clear();
        self.send_buf.release(self.send_buf.end());
        self.recovery.board.clear();
        self.assembler.clear();
        self.readiness |= Readiness::all();
    }

    /// Whether the local SYN has been acknowledged.
    pub(crate) fn syn_acked(&self) -> bool {
        self.snd.una > space::SYN
    }

    /// Position of the local FIN, once the application has closed.
    pub(crate) fn fin_position(&self) -> Option<u64> {
        self.fin_queued.then(|| self.send_buf.end())
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
        self.state == State::Closed
            || (self.send_buf.is_empty() && (!self.fin_queued || self.fin_acked()))
    }

    /// Bytes written but never sent.
    pub(crate) fn unsent(&self) -> u64 {
        self.send_buf
            .end()
            .saturating_sub(self.snd.nxt.max(space::FIRST_BYTE))
    }

    /// Whether something is queued that has never been sent: data, or the FIN.
    pub(crate) fn has_unsent(&self) -> bool {
        self.unsent() > 0 || (self.fin_queued && !self.fin_sent())
    }

    /// Answers a suspicious segment with a challenge ACK, at most once per interval
    /// (RFC 5961 section 7).
    pub(crate) fn challenge(&mut self, cx: &mut Context<'_>) {
        let interval = cx.config.challenge_ack_interval;
        let limited = interval > Duration::ZERO
            && self
                .last_challenge
                .is_some_and(|last| cx.now - last < interval);
        if !limited {
            self.last_challenge = Some(cx.now);
            self.owed |= Owed::ACK;
            count(&mut cx.counters.challenge_acks);
        }
    }

    /// Drops the current segment and counts the reason.
    pub(crate) fn drop_segment(&self, reason: DropReason, cx: &mut Context<'_>) -> Outcome {
        cx.counters.count_drop(reason);
        Outcome::Alive
    }

    /// Bytes that may be in flight. One segment is always allowed: the segment size may have grown
    /// since the window was reduced to one segment.
    pub(crate) fn cwnd(&self) -> u64 {
        let cwnd = self.recovery.cwnd();
        cwnd.unwrap_or_else(|| {
            u64::from(self.congestion.cwnd().max(self.snd.mss)) + self.recovery.spared()
        })
    }

    /// Starts, restarts or stops the retransmission timer, depending on whether data is outstanding
    /// (RFC 6298 5.1-5.3).
    pub(crate) fn rearm_retransmission(&mut self, now: Instant) {
        if self.recovery.board.is_empty() {
            self.timers.cancel(TimerKind::Retransmit);
        } else {
            self.timers.arm(TimerKind::Retransmit, now + self.rtt.rto());
        }
    }

    /// Notes since when the peer has not answered outstanding data, and arms the user timeout
    /// accordingly.
    pub(crate) fn note_stall(&mut self, stalled: bool, now: Instant) {
        if !stalled {
            self.stalled_since = None;
            self.timers.cancel(TimerKind::UserTimeout);
        } else if self.stalled_since.is_none() {
            self.restart_stall(now);
        }
    }

    /// Restarts the stall time after progress, when data is still outstanding.
    pub(crate) fn restart_stall(&mut self, now: Instant) {
        self.stalled_since = Some(now);
        match self.options.user_timeout {
            Some(limit) => self.timers.arm(TimerKind::UserTimeout, now + limit),
            None => self.timers.cancel(TimerKind::UserTimeout),
        }
    }
}

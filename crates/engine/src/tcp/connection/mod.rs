//! One connection: the transmission control block (RFC 9293 3.3.1) and its events.
//!
//! A connection consists of organs, each with its own state and the methods that need no other:
//!
//! - `sender`: what is to be sent and what is in flight; `receiver`: what has arrived;
//! - `negotiate`: what the SYNs agreed on; `app_side`: the application's wishes and news for it;
//! - [`space`]: the sequence spaces of both halves, in positions;
//!   [`tcp::state`](crate::tcp::state): the states and the table of transitions.
//!
//! The events of a connection are in these files. Where a step changes one organ only, it is a
//! method of that organ in the same file.
//!
//! - `input`: the processing of an arriving segment, one file per step of RFC 9293 3.10.7;
//! - `output`: what to send: decide (pure), build, account;
//! - `create`, `close`: the beginning and end of a connection; `application`: reading and writing;
//!   `buffers`: the capacity of the buffers;
//! - `timeout`, `loss_probe`: the actions of timers; `soft_error`: ICMP; `ecn`: explicit congestion
//!   notification; `segment_size`: the size of segments.
//!
//! A connection has no access to other connections. Effects beyond it pass through [`Context`].

pub(crate) mod app_side;
mod application;
mod buffers;
mod close;
mod create;
mod ecn;
mod input;
mod loss_probe;
mod negotiate;
mod output;
mod receiver;
mod segment_size;
mod sender;
mod soft_error;
pub(crate) mod space;
mod timeout;

use std::sync::Arc;

use bitflags::bitflags;

use crate::config::{Config, SocketOptions};
use crate::error::{ConnectionError, DropReason};
use crate::event::Readiness;
use crate::id::ConnectionId;
use crate::ip::path_mtu::PathMtus;
use crate::ip::replies::Replies;
use crate::stats::{Counters, count};
use crate::tcp::autotune::Buffers;
use crate::tcp::challenge::Challenges;
use crate::tcp::observer::Observer;
use crate::time::Instant;
use crate::timer::Deadlines;
use crate::tuple::FourTuple;

use self::app_side::AppSide;
pub(crate) use self::create::{Birth, PeerSyn};
use self::ecn::EcnState;
use self::negotiate::Negotiated;
pub(crate) use self::negotiate::Offer;
pub(crate) use self::output::initial_offer;
use self::receiver::Receiver;
use self::sender::Sender;
use crate::tcp::state::{Current, State, Stimulus};
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
    pub(crate) state: Current,
    pub(crate) options: Arc<SocketOptions>,
    /// What the SYNs agreed on.
    pub(crate) agreed: Negotiated,

    pub(crate) sender: Sender,
    pub(crate) receiver: Receiver,
    pub(crate) app: AppSide,
    /// The capacity of the buffers.
    pub(crate) buffers: Buffers,
    pub(crate) timers: Deadlines,
    pub(crate) owed: Owed,
    pub(crate) timestamps: TimestampState,
    pub(crate) ecn: EcnState,
    /// Consecutive probes without an answer.
    pub(crate) probes: u8,
    /// Identification field of the next IPv4 packet.
    pub(crate) ident: u16,
    /// Time at which the last segment arrived.
    pub(crate) last_received: Instant,
    pub(crate) challenges: Challenges,
    pub(crate) tally: Tally,
}

/// With its stream, its timer and its entries in tables, an idle connection must stay below a
/// kilobyte.
const _: () = assert!(size_of::<Tcb>() <= 808);

impl Tcb {
    /// Changes the state according to the table; a stimulus without an entry for the state has no
    /// effect.
    pub(crate) fn transition(&mut self, stimulus: Stimulus, cx: &mut Context<'_>) {
        let from = *self.state;
        if self.state.follow(stimulus)
            && let Some(observer) = cx.observer
        {
            observer.transition(cx.now, Some(cx.id), &self.tuple, from, stimulus);
        }
    }

    /// Ends the connection with an error that is reported to the application (RFC 9293 MUST-12).
    pub(crate) fn fail(&mut self, error: ConnectionError, cx: &mut Context<'_>) -> Outcome {
        self.app.error = Some(error);
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
        self.sender.stop();
        self.receiver.assembler.clear();
        self.app.readiness |= Readiness::all();
    }

    /// Whether everything that the application wrote, and the FIN, has been acknowledged.
    pub(crate) fn is_flushed(&self) -> bool {
        self.state == State::Closed || self.sender.is_flushed()
    }

    /// Answers a suspicious segment with a challenge ACK, at most once per interval
    /// (RFC 5961 section 7).
    pub(crate) fn challenge(&mut self, cx: &mut Context<'_>) {
        let interval = cx.config.challenge_ack_interval;
        if self.challenges.take(cx.now, interval) {
            self.owed |= Owed::ACK;
            count(&mut cx.counters.challenge_acks);
        }
    }

    /// Drops the current segment and counts the reason.
    pub(crate) fn drop_segment(&self, reason: DropReason, cx: &mut Context<'_>) -> Outcome {
        cx.counters.count_drop(reason);
        Outcome::Alive
    }

    /// Starts, restarts or stops the retransmission timer.
    pub(crate) fn rearm_retransmission(&mut self, now: Instant) {
        self.sender.rearm_retransmission(&mut self.timers, now);
    }

    /// Notes whether the peer owes an answer to outstanding data.
    pub(crate) fn note_stall(&mut self, stalled: bool, now: Instant) {
        let limit = self.options.user_timeout;
        self.sender
            .note_stall(stalled, limit, &mut self.timers, now);
    }

    /// Restarts the stall time after progress, when data is still outstanding.
    pub(crate) fn restart_stall(&mut self, now: Instant) {
        let limit = self.options.user_timeout;
        self.sender.restart_stall(limit, &mut self.timers, now);
    }
}

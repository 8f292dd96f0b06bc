//! TIME-WAIT as a compact record (RFC 9293 3.6.1, RFC 6191, RFC 1337): the rest of a connection
//! while its last segments may still be in the network, or, before that, while its peer has not
//! closed ([`fin_wait_2`](super::fin_wait_2)).
//!
//! All records of a state last equally long, so that they end in the order in which they began: a
//! queue replaces timers.

use millstream_wire::SeqNum;
use millstream_wire::tcp::{Flags, Header, Options, Timestamps};

use crate::config::Config;
use crate::error::DropReason;
use crate::ip::fields::IpFields;
use crate::ip::replies::Replies;
use crate::stats::{Counters, count};
use crate::table::list::{Links, List};
use crate::table::slab::Slab;
use crate::tcp::challenge::Challenges;
use crate::tcp::connection::Tcb;
use crate::tcp::segment::Segment;
use crate::tcp::state::{Current, State};
use crate::tcp::timestamps::{self, NOTHING_OVERTAKEN};
use crate::time::Instant;
use crate::tuple::FourTuple;

/// See the module (RFC 9293 MUST-13). There may be a million records: every field is as narrow as
/// possible.
#[derive(Debug)]
pub(crate) struct TimeWait {
    pub(crate) tuple: FourTuple,
    /// FIN-WAIT-2 or TIME-WAIT.
    pub(crate) state: Current,
    links: Links,
    /// The time at which the record ends.
    ends_at: Instant,
    pub(crate) snd_nxt: SeqNum,
    pub(crate) rcv_nxt: SeqNum,
    /// The window field of outgoing segments, and the scale of the window.
    pub(crate) window: u16,
    pub(crate) scale: u8,
    /// Whether both ends use timestamps.
    stamped: bool,
    ts_recent: u32,
    /// The offset of the local timestamps.
    ts_offset: u32,
    /// The acknowledgments sent.
    challenges: Challenges,
    tos: u8,
    hop_limit: u8,
}

/// This is the whole cost: a record has no entry in the timer wheel.
const _: () = assert!(size_of::<TimeWait>() <= 88);

/// The records of each state, in the order of their end.
#[derive(Debug, Default)]
pub(crate) struct Records {
    fin_wait_2: List,
    time_wait: List,
}

impl Records {
    fn of(&mut self, state: State) -> &mut List {
        match state {
            State::FinWait2 => &mut self.fin_wait_2,
            _ => &mut self.time_wait,
        }
    }

    /// Number of connections in FIN-WAIT-2 and in TIME-WAIT.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.fin_wait_2.len(), self.time_wait.len())
    }

    /// The record that ends first, and its time.
    pub(crate) fn first(&self, records: &Slab<TimeWait>) -> Option<(u32, Instant)> {
        let ends = |list: &List| {
            let index = list.first()?;
            Some((index, records.at(index)?.ends_at))
        };
        let (one, other) = (ends(&self.fin_wait_2), ends(&self.time_wait));
        one.into_iter().chain(other).min_by_key(|&(_, at)| at)
    }

    /// The record in FIN-WAIT-2 that ends first.
    pub(crate) fn first_in_fin_wait_2(&self) -> Option<u32> {
        self.fin_wait_2.first()
    }

    /// Appends a record that is in no queue to the queue of its state.
    pub(crate) fn push(
        &mut self,
        records: &mut Slab<TimeWait>,
        index: u32,
        now: Instant,
        config: &Config,
    ) {
        let Some(record) = records.at_mut(index) else {
            return;
        };
        let state = *record.state;
        let lasts = match state {
            State::FinWait2 => config.fin_timeout,
            _ => config.msl.saturating_mul(2),
        };
        record.ends_at = now + lasts;
        self.of(state)
            .push(records, index, |record| &mut record.links);
    }

    /// Removes a record from the queue of the state that it was in.
    pub(crate) fn remove(&mut self, records: &mut Slab<TimeWait>, index: u32, was: State) {
        self.of(was)
            .remove(records, index, |record| &mut record.links);
    }
}

/// How to handle a segment that belongs to a connection in TIME-WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Keep the record.
    Keep,
    /// Keep the record and restart the 2MSL timeout.
    Restart,
    /// Free the four-tuple at once.
    Remove,
    /// Permit a new incarnation to begin with this SYN; its initial sequence number must be greater
    /// than the given one.
    Reopen(SeqNum),
    /// Enter TIME-WAIT: the FIN for which FIN-WAIT-2 waited has arrived.
    PeerClosed,
}

impl TimeWait {
    /// The record of `tcb`, which has just entered TIME-WAIT, or FIN-WAIT-2 without an application.
    pub(crate) fn of(tcb: &Tcb) -> Self {
        let unit = tcb.agreed.rcv_scale.shift();
        Self {
            tuple: tcb.tuple,
            state: tcb.state,
            links: Links::default(),
            ends_at: Instant::ZERO,
            snd_nxt: tcb.sender.snd.seq_num(tcb.sender.snd.nxt),
            rcv_nxt: tcb.receiver.rcv.seq_num(tcb.receiver.rcv.nxt),
            window: tcb
                .receiver
                .rcv
                .wnd()
                .div_ceil(1 << unit)
                .min(u64::from(u16::MAX)) as u16,
            scale: unit,
            stamped: tcb.agreed.timestamps,
            ts_recent: tcb.timestamps.recent,
            ts_offset: tcb.timestamps.offset,
            challenges: Challenges::default(),
            tos: tcb.options.tos & !3,
            hop_limit: tcb.options.hop_limit,
        }
    }

    pub(crate) fn on_segment(
        &mut self,
        now: Instant,
        segment: &Segment,
        config: &Config,
        counters: &mut Counters,
        replies: &mut Replies,
    ) -> Verdict {
        if self.state == State::FinWait2 {
            return self.on_segment_in_fin_wait_2(now, segment, config, counters, replies);
        }
        if segment.has(Flags::RST) {
            // RFC 1337 would always ignore a reset; one with the exact sequence number is accepted,
            // as on Linux.
            if config.time_wait_reset && segment.seq == self.rcv_nxt {
                count(&mut counters.resets_received);
                return Verdict::Remove;
            }
            counters.count_drop(DropReason::InexactReset);
            return Verdict::Keep;
        }
        let older = self.is_older_by_timestamp(segment);
        if segment.has(Flags::SYN) && !segment.has(Flags::ACK) && !older && self.is_new(segment) {
            return Verdict::Reopen(self.snd_nxt);
        }
        // Old data, an old SYN or a repeated FIN: repeat the last acknowledgment. A bare ACK at the
        // expected sequence number needs no answer, and answering it could cause an endless
        // exchange.
        let bare = segment.len() == 0;
        if bare && segment.seq == self.rcv_nxt && !older {
            return Verdict::Keep;
        }
        counters.count_drop(if older {
            DropReason::Paws
        } else {
            DropReason::OutsideWindow
        });
        let fin_again = segment.has(Flags::FIN) && !older;
        if fin_again {
            self.take_timestamp(segment);
        }
        if fin_again {
            self.acknowledge(now, config, counters, replies);
        } else {
            self.challenge(now, config, counters, replies);
        }
        if fin_again {
            Verdict::Restart
        } else {
            Verdict::Keep
        }
    }

    /// Queues the connection's last acknowledgment.
    pub(crate) fn acknowledge(
        &mut self,
        now: Instant,
        config: &Config,
        counters: &mut Counters,
        replies: &mut Replies,
    ) {
        self.challenges.note(now);
        let timestamps = self.stamped.then(|| Timestamps {
            value: timestamps::value(now, self.ts_offset),
            echo: self.ts_recent,
        });
        let header = self.header(timestamps);
        replies.tcp(&self.ip_fields(), &header, config, counters);
    }

    /// Queues the acknowledgment as [`acknowledge`](Self::acknowledge) does, at a limited rate.
    pub(crate) fn challenge(
        &mut self,
        now: Instant,
        config: &Config,
        counters: &mut Counters,
        replies: &mut Replies,
    ) {
        if self.challenges.is_due(now, config.challenge_ack_interval) {
            self.acknowledge(now, config, counters, replies);
        }
    }

    /// Sends a reset as the last segment of the connection.
    pub(crate) fn send_reset(
        &self,
        config: &Config,
        counters: &mut Counters,
        replies: &mut Replies,
    ) {
        let header = Header {
            flags: Flags::RST | Flags::ACK,
            window: 0,
            ..self.header(None)
        };
        replies.tcp(&self.ip_fields(), &header, config, counters);
        count(&mut counters.resets_sent);
    }

    fn header(&self, timestamps: Option<Timestamps>) -> Header {
        Header {
            src_port: self.tuple.local_port,
            dst_port: self.tuple.remote_port,
            seq: self.snd_nxt,
            ack: self.rcv_nxt,
            flags: Flags::ACK,
            window: self.window,
            urgent: 0,
            options: Options {
                timestamps,
                ..Options::default()
            },
        }
    }

    fn ip_fields(&self) -> IpFields {
        IpFields {
            src: self.tuple.local_ip,
            dst: self.tuple.remote_ip,
            tos: self.tos,
            hop_limit: self.hop_limit,
            ident: 0,
        }
    }

    /// RFC 6191: whether the segment is newer by its timestamp or, without timestamps, by its
    /// sequence number (RFC 9293 MAY-2, SHLD-4).
    fn is_new(&self, segment: &Segment) -> bool {
        let theirs = segment.options.timestamps.filter(|_| self.stamped);
        let newer = |value| timestamps::is_older(self.ts_recent, value, NOTHING_OVERTAKEN);
        theirs.is_some_and(|theirs| newer(theirs.value)) || segment.seq.gt(self.rcv_nxt)
    }

    pub(crate) fn is_older_by_timestamp(&self, segment: &Segment) -> bool {
        let theirs = segment.options.timestamps.filter(|_| self.stamped);
        let older = |value| timestamps::is_older(value, self.ts_recent, NOTHING_OVERTAKEN);
        theirs.is_some_and(|theirs| older(theirs.value))
    }

    pub(crate) fn take_timestamp(&mut self, segment: &Segment) {
        if let Some(theirs) = segment.options.timestamps {
            self.ts_recent = theirs.value;
        }
    }
}

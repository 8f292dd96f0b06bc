//! TIME-WAIT as a compact record (RFC 9293 3.6.1, RFC 6191, RFC 1337): all that is left of a connection
//! while its last segments may still be under way, or before that while its peer has not closed
//! ([`fin_wait_2`](super::fin_wait_2)).
//!
//! All records of a state last equally long, so that those of a state end in the order in which
//! they began: they need no timers but only a queue.

use std::num::NonZeroU32;
use std::time::Duration;

use millstream_wire::SeqNum;
use millstream_wire::tcp::{Flags, Header, Options, Timestamps};

use crate::config::Config;
use crate::error::DropReason;
use crate::host::Stack;
use crate::host::demux::{Demux, Place};
use crate::host::list::{Linked, Links, List};
use crate::host::ports::Hold;
use crate::host::replies::Replies;
use crate::stats::{Counters, count};
use crate::tcp::connection::{Owed, Tcb};
use crate::tcp::emit::IpFields;
use crate::tcp::segment::Segment;
use crate::tcp::state::{State, Stimulus};
use crate::time::Instant;
use crate::tuple::FourTuple;

/// See the module (RFC 9293 MUST-13). There may be a million of them: nothing here is wider than it must be.
#[derive(Debug)]
pub(crate) struct TimeWait {
    pub(crate) tuple: FourTuple,
    /// FIN-WAIT-2 or TIME-WAIT.
    pub(crate) state: State,
    links: Links,
    /// When it ends.
    ends_at: Instant,
    pub(crate) snd_nxt: SeqNum,
    pub(crate) rcv_nxt: SeqNum,
    /// Window field of our segments, and by how much it is scaled.
    pub(crate) window: u16,
    pub(crate) scale: u8,
    /// Both ends use timestamps.
    stamped: bool,
    ts_recent: u32,
    /// That of our own timestamps.
    ts_offset: u32,
    /// When an acknowledgment went out last, if one did: microseconds in 32 bits, which are many times 2MSL.
    last_ack: Option<NonZeroU32>,
    tos: u8,
    hop_limit: u8,
}

/// With nothing beside it: a record has no entry on the wheel.
const _: () = assert!(size_of::<TimeWait>() <= 88);

impl Linked for TimeWait {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
}

/// The records of each state, those first that end first.
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

    /// How many connections are in FIN-WAIT-2, and how many in TIME-WAIT.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.fin_wait_2.len(), self.time_wait.len())
    }

    /// The record that ends first, and when it does.
    fn first(&self, demux: &Demux) -> Option<(u32, Instant)> {
        let ends = |list: &List| {
            let index = list.first()?;
            Some((index, demux.time_wait.at(index)?.ends_at))
        };
        let (one, other) = (ends(&self.fin_wait_2), ends(&self.time_wait));
        one.into_iter().chain(other).min_by_key(|&(_, at)| at)
    }

    /// When a record ends next.
    pub(crate) fn next_end(&self, demux: &Demux) -> Option<Instant> {
        self.first(demux).map(|(_, at)| at)
    }
}

/// What to do about a segment that names a connection in TIME-WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Stay.
    Keep,
    /// Stay, and start the 2MSL anew.
    Restart,
    /// The four-tuple is free at once.
    Remove,
    /// A new incarnation may begin with this SYN; its initial sequence number must lie after the given one.
    Reopen(SeqNum),
    /// The FIN that FIN-WAIT-2 waited for: TIME-WAIT begins.
    PeerClosed,
}

impl TimeWait {
    /// What is left of `tcb`, which has just entered TIME-WAIT, or FIN-WAIT-2 for nobody.
    pub(crate) fn of(tcb: &Tcb) -> Self {
        let unit = tcb.rcv.scale.shift();
        Self {
            tuple: tcb.tuple,
            state: tcb.state,
            links: Links::default(),
            ends_at: Instant::ZERO,
            snd_nxt: tcb.snd.seq_num(tcb.snd.nxt),
            rcv_nxt: tcb.rcv.seq_num(tcb.rcv.nxt),
            window: tcb.rcv.wnd().div_ceil(1 << unit).min(u64::from(u16::MAX)) as u16,
            scale: unit,
            stamped: tcb.timestamps.is_some(),
            ts_recent: tcb.timestamps.as_ref().map_or(0, |t| t.recent),
            ts_offset: tcb.timestamps.as_ref().map_or(0, |t| t.offset),
            last_ack: None,
            tos: tcb.options.tos,
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
            // RFC 1337 would ignore it always; an exact one is believed as Linux does.
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
        // Old data, an old SYN, a FIN that came again: what we said last, again. A bare ACK in the right
        // place needs no answer, and answering it could go on for ever.
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
        self.last_ack = Some(micros(now));
        let timestamps = self.stamped.then(|| Timestamps {
            value: (now.as_millis() as u32).wrapping_add(self.ts_offset),
            echo: self.ts_recent,
        });
        let header = self.header(timestamps);
        replies.tcp(&self.ip_fields(), &header, config, counters);
    }

    /// As [`acknowledge`](Self::acknowledge), at a limited rate.
    pub(crate) fn challenge(
        &mut self,
        now: Instant,
        config: &Config,
        counters: &mut Counters,
        replies: &mut Replies,
    ) {
        if self.may_answer(now, config) {
            self.acknowledge(now, config, counters, replies);
        }
    }

    /// Has the connection's last word be a reset.
    fn send_reset(&self, config: &Config, counters: &mut Counters, replies: &mut Replies) {
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

    /// RFC 6191: newer by its timestamp, or where there is none by its sequence number (RFC 9293 MAY-2,
    /// SHLD-4).
    fn is_new(&self, segment: &Segment) -> bool {
        let by_timestamp = self.age_by_timestamp(segment).is_some_and(|age| age < 0);
        by_timestamp || segment.seq.gt(self.rcv_nxt)
    }

    pub(crate) fn is_older_by_timestamp(&self, segment: &Segment) -> bool {
        self.age_by_timestamp(segment).is_some_and(|age| age > 0)
    }

    /// Ticks of the peer's clock by which TS.Recent is ahead of the segment, if both have timestamps.
    fn age_by_timestamp(&self, segment: &Segment) -> Option<i32> {
        let theirs = segment.options.timestamps.filter(|_| self.stamped)?;
        Some(self.ts_recent.wrapping_sub(theirs.value) as i32)
    }

    pub(crate) fn take_timestamp(&mut self, segment: &Segment) {
        if let Some(theirs) = segment.options.timestamps {
            self.ts_recent = theirs.value;
        }
    }

    fn may_answer(&self, now: Instant, config: &Config) -> bool {
        self.last_ack.is_none_or(|last| {
            let since = micros(now).get().wrapping_sub(last.get());
            Duration::from_micros(since.into()) >= config.challenge_ack_interval
        })
    }
}

fn micros(now: Instant) -> NonZeroU32 {
    NonZeroU32::new((now.as_nanos() / 1000) as u32).unwrap_or(NonZeroU32::MIN)
}

impl Stack {
    /// The connection leaves its four-tuple to a compact record.
    pub(crate) fn leave_record(&mut self, now: Instant, index: u32) {
        let Some(connection) = self.demux.connections.at(index) else {
            return;
        };
        let mut record = TimeWait::of(&connection.tcb);
        if connection.tcb.owed.contains(Owed::ACK) {
            record.acknowledge(now, &self.config, &mut self.counters, &mut self.replies);
        }
        self.leave_wire(index);
        if self.demux.time_wait.len() >= self.config.max_time_wait {
            return;
        }
        self.ports.hold(record.tuple.local(), Hold::TimeWait);
        let state = record.state;
        let (index, _) = self.demux.time_wait.insert(record);
        self.demux.link(Place::TimeWait(index));
        self.file_record(now, index, state);
    }

    /// Puts a record, which is in no queue, at the end of that of its state.
    fn file_record(&mut self, now: Instant, index: u32, state: State) {
        let lasts = match state {
            State::FinWait2 => self.config.fin_timeout,
            _ => self.config.msl.saturating_mul(2),
        };
        let records = &mut self.demux.time_wait;
        self.records.of(state).push(records, index);
        if let Some(record) = records.at_mut(index) {
            record.state = state;
            record.ends_at = now + lasts;
        }
    }

    pub(crate) fn on_segment_in_time_wait(&mut self, now: Instant, index: u32, segment: &Segment) {
        let Some(record) = self.demux.time_wait.at_mut(index) else {
            return;
        };
        let state = record.state;
        let verdict = record.on_segment(
            now,
            segment,
            &self.config,
            &mut self.counters,
            &mut self.replies,
        );
        match verdict {
            Verdict::Keep => {}
            Verdict::PeerClosed => {
                record.acknowledge(now, &self.config, &mut self.counters, &mut self.replies);
                let tuple = record.tuple;
                self.refile_record(now, index, state);
                self.tell_observer(now, &tuple, state, Stimulus::Fin);
            }
            Verdict::Restart => self.refile_record(now, index, state),
            Verdict::Remove => self.end_record(now, index, Stimulus::Abort),
            // Nobody listens who could take a new connection: an old one's answer, as Linux gives it.
            Verdict::Reopen(_) if !self.listeners.has(record.tuple.local()) => {
                record.acknowledge(now, &self.config, &mut self.counters, &mut self.replies);
            }
            Verdict::Reopen(last) => {
                self.end_record(now, index, Stimulus::Abort);
                self.on_segment_without_connection(now, segment, Some(last));
            }
        }
    }

    /// TIME-WAIT begins, or begins anew.
    fn refile_record(&mut self, now: Instant, index: u32, was: State) {
        self.records
            .of(was)
            .remove(&mut self.demux.time_wait, index);
        self.file_record(now, index, State::TimeWait);
    }

    /// Ends the records whose time is over, `most` at the most.
    pub(crate) fn expire_records(&mut self, now: Instant, most: usize) {
        for _ in 0..most {
            match self.records.first(&self.demux) {
                Some((index, ends_at)) if ends_at <= now => {
                    self.end_record(now, index, Stimulus::TwoMslTimeout);
                }
                _ => return,
            }
        }
    }

    /// Resets the connections in FIN-WAIT-2.
    pub(crate) fn abort_fin_wait_2(&mut self, now: Instant) {
        while let Some(index) = self.records.fin_wait_2.first() {
            if let Some(record) = self.demux.time_wait.at(index) {
                record.send_reset(&self.config, &mut self.counters, &mut self.replies);
            }
            self.end_record(now, index, Stimulus::Abort);
        }
    }

    /// Ends a record, whatever its time.
    pub(crate) fn end_record(&mut self, now: Instant, index: u32, stimulus: Stimulus) {
        let Some(record) = self.demux.time_wait.at(index) else {
            return;
        };
        let (tuple, state) = (record.tuple, record.state);
        self.records
            .of(state)
            .remove(&mut self.demux.time_wait, index);
        self.demux.unlink(Place::TimeWait(index));
        self.demux.time_wait.remove(index);
        self.ports.release(tuple.local(), Hold::TimeWait);
        self.tell_observer(now, &tuple, state, stimulus);
    }

    fn tell_observer(&mut self, now: Instant, tuple: &FourTuple, from: State, stimulus: Stimulus) {
        // FIN-WAIT-2 has no timeout in the table of transitions.
        let stimulus = match from.after(stimulus) {
            Some(_) => stimulus,
            None => Stimulus::Abort,
        };
        if let (Some(observer), Some(to)) = (&mut self.observer, from.after(stimulus)) {
            observer.transition(now, None, tuple, from, stimulus, to);
        }
    }
}

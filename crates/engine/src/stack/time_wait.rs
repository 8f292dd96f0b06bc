//! TIME-WAIT as a compact record (RFC 9293 3.6.1, RFC 6191, RFC 1337): all that is left of a connection
//! while its last segments may still be under way.

use std::num::NonZeroU32;
use std::time::Duration;

use millstream_wire::SeqNum;
use millstream_wire::tcp::{Flags, Header, Options, Timestamps};

use super::Stack;
use super::demux::Place;
use super::ports::Hold;
use crate::config::Config;
use crate::emit::IpFields;
use crate::error::DropReason;
use crate::replies::Replies;
use crate::segment::Segment;
use crate::stats::Counters;
use crate::tcb::state::{State, Stimulus};
use crate::tcb::{Owed, Tcb};
use crate::time::Instant;
use crate::timer::wheel::TimerId;
use crate::tuple::FourTuple;

/// See the module (RFC 9293 MUST-13). There may be a million of them: nothing here is wider than it must be.
#[derive(Debug)]
pub(crate) struct TimeWait {
    pub(crate) tuple: FourTuple,
    pub(crate) timer: Option<TimerId>,
    snd_nxt: SeqNum,
    rcv_nxt: SeqNum,
    /// Window field of our segments.
    window: u16,
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

const _: () = assert!(size_of::<TimeWait>() <= 76);

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
}

impl TimeWait {
    /// What is left of `tcb`, which has just entered TIME-WAIT.
    pub(crate) fn of(tcb: &Tcb) -> Self {
        let unit = tcb.rcv.scale.shift();
        Self {
            tuple: tcb.tuple,
            timer: None,
            snd_nxt: tcb.snd.seq_num(tcb.snd.nxt),
            rcv_nxt: tcb.rcv.seq_num(tcb.rcv.nxt),
            window: tcb.rcv.wnd().div_ceil(1 << unit).min(u64::from(u16::MAX)) as u16,
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
        if segment.has(Flags::RST) {
            // RFC 1337 would ignore it always; an exact one is believed as Linux does.
            if config.time_wait_reset && segment.seq == self.rcv_nxt {
                counters.resets_received += 1;
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
        if fin_again || self.may_answer(now, config) {
            self.acknowledge(now, config, counters, replies);
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
        let header = Header {
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
        };
        let ip = IpFields {
            src: self.tuple.local_ip,
            dst: self.tuple.remote_ip,
            tos: self.tos,
            hop_limit: self.hop_limit,
            ident: 0,
        };
        replies.tcp(&ip, &header, config, counters);
    }

    /// RFC 6191: newer by its timestamp, or where there is none by its sequence number (RFC 9293 MAY-2,
    /// SHLD-4).
    fn is_new(&self, segment: &Segment) -> bool {
        let by_timestamp = self.age_by_timestamp(segment).is_some_and(|age| age < 0);
        by_timestamp || segment.seq.gt(self.rcv_nxt)
    }

    fn is_older_by_timestamp(&self, segment: &Segment) -> bool {
        self.age_by_timestamp(segment).is_some_and(|age| age > 0)
    }

    /// Ticks of the peer's clock by which TS.Recent is ahead of the segment, if both have timestamps.
    fn age_by_timestamp(&self, segment: &Segment) -> Option<i32> {
        let theirs = segment.options.timestamps.filter(|_| self.stamped)?;
        Some(self.ts_recent.wrapping_sub(theirs.value) as i32)
    }

    fn take_timestamp(&mut self, segment: &Segment) {
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
    /// The connection leaves its four-tuple to a compact record, for twice the maximum segment lifetime.
    pub(super) fn enter_time_wait(&mut self, now: Instant, index: u32) {
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
        let (index, _) = self.demux.time_wait.insert(record);
        let place = Place::TimeWait(index);
        self.demux.link(place);
        let timer = self.wheel.insert(now + 2 * self.config.msl, place.key());
        if let Some(record) = self.demux.time_wait.at_mut(index) {
            record.timer = Some(timer);
        }
    }

    pub(super) fn on_segment_in_time_wait(&mut self, now: Instant, index: u32, segment: &Segment) {
        let Some(record) = self.demux.time_wait.at_mut(index) else {
            return;
        };
        let verdict = record.on_segment(
            now,
            segment,
            &self.config,
            &mut self.counters,
            &mut self.replies,
        );
        match verdict {
            Verdict::Keep => {}
            Verdict::Restart => {
                if let Some(timer) = record.timer {
                    self.wheel.rearm(timer, now + 2 * self.config.msl);
                }
            }
            Verdict::Remove => self.end_time_wait(now, index, Stimulus::Abort),
            // Nobody listens who could take a new connection: an old one's answer, as Linux gives it.
            Verdict::Reopen(_) if !self.listeners.has(record.tuple.local()) => {
                record.acknowledge(now, &self.config, &mut self.counters, &mut self.replies);
            }
            Verdict::Reopen(last) => {
                self.end_time_wait(now, index, Stimulus::Abort);
                self.on_segment_without_connection(now, segment, Some(last));
            }
        }
    }

    pub(super) fn on_time_wait_timeout(&mut self, now: Instant, index: u32) {
        if let Some(record) = self.demux.time_wait.at_mut(index) {
            record.timer = None;
            self.end_time_wait(now, index, Stimulus::TwoMslTimeout);
        }
    }

    pub(super) fn end_time_wait(&mut self, now: Instant, index: u32, stimulus: Stimulus) {
        self.demux.unlink(Place::TimeWait(index));
        let Some(record) = self.demux.time_wait.remove(index) else {
            return;
        };
        if let Some(timer) = record.timer {
            self.wheel.cancel(timer);
        }
        self.ports.release(record.tuple.local(), Hold::TimeWait);
        if let Some(observer) = &mut self.observer {
            observer.transition(
                now,
                None,
                &record.tuple,
                State::TimeWait,
                stimulus,
                State::Closed,
            );
        }
    }
}

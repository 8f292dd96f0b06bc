//! Half-open connections: SYN-RECEIVED after a passive open, as compact records (RFC 4987 3.5). A
//! connection is made of one when the handshake's last ACK arrives.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::time::Duration;

use millstream_wire::tcp::{Flags, Header, Timestamps};
use millstream_wire::{SeqNum, WindowScale};

use super::queue::Link;
use crate::config::{Config, SocketOptions};
use crate::host::replies::Replies;
use crate::id::ListenerId;
use crate::stats::{Counters, count};
use crate::tcp::connection::{Offer, initial_offer};
use crate::tcp::emit::IpFields;
use crate::tcp::listen::cookie;
use crate::tcp::segment::Segment;
use crate::time::Instant;
use crate::timer::wheel::TimerId;
use crate::tuple::FourTuple;

/// See the module (RFC 9293 MUST-11).
#[derive(Debug)]
pub(crate) struct HalfOpen {
    pub(crate) tuple: FourTuple,
    pub(crate) listener: ListenerId,
    /// Its place among those of the listener and, where that is one of every address, of its
    /// source's network.
    pub(crate) in_listener: Link,
    pub(crate) in_network: Link,
    pub(crate) network: u32,
    pub(crate) timer: Option<TimerId>,
    pub(crate) iss: SeqNum,
    pub(crate) irs: SeqNum,
    pub(crate) peer_offer: Offer,
    /// What we answered.
    pub(crate) our_offer: Offer,
    /// Window field of the SYN.
    pub(crate) peer_window: u16,
    /// The peer's latest timestamp, and the offset of ours.
    pub(crate) peer_timestamp: u32,
    pub(crate) timestamp_offset: u32,
    /// When the SYN-ACK went out last; before, when the SYN came.
    pub(crate) sent_at: Instant,
    /// When something was last answered that may come from anybody: the SYN that came again, or
    /// what is not acceptable.
    pub(crate) last_answer: Option<Instant>,
    pub(crate) challenged: bool,
    /// Timeouts of the SYN-ACK.
    pub(crate) retries: u8,
    /// The SYN-ACK went out more than once, or it is not known when.
    pub(crate) resent: bool,
    /// Our initial sequence number is a cookie: what was agreed on is known from the last ACK, too.
    pub(crate) cookie: bool,
    pub(crate) decision: Decision,
}

/// There may be as many as all backlogs together.
const _: () = assert!(size_of::<HalfOpen>() <= 152);

/// Whether somebody has to say yes before the SYN is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nobody: the listener is one of an address.
    NotAsked,
    /// Somebody who has not; nothing was sent.
    Asked,
    /// Somebody who has.
    Admitted,
}

/// What to do about a segment that names a half-open connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing more.
    Keep,
    /// The SYN came again: so does the SYN-ACK.
    Answer,
    /// Not acceptable: acknowledge where we are (rate limited).
    Challenge,
    /// Acknowledges something else: reset, and the record stays.
    Reset,
    /// The peer gave up: forget it, silently.
    Remove,
    /// The handshake is complete.
    Establish,
}

impl HalfOpen {
    /// RFC 9293 3.10.7.4 for SYN-RECEIVED after a passive open.
    pub(crate) fn judge(&self, segment: &Segment, options: &SocketOptions) -> Verdict {
        let expected = self.irs + 1;
        // The same SYN again (RFC 9293 3.10.7.4, first; the answer is the same as the first time).
        if segment.has(Flags::SYN) && !segment.has(Flags::ACK) && !segment.has(Flags::RST) {
            return if segment.seq == self.irs {
                Verdict::Answer
            } else {
                Verdict::Challenge
            };
        }
        let offset = i64::from(segment.seq.distance_from(expected));
        let window = i64::from(self.offered_window(options));
        if segment.has(Flags::RST) {
            return match offset {
                0 => Verdict::Remove,
                _ if (1..window).contains(&offset) => Verdict::Challenge,
                _ if offset == window && segment.len() == 0 => Verdict::Challenge,
                _ => Verdict::Keep,
            };
        }
        // Some of it lies in the window; or it is empty, and stands in it or at its right edge.
        let length = segment.len() as i64;
        let acceptable = match length {
            0 => (0..=window).contains(&offset),
            _ => offset.saturating_add(length) > 0 && offset < window,
        };
        if !acceptable {
            return Verdict::Challenge;
        }
        if segment.has(Flags::SYN) {
            return Verdict::Challenge;
        }
        if !segment.has(Flags::ACK) {
            return Verdict::Keep;
        }
        if segment.ack != self.iss + 1 {
            return Verdict::Reset;
        }
        Verdict::Establish
    }

    /// Whether the segment's timestamp is older than the SYN's (RFC 7323 5.3).
    pub(crate) fn is_older_by_timestamp(&self, segment: &Segment) -> bool {
        self.our_offer.timestamps
            && segment
                .options
                .timestamps
                .is_some_and(|theirs| (theirs.value.wrapping_sub(self.peer_timestamp) as i32) < 0)
    }

    /// Whether it waits for a second, as long as a SYN-ACK is under way at the most.
    pub(crate) fn has_waited(&self, now: Instant, options: &SocketOptions) -> bool {
        self.retries > 0 || now - self.sent_at >= options.initial_rto
    }

    /// When to send the SYN-ACK again.
    pub(crate) fn timeout(&self, options: &SocketOptions) -> Duration {
        let factor = 1u32 << self.retries.min(16);
        options
            .initial_rto
            .saturating_mul(factor)
            .min(options.max_rto)
    }

    pub(crate) fn send_syn_ack(
        &mut self,
        now: Instant,
        options: &SocketOptions,
        config: &Config,
        counters: &mut Counters,
        replies: &mut Replies,
    ) {
        self.sent_at = now;
        let header = Header {
            seq: self.iss,
            flags: self.syn_ack_flags(),
            options: self.our_offer.options(self.timestamps(now)),
            ..self.ack_header(now, options)
        };
        replies.tcp(&self.ip_fields(options), &header, config, counters);
    }

    /// Whether what may come from anybody is answered now: once in `interval`, as by Linux.
    pub(crate) fn may_answer(&mut self, now: Instant, interval: Duration) -> bool {
        let may = self.last_answer.is_none_or(|last| now - last >= interval);
        if may {
            self.last_answer = Some(now);
        }
        may
    }

    pub(crate) fn send_challenge(
        &mut self,
        now: Instant,
        options: &SocketOptions,
        config: &Config,
        counters: &mut Counters,
        replies: &mut Replies,
    ) {
        if !self.may_answer(now, config.challenge_ack_interval) {
            return;
        }
        self.challenged = true;
        count(&mut counters.challenge_acks);
        let header = self.ack_header(now, options);
        // Unlike a SYN's, this window is scaled (RFC 7323 2.2).
        let scale = WindowScale::new(self.our_offer.window_scale.unwrap_or(0));
        let header = Header {
            window: scale.narrow(self.offered_window(options)),
            ..header
        };
        replies.tcp(&self.ip_fields(options), &header, config, counters);
    }

    /// Tells the peer that nobody will accept it. If its SYN was not answered yet, this is RFC 9293 3.10.7.1's answer.
    pub(crate) fn send_reset(
        &self,
        options: &SocketOptions,
        config: &Config,
        counters: &mut Counters,
        replies: &mut Replies,
    ) {
        let own = self.ack_header(self.sent_at, options);
        let header = Header {
            seq: match self.decision {
                Decision::Asked => SeqNum::new(0),
                Decision::NotAsked | Decision::Admitted => own.seq,
            },
            flags: Flags::RST | Flags::ACK,
            window: 0,
            options: Default::default(),
            ..own
        };
        replies.tcp(&self.ip_fields(options), &header, config, counters);
        count(&mut counters.resets_sent);
    }

    /// Bytes that we have offered to take. As a multiple of the unit they are rounded up, and nothing is taken back later
    /// (RFC 9293 SHLD-14): not by a SYN-ACK that is sent again after a challenge, nor by the connection.
    pub(crate) fn offered_window(&self, options: &SocketOptions) -> u32 {
        let first = u32::from(initial_offer(options, self.our_offer.mss));
        if self.challenged {
            first.next_multiple_of(self.window_unit())
        } else {
            first
        }
    }

    fn window_unit(&self) -> u32 {
        1 << self.our_offer.window_scale.unwrap_or(0)
    }

    fn ack_header(&self, now: Instant, options: &SocketOptions) -> Header {
        Header {
            src_port: self.tuple.local_port,
            dst_port: self.tuple.remote_port,
            seq: self.iss + 1,
            ack: self.irs + 1,
            flags: Flags::ACK,
            window: u16::try_from(self.offered_window(options)).unwrap_or(u16::MAX),
            urgent: 0,
            options: millstream_wire::tcp::Options {
                timestamps: self.timestamps(now),
                ..Default::default()
            },
        }
    }

    /// RFC 3168 6.1.1: a SYN-ACK accepts ECN by ECE alone.
    fn syn_ack_flags(&self) -> Flags {
        let mut flags = Flags::SYN | Flags::ACK;
        flags.set(Flags::ECE, self.our_offer.ecn);
        flags
    }

    fn timestamps(&self, now: Instant) -> Option<Timestamps> {
        let plain = (now.as_millis() as u32).wrapping_add(self.timestamp_offset);
        self.our_offer.timestamps.then(|| Timestamps {
            value: if self.cookie {
                cookie::stamp(plain, self)
            } else {
                plain
            },
            echo: self.peer_timestamp,
        })
    }

    fn ip_fields(&self, options: &SocketOptions) -> IpFields {
        IpFields {
            src: self.tuple.local_ip,
            dst: self.tuple.remote_ip,
            tos: options.tos & !3,
            hop_limit: options.hop_limit,
            ident: self.iss.raw() as u16,
        }
    }
}

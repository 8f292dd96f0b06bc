//! Half-open connections: SYN-RECEIVED after a passive open, as compact records (RFC 4987 3.5).
//! When the last ACK of the handshake arrives, the record becomes a connection.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::time::Duration;

use millstream_wire::tcp::{Flags, Header, Timestamps};
use millstream_wire::{SeqNum, WindowScale};

use crate::config::{Config, SocketOptions};
use crate::id::ListenerId;
use crate::ip::fields::IpFields;
use crate::ip::replies::Replies;
use crate::stats::{Counters, count};
use crate::table::list::Links;
use crate::tcp::challenge::Challenges;
use crate::tcp::connection::{Offer, initial_offer};
use crate::tcp::listen::cookie;
use crate::tcp::segment::Segment;
use crate::tcp::timestamps::{self, NOTHING_OVERTAKEN};
use crate::time::Instant;
use crate::timer::wheel::TimerId;
use crate::tuple::FourTuple;

/// See the module (RFC 9293 MUST-11).
#[derive(Debug)]
pub(crate) struct HalfOpen {
    pub(crate) tuple: FourTuple,
    pub(crate) listener: ListenerId,
    /// Its place in the queue of the listener and, for a listener for every address, in that of its
    /// source's network.
    pub(crate) in_listener: Links,
    pub(crate) in_network: Links,
    pub(crate) network: u32,
    pub(crate) timer: Option<TimerId>,
    pub(crate) iss: SeqNum,
    pub(crate) irs: SeqNum,
    pub(crate) peer_offer: Offer,
    /// The offer in the SYN-ACK.
    pub(crate) our_offer: Offer,
    /// Window field of the SYN.
    pub(crate) peer_window: u16,
    /// The peer's latest timestamp, and the offset of the local timestamps.
    pub(crate) peer_timestamp: u32,
    pub(crate) timestamp_offset: u32,
    /// Time of the last SYN-ACK; before the first one, the arrival time of the SYN.
    pub(crate) sent_at: Instant,
    /// Answers to segments that may be forged: a repeated SYN or an unacceptable segment.
    pub(crate) challenges: Challenges,
    pub(crate) challenged: bool,
    /// Number of SYN-ACK timeouts.
    pub(crate) retries: u8,
    /// Whether the SYN-ACK was sent more than once, or at an unknown time.
    pub(crate) resent: bool,
    /// Whether the local initial sequence number is a cookie: the last ACK then also carries the
    /// negotiated values.
    pub(crate) cookie: bool,
    pub(crate) decision: Decision,
}

/// There may be as many records as the sum of all backlogs.
const _: () = assert!(size_of::<HalfOpen>() <= 128);

/// Whether the application must decide before the SYN is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// No: the listener has an address of its own.
    NotAsked,
    /// The application has not decided yet; nothing was sent.
    Asked,
    /// The application has admitted the attempt.
    Admitted,
}

/// How to handle a segment that belongs to a half-open connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing further.
    Keep,
    /// The SYN was repeated: repeat the SYN-ACK.
    Answer,
    /// Unacceptable: acknowledge the current state (rate limited).
    Challenge,
    /// Wrong acknowledgment number: reset, but keep the record.
    Reset,
    /// The peer gave up: remove the record silently.
    Remove,
    /// The handshake is complete.
    Establish,
}

impl HalfOpen {
    /// RFC 9293 3.10.7.4 for SYN-RECEIVED after a passive open.
    pub(crate) fn judge(&self, segment: &Segment, options: &SocketOptions) -> Verdict {
        let expected = self.irs + 1;
        // The same SYN again (RFC 9293 3.10.7.4, first): the answer is the same as before.
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
        // Part of the segment lies in the window, or it is empty and begins in the window or at its
        // right edge.
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
        let theirs = segment.options.timestamps;
        let older = |value| timestamps::is_older(value, self.peer_timestamp, NOTHING_OVERTAKEN);
        self.our_offer.timestamps && theirs.is_some_and(|theirs| older(theirs.value))
    }

    /// Whether the record has waited for a second, an upper bound on the time in transit of a
    /// SYN-ACK.
    pub(crate) fn has_waited(&self, now: Instant, options: &SocketOptions) -> bool {
        self.retries > 0 || now - self.sent_at >= options.initial_rto
    }

    /// Time until the SYN-ACK is retransmitted.
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

    pub(crate) fn send_challenge(
        &mut self,
        now: Instant,
        options: &SocketOptions,
        config: &Config,
        counters: &mut Counters,
        replies: &mut Replies,
    ) {
        if !self.challenges.take(now, config.challenge_ack_interval) {
            return;
        }
        self.challenged = true;
        count(&mut counters.challenge_acks);
        let header = self.ack_header(now, options);
        // Unlike the window of a SYN, this window is scaled (RFC 7323 2.2).
        let scale = WindowScale::new(self.our_offer.window_scale.unwrap_or(0));
        let header = Header {
            window: scale.narrow(self.offered_window(options)),
            ..header
        };
        replies.tcp(&self.ip_fields(options), &header, config, counters);
    }

    /// Tells the peer that the connection is refused. If its SYN was not answered yet, this is the
    /// answer of RFC 9293 3.10.7.1.
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

    /// The window offered to the peer, in bytes. It is rounded up to a multiple of the scale unit
    /// and never reduced later (RFC 9293 SHLD-14), neither by a SYN-ACK that is retransmitted after
    /// a challenge nor by the connection.
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
        let plain = timestamps::value(now, self.timestamp_offset);
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

//! SYN cookies: answers to SYNs for which no record is kept, and the connections that they become.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use millstream_wire::tcp::Flags;

use super::Stack;
use crate::error::DropReason;
use crate::id::ListenerId;
use crate::stats::count;
use crate::tcp::connection::Offer;
use crate::tcp::listen::cookie::{LIFETIME, offer_of};
use crate::tcp::listen::half_open::HalfOpen;
use crate::tcp::segment::Segment;
use crate::time::Instant;

/// Number of half-open connections beyond the backlog for peers whose cookie has returned: their
/// source addresses are not forged.
const RETURNED: usize = 64;

impl Stack {
    /// Answers a SYN without keeping a record.
    pub(crate) fn send_cookie(&mut self, now: Instant, id: ListenerId, segment: &Segment) {
        let Some(listener) = self.listeners.get_mut(id) else {
            return;
        };
        listener.cookies_until = Some(now + LIFETIME);
        let options = Arc::clone(&listener.options);
        let ours = Offer::ours(&self.config, &options, segment.tuple.local_ip);
        let mut half_open = HalfOpen {
            irs: segment.seq,
            ..self.half_open_of(now, id, &ours, segment, Offer::theirs(segment))
        };
        half_open.answer_by_cookie(&self.isn, now);
        half_open.send_syn_ack(
            now,
            &options,
            &self.config,
            &mut self.counters,
            &mut self.replies,
        );
        count(&mut self.counters.syn_cookies_sent);
    }

    /// Makes the answer to the SYN of an attempt a cookie, so that the attempt can be removed
    /// before the handshake ends without loss.
    pub(crate) fn make_cookie(&mut self, now: Instant, index: u32) {
        let Some(half_open) = self.demux.half_open.at_mut(index) else {
            return;
        };
        half_open.answer_by_cookie(&self.isn, now);
        if let Some(listener) = self.listeners.get_mut(half_open.listener) {
            listener.cookies_until = Some(now + LIFETIME);
        }
        count(&mut self.counters.syn_cookies_sent);
    }

    /// Whether a segment acknowledges a cookie of the listener.
    pub(crate) fn is_for_cookie(&self, now: Instant, id: ListenerId, segment: &Segment) -> bool {
        self.half_open_in_cookie(now, id, segment).is_some()
    }

    /// Makes a connection of a segment that acknowledges a cookie, if there is room. Returns
    /// whether the segment acknowledges one.
    pub(crate) fn take_cookie(&mut self, now: Instant, id: ListenerId, segment: &Segment) -> bool {
        let Some(half_open) = self.half_open_in_cookie(now, id, segment) else {
            return false;
        };
        if self.is_accept_queue_full(id) {
            self.counters.count_drop(DropReason::AcceptQueueFull);
            self.keep_returned(now, half_open);
            return true;
        }
        count(&mut self.counters.syn_cookies_received);
        self.observe_half_open(now, &half_open.tuple);
        let attempt = self.returned_attempt(id);
        self.establish(now, &half_open, attempt, segment.clone());
        if let Some(attempt) = attempt {
            self.announce_returned(id, attempt);
        }
        true
    }

    /// The accept queue is full. The peer regards itself as connected and may wait for data from
    /// this side. If there is room, the connection becomes half-open, so that a SYN-ACK makes the
    /// peer acknowledge again (Linux forgets the connection).
    fn keep_returned(&mut self, now: Instant, half_open: HalfOpen) {
        let Some(listener) = self.listeners.get(half_open.listener) else {
            return;
        };
        let room = listener.backlog.saturating_add(RETURNED);
        if listener.any.is_some() || listener.half_open() >= room {
            return;
        }
        let options = Arc::clone(&listener.options);
        let index = self.keep_half_open(now, half_open);
        self.file_answer(now, index, &options);
    }

    /// The half-open connection as it was when the listener sent the cookie that this segment
    /// acknowledges, if it does.
    fn half_open_in_cookie(
        &self,
        now: Instant,
        id: ListenerId,
        segment: &Segment,
    ) -> Option<HalfOpen> {
        let listener = self.listeners.get(id)?;
        if listener.cookies_until.is_none_or(|until| until < now) || segment.has(Flags::SYN) {
            return None;
        }
        let (irs, iss) = (segment.seq - 1, segment.ack - 1);
        let mss = self.isn.size_in_cookie(&segment.tuple, irs, iss, now)?;
        let echo = segment.options.timestamps.map(|timestamps| timestamps.echo);
        let ours = Offer::ours(&self.config, &listener.options, segment.tuple.local_ip);
        Some(HalfOpen {
            irs,
            iss,
            // The send time of the SYN-ACK is unknown.
            resent: true,
            cookie: true,
            ..self.half_open_of(now, id, &ours, segment, offer_of(mss, echo))
        })
    }
}

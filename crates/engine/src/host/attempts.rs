//! Attempts to connect to any address: the application decides on each, and learns the outcome.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use millstream_wire::tcp::Flags;

use super::{Stack, seen_addresses};
use crate::config::ListenOptions;
use crate::error::{DropReason, ListenError};
use crate::event::Event;
use crate::id::{AttemptId, ListenerId};
use crate::stats::count;
use crate::table::place::Place;
use crate::tcp::listen::attempt::{Admission, Attempt};
use crate::tcp::listen::half_open::Decision;
use crate::tcp::listen::listener::Accepted;
use crate::tcp::segment::Segment;
use crate::time::Instant;

/// A client that has not retransmitted its SYN for this long has given up: the longest interval
/// between two SYNs is 64 seconds on Linux.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(75);

/// Longest wait for a decision: Linux gives up after 127 seconds.
const UNDECIDED_AT_MOST: Duration = Duration::from_secs(180);

impl Stack {
    /// Listens on every address and port that has no other listener, even on addresses that do not
    /// belong to the stack, as a gateway needs to which all packets are routed.
    /// [`next_attempt`](Self::next_attempt) returns the attempts to connect, and
    /// [`admit`](Self::admit), [`refuse`](Self::refuse) or [`ignore`](Self::ignore) answers them.
    /// From now on TCP segments for any address are accepted; of other packets for foreign
    /// addresses, only ICMP errors about connections are.
    ///
    /// The backlog bounds the sum of undecided attempts and incomplete handshakes; separately it
    /// bounds the completed handshakes that [`admission`](Self::admission) has not returned. An
    /// attempt for which there is no room replaces the oldest attempt of the network (the first 24
    /// bits of an IPv4 address, 48 of an IPv6 address) with the most attempts. If that is its own
    /// network, and the oldest attempt there has waited for less than a second, the new attempt is
    /// dropped, and the peer tries again. Once half of the backlog is used, admitted attempts are
    /// answered by cookies, unless [`Config::syn_cookies`](crate::Config::syn_cookies) forbids it,
    /// so that a removed attempt still becomes a connection, reported as another,
    /// [answered](Attempt::answered), attempt. The record of an attempt takes about 160 bytes.
    ///
    /// An undecided attempt ends 75 seconds after its last SYN, and 180 seconds after its first.
    ///
    /// # Errors
    ///
    /// [`ListenError::AddrInUse`] if a listener for every address exists, and
    /// [`ListenError::InvalidOption`].
    pub fn listen_any(&mut self, options: ListenOptions) -> Result<ListenerId, ListenError> {
        options.socket.validate()?;
        let every = SocketAddr::from(([0, 0, 0, 0], 0));
        let id = self.listeners.insert_any(options);
        self.attempts.make_possible();
        id.ok_or(ListenError::AddrInUse(every))
    }

    /// The next attempt to decide on. `None` if there is none; [`Event::Incoming`] reports the
    /// next.
    pub fn next_attempt(&mut self, id: ListenerId) -> Option<Attempt> {
        let listener = self.listeners.get_mut(id)?;
        let any = listener.any.as_mut()?;
        while let Some(attempt) = any.returned.pop_front() {
            let connection = self.attempts.connection(attempt);
            if let Some(held) = connection.and_then(|id| self.demux.held(id)) {
                let (local, peer) = seen_addresses(&held.tcb);
                return Some(Attempt {
                    id: attempt,
                    local,
                    peer,
                    answered: true,
                });
            }
        }
        let Some((index, half_open)) = any
            .to_ask
            .and_then(|index| Some((index, self.demux.half_open.at(index)?)))
        else {
            listener.told = false;
            return None;
        };
        any.to_ask = half_open.in_listener.after();
        Some(Attempt {
            id: self.attempt_id(index),
            local: half_open.tuple.local(),
            peer: half_open.tuple.remote(),
            answered: false,
        })
    }

    /// Answers the SYN of an attempt that waits for a decision (RFC 9293 3.10.7.2, third).
    /// [`admission`](Self::admission) returns the outcome.
    pub fn admit(&mut self, now: Instant, id: AttemptId) {
        let half_open = &mut self.demux.half_open;
        let Some(half_open) = half_open.named_mut(id.index, id.generation) else {
            return;
        };
        if half_open.decision != Decision::Asked {
            return;
        }
        half_open.decision = Decision::Admitted;
        let listener = half_open.listener;
        if let Some(listener) = self.listeners.get(listener) {
            let options = Arc::clone(&listener.options);
            if listener.uses_cookies(self.config.syn_cookies, listener.backlog.div_ceil(2)) {
                self.make_cookie(now, id.index);
            }
            self.answer_syn(now, id.index, &options);
        }
    }

    /// The outcome of an attempt. A connection is returned once.
    pub fn admission(&mut self, id: AttemptId) -> Admission {
        let admission = self.peek_admission(id);
        self.attempts.take(id);
        admission
    }

    /// The outcome as [`admission`](Self::admission) reports it, but the connection is not taken.
    #[must_use]
    pub fn peek_admission(&self, id: AttemptId) -> Admission {
        if self.is_half_open(id) {
            return Admission::Pending;
        }
        let connection = self.attempts.connection(id);
        let held = connection.and_then(|id| Some((id, self.demux.held(id)?)));
        held.map_or(Admission::Gone, |(id, held)| {
            let (local, peer) = seen_addresses(&held.tcb);
            Admission::Established(Accepted { id, local, peer })
        })
    }

    /// Resets an attempt in whatever state, unless its connection was returned. To the peer it
    /// looks as if no program listened on that address and port (as described in RFC 9293
    /// 3.10.7.1).
    pub fn refuse(&mut self, now: Instant, id: AttemptId) {
        self.end_attempt(now, id, true);
    }

    /// Removes an attempt silently, as a firewall may. A retransmitted SYN of the peer is a new
    /// attempt.
    pub fn ignore(&mut self, now: Instant, id: AttemptId) {
        self.end_attempt(now, id, false);
    }

    fn end_attempt(&mut self, now: Instant, id: AttemptId, tell: bool) {
        if self.is_half_open(id) {
            self.remove_half_open(id.index, now, tell);
        } else if let Some(connection) = self.attempts.take(id) {
            self.abort(now, connection);
        }
    }

    fn is_half_open(&self, id: AttemptId) -> bool {
        let half_open = &self.demux.half_open;
        half_open.named(id.index, id.generation).is_some()
    }

    pub(crate) fn attempt_id(&self, index: u32) -> AttemptId {
        AttemptId {
            index,
            generation: self.demux.half_open.generation(index),
        }
    }

    /// Asks the application to decide on a half-open connection.
    pub(crate) fn ask(&mut self, now: Instant, index: u32) {
        self.wait_for_decision(now, index);
        if let Some(id) = self.demux.half_open.at(index).map(|h| h.listener) {
            self.tell_of_attempts(id);
        }
    }

    fn tell_of_attempts(&mut self, id: ListenerId) {
        if let Some(listener) = self.listeners.get_mut(id)
            && !std::mem::replace(&mut listener.told, true)
        {
            self.events.push_back(Event::Incoming(id));
        }
    }

    /// Removes an attempt to make room for one from `source`. Returns whether there was one to
    /// remove.
    pub(crate) fn make_room(&mut self, now: Instant, id: ListenerId, source: IpAddr) -> bool {
        let Some(listener) = self.listeners.get(id) else {
            return false;
        };
        let victim = listener
            .any
            .as_ref()
            .and_then(|any| any.networks.victim(source));
        let Some(victim) = victim else {
            return false;
        };
        let Some(half_open) = self.demux.half_open.at(victim.index) else {
            return false;
        };
        // Within one network the earliest attempts are served when room is short. An attempt that
        // was answered by a cookie can return.
        if victim.own && !half_open.cookie && !half_open.has_waited(now, &listener.options) {
            return false;
        }
        count(&mut self.counters.attempts_replaced);
        self.remove_half_open(victim.index, now, false);
        true
    }

    /// A name for the connection that a cookie makes of an attempt, if the listener is the one for
    /// every address.
    pub(crate) fn returned_attempt(&mut self, id: ListenerId) -> Option<AttemptId> {
        self.listeners.get(id)?.any.as_ref()?;
        let (index, generation) = self.demux.half_open.unused_name();
        Some(AttemptId { index, generation })
    }

    /// Reports to the application that a cookie has turned an attempt into a connection.
    pub(crate) fn announce_returned(&mut self, id: ListenerId, attempt: AttemptId) {
        if let Some(any) = self.listeners.get_mut(id).and_then(|l| l.any.as_mut()) {
            any.returned.push_back(attempt);
            self.tell_of_attempts(id);
        }
    }

    fn wait_for_decision(&mut self, now: Instant, index: u32) {
        let Some(half_open) = self.demux.half_open.at_mut(index) else {
            return;
        };
        let deadline = (now + GIVEN_UP_AFTER).min(half_open.sent_at + UNDECIDED_AT_MOST);
        let key = Place::HalfOpen(index).key();
        match half_open.timer {
            Some(timer) => self.wheel.rearm(timer, deadline),
            None => half_open.timer = Some(self.wheel.insert(deadline, key)),
        }
    }

    /// Handles a segment as a listener does (RFC 9293 3.10.7.2), because nothing was sent yet.
    pub(crate) fn on_segment_for_asked(&mut self, now: Instant, index: u32, segment: &Segment) {
        let Some(half_open) = self.demux.half_open.at_mut(index) else {
            return;
        };
        if segment.has(Flags::RST) {
            if segment.seq == half_open.irs + 1 {
                count(&mut self.counters.resets_received);
                self.remove_half_open(index, now, false);
            } else {
                self.counters.count_drop(DropReason::ListenUnexpected);
            }
        } else if segment.has(Flags::ACK) {
            self.counters.count_drop(DropReason::ListenUnexpected);
            self.replies
                .reset(segment, &self.config, &mut self.counters);
        } else if segment.has(Flags::SYN) && segment.seq == half_open.irs {
            // The answer echoes the latest timestamp.
            half_open.peer_timestamp = segment.options.timestamps.map_or(0, |t| t.value);
            self.wait_for_decision(now, index);
        } else if segment.has(Flags::SYN) {
            // The peer has started a new connection and no longer knows the old attempt.
            self.remove_half_open(index, now, false);
            self.on_segment_without_connection(now, segment, None);
        } else {
            self.counters.count_drop(DropReason::ListenUnexpected);
        }
    }
}

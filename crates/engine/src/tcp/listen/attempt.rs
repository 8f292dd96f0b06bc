//! The listener of every address and port, as a gateway has it: for each attempt to connect the application decides whether it
//! is answered, and the SYN waits meanwhile.
//!
//! An attempt is a half-open connection of which nothing was sent. Admitted, it goes the way of every other; what becomes
//! of it is not put into the listener's queue, but kept for who has decided.
//!
//! Where there is no room for another attempt, an old one is forgotten (RFC 4987 3.5), of the
//! network that has most. From half of the room on those that are admitted are answered by cookies:
//! what was forgotten comes back as a connection.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use millstream_wire::tcp::Flags;

use super::half_open::Decision;
use crate::config::ListenOptions;
use crate::error::{DropReason, ListenError};
use crate::event::Event;
use crate::host::demux::Place;
use crate::host::{Accepted, Stack, seen_addresses};
use crate::id::{AttemptId, ConnectionId, ListenerId};
use crate::stats::count;
use crate::tcp::segment::Segment;
use crate::time::Instant;

/// A client that has not sent its SYN again for so long has given up: the longest pause between two is 64 seconds on Linux.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(75);

/// And nobody decides so late: Linux gives up after 127 seconds.
const UNDECIDED_AT_MOST: Duration = Duration::from_secs(180);

/// Somebody wants to connect to an address that need not be the stack's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// Its name.
    pub id: AttemptId,
    /// Where the peer wants to.
    pub local: SocketAddr,
    /// The peer.
    pub peer: SocketAddr,
    /// It is a connection already. It was admitted before, under another name, and forgotten
    /// because there were too many; then the peer answered. [`Stack::admit`] has nothing to do,
    /// [`Stack::refuse`] resets the connection.
    pub answered: bool,
}

/// What has become of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is not decided on, or the handshake goes on. [`Event::Attempt`] will tell when it is over.
    Pending,
    /// A connection, given out once.
    Established(Accepted),
    /// Nothing: the peer gave up or was reset, there was no room for it any more, the listener was
    /// closed, or the connection was given out before.
    Gone,
}

/// What the stack keeps of attempts besides the half-open connections.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    /// There is a listener of every address, or was: its connections may still be there.
    possible: bool,
    /// Connections that were not given out yet.
    established: HashMap<AttemptId, ConnectionId>,
}

impl Attempts {
    /// Whether packets for addresses that are not ours may concern us.
    pub(crate) fn are_possible(&self) -> bool {
        self.possible
    }

    /// How many connections wait to be given out.
    pub(crate) fn established(&self) -> usize {
        self.established.len()
    }

    pub(crate) fn on_established(&mut self, attempt: AttemptId, connection: ConnectionId) {
        self.established.insert(attempt, connection);
    }
}

impl Stack {
    /// Listens on every address and port for which there is no other listener, also on those that are not the stack's: what a
    /// gateway needs to which all packets are routed. [`next_attempt`](Self::next_attempt) tells who wants to connect where,
    /// and [`admit`](Self::admit), [`refuse`](Self::refuse) or [`ignore`](Self::ignore) answer. From now on segments for any
    /// address are taken in; nothing else for foreign addresses is, but ICMP errors about connections.
    ///
    /// The backlog bounds the attempts that are not decided on and those whose handshake is not
    /// complete, together; separately it bounds those that are complete and that
    /// [`admission`](Self::admission) has not given out. An attempt for which there is no room
    /// takes that of the oldest one of the network (the first 24 bits of an IPv4 address, 48 of an
    /// IPv6 address) that has most. If that is its own, and the oldest one there has waited for
    /// less than a second, it is dropped, and the peer tries again. From half of the backlog on
    /// those admitted are answered by cookies, unless
    /// [`Config::syn_cookies`](crate::Config::syn_cookies) says otherwise, so that one that was
    /// forgotten becomes a connection all the same, and another, [answered](Attempt::answered),
    /// attempt. A record of about 160 bytes is kept of each.
    ///
    /// An attempt that is not decided on ends 75 seconds after its SYN came last, and 180 after it
    /// came first.
    ///
    /// # Errors
    ///
    /// [`ListenError::AddrInUse`] if there is such a listener, and [`ListenError::InvalidOption`].
    pub fn listen_any(&mut self, options: ListenOptions) -> Result<ListenerId, ListenError> {
        options.socket.validate()?;
        let every = SocketAddr::from(([0, 0, 0, 0], 0));
        let id = self.listeners.insert_any(options);
        self.attempts.possible = true;
        id.ok_or(ListenError::AddrInUse(every))
    }

    /// The next attempt to decide on. `None`: there is none, and [`Event::Incoming`] will tell when there is.
    pub fn next_attempt(&mut self, id: ListenerId) -> Option<Attempt> {
        let listener = self.listeners.get_mut(id)?;
        let any = listener.any.as_mut()?;
        while let Some(attempt) = any.returned.pop_front() {
            let connection = self.attempts.established.get(&attempt);
            if let Some(held) = connection.and_then(|&id| self.demux.held(id)) {
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

    /// Answers the SYN of an attempt, if it waits for that (RFC 9293 3.10.7.2, third). [`admission`](Self::admission) tells what
    /// becomes of it.
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

    /// What has become of an attempt. A connection is given out, once.
    pub fn admission(&mut self, id: AttemptId) -> Admission {
        let admission = self.peek_admission(id);
        self.attempts.established.remove(&id);
        admission
    }

    /// As [`admission`](Self::admission), without giving the connection out.
    #[must_use]
    pub fn peek_admission(&self, id: AttemptId) -> Admission {
        if self.is_half_open(id) {
            return Admission::Pending;
        }
        let connection = self.attempts.established.get(&id);
        let held = connection.and_then(|&id| Some((id, self.demux.held(id)?)));
        held.map_or(Admission::Gone, |(id, held)| {
            let (local, peer) = seen_addresses(&held.tcb);
            Admission::Established(Accepted { id, local, peer })
        })
    }

    /// Resets an attempt, whatever has become of it, unless its connection was given out: to the peer nobody listens (RFC 9293
    /// 3.10.7.1).
    pub fn refuse(&mut self, now: Instant, id: AttemptId) {
        self.end_attempt(now, id, true);
    }

    /// Forgets an attempt without a word, as a firewall may. When the peer sends its SYN again, that is another attempt.
    pub fn ignore(&mut self, now: Instant, id: AttemptId) {
        self.end_attempt(now, id, false);
    }

    fn end_attempt(&mut self, now: Instant, id: AttemptId, tell: bool) {
        if self.is_half_open(id) {
            self.remove_half_open(id.index, now, tell);
        } else if let Some(connection) = self.attempts.established.remove(&id) {
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

    /// Has the application asked about a half-open connection.
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

    /// Forgets an attempt to make room for one from `source`. Returns whether there was one to
    /// forget.
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
        // Where one network wants more than there is room for, those who came first are served. A
        // cookie comes back.
        if victim.own && !half_open.cookie && !half_open.has_waited(now, &listener.options) {
            return false;
        }
        count(&mut self.counters.attempts_replaced);
        self.remove_half_open(victim.index, now, false);
        true
    }

    /// A name for the connection that a cookie makes of an attempt, if the listener is one of every
    /// address.
    pub(crate) fn returned_attempt(&mut self, id: ListenerId) -> Option<AttemptId> {
        self.listeners.get(id)?.any.as_ref()?;
        let (index, generation) = self.demux.half_open.unused_name();
        Some(AttemptId { index, generation })
    }

    /// Has the application told of an attempt that has become a connection by a cookie.
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

    /// As a listener takes a segment (RFC 9293 3.10.7.2), because nothing was sent yet.
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
            // It will be answered with the timestamp that came last.
            half_open.peer_timestamp = segment.options.timestamps.map_or(0, |t| t.value);
            self.wait_for_decision(now, index);
        } else if segment.has(Flags::SYN) {
            // The peer has begun anew, and knows nothing of the old attempt.
            self.remove_half_open(index, now, false);
            self.on_segment_without_connection(now, segment, None);
        } else {
            self.counters.count_drop(DropReason::ListenUnexpected);
        }
    }
}

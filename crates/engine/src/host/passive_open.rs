//! Passive opens from the SYN to the last acknowledgment of the handshake (RFC 9293 3.10.7.2, and
//! 3.10.7.4 for SYN-RECEIVED).

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use millstream_wire::SeqNum;
use millstream_wire::tcp::Flags;

use super::Stack;
use crate::config::ListenOptions;
use crate::config::SocketOptions;
use crate::error::DropReason;
use crate::event::Event;
use crate::id::{AttemptId, ListenerId};
use crate::stats::count;
use crate::table::list::Links;
use crate::table::place::Place;
use crate::tcp::challenge::Challenges;
use crate::tcp::connection::{Birth, Offer, PeerSyn, Tcb};
use crate::tcp::listen::half_open::{Decision, HalfOpen, Verdict};
use crate::tcp::segment::Segment;
use crate::tcp::state::{State, Stimulus};
use crate::time::Instant;
use crate::tuple::FourTuple;

impl Stack {
    /// Handles a segment that belongs to no connection: it is for a listener (RFC 9293 3.10.7.2),
    /// or for none (3.10.7.1). `after` is the last sequence number of an incarnation in TIME-WAIT
    /// that this SYN ends.
    pub(crate) fn on_segment_without_connection(
        &mut self,
        now: Instant,
        segment: &Segment,
        after: Option<SeqNum>,
    ) {
        let local = segment.tuple.local();
        let Some(id) = self.listeners.find(&segment.tuple) else {
            if self.is_for_another(local.ip()) {
                return;
            }
            self.counters.count_drop(DropReason::NoConnection);
            self.replies
                .reset(segment, &self.config, &mut self.counters);
            return;
        };
        // First RST, second ACK, third SYN. A FIN has no meaning here, even with a SYN (as on
        // Linux), nor has anything else.
        if segment.has(Flags::RST) {
            self.counters.count_drop(DropReason::ListenUnexpected);
        } else if segment.has(Flags::ACK) {
            if self.take_cookie(now, id, segment) {
                return;
            }
            self.counters.count_drop(DropReason::ListenUnexpected);
            self.replies
                .reset(segment, &self.config, &mut self.counters);
        } else if segment.has(Flags::SYN) && !segment.has(Flags::FIN) {
            self.on_syn(now, id, segment, after);
        } else {
            self.counters.count_drop(DropReason::ListenUnexpected);
        }
    }

    fn on_syn(&mut self, now: Instant, id: ListenerId, segment: &Segment, after: Option<SeqNum>) {
        if self.is_accept_queue_full(id) {
            self.counters.count_drop(DropReason::AcceptQueueFull);
            return;
        }
        let Some(listener) = self.listeners.get(id) else {
            return;
        };
        let (any, room) = (listener.any.is_some(), listener.backlog);
        // A cookie cannot be chosen beyond the last incarnation's numbers.
        let cookie = listener.uses_cookies(self.config.syn_cookies, room);
        if cookie && after.is_none() && !any {
            self.send_cookie(now, id, segment);
            return;
        }
        // As on Linux, a peer with a connection in TIME-WAIT is known: there is room for as many of
        // these again.
        let room = room.saturating_mul(if after.is_some() { 2 } else { 1 });
        let full = listener.half_open() >= room;
        let options = Arc::clone(&listener.options);
        if full && !self.make_room(now, id, segment.tuple.remote_ip) {
            self.counters.count_drop(DropReason::SynQueueFull);
            return;
        }
        let decision = if any {
            Decision::Asked
        } else {
            Decision::NotAsked
        };
        let tuple = segment.tuple;
        let mut iss = self.isn.isn(&tuple, now);
        if let Some(last) = after.filter(|&last| !iss.gt(last)) {
            // RFC 9293 3.6.1: beyond all sequence numbers of the last incarnation.
            iss = last + 65_537;
        }
        let peer_offer = Offer::theirs(segment);
        let ours = Offer::ours(&self.config, &options, tuple.local_ip);
        let record = HalfOpen {
            iss,
            irs: segment.seq,
            decision,
            ..self.half_open_of(now, id, &ours, segment, peer_offer)
        };
        let index = self.keep_half_open(now, record);
        match decision {
            Decision::Asked => self.ask(now, index),
            Decision::NotAsked | Decision::Admitted => self.answer_syn(now, index, &options),
        }
    }

    /// Adds a record to every table.
    pub(crate) fn keep_half_open(&mut self, now: Instant, record: HalfOpen) -> u32 {
        let (id, tuple) = (record.listener, record.tuple);
        let (index, _) = self.demux.half_open.insert(record);
        if let Some(listener) = self.listeners.get_mut(id) {
            listener.add_half_open(&mut self.demux.half_open, index);
        }
        self.demux.link(Place::HalfOpen(index));
        self.observe_half_open(now, &tuple);
        index
    }

    /// A half-open connection as a segment describes it: everything except the sequence numbers.
    pub(crate) fn half_open_of(
        &self,
        now: Instant,
        id: ListenerId,
        ours: &Offer,
        segment: &Segment,
        theirs: Offer,
    ) -> HalfOpen {
        HalfOpen {
            tuple: segment.tuple,
            listener: id,
            in_listener: Links::default(),
            in_network: Links::default(),
            network: 0,
            timer: None,
            iss: SeqNum::new(0),
            irs: SeqNum::new(0),
            our_offer: ours.answered_by(&theirs),
            peer_offer: theirs,
            peer_window: segment.window,
            peer_timestamp: segment.options.timestamps.map_or(0, |t| t.value),
            timestamp_offset: self.isn.timestamp_offset(&segment.tuple),
            sent_at: now,
            challenges: Challenges::default(),
            challenged: false,
            retries: 0,
            resent: false,
            cookie: false,
            decision: Decision::NotAsked,
        }
    }

    /// Sends the SYN-ACK and schedules its retransmission.
    pub(crate) fn answer_syn(&mut self, now: Instant, index: u32, options: &SocketOptions) {
        let Some(half_open) = self.demux.half_open.at_mut(index) else {
            return;
        };
        half_open.send_syn_ack(
            now,
            options,
            &self.config,
            &mut self.counters,
            &mut self.replies,
        );
        self.file_answer(now, index, options);
    }

    /// Schedules the retransmission of the SYN-ACK.
    pub(crate) fn file_answer(&mut self, now: Instant, index: u32, options: &SocketOptions) {
        let Some(half_open) = self.demux.half_open.at_mut(index) else {
            return;
        };
        let deadline = now + half_open.timeout(options);
        let key = Place::HalfOpen(index).key();
        match half_open.timer {
            Some(timer) => self.wheel.rearm(timer, deadline),
            None => half_open.timer = Some(self.wheel.insert(deadline, key)),
        }
    }

    pub(crate) fn on_segment_for_half_open(&mut self, now: Instant, index: u32, segment: Segment) {
        let Some(half_open) = self.demux.half_open.at_mut(index) else {
            return;
        };
        if half_open.decision == Decision::Asked {
            self.on_segment_for_asked(now, index, &segment);
            return;
        }
        let Some(listener) = self.listeners.get(half_open.listener) else {
            return;
        };
        let options = Arc::clone(&listener.options);
        let verdict = if !segment.has(Flags::RST) && half_open.is_older_by_timestamp(&segment) {
            self.counters.count_drop(DropReason::Paws);
            Verdict::Challenge
        } else {
            half_open.judge(&segment, &options)
        };
        match verdict {
            Verdict::Keep => self.counters.count_drop(DropReason::OutsideWindow),
            Verdict::Answer => {
                if half_open
                    .challenges
                    .take(now, self.config.challenge_ack_interval)
                {
                    half_open.resent = true;
                    self.answer_syn(now, index, &options);
                } else {
                    self.counters.count_drop(DropReason::AnswerRateLimited);
                }
            }
            Verdict::Challenge => {
                half_open.send_challenge(
                    now,
                    &options,
                    &self.config,
                    &mut self.counters,
                    &mut self.replies,
                );
            }
            Verdict::Reset => {
                let id = half_open.listener;
                if self.is_for_cookie(now, id, &segment) {
                    // The peer answers an earlier SYN-ACK, from before there was room, not the one
                    // for its second SYN.
                    self.remove_half_open(index, now, false);
                    self.take_cookie(now, id, &segment);
                    return;
                }
                self.counters.count_drop(DropReason::UnacceptableAck);
                self.replies
                    .reset(&segment, &self.config, &mut self.counters);
            }
            Verdict::Remove => {
                count(&mut self.counters.resets_received);
                self.remove_half_open(index, now, false);
            }
            Verdict::Establish => {
                let (id, decision) = (half_open.listener, half_open.decision);
                if self.is_accept_queue_full(id) {
                    // As on Linux, the last ACK is dropped, and the client's next segment tries
                    // again.
                    self.counters.count_drop(DropReason::AcceptQueueFull);
                    return;
                }
                let admitted = decision == Decision::Admitted;
                let attempt = admitted.then(|| self.attempt_id(index));
                if let Some(half_open) = self.take_half_open(index) {
                    self.establish(now, &half_open, attempt, segment);
                }
            }
        }
    }

    /// The handshake is complete: makes a connection of the record, which then processes the
    /// segment.
    pub(crate) fn establish(
        &mut self,
        now: Instant,
        half_open: &HalfOpen,
        attempt: Option<AttemptId>,
        segment: Segment,
    ) {
        let Some(listener) = self.listeners.get(half_open.listener) else {
            return;
        };
        let options = self.options_toward(half_open.tuple.remote_ip, Arc::clone(&listener.options));
        let mapped =
            listener.any.is_none() && listener.addr.is_ipv6() && half_open.tuple.local_ip.is_ipv4();
        let birth = Birth {
            tuple: half_open.tuple,
            now,
            iss: half_open.iss,
            timestamp_offset: half_open.timestamp_offset,
        };
        let peer = PeerSyn {
            irs: half_open.irs,
            window: half_open.peer_window,
            timestamp: half_open.peer_timestamp,
            syn_ack_sent: half_open.sent_at,
            retransmitted: half_open.resent,
            offered_window: u64::from(half_open.offered_window(&options)),
        };
        let ours = Offer::ours(&self.config, &options, half_open.tuple.local_ip);
        let mut tcb = Tcb::from_half_open(&birth, &ours, &half_open.peer_offer, &peer, options);
        tcb.app.mapped = mapped;
        tcb.app.reuse = true;
        let id = self.adopt(tcb);
        if let Some(attempt) = attempt {
            self.attempts.on_established(attempt, id);
        } else if let Some(listener) = self.listeners.get_mut(half_open.listener) {
            listener.ready.push_back(id);
            if !std::mem::replace(&mut listener.told, true) {
                self.events.push_back(Event::Incoming(half_open.listener));
            }
        }
        count(&mut self.counters.passive_opens);
        self.on_segment_for_connection(now, id.index, segment);
    }

    /// Nothing came in time: the SYN-ACK is sent again, or the record forgotten.
    pub(crate) fn on_unanswered(&mut self, now: Instant, index: u32) {
        let Some(half_open) = self.demux.half_open.at_mut(index) else {
            return;
        };
        let Some(listener) = self.listeners.get_mut(half_open.listener) else {
            return;
        };
        let options = Arc::clone(&listener.options);
        let given_up = half_open.retries >= listener.syn_ack_retries();
        if given_up || half_open.decision == Decision::Asked {
            self.remove_half_open(index, now, false);
            return;
        }
        if half_open.retries == 0 {
            listener.on_unanswered();
        }
        half_open.retries = half_open.retries.saturating_add(1);
        half_open.resent = true;
        count(&mut self.counters.segments_retransmitted);
        self.answer_syn(now, index, &options);
    }

    /// Removes a half-open connection, with a reset to the peer if `tell` is set.
    pub(crate) fn remove_half_open(&mut self, index: u32, now: Instant, tell: bool) {
        let Some(half_open) = self.take_half_open(index) else {
            return;
        };
        let own = ListenOptions::default().socket;
        let options = self
            .listeners
            .get(half_open.listener)
            .map_or(&own, |listener| &listener.options);
        if tell {
            half_open.send_reset(options, &self.config, &mut self.counters, &mut self.replies);
        }
        self.observe_forgotten(now, &half_open.tuple);
    }

    /// Removes the record from every table.
    fn take_half_open(&mut self, index: u32) -> Option<HalfOpen> {
        let attempt = self.attempt_id(index);
        self.demux.unlink(Place::HalfOpen(index));
        let id = self.demux.half_open.at(index)?.listener;
        if let Some(listener) = self.listeners.get_mut(id) {
            listener.remove_half_open(&mut self.demux.half_open, index);
        }
        let half_open = self.demux.half_open.remove(index)?;
        if let Some(timer) = half_open.timer {
            self.wheel.cancel(timer);
        }
        if half_open.decision != Decision::NotAsked {
            self.events.push_back(Event::Attempt(attempt));
        }
        Some(half_open)
    }

    /// Whether the queue of connections to be accepted is full.
    pub(crate) fn is_accept_queue_full(&self, id: ListenerId) -> bool {
        self.listeners.get(id).is_some_and(|listener| {
            let waiting = match listener.any {
                Some(_) => self.attempts.established(),
                None => listener.ready.len(),
            };
            waiting >= listener.backlog
        })
    }

    pub(crate) fn observe_half_open(&mut self, now: Instant, tuple: &FourTuple) {
        if let Some(observer) = &mut self.observer {
            observer.transition(now, None, tuple, State::Listen, Stimulus::Syn);
        }
    }

    fn observe_forgotten(&mut self, now: Instant, tuple: &FourTuple) {
        if let Some(observer) = &mut self.observer {
            observer.transition(now, None, tuple, State::SynReceived, Stimulus::Abort);
        }
    }
}

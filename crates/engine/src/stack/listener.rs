//! Listeners: RFC 9293 3.10.7.2, with bounded queues of half-open connections and of connections not
//! yet accepted (RFC 4987).

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use hashbrown::HashMap;
use millstream_wire::tcp::Flags;

use super::address::Kind;
use super::demux::Place;
use super::half_open::{Decision, HalfOpen, Verdict};
use super::ports::BuildKeyed;
use super::slab::Slab;
use super::{Accepted, ListenOptions, Stack};
use crate::config::{SocketOptions, SynCookies};
use crate::error::DropReason;
use crate::event::Event;
use crate::id::{AttemptId, ConnectionId, ListenerId};
use crate::segment::Segment;
use crate::tcb::{Birth, Offer, PeerSyn, Tcb};
use crate::time::Instant;
use crate::tuple::FourTuple;

/// One listening socket.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) addr: SocketAddr,
    v6_only: bool,
    pub(super) backlog: usize,
    pub(super) options: Arc<SocketOptions>,
    half_open: usize,
    /// Those of them whose SYN-ACK had to be sent again.
    unanswered: usize,
    /// A cookie that was sent may come back until then.
    pub(super) cookies_until: Option<Instant>,
    pub(super) ready: VecDeque<ConnectionId>,
    /// It is the listener of every address; these it has to ask about.
    pub(super) any: bool,
    pub(super) to_ask: VecDeque<AttemptId>,
    /// The driver has been told that there is something to accept.
    pub(super) told: bool,
}

/// All listening sockets, found by address and port.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) slab: Slab<Listener>,
    by_port: HashMap<u16, Vec<u32>, BuildKeyed>,
    /// The listener of every address.
    any: Option<ListenerId>,
}

impl Listeners {
    pub(super) fn new() -> Self {
        Self {
            slab: Slab::new(),
            by_port: HashMap::with_hasher(BuildKeyed::default()),
            any: None,
        }
    }

    pub(super) fn insert(&mut self, addr: SocketAddr, options: ListenOptions) -> ListenerId {
        let id = self.add(addr, options);
        self.by_port.entry(addr.port()).or_default().push(id.index);
        id
    }

    /// The listener of every address, of which there is one at most.
    pub(super) fn insert_any(&mut self, options: ListenOptions) -> Option<ListenerId> {
        if self.any.is_some() {
            return None;
        }
        let id = self.add((Ipv6Addr::UNSPECIFIED, 0).into(), options);
        self.any = Some(id);
        let listener = self.get_mut(id)?;
        listener.any = true;
        Some(id)
    }

    fn add(&mut self, addr: SocketAddr, options: ListenOptions) -> ListenerId {
        let (index, generation) = self.slab.insert(Listener {
            addr,
            v6_only: options.v6_only,
            // Linux accepts one more than the backlog; zero still means one.
            backlog: options.backlog.max(1),
            options: Arc::new(options.socket),
            half_open: 0,
            unanswered: 0,
            cookies_until: None,
            ready: VecDeque::new(),
            any: false,
            to_ask: VecDeque::new(),
            told: false,
        });
        ListenerId { index, generation }
    }

    pub(super) fn remove(&mut self, id: ListenerId) -> Option<Listener> {
        self.slab.named(id.index, id.generation)?;
        let listener = self.slab.remove(id.index)?;
        self.any = self.any.filter(|&any| any != id);
        if let Some(indices) = self.by_port.get_mut(&listener.addr.port()) {
            indices.retain(|&i| i != id.index);
            if indices.is_empty() {
                self.by_port.remove(&listener.addr.port());
            }
        }
        Some(listener)
    }

    pub(super) fn get(&self, id: ListenerId) -> Option<&Listener> {
        self.slab.named(id.index, id.generation)
    }

    pub(super) fn get_mut(&mut self, id: ListenerId) -> Option<&mut Listener> {
        self.slab.named_mut(id.index, id.generation)
    }

    /// Whether there is a listener for a local address.
    pub(super) fn has(&self, local: SocketAddr) -> bool {
        self.find(local).is_some()
    }

    /// The listener for a local address: an exact one before an unspecified one, and that of every address last, which
    /// is for those that a wire can carry.
    fn find(&self, local: SocketAddr) -> Option<ListenerId> {
        let any = self.any.filter(|_| Kind::of(local.ip()) != Kind::Loopback);
        self.find_at_port(local).or(any)
    }

    fn find_at_port(&self, local: SocketAddr) -> Option<ListenerId> {
        let indices = self.by_port.get(&local.port())?;
        let rank = |index: u32| -> Option<u8> {
            let listener = self.slab.at(index)?;
            match (listener.addr.ip(), local.ip()) {
                (own, ip) if own == ip => Some(3),
                (IpAddr::V4(own), IpAddr::V4(_)) if own.is_unspecified() => Some(2),
                (IpAddr::V6(own), IpAddr::V6(_)) if own.is_unspecified() => Some(2),
                (IpAddr::V6(own), IpAddr::V4(_)) if own.is_unspecified() && !listener.v6_only => {
                    Some(1)
                }
                _ => None,
            }
        };
        let best = indices
            .iter()
            .filter_map(|&index| Some((rank(index)?, index)))
            .max_by_key(|&(rank, _)| rank)?;
        Some(ListenerId {
            index: best.1,
            generation: self.slab.generation(best.1),
        })
    }
}

impl Stack {
    /// A segment for no connection: a listener's (RFC 9293 3.10.7.2), or nobody's (3.10.7.1).
    /// `after` is the last sequence number of an incarnation in TIME-WAIT that this SYN ends.
    pub(super) fn on_segment_without_connection(
        &mut self,
        now: Instant,
        segment: &Segment,
        after: Option<millstream_wire::SeqNum>,
    ) {
        let local = segment.tuple.local();
        let Some(id) = self.listeners.find(local) else {
            if !self.is_local(local.ip()) {
                self.counters.count_drop(DropReason::NotForUs);
                return;
            }
            self.counters.count_drop(DropReason::NoConnection);
            self.replies
                .reset(segment, &self.config, &mut self.counters);
            return;
        };
        // First RST, second ACK, third SYN. A FIN means nothing here, nor does anything else.
        if segment.has(Flags::RST) {
            self.counters.count_drop(DropReason::ListenUnexpected);
        } else if segment.has(Flags::ACK) {
            if self.take_cookie(now, id, segment) {
                return;
            }
            self.counters.count_drop(DropReason::ListenUnexpected);
            self.replies
                .reset(segment, &self.config, &mut self.counters);
        } else if segment.has(Flags::SYN) {
            self.on_syn(now, id, segment, after);
        } else {
            self.counters.count_drop(DropReason::ListenUnexpected);
        }
    }

    fn on_syn(
        &mut self,
        now: Instant,
        id: ListenerId,
        segment: &Segment,
        after: Option<millstream_wire::SeqNum>,
    ) {
        let Some(listener) = self.listeners.get_mut(id) else {
            return;
        };
        if listener.ready.len() >= listener.backlog {
            self.counters.count_drop(DropReason::AcceptQueueFull);
            return;
        }
        let full = listener.half_open >= listener.backlog;
        let cookie = match self.config.syn_cookies {
            SynCookies::Off => false,
            // Clients that all come at once answer soon, and each finds room when it tries again.
            SynCookies::InFlood => full && 2 * listener.unanswered >= listener.half_open,
            SynCookies::Always => true,
        };
        // A cookie is not beyond the last incarnation's numbers, and there is nothing of it to ask about.
        if cookie && after.is_none() && !listener.any {
            self.send_cookie(now, id, segment);
            return;
        }
        if full {
            self.counters.count_drop(DropReason::SynQueueFull);
            return;
        }
        listener.half_open += 1;
        let decision = if listener.any {
            Decision::Asked
        } else {
            Decision::NotAsked
        };
        let options = Arc::clone(&listener.options);
        let tuple = segment.tuple;
        let mut iss = self.isn.isn(&tuple, now);
        if let Some(last) = after.filter(|&last| !iss.gt(last)) {
            // RFC 9293 3.6.1: beyond anything that the last incarnation sent.
            iss = last + 65_537;
        }
        let peer_offer = Offer::theirs(segment);
        let ours = Offer::ours(&self.config, &options, tuple.local_ip);
        let (index, _) = self.demux.half_open.insert(HalfOpen {
            tuple,
            listener: id,
            timer: None,
            iss,
            irs: segment.seq,
            our_offer: ours.answered_by(&peer_offer),
            peer_offer,
            peer_window: segment.window,
            peer_timestamp: segment.options.timestamps.map_or(0, |t| t.value),
            timestamp_offset: self.isn.timestamp_offset(&tuple),
            sent_at: now,
            last_challenge: None,
            retries: 0,
            decision,
        });
        self.demux.link(Place::HalfOpen(index));
        self.ports
            .hold(tuple.local(), super::ports::Hold::Socket { reuse: true });
        self.observe_half_open(now, &tuple);
        match decision {
            Decision::Asked => self.ask(now, index),
            Decision::NotAsked | Decision::Admitted => self.answer_syn(now, index, &options),
        }
    }

    /// Sends the SYN-ACK and files when to send it again.
    pub(super) fn answer_syn(&mut self, now: Instant, index: u32, options: &SocketOptions) {
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
        let deadline = now + half_open.timeout(options);
        let key = Place::HalfOpen(index).key();
        match half_open.timer {
            Some(timer) => self.wheel.rearm(timer, deadline),
            None => half_open.timer = Some(self.wheel.insert(deadline, key)),
        }
    }

    pub(super) fn on_segment_for_half_open(&mut self, now: Instant, index: u32, segment: Segment) {
        let Some(half_open) = self.demux.half_open.at_mut(index) else {
            return;
        };
        if half_open.decision == Decision::Asked {
            self.on_segment_for_asked(now, index, &segment);
            return;
        }
        let Some(listener) = self.listeners.get_mut(half_open.listener) else {
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
                half_open.send_syn_ack(
                    now,
                    &options,
                    &self.config,
                    &mut self.counters,
                    &mut self.replies,
                );
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
                    // The peer answers what was sent before there was room, not what its second SYN brought.
                    self.remove_half_open(index, now, false);
                    self.take_cookie(now, id, &segment);
                    return;
                }
                self.counters.count_drop(DropReason::UnacceptableAck);
                self.replies
                    .reset(&segment, &self.config, &mut self.counters);
            }
            Verdict::Remove => {
                self.counters.resets_received += 1;
                self.remove_half_open(index, now, false);
            }
            Verdict::Establish => {
                if listener.ready.len() >= listener.backlog {
                    // L: the last ACK is dropped, and the client's next segment tries again.
                    self.counters.count_drop(DropReason::AcceptQueueFull);
                    return;
                }
                let admitted = half_open.decision == Decision::Admitted;
                let attempt = admitted.then(|| self.attempt_id(index));
                if let Some(half_open) = self.take_half_open(index) {
                    self.establish(now, &half_open, attempt, segment);
                }
            }
        }
    }

    /// The handshake is complete: makes a connection of the record and lets it process the segment.
    pub(super) fn establish(
        &mut self,
        now: Instant,
        half_open: &HalfOpen,
        attempt: Option<AttemptId>,
        segment: Segment,
    ) {
        let Some(listener) = self.listeners.get_mut(half_open.listener) else {
            return;
        };
        let options = Arc::clone(&listener.options);
        let mapped = !listener.any && listener.addr.is_ipv6() && half_open.tuple.local_ip.is_ipv4();
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
            retransmitted: half_open.retries > 0,
            offered_window: u64::from(half_open.offered_window(&options)),
        };
        let ours = Offer::ours(&self.config, &options, half_open.tuple.local_ip);
        let mut tcb = Tcb::from_half_open(&birth, &ours, &half_open.peer_offer, &peer, options);
        tcb.mapped = mapped;
        tcb.reuse = true;
        let id = self.adopt(tcb);
        if let Some(attempt) = attempt {
            self.attempts.on_established(attempt, id);
        } else if let Some(listener) = self.listeners.get_mut(half_open.listener) {
            listener.ready.push_back(id);
            if !std::mem::replace(&mut listener.told, true) {
                self.events.push_back(Event::Incoming(half_open.listener));
            }
        }
        self.counters.passive_opens += 1;
        self.on_segment_for_connection(now, id.index, segment);
    }

    pub(super) fn on_half_open_timeout(&mut self, now: Instant, index: u32) {
        let Some(half_open) = self.demux.half_open.at_mut(index) else {
            return;
        };
        half_open.timer = None;
        let Some(listener) = self.listeners.get_mut(half_open.listener) else {
            return;
        };
        let options = Arc::clone(&listener.options);
        if half_open.retries >= options.syn_ack_retries || half_open.decision == Decision::Asked {
            self.remove_half_open(index, now, false);
            return;
        }
        listener.unanswered += usize::from(half_open.retries == 0);
        half_open.retries += 1;
        self.counters.segments_retransmitted += 1;
        self.answer_syn(now, index, &options);
    }

    /// Forgets a half-open connection, with a reset to the peer if `tell`.
    pub(super) fn remove_half_open(&mut self, index: u32, now: Instant, tell: bool) {
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

    /// Takes the record out of every table; its port is released.
    fn take_half_open(&mut self, index: u32) -> Option<HalfOpen> {
        let attempt = self.attempt_id(index);
        self.demux.unlink(Place::HalfOpen(index));
        let half_open = self.demux.half_open.remove(index)?;
        if let Some(timer) = half_open.timer {
            self.wheel.cancel(timer);
        }
        if half_open.decision != Decision::NotAsked {
            self.events.push_back(Event::Attempt(attempt));
        }
        if let Some(listener) = self.listeners.get_mut(half_open.listener) {
            listener.half_open -= 1;
            listener.unanswered -= usize::from(half_open.retries > 0);
        }
        self.ports.release(
            half_open.tuple.local(),
            super::ports::Hold::Socket { reuse: true },
        );
        Some(half_open)
    }

    /// Takes the next connection whose handshake is complete. `None`: there is none, and
    /// [`Event::Incoming`] will tell when there is.
    pub fn accept(&mut self, id: ListenerId) -> Option<Accepted> {
        let listener = self.listeners.get_mut(id)?;
        while let Some(connection) = listener.ready.pop_front() {
            if let Some(held) = self.demux.held(connection) {
                let (local, peer) = super::seen_addresses(&held.tcb);
                return Some(Accepted {
                    id: connection,
                    local,
                    peer,
                });
            }
        }
        listener.told = false;
        None
    }

    /// Closes a listener. Connections that were not accepted are reset, half-open ones forgotten with
    /// a reset to the peer.
    pub fn close_listener(&mut self, now: Instant, id: ListenerId) {
        let Some(listener) = self.listeners.get_mut(id) else {
            return;
        };
        let ready = std::mem::take(&mut listener.ready);
        let (addr, v6_only, any) = (listener.addr, listener.v6_only, listener.any);
        for connection in ready {
            self.abort(now, connection);
        }
        if self
            .listeners
            .get(id)
            .is_some_and(|listener| listener.half_open > 0)
        {
            for index in self.demux.half_open.indices() {
                if self
                    .demux
                    .half_open
                    .at(index)
                    .is_some_and(|h| h.listener == id)
                {
                    self.remove_half_open(index, now, true);
                }
            }
        }
        self.listeners.remove(id);
        if !any {
            self.ports
                .release(addr, super::ports::Hold::Listener { v6_only });
        }
    }

    pub(super) fn observe_half_open(&mut self, now: Instant, tuple: &FourTuple) {
        use crate::tcb::state::{State, Stimulus};
        if let Some(observer) = &mut self.observer {
            observer.transition(
                now,
                None,
                tuple,
                State::Listen,
                Stimulus::Syn,
                State::SynReceived,
            );
        }
    }

    fn observe_forgotten(&mut self, now: Instant, tuple: &FourTuple) {
        use crate::tcb::state::{State, Stimulus};
        if let Some(observer) = &mut self.observer {
            observer.transition(
                now,
                None,
                tuple,
                State::SynReceived,
                Stimulus::Abort,
                State::Closed,
            );
        }
    }
}

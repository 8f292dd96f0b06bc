//! Listeners: the choice of the listener for a packet, and the bounded queues of half-open
//! connections and of connections not yet accepted (RFC 4987).

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use hashbrown::HashMap;

use super::half_open::HalfOpen;
use super::networks::Networks;
use crate::config::ListenOptions;
use crate::config::{SocketOptions, SynCookies};
use crate::id::{AttemptId, ConnectionId, ListenerId};
use crate::ip::address::Kind;
use crate::table::keyed::BuildKeyed;
use crate::table::list::List;
use crate::table::slab::Slab;
use crate::time::Instant;
use crate::tuple::FourTuple;

/// A connection taken from a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// The name of the connection.
    pub id: ConnectionId,
    /// The local end: the address to which the peer connected.
    pub local: SocketAddr,
    /// The address of the peer.
    pub peer: SocketAddr,
}

/// One listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) addr: SocketAddr,
    pub(crate) v6_only: bool,
    /// Whether others may listen on the same address (`SO_REUSEPORT`).
    pub(crate) grouped: bool,
    pub(crate) backlog: usize,
    pub(crate) options: Arc<SocketOptions>,
    /// Half-open connections, oldest first.
    half_open: List,
    /// Number of half-open connections whose SYN-ACK was retransmitted.
    unanswered: usize,
    /// Time until which a cookie that was sent may return.
    pub(crate) cookies_until: Option<Instant>,
    pub(crate) ready: VecDeque<ConnectionId>,
    /// Present for the listener for every address.
    pub(crate) any: Option<Any>,
    /// Whether the driver has been told that there is a connection to accept.
    pub(crate) told: bool,
}

/// The additional state of the listener for every address.
#[derive(Debug)]
pub(crate) struct Any {
    /// The first half-open connection of which the application was not told. It was told of none of
    /// the following ones either.
    pub(crate) to_ask: Option<u32>,
    /// Attempts that became connections by a cookie after their removal, and of which the
    /// application is still to be told.
    pub(crate) returned: VecDeque<AttemptId>,
    pub(crate) networks: Networks,
}

impl Listener {
    /// How well the listener's address fits a packet to `ip`; `None` if it does not.
    fn rank(&self, ip: IpAddr) -> Option<u8> {
        match (self.addr.ip(), ip) {
            (own, ip) if own == ip => Some(3),
            (IpAddr::V4(own), IpAddr::V4(_)) if own.is_unspecified() => Some(2),
            (IpAddr::V6(own), IpAddr::V6(_)) if own.is_unspecified() => Some(2),
            (IpAddr::V6(own), IpAddr::V4(_)) if own.is_unspecified() && !self.v6_only => Some(1),
            _ => None,
        }
    }

    /// Number of half-open connections, including undecided attempts.
    pub(crate) const fn half_open(&self) -> usize {
        self.half_open.len()
    }

    pub(crate) const fn oldest_half_open(&self) -> Option<u32> {
        self.half_open.first()
    }

    pub(crate) fn add_half_open(&mut self, records: &mut Slab<HalfOpen>, index: u32) {
        self.half_open.push(records, index, |r| &mut r.in_listener);
        if let Some(any) = &mut self.any {
            any.to_ask.get_or_insert(index);
            any.networks.add(records, index);
        }
    }

    pub(crate) fn remove_half_open(&mut self, records: &mut Slab<HalfOpen>, index: u32) {
        let Some(record) = records.at(index) else {
            return;
        };
        self.unanswered -= usize::from(record.retries > 0);
        if let Some(any) = &mut self.any {
            if any.to_ask == Some(index) {
                any.to_ask = record.in_listener.after();
            }
            any.networks.remove(records, index);
        }
        self.half_open
            .remove(records, index, |r| &mut r.in_listener);
    }

    /// Counts a half-open connection that has not answered the first SYN-ACK in time.
    pub(crate) const fn on_unanswered(&mut self) {
        self.unanswered += 1;
    }

    /// Whether a SYN is answered by a cookie when there is no room for further half-open
    /// connections, or may soon be none.
    pub(crate) fn uses_cookies(&self, when: SynCookies, enough: usize) -> bool {
        match when {
            SynCookies::Off => false,
            SynCookies::InFlood => self.half_open.len() >= enough,
            SynCookies::Always => true,
        }
    }

    /// Number of SYN-ACK retransmissions. As on Linux, half of the room is reserved for connections
    /// whose SYN-ACK was sent once. Beyond it, the smaller the part of such connections, the fewer
    /// retransmissions the others get.
    pub(crate) fn syn_ack_retries(&self) -> u8 {
        let mut retries = self.options.syn_ack_retries;
        let len = self.half_open.len();
        if 2 * len > self.backlog.max(8) {
            let mut young = 2 * (len - self.unanswered);
            while retries > 2 && len >= young {
                retries -= 1;
                young *= 2;
            }
        }
        retries
    }
}

/// All listening sockets, found by address and port.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) slab: Slab<Listener>,
    by_port: HashMap<u16, Vec<u32>, BuildKeyed>,
    /// The listener for every address.
    any: Option<ListenerId>,
    key: [u8; 16],
}

impl Listeners {
    /// `key` keeps the hashes secret.
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Self {
            slab: Slab::new(),
            by_port: HashMap::with_hasher(BuildKeyed::new(key)),
            any: None,
            key,
        }
    }

    pub(crate) fn insert(
        &mut self,
        addr: SocketAddr,
        grouped: bool,
        options: ListenOptions,
    ) -> ListenerId {
        let id = self.add(addr, options);
        if let Some(listener) = self.get_mut(id) {
            listener.grouped = grouped;
        }
        self.by_port.entry(addr.port()).or_default().push(id.index);
        id
    }

    /// Adds the listener for every address, of which there is at most one.
    pub(crate) fn insert_any(&mut self, options: ListenOptions) -> Option<ListenerId> {
        if self.any.is_some() {
            return None;
        }
        let id = self.add((Ipv6Addr::UNSPECIFIED, 0).into(), options);
        self.any = Some(id);
        let networks = Networks::new(BuildKeyed::new(self.key));
        let listener = self.get_mut(id)?;
        listener.any = Some(Any {
            to_ask: None,
            returned: VecDeque::new(),
            networks,
        });
        Some(id)
    }

    fn add(&mut self, addr: SocketAddr, options: ListenOptions) -> ListenerId {
        let (index, generation) = self.slab.insert(Listener {
            addr,
            v6_only: options.v6_only,
            grouped: false,
            // Linux accepts one more than the backlog; a backlog of zero still means one.
            backlog: options.backlog.max(1),
            options: Arc::new(options.socket),
            half_open: List::new(),
            unanswered: 0,
            cookies_until: None,
            ready: VecDeque::new(),
            any: None,
            told: false,
        });
        ListenerId { index, generation }
    }

    pub(crate) fn remove(&mut self, id: ListenerId) -> Option<Listener> {
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

    pub(crate) fn get(&self, id: ListenerId) -> Option<&Listener> {
        self.slab.named(id.index, id.generation)
    }

    pub(crate) fn get_mut(&mut self, id: ListenerId) -> Option<&mut Listener> {
        self.slab.named_mut(id.index, id.generation)
    }

    /// The listener for a packet of that four-tuple: one on exactly its local address before one on
    /// an unspecified address, and last the listener for every address, which serves only addresses
    /// that can appear on a wire. Among the listeners of a group, a hash decides.
    pub(crate) fn find(&self, tuple: &FourTuple) -> Option<ListenerId> {
        let any = self
            .any
            .filter(|_| Kind::of(tuple.local_ip) != Kind::Loopback);
        self.find_at_port(tuple).or(any)
    }

    fn find_at_port(&self, tuple: &FourTuple) -> Option<ListenerId> {
        let indices = self.by_port.get(&tuple.local_port)?;
        let ranked = |&index: &u32| {
            let rank = self.slab.at(index)?.rank(tuple.local_ip)?;
            Some((rank, index))
        };
        let (rank, best) = indices.iter().filter_map(ranked).max()?;
        let index = match self.slab.at(best) {
            Some(listener) if listener.grouped => {
                let of_group = || {
                    let ranked = indices.iter().filter_map(ranked);
                    ranked.filter(|&(other, _)| other == rank)
                };
                let hash = tuple.keyed_hash(&self.key, b'l');
                let nth = hash % of_group().count().max(1) as u64;
                of_group().nth(nth as usize)?.1
            }
            _ => best,
        };
        Some(ListenerId {
            index,
            generation: self.slab.generation(index),
        })
    }
}

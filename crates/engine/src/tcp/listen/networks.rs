//! Half-open connections by source network: when there is no room for another one, the network with
//! the most connections gives one up.
//!
//! A network is the largest block that one site is usually assigned: the first 24 bits of an IPv4
//! address, the first 48 of an IPv6 address (RFC 6177 2). An attacker that forges source addresses
//! of one network takes room from that network only.

use std::net::IpAddr;

use hashbrown::HashMap;

use super::half_open::HalfOpen;
use crate::table::keyed::BuildKeyed;
use crate::table::list::{Links, List};
use crate::table::slab::Slab;

/// A network that is the source of half-open connections.
#[derive(Debug)]
struct Network {
    prefix: u64,
    /// Half-open connections, oldest first.
    half_open: List,
    /// Its place among the networks with the same number of connections.
    peers: Links,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Networks {
    by_prefix: HashMap<u64, u32, BuildKeyed>,
    slab: Slab<Network>,
    /// The networks with one connection, those with two, and so on; the last entry is not empty.
    by_number: Vec<List>,
}

/// The half-open connection that may be removed to make room for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Victim {
    /// The oldest connection of a network with the most connections.
    pub(crate) index: u32,
    /// Whether the new connection comes from the same network.
    pub(crate) own: bool,
}

impl Networks {
    pub(crate) fn new(hasher: BuildKeyed) -> Self {
        Self {
            by_prefix: HashMap::with_hasher(hasher),
            slab: Slab::new(),
            by_number: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, records: &mut Slab<HalfOpen>, index: u32) {
        let Some(record) = records.at_mut(index) else {
            return;
        };
        let prefix = prefix_of(record.tuple.remote_ip);
        let slab = &mut self.slab;
        let number = *self.by_prefix.entry(prefix).or_insert_with(|| {
            let network = Network {
                prefix,
                half_open: List::new(),
                peers: Links::default(),
            };
            slab.insert(network).0
        });
        record.network = number;
        self.change(number, |network| {
            network
                .half_open
                .push(records, index, |r| &mut r.in_network);
        });
    }

    pub(crate) fn remove(&mut self, records: &mut Slab<HalfOpen>, index: u32) {
        let Some(number) = records.at(index).map(|record| record.network) else {
            return;
        };
        self.change(number, |network| {
            network
                .half_open
                .remove(records, index, |r| &mut r.in_network);
        });
        if let Some(network) = self.slab.at(number)
            && network.half_open.len() == 0
        {
            self.by_prefix.remove(&network.prefix);
            self.slab.remove(number);
        }
    }

    /// The connection to remove for a new one from `source`.
    pub(crate) fn victim(&self, source: IpAddr) -> Option<Victim> {
        let network = self.slab.at(self.by_number.last()?.first()?)?;
        Some(Victim {
            index: network.half_open.first()?,
            own: network.prefix == prefix_of(source),
        })
    }

    /// Applies `change` and moves the network to the networks with its new number of connections.
    fn change(&mut self, number: u32, change: impl FnOnce(&mut Network)) {
        let Some(network) = self.slab.at_mut(number) else {
            return;
        };
        let before = network.half_open.len();
        change(network);
        let after = network.half_open.len();
        if let Some(peers) = before
            .checked_sub(1)
            .and_then(|i| self.by_number.get_mut(i))
        {
            peers.remove(&mut self.slab, number, |n| &mut n.peers);
        }
        if after > self.by_number.len() {
            self.by_number.push(List::new());
        }
        if let Some(peers) = after.checked_sub(1).and_then(|i| self.by_number.get_mut(i)) {
            peers.push(&mut self.slab, number, |n| &mut n.peers);
        }
        if self.by_number.last().is_some_and(|peers| peers.len() == 0) {
            self.by_number.pop();
        }
    }
}

/// The network of an address, as a unique number.
fn prefix_of(ip: IpAddr) -> u64 {
    match ip {
        IpAddr::V4(v4) => 1 << 63 | u64::from(v4.to_bits() >> 8),
        IpAddr::V6(v6) => (v6.to_bits() >> 80) as u64,
    }
}

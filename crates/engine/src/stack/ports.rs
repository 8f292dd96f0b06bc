//! Local ports: who holds which, and which to give to a socket that did not ask (RFC 6056).
//!
//! A port is held by bound sockets, listeners and connections, TIME-WAIT included. Counts per address are
//! kept and not the holders, so that a million connections on one port cost nothing here.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use hashbrown::HashMap;
use siphasher::sip::SipHasher13;

use crate::tuple::FourTuple;

/// Who holds a port on one address.
#[derive(Debug)]
struct Holders {
    address: IpAddr,
    listeners: u32,
    /// Listeners on an IPv6 address that leave IPv4 alone.
    v6_listeners: u32,
    /// Sockets and connections that share (`SO_REUSEADDR`), and those that do not.
    sharing: u32,
    exclusive: u32,
    time_wait: u32,
}

impl Holders {
    /// Listeners that take what comes to `ip`.
    fn listeners_for(&self, ip: IpAddr) -> u32 {
        self.listeners + if ip.is_ipv6() { self.v6_listeners } else { 0 }
    }

    fn is_empty(&self) -> bool {
        let listeners = self.listeners + self.v6_listeners;
        listeners + self.sharing + self.exclusive + self.time_wait == 0
    }
}

/// In what way something holds a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    Listener {
        v6_only: bool,
    },
    /// A bound socket or a connection, and whether it shares.
    Socket {
        reuse: bool,
    },
    TimeWait,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct BuildKeyed {
    key: [u8; 16],
}

impl std::hash::BuildHasher for BuildKeyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_key(&self.key)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct PortTable {
    ports: HashMap<u16, Vec<Holders>, BuildKeyed>,
    range: RangeInclusive<u16>,
    key: [u8; 16],
    /// RFC 6056 algorithm 4: one counter for each of a few groups of destinations.
    counters: [u16; 16],
}

impl PortTable {
    pub(crate) fn new(range: RangeInclusive<u16>, key: [u8; 16]) -> Self {
        Self {
            ports: HashMap::with_hasher(BuildKeyed { key }),
            range,
            key,
            counters: [0; 16],
        }
    }

    /// Whether a socket may be bound to `addr`. With `reuse` it may share with others that do, and with
    /// TIME-WAIT (scenario S2); with a listener never.
    pub(crate) fn is_free(&self, addr: SocketAddr, reuse: bool) -> bool {
        !self.overlapping(addr).any(|holders| {
            let alone = holders.exclusive + holders.listeners_for(addr.ip());
            alone > 0 || (!reuse && holders.sharing + holders.time_wait > 0)
        })
    }

    /// Whether a listener holds `addr`, or an address that overlaps it.
    pub(crate) fn has_listener(&self, addr: SocketAddr) -> bool {
        self.overlapping(addr)
            .any(|holders| holders.listeners_for(addr.ip()) > 0)
    }

    pub(crate) fn hold(&mut self, addr: SocketAddr, how: Hold) {
        let all = self.ports.entry(addr.port()).or_default();
        let place = all.iter().position(|h| h.address == addr.ip());
        let index = place.unwrap_or_else(|| {
            all.push(Holders {
                address: addr.ip(),
                listeners: 0,
                v6_listeners: 0,
                sharing: 0,
                exclusive: 0,
                time_wait: 0,
            });
            all.len() - 1
        });
        *count(&mut all[index], how) += 1;
    }

    pub(crate) fn release(&mut self, addr: SocketAddr, how: Hold) {
        let Some(all) = self.ports.get_mut(&addr.port()) else {
            return;
        };
        let Some(index) = all.iter().position(|h| h.address == addr.ip()) else {
            return;
        };
        let holders = &mut all[index];
        let held = count(holders, how);
        debug_assert!(*held > 0);
        *held = held.saturating_sub(1);
        if holders.is_empty() {
            all.swap_remove(index);
            if all.is_empty() {
                self.ports.remove(&addr.port());
            }
        }
    }

    /// A port that nobody holds on `address`, for a bound socket.
    pub(crate) fn free_port(&mut self, address: IpAddr) -> Option<u16> {
        let anywhere = FourTuple {
            local_ip: address,
            remote_ip: address,
            local_port: 0,
            remote_port: 0,
        };
        let start = self.start(&anywhere);
        self.search(start, |table, port| {
            table.is_free(SocketAddr::new(address, port), false)
        })
    }

    /// A port for a connection: RFC 6056 algorithm 4, so that the ports of one destination ascend and
    /// those of another tell nothing of them. `taken` says whether the four-tuple is in use. A port
    /// that serves connections to other destinations will do; one that a socket is bound to will not.
    pub(crate) fn connection_port(
        &mut self,
        tuple: &FourTuple,
        taken: impl Fn(u16) -> bool,
    ) -> Option<u16> {
        let start = self.start(tuple);
        self.search(start, |table, port| {
            let addr = SocketAddr::new(tuple.local_ip, port);
            let held = table
                .overlapping(addr)
                .any(|holders| holders.exclusive + holders.listeners_for(addr.ip()) > 0);
            !held && !taken(port)
        })
    }

    fn start(&mut self, tuple: &FourTuple) -> u32 {
        let destination = FourTuple {
            local_port: 0,
            ..*tuple
        };
        let offset = destination.keyed_hash(&self.key, b'p');
        let group = destination.keyed_hash(&self.key, b'g') as usize % self.counters.len();
        let counter = &mut self.counters[group];
        *counter = counter.wrapping_add(1);
        (offset as u32).wrapping_add(u32::from(*counter))
    }

    fn search(&self, start: u32, fits: impl Fn(&Self, u16) -> bool) -> Option<u16> {
        let (low, high) = (u32::from(*self.range.start()), u32::from(*self.range.end()));
        let size = high.checked_sub(low)? + 1;
        (0..size)
            .map(|i| (low + start.wrapping_add(i) % size) as u16)
            .find(|&port| port != 0 && fits(self, port))
    }

    fn overlapping(&self, addr: SocketAddr) -> impl Iterator<Item = &Holders> {
        self.ports
            .get(&addr.port())
            .into_iter()
            .flatten()
            .filter(move |holders| overlap(holders.address, addr.ip()))
    }
}

fn count(holders: &mut Holders, how: Hold) -> &mut u32 {
    match how {
        Hold::Listener { v6_only: false } => &mut holders.listeners,
        Hold::Listener { v6_only: true } => &mut holders.v6_listeners,
        Hold::Socket { reuse: true } => &mut holders.sharing,
        Hold::Socket { reuse: false } => &mut holders.exclusive,
        Hold::TimeWait => &mut holders.time_wait,
    }
}

/// Whether two local addresses can receive the same packets. An unspecified IPv6 address takes IPv4 too.
fn overlap(a: IpAddr, b: IpAddr) -> bool {
    a == b
        || match (a.is_unspecified(), b.is_unspecified()) {
            (true, true) => true,
            (true, false) => a.is_ipv6() || b.is_ipv4(),
            (false, true) => b.is_ipv6() || a.is_ipv4(),
            (false, false) => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARED: Hold = Hold::Socket { reuse: true };
    const ALONE: Hold = Hold::Socket { reuse: false };

    fn table() -> PortTable {
        PortTable::new(40_000..=40_003, [3; 16])
    }

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn time_wait_keeps_the_port_from_a_socket_that_does_not_share() {
        let mut table = table();
        table.hold(addr("10.0.0.1:6666"), Hold::TimeWait);
        assert!(!table.is_free(addr("10.0.0.1:6666"), false));
        assert!(table.is_free(addr("10.0.0.1:6666"), true));
        table.release(addr("10.0.0.1:6666"), Hold::TimeWait);
        assert!(table.is_free(addr("10.0.0.1:6666"), false));
        assert!(table.ports.is_empty());
    }

    #[test]
    fn sharing_takes_two() {
        let mut table = table();
        table.hold(addr("10.0.0.1:1"), ALONE);
        table.hold(addr("10.0.0.1:2"), SHARED);
        assert!(!table.is_free(addr("10.0.0.1:1"), true));
        assert!(!table.is_free(addr("10.0.0.1:2"), false));
        assert!(table.is_free(addr("10.0.0.1:2"), true));
    }

    #[test]
    fn an_unspecified_address_overlaps_all_of_its_family() {
        let mut table = table();
        table.hold(addr("0.0.0.0:80"), Hold::Listener { v6_only: false });
        assert!(!table.is_free(addr("10.0.0.1:80"), true));
        assert!(table.is_free(addr("[fd00::1]:80"), true));
        assert!(!table.is_free(addr("[::]:80"), true));
    }

    #[test]
    fn ports_of_one_destination_are_all_used_before_there_are_none() {
        let mut table = table();
        let tuple = FourTuple::new(addr("10.0.0.1:0"), addr("10.0.0.2:80"));
        let mut given = Vec::new();
        for _ in 0..4 {
            let port = table
                .connection_port(&tuple, |port| given.contains(&port))
                .unwrap();
            given.push(port);
        }
        assert_eq!(
            table.connection_port(&tuple, |port| given.contains(&port)),
            None
        );
        given.sort_unstable();
        assert_eq!(given, [40_000, 40_001, 40_002, 40_003]);
    }
}

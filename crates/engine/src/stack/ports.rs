//! Local ports: who holds which, and which to give to a socket that did not ask (RFC 6056).
//!
//! A port is held by bound sockets, listeners and connections, TIME-WAIT included. Counts per
//! address, and their sums per family, are kept and not the holders: neither a million connections
//! on one port cost anything here, nor connections to a million addresses, which a listener of
//! every address may have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::{AddAssign, RangeInclusive};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use siphasher::sip::SipHasher13;

use crate::tuple::FourTuple;

/// Who holds a port on one address, or on all of a family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Holders {
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
        *self == Self::default()
    }

    fn count(&mut self, how: Hold) -> &mut u32 {
        match how {
            Hold::Listener { v6_only: false } => &mut self.listeners,
            Hold::Listener { v6_only: true } => &mut self.v6_listeners,
            Hold::Socket { reuse: true } => &mut self.sharing,
            Hold::Socket { reuse: false } => &mut self.exclusive,
            Hold::TimeWait => &mut self.time_wait,
        }
    }
}

impl AddAssign for Holders {
    fn add_assign(&mut self, other: Self) {
        self.listeners += other.listeners;
        self.v6_listeners += other.v6_listeners;
        self.sharing += other.sharing;
        self.exclusive += other.exclusive;
        self.time_wait += other.time_wait;
    }
}

/// The holders of one port, on all addresses of a family together.
#[derive(Clone, Copy, Debug, Default)]
struct Families {
    v4: Holders,
    v6: Holders,
}

impl Families {
    fn of(&mut self, ip: IpAddr) -> &mut Holders {
        if ip.is_ipv4() {
            &mut self.v4
        } else {
            &mut self.v6
        }
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

/// Hashes with a key that nobody outside knows.
#[derive(Clone, Debug)]
pub(crate) struct BuildKeyed {
    key: [u8; 16],
}

impl BuildKeyed {
    pub(crate) const fn new(key: [u8; 16]) -> Self {
        Self { key }
    }
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
    ports: HashMap<u16, Families, BuildKeyed>,
    addresses: HashMap<(IpAddr, u16), Holders, BuildKeyed>,
    range: RangeInclusive<u16>,
    key: [u8; 16],
    /// RFC 6056 algorithm 4: one counter for each of a few groups of destinations.
    counters: [u16; 16],
}

impl PortTable {
    pub(crate) fn new(range: RangeInclusive<u16>, key: [u8; 16]) -> Self {
        Self {
            ports: HashMap::with_hasher(BuildKeyed { key }),
            addresses: HashMap::with_hasher(BuildKeyed { key }),
            range,
            key,
            counters: [0; 16],
        }
    }

    /// Whether a socket may be bound to `addr`. With `reuse` it may share with others that do, and with
    /// TIME-WAIT (scenario S2); with a listener never.
    pub(crate) fn is_free(&self, addr: SocketAddr, reuse: bool) -> bool {
        let held = self.overlapping(addr);
        let alone = held.exclusive + held.listeners_for(addr.ip());
        alone == 0 && (reuse || held.sharing + held.time_wait == 0)
    }

    /// Whether a listener holds `addr`, or an address that overlaps it.
    pub(crate) fn has_listener(&self, addr: SocketAddr) -> bool {
        self.overlapping(addr).listeners_for(addr.ip()) > 0
    }

    pub(crate) fn hold(&mut self, addr: SocketAddr, how: Hold) {
        let (ip, port) = (addr.ip(), addr.port());
        *self.ports.entry(port).or_default().of(ip).count(how) += 1;
        let holders = self.addresses.entry((ip, port)).or_default();
        *holders.count(how) += 1;
    }

    pub(crate) fn release(&mut self, addr: SocketAddr, how: Hold) {
        let (ip, port) = (addr.ip(), addr.port());
        let Entry::Occupied(mut own) = self.addresses.entry((ip, port)) else {
            return;
        };
        let held = own.get_mut().count(how);
        debug_assert!(*held > 0);
        if *held == 0 {
            return;
        }
        *held -= 1;
        if own.get().is_empty() {
            own.remove();
        }
        if let Entry::Occupied(mut all) = self.ports.entry(port) {
            *all.get_mut().of(ip).count(how) -= 1;
            if all.get().v4.is_empty() && all.get().v6.is_empty() {
                all.remove();
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
            let held = table.overlapping(addr);
            held.exclusive + held.listeners_for(addr.ip()) == 0 && !taken(port)
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

    /// Who holds the port on an address that can receive what `addr` receives. An unspecified IPv6
    /// address takes IPv4 too.
    fn overlapping(&self, addr: SocketAddr) -> Holders {
        let (ip, port) = (addr.ip(), addr.port());
        let Some(all) = self.ports.get(&port) else {
            return Holders::default();
        };
        let at = |ip: IpAddr| self.addresses.get(&(ip, port)).copied().unwrap_or_default();
        let mut held = match ip {
            IpAddr::V4(v4) if v4.is_unspecified() => all.v4,
            IpAddr::V4(_) => at(ip),
            IpAddr::V6(v6) if v6.is_unspecified() => all.v6,
            IpAddr::V6(_) => at(ip),
        };
        match ip {
            IpAddr::V6(v6) if v6.is_unspecified() => held += all.v4,
            _ => held += at(Ipv6Addr::UNSPECIFIED.into()),
        }
        if ip.is_ipv4() && !ip.is_unspecified() {
            held += at(Ipv4Addr::UNSPECIFIED.into());
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    /// Whether two local addresses can receive the same packets.
    fn overlap(a: IpAddr, b: IpAddr) -> bool {
        a == b
            || match (a.is_unspecified(), b.is_unspecified()) {
                (true, true) => true,
                (true, false) => a.is_ipv6() || b.is_ipv4(),
                (false, true) => b.is_ipv6() || a.is_ipv4(),
                (false, false) => false,
            }
    }

    fn any_addr() -> impl Strategy<Value = SocketAddr> {
        let ips = [
            "0.0.0.0", "10.0.0.1", "10.0.0.2", "::", "fd00::1", "fd00::2",
        ];
        let ip = prop::sample::select(ips.map(|ip| ip.parse::<IpAddr>().unwrap()).to_vec());
        (ip, 1u16..=2).prop_map(SocketAddr::from)
    }

    fn any_hold() -> impl Strategy<Value = Hold> {
        prop_oneof![
            any::<bool>().prop_map(|v6_only| Hold::Listener { v6_only }),
            any::<bool>().prop_map(|reuse| Hold::Socket { reuse }),
            Just(Hold::TimeWait),
        ]
    }

    proptest! {
        #[test]
        fn holders_that_overlap_count_and_no_others(
            steps in prop::collection::vec((any_addr(), any_hold(), any::<bool>()), 0..40),
            asked in any_addr(),
        ) {
            let mut table = table();
            let mut held: Vec<(SocketAddr, Hold)> = Vec::new();
            for (addr, how, release) in steps {
                if !release {
                    table.hold(addr, how);
                    held.push((addr, how));
                } else if let Some(place) = held.iter().position(|&one| one == (addr, how)) {
                    table.release(addr, how);
                    held.swap_remove(place);
                }
            }
            let overlapping = held.iter().filter(|(addr, _)| {
                addr.port() == asked.port() && overlap(addr.ip(), asked.ip())
            });
            let mut expected = Holders::default();
            for &(_, how) in overlapping {
                *expected.count(how) += 1;
            }
            prop_assert_eq!(table.overlapping(asked), expected);
            for (addr, how) in held {
                table.release(addr, how);
            }
            prop_assert!(table.ports.is_empty() && table.addresses.is_empty());
        }
    }
}

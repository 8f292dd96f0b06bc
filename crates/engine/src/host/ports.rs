//! Local ports: the holders of each port, and the choice of a port for a socket that requests none
//! (RFC 6056).
//!
//! Bound sockets, listeners and connections, TIME-WAIT included, hold ports. The table keeps counts
//! per address and port instead of the holders, so that a million connections on one port add no
//! cost and no query depends on the number of addresses on which a port is held.

mod datagrams;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use hashbrown::HashMap;

use crate::table::keyed::BuildKeyed;
use crate::tcp::connection::app_side::AppSide;
use crate::tuple::FourTuple;

/// Number of groups of destinations; each group has one counter (RFC 6056 3.3.4; Linux's
/// `table_perturb`). An observer of one destination learns about another only if the two are in the
/// same group.
const GROUPS: usize = 1 << 16;

/// Largest random increment of the counter, in ports (RFC 6056 3.3.5; Linux's step).
const STEP: u64 = 8;

/// Number of ports that are tried in ascending order, and then at random, before the whole range is
/// searched. The cost of a choice is therefore constant unless nearly all ports are taken: if one
/// port in a hundred is free, one choice in 170 searches further.
const ASCENDING: u32 = 8;
const AT_RANDOM: u32 = 512;

/// Numbers of holders of a port.
#[derive(Clone, Copy, Debug, Default)]
struct Holders {
    listeners: u32,
    /// Listeners on an IPv6 address that do not accept IPv4.
    v6_listeners: u32,
    /// Sockets and connections that share (`SO_REUSEADDR`), and those that do not.
    sharing: u32,
    exclusive: u32,
    time_wait: u32,
    /// Connections whose ports were chosen for them.
    connections: u32,
    /// Of the listeners and of the exclusive holders, those of a group (`SO_REUSEPORT`).
    grouped: u32,
    /// UDP sockets on the unspecified IPv6 address that do not receive IPv4, by the same rule.
    v6_sharing: u32,
    v6_exclusive: u32,
}

impl Holders {
    fn is_empty(&self) -> bool {
        let listeners = self.listeners + self.v6_listeners;
        let sockets = self.sharing + self.exclusive + self.connections;
        let v6_only = self.v6_sharing + self.v6_exclusive;
        listeners + sockets + v6_only + self.time_wait == 0
    }

    fn add(&mut self, other: &Self) {
        self.listeners += other.listeners;
        self.v6_listeners += other.v6_listeners;
        self.sharing += other.sharing;
        self.exclusive += other.exclusive;
        self.time_wait += other.time_wait;
        self.connections += other.connections;
        self.grouped += other.grouped;
        self.v6_sharing += other.v6_sharing;
        self.v6_exclusive += other.v6_exclusive;
    }

    fn count(&mut self, how: Hold) -> &mut u32 {
        match how {
            Hold::Listener { v6_only: false } => &mut self.listeners,
            Hold::Listener { v6_only: true } => &mut self.v6_listeners,
            Hold::Socket { reuse: true } => &mut self.sharing,
            Hold::Socket { reuse: false } => &mut self.exclusive,
            Hold::TimeWait => &mut self.time_wait,
            Hold::Connection => &mut self.connections,
            Hold::InGroup => &mut self.grouped,
            Hold::V6Only { reuse: true } => &mut self.v6_sharing,
            Hold::V6Only { reuse: false } => &mut self.v6_exclusive,
        }
    }
}

/// Numbers of holders of a port on any address of each family.
#[derive(Clone, Copy, Debug, Default)]
struct Port {
    v4: Holders,
    v6: Holders,
}

impl Port {
    fn family(&mut self, ip: IpAddr) -> &mut Holders {
        match ip {
            IpAddr::V4(_) => &mut self.v4,
            IpAddr::V6(_) => &mut self.v6,
        }
    }
}

/// The way in which a port is held.
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
    /// A connection whose port was chosen for it: another such connection may have the port, too,
    /// but no socket can be bound to it (as on Linux).
    Connection,
    /// Beside the hold of a listener or of a socket that does not share: it belongs to a group
    /// (`SO_REUSEPORT`). It is released first.
    InGroup,
    /// A UDP socket on the unspecified IPv6 address that does not receive IPv4.
    V6Only {
        reuse: bool,
    },
}

impl Hold {
    /// How a connection holds its local port.
    pub(crate) const fn of(app: &AppSide) -> Self {
        if app.port_chosen {
            Self::Connection
        } else {
            Self::Socket { reuse: app.reuse }
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct PortTable {
    ports: HashMap<u16, Port, BuildKeyed>,
    addresses: HashMap<SocketAddr, Holders, BuildKeyed>,
    range: RangeInclusive<u16>,
    key: [u8; 16],
    /// RFC 6056 algorithm 4: one counter for each group of destinations. Allocated on first use.
    counters: Option<Box<[u16]>>,
    /// Number of ports assigned; an input of the random choices.
    choices: u32,
}

impl PortTable {
    pub(crate) fn new(range: RangeInclusive<u16>, key: [u8; 16]) -> Self {
        Self {
            ports: HashMap::with_hasher(BuildKeyed::new(key)),
            addresses: HashMap::with_hasher(BuildKeyed::new(key)),
            range,
            key,
            counters: None,
            choices: 0,
        }
    }

    /// Whether a socket may be bound to `addr`. With `reuse` it may share the port with others that
    /// set `reuse`, and with TIME-WAIT (scenario S2), but never with a listener.
    pub(crate) fn is_free(&self, addr: SocketAddr, reuse: bool) -> bool {
        let holders = self.overlapping(addr);
        let alone = holders.exclusive + holders.connections;
        alone + listeners_for(&holders, addr.ip()) == 0
            && (reuse || holders.sharing + holders.time_wait == 0)
    }

    /// Whether a socket of a group may be bound to `addr` or listen there: whether all others are of
    /// the group, too.
    pub(crate) fn is_free_for_group(&self, addr: SocketAddr) -> bool {
        let holders = self.overlapping(addr);
        let listeners = holders.listeners + holders.v6_listeners;
        listeners + holders.exclusive + holders.connections <= holders.grouped
    }

    /// Whether a listener holds `addr` or an overlapping address.
    pub(crate) fn has_listener(&self, addr: SocketAddr) -> bool {
        listeners_for(&self.overlapping(addr), addr.ip()) > 0
    }

    pub(crate) fn hold(&mut self, addr: SocketAddr, how: Hold) {
        let port = self.ports.entry(addr.port()).or_default();
        *port.family(addr.ip()).count(how) += 1;
        *self.addresses.entry(addr).or_default().count(how) += 1;
    }

    pub(crate) fn release(&mut self, addr: SocketAddr, how: Hold) {
        let Some(holders) = self.addresses.get_mut(&addr) else {
            return;
        };
        let count = holders.count(how);
        if *count == 0 {
            return;
        }
        *count -= 1;
        if holders.is_empty() {
            self.addresses.remove(&addr);
        }
        if let Some(port) = self.ports.get_mut(&addr.port()) {
            *port.family(addr.ip()).count(how) -= 1;
            if port.v4.is_empty() && port.v6.is_empty() {
                self.ports.remove(&addr.port());
            }
        }
    }

    /// A port that is not held on `address`, for a bound socket. Any port will do, because the
    /// socket's destinations are unknown.
    pub(crate) fn free_port(&mut self, address: IpAddr) -> Option<u16> {
        let anywhere = FourTuple {
            local_ip: address,
            remote_ip: address,
            local_port: 0,
            remote_port: 0,
        };
        let start = self.random(&anywhere) as u32;
        let (port, _) = self.search(&anywhere, start, |table, port| {
            table.is_free(SocketAddr::new(address, port), false)
        })?;
        Some(port)
    }

    /// A port for a connection by RFC 6056 algorithm 4: the ports of one destination ascend in
    /// random steps and reveal nothing about the ports of another. `taken` tells whether the
    /// four-tuple is in use. A port of connections to other destinations is acceptable; the port of
    /// a bound socket is not.
    #[expect(clippy::indexing_slicing, reason = "a counter for each group")]
    pub(crate) fn connection_port(
        &mut self,
        tuple: &FourTuple,
        taken: impl Fn(u16) -> bool,
    ) -> Option<u16> {
        let destination = FourTuple {
            local_port: 0,
            ..*tuple
        };
        let offset = destination.keyed_hash(&self.key, b'p') as u32;
        let group = destination.keyed_hash(&self.key, b'g') as usize % GROUPS;
        let counter = self.counters.as_ref().map_or(0, |counters| counters[group]);
        let start = offset.wrapping_add(counter.into());
        let (port, skipped) = self.search(&destination, start, |table, port| {
            !table.is_bound(SocketAddr::new(tuple.local_ip, port)) && !taken(port)
        })?;
        // Ports that were skipped are not tried again soon.
        let step = skipped.max((self.random(&destination) % STEP) as u32) + 1;
        let counters = self
            .counters
            .get_or_insert_with(|| vec![0; GROUPS].into_boxed_slice());
        counters[group] = counter.wrapping_add(step as u16);
        Some(port)
    }

    /// Searches for a suitable port: by ascending numbers from `start`, then at random, and finally
    /// through the whole range. Also returns the number of ports that were skipped in ascending
    /// order.
    fn search(
        &mut self,
        destination: &FourTuple,
        start: u32,
        fits: impl Fn(&Self, u16) -> bool,
    ) -> Option<(u16, u32)> {
        let (low, high) = (u32::from(*self.range.start()), u32::from(*self.range.end()));
        let size = high.checked_sub(low)? + 1;
        let port = |i: u32| (low + start.wrapping_add(i) % size) as u16;
        let fits = |table: &Self, port| port != 0 && fits(table, port);
        let few = ASCENDING.min(size);
        if let Some(i) = (0..few).find(|&i| fits(self, port(i))) {
            return Some((port(i), i));
        }
        for _ in 0..AT_RANDOM.min(size) {
            let i = self.random(destination) as u32 % size;
            if fits(self, port(i)) {
                return Some((port(i), few));
            }
        }
        let i = (few..size).find(|&i| fits(self, port(i)))?;
        Some((port(i), i))
    }

    /// A number that outsiders cannot predict.
    fn random(&mut self, destination: &FourTuple) -> u64 {
        self.choices = self.choices.wrapping_add(1);
        destination.keyed_hash_with(&self.key, b'r', &[self.choices])
    }

    /// Whether a listener, or a bound socket that does not share, has the port.
    fn is_bound(&self, addr: SocketAddr) -> bool {
        let Some(port) = self.ports.get(&addr.port()) else {
            return false;
        };
        let anywhere = [port.v4, port.v6]
            .iter()
            .any(|holders| holders.exclusive + holders.listeners + holders.v6_listeners > 0);
        if !anywhere {
            return false;
        }
        let holders = self.overlapping(addr);
        holders.exclusive + listeners_for(&holders, addr.ip()) > 0
    }

    /// All holders of `addr` or of an address that receives some of the same packets. An
    /// unspecified address receives the packets to every address of its family, and the unspecified
    /// IPv6 address receives those to IPv4 addresses too.
    fn overlapping(&self, addr: SocketAddr) -> Holders {
        const ANY_V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        const ANY_V6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let Some(port) = self.ports.get(&addr.port()) else {
            return Holders::default();
        };
        let at = |ip| self.addresses.get(&SocketAddr::new(ip, addr.port()));
        let (mut all, others) = match addr.ip() {
            ANY_V6 => {
                let mut all = port.v6;
                all.add(&port.v4);
                return all;
            }
            ANY_V4 => (port.v4, [at(ANY_V6), None]),
            ip @ IpAddr::V4(_) => (
                at(ip).copied().unwrap_or_default(),
                [at(ANY_V4), at(ANY_V6)],
            ),
            ip @ IpAddr::V6(_) => (at(ip).copied().unwrap_or_default(), [at(ANY_V6), None]),
        };
        for holders in others.into_iter().flatten() {
            all.add(holders);
        }
        all
    }
}

/// Number of listeners that accept packets to `ip`.
fn listeners_for(holders: &Holders, ip: IpAddr) -> u32 {
    let v6_only = if ip.is_ipv6() {
        holders.v6_listeners
    } else {
        0
    };
    holders.listeners + v6_only
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
    fn a_group_has_no_others() {
        let mut table = table();
        let (group, alone) = (addr("10.0.0.1:1"), addr("10.0.0.1:2"));
        table.hold(group, ALONE);
        table.hold(group, Hold::InGroup);
        table.hold(alone, ALONE);
        assert!(table.is_free_for_group(group) && !table.is_free(group, true));
        assert!(!table.is_free_for_group(alone));
        assert!(table.is_free_for_group(addr("0.0.0.0:1")));
        table.release(group, Hold::InGroup);
        assert!(!table.is_free_for_group(group));
        table.release(group, ALONE);
        assert!(table.is_free(group, false));
    }

    #[test]
    fn the_port_of_a_connection_is_for_connections() {
        let mut table = table();
        let local = addr("10.0.0.1:40001");
        table.hold(local, Hold::Connection);
        assert!(!table.is_free(local, true) && !table.is_free_for_group(local));
        assert!(!table.is_bound(local));
        table.release(local, Hold::Connection);
        assert!(table.is_free(local, false) && table.ports.is_empty());
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

    fn pick(table: &mut PortTable, remote: &str) -> u16 {
        let tuple = FourTuple::new(addr("10.0.0.1:0"), addr(remote));
        table.connection_port(&tuple, |_| false).unwrap()
    }

    /// RFC 6056 3.3.4 and 3.3.5: what an observer of one destination sees does not depend on
    /// connections to others.
    #[test]
    fn the_ports_of_one_destination_tell_nothing_of_those_of_others() {
        let mut alone = PortTable::new(32_768..=60_999, [3; 16]);
        let mut busy = PortTable::new(32_768..=60_999, [3; 16]);
        let mut steps = Vec::new();
        let mut last = None;
        for round in 0..100u32 {
            for host in 0..50 {
                let port = 1000 + round;
                pick(&mut busy, &format!("10.1.{}.{host}:{port}", round % 7));
            }
            let (one, other) = (
                pick(&mut alone, "10.0.0.2:80"),
                pick(&mut busy, "10.0.0.2:80"),
            );
            if let Some((before_alone, before_busy)) = last.replace((one, other)) {
                for step in [one - before_alone, other - before_busy] {
                    assert!((1..=8).contains(&step), "{step}");
                    steps.push(step);
                }
            }
        }
        let mean = steps.iter().map(|&step| f64::from(step)).sum::<f64>() / steps.len() as f64;
        assert!((3.5..5.5).contains(&mean), "steps are even: {mean}");
    }

    #[test]
    fn the_choice_looks_at_few_ports_where_many_are_taken() {
        use std::cell::Cell;

        // One port in eight is free, and the free ports are adjacent.
        let mut table = PortTable::new(1024..=65_535, [3; 16]);
        let tuple = FourTuple::new(addr("10.0.0.1:0"), addr("10.0.0.2:80"));
        let looked = Cell::new(0u32);
        for _ in 0..1000 {
            let port = table.connection_port(&tuple, |port| {
                looked.set(looked.get() + 1);
                port < 57_000
            });
            assert!(port >= Some(57_000));
        }
        assert!(looked.get() < 1000 * 4 * ASCENDING, "{}", looked.get());
    }

    #[test]
    fn a_port_held_on_many_addresses_is_released_on_each() {
        let mut table = table();
        let local = |host: u16| addr(&format!("10.1.{}.{}:443", host >> 8, host & 0xFF));
        for host in 0..1000 {
            table.hold(local(host), SHARED);
        }
        assert!(!table.is_free(addr("0.0.0.0:443"), false));
        assert!(table.is_free(addr("10.2.0.0:443"), false));
        for host in 0..1000 {
            assert!(!table.is_free(local(host), false));
            table.release(local(host), SHARED);
            assert!(table.is_free(local(host), false));
        }
        assert!(table.is_free(addr("[::]:443"), false));
        assert!(table.ports.is_empty() && table.addresses.is_empty());
    }
}

//! Several hosts behind routers.

use std::net::IpAddr;
use std::time::Duration;

use fastrand::Rng;
use millstream_engine::Cidr;
use millstream_netsim::{HostId, LinkConfig, Network, NodeId, RouterId, Schedule};

use crate::hosts::config;
use crate::path::{Bytes, way};

/// A network of two to four hosts and one to three routers. Each host is attached to one router,
/// each pair of routers is joined by one link or several, and each router has random routes to each
/// host: the two directions may take different paths.
pub(crate) struct Topology {
    pub(crate) network: Network,
    pub(crate) hosts: Vec<HostId>,
    pub(crate) addresses: Vec<IpAddr>,
}

impl Topology {
    /// A random network. The hosts for which `cut_off` returns a time are cut off for good at that
    /// time.
    pub(crate) fn new(random: &mut Rng, cut_off: impl Fn(usize) -> Option<Duration>) -> Self {
        let mut network = Network::new(random.u64(..));
        let count = random.u8(2..=4);
        let v4 = random.bool();
        let addresses: Vec<IpAddr> = (0..count).map(|host| address(v4, host)).collect();
        let routers: Vec<RouterId> = (0..random.u32(1..=3)).map(|_| network.router()).collect();
        let link = |random: &mut Rng, network: &mut Network, [a, b]: [NodeId; 2], there, end| {
            let ways = [there, Bytes::AreRight];
            let [there, back] = ways.map(|bytes| until(way(random, addresses[0], bytes), end));
            network.connect(a, b, there, back);
        };
        // Each router is joined to an earlier one, and three routers may form a ring.
        let mut joined = Vec::new();
        for later in 1..routers.len() {
            joined.push((random.usize(..later), later));
        }
        if let [first, second] = joined[..]
            && random.bool()
        {
            joined.push(if second.0 == 1 { (0, 2) } else { (1, 2) });
            assert_eq!(first, (0, 1));
        }
        for &(a, b) in &joined {
            link(
                random,
                &mut network,
                [routers[a].into(), routers[b].into()],
                Bytes::AreRight,
                None,
            );
        }
        let mut hosts = Vec::new();
        for (number, &address) in addresses.iter().enumerate() {
            let host = network.host(config(random, address));
            let at = random.usize(..routers.len());
            link(
                random,
                &mut network,
                [host.into(), routers[at].into()],
                // Each packet leaves one host, so only that link may corrupt it.
                Bytes::MayBeWrong,
                cut_off(number),
            );
            for (router, via) in ways_to(random, at, &joined) {
                let there = Cidr::new(address, 128);
                network.route(routers[router], there, routers[via]);
            }
            hosts.push(host);
        }
        Self {
            network,
            hosts,
            addresses,
        }
    }
}

fn until(way: Schedule, end: Option<Duration>) -> Schedule {
    match end {
        Some(end) => way.at(end, LinkConfig::cut),
        None => way,
    }
}

fn address(v4: bool, host: u8) -> IpAddr {
    if v4 {
        [10, 0, host, 1].into()
    } else {
        [0xfd00, 0, 0, u16::from(host), 0, 0, 0, 1].into()
    }
}

/// A random tree towards the router `to`: each other router with the router to which it sends.
fn ways_to(random: &mut Rng, to: usize, joined: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut ways = Vec::new();
    let mut reached = vec![to];
    loop {
        let both = joined.iter().flat_map(|&(a, b)| [(a, b), (b, a)]);
        let next: Vec<_> = both
            .filter(|(from, via)| !reached.contains(from) && reached.contains(via))
            .collect();
        let Some(&way) = random.choice(&next) else {
            return ways;
        };
        reached.push(way.0);
        ways.push(way);
    }
}

//! Hosts and routers, and their routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use millstream_engine::{Cidr, Instant, Stack, Transmit};
use millstream_wire::ip;

/// A host or a router of a [`Network`](super::Network). The identifier is valid only in the network
/// that returned it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(super) usize);

/// A host of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostId(pub(super) NodeId);

/// A router of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouterId(pub(super) NodeId);

/// One direction of a link in a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub(super) usize);

impl From<HostId> for NodeId {
    fn from(host: HostId) -> Self {
        host.0
    }
}

impl From<RouterId> for NodeId {
    fn from(router: RouterId) -> Self {
        router.0
    }
}

/// A node with its routes.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are few nodes, and most are hosts"
)]
pub(super) enum Node {
    Host { stack: Stack, routes: Routes },
    Router { routes: Routes },
}

/// Routes, the longest prefix first.
#[derive(Debug, Default)]
pub(super) struct Routes(Vec<(Cidr, LinkId)>);

impl Node {
    pub(super) fn host(stack: Stack) -> Self {
        let routes = Routes::default();
        Self::Host { stack, routes }
    }

    pub(super) fn router() -> Self {
        let routes = Routes::default();
        Self::Router { routes }
    }

    pub(super) fn add_route(&mut self, network: Cidr, line: LinkId) {
        self.routes_mut().add(network, line);
    }

    /// Adds routes to the addresses of the node at the end of a link.
    pub(super) fn add_neighbour(&mut self, addresses: &[IpAddr], line: LinkId) {
        let is_host = matches!(self, Self::Host { .. });
        let routes = self.routes_mut();
        if is_host && routes.0.is_empty() {
            routes.add(Cidr::new(Ipv4Addr::UNSPECIFIED.into(), 0), line);
            routes.add(Cidr::new(Ipv6Addr::UNSPECIFIED.into(), 0), line);
        }
        for &address in addresses {
            routes.add(Cidr::new(address, 128), line);
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Self::Host { stack, .. } = self {
            stack.handle_timeout(now);
        }
    }

    pub(super) fn poll_transmit(&mut self, now: Instant, out: &mut Transmit) -> bool {
        match self {
            Self::Host { stack, .. } => stack.poll_transmit(now, out),
            Self::Router { .. } => false,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Host { stack, .. } => stack.poll_timeout(),
            Self::Router { .. } => None,
        }
    }

    /// The link on which to send a packet; `None` if its header is damaged or there is no route.
    pub(super) fn way_of(&self, packet: &[u8]) -> Option<LinkId> {
        let destination = ip::Packet::parse(packet).ok()?.dst();
        let (Self::Host { routes, .. } | Self::Router { routes }) = self;
        routes.find(destination)
    }

    /// The addresses of a host.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        match self {
            Self::Host { stack, .. } => {
                let networks = stack.config().addresses.iter();
                networks.map(|network| network.address).collect()
            }
            Self::Router { .. } => Vec::new(),
        }
    }

    pub(super) fn stack(&self) -> &Stack {
        match self {
            Self::Host { stack, .. } => stack,
            Self::Router { .. } => unreachable!("a HostId names a host"),
        }
    }

    pub(super) fn stack_mut(&mut self) -> &mut Stack {
        match self {
            Self::Host { stack, .. } => stack,
            Self::Router { .. } => unreachable!("a HostId names a host"),
        }
    }

    fn routes_mut(&mut self) -> &mut Routes {
        let (Self::Host { routes, .. } | Self::Router { routes }) = self;
        routes
    }
}

impl Routes {
    /// Among equal prefixes the one added last takes precedence.
    fn add(&mut self, network: Cidr, line: LinkId) {
        let longer = |route: &(Cidr, LinkId)| route.0.prefix > network.prefix;
        let place = self.0.partition_point(longer);
        self.0.insert(place, (network, line));
    }

    fn find(&self, destination: IpAddr) -> Option<LinkId> {
        let mut routes = self.0.iter();
        let found = routes.find(|(network, _)| network.contains(destination));
        found.map(|(_, line)| *line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_matching_prefix_applies() {
        let net = |text: &str, prefix| Cidr::new(text.parse().expect("an address"), prefix);
        let mut routes = Routes::default();
        for (line, network) in [
            net("10.1.0.0", 16),
            net("0.0.0.0", 0),
            net("10.1.2.3", 32),
            net("10.1.2.0", 24),
            net("fd00::", 8),
        ]
        .into_iter()
        .enumerate()
        {
            routes.add(network, LinkId(line));
        }
        for (destination, line) in [
            ("10.1.2.3", Some(2)),
            ("10.1.2.4", Some(3)),
            ("10.1.3.3", Some(0)),
            ("192.0.2.1", Some(1)),
            ("fd01::1", Some(4)),
            ("2001:db8::1", None),
        ] {
            let found = routes.find(destination.parse().expect("an address"));
            assert_eq!(found, line.map(LinkId), "{destination}");
        }
        routes.add(net("10.1.2.0", 24), LinkId(9));
        let moved = routes.find([10, 1, 2, 4].into());
        assert_eq!(
            moved,
            Some(LinkId(9)),
            "the later route replaces the earlier"
        );
    }
}

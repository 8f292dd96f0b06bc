//! The record of a UDP socket.

use std::net::{IpAddr, SocketAddr};

use super::receive::ReceiveQueue;
use super::send::SendQueue;
use super::table::{bound_key, dual_key};
use crate::config::UdpOptions;
use crate::error::UdpError;
use crate::event::Readiness;
use crate::tuple::FourTuple;

/// See the module.
#[derive(Debug)]
pub(crate) struct Socket {
    /// The address to which it was bound, with its port; IPv4 addresses are not mapped.
    pub(crate) bound: SocketAddr,
    /// Whether the application sees IPv6 addresses: IPv4 is mapped for it.
    pub(crate) v6: bool,
    /// Whether the port was shared and whether IPv4 was excluded when it was bound.
    pub(crate) reuse: bool,
    pub(crate) v6_only: bool,
    /// The local address and the peer, if it is connected.
    pub(crate) connected: Option<FourTuple>,
    pub(crate) options: UdpOptions,
    pub(crate) received: ReceiveQueue,
    pub(crate) outgoing: SendQueue,
    /// A failure that was not reported yet (`SO_ERROR`).
    pub(crate) error: Option<UdpError>,
    /// The groups that it has joined.
    pub(crate) groups: Vec<IpAddr>,
    /// News for the application.
    pub(crate) readiness: Readiness,
    /// Whether the application has closed it and datagrams still wait to be sent.
    pub(crate) orphan: bool,
}

impl Socket {
    /// A socket that is bound to `bound`; `v6` is the family in which the application asked.
    pub(crate) fn new(bound: SocketAddr, v6: bool, options: UdpOptions) -> Self {
        Self {
            bound,
            v6,
            reuse: options.reuse_addr,
            v6_only: options.v6_only,
            connected: None,
            options,
            received: ReceiveQueue::default(),
            outgoing: SendQueue::default(),
            error: None,
            groups: Vec::new(),
            readiness: Readiness::empty(),
            orphan: false,
        }
    }

    /// The keys under which it is in the table.
    pub(crate) fn keys(&self) -> impl Iterator<Item = FourTuple> + use<> {
        let (first, second) = match &self.connected {
            // A socket bound to a group receives from its peer what is sent to the group.
            Some(tuple) if self.bound.ip().is_multicast() => {
                (FourTuple::new(self.bound, tuple.remote()), None)
            }
            Some(tuple) => (*tuple, None),
            None => {
                let dual = self.bound.is_ipv6() && self.bound.ip().is_unspecified();
                let second = (dual && !self.v6_only).then(|| dual_key(self.bound.port()));
                (bound_key(self.bound), second)
            }
        };
        std::iter::once(first).chain(second)
    }

    /// Whether it receives what is sent to the group, of which this host is a member.
    pub(crate) fn accepts_group(&self, group: IpAddr) -> bool {
        self.options.multicast_all || self.groups.contains(&group)
    }

    /// Bytes of memory that its datagrams keep alive.
    pub(crate) fn memory(&self) -> usize {
        self.received.memory() + self.outgoing.memory()
    }

    /// Whether reading would return at once.
    pub(crate) fn is_readable(&self) -> bool {
        self.error.is_some() || !self.received.is_empty()
    }

    /// Whether writing should be tried.
    pub(crate) fn is_writable(&self) -> bool {
        self.error.is_some() || self.outgoing.is_writable(self.options.send_buffer)
    }

    /// An address as the application sees it.
    pub(crate) fn seen(&self, addr: SocketAddr) -> SocketAddr {
        match addr.ip() {
            IpAddr::V4(ip) if self.v6 => SocketAddr::new(ip.to_ipv6_mapped().into(), addr.port()),
            _ => addr,
        }
    }

    /// The local end as the application sees it.
    pub(crate) fn local(&self) -> SocketAddr {
        self.seen(self.connected.map_or(self.bound, |tuple| tuple.local()))
    }
}

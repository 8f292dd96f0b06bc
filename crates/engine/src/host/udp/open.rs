//! Bind, connect, close, and the options of a UDP socket.

use std::net::{IpAddr, SocketAddr};

use super::{Held, hold};
use crate::config::UdpOptions;
use crate::config::limits::InvalidOption;
use crate::error::{BindError, ConnectError};
use crate::host::Stack;
use crate::host::scheduler::Turn;
use crate::id::UdpId;
use crate::ip::address::Kind;
use crate::time::Instant;
use crate::tuple::FourTuple;
use crate::udp::receive::ReceiveQueue;
use crate::udp::socket::Socket;

impl Stack {
    /// Creates a UDP socket on a local address. The address may be unspecified, a group or a
    /// broadcast address; port 0 requests a free port (RFC 6056). A socket on the unspecified IPv6
    /// address receives IPv4 too, unless [`v6_only`](field@UdpOptions::v6_only) is set.
    ///
    /// # Errors
    ///
    /// [`BindError::AddrNotAvailable`] if the address does not belong to the stack;
    /// [`BindError::AddrInUse`] if another socket has it or an overlapping one, unless both set
    /// [`reuse_addr`](field@UdpOptions::reuse_addr); [`BindError::OtherShare`] if another stack of
    /// the same host has to bind the port.
    pub fn udp_bind(&mut self, addr: SocketAddr, options: UdpOptions) -> Result<UdpId, BindError> {
        options.validate()?;
        let mut bound = SocketAddr::new(addr.ip().to_canonical(), addr.port());
        let (ip, v6_only) = (bound.ip(), options.v6_only);
        let exists = match self.kind(ip) {
            Kind::Unspecified | Kind::Broadcast | Kind::Multicast => true,
            _ => self.is_local(ip),
        };
        if !exists || (v6_only && addr.is_ipv6() && ip.is_ipv4()) {
            return Err(BindError::AddrNotAvailable(ip));
        }
        if bound.port() == 0 {
            let sharing = &self.sharing;
            let port = self
                .udp
                .ports
                .datagram_port(ip, v6_only, |port| sharing.owns_port(port))
                .ok_or(BindError::NoPortFree)?;
            bound.set_port(port);
        }
        let owner = self.sharing.port_owner(bound.port());
        if owner != self.sharing.index() {
            let port = bound.port();
            return Err(BindError::OtherShare { port, owner });
        }
        let ports = &self.udp.ports;
        if !ports.is_free_for_datagrams(bound, options.reuse_addr, v6_only) {
            return Err(BindError::AddrInUse(bound));
        }
        let socket = Socket::new(bound, addr.is_ipv6(), options);
        self.udp.ports.hold(bound, hold(&socket));
        let (index, generation) = self.udp.sockets.insert(Held {
            socket,
            on_wire: true,
            turn: Turn::default(),
            has_news: false,
            loose: false,
            charged: 0,
        });
        self.udp.link(index);
        Ok(UdpId { index, generation })
    }

    /// The index of the [`Share`](crate::Share) whose stack must bind a UDP port other than 0. All
    /// datagrams to the port belong to it.
    #[must_use]
    pub fn udp_share_of(&self, port: u16) -> u16 {
        self.sharing.port_owner(port)
    }

    /// Sets the peer of a socket. From now on only its datagrams are received, and its host's ICMP
    /// errors are reported. A connected socket may be connected again. An unspecified address means
    /// this stack itself, as on Linux.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`]; the socket is unchanged. A socket that does not exist is
    /// [`ConnectError::AddrNotAvailable`].
    pub fn udp_connect(&mut self, id: UdpId, remote: SocketAddr) -> Result<(), ConnectError> {
        let Some(held) = self.udp.held(id) else {
            return Err(ConnectError::AddrNotAvailable(remote));
        };
        let tuple = self.udp_tuple(&held.socket, remote)?;
        self.udp.unlink(id.index);
        if let Some(held) = self.udp.held_mut(id) {
            held.socket.connected = Some(tuple);
            held.socket.error = None;
        }
        self.udp.link(id.index);
        Ok(())
    }

    /// Both ends of a socket that is to be connected.
    fn udp_tuple(&self, socket: &Socket, remote: SocketAddr) -> Result<FourTuple, ConnectError> {
        let bound = socket.bound;
        let to = SocketAddr::new(Self::meant_by(remote.ip(), Some(bound.ip())), remote.port());
        let local = bound;
        let mismatch = ConnectError::FamilyMismatch { local, remote };
        if to.is_ipv6() && !socket.v6 {
            return Err(mismatch);
        }
        match self.kind(to.ip()) {
            _ if self.is_local(to.ip()) => {}
            Kind::Broadcast if !socket.options.broadcast => {
                return Err(ConnectError::BroadcastNotPermitted(to.ip()));
            }
            Kind::Broadcast | Kind::Multicast | Kind::Loopback => {}
            Kind::Host if self.is_routed(to.ip()) => {}
            Kind::Host => return Err(ConnectError::NetworkUnreachable(to.ip())),
            Kind::Unspecified | Kind::Reserved => {
                return Err(ConnectError::InvalidDestination(to));
            }
        }
        if to.port() == 0 {
            return Err(ConnectError::InvalidDestination(to));
        }
        let source = self.udp_source(socket, to.ip());
        let ip = source.ok_or(ConnectError::NetworkUnreachable(to.ip()))?;
        if ip.is_ipv4() != to.is_ipv4() {
            return Err(mismatch);
        }
        if Kind::of(ip) == Kind::Loopback && !self.is_local(to.ip()) {
            return Err(ConnectError::InvalidDestination(to));
        }
        Ok(FourTuple::new(SocketAddr::new(ip, bound.port()), to))
    }

    /// The source address of a socket's datagrams to `to`: the one that it is bound to, or one that
    /// suits the destination (RFC 6724).
    pub(super) fn udp_source(&self, socket: &Socket, to: IpAddr) -> Option<IpAddr> {
        let own = socket.bound.ip();
        if self.is_local(own) {
            return Some(own);
        }
        let v4_excluded = socket.v6 && socket.v6_only && to.is_ipv4();
        if v4_excluded || (own.is_ipv4() && to.is_ipv6()) {
            return None;
        }
        self.source_for(to)
    }

    /// Closes a socket: its port is free again. Datagrams that wait to be sent are still sent.
    /// `id` is invalid afterwards.
    pub fn udp_close(&mut self, now: Instant, id: UdpId) {
        if self.udp.held(id).is_some() {
            self.close_socket(now, id.index);
        }
    }

    /// Closes a socket, whether or not it has left its port.
    pub(super) fn close_socket(&mut self, now: Instant, index: u32) {
        self.leave_ports(now, index);
        if let Some(held) = self.udp.sockets.at_mut(index) {
            held.socket.orphan = true;
            held.socket.received = ReceiveQueue::default();
        }
        self.settle_socket(index);
    }

    /// Takes a socket out of the tables: nothing is received any more.
    pub(super) fn leave_ports(&mut self, now: Instant, index: u32) {
        let Some(held) = self.udp.sockets.at_mut(index) else {
            return;
        };
        if !std::mem::replace(&mut held.on_wire, false) {
            return;
        }
        let groups = std::mem::take(&mut held.socket.groups);
        let (bound, how) = (held.socket.bound, hold(&held.socket));
        self.udp.ports.release(bound, how);
        self.udp.unlink(index);
        self.leave_groups(now, &groups);
    }

    /// Changes a socket's options.
    ///
    /// # Errors
    ///
    /// A value is refused. The options keep their previous values.
    pub fn udp_set_options(
        &mut self,
        id: UdpId,
        change: impl FnOnce(&mut UdpOptions),
    ) -> Result<(), InvalidOption> {
        let Some(held) = self.udp.held_mut(id) else {
            return Ok(());
        };
        let mut changed = held.socket.options.clone();
        change(&mut changed);
        changed.validate()?;
        held.socket.options = changed;
        self.settle_socket(id.index);
        Ok(())
    }
}

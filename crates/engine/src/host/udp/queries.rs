//! Getters of UDP sockets: they change nothing.

use std::net::SocketAddr;

use crate::config::UdpOptions;
use crate::host::Stack;
use crate::id::UdpId;
use crate::udp::receive::UdpDatagram;

impl Stack {
    /// The local end of a socket: the address to which it is bound or, if it is connected, from
    /// which it sends.
    #[must_use]
    pub fn udp_local_addr(&self, id: UdpId) -> Option<SocketAddr> {
        self.udp.held(id).map(|held| held.socket.local())
    }

    /// The peer of a connected socket.
    #[must_use]
    pub fn udp_peer_addr(&self, id: UdpId) -> Option<SocketAddr> {
        let socket = &self.udp.held(id)?.socket;
        Some(socket.seen(socket.connected?.remote()))
    }

    /// A socket's options.
    #[must_use]
    pub fn udp_options(&self, id: UdpId) -> Option<&UdpOptions> {
        self.udp.held(id).map(|held| &held.socket.options)
    }

    /// Whether a read would return at once with a datagram or a failure.
    #[must_use]
    pub fn udp_is_readable(&self, id: UdpId) -> bool {
        self.udp
            .held(id)
            .is_none_or(|held| held.socket.is_readable())
    }

    /// Whether a datagram waits to be read, or a failure to be reported.
    #[must_use]
    pub fn udp_has_unread(&self, id: UdpId) -> bool {
        self.udp
            .held(id)
            .is_some_and(|held| held.socket.is_readable())
    }

    /// Whether the oldest datagram of a socket satisfies `is`.
    #[must_use]
    pub fn udp_has_datagram(&self, id: UdpId, is: impl FnOnce(&UdpDatagram) -> bool) -> bool {
        let held = self.udp.held(id).filter(|held| held.socket.error.is_none());
        held.and_then(|held| held.socket.received.first())
            .is_some_and(is)
    }

    /// Whether a datagram should be sent: half of the send buffer is free, or a failure is to be
    /// reported.
    #[must_use]
    pub fn udp_is_writable(&self, id: UdpId) -> bool {
        self.udp
            .held(id)
            .is_none_or(|held| held.socket.is_writable())
    }

    /// Whether a failure was reported by the network and not yet by the socket.
    #[must_use]
    pub fn udp_has_failed(&self, id: UdpId) -> bool {
        self.udp
            .held(id)
            .is_some_and(|held| held.socket.error.is_some())
    }

    /// Number of UDP sockets, including closed ones whose datagrams wait to be sent.
    #[must_use]
    pub fn udp_count(&self) -> usize {
        self.udp.sockets.len()
    }
}

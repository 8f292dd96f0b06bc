//! Output: from a call to the socket's queue, and from there to packets.

use std::net::{IpAddr, SocketAddr};

use millstream_wire::udp;

use super::{Held, mark, unmark};
use crate::error::UdpSendError;
use crate::host::Stack;
use crate::id::UdpId;
use crate::ip::address::Kind;
use crate::memory::Pressure;
use crate::stats::count;
use crate::time::Instant;
use crate::transmit::Transmit;
use crate::udp::build::{self, Tools, ip_len};
use crate::udp::message::UdpSend;
use crate::udp::send::Outgoing;
use crate::udp::socket::Socket;
use crate::udp::{MAX_PAYLOAD_V4, MAX_PAYLOAD_V6};

/// Largest packet that the stack sends to itself.
const LOOPBACK_MTU: usize = 65_535;

impl Stack {
    /// Queues a datagram, which is ready to be sent when this returns. Returns `false`, and queues
    /// nothing, if the send buffer is full: [`Readiness::WRITABLE`](crate::Readiness::WRITABLE)
    /// tells when there is room. A failure that the network had reported is reported instead of
    /// sending, once.
    ///
    /// # Errors
    ///
    /// See [`UdpSendError`].
    pub fn udp_send(
        &mut self,
        now: Instant,
        id: UdpId,
        send: &UdpSend,
    ) -> Result<bool, UdpSendError> {
        let held = self.udp.held_mut(id).ok_or(UdpSendError::Closed)?;
        if let Some(error) = held.socket.error.take() {
            return Err(error.into());
        }
        let held = self.udp.held(id).ok_or(UdpSendError::Closed)?;
        let outgoing = self.outgoing(now, &held.socket, send)?;
        let pressure = self.memory.pressure();
        let held = self.udp.held_mut(id).ok_or(UdpSendError::Closed)?;
        let socket = &mut held.socket;
        let limit = match pressure {
            Pressure::None | Pressure::Moderate => socket.options.send_buffer,
            // One datagram waits at the most.
            Pressure::Severe | Pressure::Critical => 0,
        };
        if !socket.outgoing.has_room(limit) {
            return Ok(false);
        }
        socket.outgoing.push(outgoing, send.pinned);
        self.settle_socket(id.index);
        Ok(true)
    }

    /// The datagram with everything that the socket and the host decide about it.
    fn outgoing(
        &self,
        now: Instant,
        socket: &Socket,
        send: &UdpSend,
    ) -> Result<Outgoing, UdpSendError> {
        let dst = self.udp_destination(socket, send)?;
        let src = self.udp_origin(socket, send, dst)?;
        let options = &socket.options;
        let kind = self.kind(dst.ip());
        let stays = self.is_local(dst.ip());
        let loops = match kind {
            Kind::Broadcast => true,
            // A member may be in another share.
            Kind::Multicast => {
                let is_member = self.udp.groups.is_member(dst.ip()) || !self.sharing.is_whole();
                options.multicast_loop && is_member
            }
            _ => false,
        };
        let hop_limit = match (send.hop_limit, kind) {
            (Some(limit), _) if limit > 0 => limit,
            (_, Kind::Multicast) => options.multicast_hop_limit,
            _ => options.hop_limit,
        };
        let device = if stays { LOOPBACK_MTU } else { self.config.mtu };
        let known = self.udp_path_mtu(dst.ip(), now);
        let mtu = match options.fragmentation.heeds_routers() && !stays {
            true => device.min(known.unwrap_or(device)),
            false => device,
        };
        let len = send.payload.len();
        let segment = send.segment_size.filter(|size| *size > 0);
        let segment = segment.filter(|size| usize::from(*size) < len);
        let packet = ip_len(src) + udp::HEADER_LEN + segment.map_or(len, usize::from);
        let most = if dst.is_ipv4() {
            MAX_PAYLOAD_V4
        } else {
            MAX_PAYLOAD_V6
        };
        let may_fragment = options.fragmentation.is_allowed() && segment.is_none();
        if len > most || (packet > mtu && !may_fragment) {
            return Err(UdpSendError::TooLarge(len));
        }
        Ok(Outgoing {
            payload: send.payload.clone(),
            src,
            dst,
            tos: send.tos.unwrap_or(options.tos),
            hop_limit,
            segment,
            fragment_to: may_fragment.then_some(mtu),
            dont_fragment: options.fragmentation != crate::config::Fragmentation::Routers,
            loops,
            stays,
        })
    }

    /// Where a datagram goes, with IPv4 addresses unmapped.
    fn udp_destination(&self, socket: &Socket, send: &UdpSend) -> Result<SocketAddr, UdpSendError> {
        let Some(to) = send.to else {
            let connected = socket.connected.ok_or(UdpSendError::NoDestination)?;
            return Ok(connected.remote());
        };
        if to.is_ipv6() && !socket.v6 {
            return Err(UdpSendError::FamilyMismatch(to));
        }
        let own = socket.bound.ip();
        let dst = SocketAddr::new(Self::meant_by(to.ip(), Some(own)), to.port());
        if dst.port() == 0 {
            return Err(UdpSendError::InvalidDestination(dst));
        }
        let ip = dst.ip();
        match self.kind(ip) {
            _ if self.is_local(ip) => Ok(dst),
            Kind::Broadcast if !socket.options.broadcast => {
                Err(UdpSendError::BroadcastNotPermitted(ip))
            }
            Kind::Broadcast | Kind::Multicast => Ok(dst),
            Kind::Host if self.is_routed(ip) => Ok(dst),
            Kind::Host => Err(UdpSendError::NetworkUnreachable(ip)),
            _ => Err(UdpSendError::InvalidDestination(dst)),
        }
    }

    /// The source of a datagram to `dst`.
    fn udp_origin(
        &self,
        socket: &Socket,
        send: &UdpSend,
        dst: SocketAddr,
    ) -> Result<SocketAddr, UdpSendError> {
        let connected = socket.connected.map(|tuple| tuple.local_ip);
        let ip = match send.from.map(|from| from.to_canonical()) {
            Some(from) if !self.is_local(from) || from.is_ipv4() != dst.is_ipv4() => {
                return Err(UdpSendError::InvalidSource(from));
            }
            Some(from) => from,
            None => connected
                .filter(|ip| ip.is_ipv4() == dst.is_ipv4() && send.to.is_none())
                .or_else(|| self.udp_source(socket, dst.ip()))
                .filter(|ip| ip.is_ipv4() == dst.is_ipv4())
                .ok_or(UdpSendError::NetworkUnreachable(dst.ip()))?,
        };
        if Kind::of(ip) == Kind::Loopback && !self.is_local(dst.ip()) {
            // RFC 1122 3.2.1.3 (g): it must not appear outside of a host.
            return Err(UdpSendError::InvalidDestination(dst));
        }
        Ok(SocketAddr::new(ip, socket.bound.port()))
    }

    /// The largest packet to `destination`, if a router has reported it, about a datagram or about
    /// a segment.
    fn udp_path_mtu(&self, destination: IpAddr, now: Instant) -> Option<usize> {
        let reports = [&self.udp.paths, &self.paths];
        let known = reports
            .iter()
            .filter_map(|paths| paths.mtu(destination, now));
        known.min().map(|mtu| mtu as usize)
    }

    /// The largest payload of a datagram that reaches the peer of a connected socket without
    /// fragments, as far as routers have reported (`IP_MTU`, less the headers).
    #[must_use]
    pub fn udp_max_payload(&self, now: Instant, id: UdpId) -> Option<usize> {
        let socket = &self.udp.held(id)?.socket;
        let peer = socket.connected?.remote();
        let known = self.udp_path_mtu(peer.ip(), now);
        let mtu = match self.is_local(peer.ip()) {
            true => LOOPBACK_MTU,
            false => known.unwrap_or(self.config.mtu).min(self.config.mtu),
        };
        Some(mtu.saturating_sub(ip_len(peer) + udp::HEADER_LEN))
    }

    /// Writes a packet as [`poll_transmit`](Self::poll_transmit) does, but only of one socket.
    /// Datagrams of others remain for `poll_transmit`, and so do those that exceed the socket's
    /// share of this round while others wait.
    #[must_use]
    pub fn poll_transmit_of_socket(&mut self, now: Instant, id: UdpId, out: &mut Transmit) -> bool {
        let marked = mark(id.index);
        if self.udp.held(id).is_none() {
            return false;
        }
        while self.may_send_now(marked) {
            if !self.transmit_datagram(now, marked, out) {
                self.end_turn(marked);
                return false;
            }
            if !self.is_to_ourselves(out) {
                count(&mut self.counters.packets_sent);
                return true;
            }
            self.deliver_to_ourselves(out);
        }
        false
    }

    /// Writes the next packet of a socket, given by its index in the list of those that send, into
    /// `out`, if it has one.
    pub(in crate::host) fn transmit_datagram(
        &mut self,
        _now: Instant,
        marked: u32,
        out: &mut Transmit,
    ) -> bool {
        let Some(index) = unmark(marked) else {
            return false;
        };
        loop {
            let Some(Held { socket, .. }) = self.udp.sockets.at_mut(index) else {
                return false;
            };
            let Some((datagram, progress)) = socket.outgoing.first() else {
                return false;
            };
            let (loops, leaves) = (datagram.loops, datagram.hop_limit > 0);
            let mut tools = Tools {
                offload: self.config.offload,
                idents: &mut self.udp.idents,
            };
            if build::next_packet(datagram, progress, &mut tools, out) {
                socket.outgoing.pop();
            }
            self.charge_turn(marked, out.len());
            self.settle_socket(index);
            if loops {
                self.deliver_to_ourselves(out);
            }
            if leaves {
                return true;
            }
        }
    }
}

//! Input: from a datagram to its sockets, and from there to the application.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use millstream_wire::{ip, membership, udp};

use crate::error::{DropReason, UdpError};
use crate::event::Readiness;
use crate::host::input::cut;
use crate::host::{RxChecksum, Stack};
use crate::id::UdpId;
use crate::ip::address::{Kind, Source};
use crate::ip::datagram::Datagram;
use crate::memory::Pressure;
use crate::time::Instant;
use crate::tuple::FourTuple;
use crate::udp::receive::UdpDatagram;

/// Bytes that a socket may hold from three quarters of the stack's memory on.
const FLOOR: usize = 16 << 10;

/// What the IP header says about a datagram.
#[derive(Clone, Copy, Debug)]
struct Received {
    tuple: FourTuple,
    tos: u8,
    hop_limit: Option<u8>,
    /// Bytes of memory that the payload keeps alive.
    pinned: usize,
}

impl Stack {
    /// Takes the oldest datagram of a socket. A failure is reported once, before the datagrams.
    ///
    /// # Errors
    ///
    /// The failure that the network reported.
    pub fn udp_recv(&mut self, id: UdpId) -> Result<Option<UdpDatagram>, UdpError> {
        let Some(held) = self.udp.held_mut(id) else {
            return Ok(None);
        };
        if let Some(error) = held.socket.error.take() {
            return Err(error);
        }
        let datagram = held.socket.received.pop();
        if datagram.is_some() {
            self.settle_socket(id.index);
        }
        Ok(datagram)
    }

    /// The oldest datagram of a socket, which remains to be read.
    ///
    /// # Errors
    ///
    /// The failure that the network reported.
    pub fn udp_peek(&mut self, id: UdpId) -> Result<Option<&UdpDatagram>, UdpError> {
        let Some(held) = self.udp.held_mut(id) else {
            return Ok(None);
        };
        match held.socket.error.take() {
            Some(error) => Err(error),
            None => Ok(held.socket.received.first()),
        }
    }

    /// The failure that the network reported, once (`SO_ERROR`).
    pub fn udp_take_error(&mut self, id: UdpId) -> Option<UdpError> {
        self.udp.held_mut(id)?.socket.error.take()
    }

    /// Takes a packet whose addresses are not those of a packet between two hosts. It may be for a
    /// group; otherwise it is dropped for the given reason.
    pub(in crate::host) fn take_group_packet(
        &mut self,
        now: Instant,
        arrived: Instant,
        (packet, checksum): (Bytes, RxChecksum),
        from: Source,
        reason: DropReason,
    ) {
        let Ok(ip) = ip::Packet::parse(&packet) else {
            return;
        };
        let (src, dst) = (ip.src(), ip.dst());
        let known = match (src, ip.protocol()) {
            (_, ip::UDP) | (IpAddr::V4(_), membership::IGMP) => true,
            (IpAddr::V6(_), ip::ICMPV6) => membership::is_query_v6(ip.payload()),
            _ => false,
        };
        if !known || !self.is_group(dst) || !self.may_send_to_groups(src, from) {
            self.counters.count_drop(reason);
            return;
        }
        let (datagram, checksum) = match ip.fragment() {
            Some(fragment) => match self.reassemble(now, arrived, &ip, &fragment) {
                Some(datagram) => (datagram, RxChecksum::Unverified),
                None => return,
            },
            None => {
                let datagram = Datagram {
                    arrived,
                    src,
                    dst,
                    protocol: ip.protocol(),
                    ecn: ip.ecn(),
                    body: ip.payload_range(),
                    packet,
                };
                (datagram, checksum)
            }
        };
        if datagram.protocol != ip::UDP {
            // Each share reports the groups of its own sockets.
            self.copy_to_others(&datagram, checksum);
        }
        self.take_datagram(now, datagram, checksum);
    }

    /// Whether `ip` denotes many hosts.
    pub(crate) fn is_group(&self, ip: IpAddr) -> bool {
        matches!(self.kind(ip), Kind::Multicast | Kind::Broadcast)
    }

    /// Whether a packet to a group may come from `src`: a single host other than this one or, as
    /// from hosts that have no address yet, the unspecified address.
    fn may_send_to_groups(&self, src: IpAddr, from: Source) -> bool {
        let is_host = match self.kind(src) {
            Kind::Host => !self.is_local(src),
            Kind::Unspecified => src.is_ipv4(),
            _ => false,
        };
        from == Source::Ourselves || is_host
    }

    /// Checks a UDP datagram and passes it to its sockets.
    pub(in crate::host) fn on_udp(
        &mut self,
        now: Instant,
        datagram: Datagram,
        checksum: RxChecksum,
    ) {
        let (src, dst) = (datagram.src, datagram.dst);
        let Ok(view) = udp::View::parse(datagram.payload()) else {
            self.counters.count_drop(DropReason::MalformedUdp);
            return;
        };
        if checksum == RxChecksum::Unverified && !view.checksum_ok(src, dst) {
            self.counters.count_drop(DropReason::Checksum);
            return;
        }
        let tuple = FourTuple {
            local_ip: dst,
            remote_ip: src,
            local_port: view.dst_port(),
            remote_port: view.src_port(),
        };
        let payload_len = view.payload().len();
        let owner = self.sharing.port_owner(tuple.local_port);
        let Some(datagram) = self.keep_for(owner, datagram, RxChecksum::Trusted) else {
            return;
        };
        if self.is_local(dst) {
            match self.udp.table.find(&tuple) {
                Some(index) => {
                    let (received, payload) = self.take_apart(tuple, datagram, payload_len);
                    self.deliver(index, received, payload);
                }
                None => self.refuse_datagram(now, &datagram),
            }
            return;
        }
        let receivers = self.members(&tuple);
        if receivers.is_empty() {
            self.counters.count_drop(DropReason::NoMember);
            return;
        }
        let (received, payload) = self.take_apart(tuple, datagram, payload_len);
        for index in receivers {
            self.deliver(index, received, payload.clone());
        }
    }

    /// The sockets that receive a datagram to a group or a broadcast address.
    fn members(&self, tuple: &FourTuple) -> Vec<u32> {
        let group = tuple.local_ip;
        let is_multicast = Kind::of(group) == Kind::Multicast;
        if is_multicast && !self.udp.groups.is_member(group) {
            return Vec::new();
        }
        let accepts = |index: &u32| {
            let held = self.udp.sockets.at(*index);
            held.is_some_and(|held| !is_multicast || held.socket.accepts_group(group))
        };
        self.udp.table.all(tuple).filter(accepts).collect()
    }

    /// The payload of a datagram, and what its headers say.
    fn take_apart(
        &self,
        tuple: FourTuple,
        datagram: Datagram,
        payload_len: usize,
    ) -> (Received, Bytes) {
        let is_whole = datagram.body.start > 0;
        let header = ip::Packet::parse_truncated(&datagram.packet)
            .ok()
            .filter(|_| is_whole);
        let pinned = match self.config.receive_block {
            block if block > 0 && is_whole => block,
            _ => datagram.packet.len(),
        };
        let received = Received {
            tuple,
            tos: header.map_or(datagram.ecn as u8, |header| header.tos()),
            hop_limit: header.map(|header| header.hop_limit()),
            pinned,
        };
        let start = datagram.body.start.saturating_add(udp::HEADER_LEN);
        let payload = cut(datagram.packet, start..start.saturating_add(payload_len));
        (received, payload)
    }

    /// Appends a datagram to the queue of a socket, if there is room.
    fn deliver(&mut self, index: u32, received: Received, payload: Bytes) {
        let pressure = self.memory.pressure();
        let Some(held) = self.udp.sockets.at_mut(index) else {
            return;
        };
        let socket = &mut held.socket;
        let tuple = received.tuple;
        let datagram = UdpDatagram {
            payload,
            from: socket.seen(tuple.remote()),
            to: socket.seen(SocketAddr::new(tuple.local_ip, 0)).ip(),
            tos: received.tos,
            hop_limit: received.hop_limit,
        };
        let (limit, reason) = match pressure {
            Pressure::None => (socket.options.receive_buffer, DropReason::UdpQueueFull),
            Pressure::Moderate => (
                socket.options.receive_buffer.min(FLOOR),
                DropReason::OutOfMemory,
            ),
            // One datagram waits at the most.
            Pressure::Severe => (0, DropReason::OutOfMemory),
            Pressure::Critical => {
                self.counters.count_drop(DropReason::OutOfMemory);
                return;
            }
        };
        if !socket.received.push(datagram, received.pinned, limit) {
            self.counters.count_drop(reason);
            return;
        }
        socket.readiness |= Readiness::READABLE;
        self.settle_socket(index);
    }
}

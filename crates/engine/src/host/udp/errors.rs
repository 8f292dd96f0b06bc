//! ICMP errors about datagrams of this host.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::net::SocketAddr;

use millstream_wire::icmp::{ErrorKind, Quoted, Unreachable};

use crate::config::Fragmentation;
use crate::error::{DropReason, UdpError};
use crate::event::Readiness;
use crate::host::{RxChecksum, Stack};
use crate::ip::datagram::Datagram;
use crate::time::Instant;
use crate::tuple::FourTuple;

/// The least path MTU that a router's report can set (Linux's `min_pmtu`; RFC 8200 5).
const MIN_MTU_V4: u32 = 552;
const MIN_MTU_V6: u32 = 1280;

impl Stack {
    /// Takes an ICMP error about a UDP datagram that this host is said to have sent. Anyone can
    /// forge it who knows the ports: it counts only if there is such a socket, and an error is
    /// reported to a connected socket only (RFC 1122 4.1.3.3).
    pub(crate) fn on_udp_error(
        &mut self,
        now: Instant,
        kind: ErrorKind,
        quoted: &Quoted,
        datagram: Datagram,
    ) {
        let tuple = FourTuple::new(
            SocketAddr::new(quoted.src, quoted.src_port),
            SocketAddr::new(quoted.dst, quoted.dst_port),
        );
        let owner = self.sharing.port_owner(tuple.local_port);
        if self
            .keep_for(owner, datagram, RxChecksum::Unverified)
            .is_none()
        {
            return;
        }
        let Some(index) = self.udp.table.find(&tuple) else {
            self.counters.count_drop(DropReason::IcmpUnrelated);
            return;
        };
        if let ErrorKind::PacketTooBig { mtu } = kind {
            self.lower_datagram_mtu(now, &tuple, mtu);
        }
        let Some(held) = self.udp.sockets.at_mut(index) else {
            return;
        };
        let socket = &mut held.socket;
        let is_reported = socket.connected.is_some() && !socket.orphan;
        if let Some(error) = reported(kind, socket.options.fragmentation)
            && is_reported
        {
            socket.error = Some(error);
            socket.readiness |= Readiness::READABLE | Readiness::WRITABLE;
            self.settle_socket(index);
        }
    }

    fn lower_datagram_mtu(&mut self, now: Instant, tuple: &FourTuple, mtu: u32) {
        let destination = tuple.remote_ip;
        let mtu = match destination.is_ipv4() {
            true => mtu.max(MIN_MTU_V4),
            false if mtu < MIN_MTU_V6 => return,
            false => mtu,
        };
        let known = self.udp.paths.mtu(destination, now);
        let known = known.map_or(self.config.mtu, |known| known as usize);
        if (mtu as usize) < known {
            self.udp.paths.lower(destination, mtu, now);
        }
    }
}

/// The failure that a connected socket reports for an ICMP error; `None` if it is transient. The
/// choice is Linux's (`icmp_err_convert`, `icmpv6_err_convert`).
fn reported(kind: ErrorKind, fragmentation: Fragmentation) -> Option<UdpError> {
    match kind {
        ErrorKind::PacketTooBig { .. } => {
            (fragmentation != Fragmentation::Routers).then_some(UdpError::TooLarge)
        }
        ErrorKind::ParameterProblem { .. } => Some(UdpError::Protocol),
        ErrorKind::Unreachable(reason) => match reason {
            Unreachable::Port => Some(UdpError::Refused),
            Unreachable::Protocol => Some(UdpError::ProtocolUnavailable),
            Unreachable::NetworkUnknown | Unreachable::NetworkProhibited => {
                Some(UdpError::NetworkUnreachable)
            }
            Unreachable::HostUnknown
            | Unreachable::SourceIsolated
            | Unreachable::HostProhibited
            | Unreachable::PrecedenceViolation
            | Unreachable::PrecedenceCutoff => Some(UdpError::HostUnreachable),
            Unreachable::Prohibited | Unreachable::SourcePolicy | Unreachable::RejectRoute => {
                Some(UdpError::PermissionDenied)
            }
            _ => None,
        },
        _ => None,
    }
}

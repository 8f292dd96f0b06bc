//! ICMP: answers echo requests, passes errors to their connections, and sends errors about what
//! this host does not support: UDP ports, protocols, and features requested by IPv6 headers.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::net::{IpAddr, SocketAddr};

use arrayvec::ArrayVec;
use bytes::Bytes;
use millstream_wire::icmp::{self, ErrorKind, Message, Quoted, Unreachable};
use millstream_wire::{ip, ipv6, membership};

use super::{RxChecksum, Stack};
use crate::error::DropReason;
use crate::ip::address::Source;
use crate::ip::datagram::Datagram;
use crate::ip::fields::IpFields;
use crate::table::place::Place;
use crate::time::Instant;
use crate::tuple::FourTuple;

/// Length of an ICMP header in bytes.
const ICMP_HEADER: usize = 8;

/// The protocol number that means that no header follows (RFC 8200 4.7).
const NO_NEXT_HEADER: u8 = 59;

/// Code of a parameter problem: unknown next header (RFC 4443 3.4).
const UNKNOWN_NEXT_HEADER: u8 = 1;

/// The kind of an outgoing message: errors have a separate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outgoing {
    Reply,
    Error,
}

impl Stack {
    /// Processes an ICMP or ICMPv6 message for this host.
    pub(crate) fn on_icmp(&mut self, now: Instant, datagram: Datagram) {
        let body = datagram.packet.slice(datagram.body.clone());
        let message = match (datagram.src, datagram.dst, datagram.protocol) {
            (IpAddr::V4(_), IpAddr::V4(_), ip::ICMP) => Message::parse_v4(&body),
            (IpAddr::V6(src), IpAddr::V6(dst), ip::ICMPV6) => Message::parse_v6(src, dst, &body),
            _ => {
                // In the other address family its protocol number has no special meaning.
                self.refuse_protocol(now, &datagram);
                return;
            }
        };
        let Ok(message) = message else {
            self.counters.count_drop(DropReason::MalformedIcmp);
            return;
        };
        let (src, dst) = (datagram.src, datagram.dst);
        match message {
            Message::EchoRequest { .. } if self.is_for_another(dst) => {}
            Message::EchoRequest { ident, seq, .. } => {
                let data = body.slice(ICMP_HEADER..);
                self.send_icmp(now, Outgoing::Reply, (dst, src), data, |header, data| {
                    icmp::emit_echo_reply(header, dst, src, ident, seq, data);
                });
            }
            Message::Error(error) => self.on_icmp_error(now, &error, datagram),
            Message::Other { .. } if membership::is_query_v6(&body) && self.is_group(dst) => {
                self.on_membership(now, &datagram);
            }
            Message::EchoReply { .. } | Message::Other { .. } => {
                self.counters.count_drop(DropReason::IcmpUnrelated);
            }
        }
    }

    /// RFC 9293 MUST-54.
    fn on_icmp_error(&mut self, now: Instant, error: &icmp::Error<'_>, datagram: Datagram) {
        let quoted = match Quoted::parse(error.quoted) {
            Ok(quoted) if quoted.protocol == ip::TCP => quoted,
            Ok(quoted) if quoted.protocol == ip::UDP => {
                self.on_udp_error(now, error.kind, &quoted, datagram);
                return;
            }
            _ => {
                self.counters.count_drop(DropReason::IcmpUnrelated);
                return;
            }
        };
        // The quoted packet was sent by this host: its source is the local end.
        let tuple = FourTuple::new(
            SocketAddr::new(quoted.src, quoted.src_port),
            SocketAddr::new(quoted.dst, quoted.dst_port),
        );
        let Some(Place::Connection(index)) = self.demux.find(&tuple) else {
            if self
                .keep_own(&tuple, datagram, RxChecksum::Unverified)
                .is_some()
            {
                self.counters.count_drop(DropReason::IcmpUnrelated);
            }
            return;
        };
        self.with_connection(now, index, |tcb, cx| {
            tcb.on_icmp_error(&error.kind, quoted.seq, cx)
        });
    }

    /// Tells the sender of a UDP datagram that no socket has the port (RFC 1122 4.1.3.1).
    pub(crate) fn refuse_datagram(&mut self, now: Instant, datagram: &Datagram) {
        self.tell_sender(now, datagram, ErrorKind::Unreachable(Unreachable::Port));
    }

    /// Tells the sender of a datagram that its protocol is not supported (RFC 1122 3.2.2.1,
    /// RFC 8200 4).
    pub(crate) fn refuse_protocol(&mut self, now: Instant, datagram: &Datagram) {
        if self.is_for_another(datagram.dst) {
            return;
        }
        let kind = match ip::Packet::parse(&datagram.packet) {
            Ok(ip::Packet::V6(view)) if view.protocol() != NO_NEXT_HEADER => {
                ErrorKind::ParameterProblem {
                    code: UNKNOWN_NEXT_HEADER,
                    pointer: view.protocol_offset() as u32,
                }
            }
            Ok(ip::Packet::V4(_)) => ErrorKind::Unreachable(Unreachable::Protocol),
            // RFC 8200 4.7: no header follows, which is not an error. Or the datagram was
            // reassembled from fragments: there is no single packet to quote.
            Ok(ip::Packet::V6(_)) | Err(_) => {
                self.counters.count_drop(DropReason::UnknownProtocol);
                return;
            }
        };
        self.tell_sender(now, datagram, kind);
    }

    /// Counts a packet that does not parse, and sends the error that RFC 8200 requires.
    pub(crate) fn refuse_malformed(&mut self, now: Instant, packet: &Bytes, from: Source) {
        let Some(problem) = ipv6::Problem::find(packet) else {
            self.counters.count_drop(DropReason::MalformedIp);
            return;
        };
        let (src, dst) = (problem.src.into(), problem.dst.into());
        if let Err(reason) = self.check_addresses(src, dst, from) {
            self.counters.count_drop(reason);
        } else if !self.is_for_another(dst) {
            self.counters.count_drop(DropReason::UnknownProtocol);
            self.send_error(now, (dst, src), problem.kind, packet);
        }
    }

    /// Counts a datagram that this host does not accept, and tells its sender.
    fn tell_sender(&mut self, now: Instant, datagram: &Datagram, kind: ErrorKind) {
        self.counters.count_drop(DropReason::UnknownProtocol);
        if datagram.body.start == 0 {
            // Reassembled from fragments: there is no single packet to quote.
            return;
        }
        let ends = (datagram.dst, datagram.src);
        self.send_error(now, ends, kind, &datagram.packet);
    }

    /// Sends an error about `packet`, which came from the second of `ends` to the first.
    fn send_error(
        &mut self,
        now: Instant,
        ends: (IpAddr, IpAddr),
        kind: ErrorKind,
        packet: &Bytes,
    ) {
        let most = if ends.0.is_ipv4() {
            icmp::MAX_QUOTED_V4
        } else {
            icmp::MAX_QUOTED_V6
        };
        let quoted = packet.slice(..packet.len().min(most));
        self.send_icmp(now, Outgoing::Error, ends, quoted, |header, quoted| {
            // All kinds of messages sent here exist in the family.
            let _ = icmp::emit_error(header, ends.0, ends.1, kind, quoted);
        });
    }

    /// Sends an ICMP message from `src` to `dst`: `write` fills the 8-byte header for the payload.
    fn send_icmp(
        &mut self,
        now: Instant,
        what: Outgoing,
        (src, dst): (IpAddr, IpAddr),
        payload: Bytes,
        write: impl FnOnce(&mut [u8; ICMP_HEADER], &[u8]),
    ) {
        let ip_len = if src.is_ipv4() { 20 } else { 40 };
        let message_len = payload.len().saturating_add(ICMP_HEADER);
        if message_len.saturating_add(ip_len) > self.config.mtu {
            // The reply to a fragmented request would have to be fragmented too.
            self.counters.count_drop(DropReason::TooLarge);
            return;
        }
        let (limits, rate) = (&mut self.icmp_limits, self.config.icmp_rate);
        let allowed = match what {
            Outgoing::Reply => limits.allow(now, rate),
            Outgoing::Error => limits.allow_error(now, rate, dst, self.isn.key()),
        };
        if !allowed {
            self.counters.count_drop(DropReason::IcmpRateLimited);
            return;
        }
        let ip = IpFields {
            src,
            dst,
            tos: 0,
            hop_limit: self.config.socket.hop_limit,
            ident: 0,
        };
        let protocol = if src.is_ipv4() { ip::ICMP } else { ip::ICMPV6 };
        let ip_header = ip.header(protocol, message_len);
        let mut header = ArrayVec::new();
        for _ in 0..ip_header.len() {
            header.push(0);
        }
        ip_header.emit(&mut header);
        let mut message = [0; ICMP_HEADER];
        write(&mut message, &payload);
        header.extend(message);
        self.replies
            .packet(header, Some(payload), &mut self.counters);
    }
}

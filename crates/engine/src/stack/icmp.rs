//! ICMP: echo answered, errors handed to the connection they are about, port unreachable sent for UDP.

use std::net::{IpAddr, SocketAddr};

use arrayvec::ArrayVec;
use bytes::Bytes;
use millstream_wire::icmp::{self, Message, Quoted};
use millstream_wire::ip;

use super::demux::Place;
use super::{Datagram, RxChecksum, Stack};
use crate::emit::IpFields;
use crate::error::DropReason;
use crate::time::Instant;
use crate::tuple::FourTuple;

/// Bytes of an ICMP header.
const ICMP_HEADER: usize = 8;

/// A bucket of tokens: one a message, refilled at the configured rate.
#[derive(Debug)]
pub(super) struct IcmpLimiter {
    tokens: u64,
    refilled: Instant,
}

impl IcmpLimiter {
    pub(super) fn new(rate: u32) -> Self {
        Self {
            tokens: u64::from(rate),
            refilled: Instant::ZERO,
        }
    }

    fn take(&mut self, now: Instant, rate: u32) -> bool {
        let rate = u64::from(rate);
        let elapsed = (now - self.refilled).as_nanos().min(1_000_000_000) as u64;
        let fresh = elapsed * rate / 1_000_000_000;
        if fresh > 0 {
            self.tokens = (self.tokens + fresh).min(rate);
            self.refilled = now;
        }
        if self.tokens == 0 {
            return false;
        }
        self.tokens -= 1;
        true
    }
}

impl Stack {
    /// An ICMP or ICMPv6 message for us.
    pub(super) fn on_icmp(&mut self, now: Instant, datagram: Datagram) {
        let body = datagram.packet.slice(datagram.body.clone());
        let message = match (datagram.src, datagram.dst, datagram.protocol) {
            (IpAddr::V4(_), IpAddr::V4(_), ip::ICMP) => Message::parse_v4(&body),
            (IpAddr::V6(src), IpAddr::V6(dst), ip::ICMPV6) => Message::parse_v6(src, dst, &body),
            _ => {
                self.counters.count_drop(DropReason::UnknownProtocol);
                return;
            }
        };
        let Ok(message) = message else {
            self.counters.count_drop(DropReason::MalformedIcmp);
            return;
        };
        let (src, dst) = (datagram.src, datagram.dst);
        match message {
            Message::EchoRequest { .. } if !self.is_local(dst) => {
                self.counters.count_drop(DropReason::NotForUs);
            }
            Message::EchoRequest { ident, seq, .. } => {
                let data = body.slice(ICMP_HEADER..);
                self.send_icmp(now, dst, src, data, |header, data| {
                    icmp::emit_echo_reply(header, dst, src, ident, seq, data);
                });
            }
            Message::Error(error) => self.on_icmp_error(now, &error, datagram),
            Message::EchoReply { .. } | Message::Other { .. } => {
                self.counters.count_drop(DropReason::IcmpUnrelated);
            }
        }
    }

    /// RFC 9293 MUST-54.
    fn on_icmp_error(&mut self, now: Instant, error: &icmp::Error<'_>, datagram: Datagram) {
        let Some(quoted) = Quoted::parse(error.quoted)
            .ok()
            .filter(|q| q.protocol == ip::TCP)
        else {
            self.counters.count_drop(DropReason::IcmpUnrelated);
            return;
        };
        // What we sent: its source is our end.
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

    /// Tells the sender of a UDP datagram that nobody listens there (RFC 1122 4.1.3.1).
    pub(super) fn refuse_datagram(&mut self, now: Instant, datagram: &Datagram) {
        self.counters.count_drop(DropReason::UnknownProtocol);
        let Datagram {
            src,
            dst,
            ref packet,
            ref body,
            ..
        } = *datagram;
        if body.start == 0 {
            // Put together from fragments: there is no one packet to quote.
            return;
        }
        let most = if dst.is_ipv4() {
            icmp::MAX_QUOTED_V4
        } else {
            icmp::MAX_QUOTED_V6
        };
        let quoted = packet.slice(..packet.len().min(most));
        self.send_icmp(now, dst, src, quoted, |header, quoted| {
            let kind = icmp::ErrorKind::Unreachable(icmp::Unreachable::Port);
            // Both families have this message.
            let _ = icmp::emit_error(header, dst, src, kind, quoted);
        });
    }

    /// Sends an ICMP message of ours from `src` to `dst`: `write` fills the 8-byte header for the payload.
    fn send_icmp(
        &mut self,
        now: Instant,
        src: IpAddr,
        dst: IpAddr,
        payload: Bytes,
        write: impl FnOnce(&mut [u8; ICMP_HEADER], &[u8]),
    ) {
        let ip_len = if src.is_ipv4() { 20 } else { 40 };
        if ip_len + ICMP_HEADER + payload.len() > self.config.mtu {
            // The echo of a fragmented request would have to be fragmented too.
            self.counters.count_drop(DropReason::TooLarge);
            return;
        }
        if !self.icmp_limiter.take(now, self.config.icmp_rate) {
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
        let ip_header = ip.header(protocol, ICMP_HEADER + payload.len());
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

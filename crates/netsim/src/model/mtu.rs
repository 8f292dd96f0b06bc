//! Packets that are too large for the link.

use std::net::IpAddr;

use bytes::Bytes;
use millstream_wire::icmp::{self, ErrorKind, Message};
use millstream_wire::ip;

/// How a link treats packets that exceed its MTU. It does not fragment: TCP sends its packets with
/// fragmentation forbidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MtuLimit {
    /// Drops packets larger than this many bytes without a message.
    BlackHole(usize),
    /// Drops them and tells the sender the size that fits: "fragmentation needed" (RFC 1191) or
    /// "packet too big" (RFC 8201). The source address of the message is the packet's destination.
    Icmp(usize),
}

impl MtuLimit {
    /// The size of the largest packet that the link carries, in bytes.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::BlackHole(bytes) | Self::Icmp(bytes) => bytes,
        }
    }

    /// The message to the sender of a packet that is too large.
    pub(super) fn reply_to(self, packet: &[u8]) -> Option<Bytes> {
        match self {
            Self::BlackHole(_) => None,
            Self::Icmp(mtu) => packet_too_big(packet, u32::try_from(mtu).unwrap_or(u32::MAX)),
        }
    }
}

fn packet_too_big(packet: &[u8], mtu: u32) -> Option<Bytes> {
    let view = ip::Packet::parse(packet).ok()?;
    // RFC 1122 3.2.2: no message about an ICMP error, a fragment other than the first, or a
    // multicast packet.
    let later_fragment = view.fragment().is_some_and(|piece| piece.offset > 0);
    if later_fragment || view.dst().is_multicast() || is_icmp_error(&view) {
        return None;
    }
    let (src, dst) = (view.dst(), view.src());
    let (protocol, most) = match dst {
        IpAddr::V4(_) => (ip::ICMP, icmp::MAX_QUOTED_V4),
        IpAddr::V6(_) => (ip::ICMPV6, icmp::MAX_QUOTED_V6),
    };
    let quoted = &packet[..packet.len().min(most)];
    let mut message = [0; icmp::HEADER_LEN];
    if !icmp::emit_error(
        &mut message,
        src,
        dst,
        ErrorKind::PacketTooBig { mtu },
        quoted,
    ) {
        return None;
    }
    let mut header = ip::Header::new(src, dst, protocol);
    header.payload_len = message.len() + quoted.len();
    let mut reply = vec![0; header.len()];
    header.emit(&mut reply);
    reply.extend_from_slice(&message);
    reply.extend_from_slice(quoted);
    Some(reply.into())
}

fn is_icmp_error(view: &ip::Packet<'_>) -> bool {
    let message = match (view.src(), view.dst(), view.protocol()) {
        (IpAddr::V4(_), IpAddr::V4(_), ip::ICMP) => Message::parse_v4(view.payload()),
        (IpAddr::V6(src), IpAddr::V6(dst), ip::ICMPV6) => {
            Message::parse_v6(src, dst, view.payload())
        }
        _ => return false,
    };
    matches!(message, Ok(Message::Error(_)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Addresses, V4, V6, packet_with_tos};
    use super::*;

    fn check_reply((src, dst): Addresses, len: usize) {
        let packet = packet_with_tos((src, dst), len, 0);
        let reply = MtuLimit::Icmp(1400).reply_to(&packet).expect("is told");
        let view = ip::Packet::parse(&reply).expect("valid");
        assert_eq!((view.src(), view.dst()), (dst, src));
        let message = match (view.src(), view.dst()) {
            (IpAddr::V4(_), _) => Message::parse_v4(view.payload()),
            (IpAddr::V6(src), IpAddr::V6(dst)) => Message::parse_v6(src, dst, view.payload()),
            _ => unreachable!("one family"),
        };
        let Ok(Message::Error(error)) = message else {
            panic!("{message:?} is no error message");
        };
        assert_eq!(error.kind, ErrorKind::PacketTooBig { mtu: 1400 });
        assert!(packet.starts_with(error.quoted));
        assert!(error.quoted.len() >= 28, "the quotation contains the ports");
        assert!(
            MtuLimit::Icmp(1400).reply_to(&reply).is_none(),
            "errors get no replies"
        );
    }

    #[test]
    fn the_sender_learns_the_size_that_fits() {
        check_reply(V4, 1500);
        check_reply(V6, 1500);
        // Fewer bytes than the largest permitted quotation.
        check_reply(V4, 500);
    }

    #[test]
    fn a_black_hole_sends_no_message_and_invalid_packets_get_none() {
        let packet = packet_with_tos(V4, 1500, 0);
        assert!(MtuLimit::BlackHole(1400).reply_to(&packet).is_none());
        for noise in [&[][..], &[0x45; 1500], &packet[..100]] {
            assert!(MtuLimit::Icmp(10).reply_to(noise).is_none());
        }
        let to_all = (V4.0, IpAddr::from([224, 0, 0, 1]));
        let packet = packet_with_tos(to_all, 1500, 0);
        assert!(MtuLimit::Icmp(1400).reply_to(&packet).is_none());
    }
}

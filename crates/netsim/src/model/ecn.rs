//! Marking of packets that met congestion (RFC 3168).

use bytes::{Bytes, BytesMut};
use millstream_wire::checksum;
use millstream_wire::ip::Ecn;

/// Sets "congestion experienced" in a packet with an ECN-capable transport. Returns whether the
/// packet was changed: it is not if the transport is not ECN-capable or if the packet was marked
/// before.
pub(super) fn mark(packet: &mut Bytes) -> bool {
    let &[first, second, ..] = &packet[..] else {
        return false;
    };
    let codepoint = match first >> 4 {
        4 => Ecn::from_tos(second),
        6 => Ecn::from_tos(second >> 4),
        _ => return false,
    };
    if !matches!(codepoint, Ecn::Ect0 | Ecn::Ect1) {
        return false;
    }
    let mut bytes = BytesMut::from(std::mem::take(packet));
    if first >> 4 == 4 {
        mark_v4(&mut bytes);
    } else {
        bytes[1] = second | (Ecn::Ce as u8) << 4;
    }
    *packet = bytes.freeze();
    true
}

fn mark_v4(header: &mut [u8]) {
    let before = u16::from_be_bytes([header[0], header[1]]);
    header[1] = Ecn::Ce.apply(header[1]);
    let after = u16::from_be_bytes([header[0], header[1]]);
    if let Some(field) = header.get_mut(10..12) {
        let sum = u16::from_be_bytes([field[0], field[1]]);
        let sum = checksum::update(sum, before, after);
        field.copy_from_slice(&sum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use millstream_wire::ip::Packet;

    use super::super::testing::{V4, V6, packet_with_tos};
    use super::*;

    #[test]
    fn capable_packets_are_marked_and_stay_valid() {
        for addresses in [V4, V6] {
            for codepoint in [Ecn::Ect0, Ecn::Ect1] {
                let mut packet = packet_with_tos(addresses, 100, codepoint.apply(0xB8));
                assert!(mark(&mut packet));
                let view = Packet::parse(&packet).expect("the header's checksum is correct");
                assert_eq!(view.ecn(), Ecn::Ce);
                assert_eq!(view.tos(), 0xBB, "the DSCP stays");
            }
        }
    }

    #[test]
    fn other_packets_are_not_changed() {
        for addresses in [V4, V6] {
            for codepoint in [Ecn::NotEct, Ecn::Ce] {
                let sent = packet_with_tos(addresses, 100, codepoint.apply(0));
                let mut packet = sent.clone();
                assert!(!mark(&mut packet));
                assert_eq!(packet, sent);
            }
        }
        for noise in [&[][..], &[0x45], &[0x15, 2]] {
            assert!(!mark(&mut Bytes::copy_from_slice(noise)));
        }
        // The packet ends before the header checksum.
        assert!(mark(&mut Bytes::from_static(&[0x45, 2, 0])));
    }
}

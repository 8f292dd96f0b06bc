//! The fields of IPv4 and IPv6 headers.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use millstream_wire::checksum::{self, Sum};
use millstream_wire::ip::{self, Ecn, Packet};
use millstream_wire::tcp::View;
use millstream_wire::{Ipv4View, Ipv6View};

use super::{Field, Scales, tcp};

/// Decodes the IP header and its payload.
pub(super) fn decode(bytes: &[u8], scales: &mut Scales) -> Result<Vec<Field>> {
    let packet = Packet::parse_truncated(bytes)
        .with_context(|| format!("no IP packet in these {} bytes", bytes.len()))?;
    let header = match &packet {
        Packet::V4(view) => ipv4(view, &bytes[..view.header_len()]),
        Packet::V6(view) => ipv6(view),
    };
    Ok(vec![header]
        .into_iter()
        .chain(payload(&packet, scales))
        .collect())
}

fn ipv4(view: &Ipv4View<'_>, header: &[u8]) -> Field {
    let mut sum = Sum::new();
    sum.add(header);
    let verdict = if checksum::is_valid(sum) {
        "correct"
    } else {
        "WRONG"
    };
    let stored = u16::from_be_bytes([header[10], header[11]]);
    let mut fields = vec![
        Field::new("Version", 4, ""),
        Field::new("Header length", view.header_len(), "bytes"),
        dscp(view.tos()),
        ecn(view.tos()),
        Field::new(
            "Total length",
            view.total_len(),
            "bytes of header and payload",
        ),
        Field::new(
            "Identification",
            format!("{:#06x}", view.ident()),
            "shared by the fragments of one packet",
        ),
        Field::new("Don't fragment", u8::from(view.dont_fragment()), ""),
    ];
    fields.push(fragment(view.fragment()));
    fields.extend([
        Field::new(
            "Time to live",
            view.ttl(),
            "routers that may still forward it",
        ),
        protocol("Protocol", view.protocol()),
        Field::new("Header checksum", format!("{stored:#06x}"), verdict),
        Field::new("Source address", view.src(), ""),
        Field::new("Destination address", view.dst(), ""),
    ]);
    if header.len() > 20 {
        fields.push(Field::new(
            "Options",
            super::options::bytes(&header[20..]),
            "",
        ));
    }
    Field::new(
        "Internet Protocol Version 4",
        format!("{} bytes", header.len()),
        "",
    )
    .with(fields)
}

fn ipv6(view: &Ipv6View<'_>) -> Field {
    let fields = vec![
        Field::new("Version", 6, ""),
        dscp(view.traffic_class()),
        ecn(view.traffic_class()),
        Field::new("Flow label", format!("{:#07x}", view.flow_label()), ""),
        Field::new(
            "Payload length",
            view.payload_len() + view.header_len() - 40,
            "bytes behind the fixed header",
        ),
        Field::new("Extension headers", view.header_len() - 40, "bytes"),
        fragment(view.fragment()),
        protocol("Next header", view.protocol()),
        Field::new(
            "Hop limit",
            view.hop_limit(),
            "routers that may still forward it",
        ),
        Field::new("Source address", view.src(), ""),
        Field::new("Destination address", view.dst(), ""),
    ];
    Field::new(
        "Internet Protocol Version 6",
        format!("{} bytes", view.header_len()),
        "",
    )
    .with(fields)
}

fn dscp(tos: u8) -> Field {
    Field::new(
        "Differentiated services",
        format!("{:#04x}", tos >> 2),
        "DSCP, upper six bits of the byte",
    )
}

/// The ECN field (RFC 3168 section 5).
fn ecn(tos: u8) -> Field {
    let meaning = match Ecn::from_tos(tos) {
        Ecn::NotEct => {
            "Not-ECT: the transport does not take part; routers drop to signal congestion"
        }
        Ecn::Ect1 => "ECT(1): ECN-capable transport",
        Ecn::Ect0 => "ECT(0): ECN-capable transport",
        Ecn::Ce => "CE: a router experienced congestion and marked instead of dropping",
    };
    Field::new("ECN", format!("{:02b}", tos & 0b11), meaning)
}

fn fragment(fragment: Option<ip::Fragment>) -> Field {
    match fragment {
        None => Field::new("Fragment", "no", "a whole packet"),
        Some(piece) => Field::new(
            "Fragment",
            format!("offset {}", piece.offset),
            format!(
                "of packet {:#x}, {}",
                piece.id,
                if piece.more {
                    "more follow"
                } else {
                    "the last"
                }
            ),
        ),
    }
}

fn protocol(name: &str, number: u8) -> Field {
    let meaning = match number {
        ip::ICMP => "ICMP",
        ip::TCP => "TCP",
        ip::UDP => "UDP",
        ip::ICMPV6 => "ICMPv6",
        _ => "",
    };
    Field::new(name, number, meaning)
}

fn payload(packet: &Packet<'_>, scales: &mut Scales) -> Vec<Field> {
    let first = packet.fragment().is_none_or(|piece| piece.offset == 0);
    if packet.protocol() != ip::TCP || !first {
        let text = packet.to_string();
        return vec![Field::new(
            "Payload",
            format!("{} bytes", packet.payload_len()),
            text,
        )];
    }
    match View::parse(packet.payload()) {
        Ok(view) => {
            let from = SocketAddr::new(packet.src(), view.src_port());
            let to = SocketAddr::new(packet.dst(), view.dst_port());
            let scale = scales.of(from, to, &view);
            tcp::decode(&view, Some(packet), scale)
        }
        Err(error) => vec![Field::new(
            "Transmission Control Protocol",
            "unreadable",
            error.to_string(),
        )],
    }
}

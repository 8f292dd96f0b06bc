//! The fields of a TCP header (RFC 9293 3.1).

use millstream_wire::WindowScale;
use millstream_wire::ip::Packet;
use millstream_wire::tcp::{Flags, View};

use super::{Field, options};

/// Decodes the header and the data after it. `packet` is the enclosing IP packet; the checksum
/// covers its addresses.
pub(super) fn decode(
    view: &View<'_>,
    packet: Option<&Packet<'_>>,
    scale: Option<WindowScale>,
) -> Vec<Field> {
    let acknowledges = view.flags().contains(Flags::ACK);
    let length = packet.map_or(view.payload().len(), |packet| data_len(packet, view));
    let fields = vec![
        Field::new("Source port", view.src_port(), ""),
        Field::new("Destination port", view.dst_port(), ""),
        Field::new(
            "Sequence number",
            view.seq().raw(),
            sequence_meaning(view, length),
        ),
        Field::new(
            "Acknowledgment number",
            view.ack().raw(),
            if acknowledges {
                "next byte expected"
            } else {
                "ignored: ACK is not set"
            },
        ),
        Field::new(
            "Header length",
            view.header_len(),
            format!("bytes; {} of them options", view.header_len() - 20),
        ),
        Field::new(
            "Reserved",
            format!("{:#x}", view.reserved()),
            "ignored by receivers",
        ),
        flags(view.flags()),
        window(view, scale),
        Field::new(
            "Checksum",
            format!("{:#06x}", view.checksum()),
            checksum(view, packet),
        ),
        Field::new(
            "Urgent pointer",
            view.urgent(),
            if view.flags().contains(Flags::URG) {
                "offset of the urgent data's end"
            } else {
                "ignored: URG is not set"
            },
        ),
    ];
    let header = Field::new(
        "Transmission Control Protocol",
        format!("{} bytes", view.header_len()),
        "",
    );
    let header = header.with(
        fields
            .into_iter()
            .chain(options::decode(view.options_bytes()))
            .collect(),
    );
    vec![header, data(view, length)]
}

/// The length of a segment's data by the IP header: a truncated capture may have fewer bytes.
#[must_use]
pub fn data_len(packet: &Packet<'_>, view: &View<'_>) -> usize {
    packet.payload_len().saturating_sub(view.header_len())
}

fn data(view: &View<'_>, sent: usize) -> Field {
    let captured = view.payload().len();
    let value = if captured < sent {
        format!("{captured} of {sent} bytes captured")
    } else {
        format!("{captured} bytes")
    };
    let shown = options::bytes(&view.payload()[..captured.min(32)]);
    let dots = if captured > 32 { " .." } else { "" };
    Field::new("Data", value, format!("{shown}{dots}"))
}

fn sequence_meaning(view: &View<'_>, data: usize) -> &'static str {
    if view.flags().contains(Flags::SYN) {
        "initial sequence number: that of the SYN itself"
    } else if data == 0 {
        "number of the next byte that the sender sends"
    } else {
        "number of the first byte of the data"
    }
}

fn flags(flags: Flags) -> Field {
    let syn = flags.contains(Flags::SYN);
    let ecn_setup = syn && flags.contains(Flags::ECE);
    let cwr = if ecn_setup && flags.contains(Flags::CWR) {
        "with SYN and ECE: the sender asks for ECN"
    } else {
        "congestion window reduced: the answer to ECE"
    };
    let ece = match (ecn_setup, flags.contains(Flags::ACK)) {
        (true, true) => "with SYN and ACK: the sender agrees to ECN",
        (true, false) => "with SYN and CWR: the sender asks for ECN",
        (false, _) => "ECN echo: a packet arrived marked congestion experienced",
    };
    let bits = [
        (Flags::CWR, "CWR", cwr),
        (Flags::ECE, "ECE", ece),
        (Flags::URG, "URG", "the urgent pointer is valid"),
        (Flags::ACK, "ACK", "the acknowledgment number is valid"),
        (Flags::PSH, "PSH", "hand the data to the application now"),
        (Flags::RST, "RST", "the connection is reset"),
        (
            Flags::SYN,
            "SYN",
            "synchronize: opens the connection and uses one sequence number",
        ),
        (
            Flags::FIN,
            "FIN",
            "the sender sends no more; uses one sequence number",
        ),
    ];
    let set: Vec<_> = bits
        .iter()
        .filter(|(flag, ..)| flags.contains(*flag))
        .map(|(_, name, _)| *name)
        .collect();
    let fields = bits.iter().map(|(flag, name, meaning)| {
        let value = if flags.contains(*flag) {
            "set"
        } else {
            "not set"
        };
        Field::new(*name, format!("{value}, {:#04x}", flag.bits()), *meaning)
    });
    Field::new("Flags", format!("{:#05x}", flags.bits()), set.join(", ")).with(fields.collect())
}

fn window(view: &View<'_>, scale: Option<WindowScale>) -> Field {
    let raw = view.window();
    let field = Field::new(
        "Window",
        raw,
        "bytes the sender has room for, before scaling",
    );
    let (factor, calculated) = if view.flags().contains(Flags::SYN) {
        let plain = Field::new(
            "Calculated window",
            raw,
            "the window of a SYN is never scaled",
        );
        (None, plain)
    } else if let Some(scale) = scale {
        let factor = Field::new(
            "Scaling factor",
            1_u32 << scale.shift(),
            format!("shift count {}", scale.shift()),
        );
        (
            Some(factor),
            Field::new("Calculated window", scale.widen(raw), "bytes"),
        )
    } else {
        let unknown = "the SYNs were not seen: give the shift count by --scale";
        (None, Field::new("Calculated window", "unknown", unknown))
    };
    field.with(factor.into_iter().chain([calculated]).collect())
}

/// Verifies the checksum over pseudo-header and segment, if both are complete.
fn checksum(view: &View<'_>, packet: Option<&Packet<'_>>) -> &'static str {
    let Some(packet) = packet else {
        return "not checked: no IP header, whose addresses, protocol and length are part of the sum";
    };
    if packet.fragment().is_some() {
        return "not checked: a fragment";
    }
    if packet.payload().len() < packet.payload_len() {
        return "not checked: the packet is truncated";
    }
    if view.checksum_ok(packet.src(), packet.dst()) {
        "correct for segment and pseudo-header: addresses, protocol, length"
    } else {
        "WRONG for segment and pseudo-header: addresses, protocol, length; a capture on the sending host shows this if the device computes it"
    }
}

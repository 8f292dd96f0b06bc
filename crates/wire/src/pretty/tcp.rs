//! TCP segments.

use std::fmt::{self, Formatter};

use super::Bases;
use crate::tcp::{Flags, OptionIter, View};
use crate::{SeqNum, ip};

/// The segment in `packet`, if there is one with a complete header.
pub(super) fn view<'a>(packet: &ip::Packet<'a>) -> Option<View<'a>> {
    let whole = packet
        .fragment()
        .is_none_or(|fragment| fragment.offset == 0);
    (whole && packet.protocol() == ip::TCP)
        .then(|| View::parse(packet.payload()).ok())
        .flatten()
}

pub(super) fn fmt(packet: &ip::Packet<'_>, bases: Bases, f: &mut Formatter<'_>) -> fmt::Result {
    let (src, dst) = (packet.src(), packet.dst());
    let Some(segment) = view(packet) else {
        return write!(f, "{src} > {dst}: [|tcp]");
    };
    let (src_port, dst_port) = (segment.src_port(), segment.dst_port());
    let flags = segment.flags();
    write!(f, "{src}.{src_port} > {dst}.{dst_port}: Flags [{flags}]")?;

    let len = packet.payload_len().saturating_sub(segment.header_len());
    if len > 0 || flags.intersects(Flags::SYN | Flags::FIN | Flags::RST) {
        let seq = segment.seq() - bases.seq.raw();
        write!(f, ", seq {seq}")?;
        if len > 0 {
            write!(f, ":{}", seq + len as u32)?;
        }
    }
    if flags.contains(Flags::ACK) {
        write!(f, ", ack {}", segment.ack() - bases.ack.raw())?;
    }
    write!(f, ", win {}", segment.window())?;
    if flags.contains(Flags::URG) {
        write!(f, ", urg {}", segment.urgent())?;
    }
    if !segment.options_bytes().is_empty() {
        f.write_str(", options [")?;
        options(segment.options(), bases.ack, f)?;
        f.write_str("]")?;
    }
    write!(f, ", length {len}")
}

/// Prints the options; SACK blocks are relative to `ack`, because they describe data of the other
/// side.
fn options(options: OptionIter<'_>, ack: SeqNum, f: &mut Formatter<'_>) -> fmt::Result {
    let mut comma = "";
    for option in options {
        f.write_str(comma)?;
        comma = ",";
        match option {
            Ok(option) => option.print(ack, f)?,
            Err(_) => f.write_str("[bad opt]")?,
        }
    }
    Ok(())
}

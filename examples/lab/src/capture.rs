//! A trace as a capture file.

use std::borrow::Cow;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use pcap_file::DataLink;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};

use crate::trace::{Fate, Trace};

/// When a capture begins: to some programs a time of zero is none.
const BEGINS: Duration = Duration::from_secs(1);

/// Writes the trace's packets as pcapng, from their IP headers on, at their times since the beginning and a second. What was
/// lost or held is there too, with a comment; the sender's congestion window is a comment, `cwnd=N`, where it is known.
///
/// # Errors
/// The file cannot be written.
pub fn write(trace: &Trace, path: &Path) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut writer = PcapNgWriter::new(BufWriter::new(file))?;
    writer.write_pcapng_block(InterfaceDescriptionBlock {
        linktype: DataLink::RAW,
        snaplen: 0,
        // Times are nanoseconds.
        options: vec![InterfaceDescriptionOption::IfTsResol(9)],
    })?;
    for (at, segment) in trace.segments() {
        let fate = match segment.fate {
            Fate::Passed => None,
            Fate::Lost => Some("lost on the link".into()),
            Fate::Held => Some("held on the link, then delivered".into()),
        };
        // As `plot` reads it.
        let cwnd = segment.cwnd.map(|cwnd| format!("cwnd={cwnd}").into());
        writer.write_pcapng_block(EnhancedPacketBlock {
            interface_id: 0,
            timestamp: BEGINS + at,
            original_len: segment.packet.len() as u32,
            data: Cow::Borrowed(&segment.packet),
            options: fate
                .into_iter()
                .chain(cwnd)
                .map(EnhancedPacketOption::Comment)
                .collect(),
        })?;
    }
    Ok(())
}

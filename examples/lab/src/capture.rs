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

/// The start time of a capture: some programs treat a time of zero as missing.
const BEGINS: Duration = Duration::from_secs(1);

/// Writes the trace's packets as pcapng, without link headers, at their trace times plus one
/// second. Lost and held packets are included, with a comment; the sender's congestion window, if
/// known, is a comment of the form `cwnd=N`.
///
/// # Errors
/// If the file cannot be written.
pub fn write(trace: &Trace, path: &Path) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut writer = PcapNgWriter::new(BufWriter::new(file))?;
    writer.write_pcapng_block(InterfaceDescriptionBlock {
        linktype: DataLink::RAW,
        snaplen: 0,
        // The unit of timestamps is the nanosecond.
        options: vec![InterfaceDescriptionOption::IfTsResol(9)],
    })?;
    for (at, segment) in trace.segments() {
        let fate = match segment.fate {
            Fate::Passed => None,
            Fate::Lost => Some("lost on the link".into()),
            Fate::Held => Some("held on the link, then delivered".into()),
        };
        // The form that `plot` reads.
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

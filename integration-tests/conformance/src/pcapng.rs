//! Writes a script's packets to a capture file.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context as _, Result};
use pcap_file::DataLink;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};

use crate::runner::TraceLine;

/// Writes `trace` to `path` as raw IP packets.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, trace: &[TraceLine]) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut writer = PcapNgWriter::new(BufWriter::new(file))?;
    writer.write_pcapng_block(InterfaceDescriptionBlock {
        linktype: DataLink::RAW,
        snaplen: 0,
        // The unit of timestamps is the nanosecond.
        options: vec![InterfaceDescriptionOption::IfTsResol(9)],
    })?;
    for line in trace {
        writer.write_pcapng_block(EnhancedPacketBlock {
            interface_id: 0,
            timestamp: line.at,
            original_len: line.bytes.len() as u32,
            data: line.bytes.as_slice().into(),
            options: Vec::new(),
        })?;
    }
    Ok(())
}

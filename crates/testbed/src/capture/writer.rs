//! Writing captures in pcapng.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use pcap_file::DataLink;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};

/// Writes a pcapng file with one interface.
pub struct Writer<W: Write>(PcapNgWriter<W>);

impl Writer<BufWriter<File>> {
    /// A file of raw IP packets at `path`, which is replaced if it exists.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        let file =
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        Self::new(BufWriter::new(file))
    }
}

impl<W: Write> Writer<W> {
    /// A file of raw IP packets.
    ///
    /// # Errors
    /// The errors of `output`.
    pub fn new(output: W) -> Result<Self> {
        Self::of_link(output, DataLink::RAW)
    }

    /// A file of packets with the header of a link.
    ///
    /// # Errors
    /// The errors of `output`.
    pub fn of_link(output: W, link: DataLink) -> Result<Self> {
        let mut file = PcapNgWriter::new(output)?;
        file.write_pcapng_block(InterfaceDescriptionBlock {
            linktype: link,
            snaplen: 0,
            // The unit of timestamps is the nanosecond.
            options: vec![InterfaceDescriptionOption::IfTsResol(9)],
        })?;
        Ok(Self(file))
    }

    /// Adds a packet, with comments on it.
    ///
    /// # Errors
    /// The errors of the output.
    pub fn write(&mut self, at: Duration, packet: &[u8], comments: &[&str]) -> Result<()> {
        self.write_beginning(at, packet, packet.len(), comments)
    }

    /// Adds the beginning of a packet of `length` bytes.
    ///
    /// # Errors
    /// The errors of the output.
    pub fn write_beginning(
        &mut self,
        at: Duration,
        beginning: &[u8],
        length: usize,
        comments: &[&str],
    ) -> Result<()> {
        let comments = comments.iter().copied();
        self.0.write_pcapng_block(EnhancedPacketBlock {
            interface_id: 0,
            timestamp: at,
            original_len: length as u32,
            data: beginning.into(),
            options: comments
                .map(|text| EnhancedPacketOption::Comment(text.into()))
                .collect(),
        })?;
        Ok(())
    }

    /// Completes the file, and returns the output.
    ///
    /// # Errors
    /// The errors of the output.
    pub fn finish(self) -> Result<W> {
        let mut output = self.0.into_inner();
        output.flush()?;
        Ok(output)
    }
}

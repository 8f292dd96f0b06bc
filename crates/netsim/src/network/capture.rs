//! What a node's interfaces see, as a pcapng file.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::{DataLink, PcapError};

use super::{NodeId, Passing};

/// Directions in the flags of a packet.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// A file that is being written.
pub(super) struct Capture {
    node: NodeId,
    /// The nodes that are reached over an interface of the file, by its number.
    peers: Vec<NodeId>,
    file: PcapNgWriter<Box<dyn Write>>,
}

impl Capture {
    /// Begins the file.
    pub(super) fn new(node: NodeId, writer: impl Write + 'static) -> Result<Self, PcapError> {
        let writer: Box<dyn Write> = Box::new(writer);
        Ok(Self {
            node,
            peers: Vec::new(),
            file: PcapNgWriter::new(writer)?,
        })
    }

    /// Adds a packet, if the node sends or gets it.
    pub(super) fn see(&mut self, passing: &Passing<'_>) -> Result<(), PcapError> {
        let (direction, peer) = match passing.arrives {
            false if passing.from == self.node => (OUTBOUND, passing.to),
            true if passing.to == self.node => (INBOUND, passing.from),
            _ => return Ok(()),
        };
        let interface_id = self.interface(peer)?;
        self.file.write_pcapng_block(EnhancedPacketBlock {
            interface_id,
            timestamp: Duration::from_nanos(passing.at.as_nanos()),
            original_len: u32::try_from(passing.packet.len()).unwrap_or(u32::MAX),
            data: passing.packet.into(),
            options: vec![EnhancedPacketOption::Flags(direction)],
        })?;
        Ok(())
    }

    /// The number of the interface to `peer`, which is described to the file first if it is new.
    fn interface(&mut self, peer: NodeId) -> Result<u32, PcapError> {
        let known = self.peers.iter().position(|&other| other == peer);
        let number = match known {
            Some(number) => number,
            None => {
                let name = format!("{} to {}", self.node.0, peer.0);
                self.file.write_pcapng_block(InterfaceDescriptionBlock {
                    linktype: DataLink::RAW,
                    snaplen: 0,
                    options: vec![
                        InterfaceDescriptionOption::IfName(name.into()),
                        // Times are nanoseconds.
                        InterfaceDescriptionOption::IfTsResol(9),
                    ],
                })?;
                self.peers.push(peer);
                self.peers.len() - 1
            }
        };
        Ok(number as u32)
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "of node {}", self.node.0)
    }
}

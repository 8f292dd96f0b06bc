//! A pcapng file with the packets on a node's interfaces.

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

/// The values for the direction in a packet's flags.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// A pcapng file that is being written.
pub(super) struct Capture {
    node: NodeId,
    /// The neighbour at each interface of the file, by interface number.
    peers: Vec<NodeId>,
    file: PcapNgWriter<Box<dyn Write>>,
}

impl Capture {
    /// Writes the head of the file.
    pub(super) fn new(node: NodeId, writer: impl Write + 'static) -> Result<Self, PcapError> {
        let writer: Box<dyn Write> = Box::new(writer);
        Ok(Self {
            node,
            peers: Vec::new(),
            file: PcapNgWriter::new(writer)?,
        })
    }

    /// Adds a packet if the node sends or receives it.
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

    /// The number of the interface to `peer`. A new interface is first described in the file.
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
                        // The unit of timestamps is the nanosecond.
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

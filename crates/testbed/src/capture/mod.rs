//! Captures: [`Writer`] writes pcapng, [`Reader`] reads pcap and pcapng.

mod reader;
mod writer;

pub use pcap_file::DataLink;
pub use reader::{Direction, Reader, Record, is_capture};
pub use writer::Writer;

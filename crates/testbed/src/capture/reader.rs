//! Reading captures, pcap and pcapng, packet by packet. Any input is handled in bounded memory.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use byteorder_slice::{BigEndian, LittleEndian};
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::{Block, PcapNgReader, RawBlock};
use pcap_file::{DataLink, Endianness, TsResolution};

/// The maximum number of interfaces in a pcapng file.
const MAX_INTERFACES: usize = 1024;
/// The first bytes of a pcapng file.
const PCAPNG: [u8; 4] = [0x0A, 0x0D, 0x0D, 0x0A];
/// The first bytes of a pcap file: microseconds and nanoseconds, in both byte orders.
const PCAP: [[u8; 4]; 4] = [
    [0xD4, 0xC3, 0xB2, 0xA1],
    [0xA1, 0xB2, 0xC3, 0xD4],
    [0x4D, 0x3C, 0xB2, 0xA1],
    [0xA1, 0xB2, 0x3C, 0x4D],
];
/// Block types of packets in pcapng; other blocks are skipped.
const PACKET_BLOCKS: [u32; 2] = [SIMPLE_PACKET, ENHANCED_PACKET];
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// A packet of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The time of capture, since 1970 or another origin that the file uses.
    pub time: Duration,
    /// The link type, which determines the first header.
    pub link: DataLink,
    /// The bytes, starting with the link header.
    pub bytes: Vec<u8>,
    /// The number of its interface in the file.
    pub interface: u32,
    /// Whether it came in or went out, if the file tells (pcapng's `epb_flags`).
    pub direction: Option<Direction>,
    /// Comments on the packet (pcapng's `opt_comment`).
    pub comments: Vec<String>,
}

/// The direction of a captured packet, from the point of view of the machine that captured it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The packet was received.
    Inbound,
    /// The packet was sent.
    Outbound,
}

impl Record {
    /// The IP packet after the link header; `None` if the frame has another payload.
    ///
    /// # Errors
    /// If the link type is unknown.
    pub fn ip(&self) -> Result<Option<&[u8]>> {
        let bytes = self.bytes.as_slice();
        Ok(match self.link {
            DataLink::RAW | DataLink::IPV4 | DataLink::IPV6 => Some(bytes),
            DataLink::ETHERNET => behind_ethernet(bytes),
            DataLink::LINUX_SLL => behind(bytes, 14, 16),
            DataLink::LINUX_SLL2 => behind(bytes, 0, 20),
            other => bail!(
                "packets of link type {} ({other:?}) are not supported: capture raw IP, Ethernet or Linux cooked (\"any\")",
                u32::from(other)
            ),
        })
    }
}

/// The bytes after a header of `len` bytes if its protocol field, at `at`, is IP.
fn behind(frame: &[u8], at: usize, len: usize) -> Option<&[u8]> {
    let protocol = frame.get(at..at + 2)?;
    matches!(protocol, [0x08, 0x00] | [0x86, 0xDD]).then(|| frame.get(len..))?
}

/// Like [`behind`], but skips up to two VLAN tags.
fn behind_ethernet(frame: &[u8]) -> Option<&[u8]> {
    let mut at = 12;
    for _ in 0..2 {
        if matches!(frame.get(at..at + 2)?, [0x81, 0x00] | [0x88, 0xA8]) {
            at += 4;
        }
    }
    behind(frame, at, at + 2)
}

/// Whether data with this beginning is a capture.
#[must_use]
pub fn is_capture(beginning: &[u8]) -> bool {
    let magic = beginning.get(..4);
    magic.is_some_and(|magic| magic == PCAPNG || PCAP.iter().any(|pcap| magic == pcap))
}

/// Reads a capture from its beginning.
pub struct Reader(Format);

type Input = Box<dyn BufRead>;

enum Format {
    Pcap(PcapReader<Input>),
    PcapNg(PcapNgReader<Input>),
}

impl Reader {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// If the file cannot be read or is not a capture.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        let file = File::open(path).with_context(|| format!("cannot open {shown}"))?;
        Self::new(BufReader::new(file), &shown.to_string())
    }

    /// Reads the header of `input`, which errors refer to as `shown`.
    ///
    /// # Errors
    /// If the input cannot be read or is not a capture.
    pub fn new(mut input: impl BufRead + 'static, shown: &str) -> Result<Self> {
        let beginning = input.fill_buf().with_context(|| shown.to_owned())?;
        ensure!(!beginning.is_empty(), "{shown} is empty");
        ensure!(
            is_capture(beginning),
            "{shown} is not a capture file: supported are pcap and pcapng, the formats of tcpdump -w and Wireshark"
        );
        let is_pcapng = beginning.starts_with(&PCAPNG);
        let input: Input = Box::new(input);
        let format = if is_pcapng {
            PcapNgReader::new(input).map(Format::PcapNg)
        } else {
            PcapReader::new(input).map(Format::Pcap)
        };
        let format =
            format.with_context(|| format!("the header of {shown} is damaged or cut short"))?;
        Ok(Self(format))
    }

    fn read(&mut self) -> Option<Result<Record>> {
        match &mut self.0 {
            Format::Pcap(reader) => read_pcap(reader),
            Format::PcapNg(reader) => read_pcapng(reader),
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Record>;

    /// The next packet. After an error the iterator must not be used further.
    fn next(&mut self) -> Option<Self::Item> {
        self.read()
    }
}

fn read_pcap(reader: &mut PcapReader<Input>) -> Option<Result<Record>> {
    let header = reader.header();
    let nanos = match header.ts_resolution {
        TsResolution::MicroSecond => 1000,
        TsResolution::NanoSecond => 1,
    };
    // The raw form, because the parser otherwise rejects packets truncated to the snap length.
    let packet = reader.next_raw_packet()?;
    Some(
        packet
            .context("the capture file is damaged or cut short")
            .map(|packet| Record {
                time: Duration::from_secs(packet.ts_sec.into())
                    + Duration::from_nanos(u64::from(packet.ts_frac) * nanos),
                link: header.datalink,
                bytes: packet.data.into_owned(),
                interface: 0,
                direction: None,
                comments: Vec::new(),
            }),
    )
}

fn read_pcapng(reader: &mut PcapNgReader<Input>) -> Option<Result<Record>> {
    loop {
        if reader.interfaces().len() > MAX_INTERFACES {
            return Some(Err(anyhow::anyhow!(
                "the capture file describes more than {MAX_INTERFACES} interfaces"
            )));
        }
        let block = match reader.next_raw_block()? {
            Ok(block) => block,
            Err(error) => {
                return Some(Err(error).context("the capture file is damaged or cut short"));
            }
        };
        if PACKET_BLOCKS.contains(&block.type_) {
            // An owned copy, because the block borrows the reader, which also has the interfaces.
            let (type_, initial_len, trailer_len) =
                (block.type_, block.initial_len, block.trailer_len);
            let body = block.body.into_owned();
            let block = RawBlock {
                type_,
                initial_len,
                trailer_len,
                body: body.as_slice().into(),
            };
            return Some(record(
                block,
                reader.section().endianness,
                reader.interfaces(),
            ));
        }
    }
}

fn record(
    block: RawBlock<'_>,
    order: Endianness,
    interfaces: &[InterfaceDescriptionBlock<'_>],
) -> Result<Record> {
    let block = match order {
        Endianness::Big => block.try_into_block::<BigEndian>(),
        Endianness::Little => block.try_into_block::<LittleEndian>(),
    };
    match block.context("a damaged packet in the capture file")? {
        Block::EnhancedPacket(packet) => {
            let interface = interfaces
                .get(packet.interface_id as usize)
                .context("a packet of an interface that the capture file does not describe")?;
            Ok(enhanced(&packet, interface))
        }
        Block::SimplePacket(packet) => {
            let interface = interfaces
                .first()
                .context("a packet before any interface in the capture file")?;
            Ok(Record {
                time: Duration::ZERO,
                link: interface.linktype,
                bytes: packet.data.into_owned(),
                interface: 0,
                direction: None,
                comments: Vec::new(),
            })
        }
        _ => bail!("a block of the capture file is not of its own type"),
    }
}

fn enhanced(packet: &EnhancedPacketBlock<'_>, interface: &InterfaceDescriptionBlock<'_>) -> Record {
    let comments = packet.options.iter().filter_map(|option| match option {
        EnhancedPacketOption::Comment(text) => Some(text.to_string()),
        _ => None,
    });
    let flags = packet.options.iter().find_map(|option| match option {
        EnhancedPacketOption::Flags(flags) => Some(*flags),
        _ => None,
    });
    // The reader returns the file's units as nanoseconds, whatever the resolution of the interface
    // is.
    let units = u64::try_from(packet.timestamp.as_nanos()).unwrap_or(u64::MAX);
    Record {
        time: time(units, resolution(interface)),
        link: interface.linktype,
        bytes: packet.data.to_vec(),
        interface: packet.interface_id,
        // The lowest two bits are the direction.
        direction: match flags.unwrap_or_default() & 0b11 {
            1 => Some(Direction::Inbound),
            2 => Some(Direction::Outbound),
            _ => None,
        },
        comments: comments.collect(),
    }
}

/// The interface's `if_tsresol`, by default microseconds.
fn resolution(interface: &InterfaceDescriptionBlock<'_>) -> u8 {
    let given = interface.options.iter().find_map(|option| match option {
        InterfaceDescriptionOption::IfTsResol(resolution) => Some(*resolution),
        _ => None,
    });
    given.unwrap_or(6)
}

/// The time of `units`, each of 10^-r seconds, or of 2^-r seconds if the highest bit of the
/// resolution is set.
fn time(units: u64, resolution: u8) -> Duration {
    let base: u128 = if resolution & 0x80 == 0 { 10 } else { 2 };
    let Some(per_second) = base.checked_pow(u32::from(resolution & 0x7F)) else {
        return Duration::ZERO;
    };
    let units = u128::from(units);
    let nanos = (units % per_second)
        .checked_mul(1_000_000_000)
        .map_or(0, |scaled| scaled / per_second);
    let seconds = u64::try_from(units / per_second).unwrap_or(u64::MAX);
    Duration::new(seconds, nanos as u32)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use pcap_file::pcapng::PcapNgWriter;

    use super::super::Writer;
    use super::*;

    fn read(bytes: Vec<u8>) -> Vec<Record> {
        let reader = Reader::new(Cursor::new(bytes), "the file").expect("a capture");
        reader.collect::<Result<_>>().expect("undamaged")
    }

    #[test]
    fn what_was_written_is_read() {
        let mut writer = Writer::new(Vec::new()).expect("a file");
        let time = Duration::from_nanos(1_234_567_890);
        writer.write(time, b"first", &[]).expect("written");
        writer
            .write(time * 2, b"second", &["one", "two"])
            .expect("written");
        let records = read(writer.finish().expect("complete"));
        assert_eq!((records[0].time, records[1].time), (time, time * 2));
        assert_eq!(
            (&*records[0].bytes, &*records[1].bytes),
            (&b"first"[..], &b"second"[..])
        );
        assert_eq!(records[0].comments, [""; 0]);
        assert_eq!(records[1].comments, ["one", "two"]);
        assert!(records.iter().all(|record| record.link == DataLink::RAW));
    }

    #[test]
    fn the_unit_of_time_is_a_microsecond_unless_the_file_names_one() {
        for (resolution, time) in [
            (None, Duration::from_micros(1_500_000)),
            (Some(3), Duration::from_millis(1_500_000)),
            // 2^-10 seconds.
            (Some(0x8A), Duration::from_nanos(1_464_843_750_000)),
        ] {
            let mut file = PcapNgWriter::new(Vec::new()).expect("a file");
            let named = resolution.map(InterfaceDescriptionOption::IfTsResol);
            file.write_pcapng_block(InterfaceDescriptionBlock {
                linktype: DataLink::RAW,
                snaplen: 0,
                options: named.into_iter().collect(),
            })
            .expect("written");
            file.write_pcapng_block(EnhancedPacketBlock {
                interface_id: 0,
                // The writer interprets the file's units as nanoseconds.
                timestamp: Duration::from_nanos(1_500_000),
                original_len: 1,
                data: (&[1][..]).into(),
                options: vec![EnhancedPacketOption::Flags(2)],
            })
            .expect("written");
            let records = read(file.into_inner());
            assert_eq!(records[0].time, time, "{resolution:?}");
            assert_eq!(records[0].direction, Some(Direction::Outbound));
        }
    }
}

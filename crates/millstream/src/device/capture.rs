//! A device that records the packets that pass through it.

use std::io::{self, IoSlice, Write};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millstream_wire::pretty::Trace;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::{Block, PcapNgBlock};
use pcap_file::{DataLink, PcapError};
use tokio::time::Instant;

use super::{Capabilities, Device};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// The direction of a packet, as its stack sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the device to the stack.
    Received,
    /// From the stack to the device.
    Sent,
}

/// One packet that passed through the device.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'a> {
    /// The direction of the packet.
    pub direction: Direction,
    /// The time of the packet since the creation of the [`Capture`], by the runtime's clock, so
    /// that a paused clock gives virtual times.
    pub elapsed: Duration,
    /// The IP packet, without the virtio-net header. A super-segment is shown whole.
    pub packet: &'a [u8],
}

/// Wraps a device and shows every packet to a closure, a pcapng file or a text trace. A packet that
/// the device refuses because it is full is not shown until the device takes it.
pub struct Capture<D> {
    device: D,
    header_len: usize,
    origin: Instant,
    recorder: Mutex<Recorder>,
}

struct Recorder {
    each: Box<dyn FnMut(Captured<'_>) + Send>,
    /// Sent packets arrive in slices and are shown in one piece.
    scratch: Vec<u8>,
}

impl<D: Device> Capture<D> {
    /// Shows every packet to `each`, which must not call into the stack.
    pub fn new(device: D, each: impl FnMut(Captured<'_>) + Send + 'static) -> Self {
        Self {
            header_len: device.capabilities().virtio_header_len,
            device,
            origin: Instant::now(),
            recorder: Mutex::new(Recorder {
                each: Box::new(each),
                scratch: Vec::new(),
            }),
        }
    }

    /// Writes every packet to a pcapng file, which Wireshark and tcpdump read. `writer` should be
    /// buffered; it is dropped with the device. After an error nothing more is written.
    ///
    /// # Errors
    /// The file's header could not be written.
    pub fn pcapng(device: D, writer: impl Write + Send + 'static) -> io::Result<Self> {
        let mut file = PcapNgWriter::new(writer).map_err(pcap_error)?;
        let interface = InterfaceDescriptionBlock {
            linktype: DataLink::RAW,
            snaplen: 0,
            // Timestamps in nanoseconds.
            options: vec![InterfaceDescriptionOption::IfTsResol(9)],
        };
        file.write_block(&interface.into_block())
            .map_err(pcap_error)?;
        let began = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let mut file = Some(file);
        Ok(Self::new(device, move |captured| {
            let Some(open) = &mut file else { return };
            let block = Block::EnhancedPacket(EnhancedPacketBlock {
                interface_id: 0,
                timestamp: began + captured.elapsed,
                original_len: u32::try_from(captured.packet.len()).unwrap_or(u32::MAX),
                data: captured.packet.into(),
                options: Vec::new(),
            });
            if let Err(error) = open.write_block(&block) {
                tracing::warn!(%error, "the packet capture ends: it cannot be written");
                file = None;
            }
        }))
    }

    /// Passes a line of text for every packet to `line`, in tcpdump's format: the seconds since the
    /// creation of the capture, then `IP 10.0.0.1.34120 > 10.0.0.2.7: Flags [S], seq ..`.
    pub fn text(device: D, mut line: impl FnMut(&str) + Send + 'static) -> Self {
        let mut trace = Trace::new();
        Self::new(device, move |captured| {
            let seconds = captured.elapsed.as_secs_f64();
            line(&format!("{seconds:.6} {}", trace.line(captured.packet)));
        })
    }

    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Device> Device for Capture<D> {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.device.poll_recv_ready(cx)
    }

    fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.device.try_recv(buf)?;
        if let Some(packet) = buf.get(self.header_len..len) {
            (self.recorder().each)(Captured {
                direction: Direction::Received,
                elapsed: self.origin.elapsed(),
                packet,
            });
        }
        Ok(len)
    }

    fn queue_len(&self) -> Option<usize> {
        self.device.queue_len()
    }

    fn arrived_at(&self) -> Option<Instant> {
        self.device.arrived_at()
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.device.poll_send_ready(cx)
    }

    fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()> {
        // Locked while sending, so that no answer is shown before the packet that it answers.
        let mut recorder = self.recorder();
        self.device.try_send(frame)?;
        let Recorder { each, scratch } = &mut *recorder;
        scratch.clear();
        for slice in frame {
            scratch.extend_from_slice(slice);
        }
        if let Some(packet) = scratch.get(self.header_len..) {
            each(Captured {
                direction: Direction::Sent,
                elapsed: self.origin.elapsed(),
                packet,
            });
        }
        Ok(())
    }
}

fn pcap_error(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}

//! Packets on their way from the engine to the device.
//!
//! The engine gives packets out in batches, under its lock; the device takes them one by one, without
//! it. What the device has no room for stays here, first in line: a packet that the engine has given
//! out is accounted as sent, so it is never dropped.

use std::io::{self, IoSlice};
use std::sync::Arc;

use arrayvec::ArrayVec;
use millstream_engine::Transmit;

use crate::device::Device;
use crate::io::frame::FrameFormat;
use crate::io::segmentation::Segmentation;
use crate::shard::credit::Credit;

/// Packets taken from the engine at a time.
const BATCH: usize = 16;

/// Times in a row that a device may be interrupted before it counts as full.
const MAX_INTERRUPTIONS: u32 = 16;
/// Slices in a vectored write at the most. The engine keeps its packets well below.
pub(crate) const MAX_SLICES: usize = 64;

/// How far sending has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Progress {
    /// Nothing waits.
    Done,
    /// The device has no room.
    Full,
    /// The device is to be read first.
    ReadFirst,
}

/// The packets that the engine has given out and the device has not taken.
pub(crate) struct Outgoing {
    /// `None` once the stack is over.
    device: Option<Arc<dyn Device>>,
    format: FrameFormat,
    /// Reused; those at `next..filled` wait.
    packets: [Transmit; BATCH],
    next: usize,
    filled: usize,
    /// A packet of too many slices, in one piece. Hardly ever used.
    flat: Vec<u8>,
    /// Does what the device does not.
    segmentation: Option<Segmentation>,
}

impl Outgoing {
    pub(crate) fn new(device: Arc<dyn Device>) -> Self {
        let capabilities = device.capabilities();
        Self {
            format: FrameFormat::new(&capabilities),
            segmentation: capabilities.is_plain().then(Segmentation::default),
            device: Some(device),
            packets: Default::default(),
            next: 0,
            filled: 0,
            flat: Vec::new(),
        }
    }

    /// Takes a batch, `poll` being the engine's `poll_transmit`. To be called when none waits.
    pub(crate) fn fill(&mut self, mut poll: impl FnMut(&mut Transmit) -> bool) {
        debug_assert!(self.is_empty(), "packets would overtake each other");
        self.next = 0;
        self.filled = 0;
        for packet in &mut self.packets {
            if !poll(packet) {
                break;
            }
            self.filled += 1;
        }
    }

    /// Hands the waiting packets to the device, as far as it has room and there is credit; the rest waits. Other errors
    /// lose a packet, which TCP repairs.
    pub(crate) fn send(&mut self, credit: &Credit) -> Progress {
        let Some(device) = &self.device else {
            self.next = self.filled;
            return Progress::Done;
        };
        let mut interruptions = 0;
        while let Some(packet) = self.packets[..self.filled].get(self.next) {
            let sent = match &mut self.segmentation {
                Some(segmentation) if packet.partial_checksum().is_some() => {
                    segmentation.send(&**device, credit, packet)
                }
                _ if credit.is_left() => {
                    credit.on_send();
                    send_one(&**device, self.format, packet, &mut self.flat).map(|()| true)
                }
                _ => Ok(false),
            };
            match sent {
                Ok(true) => {}
                Ok(false) => return Progress::ReadFirst,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Full,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    interruptions += 1;
                    if interruptions == MAX_INTERRUPTIONS {
                        return Progress::Full;
                    }
                    continue;
                }
                Err(error) => tracing::debug!(%error, "the device lost a packet"),
            }
            self.next += 1;
        }
        Progress::Done
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.next == self.filled
    }

    /// Lets go of the device. What waits is lost, as is what comes later.
    pub(crate) fn close(&mut self) -> Option<Arc<dyn Device>> {
        self.device.take()
    }
}

fn send_one(
    device: &dyn Device,
    format: FrameFormat,
    packet: &Transmit,
    flat: &mut Vec<u8>,
) -> io::Result<()> {
    let mut header = [0; FrameFormat::MAX_HEADER];
    let header_len = format.encode(packet, &mut header);
    let mut headers = ArrayVec::<IoSlice<'_>, 2>::new();
    if header_len > 0 {
        headers.push(IoSlice::new(&header[..header_len]));
    }
    if headers.capacity() + packet.payload().len() > MAX_SLICES {
        flat.clear();
        packet.write_to(flat);
        headers.push(IoSlice::new(flat));
        device.try_send(&headers)
    } else {
        headers.push(IoSlice::new(packet.header()));
        device.try_send_shared(&headers, packet.payload())
    }
}

//! Packets between the engine and the device.
//!
//! The engine produces packets in batches, under its lock; the device takes them one by one,
//! without the lock. Packets for which the device has no room stay here, first in line: the engine
//! accounts such a packet as sent, so it is never dropped.

use std::io::{self, IoSlice};
use std::sync::Arc;

use arrayvec::ArrayVec;
use millstream_engine::Transmit;

use crate::device::{Device, MAX_SLICES};
use crate::io::credit::Credit;
use crate::io::frame::FrameFormat;
use crate::io::segmentation::Segmentation;

/// Packets taken from the engine at a time.
const BATCH_PACKETS: usize = 16;

/// The number of consecutive interruptions after which a device counts as full.
const MAX_INTERRUPTIONS: u32 = 16;

/// The progress of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Progress {
    /// No packet waits.
    Done,
    /// The device has no room.
    Full,
    /// The device must be read first.
    ReadFirst,
}

/// The packets that the engine has produced and the device has not taken.
pub(crate) struct Outgoing {
    /// `None` after the end of the stack.
    device: Option<Arc<dyn Device>>,
    format: FrameFormat,
    /// Reused; the packets at `next..filled` wait.
    packets: [Transmit; BATCH_PACKETS],
    next: usize,
    filled: usize,
    /// A packet of too many slices, copied together. Rarely used.
    flat: Vec<u8>,
    /// Cuts super-segments, if the device does not.
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

    /// Takes a batch from `poll`, the engine's `poll_transmit`. Must be called only when no packet
    /// waits.
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

    /// Passes the waiting packets to the device, as far as it has room and there is credit; the
    /// others wait. Other errors lose a packet, which TCP repairs.
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

    /// Whether no packet waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.next == self.filled
    }

    /// Releases the device. Waiting packets are lost, as are any later ones.
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

//! Receives frames from the device, a bounded batch at a time.
//!
//! - this file: the [`Receiver`], its batches, and the time up to which everything has been read;
//! - `merging`: one frame, and the packets that continue one another;
//! - `coming`: whether to process a frame before the device is asked for another;
//! - `direct`: reading in the task of a reader, into its own buffer.

mod coming;
mod direct;
mod merging;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use millstream_engine::{ConnectionId, RxChecksum};
use millstream_wire::coalesce::Train;
use millstream_wire::cut::Cut;
use tokio::time::Instant;

use self::coming::Coming;
use self::direct::Direct;
use crate::device::{Capabilities, Device};
use crate::io::arena::Arena;
use crate::io::credit::{Credit, Sweep};
use crate::io::frame::FrameFormat;

/// Frames taken from the device in one turn.
const BATCH_FRAMES: usize = 64;

/// Bytes after which no more frames are taken in one turn: data that waits for its reader should
/// still be in the processor's cache when it is read.
const BATCH_BYTES: usize = 128 << 10;

/// The same limit in frames of the largest size. A turn ends with an acknowledgment. A kernel that
/// gets one for many small packets sends the next packets at once, on the processor that we need. A
/// kernel that gets acknowledgments early sends on its own processor.
const BATCH_LARGEST: usize = 16;

/// The maximum number of unsuccessful reads in a turn: a device that is ready and has nothing, or
/// that is interrupted repeatedly, does not keep other tasks from running.
const MAX_REFUSALS: u32 = 16;

/// Bytes of the chunks of memory into which frames are read, unless the frames are much larger. The
/// batch of a bulk flow fills most of one chunk.
const CHUNK: usize = 64 << 10;

/// Frames of up to this many bytes are copied together where the device may have much larger
/// frames, each of which needs room.
const SMALL_FRAME: usize = 16 << 10;

/// The longest headers that are read separately from the payload.
const MAX_HEADER: usize = FrameFormat::MAX_HEADER + Cut::MAX_HEADER;

/// A packet that has arrived.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) packet: Bytes,
    pub(crate) checksum: RxChecksum,
    /// The time of arrival, if the device knows it. For merged packets it is that of the first:
    /// those that follow acknowledge nothing further.
    pub(crate) at: Option<Instant>,
}

/// The received packets and the memory into which they are read.
pub(crate) struct Receiver {
    /// `None` after the end of the stack.
    device: Option<Arc<dyn Device>>,
    format: FrameFormat,
    memory: Arena,
    /// The memory for small frames, if the device may have much larger ones.
    small: Option<Arena>,
    /// Bytes of the largest frame.
    largest: usize,
    /// Bytes taken in one turn.
    batch_bytes: usize,
    merges: bool,
    coming: Coming,
    credit: Arc<Credit>,
    /// The pass of reading since the credit was last renewed.
    sweep: Sweep,
    /// The pass that began with this batch.
    begun: Sweep,
    /// All that arrived before has been read.
    heard: Instant,
    /// The packets at the beginning of the memory's space, if others may continue them.
    train: Option<Train>,
    /// The arrival of the first packet of the train, if the device knows it.
    train_at: Option<Instant>,
    /// The headers of the packet read last, if they were read separately.
    header: [u8; MAX_HEADER],
    arrived: Vec<Arrived>,
    direct: Direct,
}

impl Receiver {
    /// Creates a receiver for a stack whose payload may take `memory` bytes.
    pub(crate) fn new(device: Arc<dyn Device>, memory: usize, credit: Arc<Credit>) -> Self {
        let capabilities = device.capabilities();
        let largest = capabilities.max_frame();
        let sweep = credit.sweep();
        // A device whose queue drops packets has a kernel at its other end.
        let is_kernel = device.queue_len().is_some();
        let most_direct = if is_kernel {
            BATCH_LARGEST * largest
        } else {
            usize::MAX
        };
        Self {
            device: Some(device),
            format: FrameFormat::new(&capabilities),
            memory: arena(largest, memory),
            small: (largest > SMALL_FRAME).then(|| Arena::new(SMALL_FRAME, CHUNK, memory)),
            largest,
            batch_bytes: BATCH_BYTES.min(BATCH_LARGEST * largest),
            merges: capabilities.is_plain(),
            coming: Coming::default(),
            sweep,
            begun: sweep,
            heard: sweep.begun,
            credit,
            train: None,
            train_at: None,
            header: [0; MAX_HEADER],
            arrived: Vec::with_capacity(BATCH_FRAMES),
            direct: Direct::new(largest, most_direct),
        }
    }

    /// Whether the next frames are left to a reader.
    pub(crate) fn has_reader(&self) -> bool {
        self.direct.has_reader()
    }

    /// Leaves the next frames to no reader.
    pub(crate) fn end_leaving(&mut self) {
        self.direct.take_reader();
    }

    /// The time up to which everything that arrived has been taken from the device.
    pub(crate) fn heard(&self) -> Instant {
        self.heard
    }

    /// The packets that have arrived, to be taken out.
    pub(crate) fn arrived(&mut self) -> &mut Vec<Arrived> {
        &mut self.arrived
    }

    /// Runs one turn of the driver: takes up to a batch of frames from the device, unless they are
    /// left to a reader. Returns the number of bytes and whether there may be more. On an error of
    /// the device, the frames received before it are kept.
    pub(crate) fn receive(&mut self, cx: &mut Context<'_>) -> (usize, io::Result<bool>) {
        self.direct.next_turn();
        let Some(device) = self.device.clone().filter(|_| !self.direct.has_reader()) else {
            return (0, Ok(false));
        };
        // Payload of the previous batch that still waits is copied out unless it fills most of its
        // chunk. The chunk is then free again.
        self.memory.begin_chunk();
        if let Some(small) = &mut self.small {
            small.begin_chunk();
        }
        let mut bytes = 0;
        let result = self.take_batch(&*device, cx, &mut bytes);
        self.end_train();
        (bytes, result)
    }

    /// Whether something has arrived that is left to a reader, and that reader's connection. It is
    /// returned only once, in case the reader does not read. The driver is woken when something
    /// arrives.
    pub(crate) fn poll_left_to(
        &mut self,
        cx: &mut Context<'_>,
    ) -> io::Result<Option<ConnectionId>> {
        match &self.device {
            Some(device) if self.direct.has_reader() => match device.poll_recv_ready(cx) {
                Poll::Ready(result) => result.map(|()| self.direct.take_reader()),
                Poll::Pending => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// Releases the device.
    pub(crate) fn close(&mut self) -> Option<Arc<dyn Device>> {
        self.device.take()
    }

    /// Takes up to a batch of frames, and adds their lengths to `bytes`. Returns whether there may
    /// be more.
    fn take_batch(
        &mut self,
        device: &dyn Device,
        cx: &mut Context<'_>,
        bytes: &mut usize,
    ) -> io::Result<bool> {
        self.begun = self.credit.sweep();
        let most = self.coming.most();
        let mut frames = 0;
        let mut refusals = 0;
        while frames < most && *bytes < self.batch_bytes && refusals < MAX_REFUSALS {
            match self.take_frame(device) {
                Ok(len) => {
                    *bytes += len;
                    frames += 1;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.on_empty();
                    if device.poll_recv_ready(cx)?.is_pending() {
                        self.coming = self.coming.after_all(frames);
                        return Ok(false);
                    }
                    refusals += 1;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => refusals += 1,
                Err(error) => return Err(error),
            }
        }
        self.coming = self.coming.after_some();
        Ok(true)
    }

    /// Records that the device has nothing more.
    fn on_empty(&mut self) {
        self.credit.on_empty(self.begun);
        self.sweep = self.begun;
        self.heard = self.heard.max(self.begun.begun);
    }

    /// Records that a frame was read that arrived at `at`, if the device knows the time, or later.
    /// If the device does not know it, all that arrived before a sweep began has been read once the
    /// sweep has read as many frames as could wait then.
    fn on_frame(&mut self, at: Option<Instant>) {
        let over = self.credit.on_read(&mut self.sweep, 1);
        if let Some(heard) = at.or(over.map(|sweep| sweep.begun)) {
            self.heard = self.heard.max(heard);
        }
    }
}

/// Creates the memory into which frames of up to `largest` bytes are read.
fn arena(largest: usize, memory: usize) -> Arena {
    // If the largest frame is large, little is left of a chunk of its size, so that such a frame
    // fills one.
    let chunk = if largest > SMALL_FRAME {
        largest
    } else {
        CHUNK.min(BATCH_LARGEST * largest) + largest
    };
    Arena::new(largest, chunk, memory)
}

/// Bytes of the chunks of memory from which a device's frames are cut.
pub(crate) fn chunk_size(capabilities: &Capabilities) -> usize {
    arena(capabilities.max_frame(), 0).chunk_size()
}

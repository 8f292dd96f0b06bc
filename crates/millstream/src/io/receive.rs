//! Receives frames from the device, a bounded batch at a time.
//!
//! If the device delivers every packet separately, consecutive packets of a stream are merged
//! ([`coalesce`](millstream_wire::coalesce)) before the engine sees them. Merging moves no bytes:
//! once a packet that may be continued has arrived, the headers and the payload of the next packet
//! are read into separate places, the payload directly behind the preceding one.

mod direct;

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use millstream_engine::{ConnectionId, RxChecksum};
use millstream_wire::coalesce::{self, Train};
use millstream_wire::cut::Cut;
use tokio::time::Instant;

use self::direct::Direct;
use crate::device::{Capabilities, Device};
use crate::io::arena::Arena;
use crate::io::frame::FrameFormat;
use crate::shard::credit::{Credit, Sweep};

/// Frames taken from the device in one turn.
const BATCH: usize = 64;

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

/// The expected arrival of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Coming {
    /// Several at a time, as far as is known.
    #[default]
    InBatches,
    /// One at a time: the last batch was a single frame. The next frame is processed before the
    /// device is asked for another, which would cost a call of the device while the sender waits
    /// for the answer.
    Alone,
    /// One frame was processed, and the device has not been asked for another.
    OneTaken,
}

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
            arrived: Vec::with_capacity(BATCH),
            direct: Direct::default(),
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

    fn take_batch(
        &mut self,
        device: &dyn Device,
        cx: &mut Context<'_>,
        bytes: &mut usize,
    ) -> io::Result<bool> {
        self.begun = self.credit.sweep();
        let most = if self.coming == Coming::Alone {
            1
        } else {
            BATCH
        };
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
        self.coming = match self.coming {
            Coming::Alone => Coming::OneTaken,
            Coming::InBatches | Coming::OneTaken => Coming::InBatches,
        };
        Ok(true)
    }

    /// Records that the device has nothing more.
    fn on_empty(&mut self) {
        self.credit.on_empty(self.begun);
        self.sweep = self.begun;
        self.heard = self.heard.max(self.begun.begun);
    }

    /// A frame was read that had arrived at that time, if the device knows, or later. Where it does not, as many as can
    /// have waited when a sweep began have to be read.
    fn on_frame(&mut self, at: Option<Instant>) {
        let over = self.credit.on_read(&mut self.sweep, 1);
        if let Some(heard) = at.or(over.map(|sweep| sweep.begun)) {
            self.heard = self.heard.max(heard);
        }
    }

    /// All that had arrived at the device before that time has been taken from it.
    pub(crate) fn heard(&self) -> Instant {
        self.heard
    }

    fn take_frame(&mut self, device: &dyn Device) -> io::Result<usize> {
        let Some(train) = &mut self.train else {
            let len = device.try_recv(self.memory.space())?.min(self.largest);
            let at = device.arrived_at();
            self.on_frame(at);
            self.take(len, at);
            return Ok(len);
        };
        let header = &mut self.header[..train.header_len()];
        let (first, rest) = self.memory.split(train.len());
        let len = device.try_recv_split(header, &mut rest[..self.largest])?;
        let len = len.min(self.largest);
        let payload = &rest[..len.saturating_sub(header.len())];
        if train.is_continued_by(first, header, payload)
            && self.format.accepts(train, first, header, payload)
        {
            train.append(header, payload.len());
            if !self.memory.has(train.len() + self.largest) {
                self.end_train();
            }
            // When it arrived is not asked: that would cost as much as reading it.
            self.on_frame(self.train_at);
        } else {
            let header_len = header.len();
            let at = device.arrived_at();
            self.on_frame(at);
            self.end_train();
            self.put_together(header_len, len);
            self.take(len, at);
        }
        Ok(len)
    }

    /// Takes a frame of `len` bytes at the beginning of the memory's space.
    fn take(&mut self, len: usize, at: Option<Instant>) {
        if self.merges && self.memory.has(len + self.largest) {
            self.train = Train::begin(self.memory.filled(len));
            self.train_at = at;
        }
        if self.train.is_none() {
            self.push(len, at);
        }
    }

    /// Takes a single frame of `len` bytes at the beginning of the memory's space.
    fn push(&mut self, len: usize, at: Option<Instant>) {
        let frame = match &mut self.small {
            Some(small) if len <= SMALL_FRAME => small.copy(self.memory.filled(len)),
            _ => self.memory.take(len),
        };
        // A frame that ends within its header becomes an empty packet, which the engine counts.
        let cut_off = (Bytes::new(), RxChecksum::Unverified);
        let (packet, checksum) = self.format.decode(frame).unwrap_or(cut_off);
        self.arrived.push(Arrived {
            packet,
            checksum,
            at,
        });
    }

    /// Handles a packet that was read in two places but continues nothing: moves its payload behind
    /// its headers.
    fn put_together(&mut self, header_len: usize, len: usize) {
        let packet = self.memory.filled(len);
        let header_len = header_len.min(len);
        packet.copy_within(..len - header_len, header_len);
        packet[..header_len].copy_from_slice(&self.header[..header_len]);
    }

    fn end_train(&mut self) {
        let Some(train) = self.train.take() else {
            return;
        };
        if train.packets() == 1 {
            self.push(train.len(), self.train_at);
        } else {
            train.finish(self.memory.filled(train.len()));
            self.arrived.push(Arrived {
                packet: self.memory.take(train.len()),
                checksum: RxChecksum::Trusted,
                at: self.train_at,
            });
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

impl Coming {
    /// The expectation after a turn that received `frames` and left nothing in the device.
    fn after_all(self, frames: usize) -> Self {
        match (self, frames) {
            (Self::InBatches, 1) | (Self::Alone | Self::OneTaken, 0) => Self::Alone,
            _ => Self::InBatches,
        }
    }
}

impl FrameFormat {
    /// Whether the checksum of the packet with `header` and `payload` is right, and also that of
    /// the train's first packet if nothing has been appended yet: after merging they cannot be
    /// verified.
    fn accepts(self, train: &Train, first: &[u8], header: &[u8], payload: &[u8]) -> bool {
        if self.is_trusted() {
            return true;
        }
        let first_is_right = train.packets() > 1 || {
            let (header, payload) = first.split_at(train.header_len());
            coalesce::checksum_ok(header, payload)
        };
        first_is_right && coalesce::checksum_ok(header, payload)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::IoSlice;
    use std::sync::Mutex;
    use std::task::{Poll, Waker};

    use millstream_wire::tcp::{self, Flags};
    use millstream_wire::{SeqNum, checksum, ip};

    use super::*;

    /// A device that delivers the given frames.
    struct Script(Mutex<VecDeque<Vec<u8>>>);

    impl Device for Script {
        fn capabilities(&self) -> Capabilities {
            Capabilities::plain(9000)
        }

        fn poll_recv_ready(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
            let mut frames = self.0.lock().expect("not poisoned");
            let frame = frames.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
            buf[..frame.len()].copy_from_slice(&frame);
            Ok(frame.len())
        }

        fn poll_send_ready(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn try_send(&self, _: &[IoSlice<'_>]) -> io::Result<()> {
            Ok(())
        }
    }

    fn segment(port: u16, seq: u32, payload: &[u8]) -> Vec<u8> {
        let (src, dst) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let header = tcp::Header {
            src_port: port,
            seq: SeqNum::new(seq),
            flags: Flags::ACK,
            ..tcp::Header::default()
        };
        let mut tcp = vec![0; header.len()];
        header.emit(&mut tcp);
        let len = (tcp.len() + payload.len()) as u32;
        let mut sum = checksum::pseudo_header(src, dst, ip::TCP, len);
        sum.add(payload);
        tcp::Header::fill_checksum(&mut tcp, sum);
        let header = ip::Header {
            payload_len: len as usize,
            ..ip::Header::new(src, dst, ip::TCP)
        };
        let mut packet = vec![0; header.len()];
        header.emit(&mut packet);
        packet.extend(tcp);
        packet.extend(payload);
        packet
    }

    fn credit() -> Arc<Credit> {
        Arc::new(Credit::new(None))
    }

    /// The packets that arrive from these frames: the payload of each, and whether its checksum is
    /// trusted.
    fn arrivals(frames: &[Vec<u8>]) -> Vec<(Vec<u8>, bool)> {
        let device = Script(Mutex::new(frames.iter().cloned().collect()));
        let mut receiver = Receiver::new(Arc::new(device), 1 << 30, credit());
        let cx = &mut Context::from_waker(Waker::noop());
        let (bytes, more) = receiver.receive(cx);
        assert_eq!(bytes, frames.iter().map(Vec::len).sum::<usize>());
        assert!(!more.expect("no error"));
        let payload = |packet: &Bytes| {
            let Ok(view) = ip::Packet::parse(packet) else {
                return packet.to_vec();
            };
            tcp::View::parse(view.payload())
                .map_or_else(|_| packet.to_vec(), |tcp| tcp.payload().to_vec())
        };
        let arrived = receiver.arrived().drain(..);
        arrived
            .map(|arrived| {
                (
                    payload(&arrived.packet),
                    arrived.checksum == RxChecksum::Trusted,
                )
            })
            .collect()
    }

    #[test]
    fn packets_that_continue_one_another_arrive_as_one() {
        let frames = [
            segment(1, 0, b"ab"),
            segment(1, 2, b"cde"),
            segment(1, 5, b"f"),
            segment(2, 6, b"another flow"),
            segment(1, 6, b"g"),
            segment(1, 9, b"a gap"),
            segment(1, 14, b""),
        ];
        let expected: [(&[u8], bool); 5] = [
            (b"abcdef", true),
            (b"another flow", false),
            (b"g", false),
            (b"a gap", false),
            (b"", false),
        ];
        assert_eq!(arrivals(&frames), expected.map(|(p, t)| (p.to_vec(), t)));
    }

    #[test]
    fn what_comes_alone_is_handed_over_before_it_is_asked_for_more() {
        let device = Arc::new(Script(Mutex::default()));
        let mut receiver = Receiver::new(Arc::clone(&device) as Arc<dyn Device>, 1 << 30, credit());
        let cx = &mut Context::from_waker(Waker::noop());
        let mut arrives = |frames: usize| {
            let frame = |port| segment(port as u16, 0, b"alone");
            device
                .0
                .lock()
                .expect("not poisoned")
                .extend((0..frames).map(frame));
            let mut turns = Vec::new();
            loop {
                let (_, more) = receiver.receive(cx);
                turns.push(receiver.arrived().drain(..).count());
                if !more.expect("no error") {
                    return turns;
                }
            }
        };
        assert_eq!(arrives(1), [1]);
        assert_eq!(arrives(1), [1, 0]);
        assert_eq!(arrives(1), [1, 0]);
        assert_eq!(arrives(3), [1, 2], "the others in one batch");
        assert_eq!(arrives(3), [3], "and again");
        assert_eq!(arrives(1), [1]);
        assert_eq!(arrives(0), [0]);
        assert_eq!(arrives(1), [1, 0], "nothing says nothing");
    }

    #[test]
    fn a_damaged_packet_is_left_to_the_engine() {
        let damaged = |mut packet: Vec<u8>| {
            *packet.last_mut().expect("bytes") ^= 1;
            packet
        };
        let frames = [
            segment(1, 0, b"ab"),
            damaged(segment(1, 2, b"cd")),
            segment(1, 4, b"ef"),
            segment(1, 6, b"gh"),
            damaged(segment(2, 0, b"ij")),
            segment(2, 2, b"kl"),
            vec![0x45; 3],
        ];
        let expected: [(&[u8], bool); 6] = [
            (b"ab", false),
            (b"ce", false),
            (b"efgh", true),
            (b"ik", false),
            (b"kl", false),
            (&[0x45; 3], false),
        ];
        assert_eq!(arrivals(&frames), expected.map(|(p, t)| (p.to_vec(), t)));
    }

    #[test]
    fn a_train_is_no_longer_than_a_packet_may_be() {
        let payload = [7; 1460];
        let frames: Vec<_> = (0..60).map(|i| segment(1, i * 1460, &payload)).collect();
        let arrived = arrivals(&frames);
        // 44 packets, one in the remainder of their chunk, and the others in the next chunk.
        assert_eq!(arrived.len(), 3);
        assert!(
            arrived
                .iter()
                .all(|(p, _)| p.len() + 40 <= usize::from(u16::MAX))
        );
        assert_eq!(
            arrived.iter().map(|(p, _)| p.len()).sum::<usize>(),
            60 * 1460
        );
    }
}

//! Reads single frames, and merges the packets that continue one another.
//!
//! Merging ([`coalesce`]) moves no bytes: once a packet that may be continued has arrived, the
//! headers and the payload of the next packet are read into separate places, the payload directly
//! behind the preceding one.

use std::io;

use bytes::Bytes;
use millstream_engine::RxChecksum;
use millstream_wire::coalesce::{self, Train};
use tokio::time::Instant;

use super::{Arrived, Receiver, SMALL_FRAME};
use crate::device::Device;
use crate::io::frame::FrameFormat;

impl Receiver {
    /// Reads one frame from the device. Returns its length.
    pub(super) fn take_frame(&mut self, device: &dyn Device) -> io::Result<usize> {
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
            // The time of arrival is not asked for: that would cost as much as reading the packet.
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
    pub(super) fn push(&mut self, len: usize, at: Option<Instant>) {
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

    /// Takes the packets merged so far, if there are any.
    pub(super) fn end_train(&mut self) {
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

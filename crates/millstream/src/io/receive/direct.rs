//! Reads from the device directly into the buffer of a waiting reader: the payload of the next
//! packet of its connection is copied once, by the device.
//!
//! It is a guess that the next packet belongs to this connection and has headers of the expected
//! length. The guess is made for a connection that has just read a large amount. Any other packet
//! is put together and left for the driver, as if it had arrived there. After a wrong guess, no
//! further guess is made for a while.

use std::io;

use bytes::{Buf, BytesMut};
use millstream_engine::{ConnectionId, RxChecksum};
use millstream_wire::coalesce::{self, Train};
use tokio::time::Instant;

use super::{Arrived, MAX_HEADER, Receiver};
use crate::device::Device;
use crate::io::arena::Arena;

/// Bytes that are taken in this way in one turn of the driver, if the device does not limit them.
/// They do not wait in our memory, so there may be more of them.
const MAX_DIRECT_BYTES: usize = 240 << 10;

/// Bytes of the longest IP packet.
const MAX_PACKET: usize = u16::MAX as usize;

/// Turns of the driver without a guess after a wrong one.
const PAUSE: u8 = 16;

/// State of the readers that read from the device directly.
#[derive(Debug)]
pub(crate) struct Direct {
    /// Memory for packets whose payload is in the reader's buffer: only their headers are written.
    /// The engine gives it back at once.
    hollow: Arena,
    /// Bytes that may be taken directly in one turn of the driver.
    most: usize,
    /// Bytes that were taken directly in this turn of the driver.
    taken: usize,
    /// Remaining turns without a guess.
    pause: u8,
    /// Whether the device has reported an error for the driver to handle.
    failed: bool,
    /// The reader to which the next frames are left.
    reader: Option<ConnectionId>,
}

impl Direct {
    /// Creates the state for a device with frames of up to `largest` bytes, from which at most
    /// `most` bytes are read directly in one turn.
    pub(super) fn new(largest: usize, most: usize) -> Self {
        Self {
            hollow: Arena::new(largest.max(MAX_PACKET) + MAX_HEADER, 0, 0),
            most: MAX_DIRECT_BYTES.min(most),
            taken: 0,
            pause: 0,
            failed: false,
            reader: None,
        }
    }

    pub(crate) fn next_turn(&mut self) {
        self.taken = 0;
        self.failed = false;
        self.pause = self.pause.saturating_sub(1);
    }

    /// Whether the driver leaves reading to a reader.
    pub(crate) fn has_reader(&self) -> bool {
        self.reader.is_some()
    }

    /// Takes the reader, if any.
    pub(crate) fn take_reader(&mut self) -> Option<ConnectionId> {
        self.reader.take()
    }
}

/// A packet whose headers and payload were read into separate places.
struct Apart {
    /// Bytes of the whole packet.
    len: usize,
    /// Bytes of its payload.
    payload: usize,
    /// The time of arrival, if the device knows it.
    at: Option<Instant>,
}

impl Receiver {
    /// Reads the next packets of the connection `id`, whose headers are expected to have the given
    /// length, with their payload into `buf`. Returns the number of bytes of the stream now in
    /// `buf`.
    ///
    /// `take` is called with a packet without its payload, the length of its headers, and its time
    /// of arrival if the device knows it. It returns how many bytes of the payload are taken, or
    /// the packet if it is not the next one of the stream.
    pub(crate) fn receive_direct(
        &mut self,
        id: ConnectionId,
        header_len: usize,
        buf: &mut [u8],
        mut take: impl FnMut(BytesMut, usize, Option<Instant>) -> Result<usize, BytesMut>,
    ) -> usize {
        let Some(device) = self.device.clone() else {
            return 0;
        };
        // Frames must not be left to a reader that cannot take them.
        if self.direct.pause > 0 || !self.fits(header_len, buf) {
            return 0;
        }
        self.begun = self.credit.sweep();
        let mut filled = 0;
        while self.may_take_directly() && self.arrived.is_empty() {
            match self.take_direct(&*device, header_len, &mut buf[filled..], &mut take) {
                Ok(0) => break,
                Ok(taken) => {
                    filled += taken;
                    self.direct.taken += taken;
                }
                Err(error) => {
                    // The failure repeats when the driver reads.
                    self.direct.failed = error.kind() != io::ErrorKind::WouldBlock;
                    break;
                }
            }
        }
        if !self.arrived.is_empty() {
            self.direct.pause = PAUSE;
        }
        let may_leave = filled == 0 && self.direct.pause == 0 && !self.direct.failed;
        self.direct.reader = may_leave.then_some(id);
        filled
    }

    /// Whether the driver must run: for packets of other connections, to let the reader continue,
    /// or because the device failed.
    pub(crate) fn needs_driver(&self) -> bool {
        !self.arrived.is_empty() || !self.may_take_directly() || self.direct.failed
    }

    /// Whether any frame has room in the memory for headers of the given length and in `buf`.
    fn fits(&self, header_len: usize, buf: &[u8]) -> bool {
        let headers = self.format.header_len() + header_len;
        headers <= self.header.len() && buf.len() + headers >= self.largest
    }

    fn may_take_directly(&self) -> bool {
        self.direct.taken < self.direct.most
    }

    /// Reads one packet and its continuations. Returns the number of bytes now in `buf`; none if
    /// `buf` has too little room, or if the packet was added to the arrived packets.
    fn take_direct(
        &mut self,
        device: &dyn Device,
        header_len: usize,
        buf: &mut [u8],
        take: &mut impl FnMut(BytesMut, usize, Option<Instant>) -> Result<usize, BytesMut>,
    ) -> io::Result<usize> {
        if !self.fits(header_len, buf) {
            return Ok(0);
        }
        let behind = self.format.header_len();
        let headers = behind + header_len;
        let first = self.read_apart(device, headers, buf)?;
        let header = &self.header[..headers];
        let payload = &buf[..first.payload];
        let right = first.payload > 0
            && match self.format.checksum_of(header) {
                Some(RxChecksum::Trusted) => true,
                Some(RxChecksum::Unverified) => coalesce::checksum_ok(&header[behind..], payload),
                None => false,
            };
        if !right {
            self.put_back(headers, &first, buf);
            return Ok(0);
        }
        self.direct.hollow.space()[..headers].copy_from_slice(&self.header[..headers]);
        let mut len = first.len;
        let mut other = None;
        if self.merges
            && let Some(mut train) = Train::begin(self.direct.hollow.filled(len))
            && train.header_len() == headers
        {
            other = self.follow(device, &mut train, buf);
            len = train.len();
            train.finish(self.direct.hollow.filled(len));
        }
        let payload = len - headers;
        let mut packet = self.direct.hollow.take_mut(len);
        packet.advance(behind);
        let taken = match take(packet, header_len, first.at) {
            Ok(taken) => taken,
            Err(mut packet) => {
                packet[header_len..].copy_from_slice(&buf[..payload]);
                self.arrived.push(Arrived {
                    packet: packet.freeze(),
                    checksum: RxChecksum::Trusted,
                    at: first.at,
                });
                0
            }
        };
        if let Some(other) = other {
            self.put_back(headers, &other, &buf[payload..]);
        }
        Ok(taken)
    }

    /// Reads packets as long as they continue the train, with their payloads behind one another.
    /// Returns the first packet that does not.
    fn follow(&mut self, device: &dyn Device, train: &mut Train, buf: &mut [u8]) -> Option<Apart> {
        let headers = train.header_len();
        loop {
            let rest = &mut buf[train.len() - headers..];
            if rest.len() + headers < self.largest || train.len() + self.largest > Train::MAX_LEN {
                return None;
            }
            let next = match self.read_apart(device, headers, rest) {
                Ok(next) => next,
                Err(error) => {
                    self.direct.failed = error.kind() != io::ErrorKind::WouldBlock;
                    return None;
                }
            };
            let header = &self.header[..headers];
            let payload = &rest[..next.payload];
            let continues =
                train.is_continued_by(self.direct.hollow.filled(headers), header, payload)
                    && (self.format.is_trusted() || coalesce::checksum_ok(header, payload));
            if !continues {
                return Some(next);
            }
            train.append(header, next.payload);
        }
    }

    /// Reads a packet with its headers into the header memory and its payload into `rest`. A packet
    /// that is longer than the device's frames may be is truncated, as it is where the driver reads
    /// it: the reader's buffer has more room than our memory.
    fn read_apart(
        &mut self,
        device: &dyn Device,
        headers: usize,
        rest: &mut [u8],
    ) -> io::Result<Apart> {
        let len = match device.try_recv_split(&mut self.header[..headers], rest) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.on_empty();
                return Err(error);
            }
            read => read?,
        };
        let at = device.arrived_at();
        self.on_frame(at);
        let most = self.largest.saturating_sub(headers).min(rest.len());
        let payload = len.saturating_sub(headers).min(most);
        Ok(Apart {
            len: len.min(headers) + payload,
            payload,
            at,
        })
    }

    /// Restores a packet that was read in two places but was not taken, as if it had been read into
    /// one.
    fn put_back(&mut self, headers: usize, packet: &Apart, payload: &[u8]) {
        let headers = headers.min(packet.len);
        let place = &mut self.memory.space()[..packet.len];
        place[..headers].copy_from_slice(&self.header[..headers]);
        place[headers..].copy_from_slice(&payload[..packet.payload]);
        self.push(packet.len, packet.at);
    }
}

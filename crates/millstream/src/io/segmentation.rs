//! Cuts super-segments into packets, for devices without segmentation offload.
//!
//! The engine always produces the data that a connection may send as one segment of up to 64 KiB,
//! because its cost is per segment. If the device takes only packets of its MTU, super-segments are
//! cut here, one packet at a time, as the device takes them.

use std::io::{self, IoSlice};
use std::ops::Range;

use arrayvec::ArrayVec;
use bytes::Bytes;
use millstream_engine::Transmit;
use millstream_wire::checksum::Sum;
use millstream_wire::cut::Cut;

use crate::device::{Device, MAX_SLICES};
use crate::io::credit::Credit;

/// The packet that is being cut.
#[derive(Debug, Default)]
pub(crate) struct Segmentation {
    /// The rest of the packet, and the piece to send next.
    under_way: Option<(Cut, Range<usize>)>,
    /// A piece of too many slices, copied together. Rarely used.
    flat: Vec<u8>,
}

impl Segmentation {
    /// Sends `packet` piece by piece, as far as there is credit; continues where it stopped if the
    /// packet is in progress. Returns whether the whole packet was sent; otherwise the caller must
    /// pass the same packet again.
    ///
    /// # Errors
    /// As [`Device::try_send`]. After [`WouldBlock`](io::ErrorKind::WouldBlock) and
    /// [`Interrupted`](io::ErrorKind::Interrupted) the same packet must be passed again; any other
    /// error loses the rest of the packet.
    pub(crate) fn send(
        &mut self,
        device: &dyn Device,
        credit: &Credit,
        packet: &Transmit,
    ) -> io::Result<bool> {
        let (cut, piece) = match self.under_way.take() {
            Some(under_way) => under_way,
            None => begin(packet)?,
        };
        let mut next = Some(piece);
        let mut cut = cut;
        while let Some(piece) = next {
            if !credit.is_left() {
                self.under_way = Some((cut, piece));
                return Ok(false);
            }
            credit.on_send();
            if let Err(error) = self.send_piece(device, packet.payload(), &cut, piece.clone()) {
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) {
                    self.under_way = Some((cut, piece));
                }
                return Err(error);
            }
            next = cut.next_range();
        }
        Ok(true)
    }

    fn send_piece(
        &mut self,
        device: &dyn Device,
        payload: &[Bytes],
        cut: &Cut,
        piece: Range<usize>,
    ) -> io::Result<()> {
        let mut sum = Sum::new();
        let mut parts = ArrayVec::<&[u8], MAX_SLICES>::new();
        self.flat.clear();
        for part in within(payload, piece) {
            sum.add(part);
            if parts.len() + 1 < MAX_SLICES {
                parts.push(part);
            } else {
                self.flat.extend_from_slice(part);
            }
        }
        let mut header = [0; Cut::MAX_HEADER];
        let header_len = cut.write_header(&mut header, sum);
        let mut slices = ArrayVec::<IoSlice<'_>, { MAX_SLICES + 1 }>::new();
        slices.push(IoSlice::new(&header[..header_len]));
        slices.extend(parts.iter().map(|part| IoSlice::new(part)));
        if !self.flat.is_empty() {
            slices.push(IoSlice::new(&self.flat));
        }
        device.try_send(&slices)
    }
}

fn begin(packet: &Transmit) -> io::Result<(Cut, Range<usize>)> {
    let payload_len = packet.len() - packet.header().len();
    let size = packet.segment_size().map_or(payload_len, usize::from);
    Cut::new(packet.header(), payload_len, size)
        .and_then(|mut cut| cut.next_range().map(|piece| (cut, piece)))
        .ok_or_else(|| io::Error::other("not a TCP packet, and no checksum"))
}

/// The bytes of `range` in the slices' concatenation.
fn within(slices: &[Bytes], range: Range<usize>) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    slices.iter().filter_map(move |slice| {
        let from = range.start.saturating_sub(start).min(slice.len());
        let to = range.end.saturating_sub(start).min(slice.len());
        start += slice.len();
        (from < to).then(|| &slice[from..to])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_range() {
        let slices = ["abc", "", "defg", "h"].map(Bytes::from);
        let of = |range| {
            within(&slices, range)
                .map(|part| std::str::from_utf8(part).expect("ASCII"))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(0..8), ["abc", "defg", "h"]);
        assert_eq!(of(2..4), ["c", "d"]);
        assert_eq!(of(3..3), [""; 0]);
        assert_eq!(of(6..8), ["g", "h"]);
    }
}

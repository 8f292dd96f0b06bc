//! One outgoing packet.

use arrayvec::ArrayVec;
use bytes::Bytes;

/// IPv6 header (40) and the longest TCP header (60), rounded up.
pub(crate) const MAX_HEADER: usize = 104;

/// A packet to pass to the device: the headers in one piece, the payload as slices of the send
/// buffer.
///
/// It is reused from call to call, so that sending allocates nothing.
#[derive(Debug, Default)]
pub struct Transmit {
    pub(crate) header: ArrayVec<u8, MAX_HEADER>,
    pub(crate) payload: Vec<Bytes>,
    pub(crate) segment_size: Option<u16>,
    pub(crate) partial_checksum: Option<PartialChecksum>,
}

/// The position of a checksum that the device must fill in (virtio-net's `csum_start` and
/// `csum_offset`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartialChecksum {
    /// Start of the bytes to sum, from the start of the packet.
    pub start: u16,
    /// Position of the result, from `start`.
    pub offset: u16,
}

impl Transmit {
    /// An empty packet, to be filled by [`Stack::poll_transmit`](crate::Stack::poll_transmit).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The IP and transport headers.
    #[must_use]
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// The payload after the headers, in order.
    #[must_use]
    pub fn payload(&self) -> &[Bytes] {
        &self.payload
    }

    /// Length of the whole packet in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.header.len() + self.payload.iter().map(Bytes::len).sum::<usize>()
    }

    /// Whether the packet is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.header.is_empty()
    }

    /// If set, the device splits the payload into segments of this many bytes.
    #[must_use]
    pub fn segment_size(&self) -> Option<u16> {
        self.segment_size
    }

    /// If set, the device completes the checksum; the field holds the pseudo-header's sum.
    #[must_use]
    pub fn partial_checksum(&self) -> Option<PartialChecksum> {
        self.partial_checksum
    }

    /// Appends the whole packet to `out`, for devices that need it in one piece.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.reserve(self.len());
        out.extend_from_slice(&self.header);
        for slice in &self.payload {
            out.extend_from_slice(slice);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.header.clear();
        self.payload.clear();
        self.segment_size = None;
        self.partial_checksum = None;
    }
}

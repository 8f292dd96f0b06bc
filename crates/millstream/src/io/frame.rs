//! Frames: IP packets behind the virtio-net header that some devices use (virtio 1.2, 5.1.6).

use bytes::{Buf, Bytes};
use millstream_engine::{RxChecksum, Transmit};
use millstream_wire::{udp, virtio_net};

use crate::device::Capabilities;

/// The layout of a device's frames.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameFormat {
    header_len: usize,
    checksum: RxChecksum,
}

impl FrameFormat {
    /// The longest virtio-net header.
    pub(crate) const MAX_HEADER: usize = 12;

    pub(crate) fn new(capabilities: &Capabilities) -> Self {
        Self {
            header_len: capabilities.virtio_header_len,
            checksum: if capabilities.rx_checksum_trusted {
                RxChecksum::Trusted
            } else {
                RxChecksum::Unverified
            },
        }
    }

    /// Whether the device vouches for every checksum.
    pub(crate) fn is_trusted(self) -> bool {
        self.checksum == RxChecksum::Trusted
    }

    /// Bytes before the packet.
    pub(crate) fn header_len(self) -> usize {
        self.header_len
    }

    /// Whether the checksum of the packet in `frame`, given by its beginning, must be verified.
    /// `None` for a frame without a whole header.
    pub(crate) fn checksum_of(self, frame: &[u8]) -> Option<RxChecksum> {
        if self.header_len == 0 {
            return Some(self.checksum);
        }
        let header = virtio_net::Header::parse(frame.get(..self.header_len)?).ok()?;
        // NEEDS_CSUM: the packet never left the machine, so its checksum was never computed.
        let vouched = virtio_net::Flags::NEEDS_CSUM | virtio_net::Flags::DATA_VALID;
        Some(if header.flags.intersects(vouched) {
            RxChecksum::Trusted
        } else {
            self.checksum
        })
    }

    /// The packet in a received frame, and whether its checksum must be verified. `None` for a
    /// frame without a whole header.
    pub(crate) fn decode(self, mut frame: Bytes) -> Option<(Bytes, RxChecksum)> {
        let checksum = self.checksum_of(&frame)?;
        frame.advance(self.header_len);
        Some((frame, checksum))
    }

    /// Writes the header of the frame that will carry `transmit`, and returns its length in bytes.
    pub(crate) fn encode(self, transmit: &Transmit, out: &mut [u8; Self::MAX_HEADER]) -> usize {
        if self.header_len == 0 {
            return 0;
        }
        let mut header = virtio_net::Header {
            num_buffers: (self.header_len == Self::MAX_HEADER).then_some(0),
            ..virtio_net::Header::default()
        };
        if let Some(checksum) = transmit.partial_checksum() {
            header.flags = virtio_net::Flags::NEEDS_CSUM;
            header.csum_start = checksum.start;
            header.csum_offset = checksum.offset;
        }
        if let Some(segment_size) = transmit.segment_size() {
            let is_v4 = transmit.header().first().is_some_and(|byte| byte >> 4 == 4);
            // The place of its checksum tells UDP from TCP.
            header.gso_type = if usize::from(header.csum_offset) == udp::CHECKSUM_OFFSET {
                virtio_net::GsoType::Udp
            } else if is_v4 {
                virtio_net::GsoType::TcpV4
            } else {
                virtio_net::GsoType::TcpV6
            };
            header.gso_size = segment_size;
            header.hdr_len = u16::try_from(transmit.header().len()).unwrap_or(u16::MAX);
        }
        header.emit(out);
        self.header_len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(header_len: usize) -> FrameFormat {
        FrameFormat::new(&Capabilities {
            virtio_header_len: header_len,
            ..Capabilities::plain(1500)
        })
    }

    #[test]
    fn without_a_header_the_frame_is_the_packet() {
        let packet = Bytes::from_static(b"packet");
        let (decoded, checksum) = format(0).decode(packet.clone()).expect("decodes");
        assert_eq!((decoded, checksum), (packet, RxChecksum::Unverified));
        let mut out = [0xff; FrameFormat::MAX_HEADER];
        assert_eq!(format(0).encode(&Transmit::new(), &mut out), 0);
    }

    #[test]
    fn the_header_says_whether_the_checksum_is_vouched_for() {
        for (flags, expected) in [
            (0, RxChecksum::Unverified),
            (1, RxChecksum::Trusted),
            (2, RxChecksum::Trusted),
        ] {
            for len in [10, 12] {
                let mut frame = vec![0; len];
                frame[0] = flags;
                frame.extend_from_slice(b"packet");
                let (packet, checksum) = format(len).decode(frame.into()).expect("decodes");
                assert_eq!(&packet[..], b"packet");
                assert_eq!(checksum, expected, "flags {flags}");
            }
        }
    }

    #[test]
    fn a_frame_shorter_than_its_header_is_nothing() {
        assert!(format(12).decode(Bytes::from_static(&[0; 11])).is_none());
    }

    #[test]
    fn an_ordinary_packet_gets_an_empty_header() {
        for len in [10, 12] {
            let mut out = [0xff; FrameFormat::MAX_HEADER];
            assert_eq!(format(len).encode(&Transmit::new(), &mut out), len);
            assert!(out[..len].iter().all(|&byte| byte == 0), "{out:?}");
        }
    }
}

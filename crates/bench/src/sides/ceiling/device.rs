//! A minimal TUN interface: packets are read into one buffer and sent by a vectored write.

use std::io::{self, ErrorKind, IoSlice};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use anyhow::{Result, ensure};
use millstream_wire::checksum::pseudo_header;
use millstream_wire::tcp::Header;
use millstream_wire::{ip, virtio_net};
use tun_rs::{DeviceBuilder, SyncDevice};

use super::Copying;
use crate::setup::{HostDescription, Link, Place};

/// IPv4 and TCP headers without options.
const HEADERS: usize = 40;
/// The offset of the checksum in the TCP header.
const CHECKSUM_OFFSET: usize = 16;
/// The offered window in bytes if packets are large.
const WINDOW: u32 = 4 << 20;
/// The maximum number of small packets in flight: the interface's queue holds 500.
const QUEUE: u32 = 350;

/// The interface, with the last received packet.
pub(super) struct Device {
    buffer: Vec<u8>,
    length: usize,
    sender: Sender,
}

/// The sending half.
pub(super) struct Sender {
    tun: Rc<SyncDevice>,
    link: Link,
    /// The data to send, and in the copying mode also the destination of received data.
    data: Vec<u8>,
    /// The application's buffer, in the copying mode.
    application: Option<Vec<u8>>,
}

impl Device {
    /// Creates the interface.
    pub(super) fn open(description: HostDescription, copying: Copying) -> Result<Self> {
        let HostDescription { setup, place, .. } = description;
        let link = setup.link;
        let tun = DeviceBuilder::new()
            .name(place.interface())
            .ipv4(place.client(), Place::PREFIX, None)
            .mtu(link.mtu)
            .offload(link.offload)
            .build_sync()?;
        tun.set_nonblocking(true)?;
        ensure!(
            tun.tcp_gso() == link.offload,
            "the device does not support this offload setting"
        );
        let buffer = vec![0x5A; usize::from(u16::MAX)];
        Ok(Self {
            buffer: vec![0; usize::from(u16::MAX) + virtio_net::Header::LEN],
            length: 0,
            sender: Sender {
                tun: Rc::new(tun),
                link,
                application: (copying == Copying::Once).then(|| buffer.clone()),
                data: buffer,
            },
        })
    }

    /// Reads a packet into the buffer; returns `false` if there is none.
    pub(super) fn receive(&mut self) -> Result<bool> {
        match self.sender.tun.recv(&mut self.buffer) {
            Ok(length) => {
                self.length = length;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The last received packet, and the sending half.
    pub(super) fn split(&mut self) -> (&[u8], &mut Sender) {
        let start = self.sender.virtio_len().min(self.length);
        (&self.buffer[start..self.length], &mut self.sender)
    }

    /// Whether the interface carries super-segments.
    pub(super) fn offload(&self) -> bool {
        self.sender.offload()
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.sender.tun.as_fd()
    }
}

impl Sender {
    /// Sends one packet.
    pub(super) fn send(
        &mut self,
        us: IpAddr,
        peer: IpAddr,
        header: &Header,
        payload: &[u8],
    ) -> Result<()> {
        self.write(us, peer, header, payload, None)
    }

    /// Sends `length` bytes of data, in segments of `mss` bytes if the device cuts them.
    pub(super) fn send_data(
        &mut self,
        us: IpAddr,
        peer: IpAddr,
        header: &Header,
        length: usize,
        mss: u16,
    ) -> Result<()> {
        if let Some(source) = &self.application {
            self.data[..length].copy_from_slice(&source[..length]);
        }
        let gso_size = (length > usize::from(mss)).then_some(mss);
        let data = std::mem::take(&mut self.data);
        let sent = self.write(us, peer, header, &data[..length], gso_size);
        self.data = data;
        sent
    }

    /// Copies received data to the application's buffer, in the copying mode.
    pub(super) fn consume(&mut self, payload: &[u8]) {
        if let Some(target) = &mut self.application {
            target[..payload.len()].copy_from_slice(payload);
        }
    }

    /// Whether the interface carries super-segments.
    pub(super) fn offload(&self) -> bool {
        self.link.offload
    }

    /// The payload of the largest packet.
    pub(super) fn mss(&self) -> u16 {
        self.link.mtu - HEADERS as u16
    }

    /// The payload of the largest segment to a peer with this MSS.
    pub(super) fn largest_payload(&self, mss: u16) -> usize {
        let mss = usize::from(mss);
        if self.link.offload {
            (usize::from(u16::MAX) - HEADERS) / mss * mss
        } else {
            mss
        }
    }

    /// The window in bytes to offer to the peer.
    pub(super) fn window(&self) -> u32 {
        if self.link.offload {
            WINDOW
        } else {
            WINDOW.min(QUEUE * u32::from(self.link.mtu))
        }
    }

    fn virtio_len(&self) -> usize {
        if self.link.offload {
            virtio_net::Header::LEN
        } else {
            0
        }
    }

    fn write(
        &self,
        us: IpAddr,
        peer: IpAddr,
        header: &Header,
        payload: &[u8],
        gso_size: Option<u16>,
    ) -> Result<()> {
        let ip = ip::Header {
            payload_len: header.len() + payload.len(),
            ..ip::Header::new(us, peer, ip::TCP)
        };
        let mut head = [0; 128];
        let virtio = self.virtio_len();
        let tcp = virtio + ip.len();
        let end = tcp + header.len();
        ip.emit(&mut head[virtio..]);
        header.emit(&mut head[tcp..]);
        let mut sum = pseudo_header(us, peer, ip::TCP, ip.payload_len as u32);
        if self.link.offload {
            let field = tcp + CHECKSUM_OFFSET;
            head[field..field + 2].copy_from_slice(&sum.fold().to_be_bytes());
            virtio_header(&ip, header, gso_size).emit(&mut head);
        } else {
            sum.add(payload);
            Header::fill_checksum(&mut head[tcp..end], sum);
        }
        let slices = [IoSlice::new(&head[..end]), IoSlice::new(payload)];
        match self.tun.send_vectored(&slices) {
            Ok(_) => Ok(()),
            // The packet is treated as lost on the path.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(io::Error::other(error).into()),
        }
    }
}

/// Leaves the checksum, and any segmentation, to the device.
fn virtio_header(ip: &ip::Header, tcp: &Header, gso_size: Option<u16>) -> virtio_net::Header {
    virtio_net::Header {
        flags: virtio_net::Flags::NEEDS_CSUM,
        gso_type: match gso_size {
            Some(_) => virtio_net::GsoType::TcpV4,
            None => virtio_net::GsoType::None,
        },
        hdr_len: (ip.len() + tcp.len()) as u16,
        gso_size: gso_size.unwrap_or(0),
        csum_start: ip.len() as u16,
        csum_offset: CHECKSUM_OFFSET as u16,
        ..virtio_net::Header::default()
    }
}

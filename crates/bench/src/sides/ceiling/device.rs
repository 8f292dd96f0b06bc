//! A TUN interface as bare as it comes: packets in a buffer, packets by a vectored write.

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
/// Where a TCP checksum lies in its header.
const CHECKSUM_OFFSET: usize = 16;
/// Bytes of the window offered where packets are large.
const WINDOW: u32 = 4 << 20;
/// Packets under way at the most where they are small: the interface's queue holds 500.
const QUEUE: u32 = 350;

/// The interface, with the packet received last.
pub(super) struct Device {
    buffer: Vec<u8>,
    length: usize,
    sender: Sender,
}

/// The half that sends.
pub(super) struct Sender {
    tun: Rc<SyncDevice>,
    link: Link,
    /// What is sent, and with copies, where what is received goes.
    data: Vec<u8>,
    /// The application's side of a copy.
    application: Option<Vec<u8>>,
}

impl Device {
    /// Makes the interface.
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
        ensure!(tun.tcp_gso() == link.offload, "offload is not to be had");
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

    /// Takes a packet into the buffer; `false` if there is none.
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

    /// The packet received last, and the half that sends.
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

    /// Hands data received to the application, if it wants a copy.
    pub(super) fn consume(&mut self, payload: &[u8]) {
        if let Some(target) = &mut self.application {
            target[..payload.len()].copy_from_slice(payload);
        }
    }

    /// Whether the interface carries super-segments.
    pub(super) fn offload(&self) -> bool {
        self.link.offload
    }

    /// Payload of the largest packet.
    pub(super) fn mss(&self) -> u16 {
        self.link.mtu - HEADERS as u16
    }

    /// Payload of the largest segment to a peer that takes `mss` bytes in a packet.
    pub(super) fn largest_payload(&self, mss: u16) -> usize {
        let mss = usize::from(mss);
        if self.link.offload {
            (usize::from(u16::MAX) - HEADERS) / mss * mss
        } else {
            mss
        }
    }

    /// Bytes that the peer may send ahead.
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
            // As good as lost on the way.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(io::Error::other(error).into()),
        }
    }
}

/// Leaves the checksum to the device, and the cutting if there is any.
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
